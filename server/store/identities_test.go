package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// anIdentity enrols a device on a channel with an identity, and returns the enrolment.
func anIdentity(t *testing.T, db *store.DB, channel, serial string) ward.Enrolment {
	t.Helper()
	device := ward.DeviceID("dev-" + channel)
	if err := db.Fleet().InsertDevice(t.Context(), aDevice(string(device), "", channel)); err != nil {
		t.Fatal(err)
	}
	r := &mdm.Request{EnrollID: &mdm.EnrollID{Type: mdm.Device, ID: channel}}
	r = r.WithContext(fleet.WithAdmission(t.Context(), fleet.Admission{Device: device, Rights: ward.RightsAll}))
	if err := db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Topic: "topic", Raw: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	if err := db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Push: mdm.Push{Topic: "topic", PushMagic: "m", Token: []byte{1}}, Raw: []byte("t")}); err != nil {
		t.Fatal(err)
	}
	e, err := db.Fleet().Latest(t.Context(), channel)
	if err != nil {
		t.Fatal(err)
	}
	insert(t, db.Certificates(), anIdentityOf(e, serial, ""))
	if err := db.Fleet().Bind(t.Context(), "hash-"+serial, channel); err != nil {
		t.Fatal(err)
	}
	return e
}

// anIdentityOf is a device's certificate that follows another.
func anIdentityOf(e ward.Enrolment, serial, renewedFrom string) ca.Certificate {
	c := certificate(serial, ca.KindDevice, e.Device)
	c.Enrolment, c.App, c.RenewedFrom = e.ID, "", renewedFrom
	return c
}

// proves says by which of the certificates the channel's enrolment is proved.
func proves(t *testing.T, db *store.DB, serials ...string) (live []string) {
	t.Helper()
	for _, s := range serials {
		switch _, err := db.Fleet().Contact(t.Context(), "hash-"+s); ward.KindOf(err) {
		case "":
			live = append(live, s)
		case ward.NotFound:
		default:
			t.Fatal(err)
		}
	}
	return live
}

// TestSucceed: the certificate that follows an identity takes its place by its first use,
// on its own channel only; what it makes worthless is named once.
func TestSucceed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, f := t.Context(), db.Fleet()
		e, other := anIdentity(t, db, "U1", "100"), anIdentity(t, db, "U2", "200")
		unused, next := anIdentityOf(e, "101", "100"), anIdentityOf(e, "102", "100")
		app, revoked := certificate("103", ca.KindApp, e.Device), anIdentityOf(e, "104", "100")
		app.Enrolment, revoked.RevokedAt = e.ID, certTime
		next.Attested = ca.Attested{Format: ca.FormatApple, Serial: "SN1"}
		insert(t, db.Certificates(), unused, next, app, revoked)

		want := reconcile.Identity{Serial: "100", From: certTime, Until: certTime.Add(time.Hour)}
		if got, err := f.Identity(ctx, e.ID); err != nil || got != want {
			t.Errorf("Identity() = %+v, %v; want %+v", got, err, want)
		}
		for _, tc := range []struct {
			what, hash, channel string
			want                ward.Kind
		}{
			{"the identity itself", "hash-100", "U1", ""},
			{"a certificate that is not there", "hash-999", "U1", ""},
			{"an app's certificate", "hash-103", "U1", ""},
			{"another device's channel", "hash-102", "U2", ward.Forbidden},
			{"a channel that never was", "hash-102", "U3", ward.Forbidden},
			{"a revoked certificate", "hash-104", "U1", ward.Forbidden},
		} {
			if _, ok, err := f.Succeed(ctx, tc.hash, tc.channel); ok || ward.KindOf(err) != tc.want {
				t.Errorf("%s succeeds: %v, %v; want no, and an error of kind %q", tc.what, ok, err, tc.want)
			}
		}
		if diff := cmp.Diff([]string{"100"}, proves(t, db, "100", "101", "102", "103", "104")); diff != "" {
			t.Errorf("what proves the enrolment before (-want +got):\n%s", diff)
		}

		s, ok, err := f.Succeed(ctx, "hash-102", "U1")
		if diff := cmp.Diff([]string{"100", "101"}, s.Former); err != nil || !ok || s.Serial != "102" || s.Enrolment.ID != e.ID || diff != "" {
			t.Errorf("Succeed() = %+v, %v, %v; former (-want +got):\n%s", s, ok, err, diff)
		}
		again, ok, err := f.Succeed(ctx, "hash-102", "U1")
		if err != nil || !ok || len(again.Former) != 0 || again.Since.IsZero() {
			t.Errorf("Succeed() again = %+v, %v, %v; want nothing to revoke", again, ok, err)
		}
		if diff := cmp.Diff([]string{"102", "200"}, proves(t, db, "100", "101", "102", "200")); diff != "" {
			t.Errorf("what proves the enrolments after (-want +got):\n%s", diff)
		}
		if got, err := f.Identity(ctx, e.ID); err != nil || got.Serial != "102" || !got.Attested {
			t.Errorf("Identity() = %+v, %v; want 102, attested", got, err)
		}
		after, err := f.Latest(ctx, "U1")
		if err != nil || after.ID != e.ID || after.Epoch != e.Epoch || after.State != ward.EnrolmentActive {
			t.Errorf("the enrolment is %+v, %v; want the same", after, err)
		}

		insert(t, db.Certificates(), anIdentityOf(other, "201", "200"))
		if err := f.EndEnrolment(ctx, other.ID, "retired"); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := f.Succeed(ctx, "hash-201", "U2"); ok || ward.KindOf(err) != ward.Forbidden {
			t.Errorf("a certificate of an enrolment that ended succeeds: %v, %v", ok, err)
		}
		if _, err := f.Identity(ctx, other.ID); ward.KindOf(err) != ward.NotFound {
			t.Errorf("the identity of an enrolment that ended: %v, want not found", err)
		}
	})
}

// TestSucceedTogether: however many requests are the first under a new certificate, what it
// makes worthless is named once.
func TestSucceedTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e := anIdentity(t, db, "U1", "100")
		insert(t, db.Certificates(), anIdentityOf(e, "101", "100"))
		const n = 8
		named := make([][]string, n)
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				s, ok, err := db.Fleet().Succeed(t.Context(), "hash-101", "U1")
				if named[i], errs[i] = s.Former, err; err == nil && !ok {
					errs[i] = fmt.Errorf("request %d does not succeed", i)
				}
			})
		}
		wg.Wait()
		times := 0
		for i := range n {
			if errs[i] != nil {
				t.Error(errs[i])
			}
			times += len(named[i])
		}
		if times != 1 {
			t.Errorf("the former identity was named %d times, want once", times)
		}
	})
}
