package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"golang.org/x/crypto/ocsp"
)

// question asks for the status of cert with a nonce of n bytes, none for 0 and an empty
// one for -1.
func question(t testing.TB, cert, issuer *x509.Certificate, hash crypto.Hash, n int) []byte {
	t.Helper()
	b, err := ocsp.CreateRequest(cert, issuer, &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return b
	}
	nonce := make([]byte, max(0, n))
	rand.Read(nonce)
	value, err := asn1.Marshal(nonce)
	if err != nil {
		t.Fatal(err)
	}
	return withExtensions(t, b, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, Value: value})
}

func withExtensions(t testing.TB, b []byte, extensions ...pkix.Extension) []byte {
	t.Helper()
	var q struct{ TBS struct{ List asn1.RawValue } }
	if _, err := asn1.Unmarshal(b, &q); err != nil {
		t.Fatal(err)
	}
	type tbs struct {
		List       asn1.RawValue
		Extensions []pkix.Extension `asn1:"explicit,tag:2"`
	}
	out, err := asn1.Marshal(struct{ TBS tbs }{tbs{q.TBS.List, extensions}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func askOCSP(t testing.TB, h http.Handler, method string, q []byte) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, ca.OCSPPath, bytes.NewReader(q))
	if method != http.MethodPost {
		r = httptest.NewRequestWithContext(t.Context(), method, ca.OCSPPath+"/"+url.PathEscape(base64.StdEncoding.EncodeToString(q)), nil)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != "application/ocsp-response" {
		t.Fatalf("%s = %s, %s", method, res.Status, got)
	}
	return res
}

func TestOCSP(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		before := f.Issuer()
		old := issueApp(t, f, appGrant)
		if _, err := f.Rotate(t.Context(), ca.Rotation{From: f.clock.now()}); err != nil {
			t.Fatal(err)
		}
		good, revoked := issueApp(t, f, appGrant), issueApp(t, f, appGrant)
		for _, c := range []*x509.Certificate{old, revoked} {
			if _, err := f.Revoke(t.Context(), c.SerialNumber.String(), ca.KeyCompromise, "test"); err != nil {
				t.Fatal(err)
			}
		}
		stranger := *good
		stranger.SerialNumber = big.NewInt(4711)
		wrongIssuer := *good // its serial number, as if the old issuer had signed it
		tests := []struct {
			name         string
			cert, issuer *x509.Certificate
			want         int
		}{
			{"good", good, f.Issuer(), ocsp.Good},
			{"revoked", revoked, f.Issuer(), ocsp.Revoked},
			{"revoked, of the issuer before", old, before, ocsp.Revoked},
			{"never recorded", &stranger, f.Issuer(), ocsp.Unknown},
			{"another issuer's serial number", &wrongIssuer, before, ocsp.Unknown},
		}
		for _, tt := range tests {
			for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					b := content(t, askOCSP(t, f.OCSP(), method, question(t, tt.cert, tt.issuer, hash, 0)))
					got, err := ocsp.ParseResponseForCert(b, tt.cert, tt.issuer) // verifies the signature
					if err != nil {
						t.Fatalf("%s: %v", tt.name, err)
					}
					if got.Status != tt.want || !got.ThisUpdate.Equal(f.clock.now().Truncate(time.Second)) || !got.NextUpdate.Equal(got.ThisUpdate.Add(10*time.Minute)) {
						t.Errorf("%s by %s: status %d from %s to %s, want %d", tt.name, method, got.Status, got.ThisUpdate, got.NextUpdate, tt.want)
					}
					if tt.want == ocsp.Revoked && (got.RevocationReason != ocsp.KeyCompromise || !got.RevokedAt.Equal(f.clock.now().Truncate(time.Second))) {
						t.Errorf("%s: reason %d at %s", tt.name, got.RevocationReason, got.RevokedAt)
					}
				}
			}
		}
	})
}

// TestOCSPSince: what was good a moment ago is revoked in the next answer, without
// anything being made anew.
func TestOCSPSince(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	cert := issueApp(t, f, appGrant)
	for _, want := range []int{ocsp.Good, ocsp.Revoked} {
		b := content(t, askOCSP(t, f.OCSP(), http.MethodPost, question(t, cert, f.Issuer(), crypto.SHA256, 32)))
		got, err := ocsp.ParseResponseForCert(b, cert, f.Issuer())
		if err != nil || got.Status != want {
			t.Fatalf("status %d, %v, want %d", got.Status, err, want)
		}
		if _, err := f.RevokeApps(t.Context(), "d1", ca.KeyCompromise, "test"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOCSPHeaders(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	cert := issueApp(t, f, appGrant)
	plain, withNonce := question(t, cert, f.Issuer(), crypto.SHA1, 0), question(t, cert, f.Issuer(), crypto.SHA1, 32)
	kept := askOCSP(t, f.OCSP(), http.MethodGet, plain).Header
	if kept.Get("Cache-Control") != "public, no-transform, must-revalidate, max-age=60" || kept.Get("ETag") == "" ||
		kept.Get("Last-Modified") != f.clock.now().Format(http.TimeFormat) || kept.Get("Expires") != f.clock.now().Add(10*time.Minute).Format(http.TimeFormat) {
		t.Errorf("headers of a GET = %v", kept)
	}
	for name, h := range map[string]http.Header{
		"a POST": askOCSP(t, f.OCSP(), http.MethodPost, plain).Header, "a GET with a nonce": askOCSP(t, f.OCSP(), http.MethodGet, withNonce).Header,
	} {
		if h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" {
			t.Errorf("headers of %s = %v", name, h)
		}
	}
	if !strings.HasSuffix(cert.OCSPServer[0], ca.OCSPPath) {
		t.Errorf("the certificate names the responder %v", cert.OCSPServer)
	}
	w := httptest.NewRecorder()
	f.OCSP().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPut, ca.OCSPPath, nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("PUT = %d", w.Code)
	}
	w = httptest.NewRecorder()
	f.OCSP().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, ca.OCSPPath, bytes.NewReader(make([]byte, 9<<10))))
	if w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large POST = %d", w.Code)
	}
}

// TestOCSPNonce: by RFC 9654 a nonce of 1 to 128 bytes is taken, one that is long enough
// is repeated, and no other length is answered.
func TestOCSPNonce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	cert := issueApp(t, f, appGrant)
	for _, tt := range []struct {
		n        int
		answered bool
		repeated bool
	}{{-1, false, false}, {1, true, false}, {15, true, false}, {16, true, true}, {32, true, true}, {128, true, true}, {129, false, false}} {
		q := question(t, cert, f.Issuer(), crypto.SHA1, tt.n)
		b := content(t, askOCSP(t, f.OCSP(), http.MethodPost, q))
		_, err := ocsp.ParseResponseForCert(b, cert, f.Issuer())
		if (err == nil) != tt.answered {
			t.Errorf("a nonce of %d bytes: %v, want answered %v", tt.n, err, tt.answered)
		}
		if e, ok := errors.AsType[ocsp.ResponseError](err); err != nil && (!ok || e.Status != ocsp.Malformed) {
			t.Errorf("a nonce of %d bytes: %v, want malformedRequest", tt.n, err)
		}
		if tt.n >= 15 && bytes.Contains(b, q[len(q)-tt.n:]) != tt.repeated {
			t.Errorf("a nonce of %d bytes: repeated %v, want %v", tt.n, !tt.repeated, tt.repeated)
		}
	}
}

func TestOCSPRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	cert := issueApp(t, f, appGrant)
	q := question(t, cert, f.Issuer(), crypto.SHA256, 0)
	critical := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
	nonce := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, Value: append([]byte{4, 16}, make([]byte, 16)...)}
	for name, tt := range map[string]struct {
		body []byte
		want ocsp.ResponseStatus
	}{
		"another authority's":   {question(t, cert, f.Root(), crypto.SHA256, 0), ocsp.Unauthorized},
		"nothing":               {nil, ocsp.Malformed},
		"half of it":            {q[:len(q)/2], ocsp.Malformed},
		"more after it":         {append(bytes.Clone(q), 0), ocsp.Malformed},
		"an unknown necessity":  {withExtensions(t, q, critical), ocsp.Malformed},
		"two nonces":            {withExtensions(t, q, nonce, nonce), ocsp.Malformed},
		"a nonce of other form": {withExtensions(t, q, pkix.Extension{Id: nonce.Id, Value: []byte{2, 1, 1}}), ocsp.Malformed},
	} {
		_, err := ocsp.ParseResponse(content(t, askOCSP(t, f.OCSP(), http.MethodPost, tt.body)), f.Issuer())
		if e, ok := errors.AsType[ocsp.ResponseError](err); !ok || e.Status != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	w := httptest.NewRecorder()
	f.OCSP().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, ca.OCSPPath+"/not-base64!", nil))
	if !bytes.Equal(w.Body.Bytes(), ocsp.MalformedRequestErrorResponse) {
		t.Errorf("a GET of no base64 = %x", w.Body.Bytes())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w = httptest.NewRecorder()
	f.OCSP().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, ca.OCSPPath, bytes.NewReader(q)))
	if !bytes.Equal(w.Body.Bytes(), ocsp.TryLaterErrorResponse) {
		t.Errorf("while the database does not answer = %x, want tryLater", w.Body.Bytes())
	}
}

// TestOpenSSL: openssl verifies a chain, asks the responder about it and checks the list.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("openssl is not installed")
	}
	f := newFixture(t, storetest.SQLite(t))
	if _, err := f.Rotate(t.Context(), ca.Rotation{From: f.clock.now()}); err != nil {
		t.Fatal(err)
	}
	good, revoked := issueApp(t, f, appGrant), issueApp(t, f, appGrant)
	if _, err := f.Revoke(t.Context(), revoked.SerialNumber.String(), ca.KeyCompromise, "test"); err != nil {
		t.Fatal(err)
	}
	if err := f.RemakeCRL(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(name, kind string, ders ...[]byte) string {
		var b bytes.Buffer
		for _, der := range ders {
			if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	root, issuer := put("root.pem", "CERTIFICATE", f.Root().Raw), put("issuer.pem", "CERTIFICATE", f.Issuer().Raw)
	list := put("list.pem", "X509 CRL", listOf(t, f, good).Raw)
	mux := http.NewServeMux()
	mux.Handle(ca.OCSPPath, f.OCSP())
	mux.Handle(ca.OCSPPath+"/", f.OCSP())
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput()
		if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
			t.Fatal(err)
		}
		return string(out)
	}
	for name, cert := range map[string]*x509.Certificate{"good": good, "revoked": revoked} {
		leaf := put(name+".pem", "CERTIFICATE", cert.Raw)
		verified := run("verify", "-CAfile", root, "-untrusted", issuer, "-CRLfile", list, "-crl_check", leaf)
		if strings.Contains(verified, ": OK") != (name == "good") {
			t.Errorf("openssl verify %s: %s", name, verified)
		}
		// openssl sends a nonce and verifies that it comes back.
		asked := run("ocsp", "-issuer", issuer, "-cert", leaf, "-CAfile", root, "-url", srv.URL+ca.OCSPPath)
		if !strings.Contains(asked, "Response verify OK") || !strings.Contains(asked, ".pem: "+name) || strings.Contains(asked, "WARNING") {
			t.Errorf("openssl ocsp %s: %s", name, asked)
		}
	}
}

func FuzzOCSP(f *testing.F) {
	fix := newFixture(f, storetest.SQLite(f))
	cert := issueApp(f, fix, appGrant)
	for _, n := range []int{0, -1, 1, 32, 129} {
		f.Add(question(f, cert, fix.Issuer(), crypto.SHA256, n))
	}
	f.Add([]byte{0x30, 0x80})
	h := fix.OCSP()
	f.Fuzz(func(t *testing.T, b []byte) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, ca.OCSPPath, bytes.NewReader(b)))
		res := w.Result()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK && res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("%x = %s, %v", b, res.Status, err)
		}
		_, err = ocsp.ParseResponse(body, nil)
		_, refused := errors.AsType[ocsp.ResponseError](err)
		_, many := errors.AsType[ocsp.ParseError](err) // it reads answers about one certificate only
		if res.StatusCode == http.StatusOK && err != nil && !refused && !many {
			t.Fatalf("%x is answered with what is no answer: %v", b, err)
		}
	})
}
