package server

import (
	"crypto/ecdsa"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/ca"
)

const (
	adas   = "C39ADA0001"
	graces = "C39GRACE02"
)

// foundry makes the secure elements of a test's phones.
type foundry struct {
	*virtual.AttestationRoot
	file string // its certificate
}

func newFoundry(t *testing.T) foundry {
	t.Helper()
	r, err := virtual.NewAttestationRoot()
	if err != nil {
		t.Fatal(err)
	}
	f := foundry{r, filepath.Join(t.TempDir(), "attestation.pem")}
	if err := os.WriteFile(f.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// rule is the configuration of a server that believes the foundry.
func (f foundry) rule(a enrollment.Attestation) func(*Config) {
	return func(c *Config) { c.Enrolment = Enrolment{Attestation: a, AttestationRoots: []string{f.file}} }
}

// attesting returns a phone with a secure element by the foundry.
func (w *world) attesting(t *testing.T, f foundry, serial string, change func(*virtual.Options)) *virtual.Phone {
	t.Helper()
	return w.phone(t, serial, func(o *virtual.Options) {
		o.Serial, o.Enclave = serial, f.Enclave()
		if change != nil {
			change(o)
		}
	})
}

func named(serial string) func(*enrollment.Request) {
	return func(r *enrollment.Request) { r.Serial = serial }
}

// profileLink is where a phone's browser gets the profile, beyond the page.
func (w *world) profileLink(in enrollment.Invited) string {
	return w.InviteURL(in.Token) + "?download=1"
}

// barred fails unless the server refuses a phone's enrolment, certifies nothing and has no
// device for it.
func (w *world) barred(t *testing.T, what string, p *virtual.Phone, in enrollment.Invited) {
	t.Helper()
	before := len(w.certificates(t, "kind=device"))
	if err := p.Enrol(t.Context(), w.profileLink(in)); err == nil {
		t.Errorf("%s enrolled", what)
	}
	if got := len(w.certificates(t, "kind=device")); got != before {
		t.Errorf("%s was certified", what)
	}
	if p.Enrolled() {
		t.Errorf("%s believes that it is enrolled", what)
	}
}

// TestAttestedEnrolment: phone and Mac prove by their secure elements who they are, and are
// managed by keys that can't leave them.
func TestAttestedEnrolment(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		f := newFoundry(t)
		w := start(t, url, f.rule(enrollment.AttestationRequired))
		phone := w.attesting(t, f, adas, nil)
		mac := w.attesting(t, f, "FVFMAC00001X", func(o *virtual.Options) { o.Platform, o.UDID = ward.MacOS, "5A3C2C32-9D2F-5C59-A5C5-3B4F5D8E1F00" })
		for _, tt := range []struct {
			p        *virtual.Phone
			platform ward.Platform
		}{{phone, ward.IOS}, {mac, ward.MacOS}} {
			in := w.invite(t, ward.Corporate, func(r *enrollment.Request) { r.Serial, r.Platform = tt.p.Serial(), tt.platform })
			if err := tt.p.Enrol(t.Context(), w.profileLink(in)); err != nil {
				t.Fatalf("enrol %s: %v", tt.p.Serial(), err)
			}
			d := w.show(t, tt.p.Serial())
			if d.Device.State != ward.Managed || d.Device.ID != in.Device {
				t.Errorf("device %s is %s, want %s managed", d.Device.ID, d.Device.State, in.Device)
			}
			id, err := tt.p.ManagementIdentity()
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := id.PrivateKey.(*ecdsa.PrivateKey); ok {
				t.Error("the phone gives its key away")
			}
			all := w.certificates(t, "device="+string(d.Device.ID))
			if len(all) != 1 || all[0].Attestation == nil || all[0].Attestation.Serial != tt.p.Serial() || all[0].Attestation.By != ca.FormatApple || !all[0].Manages {
				t.Errorf("certificates = %+v, want the one that is attested", all)
			}
			entries, err := w.Audit.List(w.ctx, audit.Filter{Action: "device.enrolled", Subject: string(d.Device.ID)})
			if err != nil || len(entries) != 1 || entries[0].Detail["attested"] != ca.FormatApple {
				t.Errorf("audit = %+v, %v; want it to say that the key was attested", entries, err)
			}
			if err := tt.p.CheckIn(t.Context()); err != nil {
				t.Errorf("the phone checks in: %v", err)
			}
		}
	})
}

// TestAttestedRefusals: who is not the device that an invitation names gets no certificate.
func TestAttestedRefusals(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		f := newFoundry(t)
		w := start(t, url, f.rule(enrollment.AttestationRequired))
		in := w.invite(t, ward.Corporate, named(adas))
		w.barred(t, "another phone", w.attesting(t, f, graces, nil), in)
		w.barred(t, "a phone of an unknown maker", w.attesting(t, newFoundry(t), adas, nil), in)
		w.barred(t, "a phone that attests nothing", w.attesting(t, f, adas, func(o *virtual.Options) { o.Model = "iPad7,5" }), in)
		w.barred(t, "a phone that nobody named", w.attesting(t, f, graces, nil), w.invite(t, ward.Corporate, nil))

		phone := w.attesting(t, f, adas, nil)
		if err := phone.Enrol(t.Context(), w.profileLink(in)); err != nil {
			t.Fatalf("after all refusals the device itself: %v", err)
		}
		twin := w.attesting(t, f, adas, func(o *virtual.Options) { o.UDID = "00008120-TWIN" })
		w.barred(t, "a second phone with the serial number of an enrolled one", twin, w.invite(t, ward.Corporate, nil))
		if _, err := w.Enrolment.Create(w.ctx, enrollment.Request{Name: "Bob", Ownership: ward.Corporate, Serial: adas}); ward.KindOf(err) != ward.Conflict {
			t.Errorf("an invitation for an enrolled serial number: %v, want a conflict", err)
		}
		back := w.invite(t, ward.Corporate, nil)
		if err := phone.RemoveManagement(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := phone.Enrol(t.Context(), w.profileLink(back)); err != nil {
			t.Errorf("a phone of the list that comes back: %v", err)
		}
	})
}

// TestImpostor: a phone that got its identity by the attestation of another is refused when
// it says who it is, which is recorded and changes nothing else.
func TestImpostor(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		f := newFoundry(t)
		w := start(t, url, f.rule(enrollment.AttestationRequired))
		for _, tt := range []struct {
			name, serial string
			lie          func(*virtual.Claims)
		}{
			{"the serial number of another", graces, func(c *virtual.Claims) { c.Serial = adas }},
			{"the UDID of another", adas, func(c *virtual.Claims) { c.UDID = "00008120-OTHER" }},
		} {
			e := f.Enclave()
			e.Lie(tt.lie)
			p := w.attesting(t, f, tt.serial, func(o *virtual.Options) { o.Enclave = e })
			in := w.invite(t, ward.Corporate, named(adas))
			before := w.audited(t, "enrolment.refused")
			if err := p.Enrol(t.Context(), w.profileLink(in)); err == nil || !strings.Contains(err.Error(), "authenticate") {
				t.Errorf("%s: %v, want it refused as it authenticates", tt.name, err)
			}
			if got := w.audited(t, "enrolment.refused"); got != before+1 {
				t.Errorf("%s: %d entries in the audit log, want %d", tt.name, got, before+1)
			}
			if d, err := w.fleet.Device(t.Context(), in.Device); err != nil || d.State != ward.Invited {
				t.Errorf("%s: device %+v, %v; want it as it was invited", tt.name, d, err)
			}
			if got, err := w.Enrolment.Invitation(t.Context(), in.ID); err != nil || !got.Used.IsZero() {
				t.Errorf("%s: invitation used at %s, %v; want it unused", tt.name, got.Used, err)
			}
		}
		if n := w.logs.FilterMessage("a device claims to be another one than its hardware proves").Len(); n != 2 {
			t.Errorf("%d lines in the log, want 2", n)
		}
	})
}

// again runs the server anew, on its data, with another rule.
func (w *world) again(t *testing.T, f foundry, a enrollment.Attestation) *world {
	t.Helper()
	w.stop()
	var l net.Listener
	eventually(t, "the address is free", func() bool {
		var err error
		l, err = reopen(t, w.config.Listen)
		return err == nil
	})
	c := w.config
	f.rule(a)(&c)
	return run(t, l, c)
}

var directory = regexp.MustCompile(`/acme/([a-z2-7]+)/apple/directory`)

// TestRequiredRefusesSCEP: where attestation is required, no profile gets anything by SCEP,
// also not one from before, and what SCEP gave does not enrol any more.
func TestRequiredRefusesSCEP(t *testing.T) {
	t.Parallel()
	f := newFoundry(t)
	w := start(t, "", f.rule(enrollment.AttestationPreferred))
	open, taken := w.invite(t, ward.Corporate, nil), w.invite(t, ward.Corporate, nil)
	challenge := w.challenge(t, open.Token)
	early := w.identity(t, taken.Token, "UDID-1")
	managed := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-2")
	enrolWire(t, managed, "SN2")

	w = w.again(t, f, enrollment.AttestationRequired)
	early.w, managed.w = w, w
	w.repels(t, "a challenge from before", string(open.Device), "badRequest (2)", []string{"scep unauthorized"}, func() string {
		return w.bySCEP(t, w.people, challenge, sharedKey(t))
	})
	w.refused(t, "an identity by SCEP from before", http.StatusForbidden, func() said { return early.authenticate(t, "SN1") })
	if got := managed.idle(t); got.status != http.StatusOK {
		t.Errorf("a device that is managed by SCEP was answered %d, want 200: the rule is for who enrols", got.status)
	}
	_, profile, err := w.Enrolment.Open(w.ctx, open.Token, enrollment.SCEP)
	if err != nil {
		t.Fatal(err)
	}
	m := directory.FindSubmatch(profile)
	if m == nil {
		t.Fatalf("the profile has no directory: %s", profile)
	}
	w.repels(t, "an attested challenge by SCEP", string(open.Device), "badRequest (2)", []string{"scep unauthorized"}, func() string {
		return w.bySCEP(t, w.people, string(m[1]), sharedKey(t))
	})
	if strings.Contains(string(profile), "com.apple.security.scep") {
		t.Error("the profile has a payload for SCEP")
	}
}

// TestPreferred: who can attest does, and the invitation is theirs from then on; who can't
// takes the other profile.
func TestPreferred(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		f := newFoundry(t)
		w := start(t, url, f.rule(enrollment.AttestationPreferred))
		in := w.invite(t, ward.Corporate, nil)
		first := w.attesting(t, f, adas, nil)
		if err := first.Enrol(t.Context(), w.profileLink(in)); err != nil {
			t.Fatalf("a phone that attests: %v", err)
		}
		got, err := w.Enrolment.Invitation(t.Context(), in.ID)
		if err != nil || got.Serial != adas || got.Identity != enrollment.Attested {
			t.Errorf("invitation = %+v, %v; want it bound to %s", got, err, adas)
		}

		old := w.attesting(t, f, "DMPOLD000001", func(o *virtual.Options) { o.Model, o.OSVersion = "iPad7,5", "17.7" })
		other := w.invite(t, ward.Corporate, nil)
		w.barred(t, "a tablet that can't attest", old, other)
		if err := old.Enrol(t.Context(), w.profileLink(other)+"&identity=scep"); err != nil {
			t.Errorf("a tablet that can't attest, by the other profile: %v", err)
		}
		before := w.attesting(t, f, "DMPOLD000002", func(o *virtual.Options) { o.Model, o.OSVersion = "iPhone9,1", "15.8" })
		if err := before.Enrol(t.Context(), w.profileLink(w.invite(t, ward.Corporate, nil))); err != nil {
			t.Errorf("a phone before ACME: %v", err)
		}
		for serial, want := range map[string]bool{adas: true, old.Serial(): false, before.Serial(): false} {
			d := w.show(t, serial)
			all := w.certificates(t, "device="+string(d.Device.ID))
			if attested := slices.ContainsFunc(all, func(c api.IssuedCertificate) bool { return c.Attested }); attested != want {
				t.Errorf("%s: attested %v, want %v", serial, attested, want)
			}
		}
	})
}

// TestInvitationsOfATable: each row of a table may name the device that it is for.
func TestInvitationsOfATable(t *testing.T) {
	t.Parallel()
	f := newFoundry(t)
	w := start(t, "", f.rule(enrollment.AttestationRequired))
	rs, err := enrollment.ParseStaff(strings.NewReader("name,ownership,serial\nAda,corporate," + adas + "\nGrace,corporate," + graces + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := w.Enrolment.CreateMany(w.ctx, rs)
	if err != nil {
		t.Fatal(err)
	}
	grace := w.attesting(t, f, graces, nil)
	w.barred(t, "Grace's phone with Ada's link", grace, made[0])
	if err := grace.Enrol(t.Context(), w.profileLink(made[1])); err != nil {
		t.Errorf("Grace's phone with Grace's link: %v", err)
	}
}
