package server

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/lost"
)

// stands checks what the record says of a device, and of its case unless that is "".
func (a *away) stands(t *testing.T, what string, c ward.CaseID, device ward.DeviceState, state lost.State) {
	t.Helper()
	d, err := a.w.fleet.Device(a.w.ctx, a.id)
	if err != nil || d.State != device {
		t.Errorf("%s: the device is %s, %v; want %s", what, d.State, err, device)
	}
	if c == "" {
		return
	}
	got, err := a.w.Lost.Case(a.w.ctx, c)
	if err != nil || got.State != state {
		t.Errorf("%s: the case is %s, %v; want %s", what, got.State, err, state)
	}
}

// reason returns why the certificate is revoked, -1 if it is not.
func (a *away) reason(t *testing.T, cert *x509.Certificate) ca.Reason {
	t.Helper()
	c, err := a.w.db.Certificates().CertificateByHash(a.w.ctx, ca.Hash(cert))
	if err != nil {
		t.Fatal(err)
	}
	if !c.Revoked() {
		return -1
	}
	return c.Reason
}

// answered checks how a message was answered.
func answered(t *testing.T, what string, got said, want int) {
	t.Helper()
	if got.status != want {
		t.Errorf("%s was answered %d %q, want %d", what, got.status, got.body, want)
	}
}

// lies has a rooted phone accept an erase that it does not do.
func (a *away) lies(t *testing.T, c ward.CaseID) {
	t.Helper()
	a.w.erase(t, a.w.approvers(t, 2), a.id, c)
	if kinds := a.drain(t); !slices.Contains(kinds, "EraseDevice") {
		t.Fatalf("it was given %v, want the erase among them", kinds)
	}
	a.stands(t, "the erase was accepted", c, ward.Erased, lost.Open)
}

func (a *away) reported(t *testing.T) ward.CaseID {
	t.Helper()
	cs, err := a.w.Lost.Report(a.w.ctx, lost.Report{Devices: []ward.DeviceID{a.id}, Kind: lost.Stolen})
	if err != nil {
		t.Fatal(err)
	}
	return cs[0].ID
}

// comesBack has the phone enrol again by the identity that it has, in two messages.
func (a *away) comesBack(t *testing.T) {
	t.Helper()
	answered(t, "Authenticate by the same identity", a.authenticate(t, "SN1"), http.StatusOK)
	answered(t, "TokenUpdate by the same identity", a.tokenUpdate(t), http.StatusOK)
}

// TestThiefErase: a stolen phone that accepts its erase and then enrols by the identity that
// it had has not been erased, and stays lost; one that comes by another is found.
func TestThiefErase(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		a := newAway(t, url, nil)
		c := a.reported(t)
		a.lies(t, c)
		a.comesBack(t)
		a.stands(t, "it came back as it was", c, ward.Lost, lost.Open)
		if n := a.w.audited(t, lost.ActionNotErased); n != 1 {
			t.Errorf("%d entries in the audit log say that it was not erased, want 1", n)
		}
		for _, e := range a.timeline(t, c) {
			if strings.Contains(e.Text, "fresh") {
				t.Errorf("the timeline says %q", e.Text)
			}
		}
		if kinds := a.drain(t); len(kinds) == 0 {
			t.Error("nothing was sent to a phone that is still lost")
		}

		if err := a.w.Devices.Release(a.w.ctx, a.id); err != nil {
			t.Fatal(err)
		}
		anew := a.w.identity(t, a.w.invite(t, ward.Corporate, nil).Token, a.udid)
		answered(t, "Authenticate by another identity", anew.authenticate(t, "SN1"), http.StatusOK)
		answered(t, "the same again, its answer was lost", anew.authenticate(t, "SN1"), http.StatusOK)
		answered(t, "TokenUpdate by another identity", anew.tokenUpdate(t), http.StatusOK)
		a.stands(t, "it came back fresh", c, ward.Managed, lost.Found)
	})
}

// timeline returns the timeline of a case.
func (a *away) timeline(t *testing.T, c ward.CaseID) []lost.Event {
	t.Helper()
	events, err := a.w.Lost.Timeline(a.w.ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// TestThiefEraseRenewed: an identity that was issued to follow the one that a phone had is no
// other.
func TestThiefEraseRenewed(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		a := newAway(t, url, nil)
		a.turn(t, half)
		_, challenge := a.renewal(t)
		next := a.certificate(t, challenge)
		c := a.reported(t)
		a.lies(t, c)
		r := a.under(t, next, a.udid)
		answered(t, "Idle by the next identity", r.report(t, "Idle", ""), http.StatusOK)
		a.turn(t, renewalSettles+time.Hour)
		answered(t, "Authenticate by it", r.authenticate(t, "SN1"), http.StatusOK)
		answered(t, "TokenUpdate by it", r.tokenUpdate(t), http.StatusOK)
		if d := a.w.show(t, "SN1"); d.Enrolment.Epoch != a.e.Epoch+1 {
			t.Fatalf("the epoch is %d, want a new one", d.Enrolment.Epoch)
		}
		a.stands(t, "it came back by the next identity", c, ward.Lost, lost.Open)
	})
}

// TestThiefEraseWithoutCase: without a case, too, only another identity brings a device back
// that accepted an erase; the release that came with the erase is taken back.
func TestThiefEraseWithoutCase(t *testing.T) {
	t.Parallel()
	a := newAway(t, "", brisk)
	a.lies(t, "")
	a.comesBack(t)
	a.stands(t, "it came back as it was", "", ward.Erased, "")
	if n := a.w.audited(t, lost.ActionNotErased); n != 1 {
		t.Errorf("%d entries in the audit log say that it was not erased, want 1", n)
	}
	anew := a.w.identity(t, a.w.invite(t, ward.Corporate, nil).Token, a.udid)
	answered(t, "another identity without a release", anew.authenticate(t, "SN1"), http.StatusForbidden)
	if err := a.w.Devices.Release(a.w.ctx, a.id); err != nil {
		t.Fatal(err)
	}
	enrolWire(t, anew, "SN1")
	a.stands(t, "it came back fresh", "", ward.Managed, "")
}

// TestThiefTwo: a device that enrols under another UDID is not managed by the old enrolment
// any more, whose identity is revoked.
func TestThiefTwo(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		a := newAway(t, url, nil)
		if err := a.w.Devices.Release(a.w.ctx, a.id); err != nil {
			t.Fatal(err)
		}
		b := a.w.identity(t, a.w.invite(t, ward.Corporate, nil).Token, "UDID-9")
		enrolWire(t, b, "SN1")
		b.drain(t)
		if got := a.reason(t, a.cert); got != ca.Ceased {
			t.Errorf("the old identity is revoked for %d, want %d", got, ca.Ceased)
		}
		c := a.reported(t)
		answered(t, "the old identity's Idle", a.idle(t), http.StatusForbidden)
		answered(t, "its CheckOut", a.checkin(t, "CheckOut", nil), http.StatusForbidden)
		answered(t, "its Authenticate", a.authenticate(t, "SN1"), http.StatusForbidden)
		if kinds := b.drain(t); len(kinds) == 0 {
			t.Error("the case sent nothing to the enrolment that lives")
		}
		a.stands(t, "the old enrolment tried", c, ward.Lost, lost.Open)
		old, err := a.w.fleet.Enrolment(a.w.ctx, a.e.ID)
		if err != nil || old.State != ward.EnrolmentEnded {
			t.Errorf("the old enrolment is %s, %v", old.State, err)
		}
	})
}

// TestThiefTakesPlace: the identity that a device had under the same UDID is revoked too.
func TestThiefTakesPlace(t *testing.T) {
	t.Parallel()
	a := newAway(t, "", nil)
	if err := a.w.Devices.Release(a.w.ctx, a.id); err != nil {
		t.Fatal(err)
	}
	next := a.w.identity(t, a.w.invite(t, ward.Corporate, nil).Token, a.udid)
	enrolWire(t, next, "SN1")
	if was, is := a.reason(t, a.cert), a.reason(t, next.cert); was != ca.Superseded || is != -1 {
		t.Errorf("the old identity is revoked for %d, the new for %d; want %d and none", was, is, ca.Superseded)
	}
}

// beside begins another enrolment of the device past the part that admits, as a database from
// before may hold it, and returns app certificates of the old one and of the new.
func (a *away) beside(t *testing.T) (former, latter *x509.Certificate) {
	t.Helper()
	former = a.w.certify(t, a.id, messenger).Leaf
	r := mdm.NewRequestWithContext(fleet.WithAdmission(a.w.ctx, fleet.Admission{Device: a.id, Rights: ward.RightsAll}), nil)
	r.EnrollID = &mdm.EnrollID{Type: mdm.Device, ID: "UDID-9"}
	from := mdm.Enrollment{UDID: r.ID}
	if err := a.w.db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: from, Topic: "t", Raw: []byte("raw")}); err != nil {
		t.Fatal(err)
	}
	if err := a.w.db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: from, Push: mdm.Push{Topic: "t", PushMagic: "m", Token: []byte{1}}, Raw: []byte("raw")}); err != nil {
		t.Fatal(err)
	}
	return former, a.w.certify(t, a.id, messenger).Leaf
}

// goes checks what is left of a device whose old enrolment ended while a newer one lives.
func (a *away) goes(t *testing.T, former, latter *x509.Certificate) {
	t.Helper()
	a.stands(t, "the old enrolment ended", "", ward.Managed, "")
	if e, err := a.w.fleet.Current(a.w.ctx, a.id); err != nil || e.Channel != "UDID-9" {
		t.Errorf("it is managed by %s, %v; want UDID-9", e.Channel, err)
	}
	if was, is := a.reason(t, former), a.reason(t, latter); was != ca.Ceased || is != -1 {
		t.Errorf("the old enrolment's app is revoked for %d, the new one's for %d; want %d and none", was, is, ca.Ceased)
	}
}

// TestThiefOldCheckOut: an old enrolment that checks out takes with it what is its own.
func TestThiefOldCheckOut(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		a := newAway(t, url, nil)
		former, latter := a.beside(t)
		answered(t, "CheckOut", a.checkin(t, "CheckOut", nil), http.StatusOK)
		a.goes(t, former, latter)
		if got := a.reason(t, a.cert); got != ca.Ceased {
			t.Errorf("its identity is revoked for %d, want %d", got, ca.Ceased)
		}
	})
}

// TestThiefOldRetired: an enrolment that is given up loses its apps though another lives.
func TestThiefOldRetired(t *testing.T) {
	t.Parallel()
	a := newAway(t, "", nil)
	former, latter := a.beside(t)
	a.retire(t)
	a.goes(t, former, latter)
}

func (a *away) retire(t *testing.T) {
	t.Helper()
	how := ca.Withdrawal{Serial: a.cert.SerialNumber.String(), Reason: ca.KeyCompromise, Retire: true, Why: "stolen"}
	if _, err := (authority{a.w.Server}).registrar().Revoke(a.w.ctx, how); err != nil {
		t.Fatal(err)
	}
}

// TestThiefSiblings: whoever leaves management, or is given up, leaves no identity that is
// good: neither the one that it had nor the one that was to follow; but that of a lost device
// stays until it is retired.
func TestThiefSiblings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		deed func(t *testing.T, a *away)
		want [2]ca.Reason // of the identity and of its successor
	}{
		"checked out": {func(t *testing.T, a *away) { answered(t, "CheckOut", a.checkin(t, "CheckOut", nil), http.StatusOK) }, [2]ca.Reason{ca.Ceased, ca.Ceased}},
		"retired":     {func(t *testing.T, a *away) { a.retire(t) }, [2]ca.Reason{ca.KeyCompromise, ca.Ceased}},
		"checked out while lost": {func(t *testing.T, a *away) {
			a.reported(t)
			answered(t, "CheckOut", a.checkin(t, "CheckOut", nil), http.StatusOK)
		}, [2]ca.Reason{-1, -1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAway(t, "", nil)
			a.turn(t, half)
			_, challenge := a.renewal(t)
			next := a.certificate(t, challenge)
			tc.deed(t, a)
			if got := [2]ca.Reason{a.reason(t, a.cert), a.reason(t, next)}; got != tc.want {
				t.Errorf("revoked for %v, want %v", got, tc.want)
			}
			a.stands(t, name, "", ward.Unenrolled, "")
			if tc.want[1] == -1 {
				return
			}
			eventually(t, "the revocation list", func() bool {
				lists, err := a.w.Authority.Lists(context.WithoutCancel(a.w.ctx))
				if err != nil || len(lists) == 0 {
					return false
				}
				list, err := x509.ParseRevocationList(lists[len(lists)-1].DER)
				if err != nil {
					return false
				}
				for _, e := range list.RevokedCertificateEntries {
					if e.SerialNumber.Cmp(next.SerialNumber) == 0 {
						return true
					}
				}
				return false
			})
		})
	}
}
