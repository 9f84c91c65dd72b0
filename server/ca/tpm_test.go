package ca_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/tpmid/tpmtest"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.step.sm/crypto/tpm"
	"go.step.sm/crypto/tpm/attestation"
	"go.step.sm/crypto/x509util"
)

// TestAttestationAuthority: a client that nobody here wrote gets its attestation key
// certified, and the certificate is good for attesting and for nothing else.
func TestAttestationAuthority(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := newTPMDesk(t, db, ca.TPMOptions{})
		w := newComputer(t, tpmtest.Bare(t))
		o.counter.allow("one", ca.FormatTPM, w.name(t))
		if c, err := o.AttestationRoot(); c != nil || err != nil {
			t.Errorf("AttestationRoot() = %v, %v before it is needed", c, err)
		}
		client, err := attestation.NewClient(o.url + "/tpm/one")
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Attest(t.Context(), w.TPM, w.ek, w.ak)
		if err != nil {
			t.Fatalf("Attest: %v", err)
		}
		if err := w.ak.SetCertificateChain(t.Context(), got); err != nil {
			t.Errorf("the certificate is for another key: %v", err)
		}
		root, err := o.AttestationRoot()
		if err != nil || !root.Equal(got[1]) {
			t.Fatalf("AttestationRoot() = %v, %v", root, err)
		}
		checkAK(t, o, got[0], root, w.name(t))
	})
}

// checkAK checks the certificate of an attestation key.
func checkAK(t *testing.T, o *tpmDesk, ak, root *x509.Certificate, name string) {
	t.Helper()
	names, err := x509util.ParseSubjectAlternativeNames(ak)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]x509util.PermanentIdentifier{{Identifier: name}}, names.PermanentIdentifiers); diff != "" {
		t.Errorf("permanent identifiers mismatch (-want +got):\n%s", diff)
	}
	if h := names.TPMHardwareDetails; !strings.HasPrefix(h.Manufacturer, "id:") || h.Model == "" || h.Version == "" {
		t.Errorf("hardware = %+v", h)
	}
	purpose := []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}}
	if ak.Subject.String() != "" || len(ak.ExtKeyUsage) != 0 || cmp.Diff(purpose, ak.UnknownExtKeyUsage) != "" || ak.IsCA {
		t.Errorf("subject %q, purposes %v %v, CA %v", ak.Subject, ak.ExtKeyUsage, ak.UnknownExtKeyUsage, ak.IsCA)
	}
	if life := ak.NotAfter.Sub(o.clock.now()); life > time.Hour {
		t.Errorf("it lives for %v", life)
	}
	if err := ak.CheckSignatureFrom(root); err != nil {
		t.Error(err)
	}
	ak.UnhandledCriticalExtensions = nil // its names, as above
	if _, err := ak.Verify(x509.VerifyOptions{Roots: o.Pool(), CurrentTime: o.clock.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err == nil {
		t.Error("servers that trust clients' certificates trust it")
	}
	own := x509.NewCertPool()
	own.AddCert(root)
	if _, err := ak.Verify(x509.VerifyOptions{Roots: own, CurrentTime: o.clock.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("it is good for clients where its root is trusted")
	}
	if _, err := o.Check(t.Context(), ak); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Check() = %v, want Forbidden", err)
	}
}

// TestTPMTrust: what vouches for a TPM, and what does not.
func TestTPMTrust(t *testing.T) {
	t.Parallel()
	known, stranger := tpmtest.NewVendor(t), newTPMSigner(t, "Unknown Vendor")
	genuine, bare := newComputer(t, known.TPM(t)), newComputer(t, tpmtest.Bare(t))
	var listed atomic.Bool
	o := newTPMDesk(t, storetest.SQLite(t), ca.TPMOptions{
		Roots:      []*x509.Certificate{known.Root(t), known.Issuer(t)},
		Registered: func(_ context.Context, ek string) (bool, error) { return listed.Load() && ek == bare.name(t), nil },
	})
	o.counter.allow("free", ca.FormatTPM, "inv-free")
	o.counter.allow("bare", ca.FormatTPM, bare.name(t))
	o.counter.allow("apple", ca.FormatApple, "inv-apple")
	o.counter.grants["scep"] = ca.Grant{Invitation: "inv-scep", CommonName: "Ward workstation"}
	mixed, foreign := bare.claim(t), bare.claim(t)
	mixed.Certs = genuine.claim(t).Certs
	foreign.Certs = [][]byte{stranger.sign(t, x509.Certificate{
		NotBefore: o.clock.now(), NotAfter: o.clock.now().Add(time.Hour), UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}},
	}, bare.ek.Public()).Raw}
	for _, c := range []struct {
		name, challenge string
		claim           tpmClaim
		kind            ward.Kind
		want            string
	}{
		{"manufacturer's certificate", "free", genuine.claim(t), "", ""},
		{"named by the challenge", "bare", bare.claim(t), "", ""},
		{"certificate of an unknown manufacturer", "free", foreign, ward.Forbidden, bare.name(t) + " is not registered"},
		{"no certificate", "free", bare.claim(t), ward.Forbidden, bare.name(t) + " is not registered"},
		{"challenge for another TPM", "bare", genuine.claim(t), ward.Forbidden, "for another workstation"},
		{"another TPM's certificate", "free", mixed, ward.Invalid, "another key's"},
		{"challenge for Apple's devices", "apple", genuine.claim(t), ward.Forbidden, "not for a key that a TPM attests"},
		{"challenge for SCEP", "scep", genuine.claim(t), ward.Forbidden, "not for a key that a TPM attests"},
		{"unknown challenge", "none", genuine.claim(t), ward.Forbidden, "not known"},
	} {
		var q tpmQuestion
		err := o.post(t, c.challenge, "attest", c.claim, &q)
		if c.kind != "" {
			refusedTPM(t, c.name, err, c.kind, c.want)
		} else if err != nil || len(q.Credential) == 0 || len(q.Secret) == 0 {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	listed.Store(true)
	var q tpmQuestion
	if err := o.post(t, "free", "attest", bare.claim(t), &q); err != nil {
		t.Errorf("in the asset list: %v", err)
	}
	o.counter.permit = func(by ca.Attested) error {
		return ward.Errorf(ward.Forbidden, "Not this hardware: %s.", by.Serial)
	}
	refusedTPM(t, "not permitted", o.post(t, "bare", "attest", bare.claim(t), nil), ward.Forbidden, "Not this hardware: "+bare.name(t))
	for _, e := range o.logs.All() {
		for _, f := range e.Context {
			if strings.Contains(f.String, "/tpm/free") || strings.Contains(f.String, "/tpm/bare") {
				t.Errorf("the log has the challenge: %v", f)
			}
		}
	}
}

// TestEKCertificates: a manufacturer's certificate counts only now, and only one that was
// made for an endorsement key.
func TestEKCertificates(t *testing.T) {
	t.Parallel()
	w := newComputer(t, tpmtest.Bare(t))
	vendor := newTPMSigner(t, "Vendor")
	o := newTPMDesk(t, storetest.SQLite(t), ca.TPMOptions{Roots: []*x509.Certificate{vendor.cert}})
	o.counter.allow("free", ca.FormatTPM, "inv-free")
	now := o.clock.now()
	ek := []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}}
	names := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: []byte{0x30, 0x02, 0x88, 0x00}}
	for _, c := range []struct {
		name string
		tmpl x509.Certificate
		ok   bool
	}{
		{"as manufacturers make them", x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Hour), UnknownExtKeyUsage: ek, ExtraExtensions: []pkix.Extension{names}}, true},
		{"for something else", x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Hour)}, false},
		{"of a platform", x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Hour), UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 2}}}, false},
		{"of an authority", x509.Certificate{NotBefore: now, NotAfter: now.Add(time.Hour), UnknownExtKeyUsage: ek, IsCA: true, BasicConstraintsValid: true}, false},
		{"expired", x509.Certificate{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour), UnknownExtKeyUsage: ek}, false},
		{"not yet valid", x509.Certificate{NotBefore: now.Add(time.Hour), NotAfter: now.Add(2 * time.Hour), UnknownExtKeyUsage: ek}, false},
		{"with what nobody understands", x509.Certificate{
			NotBefore: now, NotAfter: now.Add(time.Hour), UnknownExtKeyUsage: ek,
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}},
		}, false},
	} {
		in := w.claim(t)
		in.Certs = [][]byte{vendor.sign(t, c.tmpl, w.ek.Public()).Raw}
		var q tpmQuestion
		err := o.post(t, "free", "attest", in, &q)
		if !c.ok {
			refusedTPM(t, c.name, err, ward.Forbidden, "Nothing vouches")
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestTPMSecret: the answer counts once, soon, right, and under its own challenge.
func TestTPMSecret(t *testing.T) {
	t.Parallel()
	w := newComputer(t, tpmtest.Bare(t))
	o := newTPMDesk(t, storetest.SQLite(t), ca.TPMOptions{})
	for _, c := range []string{"one", "two"} {
		o.counter.allow(c, ca.FormatTPM, w.name(t))
	}
	ask := func() []byte {
		t.Helper()
		var q tpmQuestion
		if err := o.post(t, "one", "attest", w.claim(t), &q); err != nil {
			t.Fatalf("attest: %v", err)
		}
		return w.answer(t, q)
	}
	var got tpmChain
	refusedTPM(t, "nothing asked", o.post(t, "one", "secret", tpmSecret{[]byte("x")}, &got), ward.Forbidden, "Begin again")

	right := ask()
	refusedTPM(t, "under another challenge", o.post(t, "two", "secret", tpmSecret{right}, &got), ward.Forbidden, "Begin again")
	if err := o.post(t, "one", "secret", tpmSecret{right}, &got); err != nil || len(got.Chain) != 2 {
		t.Errorf("right answer: %v", err)
	}
	refusedTPM(t, "replayed", o.post(t, "one", "secret", tpmSecret{right}, &got), ward.Forbidden, "Begin again")

	right = ask()
	refusedTPM(t, "wrong", o.post(t, "one", "secret", tpmSecret{append([]byte{^right[0]}, right[1:]...)}, &got), ward.Forbidden, "wrong")
	refusedTPM(t, "right after wrong", o.post(t, "one", "secret", tpmSecret{right}, &got), ward.Forbidden, "Begin again")

	first, second := ask(), ask()
	refusedTPM(t, "of the question before", o.post(t, "one", "secret", tpmSecret{first}, &got), ward.Forbidden, "wrong")
	refusedTPM(t, "after that", o.post(t, "one", "secret", tpmSecret{second}, &got), ward.Forbidden, "Begin again")

	right = ask()
	o.clock.turn(5 * time.Minute)
	refusedTPM(t, "late", o.post(t, "one", "secret", tpmSecret{right}, &got), ward.Forbidden, "too late")

	right = ask()
	o.counter.allow("one", ca.FormatTPM, "ek:00")
	refusedTPM(t, "challenge given to another", o.post(t, "one", "secret", tpmSecret{right}, &got), ward.Forbidden, "another workstation")
	o.counter.allow("one", ca.FormatTPM, w.name(t))
	right = ask()
	o.counter.permit = func(ca.Attested) error { return ward.Errorf(ward.Forbidden, "Not any more.") }
	refusedTPM(t, "no longer permitted", o.post(t, "one", "secret", tpmSecret{right}, &got), ward.Forbidden, "Not any more")
	refusedTPM(t, "no JSON", o.post(t, "one", "secret", "x", &got), ward.Invalid, "secret")
	refusedTPM(t, "empty", o.post(t, "one", "secret", tpmSecret{}, &got), ward.Invalid, "secret")
}

// TestAKElsewhere: an attestation key of another TPM, or of none, is not certified.
func TestAKElsewhere(t *testing.T) {
	t.Parallel()
	w, other := newComputer(t, tpmtest.Bare(t)), newComputer(t, tpmtest.Bare(t))
	o := newTPMDesk(t, storetest.SQLite(t), ca.TPMOptions{})
	o.counter.allow("one", ca.FormatTPM, w.name(t))
	mixed := w.claim(t)
	mixed.Params = other.claim(t).Params
	var q tpmQuestion
	if err := o.post(t, "one", "attest", mixed, &q); err != nil {
		t.Fatalf("attest: %v", err)
	}
	for name, c := range map[string]*computer{"the TPM that was named": w, "the TPM that has the key": other} {
		if s, err := c.ak.ActivateCredential(t.Context(), tpm.EncryptedCredential{Credential: q.Credential, Secret: q.Secret}); err == nil {
			t.Errorf("%s read the secret %x", name, s)
		}
	}
	key, err := w.AttestKey(t.Context(), "ak", "app", tpm.AttestKeyConfig{Algorithm: "RSA", Size: 2048})
	if err != nil {
		t.Fatal(err)
	}
	app, err := key.CertificationParameters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(p *tpmParams)
	}{
		{"a key that signs anything", func(p *tpmParams) { p.Public = app.Public }},
		{"a statement that is no creation", func(p *tpmParams) {
			p.CreateAttestation, p.CreateSignature = app.CreateAttestation, app.CreateSignature
		}},
		{"another key's creation", func(p *tpmParams) { p.CreateAttestation = other.claim(t).Params.CreateAttestation }},
		{"another creation's data", func(p *tpmParams) { p.CreateData = p.CreateData[:len(p.CreateData)-1] }},
		{"a signature that is wrong", func(p *tpmParams) { p.CreateSignature[len(p.CreateSignature)-1] ^= 1 }},
		{"a signature of another sort", func(p *tpmParams) { p.CreateSignature = []byte{0, 0x18, 0, 0x0b, 0, 1, 1, 0, 1, 1} }}, // ECDSA
		{"no signature", func(p *tpmParams) { p.CreateSignature = nil }},
		{"no key", func(p *tpmParams) { p.Public = nil }},
		{"no creation", func(p *tpmParams) { p.CreateAttestation = nil }},
		{"no data", func(p *tpmParams) { p.CreateData = nil }},
	} {
		in := w.claim(t)
		c.change(&in.Params)
		refusedTPM(t, c.name, o.post(t, "one", "attest", in, &q), ward.Invalid, "attestation key")
	}
	in := w.claim(t)
	in.EK = in.EK[:20]
	refusedTPM(t, "half a key", o.post(t, "one", "attest", in, &q), ward.Invalid, "endorsement key")
	refusedTPM(t, "no claim", o.post(t, "one", "attest", "x", &q), ward.Invalid, "JSON")
	in.EK = bytes.Repeat([]byte{1}, 65<<10)
	refusedTPM(t, "too large", o.post(t, "one", "attest", in, &q), ward.Invalid, "too large")
}
