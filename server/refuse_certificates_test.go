package server

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/lost"
	"golang.org/x/crypto/acme"
)

// TestRefusedCertificates: no challenge is good twice, for another protocol or for a weak
// key, and a refusal spends none.
func TestRefusedCertificates(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		f := newNetworkFixture(t, url)
		w, id := f.w, string(f.id)
		w.publishExample(t)
		token := func() string {
			s, err := w.Credentials.Issue(t.Context(), credential.Grant{Device: f.id, Enrolment: w.show(t, "SN1").Enrolment.ID, App: messenger})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		in := w.invite(t, ward.Corporate, nil)
		spent, open := w.challenge(t, in.Token), f.challenge(t)
		used := f.challenge(t)
		scepWith := func(challenge string, key *rsa.PrivateKey) func() string {
			return func() string { return w.bySCEP(t, w.people, challenge, key) }
		}
		tokenWith := func(token string, key crypto.Signer) func() string {
			return func() string { return w.byToken(t, w.people, token, key) }
		}
		acmeWith := func(challenge string) func() string {
			return func() string { return w.byACME(t, w.people, challenge) }
		}
		for _, challenge := range []string{spent, used} {
			if got := scepWith(challenge, sharedKey(t))(); got != "issued" {
				t.Fatalf("a fresh challenge: %s", got)
			}
		}
		good, weak := sharedKey(t), weakKey(t)
		w.repels(t, "an invitation's challenge again", string(in.Device), "badRequest (2)", []string{"scep unauthorized"}, scepWith(spent, good))
		w.repels(t, "the same by ACME", string(in.Device), "unauthorized", []string{"acme unauthorized"}, acmeWith(spent))
		w.repels(t, "the same as an app's token", string(in.Device), "403", []string{"app token unauthorized"}, tokenWith(spent, ecdsaKey(t)))
		w.repels(t, "a network's challenge again", id, "badRequest (2)", []string{"scep unauthorized"}, scepWith(used, good))
		w.repels(t, "an open one by ACME", id, "unauthorized", []string{"acme unauthorized"}, acmeWith(open))
		w.repels(t, "an open one as an app's token", id, "403", []string{"app token unauthorized"}, tokenWith(open, ecdsaKey(t)))
		w.repels(t, "an open one for RSA-1024", id, "badRequest (2)", []string{"scep badCSR"}, scepWith(open, weak))
		secret := token()
		w.repels(t, "a token by SCEP", id, "badRequest (2)", []string{"scep unauthorized"}, scepWith(secret, good))
		w.repels(t, "a token by ACME", id, "unauthorized", []string{"acme unauthorized"}, acmeWith(secret))
		w.repels(t, "a token for RSA-1024", id, "400", []string{"app token badCSR"}, tokenWith(secret, weak))
		w.repels(t, "what nobody made, by SCEP", id, "badRequest (2)", nil, scepWith("network-aaaa", good))
		w.repels(t, "what nobody made, by ACME", id, "unauthorized", nil, acmeWith("aaaa"))
		w.repels(t, "what nobody made, as a token", id, "403", nil, tokenWith("aaaa", ecdsaKey(t)))
		if got := scepWith(open, good)() + " " + tokenWith(secret, ecdsaKey(t))(); got != "issued 200" {
			t.Errorf("after all refusals the challenge and the token: %s", got)
		}
		w.repels(t, "a used token", id, "403", []string{"app token unauthorized"}, tokenWith(secret, ecdsaKey(t)))

		late, old := f.challenge(t), token()
		if _, err := w.Lost.Report(w.ctx, lost.Report{Devices: []ward.DeviceID{f.id}}); err != nil {
			t.Fatal(err)
		}
		w.repels(t, "a challenge of a lost device", id, "badRequest (2)", []string{"scep unauthorized"}, scepWith(late, good))
		w.repels(t, "a token of a lost device", id, "403", []string{"app token unauthorized"}, tokenWith(old, ecdsaKey(t)))
	})
}

// TestRefusedRetired: the certificates of a device that was retired are good for nothing, and
// neither is what it was sent to get others.
func TestRefusedRetired(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		f := newNetworkFixture(t, url)
		w, id := f.w, string(f.id)
		app := w.certify(t, f.id, messenger)
		e := w.show(t, "SN1").Enrolment.ID
		renewal, err := w.challenges().Issue(t.Context(), credential.ChallengeGrant{
			Purpose: credential.ForIdentity, Device: f.id, Enrolment: e, RenewedFrom: f.wire.cert.SerialNumber.String(),
		}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (authority{w.Server}).Revoke(w.ctx, api.CertificateRevocation{Serial: f.wire.cert.SerialNumber.String(), Reason: "ceased", Retire: true, Why: "crushed by a bed"}); err != nil {
			t.Fatal(err)
		}
		w.repels(t, "its identity at check-in", id, "403", []string{"certificate revoked"}, func() string { return fmt.Sprint(f.wire.idle(t).status) })
		w.repels(t, "its identity's renewal", id, "badRequest (2)", []string{"scep unauthorized"}, func() string { return w.bySCEP(t, w.people, renewal[0], sharedKey(t)) })
		door := w.door(t, app)
		w.repels(t, "its app's certificate", id, "403", []string{"certificate revoked"}, func() string {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL()+"/app/v1/me", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := door.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := res.Body.Close(); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(res.StatusCode)
		})
		if got := door.ask(t); got != "unenrolled" && got != "revoked" {
			t.Errorf("/authorize says %q", got)
		}
		if err := w.Authorizer.Flush(w.ctx); err != nil {
			t.Fatal(err)
		}
		if n := w.audited(t, "certificate.refused"); n != 4 {
			t.Errorf("%d refusals in the audit log, want 4", n)
		}
	})
}

// TestRefusedAttestations: hardware that attests what is not so gets nothing, and who it is
// for can read of it.
func TestRefusedAttestations(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		f := newFoundry(t)
		w := start(t, url, f.rule(enrollment.AttestationRequired))
		other := sha256.Sum256([]byte("another token"))
		for i, tt := range []struct {
			name string
			lie  func(*virtual.Claims)
			want string
		}{
			{"another device", func(c *virtual.Claims) { c.Serial = "C39OTHER0001" }, "acme rejectedIdentifier"},
			{"a nonce of another order", func(c *virtual.Claims) { c.Nonce = other[:] }, "acme badAttestationStatement"},
			{"a chain that has expired", func(c *virtual.Claims) { c.NotAfter = time.Now().Add(-time.Hour) }, "acme badAttestationStatement"},
			{"another key", func(c *virtual.Claims) { c.Key = ecdsaKey(t).Public() }, "acme unauthorized"},
		} {
			serial := fmt.Sprintf("C39LIAR%05d", i)
			e := f.Enclave()
			e.Lie(tt.lie)
			in := w.invite(t, ward.Corporate, named(serial))
			w.barred(t, tt.name, w.attesting(t, f, serial, func(o *virtual.Options) { o.Enclave = e }), in)
			if got := w.refusals(t, string(in.Device)); !slices.Equal(got, []string{tt.want}) {
				t.Errorf("%s: audited %q, want %q", tt.name, got, tt.want)
			}
		}
	})
}

// attestedChallenge opens an invitation and takes the challenge out of its directory.
func (w *world) attestedChallenge(t *testing.T, in enrollment.Invited) string {
	t.Helper()
	_, profile, err := w.Enrolment.Open(w.ctx, in.Token, enrollment.Attested)
	if err != nil {
		t.Fatal(err)
	}
	m := directory.FindSubmatch(profile)
	if m == nil {
		t.Fatalf("the profile has no directory: %s", profile)
	}
	return string(m[1])
}

// TestThousandOrders: of a thousand orders at once a handful is taken, the others are told
// that they are too many, which is written once, and the device still enrols.
func TestThousandOrders(t *testing.T) {
	t.Parallel()
	f := newFoundry(t)
	w := start(t, "", f.rule(enrollment.AttestationRequired))
	in := w.invite(t, ward.Corporate, named(adas))
	challenge := w.attestedChallenge(t, in)
	c := w.acmeClient(t, w.people, challenge)
	if _, err := c.Register(t.Context(), new(acme.Account), acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	outcomes := map[string]int{}
	permits := make(chan struct{}, 50)
	began := time.Now()
	for range 1000 {
		wg.Go(func() {
			permits <- struct{}{}
			defer func() { <-permits }()
			_, err := c.AuthorizeOrder(t.Context(), []acme.AuthzID{{Type: "permanent-identifier", Value: adas}})
			mu.Lock()
			defer mu.Unlock()
			outcomes[acmeProblem(err)]++
		})
	}
	wg.Wait()
	t.Logf("a thousand orders in %s: %v", time.Since(began), outcomes)
	if outcomes["<nil>"] == 0 || outcomes["<nil>"] > 5 || outcomes["<nil>"]+outcomes["rateLimited"] != 1000 {
		t.Errorf("outcomes = %v, want 1 to 5 orders, all others rateLimited", outcomes)
	}
	if got := w.refusals(t, string(in.Device)); !slices.Equal(got, []string{"acme rateLimited"}) || w.issued(t) != 0 {
		t.Errorf("audited %q and %d certificates, want one refusal and none", got, w.issued(t))
	}
	w.clock.forward(16 * time.Minute) // the orders have ended
	p := w.attesting(t, f, adas, func(o *virtual.Options) { o.Clock = w.clock.now })
	if err := p.Enrol(t.Context(), w.profileLink(in)); err != nil {
		t.Errorf("the device afterwards: %v", err)
	}
}

// TestHugeRequests: what no client sends is not read to its end.
func TestHugeRequests(t *testing.T) {
	t.Parallel()
	f := newFoundry(t)
	w := start(t, "", f.rule(enrollment.AttestationPreferred))
	challenge := w.attestedChallenge(t, w.invite(t, ward.Corporate, named(adas)))
	body := bytes.Repeat([]byte("A"), 5<<20)
	before := w.audited(t, "certificate.refused")
	for path, want := range map[string]int{
		"/scep?operation=PKIOperation":              http.StatusRequestEntityTooLarge,
		"/acme/" + challenge + "/apple/new-order":   http.StatusRequestEntityTooLarge,
		"/acme/" + challenge + "/apple/new-account": http.StatusRequestEntityTooLarge,
		"/app/v1/certificate":                       http.StatusBadRequest,
		"/ca/ocsp":                                  http.StatusRequestEntityTooLarge,
	} {
		if got, b := sends(t, w.people, w.URL()+path, "application/jose+json", body); got != want {
			t.Errorf("%s: %d %.100s, want %d", path, got, b, want)
		}
	}
	if n := w.audited(t, "certificate.refused"); n != before || w.issued(t) != 0 {
		t.Errorf("%d refusals audited, %d certificates", n-before, w.issued(t))
	}
}

// TestClockSkew: a server whose clock is a year ahead or behind takes nothing for valid that
// is not so by its clock.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	year := 366 * 24 * time.Hour
	for name, skew := range map[string]time.Duration{"ahead": year, "behind": -year} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFoundry(t)
			w := start(t, "", f.rule(enrollment.AttestationPreferred))
			one := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-1")
			enrolWire(t, one, "SN1")
			id := w.show(t, "SN1").Device.ID
			in := w.invite(t, ward.Corporate, named(adas))
			plain := w.challenge(t, w.invite(t, ward.Corporate, nil).Token)
			w.publishExample(t)
			token, err := w.Credentials.Issue(t.Context(), credential.Grant{Device: id, Enrolment: w.show(t, "SN1").Enrolment.ID, App: messenger})
			if err != nil {
				t.Fatal(err)
			}
			app := w.certify(t, id, messenger)
			client := w.anyhow(t)
			w.clock.forward(skew)
			before := w.issued(t)
			if _, err := w.Authority.Check(t.Context(), app.Leaf); !errors.Is(err, ca.ErrOutsideTime) {
				t.Errorf("Check() = %v, want %v", err, ca.ErrOutsideTime)
			}
			if skew > 0 {
				if got := w.bySCEP(t, client, plain, sharedKey(t)) + " " + w.byToken(t, client, token, ecdsaKey(t)); got != "badRequest (2) 403" {
					t.Errorf("an old challenge and an old token: %s", got)
				}
				in = w.invite(t, ward.Corporate, named(graces)) // the other is over
			}
			serial := map[bool]string{true: graces, false: adas}[skew > 0]
			c := w.acmeClient(t, client, w.attestedChallenge(t, in))
			if got := attestsNow(t, c, f, serial); got != "badAttestationStatement" {
				t.Errorf("an attestation made now: %s, want badAttestationStatement", got)
			}
			if got := w.refusals(t, string(in.Device)); !slices.Equal(got, []string{"acme badAttestationStatement"}) {
				t.Errorf("audited %q", got)
			}
			if n := w.issued(t); n != before {
				t.Errorf("%d certificates were issued", n-before)
			}
		})
	}
}
