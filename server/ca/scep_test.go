package ca_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kit/kit/log"
	"github.com/google/go-cmp/cmp"
	scepclient "github.com/micromdm/scep/v2/client"
	"github.com/smallstep/scep"
	scepx509 "github.com/smallstep/scep/x509util"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.uber.org/zap"
)

// device is a SCEP client's half of an exchange.
type device struct {
	key  *rsa.PrivateKey
	self *x509.Certificate
	csr  *x509.CertificateRequest
}

func newDevice(t testing.TB, key *rsa.PrivateKey, challenge string) *device {
	t.Helper()
	der, err := scepx509.CreateCertificateRequest(rand.Reader, &scepx509.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: "administrator"}, DNSNames: []string{"ward.example"}},
		ChallengePassword:  challenge,
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	d := &device{key: key}
	if d.csr, err = x509.ParseCertificateRequest(der); err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "SCEP signer"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	self, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if d.self, err = x509.ParseCertificate(self); err != nil {
		t.Fatal(err)
	}
	return d
}

// message returns a signed and encrypted request of the given type.
func (d *device) message(t testing.TB, kind scep.MessageType, to *x509.Certificate) []byte {
	t.Helper()
	m, err := scep.NewCSRRequest(d.csr, &scep.PKIMessage{MessageType: kind, Recipients: []*x509.Certificate{to}, SignerKey: d.key, SignerCert: d.self})
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// read parses the authority's answer as a client does: signed by the issuer, and on
// success encrypted to the device.
func (d *device) read(t testing.TB, answer []byte, issuer *x509.Certificate) *scep.PKIMessage {
	t.Helper()
	m, err := scep.ParsePKIMessage(answer, scep.WithCACerts([]*x509.Certificate{issuer}))
	if err != nil {
		t.Fatalf("the answer does not parse: %v", err)
	}
	if m.PKIStatus == scep.SUCCESS {
		if err := m.DecryptPKIEnvelope(d.self, d.key); err != nil {
			t.Fatalf("the answer does not decrypt: %v", err)
		}
	}
	return m
}

func post(t testing.TB, h http.Handler, body []byte) *http.Response {
	t.Helper()
	return ask(t, h, http.MethodPost, "operation=PKIOperation", body)
}

func ask(t testing.TB, h http.Handler, method, query string, body []byte) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(ward.WithRequestID(t.Context(), "req-1"), method, "/scep?"+query, bytes.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func content(t testing.TB, res *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSCEPClient enrols with the client of micromdm/scep over HTTP.
func TestSCEPClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	srv := httptest.NewServer(f.SCEP())
	t.Cleanup(srv.Close)
	client, err := scepclient.New(srv.URL+"/scep", log.NewNopLogger())
	if err != nil {
		t.Fatal(err)
	}
	if !client.Supports("POSTPKIOperation") || !client.Supports("AES") || !client.Supports("SHA-256") || client.Supports("Renewal") {
		t.Error("GetCACaps does not say what is offered")
	}
	der, n, err := client.GetCACert(t.Context(), "")
	if err != nil || n > 1 || !bytes.Equal(der, f.Issuer().Raw) { // the client counts a plain certificate as 0
		t.Fatalf("GetCACert = %d certificates, %v; want the plain issuer", n, err)
	}
	d := newDevice(t, rsaKey(), "one")
	answer, err := client.PKIOperation(t.Context(), d.message(t, scep.PKCSReq, f.Issuer()))
	if err != nil {
		t.Fatal(err)
	}
	m := d.read(t, answer, f.Issuer())
	if m.PKIStatus != scep.SUCCESS {
		t.Fatalf("status %s, fail info %s", m.PKIStatus, m.FailInfo)
	}
	cert := m.CertRepMessage.Certificate
	if diff := cmp.Diff([]string{"urn:ward:invitation:inv%201"}, uris(cert)); diff != "" || ca.Invitation(cert) != "inv 1" {
		t.Errorf("names mismatch (-want +got)\n%s; invitation %q", diff, ca.Invitation(cert))
	}
	if cert.Subject.String() != "CN=Ward phone,OU=device,O=Example Trust" || len(cert.DNSNames) != 0 {
		t.Errorf("subject %s, hosts %v: some come from the request", cert.Subject, cert.DNSNames)
	}
	if cert.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || !d.key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("key usage %b, or another key", cert.KeyUsage)
	}
	if err := f.Bind(t.Context(), cert, "d1", "e1"); err != nil {
		t.Fatal(err)
	}
	got, err := f.Check(t.Context(), cert)
	if err != nil || got.Kind != ca.KindDevice || got.Invitation != "inv 1" || got.Device != "d1" || got.Enrolment != "e1" {
		t.Errorf("Check = %+v, %v", got, err)
	}
	if f.logs.FilterMessage("scep certificate issued").FilterField(zap.String("certificate", "device")).Len() != 1 {
		t.Error("no line in the log for the certificate")
	}
}

// TestSCEPByGet sends the request in the query, escaped, and as macOS does, with '+'
// and '/' as they are.
func TestSCEPByGet(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	for challenge, escape := range map[string]func(string) string{
		"one": url.QueryEscape,
		"two": func(s string) string { return strings.ReplaceAll(s, "=", "%3D") },
	} {
		d := newDevice(t, rsaKey(), challenge)
		b := base64.StdEncoding.EncodeToString(d.message(t, scep.PKCSReq, f.Issuer()))
		res := ask(t, f.SCEP(), http.MethodGet, "operation=PKIOperation&message="+escape(b), nil)
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/x-pki-message" {
			t.Fatalf("challenge %s: GET = %s, %s", challenge, res.Status, res.Header.Get("Content-Type"))
		}
		if m := d.read(t, content(t, res), f.Issuer()); m.PKIStatus != scep.SUCCESS {
			t.Errorf("challenge %s: status %s, fail info %s", challenge, m.PKIStatus, m.FailInfo)
		}
	}
}

// TestSCEPRefuses: a well-formed request that earns no certificate gets a signed
// refusal, and spends nothing.
func TestSCEPRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	other := newDevice(t, rsaKey(), "one")
	other.csr.Raw = bytes.Clone(other.csr.Raw)
	other.csr.Raw[len(other.csr.Raw)-1] ^= 1 // the request's signature
	garbled := newDevice(t, rsaKey(), "one")
	garbled.csr.Raw = []byte("this is no certificate request")
	tests := []struct {
		name   string
		device *device
		kind   scep.MessageType
		to     *x509.Certificate
		want   scep.FailInfo
	}{
		{"wrong challenge", newDevice(t, rsaKey(), "three"), scep.PKCSReq, f.Issuer(), scep.BadRequest},
		{"no challenge", newDevice(t, rsaKey(), ""), scep.PKCSReq, f.Issuer(), scep.BadRequest},
		{"renewal", newDevice(t, rsaKey(), "one"), scep.RenewalReq, f.Issuer(), scep.BadRequest},
		{"update", newDevice(t, rsaKey(), "one"), scep.UpdateReq, f.Issuer(), scep.BadRequest},
		{"answer instead of a request", newDevice(t, rsaKey(), "one"), scep.CertRep, f.Issuer(), scep.BadRequest},
		{"type that nobody knows", newDevice(t, rsaKey(), "one"), scep.MessageType("99"), f.Issuer(), scep.BadRequest},
		{"signature of the request broken", other, scep.PKCSReq, f.Issuer(), scep.BadRequest},
		{"no certificate request inside", garbled, scep.PKCSReq, f.Issuer(), scep.BadMessageCheck},
		{"encrypted to somebody else", newDevice(t, rsaKey(), "one"), scep.PKCSReq, newDevice(t, rsaKey(), "").self, scep.BadMessageCheck},
	}
	for _, tt := range tests {
		res := post(t, f.SCEP(), tt.device.message(t, tt.kind, tt.to))
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: POST = %s, want a signed refusal", tt.name, res.Status)
			continue
		}
		m := tt.device.read(t, content(t, res), f.Issuer())
		if m.PKIStatus != scep.FAILURE || m.FailInfo != tt.want {
			t.Errorf("%s: status %s, fail info %q; want FAILURE, %s", tt.name, m.PKIStatus, m.FailInfo, tt.want)
		}
	}
	if n := f.logs.FilterMessage("scep certificate refused").Len(); n != len(tests) {
		t.Errorf("the log has %d refusals, want %d", n, len(tests))
	}
	d := newDevice(t, rsaKey(), "one")
	if m := d.read(t, content(t, post(t, f.SCEP(), d.message(t, scep.PKCSReq, f.Issuer()))), f.Issuer()); m.PKIStatus != scep.SUCCESS {
		t.Errorf("the challenge was spent by a refusal: status %s", m.PKIStatus)
	}
}

// TestSCEPReplay: the same message again, and another request with the same
// challenge, get no second certificate.
func TestSCEPReplay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	d := newDevice(t, rsaKey(), "one")
	message := d.message(t, scep.PKCSReq, f.Issuer())
	for i, want := range []scep.PKIStatus{scep.SUCCESS, scep.FAILURE, scep.FAILURE} {
		if i == 2 {
			message = newDevice(t, rsaKey(), "one").message(t, scep.PKCSReq, f.Issuer())
		}
		if m := d.read(t, content(t, post(t, f.SCEP(), message)), f.Issuer()); m.PKIStatus != want {
			t.Errorf("request %d: status %s, want %s", i, m.PKIStatus, want)
		}
	}
	if got, err := f.o.Store.CertificatesOfInvitation(t.Context(), "inv 1"); err != nil || len(got) != 1 {
		t.Errorf("the record has %d certificates (%v), want 1", len(got), err)
	}
}

// TestSCEPMalformed: what is no SCEP message is refused with a status of its own.
func TestSCEPMalformed(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	good := newDevice(t, rsaKey(), "one").message(t, scep.PKCSReq, f.Issuer())
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1 // the signature of the message
	tests := []struct {
		name, method, query string
		body                []byte
		want                int
	}{
		{"empty", http.MethodPost, "operation=PKIOperation", nil, http.StatusBadRequest},
		{"garbage", http.MethodPost, "operation=PKIOperation", []byte("hello"), http.StatusBadRequest},
		{"cut short", http.MethodPost, "operation=PKIOperation", good[:len(good)/2], http.StatusBadRequest},
		{"signature broken", http.MethodPost, "operation=PKIOperation", broken, http.StatusBadRequest},
		{"nested for ever", http.MethodPost, "operation=PKIOperation", bytes.Repeat([]byte{0x30, 0x80}, 32<<10), http.StatusBadRequest},
		{"too large", http.MethodPost, "operation=PKIOperation", make([]byte, 64<<10+1), http.StatusRequestEntityTooLarge},
		{"too large in the query", http.MethodGet, "operation=PKIOperation&message=" + strings.Repeat("A", 90<<10), nil, http.StatusRequestEntityTooLarge},
		{"no base64", http.MethodGet, "operation=PKIOperation&message=!", nil, http.StatusBadRequest},
		{"no message", http.MethodGet, "operation=PKIOperation", nil, http.StatusBadRequest},
		{"unknown operation", http.MethodGet, "operation=GetCRL", nil, http.StatusBadRequest},
		{"no operation", http.MethodGet, "", nil, http.StatusBadRequest},
		{"query that cannot be read", http.MethodGet, "operation=%zz", nil, http.StatusBadRequest},
		{"other method", http.MethodPut, "operation=GetCACert", nil, http.StatusMethodNotAllowed},
	}
	for _, tt := range tests {
		if res := ask(t, f.SCEP(), tt.method, tt.query, tt.body); res.StatusCode != tt.want {
			t.Errorf("%s: %s, want %d", tt.name, res.Status, tt.want)
		}
	}
	lines := f.logs.FilterMessage("scep request refused").All()
	if len(lines) != len(tests) {
		t.Fatalf("the log has %d lines, want %d", len(lines), len(tests))
	}
	for _, l := range lines {
		if l.ContextMap()["request_id"] != "req-1" {
			t.Errorf("line without the request's id: %v", l.ContextMap())
		}
	}
}

// TestSCEPSenders: the answer is encrypted to whoever signed the message, so that must
// be one with an RSA key of a sane size.
func TestSCEPSenders(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // the authority must refuse it
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(t, small, "one")
	if res := post(t, f.SCEP(), d.message(t, scep.PKCSReq, f.Issuer())); res.StatusCode != http.StatusBadRequest {
		t.Errorf("RSA-1024: %s, want 400", res.Status)
	}
	_, ec := ecRequest(t, elliptic.P256())
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, ec.Public(), ec)
	if err != nil {
		t.Fatal(err)
	}
	self, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	d = newDevice(t, rsaKey(), "one")
	m, err := scep.NewCSRRequest(d.csr, &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: []*x509.Certificate{f.Issuer()}, SignerKey: ec, SignerCert: self})
	if err != nil {
		t.Fatal(err)
	}
	if res := post(t, f.SCEP(), m.Raw); res.StatusCode != http.StatusBadRequest {
		t.Errorf("EC signer: %s, want 400", res.Status)
	}
}

// TestSCEPConcurrent: sixteen devices enrol at once, and sixteen fight for one
// challenge.
func TestSCEPConcurrent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		const n = 16
		grants := f.o.Challenges.(gate).grants
		for i := range n {
			grants[fmt.Sprint("c", i)] = ca.Grant{Invitation: fmt.Sprint("i", i), CommonName: "phone"}
		}
		grants["shared"] = ca.Grant{Invitation: "shared", CommonName: "phone"}
		enrol := func(challenge string) (ok bool) {
			d := newDevice(t, rsaKey(), challenge)
			return d.read(t, content(t, post(t, f.SCEP(), d.message(t, scep.PKCSReq, f.Issuer()))), f.Issuer()).PKIStatus == scep.SUCCESS
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		own, shared := 0, 0
		for i := range n {
			wg.Go(func() {
				a, b := enrol(fmt.Sprint("c", i)), enrol("shared")
				mu.Lock()
				defer mu.Unlock()
				if a {
					own++
				}
				if b {
					shared++
				}
			})
		}
		wg.Wait()
		if own != n || shared != 1 {
			t.Errorf("%d of %d own challenges and %d of the shared one were granted, want %d and 1", own, n, shared, n)
		}
		if got, err := f.o.Store.CertificatesOfInvitation(t.Context(), "shared"); err != nil || len(got) != 1 {
			t.Errorf("the shared challenge has %d certificates (%v), want 1", len(got), err)
		}
	})
}

// broken is a Challenges whose database is away.
type broken struct{ gate }

func (broken) Redeem(context.Context, string, ca.Certificate) error { return errBoom }

// TestSCEPUnavailable: when the database is away, the device is told to come again,
// and nothing is recorded or said about why.
func TestSCEPUnavailable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	o := f.o
	o.Challenges = broken{f.o.Challenges.(gate)}
	a, err := ca.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	res := post(t, a.SCEP(), newDevice(t, rsaKey(), "one").message(t, scep.PKCSReq, a.Issuer()))
	if b := content(t, res); res.StatusCode != http.StatusServiceUnavailable || bytes.Contains(b, []byte("boom")) {
		t.Errorf("POST = %s, %q; want 503 without the cause", res.Status, b)
	}
	if got, err := o.Store.CertificatesOfInvitation(t.Context(), "inv 1"); err != nil || len(got) != 0 {
		t.Errorf("the record has %d certificates (%v), want none", len(got), err)
	}
}
