package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/lost"
)

const (
	aDay = 24 * time.Hour
	half = 366 * aDay     // when every identity is due to be renewed
	end  = 2 * 365 * aDay // of an identity
)

// away is a device that enrolled by messages alone, in a world whose clock will be turned.
type away struct {
	wire
	id ward.DeviceID
	e  ward.Enrolment
}

func newAway(t *testing.T, url string, change func(*Config)) *away {
	t.Helper()
	w := start(t, url, change)
	w.people = w.timely(t, nil)
	a := &away{wire: w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-1")}
	if got := a.authenticate(t, "SN1"); got.status != http.StatusOK {
		t.Fatalf("Authenticate was answered %d %q", got.status, got.body)
	}
	if got := a.checkin(t, "TokenUpdate", map[string]any{"Token": bytes.Repeat([]byte{7}, 32), "PushMagic": "magic", "UnlockToken": []byte("unlock")}); got.status != http.StatusOK {
		t.Fatalf("TokenUpdate was answered %d %q", got.status, got.body)
	}
	a.drain(t)
	d := w.show(t, "SN1")
	a.id, a.e = d.Device.ID, d.Enrolment
	return a
}

// turn turns the clock on, and has the server make its new TLS certificate if need be.
func (a *away) turn(t *testing.T, by time.Duration) {
	t.Helper()
	a.w.clock.forward(by)
	if _, err := a.w.signer.get(); err != nil { // a handshake may come later, and make it then
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.w.URL()+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	a.w.people.CloseIdleConnections()
	res, err := a.w.people.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
}

// timely returns a client with the world's clock, which shows a certificate unless it is nil.
func (w *world) timely(t testing.TB, cert *x509.Certificate) *http.Client {
	t.Helper()
	c := &tls.Config{RootCAs: w.Authority.Pool(), Time: w.clock.now}
	if cert != nil {
		c.Certificates = []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: sharedKey(t), Leaf: cert}}
	}
	rt := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: c}
	t.Cleanup(rt.CloseIdleConnections)
	return &http.Client{Transport: rt, Timeout: 30 * time.Second}
}

// renewed is a device under a new identity, which it shows in TLS: the library that signs
// messages knows no other clock than the machine's.
type renewed struct {
	w      *world
	udid   string
	client *http.Client
	topic  string
}

func (a *away) under(t *testing.T, cert *x509.Certificate, udid string) renewed {
	t.Helper()
	return renewed{a.w, udid, a.w.timely(t, cert), a.topic(t)}
}

func (r renewed) checkin(t *testing.T, kind string, more map[string]any) said {
	t.Helper()
	m := map[string]any{"MessageType": kind, "UDID": r.udid, "Topic": r.topic}
	maps.Copy(m, more)
	return r.w.send(t, r.client, encode(t, m), http.Header{"Content-Type": {checkinMIME}})
}

func (r renewed) authenticate(t *testing.T, serial string) said {
	t.Helper()
	return r.checkin(t, "Authenticate", map[string]any{"SerialNumber": serial, "ProductName": "iPhone15,4", "OSVersion": "18.7"})
}

func (r renewed) tokenUpdate(t *testing.T) said {
	t.Helper()
	return r.checkin(t, "TokenUpdate", map[string]any{"Token": bytes.Repeat([]byte{8}, 32), "PushMagic": "magic"})
}

func (r renewed) report(t *testing.T, status, uuid string) said {
	t.Helper()
	m := map[string]any{"UDID": r.udid, "Status": status}
	if uuid != "" {
		m["CommandUUID"] = uuid
	}
	return r.w.send(t, r.client, encode(t, m), http.Header{"Content-Type": {commandMIME}})
}

// drain acknowledges what waits from c on, and returns the commands' UUIDs.
func (r renewed) drain(t *testing.T, c agent.Command) (uuids []string) {
	t.Helper()
	for c.UUID != "" {
		uuids = append(uuids, c.UUID)
		c = r.report(t, "Acknowledged", c.UUID).command(t)
	}
	return uuids
}

// profile returns the enrolment profile in a command, nil if there is none.
func (a *away) profile(t *testing.T, c agent.Command) *agent.Profile {
	t.Helper()
	raw, ok := c.Payload["Payload"].([]byte)
	if !ok || c.RequestType != "InstallProfile" {
		return nil
	}
	signed, err := pkcs7.Parse(raw) // not verified: the library signs with the machine's time, and the certificate is of the world's
	if err != nil {
		return nil
	}
	p, err := agent.ParseProfile(signed.Content)
	if err != nil {
		t.Fatalf("the profile of command %s: %v", c.UUID, err)
	}
	if len(p.Of("com.apple.mdm")) == 0 || !a.w.Authority.Issued(signed.GetOnlySigner()) {
		return nil
	}
	return p
}

// renewal acknowledges what waits until the renewal comes, and returns its command and
// challenge, or fails the test.
func (a *away) renewal(t *testing.T) (uuid, challenge string) {
	t.Helper()
	got := a.idle(t)
	if got.status != http.StatusOK {
		t.Fatalf("Idle was answered %d %q", got.status, got.body)
	}
	c := got.command(t)
	for c.UUID != "" {
		if p := a.profile(t, c); p != nil {
			return c.UUID, a.challengeIn(t, p)
		}
		c = a.report(t, "Acknowledged", c.UUID, nil).command(t)
	}
	t.Fatal("no renewal came")
	return "", ""
}

// challengeIn checks that a profile may take the place of the one that the device has.
func (a *away) challengeIn(t *testing.T, p *agent.Profile) string {
	t.Helper()
	m := p.Of("com.apple.mdm")[0].Content
	if p.Identifier != "com.github.wardmdm.enrolment" || m["Topic"] != a.topic(t) || m["ServerURL"] != a.w.URL()+"/mdm" || m["AccessRights"] != uint64(a.e.Rights) {
		t.Errorf("the profile %s has the MDM payload %v; want that of the enrolment", p.Identifier, m)
	}
	all := p.Of("com.apple.security.scep")
	if len(all) != 1 || m["IdentityCertificateUUID"] != all[0].UUID {
		t.Fatalf("the profile has %d SCEP payloads", len(all))
	}
	content, ok := all[0].Content["PayloadContent"].(map[string]any)
	if !ok {
		t.Fatalf("the SCEP payload is %v", all[0].Content)
	}
	challenge, ok := content["Challenge"].(string)
	if !ok {
		t.Fatalf("the SCEP payload is %v", content)
	}
	return challenge
}

func (a *away) certificate(t *testing.T, challenge string) *x509.Certificate {
	t.Helper()
	cert, fail := a.w.scepOf(t, challenge)
	if cert == nil {
		t.Fatalf("the authority refuses a renewal: %s", fail)
	}
	return cert
}

// waits queues a command.
func (a *away) waits(t *testing.T, uuid, requestType string, urgent bool) {
	t.Helper()
	raw := encode(t, map[string]any{"CommandUUID": uuid, "Command": map[string]any{"RequestType": requestType}})
	if _, err := a.w.queue.Enqueue(a.w.ctx, command.New{UUID: uuid, Enrolment: a.e.ID, RequestType: requestType, Body: raw, Urgent: urgent}); err != nil {
		t.Fatal(err)
	}
}

// sameEnrolment checks that the device goes on as it was, under cert, and that its former
// identity is worthless.
func (a *away) sameEnrolment(t *testing.T, cert *x509.Certificate) {
	t.Helper()
	d := a.w.show(t, "SN1")
	if d.Device.ID != a.id || d.Enrolment.ID != a.e.ID || d.Enrolment.Epoch != a.e.Epoch || d.Enrolment.State != ward.EnrolmentActive {
		t.Errorf("the enrolment is %+v, want %s still", d.Enrolment, a.e.ID)
	}
	if token, err := a.w.mdm.UnlockToken(a.w.ctx, a.e.ID); err != nil || string(token) != "unlock" {
		t.Errorf("the unlock token is %q, %v; want it kept", token, err)
	}
	a.w.refused(t, "the former identity's Idle", http.StatusForbidden, func() said { return a.idle(t) })
	old, err := a.w.db.Certificates().CertificateByHash(a.w.ctx, ca.Hash(a.cert))
	if err != nil || !old.Revoked() || old.Reason != ca.Superseded {
		t.Errorf("the former identity is %+v, %v; want it superseded", old, err)
	}
	next, err := a.w.db.Certificates().CertificateByHash(a.w.ctx, ca.Hash(cert))
	if err != nil || next.Revoked() || next.Kind != ca.KindDevice || next.Device != a.id || next.Enrolment != a.e.ID || next.RenewedFrom != old.Serial {
		t.Errorf("the new identity is %+v, %v; want one of %s that follows %s", next, err, a.e.ID, old.Serial)
	}
	if i := d.View.Identity; i == nil || i.Serial != next.Serial || !d.View.RenewalPending(a.w.clock.now()).IsZero() {
		t.Errorf("the device's page tells of the identity %+v, want %s", i, next.Serial)
	}
}

// TestRenewal: an identity that has lived for half its life is renewed by itself; both
// prove the enrolment until the new one is used, and nothing of the enrolment is lost.
func TestRenewal(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		a := newAway(t, url, nil)
		a.turn(t, 300*aDay)
		for _, c := range a.drain(t) {
			if c == "InstallProfile" {
				t.Error("the identity was renewed after 300 days")
			}
		}
		a.turn(t, half-300*aDay)
		uuid, challenge := a.renewal(t)
		a.waits(t, "WAITS", "ProfileList", false)
		cert := a.certificate(t, challenge)
		if got := a.idle(t); got.status != http.StatusOK {
			t.Errorf("before the new identity is used the old one's Idle is answered %d", got.status)
		}
		r := a.under(t, cert, a.udid)
		if uuids := r.drain(t, r.report(t, "Acknowledged", uuid).command(t)); !slices.Contains(uuids, "WAITS") {
			t.Errorf("the new identity was given %v, want what waits among it", uuids)
		}
		if got := r.tokenUpdate(t); got.status != http.StatusOK {
			t.Errorf("TokenUpdate was answered %d", got.status)
		}
		a.sameEnrolment(t, cert)
		if c := r.report(t, "Idle", "").command(t); c.UUID != "" {
			t.Errorf("after the renewal the device is given a %s", c.RequestType)
		}
		if _, fail := a.w.scepOf(t, challenge); fail != scep.BadRequest {
			t.Errorf("the challenge was used twice: %q", fail)
		}
		// The next one follows in its turn.
		a.turn(t, half)
		c := r.report(t, "Idle", "").command(t)
		for ; c.UUID != "" && a.profile(t, c) == nil; c = r.report(t, "Acknowledged", c.UUID).command(t) {
		}
		if c.UUID == "" {
			t.Error("a year later the new identity was not renewed")
		}
	})
}

// TestRenewalAuthenticate: a device that authenticates after it replaced its profile, as
// some systems do, goes on in its enrolment, and its queue with it.
func TestRenewalAuthenticate(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		a := newAway(t, url, nil)
		a.turn(t, half)
		uuid, challenge := a.renewal(t)
		a.waits(t, "WAITS", "ProfileList", false)
		cert := a.certificate(t, challenge)

		thief := a.under(t, cert, "UDID-9")
		a.w.refused(t, "a renewed identity under another UDID", http.StatusForbidden, func() said { return thief.authenticate(t, "SN9") })
		a.w.refused(t, "a renewed identity under another UDID, with the serial number", http.StatusForbidden, func() said { return thief.authenticate(t, "SN1") })
		a.w.refused(t, "an Idle under another UDID", http.StatusForbidden, func() said { return thief.report(t, "Idle", "") })

		r := a.under(t, cert, a.udid)
		for range 2 { // a device repeats what it got no answer to
			if got := r.authenticate(t, "SN1"); got.status != http.StatusOK {
				t.Fatalf("Authenticate was answered %d %q", got.status, got.body)
			}
			if got := r.tokenUpdate(t); got.status != http.StatusOK {
				t.Fatalf("TokenUpdate was answered %d %q", got.status, got.body)
			}
		}
		if uuids := r.drain(t, r.report(t, "Acknowledged", uuid).command(t)); !slices.Contains(uuids, "WAITS") {
			t.Errorf("the new identity was given %v, want what waits among it", uuids)
		}
		a.sameEnrolment(t, cert)
		if d := a.w.show(t, "SN1"); d.Device.OSVersion != "18.7" || d.Device.State != ward.Managed {
			t.Errorf("the device is %+v, want the version that it told", d.Device)
		}
		// One that authenticates later was set up anew.
		a.turn(t, renewalSettles)
		if got := r.authenticate(t, "SN1"); got.status != http.StatusOK {
			t.Fatalf("a later Authenticate was answered %d %q", got.status, got.body)
		}
		if got := r.authenticate(t, "SN1"); got.status != http.StatusOK {
			t.Fatalf("the later Authenticate again was answered %d %q", got.status, got.body)
		}
		if got := r.tokenUpdate(t); got.status != http.StatusOK {
			t.Fatalf("TokenUpdate was answered %d %q", got.status, got.body)
		}
		if d := a.w.show(t, "SN1"); d.Enrolment.Epoch == a.e.Epoch || d.Enrolment.State != ward.EnrolmentActive {
			t.Errorf("after a later Authenticate the enrolment is %+v, want a new epoch", d.Enrolment)
		}
	})
}

// TestRenewalWhatever: what has become of the device does not keep its identity from being
// renewed, and the renewal does not mend it.
func TestRenewalWhatever(t *testing.T) {
	t.Parallel()
	for name, become := range map[string]func(t *testing.T, a *away) error{
		"lost": func(_ *testing.T, a *away) error {
			_, err := a.w.Lost.Report(a.w.ctx, lost.Report{Devices: []ward.DeviceID{a.id}})
			return err
		},
		"in quarantine": func(_ *testing.T, a *away) error { return a.w.Devices.Move(a.w.ctx, a.id, fleet.QuarantineGroup) },
		"not compliant": func(t *testing.T, a *away) error {
			a.turn(t, 2*aDay)
			for c := a.idle(t).command(t); c.UUID != ""; c = a.report(t, "Error", c.UUID, nil).command(t) {
			}
			if got := a.w.show(t, "SN1").Assessment.State; got != compliance.NonCompliant {
				t.Errorf("a device that refuses everything is %s", got)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAway(t, "", nil)
			if err := become(t, a); err != nil {
				t.Fatal(err)
			}
			before := a.w.show(t, "SN1").Device
			a.turn(t, half)
			uuid, challenge := a.renewal(t)
			cert := a.certificate(t, challenge)
			r := a.under(t, cert, a.udid)
			r.drain(t, r.report(t, "Acknowledged", uuid).command(t))
			a.sameEnrolment(t, cert)
			if d := a.w.show(t, "SN1").Device; d.State != before.State || d.Group != before.Group {
				t.Errorf("the device is %s in %s, want it %s in %s as before", d.State, d.Group, before.State, before.Group)
			}
		})
	}
}

// TestRenewalLost: a device that lost its new identity before it used it comes back under
// the old one, and is given another; then neither of the two is worth anything.
func TestRenewalLost(t *testing.T) {
	t.Parallel()
	a := newAway(t, "", nil)
	a.turn(t, half)
	uuid, challenge := a.renewal(t)
	gone := a.certificate(t, challenge)
	again, same := a.renewal(t)
	if again != uuid || same != challenge {
		t.Errorf("the command %s was delivered after %s: want the same while it is open", again, uuid)
	}
	if _, fail := a.w.scepOf(t, same); fail != scep.BadRequest {
		t.Errorf("its challenge was used twice: %q", fail)
	}
	if c := a.report(t, "Error", uuid, nil).command(t); c.UUID != "" && a.profile(t, c) != nil {
		t.Error("the renewal that was refused was repeated at once")
	}
	a.turn(t, 2*time.Minute)
	uuid, challenge = a.renewal(t)
	cert := a.certificate(t, challenge)
	r := a.under(t, cert, a.udid)
	r.drain(t, r.report(t, "Acknowledged", uuid).command(t))
	a.sameEnrolment(t, cert)
	late := a.under(t, gone, a.udid)
	a.w.refused(t, "an identity that was never used and was followed by another", http.StatusForbidden, func() said { return late.report(t, "Idle", "") })
	a.w.refused(t, "its Authenticate", http.StatusForbidden, func() said { return late.authenticate(t, "SN1") })
}
