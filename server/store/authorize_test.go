package store_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestAuthorizeSubject: one read finds everything that decides about a certificate.
func TestAuthorizeSubject(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, a := t.Context(), db.Authorize()
		read := func() authorize.Subject {
			t.Helper()
			s, err := a.Subject(ctx, "hash-1")
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if _, err := a.Subject(ctx, "hash-1"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Subject() of no certificate = %v, want NotFound", err)
		}
		insert(t, db.Certificates(), certificate("1", ca.KindApp, "d1"))
		want := authorize.Subject{Serial: "1", Kind: authorize.App, App: "uk.example.chat", NotBefore: certTime, NotAfter: certTime.Add(time.Hour), Device: "d1"}
		if diff := cmp.Diff(want, read()); diff != "" {
			t.Errorf("without a device: mismatch (-want +got)\n%s", diff)
		}
		d := ward.Device{ID: "d1", Name: "x", Platform: ward.IOS, Ownership: ward.Corporate, Group: "Ward 7", Email: "ada@hospital.example", State: ward.Managed, Created: certTime}
		if err := db.Fleet().InsertDevice(ctx, d); err != nil {
			t.Fatal(err)
		}
		want.State, want.Group, want.Email = ward.Managed, "Ward 7", "ada@hospital.example"
		v := authorize.Verdict{Device: "d1", State: compliance.InGrace, Code: "no-passcode", Until: certTime.Add(time.Minute), Then: compliance.NonCompliant, ThenCode: "no-passcode"}
		for range 2 {
			if err := a.SaveVerdict(ctx, v); err != nil {
				t.Fatal(err)
			}
		}
		want.Verdict = v
		if diff := cmp.Diff(want, read()); diff != "" {
			t.Errorf("with a device and a verdict: mismatch (-want +got)\n%s", diff)
		}
		v.State, v.Then, v.ThenCode, v.Until = compliance.NonCompliant, "", "", certTime.Add(time.Hour)
		if err := a.SaveVerdict(ctx, v); err != nil {
			t.Fatal(err)
		}
		if got, err := a.Verdict(ctx, "d1"); err != nil || got != v {
			t.Errorf("Verdict() = %+v, %v; want %+v", got, err, v)
		}
		want.Verdict = v
		c := lost.Case{ID: "c1", Device: "d1", Kind: lost.Lost, State: lost.Open, Reported: certTime}
		if _, err := db.Cases().Add(ctx, c); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Certificates().RevokeCertificate(ctx, "1", ca.Revocation{At: certTime, Reason: ca.KeyCompromise}); err != nil {
			t.Fatal(err)
		}
		want.Case, want.Revoked = true, certTime
		if diff := cmp.Diff(want, read()); diff != "" {
			t.Errorf("with an open case: mismatch (-want +got)\n%s", diff)
		}
		if _, err := db.Cases().Move(ctx, "c1", lost.Open, lost.Closed, certTime); err != nil {
			t.Fatal(err)
		}
		if want.Case = false; read().Case {
			t.Error("a closed case counts")
		}
		if _, err := a.Verdict(ctx, "d2"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Verdict() on a device that was never judged = %v, want NotFound", err)
		}
	})
}

// TestAuthorizeEnrolment: the certificate's own enrolment counts, not the device's newest.
func TestAuthorizeEnrolment(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e, err := db.Fleet().Latest(t.Context(), enrolled(t, db).id)
		if err != nil {
			t.Fatal(err)
		}
		c := certificate("1", ca.KindApp, "d1")
		c.Enrolment = e.ID
		insert(t, db.Certificates(), c)
		for _, want := range []ward.EnrolmentState{ward.EnrolmentActive, ward.EnrolmentEnded} {
			if s, err := db.Authorize().Subject(t.Context(), c.Hash); err != nil || s.Enrolment != want {
				t.Errorf("Subject() = %+v, %v; want its enrolment %s", s, err, want)
			}
			if err := db.Fleet().EndEnrolment(t.Context(), e.ID, "checked out"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestCertificateUse: the newest times stay, and of many that write the same refusal one
// is told that it is new.
func TestCertificateUse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, a := t.Context(), db.Authorize()
		insert(t, db.Certificates(), certificate("1", ca.KindApp, "d1"), certificate("2", ca.KindApp, "d1"), certificate("3", ca.KindApp, "d2"))
		at := func(m int) time.Time { return certTime.Add(time.Duration(m) * time.Minute) }
		for i, c := range []struct {
			use  authorize.Use
			want bool
		}{
			{authorize.Use{Serial: "1", Used: at(5), Reason: authorize.Allowed}, false},
			{authorize.Use{Serial: "1", Used: at(3), Reason: authorize.Allowed}, false},
			{authorize.Use{Serial: "1", Refused: at(6), Reason: authorize.Lost}, true},
			{authorize.Use{Serial: "1", Refused: at(7), Reason: authorize.Lost}, false},
			{authorize.Use{Serial: "1", Used: at(8), Reason: authorize.Allowed}, false},
			{authorize.Use{Serial: "1", Refused: at(9), Reason: authorize.Lost}, true},
			{authorize.Use{Serial: "3", Refused: at(1), Reason: authorize.Revoked}, true},
		} {
			if got, err := a.SaveUse(ctx, c.use); err != nil || got != c.want {
				t.Errorf("%d: SaveUse() = %v, %v; want %v", i, got, err, c.want)
			}
		}
		got, err := a.Uses(ctx, "d1")
		want := map[string]authorize.Use{"1": {Serial: "1", Used: at(8), Refused: at(9), Reason: authorize.Lost}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Uses(): %v (-want +got)\n%s", err, diff)
		}
		var wg sync.WaitGroup
		var told atomic.Int64
		for range 8 {
			wg.Go(func() {
				changed, err := a.SaveUse(ctx, authorize.Use{Serial: "2", Refused: at(1), Reason: authorize.Revoked})
				if err != nil {
					t.Error(err)
				}
				if changed {
					told.Add(1)
				}
			})
		}
		wg.Wait()
		if n := told.Load(); n != 1 {
			t.Errorf("%d of 8 were told that the refusal is new, want 1", n)
		}
	})
}

// TestManyAllowed: many uses are written together, and the newest times stay.
func TestManyAllowed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, a := t.Context(), db.Authorize()
		insert(t, db.Certificates(), certificate("1", ca.KindApp, "d1"), certificate("107", ca.KindApp, "d2"))
		at := func(m int) time.Time { return certTime.Add(time.Duration(m) * time.Minute) }
		if _, err := a.SaveUse(ctx, authorize.Use{Serial: "1", Refused: at(4), Reason: authorize.Lost}); err != nil {
			t.Fatal(err)
		}
		for _, m := range []int{5, 9, 7} {
			var all []authorize.Use
			for i := range 107 {
				all = append(all, authorize.Use{Serial: strconv.Itoa(i + 1), Used: at(m), Reason: authorize.Allowed})
			}
			if err := a.SaveAllowed(ctx, all); err != nil {
				t.Fatal(err)
			}
		}
		for device, want := range map[ward.DeviceID]authorize.Use{
			"d1": {Serial: "1", Used: at(9), Refused: at(4), Reason: authorize.Allowed},
			"d2": {Serial: "107", Used: at(9), Reason: authorize.Allowed},
		} {
			got, err := a.Uses(ctx, device)
			if diff := cmp.Diff(map[string]authorize.Use{want.Serial: want}, got); err != nil || diff != "" {
				t.Errorf("Uses(%s): %v (-want +got)\n%s", device, err, diff)
			}
		}
	})
}
