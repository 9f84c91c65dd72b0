package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// invitations are those that exist, each with the channel that used it.
type invitations map[string]*invitation

type invitation struct {
	fleet.Invitation
	used string
}

func (i invitations) Use(_ context.Context, id, channel string) (fleet.Invitation, error) {
	inv := i[id]
	if inv == nil || (inv.used != "" && inv.used != channel) {
		return fleet.Invitation{}, ward.Errorf(ward.Forbidden, "The invitation is unknown or used.")
	}
	inv.used = channel
	return inv.Invitation, nil
}

type fixture struct {
	*fleet.Admitter
	db  *store.DB
	inv invitations
	n   int
}

func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	f := &fixture{db: db, inv: invitations{}}
	f.Admitter = &fleet.Admitter{Store: db.Fleet(), Invitations: f.inv, Now: func() time.Time { return time.Now().UTC() }, NewDevice: func() ward.DeviceID {
		f.n++
		return ward.DeviceID(fmt.Sprintf("new-%d", f.n))
	}}
	return f
}

// invite makes an invitation with the device that it is for; serial may be "".
func (f *fixture) invite(t *testing.T, id, serial string, o ward.Ownership) string {
	t.Helper()
	d := ward.DeviceID("dev-" + id)
	if err := f.Store.InsertDevice(t.Context(), ward.Device{ID: d, Serial: serial, Name: "Invited " + id, Owner: "Owner " + id, Group: "g", Platform: ward.IOS, Ownership: o, State: ward.Invited, Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	f.inv[id] = &invitation{Invitation: fleet.Invitation{ID: id, Device: d, Rights: ward.RightsFor(o)}}
	return id
}

// arrive admits an arrival and, if it is admitted, begins its enrolment, in one unit.
func (f *fixture) arrive(t *testing.T, ar fleet.Arrival, invitation string) (ad fleet.Admission, err error) {
	t.Helper()
	err = f.Store.Do(t.Context(), func(ctx context.Context) error {
		if ad, err = f.Admit(ctx, ar, invitation); err != nil {
			return err
		}
		r := (&mdm.Request{EnrollID: &mdm.EnrollID{Type: mdm.Device, ID: ar.Channel}}).WithContext(fleet.WithAdmission(ctx, ad))
		return f.db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: mdm.Enrollment{UDID: ar.Channel}, Topic: "t", Raw: []byte("a")}) //nolint:contextcheck // the request carries it
	})
	return ad, err
}

func (f *fixture) admitted(t *testing.T, ar fleet.Arrival, invitation string) fleet.Admission {
	t.Helper()
	ad, err := f.arrive(t, ar, invitation)
	if err != nil {
		t.Fatalf("%+v was refused: %v", ar, err)
	}
	return ad
}

func (f *fixture) end(t *testing.T, channel string) {
	t.Helper()
	e, err := f.Store.Latest(t.Context(), channel)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Store.EndEnrolment(t.Context(), e.ID, "checked out"); err != nil {
		t.Fatal(err)
	}
}

func arrival(udid, serial, hash string) fleet.Arrival {
	return fleet.Arrival{Channel: udid, Serial: serial, Hash: hash, Name: "iPhone", Model: "iPhone15,4", OSVersion: "18.6", Platform: ward.IOS}
}

// TestAdmit: who may begin an enrolment, and as which device. Each story is a row of
// arrivals; the last one is judged.
func TestAdmit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for i, tc := range []struct {
			name   string
			before func(t *testing.T, f *fixture, serial string)
			ar     fleet.Arrival // UDID and serial number are made unique
			inv    string
			want   string // the device, "" for a refusal
		}{
			{"a new phone by its invitation", nil, arrival("U", "S", "h1"), "a", "dev-a"},
			{"a phone that tells no serial number", nil, arrival("U", "", "h1"), "a", "dev-a"},
			{"an invitation that does not exist", nil, arrival("U", "S", "h1"), "z", ""},
			{"the same certificate again", func(t *testing.T, f *fixture, s string) { f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s) }, arrival("U", "S", "h1"), "a", "dev-a"},
			{"its certificate under another UDID", func(t *testing.T, f *fixture, s string) { f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s) }, arrival("V", "S2", "h1"), "b", ""},
			{"an enrolled UDID", func(t *testing.T, f *fixture, s string) { f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s) }, arrival("U", "S", "h2"), "b", ""},
			{"an enrolled UDID with another serial number", func(t *testing.T, f *fixture, s string) { f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s) }, arrival("U", "S2", "h2"), "b", ""},
			{"an enrolled serial number", func(t *testing.T, f *fixture, s string) { f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s) }, arrival("V", "S", "h2"), "b", ""},
			{"a used invitation", func(t *testing.T, f *fixture, s string) { f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s) }, arrival("V", "S2", "h2"), "a", ""},
			{"after it was let go", func(t *testing.T, f *fixture, s string) {
				f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s)
				f.end(t, "U"+s)
			}, arrival("U", "S", "h2"), "b", "dev-a"},
			{"by its old certificate after it was let go", func(t *testing.T, f *fixture, s string) {
				f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s)
				f.end(t, "U"+s)
			}, arrival("U", "S", "h1"), "b", ""},
			{"with another UDID after it was let go", func(t *testing.T, f *fixture, s string) {
				f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s)
				f.end(t, "U"+s)
			}, arrival("V", "S", "h2"), "b", "dev-a"},
			{"after a person released it", func(t *testing.T, f *fixture, s string) {
				f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s)
				if err := f.Store.SetReenrol(t.Context(), ward.DeviceID("dev-a"+s), true); err != nil {
					t.Fatal(err)
				}
			}, arrival("U", "S", "h2"), "b", "dev-a"},
			{"an invitation for another serial number", func(t *testing.T, f *fixture, s string) { f.invite(t, "c"+s, "FIXED"+s, ward.Corporate) }, arrival("U", "S", "h1"), "c", ""},
			{"an invitation for its serial number", func(t *testing.T, f *fixture, s string) { f.invite(t, "c"+s, "S"+s, ward.Corporate) }, arrival("U", "S", "h1"), "c", "dev-c"},
			{"a personal invitation for a phone that was corporate", func(t *testing.T, f *fixture, s string) {
				f.admitted(t, arrival("U"+s, "S"+s, "h1"+s), "a"+s)
				f.end(t, "U"+s)
				f.invite(t, "c"+s, "", ward.Personal)
			}, arrival("U", "S", "h2"), "c", "dev-a"},
		} {
			f := newFixture(t, db)
			s := fmt.Sprintf("-%d", i)
			f.invite(t, "a"+s, "", ward.Corporate)
			f.invite(t, "b"+s, "", ward.Corporate)
			if tc.before != nil {
				tc.before(t, f, s)
			}
			ar := tc.ar
			ar.Channel, ar.Hash = ar.Channel+s, ar.Hash+s
			if ar.Serial != "" {
				ar.Serial += s
			}
			epochs, devices := f.count(t)
			ad, err := f.arrive(t, ar, tc.inv+s)
			if tc.want == "" {
				if ward.KindOf(err) != ward.Forbidden {
					t.Errorf("%s: %+v, %v; want forbidden", tc.name, ad, err)
				}
				if e, d := f.count(t); e != epochs || d != devices {
					t.Errorf("%s was refused and changed %d enrolments to %d, %d devices to %d", tc.name, epochs, e, devices, d)
				}
				continue
			}
			if err != nil || string(ad.Device) != tc.want+s {
				t.Errorf("%s: device %q, %v; want %s", tc.name, ad.Device, err, tc.want+s)
				continue
			}
			f.placed(t, tc.name, ar, ad, tc.inv+s)
		}
	})
}

// placed checks what an admission left behind: the device says what the invitation and
// the phone say, the certificate is the channel's only one.
func (f *fixture) placed(t *testing.T, name string, ar fleet.Arrival, ad fleet.Admission, inv string) {
	t.Helper()
	d, err := f.Store.Device(t.Context(), ad.Device)
	if err != nil {
		t.Fatal(err)
	}
	if !ad.Again && (d.Owner == "" || ad.Rights != f.inv[inv].Rights || (d.Ownership == ward.Personal) != (ad.Rights == ward.RightsPersonal)) {
		t.Errorf("%s: device %+v with rights %d, want those of invitation %s", name, d, ad.Rights, inv)
	}
	if d.Serial != ar.Serial || d.Model != ar.Model || d.OSVersion != ar.OSVersion {
		t.Errorf("%s: device %+v, want what the phone said", name, d)
	}
	channel, live, err := f.Store.ChannelOf(t.Context(), ar.Hash)
	if err != nil || channel != ar.Channel || !live {
		t.Errorf("%s: its certificate proves %q, live %v, %v", name, channel, live, err)
	}
	if ok, err := f.Store.MayReenrol(t.Context(), ad.Device); err != nil || ok {
		t.Errorf("%s: it may enrol anew once more, %v", name, err)
	}
}

// count returns how many enrolments and devices there are.
func (f *fixture) count(t *testing.T) (enrolments, devices int) {
	t.Helper()
	ds, err := f.db.Fleet().Devices(t.Context(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		es, err := f.Store.Enrolments(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		enrolments += len(es)
	}
	return enrolments, len(ds)
}

// TestAdopt: a device of another authority becomes a new device in quarantine, or the
// one that its serial number is known of.
func TestAdopt(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	ar := arrival("U1", "S1", "h1")
	ar.Adopted = true
	ad := f.admitted(t, ar, "")
	d, err := f.Store.Device(t.Context(), ad.Device)
	if err != nil {
		t.Fatal(err)
	}
	d.Created = time.Time{}
	want := ward.Device{ID: "new-1", Serial: "S1", Name: "iPhone", Platform: ward.IOS, Model: "iPhone15,4", OSVersion: "18.6", Ownership: ward.Corporate, Group: fleet.QuarantineGroup, State: ward.Invited}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("device mismatch (-want +got):\n%s", diff)
	}
	ar.Hash = "h2"
	if _, err := f.arrive(t, ar, ""); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("another certificate under an adopted UDID: %v, want forbidden", err)
	}
	f.end(t, "U1")
	ar.Channel = "U2"
	if ad := f.admitted(t, ar, ""); ad.Device != "new-1" {
		t.Errorf("it came back as %s, want new-1", ad.Device)
	}
}

// TestAdmitPassesErrors: what is wrong with the record is not a refusal.
func TestAdmitPassesErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	boom := errors.New("boom")
	f.Invitations = broken{boom}
	if _, err := f.arrive(t, arrival("U1", "S1", "h1"), "a"); !errors.Is(err, boom) {
		t.Errorf("Admit() = %v, want %v", err, boom)
	}
}

type broken struct{ err error }

func (b broken) Use(context.Context, string, string) (fleet.Invitation, error) {
	return fleet.Invitation{}, b.err
}
