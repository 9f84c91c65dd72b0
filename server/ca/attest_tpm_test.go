package ca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/legacy/tpm2"
	stepacme "github.com/smallstep/certificates/acme"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.step.sm/crypto/jose"
)

// softTPM makes the statements of a TPM with keys in memory.
type softTPM struct {
	ak   *rsa.PrivateKey
	cert *x509.Certificate // of the attestation key
}

// akNames makes the names in an attestation key's certificate; identifiers may be none.
func akNames(t *testing.T, identifiers ...string) pkix.Extension {
	t.Helper()
	der := func(v any, params string) []byte {
		b, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var names []asn1.RawValue
	for _, id := range identifiers {
		value := der(struct {
			ID asn1.ObjectIdentifier
			V  asn1.RawValue
		}{
			asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 3},
			asn1.RawValue{FullBytes: der(struct {
				S string `asn1:"utf8"`
			}{id}, "explicit,tag:0")},
		}, "tag:0")
		names = append(names, asn1.RawValue{FullBytes: value})
	}
	tpm := pkix.RDNSequence{{
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 1}, Value: "id:57415244"},
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 2}, Value: "soft"},
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 3}, Value: "id:1"},
	}}
	names = append(names, asn1.RawValue{FullBytes: der(asn1.RawValue{Class: 2, Tag: 4, IsCompound: true, Bytes: der(tpm, "")}, "")})
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: der(names, "")}
}

func newSoftTPM(t *testing.T, hw *hardware, now time.Time, edit func(*x509.Certificate), identifiers ...string) *softTPM {
	t.Helper()
	s := &softTPM{ak: rsaKey()}
	tmpl := &x509.Certificate{
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}}, ExtraExtensions: []pkix.Extension{akNames(t, identifiers...)},
	}
	if edit != nil {
		edit(tmpl)
	}
	s.cert = issueBy(t, tmpl, hw.between, s.ak.Public(), hw.betweenKey)
	return s
}

// statement is what the TPM says of a key for an account's answer to a token.
func (s *softTPM) statement(t *testing.T, hw *hardware, key *ecdsa.PublicKey, token string, account crypto.PublicKey, edit func(*tpm2.Public, *tpm2.AttestationData)) map[string]any {
	t.Helper()
	authorization, err := stepacme.KeyAuthorization(token, &jose.JSONWebKey{Key: account})
	if err != nil {
		t.Fatal(err)
	}
	extra := sha256.Sum256([]byte(authorization))
	public := tpm2.Public{
		Type: tpm2.AlgECC, NameAlg: tpm2.AlgSHA256,
		Attributes: tpm2.FlagFixedTPM | tpm2.FlagFixedParent | tpm2.FlagSensitiveDataOrigin | tpm2.FlagUserWithAuth | tpm2.FlagSign,
		ECCParameters: &tpm2.ECCParams{
			Sign: &tpm2.SigScheme{Alg: tpm2.AlgECDSA, Hash: tpm2.AlgSHA256}, CurveID: tpm2.CurveNISTP256,
			Point: tpm2.ECPoint{XRaw: key.X.FillBytes(make([]byte, 32)), YRaw: key.Y.FillBytes(make([]byte, 32))}, //nolint:staticcheck // a TPM has points
		},
	}
	info := tpm2.AttestationData{Magic: 0xff544347, Type: tpm2.TagAttestCertify, ExtraData: extra[:]}
	if edit != nil {
		edit(&public, &info)
	}
	name, err := public.Name()
	if err != nil {
		t.Fatal(err)
	}
	info.QualifiedSigner, info.AttestedCertifyInfo = name, &tpm2.CertifyInfo{Name: name, QualifiedName: name}
	area, err := public.Encode()
	if err != nil {
		t.Fatal(err)
	}
	certInfo, err := info.Encode()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(certInfo)
	raw, err := rsa.SignPKCS1v15(rand.Reader, s.ak, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	sig, err := (&tpm2.Signature{Alg: tpm2.AlgRSASSA, RSA: &tpm2.SignatureRSA{HashAlg: tpm2.AlgSHA256, Signature: raw}}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"ver": "2.0", "alg": -257, "x5c": [][]byte{s.cert.Raw, hw.between.Raw}, "sig": sig, "certInfo": certInfo, "pubArea": area,
	}
}

// TestACMETPM: a key that a TPM made and keeps, named by the permanent identifier of its
// attestation key; and everything that must not pass for one.
func TestACMETPM(t *testing.T) {
	t.Parallel()
	var roots *hardware
	f := newACME(t, storetest.SQLite(t), func(o *ca.Options) {
		roots = newHardware(t, o.Now())
		o.TPMRoots = []*x509.Certificate{roots.root}
	})
	now := f.clock.now()
	stranger := ecKey(t, elliptic.P256())
	tests := []struct {
		name        string
		identifiers []string
		by          *hardware
		cert        func(*x509.Certificate)
		says        func(*tpm2.Public, *tpm2.AttestationData)
		account     crypto.PublicKey
		edit        func(map[string]any)
		want        string
	}{
		{name: "good", identifiers: []string{"ek:1"}},
		{name: "no permanent identifier", want: "badAttestationStatement"},
		{name: "two permanent identifiers", identifiers: []string{"ek:1", "ek:2"}, want: "badAttestationStatement"},
		{name: "certified by another", identifiers: []string{"ek:1"}, by: f.hw, want: "badAttestationStatement"},
		{name: "certificate of no attestation key", identifiers: []string{"ek:1"}, cert: func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }, want: "badAttestationStatement"},
		{name: "certificate with a subject", identifiers: []string{"ek:1"}, cert: func(c *x509.Certificate) { c.Subject.CommonName = "x" }, want: "badAttestationStatement"},
		{name: "expired", identifiers: []string{"ek:1"}, cert: func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, want: "badAttestationStatement"},
		{name: "for another account", identifiers: []string{"ek:1"}, account: stranger.Public(), want: "badAttestationStatement"},
		{name: "for another token", identifiers: []string{"ek:1"}, says: func(_ *tpm2.Public, a *tpm2.AttestationData) { a.ExtraData = make([]byte, 32) }, want: "badAttestationStatement"},
		{name: "a key that may leave", identifiers: []string{"ek:1"}, says: func(p *tpm2.Public, _ *tpm2.AttestationData) { p.Attributes &^= tpm2.FlagFixedTPM }, want: "badAttestationStatement"},
		{name: "not made by a TPM", identifiers: []string{"ek:1"}, says: func(_ *tpm2.Public, a *tpm2.AttestationData) { a.Magic = 1 }, want: "badAttestationStatement"},
		{name: "changed afterwards", identifiers: []string{"ek:1"}, edit: func(m map[string]any) { m["certInfo"].([]byte)[20] ^= 1 }, want: "badAttestationStatement"},
		{name: "signed with SHA-1", identifiers: []string{"ek:1"}, edit: func(m map[string]any) { m["alg"] = -65535 }, want: "badAttestationStatement"},
		{name: "of an old TPM", identifiers: []string{"ek:1"}, edit: func(m map[string]any) { m["ver"] = "1.2" }, want: "badAttestationStatement"},
		{name: "in pieces", identifiers: []string{"ek:1"}, edit: func(m map[string]any) { delete(m, "pubArea") }, want: "badAttestationStatement"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := attested("inv1")
			g.Attestation.Format = ca.FormatTPM
			f.door.grant(tt.name, g)
			c := f.client(t, tt.name)
			c.DirectoryURL = f.DirectoryURL(tt.name, ca.FormatTPM)
			o, ch, err := c.order("inv1")
			if err != nil {
				t.Fatal(err)
			}
			if tt.by == nil {
				tt.by = roots
			}
			if tt.account == nil {
				tt.account = c.Key.Public()
			}
			s := newSoftTPM(t, tt.by, now, tt.cert, tt.identifiers...)
			m := s.statement(t, tt.by, &c.key.PublicKey, ch.Token, tt.account, tt.says)
			if tt.edit != nil {
				tt.edit(m)
			}
			if err := c.answer(ch, object(t, "tpm", m)); problemOf(err) != tt.want {
				t.Fatalf("answer = %v, want the problem %q", err, tt.want)
			}
			if tt.want != "" {
				return
			}
			chain, err := c.finalize(o, c.key, x509.CertificateRequest{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Check(t.Context(), chain[0])
			if diff := cmp.Diff(ca.Attested{Format: ca.FormatTPM, Serial: "ek:1"}, got.Attested); err != nil || diff != "" {
				t.Errorf("attested: %v, mismatch (-want +got)\n%s", err, diff)
			}
		})
	}
	if f.issued(t) != 1 {
		t.Errorf("%d certificates were issued, want 1", f.issued(t))
	}
}
