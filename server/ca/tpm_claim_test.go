package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-tpm/legacy/tpm2"
	"github.com/wardmdm/ward"
)

// captured is what a software TPM said of itself.
func captured(t testing.TB) (in attestRequest, body []byte) {
	t.Helper()
	body, err := os.ReadFile("testdata/tpm_claim.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &in); err != nil {
		t.Fatal(err)
	}
	return in, body
}

func TestReadClaim(t *testing.T) {
	t.Parallel()
	_, body := captured(t)
	c, err := readClaim(body)
	if err != nil {
		t.Fatal(err)
	}
	if c.manufacturer != "id:49424D00" || c.model != "SW   TPM" || c.firmware != "8217.4131" || c.cert == nil || !strings.HasPrefix(c.name, EKPrefix) {
		t.Errorf("readClaim() = %+v", c)
	}
	secret, q, err := c.question()
	if err != nil || len(secret) != 32 || len(q.Credential) == 0 || bytes.Contains(q.Credential, secret) {
		t.Errorf("question() = %x, %v", secret, err)
	}
}

// TestClaimKeys: which keys can't be those of a TPM.
func TestClaimKeys(t *testing.T) {
	t.Parallel()
	pkix := func(key any) []byte {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	ec, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := func(change func(p *tpm2.Public)) []byte {
		in, _ := captured(t)
		p, err := tpm2.DecodePublic(in.Params.Public)
		if err != nil {
			t.Fatal(err)
		}
		change(&p)
		b, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name   string
		change func(in *attestRequest)
		want   string
	}{
		{"small RSA", func(in *attestRequest) { in.EK = pkix(&rsa.PublicKey{N: ec.X, E: 65537}) }, "endorsement key"},
		{"small curve", func(in *attestRequest) { in.EK = pkix(&ec.PublicKey) }, "endorsement key"},
		{"too many certificates", func(in *attestRequest) { in.Certs = [][]byte{{1}, {2}, {3}, {4}, {5}} }, "certificate"},
		{"no certificate", func(in *attestRequest) { in.Certs = [][]byte{{1}} }, "certificate"},
		{"exportable", func(in *attestRequest) {
			in.Params.Public = public(func(p *tpm2.Public) { p.Attributes &^= tpm2.FlagFixedTPM })
		}, "attestation key"},
		{"unrestricted", func(in *attestRequest) {
			in.Params.Public = public(func(p *tpm2.Public) { p.Attributes &^= tpm2.FlagRestricted })
		}, "attestation key"},
		{"loaded from outside", func(in *attestRequest) {
			in.Params.Public = public(func(p *tpm2.Public) { p.Attributes &^= tpm2.FlagSensitiveDataOrigin })
		}, "attestation key"},
		{"that decrypts", func(in *attestRequest) {
			in.Params.Public = public(func(p *tpm2.Public) { p.Attributes |= tpm2.FlagDecrypt })
		}, "attestation key"},
		{"named by SHA-1", func(in *attestRequest) {
			in.Params.Public = public(func(p *tpm2.Public) { p.NameAlg = tpm2.AlgSHA1 })
		}, "attestation key"},
		{"named by a hash that is not linked in", func(in *attestRequest) {
			in.Params.Public = public(func(p *tpm2.Public) { p.NameAlg = tpm2.AlgSHA3_256 })
		}, "attestation key"},
		{"without a scheme", func(in *attestRequest) {
			in.Params.Public = public(func(p *tpm2.Public) { p.RSAParameters.Sign = nil })
		}, "attestation key"},
		{"small attestation key", func(in *attestRequest) {
			in.Params.Public = public(func(p *tpm2.Public) { p.RSAParameters.ModulusRaw = p.RSAParameters.ModulusRaw[:128] })
		}, "attestation key"},
	} {
		in, _ := captured(t)
		c.change(&in)
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readClaim(body); ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: readClaim() = %v, %v; want Invalid with %q", c.name, got, err, c.want)
		}
	}
}

// TestHardwareNames: what a TPM says of itself reaches a certificate only as plain text.
func TestHardwareNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{vendor("1398033696"), "id:53544D20"},
		{vendor("4116"), "id:00001014"},
		{vendor("-1"), unnamed},
		{vendor("99999999999"), unnamed},
		{vendor(""), unnamed},
		{printable(" ab\x00c\u202ed\n"), "abcd"},
		{printable("\x00"), unnamed},
		{printable(strings.Repeat("x", 100)), strings.Repeat("x", 64)},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// FuzzClaim: nothing that a client sends makes the reading of it fail otherwise than by
// saying that it is invalid.
func FuzzClaim(f *testing.F) {
	in, body := captured(f)
	p := in.Params
	f.Add(body, in.EK, in.Certs[0], p.Public, p.CreateData, p.CreateAttestation, p.CreateSignature)
	f.Add([]byte("{}"), []byte(nil), []byte{0x10, 0x01, 0x00, 0xff, 0xff}, p.Public[:12], []byte(nil), p.CreateAttestation[:8], []byte{0, 0x18, 0, 0x0b, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, body, ek, cert, public, data, creation, signature []byte) {
		parts := attestRequest{EK: ek, Certs: [][]byte{cert}}
		parts.Params.Public, parts.Params.CreateData, parts.Params.CreateAttestation, parts.Params.CreateSignature = public, data, creation, signature
		built, err := json.Marshal(parts)
		if err != nil {
			t.Fatal(err)
		}
		bare := parts
		bare.Certs = nil
		plain, err := json.Marshal(bare)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{body, built, plain} {
			c, err := readClaim(b)
			if err == nil {
				_, _, err = c.question()
			}
			if err != nil && ward.KindOf(err) != ward.Invalid {
				t.Errorf("%v: kind %s", err, ward.KindOf(err))
			}
		}
	})
}
