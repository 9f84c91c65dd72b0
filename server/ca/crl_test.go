package ca_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func get(t *testing.T, h http.Handler, method string, header map[string]string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/ca/crl", nil)
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func list(t *testing.T, f *fixture) *x509.RevocationList {
	t.Helper()
	res := get(t, f.CRL(), http.MethodGet, nil)
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/pkix-crl" {
		t.Fatalf("GET the list = %s, %s, %v", res.Status, res.Header.Get("Content-Type"), err)
	}
	l, err := x509.ParseRevocationList(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.CheckSignatureFrom(f.Issuer()); err != nil {
		t.Errorf("signature of the list: %v", err)
	}
	return l
}

func serials(l *x509.RevocationList) (s []string) {
	for _, e := range l.RevokedCertificateEntries {
		s = append(s, e.SerialNumber.String())
	}
	return s
}

func TestCRL(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	cert := issueApp(t, f, appGrant)
	first := list(t, f)
	if len(first.RevokedCertificateEntries) != 0 || !first.NextUpdate.Equal(first.ThisUpdate.Add(24*time.Hour)) {
		t.Errorf("the first list has %v, next update %s after %s", serials(first), first.NextUpdate, first.ThisUpdate)
	}
	if ok, err := f.Revoke(t.Context(), cert.SerialNumber.String(), ca.Ceased, "test"); !ok || err != nil {
		t.Fatalf("Revoke = %v, %v", ok, err)
	}
	if err := f.RemakeCRL(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := list(t, f)
	if got := serials(second); !slices.Equal(got, []string{cert.SerialNumber.String()}) || second.RevokedCertificateEntries[0].ReasonCode != int(ca.Ceased) {
		t.Errorf("the list has %v, want %s with reason %d", got, cert.SerialNumber, ca.Ceased)
	}
	if second.Number.Cmp(first.Number) <= 0 {
		t.Errorf("number %s follows %s", second.Number, first.Number)
	}
	f.clock.turn(2 * time.Hour)
	if aged := list(t, f); aged.Number.Cmp(second.Number) <= 0 || len(aged.RevokedCertificateEntries) != 1 {
		t.Errorf("a list two hours old was served again: number %s", aged.Number)
	}
	f.clock.turn(10 * 24 * time.Hour)
	if late := list(t, f); len(late.RevokedCertificateEntries) != 0 {
		t.Errorf("the list still has %v, expired days ago", serials(late))
	}
}

func TestCRLHeaders(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	res := get(t, f.CRL(), http.MethodHead, nil)
	etag := res.Header.Get("ETag")
	if etag != `"1"` || res.Header.Get("Last-Modified") == "" || res.Header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("HEAD = %s, %v", res.Status, res.Header)
	}
	if res := get(t, f.CRL(), http.MethodGet, map[string]string{"If-None-Match": etag}); res.StatusCode != http.StatusNotModified {
		t.Errorf("GET with the ETag = %s, want 304", res.Status)
	}
	if res := get(t, f.CRL(), http.MethodPost, nil); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") == "" {
		t.Errorf("POST = %s, Allow %q", res.Status, res.Header.Get("Allow"))
	}
	res = get(t, f.RootHandler(), http.MethodGet, nil)
	if b, err := io.ReadAll(res.Body); err != nil || !rootIn(b, f) {
		t.Errorf("the root handler served %q, %v", b, err)
	}
}

func rootIn(b []byte, f *fixture) bool {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		return false
	}
	_, err := f.Issuer().Verify(x509.VerifyOptions{Roots: p, CurrentTime: f.clock.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// TestCRLConcurrent: two processes revoke and remake at once; numbers rise by one
// and the list that stands has every revocation that RemakeCRL returned for.
func TestCRLConcurrent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		second, err := ca.Open(t.Context(), f.o)
		if err != nil {
			t.Fatal(err)
		}
		const n = 8
		var certs []*x509.Certificate
		for range n {
			certs = append(certs, issueApp(t, f, appGrant))
		}
		var wg sync.WaitGroup
		for i, a := range slices.Repeat([]*ca.Authority{f.Authority, second}, n/2) {
			wg.Go(func() {
				if ok, err := a.Revoke(t.Context(), certs[i].SerialNumber.String(), ca.Unspecified, "test"); !ok || err != nil {
					t.Errorf("Revoke = %v, %v", ok, err)
				}
				if err := a.RemakeCRL(t.Context()); err != nil {
					t.Errorf("RemakeCRL: %v", err)
				}
			})
		}
		wg.Wait()
		l := list(t, f)
		if len(l.RevokedCertificateEntries) != n || l.Number.Int64() != n+1 {
			t.Errorf("the list number %s has %d entries, want number %d with %d", l.Number, len(l.RevokedCertificateEntries), n+1, n)
		}
	})
}

// TestStatusURL: certificates name another address for what is signed, where there is one.
func TestStatusURL(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	o := f.o
	for _, bad := range []string{"ftp://status.example", "http://status.example/ca", "http://a@status.example"} {
		o.StatusURL = bad
		if _, err := ca.Open(t.Context(), o); ward.KindOf(err) != ward.Invalid {
			t.Errorf("Open with the status URL %s = %v, want Invalid", bad, err)
		}
	}
	o.StatusURL = "http://status.example"
	a, err := ca.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	csr, _ := ecRequest(t, elliptic.P256())
	chain, err := a.IssueApp(t.Context(), csr, appGrant, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Concat(chain[0].CRLDistributionPoints, chain[0].OCSPServer, chain[0].IssuingCertificateURL)
	want := []string{"http://status.example/ca/crl", "http://status.example/ca/ocsp", "http://status.example/ca/issuer/1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("addresses mismatch (-want +got)\n%s", diff)
	}
}
