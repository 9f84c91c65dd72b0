package server

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/reconcile"
)

// TestAway: a device that was away until after its identity had ended comes back within
// the time that the configuration allows, and is given another identity before all else.
func TestAway(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		a := newAway(t, url, nil)
		stranger := a.w.identity(t, a.w.invite(t, ward.Corporate, nil).Token, "UDID-2")
		a.turn(t, end+399*aDay)
		a.waits(t, "LOCK", "DeviceLock", true)
		a.w.refused(t, "an identity that ended before its device enrolled", http.StatusForbidden, func() said { return stranger.authenticate(t, "SN2") })
		if _, err := a.w.Authority.Check(t.Context(), a.cert); !errors.Is(err, ca.ErrOutsideTime) {
			t.Errorf("elsewhere the identity that ended is judged %v, want it refused", err)
		}
		c := a.under(t, a.cert, a.udid).report(t, "Idle", "").command(t)
		p := a.profile(t, c)
		if p == nil {
			t.Fatalf("the first command is a %s, want the renewal", c.RequestType)
		}
		cert := a.certificate(t, a.challengeIn(t, p))
		r := a.under(t, cert, a.udid)
		uuids := r.drain(t, r.report(t, "Acknowledged", c.UUID).command(t))
		if len(uuids) == 0 || uuids[0] != "LOCK" {
			t.Errorf("then came %v, want the lock that waited", uuids)
		}
		a.sameEnrolment(t, cert)
	})
}

// TestAwayTooLong: nothing but the identity of a living enrolment is taken after its end,
// and that not for ever.
func TestAwayTooLong(t *testing.T) {
	t.Parallel()
	a := newAway(t, "", nil)
	a.turn(t, end+400*aDay)
	a.w.refused(t, "an identity that ended 400 days ago", http.StatusForbidden, func() said { return a.idle(t) })
	a.w.refused(t, "its signature", http.StatusForbidden, func() said { return a.under(t, a.cert, a.udid).authenticate(t, "SN1") })
	// The way back is a release and another invitation.
	if err := a.w.Devices.Release(a.w.ctx, a.id); err != nil {
		t.Fatal(err)
	}
	cert, fail := a.w.scepOf(t, a.w.challenge(t, a.w.invite(t, ward.Corporate, nil).Token))
	if cert == nil {
		t.Fatalf("the authority refuses: %s", fail)
	}
	r := a.under(t, cert, a.udid)
	if got := r.authenticate(t, "SN1"); got.status != http.StatusOK {
		t.Fatalf("Authenticate was answered %d %q", got.status, got.body)
	}
	if got := r.tokenUpdate(t); got.status != http.StatusOK {
		t.Fatalf("TokenUpdate was answered %d %q", got.status, got.body)
	}
	if d := a.w.show(t, "SN1"); d.Device.ID != a.id || d.Enrolment.Epoch != a.e.Epoch+1 {
		t.Errorf("it came back as %s, epoch %d; want %s, epoch %d", d.Device.ID, d.Enrolment.Epoch, a.id, a.e.Epoch+1)
	}
}

// TestAwayAndGivenUp: an identity that has ended and was revoked, or whose device was given
// up, is refused; where none may be late, so is every one.
func TestAwayAndGivenUp(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*Config)
		deed   func(a *away) error
	}{
		"revoked": {nil, func(a *away) error {
			_, err := a.w.Authority.Revoke(a.w.ctx, a.cert.SerialNumber.String(), ca.KeyCompromise, "test")
			return err
		}},
		"retired":           {nil, func(a *away) error { return a.w.fleet.EndEnrolment(a.w.ctx, a.e.ID, "retired") }},
		"none late allowed": {func(c *Config) { c.MDM.LateDays = 0 }, func(*away) error { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAway(t, "", tc.change)
			if err := tc.deed(a); err != nil {
				t.Fatal(err)
			}
			a.turn(t, end+aDay)
			a.w.refused(t, "Idle", http.StatusForbidden, func() said { return a.idle(t) })
			a.w.refused(t, "TokenUpdate", http.StatusForbidden, func() said { return a.tokenUpdate(t) })
			a.w.refused(t, "Authenticate", http.StatusForbidden, func() said { return a.authenticate(t, "SN1") })
		})
	}
}

// TestRenewalPhone: a whole phone has its identity renewed, however its system goes about
// it, and stays what it was.
func TestRenewalPhone(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]virtual.Renewal{
		"quietly": virtual.RenewQuietly, "announced": virtual.RenewAnnounced, "announced late": virtual.RenewAnnouncedLate, "lost with new": virtual.RenewLostNew, "lost with old": virtual.RenewLostOld,
	} {
		for _, present := range []bool{false, true} {
			if present && how != virtual.RenewQuietly {
				continue
			}
			t.Run(name+map[bool]string{true: " in TLS"}[present], func(t *testing.T) {
				t.Parallel()
				// Half of such a life is over when it begins, for it begins a little early.
				w := start(t, "", func(c *Config) { c.deviceLife = 9 * time.Minute })
				p := w.phone(t, "1", func(o *virtual.Options) { o.ClientCertificate = present })
				p.SetRenewal(how)
				id := w.enrol(t, p, ward.Corporate)
				before := w.show(t, p.Serial())
				first, _ := certificateOf(t, p)
				w.on(t, p)
				if how == virtual.RenewLostOld { // it is tried again a minute after the phone refused the challenge that is spent
					eventually(t, "the refusal", func() bool {
						return slices.ContainsFunc(w.show(t, p.Serial()).View.Attempts, func(a reconcile.Attempt) bool { return a.Key == "identity" && a.State == command.Refused })
					})
					w.clock.forward(2 * time.Minute)
					if err := w.Devices.Refresh(w.ctx, id); err != nil {
						t.Fatal(err)
					}
				}
				await(t, p, "a new identity", func(p *virtual.Phone) bool {
					e, err := p.Enrolment()
					return err == nil && !e.Certificate.Equal(first)
				})
				eventually(t, "the first use of the new identity", func() bool {
					_, err := w.Authority.Check(t.Context(), first)
					return errors.Is(err, ca.ErrRevoked)
				})
				eventually(t, "the phone's facts", func() bool { return w.show(t, p.Serial()).View.Got.Security != nil })
				d := w.show(t, p.Serial())
				if d.Device.ID != id || d.Enrolment.ID != before.Enrolment.ID || d.Enrolment.Epoch != before.Enrolment.Epoch || d.Device.State != ward.Managed {
					t.Errorf("the device is %s, its enrolment %+v; want %s and %+v", d.Device.ID, d.Enrolment, id, before.Enrolment)
				}
				eventually(t, "the record of the identity that the phone has", func() bool { // which renews once more where the answer was lost
					cert, _ := certificateOf(t, p)
					row, err := w.Authority.Check(t.Context(), cert)
					i := w.show(t, p.Serial()).View.Identity
					return err == nil && row.RenewedFrom != "" && i != nil && i.Serial == row.Serial
				})
			})
		}
	}
}

// TestRenewalAttested: an identity whose key hardware attested is followed by one of the
// same device's hardware, and an attestation by other hardware gets none.
func TestRenewalAttested(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		f := newFoundry(t)
		w := start(t, url, func(c *Config) {
			f.rule(enrollment.AttestationRequired)(c)
			c.deviceLife = 9 * time.Minute // see TestRenewalPhone
		})
		element := f.Enclave()
		p := w.attesting(t, f, adas, func(o *virtual.Options) { o.Enclave = element })
		in := w.invite(t, ward.Corporate, named(adas))
		if err := p.Enrol(t.Context(), w.profileLink(in)); err != nil {
			t.Fatal(err)
		}
		before := w.show(t, adas)
		first, _ := certificateOf(t, p)
		element.Lie(func(c *virtual.Claims) { c.Serial = graces })
		w.on(t, p)
		eventually(t, "the refusal of other hardware", func() bool {
			return slices.ContainsFunc(w.show(t, adas).View.Attempts, func(a reconcile.Attempt) bool { return a.Key == "identity" && a.State == command.Refused })
		})
		if got, _ := certificateOf(t, p); !got.Equal(first) {
			t.Fatalf("the phone has the identity %s by other hardware", got.SerialNumber)
		}
		element.Lie(nil)
		w.clock.forward(2 * time.Minute)
		if err := w.Devices.Refresh(w.ctx, in.Device); err != nil {
			t.Fatal(err)
		}
		await(t, p, "a new identity", func(p *virtual.Phone) bool {
			e, err := p.Enrolment()
			return err == nil && !e.Certificate.Equal(first)
		})
		eventually(t, "the first use of the new identity", func() bool {
			_, err := w.Authority.Check(t.Context(), first)
			return errors.Is(err, ca.ErrRevoked)
		})
		second, _ := certificateOf(t, p)
		row, err := w.Authority.Check(t.Context(), second)
		if err != nil || row.Attested.Format != ca.FormatApple || row.Attested.Serial != adas || row.RenewedFrom != first.SerialNumber.String() {
			t.Errorf("the new identity is recorded as %+v, %v; want it attested by the same phone", row, err)
		}
		if d := w.show(t, adas); d.Enrolment.ID != before.Enrolment.ID || d.Enrolment.Epoch != before.Enrolment.Epoch {
			t.Errorf("the enrolment is %+v, want %+v", d.Enrolment, before.Enrolment)
		}
	})
}
