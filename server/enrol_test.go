package server

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/scep"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"go.uber.org/zap/zaptest/observer"
)

// unchanged runs deed and fails the test if the database holds anything else after it.
func (w *world) unchanged(t *testing.T, what string, deed func()) {
	t.Helper()
	before := w.rows(t)
	deed()
	if diff := cmp.Diff(before, w.rows(t)); diff != "" {
		t.Errorf("%s changed the database (-before +after):\n%s", what, diff)
	}
}

// refused checks that an answer refuses with this status, says so in the log under the
// request's id, and that the request changed nothing.
func (w *world) refused(t *testing.T, what string, want int, deed func() said) {
	t.Helper()
	var got said
	w.unchanged(t, what, func() { got = deed() })
	if got.status != want {
		t.Errorf("%s was answered %d %q, want %d", what, got.status, got.body, want)
	}
	if got.request == "" {
		t.Fatalf("%s: the answer has no request id", what)
	}
	eventually(t, what+": a line in the log with the request id "+got.request, func() bool {
		return slices.ContainsFunc(w.logs.All(), func(e observer.LoggedEntry) bool { return e.ContextMap()["request_id"] == got.request })
	})
}

// TestEnrolAnew: a phone that was let go enrols by a new invitation as a new epoch of
// the same device; what was queued for the old epoch never reaches the new one, and the
// old certificate proves nothing any more.
func TestEnrolAnew(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, brisk)
		first := w.invite(t, ward.Corporate, nil)
		old := w.identity(t, first.Token, "UDID-1")
		enrolWire(t, old, "SN1")
		old.drain(t)
		d := w.show(t, "SN1")
		stale := w.erase(t, w.approvers(t, 2), d.Device.ID, "")

		second := w.invite(t, ward.Corporate, nil)
		next := w.identity(t, second.Token, "UDID-1")
		w.refused(t, "taking over a UDID", http.StatusForbidden, func() said { return next.authenticate(t, "SN1") })
		thief := wire{w, "UDID-2", next.cert, next.key}
		w.refused(t, "taking over a serial number", http.StatusForbidden, func() said { return thief.authenticate(t, "SN1") })
		if got := old.idle(t); got.command(t).UUID != stale {
			t.Errorf("after two attempts at its place the phone was answered %d %q, want its command", got.status, got.body)
		}
		if err := w.Devices.Release(w.ctx, d.Device.ID); err != nil {
			t.Fatal(err)
		}
		enrolWire(t, next, "SN1")
		after := w.show(t, "SN1")
		if after.Device.ID != d.Device.ID || after.Enrolment.Epoch != 2 || after.Device.State != ward.Managed || after.Enrolment.Invitation != second.ID {
			t.Errorf("device %s epoch %d %s by %s, want %s epoch 2 managed by %s", after.Device.ID, after.Enrolment.Epoch, after.Device.State, after.Enrolment.Invitation, d.Device.ID, second.ID)
		}
		for _, kind := range next.drain(t) {
			if kind == "EraseDevice" {
				t.Error("the old epoch's erase reached the new one")
			}
		}
		w.refused(t, "the old certificate's Idle", http.StatusForbidden, func() said { return old.idle(t) })
		w.refused(t, "the old certificate's answer", http.StatusForbidden, func() said { return old.report(t, "Acknowledged", stale, nil) })
		w.refused(t, "the old certificate's TokenUpdate", http.StatusForbidden, func() said { return old.tokenUpdate(t) })
		w.refused(t, "the old certificate's CheckOut", http.StatusForbidden, func() said { return old.checkOut(t) })
		w.refused(t, "the old certificate's Authenticate", http.StatusForbidden, func() said { return old.authenticate(t, "SN1") })
		third := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-1")
		w.refused(t, "a release used twice", http.StatusForbidden, func() said { return third.authenticate(t, "SN1") })
		if got := next.idle(t); got.status != http.StatusOK {
			t.Errorf("the new certificate was answered %d, want 200", got.status)
		}
	})
}

// enrolWire enrols message by message.
func enrolWire(t *testing.T, d wire, serial string) {
	t.Helper()
	if got := d.authenticate(t, serial); got.status != http.StatusOK {
		t.Fatalf("Authenticate was answered %d %q", got.status, got.body)
	}
	if got := d.tokenUpdate(t); got.status != http.StatusOK {
		t.Fatalf("TokenUpdate was answered %d %q", got.status, got.body)
	}
}

// TestPhoneComesBack: a virtual phone whose user removed the management enrols again.
func TestPhoneComesBack(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	p := w.phone(t, "1", func(o *virtual.Options) { o.ClientCertificate = true })
	id := w.enrol(t, p, ward.Corporate)
	before, _ := certificateOf(t, p)
	if err := p.RemoveManagement(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.enrol(t, p, ward.Personal); got != id {
		t.Errorf("it came back as %s, want %s", got, id)
	}
	d := w.show(t, p.Serial())
	if d.Enrolment.Epoch != 2 || d.Device.Ownership != ward.Personal || d.Enrolment.Rights != ward.RightsPersonal {
		t.Errorf("epoch %d, %s, rights %d; want 2, personal, %d", d.Enrolment.Epoch, d.Device.Ownership, d.Enrolment.Rights, ward.RightsPersonal)
	}
	old := wire{w, p.UDID(), before, sharedKey(t)}
	w.repels(t, "the certificate of the first life", string(id), "403", []string{"certificate revoked"}, func() string { return strconv.Itoa(old.idle(t).status) })
	all, err := w.Devices.List(w.ctx, "", 10)
	if err != nil || len(all) != 1 {
		t.Errorf("%d devices, %v; want the one", len(all), err)
	}
}

// TestInvitations: what an invitation does not grant.
func TestInvitations(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		used := w.invite(t, ward.Corporate, nil)
		first := w.identity(t, used.Token, "UDID-1")
		second := w.identity(t, used.Token, "UDID-2") // an installation that broke off may be begun again
		enrolWire(t, first, "SN1")

		w.refused(t, "an invitation's second device", http.StatusForbidden, func() said { return second.authenticate(t, "SN2") })
		w.refused(t, "a certificate under another UDID", http.StatusForbidden, func() said { return wire{w, "UDID-3", first.cert, first.key}.authenticate(t, "SN3") })
		if _, _, err := w.Enrolment.Open(w.ctx, used.Token, ""); ward.KindOf(err) != ward.Forbidden {
			t.Errorf("a used link: %v, want forbidden", err)
		}
		w.refused(t, "a used link over HTTP", http.StatusForbidden, func() said { return w.link(t, used.Token) })
		w.refused(t, "an unknown link", http.StatusNotFound, func() said { return w.link(t, "nothing-of-the-kind") })
		w.unchanged(t, "a wrong challenge", func() {
			if cert, fail := w.scepOf(t, "made up"); cert != nil || fail != scep.BadRequest {
				t.Errorf("a wrong challenge got a certificate or fail info %q, want %q", fail, scep.BadRequest)
			}
		})

		twice := w.invite(t, ward.Corporate, nil)
		once := w.challenge(t, twice.Token)
		if cert, fail := w.scepOf(t, once); cert == nil {
			t.Fatalf("a good challenge was refused: %s", fail)
		}
		w.repels(t, "a challenge used twice", string(twice.Device), "badRequest (2)", []string{"scep unauthorized"}, func() string {
			return w.bySCEP(t, w.people, once, sharedKey(t))
		})

		back := w.invite(t, ward.Corporate, nil)
		holder := w.identity(t, back.Token, "UDID-4")
		if _, err := w.Enrolment.Revoke(w.ctx, back.ID); err != nil {
			t.Fatal(err)
		}
		w.refused(t, "an invitation that was taken back", http.StatusForbidden, func() said { return holder.authenticate(t, "SN4") })

		short := w.invite(t, ward.Corporate, func(r *enrollment.Request) { r.Life = time.Hour })
		late := w.identity(t, short.Token, "UDID-5")
		challenge := w.challenge(t, short.Token)
		w.clock.forward(3 * time.Hour)
		w.refused(t, "an expired invitation's certificate", http.StatusForbidden, func() said { return late.authenticate(t, "SN5") })
		w.refused(t, "an expired link", http.StatusForbidden, func() said { return w.link(t, short.Token) })
		w.repels(t, "an expired challenge", string(short.Device), "badRequest (2)", []string{"scep unauthorized"}, func() string {
			return w.bySCEP(t, w.people, challenge, sharedKey(t))
		})
	})
}

// link opens an invitation's link as a tool does.
func (w *world) link(t *testing.T, token string) said {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.InviteURL(token), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.people.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return said{status: res.StatusCode, request: res.Header.Get("X-Request-Id")}
}
