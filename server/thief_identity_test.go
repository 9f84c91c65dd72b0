package server

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
)

// TestThiefSpare: of the identities that one link gave, the first that is used ends the
// others, so that none of them brings a device back that was retired.
func TestThiefSpare(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		inv := w.invite(t, ward.Corporate, nil)
		spare, used := w.identity(t, inv.Token, "UDID-1"), w.identity(t, inv.Token, "UDID-1")
		if got := used.authenticate(t, "SN1"); got.status != http.StatusOK {
			t.Fatalf("Authenticate was answered %d %q", got.status, got.body)
		}
		c, err := w.db.Certificates().CertificateByHash(w.ctx, ca.Hash(spare.cert))
		if err != nil || c.Reason != ca.Superseded || !c.Revoked() {
			t.Errorf("the spare identity is recorded as %+v, %v; want it superseded", c, err)
		}
		if got := used.authenticate(t, "SN1"); got.status != http.StatusOK {
			t.Errorf("the same Authenticate again was answered %d %q", got.status, got.body)
		}
		for _, what := range []string{"while the other lives", "once the other is retired"} {
			if got := spare.authenticate(t, "SN1"); got.status != http.StatusForbidden {
				t.Errorf("Authenticate by the spare identity %s was answered %d %q, want 403", what, got.status, got.body)
			}
			if _, err := (authority{w.Server}).registrar().Revoke(w.ctx, ca.Withdrawal{Serial: serialOf(t, w, used.cert), Reason: ca.KeyCompromise, Retire: true, Why: "stolen"}); err != nil && what == "while the other lives" {
				t.Fatal(err)
			}
		}
	})
}

func serialOf(t *testing.T, w *world, cert *x509.Certificate) string {
	t.Helper()
	c, err := w.db.Certificates().CertificateByHash(w.ctx, ca.Hash(cert))
	if err != nil {
		t.Fatal(err)
	}
	return c.Serial
}

// TestThiefStrand: an identity that was issued to follow another is a device's way back
// before it is used for the first time, so nobody takes it away in passing.
func TestThiefStrand(t *testing.T) {
	t.Parallel()
	a := newAway(t, "", nil)
	a.turn(t, half)
	_, challenge := a.renewal(t)
	cert := a.certificate(t, challenge)
	r := (authority{a.w.Server}).registrar()
	if _, err := r.Revoke(a.w.ctx, ca.Withdrawal{Serial: serialOf(t, a.w, cert), Reason: ca.Superseded}); ward.KindOf(err) != ward.Conflict {
		t.Errorf("revoking the identity that comes next: %v, want a conflict", err)
	}
	if got := a.under(t, cert, a.udid).report(t, "Idle", ""); got.status != http.StatusOK {
		t.Errorf("the phone under its new identity was answered %d", got.status)
	}
}

// TestThiefRetireSuccessor: a device is given up by the identity that it has not used yet,
// too.
func TestThiefRetireSuccessor(t *testing.T) {
	t.Parallel()
	a := newAway(t, "", nil)
	a.turn(t, half)
	_, challenge := a.renewal(t)
	cert := a.certificate(t, challenge)
	r := (authority{a.w.Server}).registrar()
	if _, err := r.Revoke(a.w.ctx, ca.Withdrawal{Serial: serialOf(t, a.w, cert), Reason: ca.KeyCompromise, Retire: true, Why: "stolen"}); err != nil {
		t.Fatal(err)
	}
	if d, err := a.w.fleet.Device(a.w.ctx, a.id); err != nil || d.State != ward.Unenrolled {
		t.Errorf("the device is %s, %v; want it out of management", d.State, err)
	}
}

// TestThiefLeftover: once a device has gone over to a new identity, a challenge of a renewal
// that was overtaken buys nothing.
func TestThiefLeftover(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		a := newAway(t, url, nil)
		a.turn(t, half)
		_, one := a.renewal(t)
		d, err := a.w.fleet.Device(a.w.ctx, a.id)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := a.w.renewal(a.w.ctx, d, a.e)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(raw, []byte("identity-"))
		two := string(raw[at : at+len(one)])
		phone := a.under(t, a.certificate(t, one), a.udid)
		if got := phone.report(t, "Idle", ""); got.status != http.StatusOK {
			t.Fatalf("the phone under its new identity was answered %d", got.status)
		}
		if _, err := a.w.challenges().Lookup(a.w.ctx, two); ward.KindOf(err) != ward.Forbidden {
			t.Errorf("the challenge that was left over: %v, want it refused", err)
		}
	})
}

// fat is a key that is as slow to verify with as its size makes it.
type fat struct{ public *rsa.PublicKey }

func (f fat) Public() crypto.PublicKey { return f.public }

func (f fat) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return append([]byte{0}, bytes.Repeat([]byte{7}, f.public.Size()-1)...), nil
}

// TestThiefFat: a signature by a key so large that verifying it would stop the server is
// refused by the look of it.
func TestThiefFat(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	for name, size := range map[string]int{"in a small header": 1 << 10, "in a large header": 22 << 10} {
		n := bytes.Repeat([]byte{0xff}, size)
		f := fat{&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 1<<31 - 1}}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, f.public, key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		body := encode(t, map[string]any{"UDID": "x", "Status": "Idle"})
		signed, err := pkcs7.NewSignedData(body)
		if err != nil {
			t.Fatal(err)
		}
		if err := signed.AddSigner(cert, f, pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
		signed.Detach()
		p7, err := signed.Finish()
		if err != nil {
			t.Fatal(err)
		}
		before := w.logs.Len()
		got := w.send(t, w.people, body, http.Header{"Content-Type": {commandMIME}, "Mdm-Signature": {base64.StdEncoding.EncodeToString(p7)}})
		said := ""
		for _, entry := range w.logs.All()[before:] {
			for _, v := range entry.ContextMap() {
				if text, ok := v.(string); ok {
					said += text + "\n"
				}
			}
		}
		if got.status != http.StatusBadRequest || !strings.Contains(said, "read signature") {
			t.Errorf("%s: answered %d, logged %q; want it refused before it is verified", name, got.status, said)
		}
	}
}
