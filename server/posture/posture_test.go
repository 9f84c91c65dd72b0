package posture_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/posture"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// nothing is no policy, no case and no certificate.
type nothing struct{}

func (nothing) For(context.Context, ward.Device) (*profiles.Policy, int64, error) { return nil, 0, nil }
func (nothing) Epoch(context.Context) (int64, error)                              { return 0, nil }

func (nothing) OpenCase(context.Context, ward.DeviceID) (*profiles.Case, error) {
	return nil, nil //nolint:nilnil // the loop's word for "none is open"
}

func (nothing) Credentials(context.Context, ward.EnrolmentID) (map[string]reconcile.Credential, error) {
	return nil, nil
}

// plain makes a command of its own name.
type plain struct{}

func (plain) NewUUID() string { return rand.Text() }
func (plain) Compile(_ context.Context, s reconcile.Step, _ ward.Device, _ ward.Enrolment, _ string) (string, []byte, error) {
	return string(s.Deed), []byte(s.Key), nil
}

// record keeps the actions that were audited.
type record struct{ actions []string }

func (r *record) Record(_ context.Context, action, subject string, _ map[string]string) error {
	r.actions = append(r.actions, action+" "+subject)
	return nil
}

func now() time.Time { return time.Now().UTC() }

func newReader(t *testing.T, db *store.DB) (*posture.Reader, *record) {
	t.Helper()
	log := &record{}
	loop := &reconcile.Loop{Fleet: db.Fleet(), Policies: nothing{}, Cases: nothing{}, Credentials: nothing{}, Drift: db.Drift(), Queue: db.Commands(), Compiler: plain{}, Now: now}
	return &posture.Reader{Store: db.Fleet(), Loop: loop, Commands: db.Commands(), Queue: db.Commands(), Audit: log, Wake: db.OwePush, Now: now}, log
}

func insert(t *testing.T, db *store.DB, id ward.DeviceID, serial, name string) {
	t.Helper()
	if err := db.Fleet().InsertDevice(t.Context(), ward.Device{ID: id, Serial: serial, Name: name, Platform: ward.IOS, Ownership: ward.Corporate, Group: "g", State: ward.Managed, Created: now()}); err != nil {
		t.Fatal(err)
	}
}

func enrol(t *testing.T, db *store.DB, id ward.DeviceID, channel string) {
	t.Helper()
	r := &mdm.Request{EnrollID: &mdm.EnrollID{Type: mdm.Device, ID: channel}}
	r = r.WithContext(fleet.WithAdmission(t.Context(), fleet.Admission{Device: id, Rights: ward.RightsAll}))
	if err := db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: mdm.Enrollment{UDID: channel}, Raw: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	if err := db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: mdm.Enrollment{UDID: channel}, Push: mdm.Push{PushMagic: "m", Token: []byte{1}}, Raw: []byte("t")}); err != nil {
		t.Fatal(err)
	}
}

// TestShow: a device is found by any of its names, with the commands of every epoch.
func TestShow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, _ := newReader(t, db)
		insert(t, db, "d1", "SN1", "Ward 7")
		insert(t, db, "d2", "SN2", "Ward 8")
		insert(t, db, "d3", "SN3", "Ward 8")
		enrol(t, db, "d1", "U1")
		if err := r.Refresh(t.Context(), "d1"); err != nil {
			t.Fatal(err)
		}
		enrol(t, db, "d1", "U1")
		if err := r.Refresh(t.Context(), "d1"); err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"d1", "SN1", "U1", "Ward 7", " ward 7 "} {
			d, err := r.Show(t.Context(), word)
			if err != nil || d.Device.ID != "d1" {
				t.Fatalf("Show(%q) = %s, %v; want d1", word, d.Device.ID, err)
			}
			states := map[command.State]int{}
			for _, c := range d.Commands {
				states[c.State]++
			}
			if d.Enrolment.Epoch != 2 || len(d.Enrolments) != 2 || d.Assessment.State != compliance.Unknown {
				t.Errorf("Show(%q) = epoch %d of %d, %s; want 2 of 2, unknown", word, d.Enrolment.Epoch, len(d.Enrolments), d.Assessment.State)
			}
			if diff := cmp.Diff(map[command.State]int{command.Cancelled: 4, command.Waiting: 4}, states); diff != "" {
				t.Errorf("Show(%q) commands mismatch (-want +got):\n%s", word, diff)
			}
		}
		for word, want := range map[string]ward.Kind{"nobody": ward.NotFound, "": ward.NotFound, "Ward 8": ward.Conflict} {
			if _, err := r.Show(t.Context(), word); ward.KindOf(err) != want {
				t.Errorf("Show(%q) = %v, want %s", word, err, want)
			}
		}
		rows, err := r.List(t.Context(), "d1", 1)
		if err != nil || len(rows) != 1 || rows[0].Device.ID != "d2" || rows[0].Assessment.State != compliance.Retired {
			t.Errorf("List() = %+v, %v; want d2, which never enrolled", rows, err)
		}
	})
}

// TestDeeds: what a person does on a device's page is audited, and queued in the
// person's name.
func TestDeeds(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	r, log := newReader(t, db)
	insert(t, db, "d1", "SN1", "Ward 7")
	ctx := ward.WithActor(t.Context(), ward.Actor{Person: "p1"})
	if err := r.Refresh(ctx, "d1"); ward.KindOf(err) != ward.NotFound {
		t.Errorf("refreshing what is not enrolled: %v, want not found", err)
	}
	enrol(t, db, "d1", "U1")
	for _, deed := range []func() error{
		func() error { return r.Refresh(ctx, "d1") },
		func() error { return r.Release(ctx, "d1") },
		func() error { return r.Move(ctx, "d1", " Ward 9 ") },
	} {
		if err := deed(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"device.refreshed d1", "device.released d1", "device.moved d1"}, log.actions); diff != "" {
		t.Errorf("audit log mismatch (-want +got):\n%s", diff)
	}
	d, err := r.Show(ctx, "d1")
	if err != nil || d.Device.Group != "Ward 9" || d.Commands[len(d.Commands)-1].By != "p1" {
		t.Errorf("group %q, first command by %q, %v; want Ward 9, p1", d.Device.Group, d.Commands[len(d.Commands)-1].By, err)
	}
	if ok, err := db.Fleet().MayReenrol(ctx, "d1"); err != nil || !ok {
		t.Errorf("it may enrol anew %v, %v; want so", ok, err)
	}
	for _, group := range []string{"", " ", strings.Repeat("g", 101)} {
		if err := r.Move(ctx, "d1", group); ward.KindOf(err) != ward.Invalid {
			t.Errorf("moving to %.10q: %v, want invalid", group, err)
		}
	}
	for name, err := range map[string]error{"Release": r.Release(ctx, "d9"), "Move": r.Move(ctx, "d9", "g")} {
		if ward.KindOf(err) != ward.NotFound {
			t.Errorf("%s of no device: %v, want not found", name, err)
		}
	}
}
