package enrollment_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// challengeOnly is a profile builder whose profile is its challenge.
type challengeOnly struct{}

func (challengeOnly) Profile(_ context.Context, _ enrollment.Invitation, t enrollment.Ticket) ([]byte, error) {
	return []byte(t.Challenge), nil
}

func newService(t *testing.T) (*enrollment.Service, *clock, *store.DB) {
	t.Helper()
	db, c := storetest.SQLite(t), &clock{t: start}
	return ruled(t, db, c, ""), c, db
}

// ruled returns a service of this rule on a database.
func ruled(t *testing.T, db *store.DB, c *clock, rule enrollment.Attestation) *enrollment.Service {
	t.Helper()
	s, err := enrollment.New(enrollment.Options{
		Store: db.Invitations(), Unit: db, Devices: db.Fleet(), Profiles: challengeOnly{}, Now: c.now, Attestation: rule,
		NewDevice: newID(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newID makes ids that nothing else has.
func newID() func() ward.DeviceID {
	n := 0
	return func() ward.DeviceID { n++; return ward.DeviceID(fmt.Sprintf("device-%d", n)) }
}

func invite(t *testing.T, s *enrollment.Service) enrollment.Invited {
	t.Helper()
	in, err := s.Create(t.Context(), enrollment.Request{Name: "Ada Byron", Ownership: ward.Corporate})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func open(t *testing.T, s *enrollment.Service, in enrollment.Invited) (challenge string) {
	t.Helper()
	_, profile, err := s.Open(t.Context(), in.Token, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(profile)
}

// wantForbidden fails unless err forbids for a reason that contains why.
func wantForbidden(t *testing.T, what string, err error, why string) {
	t.Helper()
	if ward.KindOf(err) != ward.Forbidden || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %v, want forbidden: %s", what, err, why)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	s, _, db := newService(t)
	ctx := ward.WithActor(t.Context(), ward.Actor{Name: "Nurse Support"})
	in, err := s.Create(ctx, enrollment.Request{Name: " Ada Byron ", Email: "ada@hospital.example", Ownership: ward.Personal, Group: "Ward 7", Site: " North ", Role: "nurse"})
	if err != nil {
		t.Fatal(err)
	}
	want := enrollment.Invitation{
		ID: in.ID, Name: "Ada Byron", Email: "ada@hospital.example", DeviceName: "Ada Byron's iPhone", Platform: ward.IOS,
		Ownership: ward.Personal, Group: "Ward 7", Site: "North", Role: "nurse", Device: "device-1", Created: start, CreatedBy: "Nurse Support", Expires: start.Add(7 * 24 * time.Hour),
	}
	got, err := s.Invitation(ctx, in.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("invitation mismatch (-want +got):\n%s", diff)
	}
	if got.Rights().Has(ward.RightErase) {
		t.Error("an invitation for a personal device grants the right to erase it")
	}
	if len(in.Token) != 43 {
		t.Errorf("token has %d characters, want 43 (256 bits)", len(in.Token))
	}
	dev, err := db.Fleet().Device(ctx, "device-1")
	if err != nil {
		t.Fatal(err)
	}
	wantDev := ward.Device{
		ID: "device-1", Name: "Ada Byron's iPhone", Platform: ward.IOS, Ownership: ward.Personal, Group: "Ward 7", Site: "North", Role: "nurse",
		Owner: "Ada Byron", Email: "ada@hospital.example", State: ward.Invited, Created: start,
	}
	if diff := cmp.Diff(wantDev, dev); diff != "" {
		t.Errorf("device mismatch (-want +got):\n%s", diff)
	}
}

func TestCreateForAKnownDevice(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	first := invite(t, s)
	again, err := s.Create(t.Context(), enrollment.Request{Name: "Ada Byron", Ownership: ward.Corporate, Device: first.Device})
	if err != nil || again.Device != first.Device || again.ID == first.ID {
		t.Errorf("Create() for %s = %+v, %v; want a new invitation for the same device", first.Device, again.Invitation, err)
	}
	_, err = s.Create(t.Context(), enrollment.Request{Name: "Ada Byron", Ownership: ward.Personal, Device: first.Device})
	if ward.KindOf(err) != ward.Conflict {
		t.Errorf("Create() with another ownership = %v, want a conflict", err)
	}
	_, err = s.Create(t.Context(), enrollment.Request{Name: "Ada Byron", Ownership: ward.Corporate, Device: "none"})
	if ward.KindOf(err) != ward.NotFound {
		t.Errorf("Create() for no device = %v, want not found", err)
	}
}

func TestCreateTellsAllMistakes(t *testing.T) {
	t.Parallel()
	s, _, db := newService(t)
	_, err := s.Create(t.Context(), enrollment.Request{
		Email: "nobody", DeviceName: "bell\a", Group: strings.Repeat("x", 121), Platform: ward.Android,
		Ownership: ward.Personal, Supervised: true, Life: 31 * 24 * time.Hour,
	})
	e, ok := errors.AsType[*ward.Error](err)
	if !ok || e.Kind != ward.Invalid {
		t.Fatalf("Create() = %v, want invalid", err)
	}
	want := []string{
		"A name is needed: whom is the invitation for?",
		"The device name holds characters that cannot be printed.",
		"The group is longer than 120 characters.",
		`"nobody" is not an e-mail address.`,
		"A personal device is never supervised.",
		`A device of the platform "android" does not enrol by a link: use ios or macos.`,
		"A link may work for one minute at least and 30 days at most.",
	}
	if diff := cmp.Diff(want, e.Details); diff != "" {
		t.Errorf("mistakes mismatch (-want +got):\n%s", diff)
	}
	for _, o := range []ward.Ownership{"", "stolen"} {
		if _, err := s.Create(t.Context(), enrollment.Request{Name: "A", Ownership: o}); ward.KindOf(err) != ward.Invalid {
			t.Errorf("Create() with the ownership %q = %v, want invalid", o, err)
		}
	}
	if all, err := s.List(t.Context(), "", 10); err != nil || len(all) != 0 {
		t.Errorf("List() = %d invitations, %v; want none", len(all), err)
	}
	if devs, err := db.Fleet().Devices(t.Context(), "", 10); err != nil || len(devs) != 0 {
		t.Errorf("Devices() = %d devices, %v; want none", len(devs), err)
	}
}

func TestCreateMany(t *testing.T) {
	t.Parallel()
	s, c, _ := newService(t)
	good := enrollment.Request{Name: "A", Ownership: ward.Corporate}
	_, err := s.CreateMany(t.Context(), []enrollment.Request{good, {Name: "B"}})
	if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), "Invitation 2: The ownership is needed") {
		t.Errorf("CreateMany() = %v, want the mistake of the second", err)
	}
	// The second names a device that is not there: then the first must not be kept either.
	_, err = s.CreateMany(t.Context(), []enrollment.Request{good, {Name: "B", Ownership: ward.Corporate, Device: "none"}})
	if ward.KindOf(err) != ward.NotFound {
		t.Errorf("CreateMany() = %v, want not found", err)
	}
	if all, err := s.List(t.Context(), "", 10); err != nil || len(all) != 0 {
		t.Fatalf("List() = %d invitations, %v; want none", len(all), err)
	}
	var ids []string
	for range 3 {
		out, err := s.CreateMany(t.Context(), []enrollment.Request{good})
		if err != nil {
			t.Fatal(err)
		}
		ids = append([]string{out[0].ID}, ids...)
		c.add(time.Millisecond)
	}
	var got []string
	for before := ""; ; before = got[len(got)-1] {
		page, err := s.List(t.Context(), before, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, i := range page {
			got = append(got, i.ID)
		}
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("pages mismatch (-want +got):\n%s", diff)
	}
}

func TestFromLinkToDevice(t *testing.T) {
	t.Parallel()
	s, c, _ := newService(t)
	in := invite(t, s)
	first := open(t, s, in)
	second := open(t, s, in)
	_, err := s.Lookup(t.Context(), first)
	wantForbidden(t, "a replaced challenge", err, "newer profile")
	if got, err := s.Lookup(t.Context(), second); err != nil || got.Certificates != 0 {
		t.Errorf("Lookup() = %+v, %v; want the invitation, unchanged", got, err)
	}
	got, err := s.Redeem(t.Context(), second, "")
	if err != nil || got.ID != in.ID || got.Device != in.Device || got.Certificates != 1 {
		t.Fatalf("Redeem() = %+v, %v; want the invitation with one certificate", got, err)
	}
	_, err = s.Redeem(t.Context(), second, "")
	wantForbidden(t, "a redeemed challenge", err, "already used")

	// Until a device has enrolled the person may begin again, three times in all.
	for range 2 {
		if _, err := s.Redeem(t.Context(), open(t, s, in), ""); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Redeem(t.Context(), open(t, s, in), "")
	wantForbidden(t, "a fourth certificate", err, "tried 3 times")

	c.add(time.Minute)
	used, err := s.Use(t.Context(), in.ID, "UDID-1")
	if err != nil || used.UsedBy != "UDID-1" || !used.Used.Equal(start.Add(time.Minute)) {
		t.Fatalf("Use() = %+v, %v; want it used by UDID-1", used, err)
	}
	_, err = s.Use(t.Context(), in.ID, "UDID-1")
	wantForbidden(t, "another certificate of the same device", err, "already been used")
	_, err = s.Use(t.Context(), in.ID, "UDID-2")
	wantForbidden(t, "another device", err, "already been used")
	_, _, err = s.Open(t.Context(), in.Token, "")
	wantForbidden(t, "the link of a used invitation", err, "already been used")
	if _, err := s.Revoke(t.Context(), in.ID); ward.KindOf(err) != ward.Conflict {
		t.Errorf("Revoke() of a used invitation = %v, want a conflict", err)
	}
}

func TestNoCertificateOnceUsed(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	in := invite(t, s)
	challenge := open(t, s, in)
	if _, err := s.Use(t.Context(), in.ID, "UDID-1"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Redeem(t.Context(), challenge, "")
	wantForbidden(t, "a challenge of a used invitation", err, "already been used")
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	s, c, _ := newService(t)
	in := invite(t, s)
	challenge := open(t, s, in)
	c.add(enrollment.ChallengeLife)
	_, err := s.Redeem(t.Context(), challenge, "")
	wantForbidden(t, "an old challenge", err, "profile has expired")

	c.add(enrollment.DefaultLife - enrollment.ChallengeLife - time.Minute)
	if _, err := s.Redeem(t.Context(), open(t, s, in), ""); err != nil {
		t.Fatalf("Redeem() in the last minute: %v", err)
	}
	late := open(t, s, in)
	c.add(2 * time.Minute)
	_, _, err = s.Open(t.Context(), in.Token, "")
	wantForbidden(t, "an expired link", err, "expired on 28 November 2026 at 12:00 UTC")
	_, err = s.Redeem(t.Context(), late, "")
	wantForbidden(t, "a challenge of an expired link", err, "expired on 28 November")
	if _, err := s.Use(t.Context(), in.ID, "UDID-1"); err != nil {
		t.Errorf("Use() with a certificate of the last minute: %v", err)
	}

	in = invite(t, s)
	c.add(enrollment.DefaultLife + enrollment.ChallengeLife)
	_, err = s.Use(t.Context(), in.ID, "UDID-2")
	wantForbidden(t, "a device that comes too late", err, "expired on")
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	s, c, _ := newService(t)
	in := invite(t, s)
	challenge := open(t, s, in)
	got, err := s.Revoke(t.Context(), in.ID)
	if err != nil || got.State(c.now()) != enrollment.Revoked {
		t.Fatalf("Revoke() = %+v, %v; want it revoked", got, err)
	}
	c.add(time.Hour / 2)
	if again, err := s.Revoke(t.Context(), in.ID); err != nil || !again.Revoked.Equal(start) {
		t.Errorf("Revoke() again = revoked %s, %v; want %s unchanged", again.Revoked, err, start)
	}
	_, err = s.Redeem(t.Context(), challenge, "")
	wantForbidden(t, "its challenge", err, "taken back")
	_, err = s.Use(t.Context(), in.ID, "UDID")
	wantForbidden(t, "its device", err, "taken back")
	_, err = s.Find(t.Context(), in.Token)
	wantForbidden(t, "its link", err, "taken back")
	if _, err := s.Revoke(t.Context(), "none"); ward.KindOf(err) != ward.NotFound {
		t.Errorf("Revoke(none) = %v, want not found", err)
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	in := invite(t, s)
	for _, token := range []string{"", "x", in.ID, in.Token + "x", strings.ToLower(in.Token) + "A"} {
		if _, _, err := s.Open(t.Context(), token, ""); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Open(%q) = %v, want not found", token, err)
		}
		_, err := s.Redeem(t.Context(), token, "")
		wantForbidden(t, "an unknown challenge", err, "not known")
	}
	_, err := s.Use(t.Context(), "none", "UDID")
	wantForbidden(t, "an unknown invitation", err, "not known")
}

func TestNewRefusesHalfOptions(t *testing.T) {
	t.Parallel()
	if _, err := enrollment.New(enrollment.Options{}); err == nil {
		t.Error("New() without anything = nil, want an error")
	}
}
