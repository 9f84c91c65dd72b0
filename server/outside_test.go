package server

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestIdentitySources is what holds of every authority that gives devices their identities by
// SCEP, whoever runs it.
func TestIdentitySources(t *testing.T) {
	t.Parallel()
	for name, open := range sources() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			w := start(t, "", s.set)
			t.Run("enrols phones", func(t *testing.T) { s.enrols(t, w) })
			t.Run("refuses what proves nothing", func(t *testing.T) { s.refuses(t, w) })
			t.Run("refuses what was revoked", func(t *testing.T) { s.revoked(t, w) })
			t.Run("ends", func(t *testing.T) { s.ends(t) })
		})
	}
}

func (s *source) enrols(t *testing.T, w *world) {
	t.Helper()
	p := s.phone(t, w, "E")
	id := w.enrol(t, p, ward.Corporate)
	if err := p.CheckIn(t.Context()); err != nil {
		t.Errorf("the phone checks in: %v", err)
	}
	all := w.certificates(t, "kind=device&device="+string(id))
	if len(all) != 1 || !all[0].Manages || all[0].Attested || strings.HasPrefix(all[0].Serial, "outside-") != (s.set != nil) || strings.Contains(all[0].Issuer, "outside") != (s.set != nil) {
		t.Errorf("certificates = %+v, want the one that manages the phone", all)
	}
	cert, _ := certificateOf(t, p)
	if c, err := w.Authority.Check(t.Context(), cert); err != nil || c.Device != id {
		t.Errorf("Check() = %+v, %v; want the phone's", c, err)
	}
	if err := p.RemoveManagement(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.enrol(t, p, ward.Corporate); got != id {
		t.Errorf("it came back as %s, want %s", got, id)
	}
	if got := w.serials(t, id); len(got) != 2 {
		t.Errorf("identities %v, want 2", got)
	}
}

func (s *source) refuses(t *testing.T, w *world) {
	t.Helper()
	in := w.invite(t, ward.Corporate, nil)
	q := question(t, w, in)
	d := wire{w, "UDID-R", s.ask(t, w, q), sharedKey(t)}
	if d.cert == nil {
		t.Fatal("the authority refuses")
	}
	w.refused(t, "a TokenUpdate before Authenticate", http.StatusForbidden, func() said { return d.tokenUpdate(t) })
	enrolWire(t, d, "SNR")
	if got := d.authenticate(t, "SNR"); got.status != http.StatusOK {
		t.Errorf("a repeated Authenticate was answered %d %q", got.status, got.body)
	}
	// Again, by a thief who has seen the profile.
	before := w.audited(t, "certificate.refused")
	for _, name := range []string{"UDID-R", "UDID-THIEF"} {
		if cert := s.again(t, w, q); cert != nil {
			thief := wire{w, name, cert, sharedKey(t)}
			w.rejected(t, "a second certificate for one ticket", func() said { return thief.authenticate(t, "SN-"+name) })
		}
	}
	if got := w.audited(t, "certificate.refused"); got != before+1 {
		t.Errorf("%d refusals in the audit log, want %d: one for the ticket", got, before+1)
	}
	// A profile that a newer one has replaced.
	newer := w.invite(t, ward.Corporate, nil)
	old := question(t, w, newer)
	question(t, w, newer)
	if cert := s.ask(t, w, old); cert != nil {
		late := wire{w, "UDID-O", cert, sharedKey(t)}
		w.refused(t, "the ticket of a profile that was replaced", http.StatusForbidden, func() said { return late.authenticate(t, "SNO") })
	}
	// Another device's.
	named := w.invite(t, ward.Corporate, named(adas))
	other := wire{w, "UDID-A", s.ask(t, w, question(t, w, named)), sharedKey(t)}
	w.refused(t, "the ticket of another device", http.StatusForbidden, func() said { return other.authenticate(t, graces) })
	enrolWire(t, other, adas)
	// An enrolled device's channel.
	taker := wire{w, "UDID-R", s.ask(t, w, question(t, w, w.invite(t, ward.Corporate, nil))), sharedKey(t)}
	w.refused(t, "an invitation under the UDID of an enrolled device", http.StatusForbidden, func() said { return taker.authenticate(t, "SNR") })
	// Certificates of the authority that nobody asked for here.
	for _, name := range []string{"device", "Ward " + strings.Repeat("a", 52), "Ward anew " + strings.Repeat("a", 52), "Ward " + in.ID} {
		stray := wire{w, "UDID-S", s.without(t, w, name), sharedKey(t)}
		w.refused(t, "a certificate for "+name, http.StatusForbidden, func() said { return stray.authenticate(t, "SNS") })
		w.refused(t, "its Idle as an enrolled device", http.StatusForbidden, func() said {
			stray.udid = "UDID-R"
			return stray.idle(t)
		})
	}
}

func (s *source) revoked(t *testing.T, w *world) {
	t.Helper()
	d := wire{w, "UDID-V", s.ask(t, w, question(t, w, w.invite(t, ward.Corporate, nil))), sharedKey(t)}
	enrolWire(t, d, "SNV")
	id := w.show(t, "SNV").Device.ID
	serial := w.serials(t, id)[0]
	if _, err := (authority{w.Server}).Revoke(w.ctx, api.CertificateRevocation{Serial: serial, Reason: "withdrawn", Retire: true, Why: "test"}); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]said{"Idle": d.idle(t), "Authenticate": d.authenticate(t, "SNV")} {
		if got.status != http.StatusForbidden {
			t.Errorf("a revoked identity's %s was answered %d", name, got.status)
		}
	}
	if e := w.show(t, "SNV").Device.State; e != ward.Unenrolled {
		t.Errorf("the device is %s", e)
	}
	if _, err := w.Authority.Check(t.Context(), d.cert); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Check() of a revoked identity = %v, want a refusal", err)
	}
}

// ends has a device be away until its identity has ended, and for too long.
func (s *source) ends(t *testing.T) {
	t.Helper()
	w := start(t, "", s.set)
	w.people = w.timely(t, nil)
	a := &away{wire: wire{w, "UDID-1", s.ask(t, w, question(t, w, w.invite(t, ward.Corporate, nil))), sharedKey(t)}}
	unused := s.ask(t, w, question(t, w, w.invite(t, ward.Corporate, nil)))
	enrolWire(t, a.wire, "SN1")
	a.turn(t, end+aDay)
	r := a.under(t, a.cert, a.udid)
	if got := r.report(t, "Idle", ""); got.status != http.StatusOK {
		t.Errorf("a device that comes a day late was answered %d %q", got.status, got.body)
	}
	w.refused(t, "an identity that ended before it was used", http.StatusForbidden, func() said { return a.under(t, unused, "UDID-2").authenticate(t, "SN2") })
	a.turn(t, 401*aDay)
	w.refused(t, "an identity that ended long ago", http.StatusForbidden, func() said { return r.report(t, "Idle", "") })
	if _, err := w.Authority.Check(t.Context(), a.cert); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Check() of one that has ended = %v, want a refusal", err)
	}
}

// TestOutsideRenewal: an identity of an outside authority is renewed by the same one, in time,
// and nothing of the enrolment is lost; a challenge service that is away keeps nothing up.
func TestOutsideRenewal(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		s, d := secondAuthority(t)
		w := start(t, url, s.set)
		w.people = w.timely(t, nil)
		a := &away{wire: wire{w, "UDID-1", s.ask(t, w, question(t, w, w.invite(t, ward.Corporate, nil))), sharedKey(t)}}
		if got := a.authenticate(t, "SN1"); got.status != http.StatusOK {
			t.Fatalf("Authenticate was answered %d %q", got.status, got.body)
		}
		a.checkin(t, "TokenUpdate", map[string]any{"Token": []byte("token"), "PushMagic": "magic", "UnlockToken": []byte("unlock")})
		a.drain(t)
		show := w.show(t, "SN1")
		a.id, a.e = show.Device.ID, show.Enrolment
		a.turn(t, half)
		s.clock.forward(half)

		d.away(true)
		uuid, q := a.renewalQuestion(t)
		a.waits(t, "WAITS", "ProfileList", false)
		if q.Challenge != "" {
			t.Errorf("without a challenge service the challenge is %q, want none", q.Challenge)
		}
		var given []string
		for c := a.report(t, "Error", uuid, nil).command(t); c.UUID != ""; c = a.report(t, "Acknowledged", c.UUID, nil).command(t) {
			given = append(given, c.UUID)
			if a.profile(t, c) != nil {
				t.Error("the renewal that was refused was repeated at once")
			}
		}
		if !slices.Contains(given, "WAITS") {
			t.Errorf("after the renewal that failed the device is given %v, want what waits", given)
		}

		d.away(false)
		a.turn(t, aDay)
		s.clock.forward(aDay)
		uuid, q = a.renewalQuestion(t)
		name := commonName(q)
		if !strings.HasPrefix(name, "Ward anew ") || len(name) > 64 {
			t.Errorf("the name is %q", name)
		}
		ticket := strings.TrimPrefix(name, "Ward anew ")
		for _, challenge := range []string{ticket, string(credential.ForIdentity) + "-" + ticket, name, enrollment.OutsideChallenge(ticket)} {
			if cert, _ := w.scepOf(t, challenge); cert != nil {
				t.Errorf("Ward's own authority takes %s", challenge)
			}
		}
		cert := s.ask(t, w, q)
		w.refused(t, "a renewed identity under another UDID", http.StatusForbidden, func() said { return a.under(t, cert, "UDID-9").authenticate(t, "SN9") })
		w.refused(t, "its Idle under another UDID", http.StatusForbidden, func() said { return a.under(t, cert, "UDID-9").report(t, "Idle", "") })
		r := a.under(t, cert, a.udid)
		r.drain(t, r.report(t, "Acknowledged", uuid).command(t))
		a.sameEnrolment(t, cert)
		if second := s.again(t, w, q); second != nil {
			w.rejected(t, "a second certificate for the ticket", func() said { return a.under(t, second, a.udid).report(t, "Idle", "") })
			w.rejected(t, "its Authenticate", func() said { return a.under(t, second, a.udid).authenticate(t, "SN1") })
		}
		if got := w.serials(t, a.id); len(got) != 2 || !foreign(got) {
			t.Errorf("identities %v, want two of the outside authority", got)
		}
	})
}

// renewalQuestion acknowledges what waits until the renewal comes, and returns its command
// and what it has the device ask.
func (a *away) renewalQuestion(t *testing.T) (string, agent.SCEP) {
	t.Helper()
	for c := a.idle(t).command(t); c.UUID != ""; c = a.report(t, "Acknowledged", c.UUID, nil).command(t) {
		if p := a.profile(t, c); p != nil {
			return c.UUID, questionIn(t, p)
		}
	}
	t.Fatal("no renewal came")
	return "", agent.SCEP{}
}

// TestOutsideChallengeAway: without a challenge nobody gets a profile, and the link stays good.
func TestOutsideChallengeAway(t *testing.T) {
	t.Parallel()
	s, d := secondAuthority(t)
	w := start(t, "", s.set)
	in := w.invite(t, ward.Corporate, nil)
	d.away(true)
	if _, _, err := w.Enrolment.Open(w.ctx, in.Token, ""); ward.KindOf(err) != ward.Unavailable {
		t.Errorf("Open() = %v, want unavailable", err)
	}
	d.away(false)
	p := s.phone(t, w, "1")
	if err := p.Enrol(t.Context(), w.InviteURL(in.Token)); err != nil {
		t.Errorf("once the service is back: %v", err)
	}
}

// TestOutsideTicketIsNoChallenge: what stands in a certificate of the outside authority gets
// nobody one of Ward's own.
func TestOutsideTicketIsNoChallenge(t *testing.T) {
	t.Parallel()
	s, _ := secondAuthority(t)
	w := start(t, "", s.set)
	ticket := strings.TrimPrefix(commonName(question(t, w, w.invite(t, ward.Corporate, nil))), "Ward ")
	for _, challenge := range []string{ticket, "Ward " + ticket, enrollment.OutsideChallenge(ticket)} {
		if cert, _ := w.scepOf(t, challenge); cert != nil {
			t.Errorf("Ward's own authority takes %s", challenge)
		}
	}
	for _, err := range []error{
		challenges{}.Redeem(t.Context(), enrollment.OutsideChallenge(ticket), ca.Certificate{}),
		challenges{}.Permit(t.Context(), enrollment.OutsideChallenge(ticket), ca.Attested{}),
	} {
		if ward.KindOf(err) != ward.Forbidden {
			t.Errorf("a ticket as a challenge: %v, want it forbidden", err)
		}
	}
}

// anew runs the server again with another outside authority, or none.
func (w *world) anew(t *testing.T, change func(*Config)) *world {
	t.Helper()
	ahead := w.clock.ahead.Load()
	w.stop()
	var l net.Listener
	eventually(t, "the address is free", func() bool {
		var err error
		l, err = reopen(t, w.config.Listen)
		return err == nil
	})
	c := w.config
	c.CA.OutsideSCEP = OutsideSCEP{}
	change(&c)
	next := run(t, l, c)
	next.clock.ahead.Store(ahead)
	next.people = next.timely(t, nil)
	return next
}

// TestOutsideComesAndGoes: devices with identities of Ward's own get those of an outside
// authority at their renewal, and the other way round, and stay enrolled. What they show
// first is an Authenticate, as some systems do.
func TestOutsideComesAndGoes(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		s, _ := secondAuthority(t)
		roots := func(c *Config) {
			s.set(c)
			c.CA.OutsideSCEP = OutsideSCEP{Roots: c.CA.OutsideSCEP.Roots, Intermediates: c.CA.OutsideSCEP.Intermediates}
		}
		for _, tt := range []struct {
			name          string
			before, after func(*Config)
			foreign       int // of which identity, 0 the first
		}{{"comes", func(*Config) {}, s.set, 1}, {"goes", s.set, roots, 0}} {
			w := start(t, url, tt.before)
			w.people = w.timely(t, nil)
			q := question(t, w, w.invite(t, ward.Corporate, nil))
			a := &away{wire: wire{w, "UDID-" + tt.name, s.ask(t, w, q), sharedKey(t)}}
			enrolWire(t, a.wire, "SN-"+tt.name)
			a.drain(t)
			show := w.show(t, "SN-"+tt.name)
			a.id, a.e = show.Device.ID, show.Enrolment

			w = w.anew(t, tt.after)
			a.w = w
			if got := a.idle(t); got.status != http.StatusOK {
				t.Errorf("%s: a device from before was answered %d %q", tt.name, got.status, got.body)
			}
			a.turn(t, half)
			s.clock.ahead.Store(w.clock.ahead.Load())
			uuid, q := a.renewalQuestion(t)
			if own := strings.HasPrefix(q.URL, w.URL()); own != (tt.foreign == 0) {
				t.Errorf("%s: the renewal is asked for at %s", tt.name, q.URL)
			}
			r := a.under(t, s.askTimely(t, w, q), a.udid)
			for range 2 {
				if got := r.authenticate(t, "SN-"+tt.name); got.status != http.StatusOK {
					t.Fatalf("%s: Authenticate was answered %d %q", tt.name, got.status, got.body)
				}
			}
			r.tokenUpdate(t)
			r.drain(t, r.report(t, "Acknowledged", uuid).command(t))
			if d := w.show(t, "SN-"+tt.name); d.Device.ID != a.id || d.Enrolment.ID != a.e.ID || d.Enrolment.State != ward.EnrolmentActive {
				t.Errorf("%s: the enrolment is %+v, want %s still", tt.name, d.Enrolment, a.e.ID)
			}
			if got := a.idle(t); got.status != http.StatusForbidden {
				t.Errorf("%s: the former identity's Idle was answered %d", tt.name, got.status)
			}
			got := w.serials(t, a.id) // the newest first
			slices.Reverse(got)
			if len(got) != 2 || !foreign(got[tt.foreign:tt.foreign+1]) || foreign(got[1-tt.foreign:2-tt.foreign]) {
				t.Errorf("%s: identities %v", tt.name, got)
			}
			w.stop()
			s.clock.ahead.Store(0)
			if url != "" {
				url = storetest.PostgresURL(t)
			}
		}
	})
}

// TestOutsideNetworks: profiles of networks have the device ask the outside server, in the
// device's name, and Ward issues no challenge for it.
func TestOutsideNetworks(t *testing.T) {
	t.Parallel()
	s := scepServer(t)
	w := start(t, "", func(c *Config) {
		s.set(c)
		c.CA.OutsideSCEP.For, c.CA.OutsideSCEP.Name = []string{"networks"}, "HospitalCA"
	})
	if q := question(t, w, w.invite(t, ward.Corporate, nil)); q.URL != w.URL()+"/scep" {
		t.Errorf("identities are asked for at %s, want Ward's own", q.URL)
	}
	f := &networkFixture{w: w, wire: w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-1")}
	enrolWire(t, f.wire, "SN1")
	f.wire.drain(t)
	show := w.show(t, "SN1")
	raw := []byte(`<plist version="1.0"><dict><key>URL</key><string>{{network.scep_url}}</string><key>Name</key><string>{{network.scep_name}}</string>` +
		`<key>Challenge</key><string>{{network.challenge}}</string><key>CN</key><string>{{device.id}}</string></dict></plist>`)
	var got struct{ URL, Name, Challenge, CN string }
	w.unchanged(t, "a network profile", func() {
		bound, err := w.binder().Bind(t.Context(), show.Device, show.Enrolment, raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := agent.DecodePlist(bound, 1<<20, &got); err != nil {
			t.Fatal(err)
		}
	})
	if got.Name != "HospitalCA" || got.CN != string(show.Device.ID) || got.URL == w.URL()+"/scep" {
		t.Errorf("the profile asks %+v", got)
	}
	cert := s.ask(t, w, agent.SCEP{URL: got.URL, Name: got.Name, Challenge: got.Challenge, Subject: [][][]string{{{"CN", got.CN}}}})
	if cert == nil || cert.Subject.CommonName != string(show.Device.ID) {
		t.Fatalf("the outside server gave %v", cert)
	}
	network := wire{w, "UDID-1", cert, sharedKey(t)}
	w.refused(t, "a network certificate's Idle", http.StatusForbidden, func() said { return network.idle(t) })
	w.refused(t, "its Authenticate", http.StatusForbidden, func() said { return network.authenticate(t, "SN1") })
}

// TestOutsideStatus: the authority's page tells of the outside one, and when it ends.
func TestOutsideStatus(t *testing.T) {
	t.Parallel()
	s, _ := secondAuthority(t)
	w := start(t, "", s.set)
	v, err := authority{w.Server}.Status(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range v.Certificates {
		if c.Name == "outside SCEP for identity" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("status tells of %d certificates of the outside authority, want its root and its issuer: %+v", n, v.Certificates)
	}
	d := wire{w, "UDID-1", s.ask(t, w, question(t, w, w.invite(t, ward.Corporate, nil))), sharedKey(t)}
	enrolWire(t, d, "SN1")
	if v, err = (authority{w.Server}).Status(w.ctx); err != nil || !slices.ContainsFunc(v.Counts, func(c api.CertificateCount) bool { return c.Issuer == ca.Foreign && c.Valid == 1 }) {
		t.Errorf("counts = %+v, %v; want one of the outside authority", v.Counts, err)
	}
	// A client that shows it in TLS is who it is, as by a signed message.
	client := w.mutual(t, d.cert, d.key)
	if got := w.send(t, client, encode(t, map[string]any{"UDID": "UDID-1", "Status": "Idle"}), http.Header{"Content-Type": {commandMIME}}); got.status != http.StatusOK {
		t.Errorf("an Idle by TLS was answered %d", got.status)
	}
}
