package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/lost"
)

// TestNginx puts Debian's nginx, with the configuration that docs/authorize.md gives,
// before a messaging backend: who gets in, and how soon a lost phone does not.
func TestNginx(t *testing.T) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nginx") // which is not in everybody's path
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("nginx is not installed, and CI must not skip: install the package nginx")
		}
		t.Skip("SKIPPED: nginx is not installed, so the way through it was not tested (install the package nginx)")
	}
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "authorize.secret")
	writeFile(t, secret, []byte(rand.Text()+rand.Text()+"\n"))
	w := start(t, "", func(c *Config) { c.Authorize.SecretFile, c.Authorize.User = secret, true })
	g := startNginx(t, program, w, secret)
	phone := w.phone(t, "N", func(o *virtual.Options) { o.Supervised = true })
	id := w.enrol(t, phone, ward.Corporate)
	w.on(t, phone)
	if _, err := w.Policy.Publish(w.ctx, profiles.ExamplePolicy()); err != nil {
		t.Fatal(err)
	}
	await(t, phone, "the approved app", hasToken)
	app := w.appOf(t, phone)
	eventually(t, "the phone to comply", func() bool { return w.show(t, string(id)).Assessment.State == compliance.Compliant })

	t.Run("who gets in", func(t *testing.T) { g.whoGetsIn(t, w, id, phone, app) })
	t.Run("lost", func(t *testing.T) { g.lost(t, w, id, app) })
	t.Run("down", func(t *testing.T) {
		w.stop()
		before := g.reached.Load()
		if got := g.get(t, &app, nil); got.status != http.StatusInternalServerError || g.reached.Load() != before {
			t.Errorf("with Ward down the app was answered %d and the backend reached %d times, want 500 and not", got.status, g.reached.Load()-before)
		}
	})
}

// whoGetsIn: the app of a compliant phone does, and nobody else.
func (g *gateway) whoGetsIn(t *testing.T, w *world, id ward.DeviceID, phone *virtual.Phone, app tls.Certificate) {
	t.Helper()
	var got passed
	eventually(t, "the app to get in", func() bool { // it is judged in the moment in which it complies
		got = g.get(t, &app, http.Header{"X-Ward-Device": {"another"}, "X-Ward-Secret": {"x"}, "X-Ssl-Client-Escaped-Cert": {"y"}})
		return got.status == http.StatusOK
	})
	for name, want := range map[string]string{"X-Ward-Device": string(id), "X-Ward-App": messenger, "X-Ward-User": "ada@hospital.example", "X-Ward-Secret": ""} {
		if is := got.Header.Get(name); is != want || len(got.Header.Values(name)) > 1 {
			t.Errorf("the backend was told %s: %q, want %q", name, got.Header.Values(name), want)
		}
	}
	_, identity := certificateOf(t, phone)
	revoked := w.certify(t, id, messenger)
	if ok, err := w.Authority.Revoke(w.ctx, revoked.Leaf.SerialNumber.String(), ca.Superseded, "test"); !ok || err != nil {
		t.Fatalf("Revoke() = %v, %v", ok, err)
	}
	other := w.certify(t, id, "org.example.other")
	foreign, foreignKey := foreignAuthority(t)
	stranger := foreignDevice(t, foreign, foreignKey)
	for name, c := range map[string]struct {
		cert   *tls.Certificate
		status int
		reason string
	}{
		"a revoked certificate":     {&revoked, http.StatusForbidden, "revoked"},
		"the phone's own identity":  {&tls.Certificate{Certificate: [][]byte{identity.Certificate.Raw, w.Authority.Issuer().Raw}, PrivateKey: identity.Key}, http.StatusForbidden, "wrong-kind"},
		"another app's certificate": {&other, http.StatusForbidden, "wrong-app"},
		"another authority's":       {&tls.Certificate{Certificate: [][]byte{stranger.Raw}, PrivateKey: foreignKey}, http.StatusBadRequest, ""}, // nginx's own answer
		"no certificate":            {nil, http.StatusBadRequest, ""},
	} {
		before := g.reached.Load()
		if got := g.get(t, c.cert, nil); got.status != c.status || got.reason != c.reason || g.reached.Load() != before {
			t.Errorf("%s: %d %q, backend reached %d times; want %d %q and not", name, got.status, got.reason, g.reached.Load()-before, c.status, c.reason)
		}
	}
}

// lost: from the report on, the app is refused, and not a second later.
func (g *gateway) lost(t *testing.T, w *world, id ward.DeviceID, app tls.Certificate) {
	t.Helper()
	client := g.client(t, &app) // one connection, as an app keeps it
	if got := g.ask(t, client, nil); got.status != http.StatusOK {
		t.Fatalf("before the report the app was answered %d %s", got.status, got.reason)
	}
	begun := time.Now()
	if _, err := w.Lost.Report(w.ctx, lost.Report{Devices: []ward.DeviceID{id}}); err != nil {
		t.Fatal(err)
	}
	reported := time.Now()
	got := g.ask(t, client, nil)
	if got.status != http.StatusForbidden || got.reason != "lost" {
		t.Errorf("the next request was answered %d %q, want 403 lost", got.status, got.reason)
	}
	t.Logf("reported in %s; the next request was refused %s after the report began", reported.Sub(begun), time.Since(begun))
	if took := time.Since(begun); took > time.Second {
		t.Errorf("from the report to the refusal: %s, want less than a second", took)
	}
	eventually(t, "the refusal in the audit log", func() bool {
		if err := w.Authorizer.Flush(w.ctx); err != nil {
			t.Fatal(err)
		}
		return w.audited(t, authorize.ActionRefused) > 0
	})
}

// appOf does what the approved app does on its phone: it exchanges the token of its
// configuration, with a key of its own, for a certificate.
func (w *world) appOf(t *testing.T, p *virtual.Phone) tls.Certificate {
	t.Helper()
	config, _ := p.ManagedConfig(messenger)
	token, _ := config[virtual.ConfigToken].(string)
	key, csr := appRequest(t)
	chain, _, err := w.Credentials.Exchange(w.ctx, token, csr)
	if err != nil {
		t.Fatal(err)
	}
	return pair(chain, key)
}

// certify has the authority certify an app of a device, past the token.
func (w *world) certify(t *testing.T, id ward.DeviceID, app string) tls.Certificate {
	t.Helper()
	key, csr := appRequest(t)
	chain, err := w.Authority.IssueApp(w.ctx, csr, ca.AppGrant{Device: id, Enrolment: w.show(t, string(id)).Enrolment.ID, App: app}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair(chain, key)
}

func appRequest(t *testing.T) (*ecdsa.PrivateKey, *x509.CertificateRequest) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "app"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, csr
}

func pair(chain []*x509.Certificate, key *ecdsa.PrivateKey) tls.Certificate {
	c := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// gateway is an nginx before a backend.
type gateway struct {
	url     string
	roots   *x509.CertPool // of nginx's own certificate
	reached atomic.Int64   // how often the backend was
}

// passed is what came of a request: the answer, and what the backend was told.
type passed struct {
	status int
	reason string
	Header http.Header
}

func (g *gateway) client(t *testing.T, cert *tls.Certificate) *http.Client {
	t.Helper()
	c := &tls.Config{RootCAs: g.roots}
	if cert != nil { // shown whatever nginx says it takes
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	rt := &http.Transport{TLSClientConfig: c}
	t.Cleanup(rt.CloseIdleConnections)
	return &http.Client{Transport: rt, Timeout: 10 * time.Second}
}

// get asks over a connection of its own.
func (g *gateway) get(t *testing.T, cert *tls.Certificate, h http.Header) passed {
	t.Helper()
	return g.ask(t, g.client(t, cert), h)
}

func (g *gateway) ask(t *testing.T, client *http.Client, h http.Header) (p passed) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+"/messages", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if h != nil {
		req.Header = h
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	p.status, p.reason = res.StatusCode, res.Header.Get("X-Ward-Reason")
	if p.status == http.StatusOK {
		if err := json.Unmarshal(b, &p); err != nil {
			t.Fatalf("the backend answered %q: %v", b, err)
		}
	}
	return p
}

// startNginx runs the documented configuration until the test ends.
func startNginx(t *testing.T, program string, w *world, secretFile string) *gateway {
	t.Helper()
	g := &gateway{roots: x509.NewCertPool()}
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		g.reached.Add(1)
		if b, err := io.ReadAll(r.Body); err != nil || string(b) != "hello" {
			http.Error(rw, fmt.Sprintf("the body is %q: %v", b, err), http.StatusInternalServerError)
			return
		}
		json.NewEncoder(rw).Encode(map[string]any{"Header": r.Header}) //nolint:errcheck // the test sees what is missing
	}))
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	l := listen(t)
	address := l.Addr().String()
	chat, key := ownCertificate(t)
	g.roots.AppendCertsFromPEM(chat)
	g.url = "https://" + address
	secret, err := os.ReadFile(secretFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"chat.pem": chat, "chat.key": key, "root.pem": w.Authority.RootPEM(), "mdm.pem": w.Authority.RootPEM(),
		"authorize.conf": fmt.Appendf(nil, "proxy_set_header X-Ward-Secret %q;\n", strings.TrimSpace(string(secret))),
		"nginx.conf":     nginxConfig(t, dir, address, strings.TrimPrefix(w.URL(), "https://"), strings.TrimPrefix(backend.URL, "http://")),
	} {
		writeFile(t, filepath.Join(dir, name), b)
	}
	if err := l.Close(); err != nil { // its address is nginx's from now on
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil || t.Failed() {
			t.Errorf("nginx: %v\n%s", err, log.String())
		}
	})
	eventually(t, "nginx", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v\n%s", err, log.String())
		default:
		}
		c, err := net.Dial("tcp", address)
		if err == nil {
			err = c.Close()
		}
		return err == nil
	})
	return g
}

// nginxConfig takes the configuration out of the document, and puts this test's addresses
// and files in the place of the example's.
func nginxConfig(t *testing.T, dir, address, ward, backend string) []byte {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "docs", "authorize.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(doc), "\n```nginx\n")
	text, _, closed := strings.Cut(text, "\n```\n")
	if !ok || !closed {
		t.Fatal("docs/authorize.md has no configuration of nginx")
	}
	for old, now := range map[string]string{
		"server 127.0.0.1:8443;": "server " + ward + ";", "server 127.0.0.1:8080;": "server " + backend + ";",
		"listen 443 ssl;": "listen " + address + " ssl;", "/etc/nginx/ward/": dir + "/", "proxy_ssl_name mdm.example.org;": "proxy_ssl_name localhost;",
	} {
		if !strings.Contains(text, old) {
			t.Fatalf("the configuration has no %q", old)
		}
		text = strings.ReplaceAll(text, old, now)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // the test's folder is its own
	}
	return []byte(user + "daemon off;\nworker_processes 1;\npid " + dir + "/nginx.pid;\nerror_log stderr warn;\nevents {}\nhttp {\naccess_log off;\n" +
		"client_body_temp_path " + dir + "/b;\nproxy_temp_path " + dir + "/p;\nfastcgi_temp_path " + dir + "/f;\nuwsgi_temp_path " + dir + "/u;\nscgi_temp_path " + dir + "/s;\n" + text + "\n}\n")
}

// ownCertificate makes a certificate for an address of this machine.
func ownCertificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}
