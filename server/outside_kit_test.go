package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/scep"
	scepx509 "github.com/smallstep/scep/x509util"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.uber.org/zap"
)

// source is an authority that gives devices their identities by SCEP: a maker of
// enrollment.Source.
type source struct {
	set   func(*Config)       // names it in the configuration; nil for Ward's own
	trust []*x509.Certificate // what its address is protected by, beyond Ward's
	clock clock               // of the authority, if it takes one
	// without returns a certificate of the authority that no ticket stands in, under a name.
	without func(t *testing.T, w *world, name string) *x509.Certificate
	// again returns another certificate for what was asked once, nil if none is to be had.
	again func(t *testing.T, w *world, q agent.SCEP) *x509.Certificate
}

// client returns an HTTP client that trusts the authority and Ward.
func (s *source) client(t *testing.T, w *world) *http.Client {
	t.Helper()
	rt := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.pool(w)}}
	t.Cleanup(rt.CloseIdleConnections)
	return &http.Client{Transport: rt, Timeout: 30 * time.Second}
}

func (s *source) pool(w *world) *x509.CertPool {
	p := w.Authority.Pool()
	for _, c := range s.trust {
		p.AddCert(c)
	}
	if in := w.StandIn(); in != nil {
		p.AppendCertsFromPEM(in.CAPEM())
	}
	return p
}

// phone returns a virtual phone that trusts the authority's address too.
func (s *source) phone(t *testing.T, w *world, name string) *virtual.Phone {
	t.Helper()
	devices := agent.NewTransport(s.pool(w))
	t.Cleanup(devices.Close)
	return w.phone(t, name, func(o *virtual.Options) { o.Transport = devices })
}

// question opens an invitation's link and returns what its device is to ask.
func question(t *testing.T, w *world, in enrollment.Invited) agent.SCEP {
	t.Helper()
	_, raw, err := w.Enrolment.Open(w.ctx, in.Token, enrollment.SCEP)
	if err != nil {
		t.Fatal(err)
	}
	p, err := agent.ParseProfile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return questionIn(t, p)
}

func questionIn(t *testing.T, p *agent.Profile) agent.SCEP {
	t.Helper()
	_, payload, err := p.MDM()
	if err != nil {
		t.Fatal(err)
	}
	q, err := agent.ParseSCEP(payload)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// commonName returns the name that a device is to ask for.
func commonName(q agent.SCEP) string {
	for _, part := range q.Subject {
		if part[0][0] == "CN" {
			return part[0][1]
		}
	}
	return ""
}

// ask asks a SCEP server, and returns nil if it refuses.
func (s *source) ask(t *testing.T, w *world, q agent.SCEP) *x509.Certificate {
	t.Helper()
	return s.askBy(t, s.client(t, w), q)
}

// askTimely asks a server whose clock was turned.
func (s *source) askTimely(t *testing.T, w *world, q agent.SCEP) *x509.Certificate {
	t.Helper()
	if strings.HasPrefix(q.URL, w.URL()) {
		return s.askBy(t, w.timely(t, nil), q)
	}
	return s.ask(t, w, q)
}

func (s *source) askBy(t *testing.T, client *http.Client, q agent.SCEP) *x509.Certificate {
	t.Helper()
	key := sharedKey(t)
	authority := certificatesIn(t, fetch(t, client, http.MethodGet, q.URL+"?operation=GetCACert&message="+url.QueryEscape(q.Name), nil))
	der, err := scepx509.CreateCertificateRequest(rand.Reader, &scepx509.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: commonName(q)}}, ChallengePassword: q.Challenge,
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	self := selfSigned(t, key)
	m, err := scep.NewCSRRequest(csr, &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: authority, SignerKey: key, SignerCert: self})
	if err != nil {
		t.Fatal(err)
	}
	answer := fetch(t, client, http.MethodPost, q.URL+"?operation=PKIOperation", m.Raw)
	got, err := scep.ParsePKIMessage(answer, scep.WithCACerts(authority))
	if err != nil {
		t.Fatalf("answer %q: %v", answer, err)
	}
	if got.PKIStatus != scep.SUCCESS {
		return nil
	}
	if err := got.DecryptPKIEnvelope(self, key); err != nil {
		t.Fatal(err)
	}
	return got.CertRepMessage.Certificate
}

func certificatesIn(t *testing.T, b []byte) []*x509.Certificate {
	t.Helper()
	all, err := x509.ParseCertificates(b)
	if err != nil {
		all, err = scep.CACerts(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func fetch(t *testing.T, client *http.Client, method, address string, body []byte) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-pki-message")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s answered %d %q", method, address, res.StatusCode, b)
	}
	return b
}

func pemFile(t *testing.T, certs ...*x509.Certificate) string {
	t.Helper()
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	path := filepath.Join(t.TempDir(), "authority.pem")
	writeFile(t, path, b)
	return path
}

// ownSource is Ward's own authority.
func ownSource(*testing.T) *source {
	s := &source{}
	s.again = s.askAgain
	s.without = func(t *testing.T, w *world, name string) *x509.Certificate {
		t.Helper()
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, sharedKey(t))
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := w.Authority.IssueApp(w.ctx, csr, ca.AppGrant{Device: "dev_1", Enrolment: "e1", App: messenger}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return chain[0]
	}
	return s
}

func (s *source) askAgain(t *testing.T, w *world, q agent.SCEP) *x509.Certificate {
	t.Helper()
	return s.ask(t, w, q)
}

// desk gives an outside authority's challenges, each for one common name.
type desk struct {
	mu    sync.Mutex
	names map[string]string
	gone  bool // it answers nobody
}

var _ ca.Challenges = (*desk)(nil)

func (d *desk) give(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	challenge := rand.Text()
	d.names[challenge] = name
	return challenge
}

func (d *desk) away(gone bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = gone
}

func (d *desk) Lookup(_ context.Context, challenge string) (ca.Grant, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name, ok := d.names[challenge]
	if !ok {
		return ca.Grant{}, ward.Errorf(ward.Forbidden, "no such challenge")
	}
	return ca.Grant{Kind: ca.KindDevice, Invitation: "theirs", CommonName: name}, nil
}

func (d *desk) Redeem(_ context.Context, challenge string, _ ca.Certificate) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.names[challenge]; !ok {
		return ward.Errorf(ward.Forbidden, "no such challenge")
	}
	delete(d.names, challenge)
	return nil
}

func (d *desk) Permit(context.Context, string, ca.Attested) error {
	return ward.Errorf(ward.Forbidden, "nothing is attested here")
}

// ServeHTTP answers Ward's question for a challenge.
func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		CommonName string `json:"common_name"`
	}
	d.mu.Lock()
	gone := d.gone
	d.mu.Unlock()
	if err := json.NewDecoder(r.Body).Decode(&q); gone || err != nil || r.Header.Get("Authorization") != "Bearer theirs" {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	_, _ = io.WriteString(w, d.give(q.CommonName)+"\n") //nolint:gosec // random text, of a test
}

// secondAuthority is an outside authority with an issuer below its root, whose challenges
// are each for one request, and which a desk gives out.
func secondAuthority(t *testing.T) (*source, *desk) {
	t.Helper()
	s, d := &source{}, &desk{names: map[string]string{}}
	db := storetest.SQLite(t)
	a, err := ca.Open(t.Context(), ca.Options{
		Dir: filepath.Join(t.TempDir(), "ca"), Passphrase: []byte("theirs"), Organisation: "Their CA", PublicURL: "https://ca.hospital.example",
		Unit: db, Store: db.Certificates(), Challenges: d, Now: s.clock.now, Log: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := a.IssueServer(t.Context(), nil, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/their/scep", a.SCEP())
	mux.Handle("POST /challenge", d)
	srv := httptest.NewUnstartedServer(mux)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{*pair}, MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	header := filepath.Join(t.TempDir(), "header")
	writeFile(t, header, []byte("Authorization: Bearer theirs\n"))
	roots, issuers := pemFile(t, a.Root()), pemFile(t, a.Issuer())
	s.trust = []*x509.Certificate{a.Root()}
	s.set = func(c *Config) {
		c.CA.OutsideSCEP = OutsideSCEP{
			URL: srv.URL + "/their/scep", Name: "theirs", For: []string{"identity"}, ChallengeURL: srv.URL + "/challenge", HeaderFile: header,
			Roots: []string{roots}, Intermediates: []string{issuers},
		}
	}
	s.without = func(t *testing.T, w *world, name string) *x509.Certificate {
		t.Helper()
		return s.ask(t, w, agent.SCEP{URL: srv.URL + "/their/scep", Challenge: d.give(name)})
	}
	s.again = func(t *testing.T, w *world, q agent.SCEP) *x509.Certificate {
		t.Helper()
		return s.without(t, w, commonName(q))
	}
	return s, d
}

// scepServer is the stand-alone SCEP server of the package scep of Debian, which is micromdm's,
// behind a proxy that protects its address by TLS.
func scepServer(t *testing.T) *source {
	t.Helper()
	program, err := exec.LookPath("scepserver")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("scepserver is not installed, and CI must not skip: install the package scep")
		}
		t.Skip("SKIPPED: scepserver is not installed, so identities of a SCEP server that nobody here wrote were not tested (install the package scep)")
	}
	depot := filepath.Join(t.TempDir(), "depot")
	if out, err := exec.CommandContext(t.Context(), program, "ca", "-init", "-depot", depot, "-keySize", "2048").CombinedOutput(); err != nil {
		t.Fatalf("scepserver ca -init: %v: %s", err, out)
	}
	l := listen(t)
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err = firstOf(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	const secret = "the hospital's challenge"
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "-depot", depot, "-port", port, "-challenge", secret, "-crtvalid", "730", "-allowrenew", "0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	target := &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", port)}
	srv := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	t.Cleanup(srv.Close)
	eventually(t, "the SCEP server is up", func() bool {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "tcp", target.Host)
		return err == nil && conn.Close() == nil
	})
	challenge := filepath.Join(t.TempDir(), "challenge")
	writeFile(t, challenge, []byte(secret+"\n"))
	s := &source{trust: []*x509.Certificate{srv.Certificate()}}
	s.set = func(c *Config) {
		c.CA.OutsideSCEP = OutsideSCEP{URL: srv.URL + "/scep", For: []string{"networks", "identity"}, ChallengeFile: challenge, Roots: []string{filepath.Join(depot, "ca.pem")}}
	}
	s.without = func(t *testing.T, w *world, name string) *x509.Certificate {
		t.Helper()
		return s.ask(t, w, agent.SCEP{URL: srv.URL + "/scep", Challenge: secret, Subject: [][][]string{{{"CN", name}}}})
	}
	s.again = s.askAgain
	return s
}

// sources are the makers of enrollment.Source.
func sources() map[string]func(t *testing.T) *source {
	return map[string]func(t *testing.T) *source{
		"own": ownSource,
		"second authority": func(t *testing.T) *source {
			t.Helper()
			s, _ := secondAuthority(t)
			return s
		},
		"scepserver": scepServer,
	}
}

// rejected checks that an answer refuses, and that no certificate came into the record. What
// was refused may be audited.
func (w *world) rejected(t *testing.T, what string, deed func() said) {
	t.Helper()
	before := len(w.certificates(t, "kind=device"))
	if got := deed(); got.status != http.StatusForbidden {
		t.Errorf("%s was answered %d %q", what, got.status, got.body)
	}
	if after := len(w.certificates(t, "kind=device")); after != before {
		t.Errorf("%s: %d identities in the record, want %d", what, after, before)
	}
}

// serials are those of a device's identities.
func (w *world) serials(t *testing.T, id ward.DeviceID) (out []string) {
	t.Helper()
	for _, c := range w.certificates(t, "kind=device&device="+string(id)) {
		out = append(out, c.Serial)
	}
	return out
}

func foreign(serials []string) bool {
	return slices.ContainsFunc(serials, func(s string) bool { return strings.HasPrefix(s, "outside-") })
}
