package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
)

// program finds a program that nobody here wrote. Without it the test is skipped, or fails
// where CI must not skip.
func program(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed, and CI must not skip: install the package %s", name, debian)
	}
	t.Skipf("SKIPPED: %s is not installed, so it was not tried (install the package %s)", name, debian)
	return ""
}

// ran is what came of a program.
type ran struct {
	out string // of both streams
	ok  bool
}

// runs runs a program in dir that is to come to an end by itself.
func runs(t *testing.T, dir string, env []string, stdin, name string, args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, append(os.Environ(), env...), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed || ctx.Err() != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return ran{string(out), err == nil}
}

// certificateIn reads the first certificate of a file, in PEM or as it is.
func certificateIn(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	c, err := x509.ParseCertificate(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bundle writes certificates to a file.
func bundle(t *testing.T, path string, certs ...*x509.Certificate) string {
	t.Helper()
	var b bytes.Buffer
	for _, c := range certs {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, path, b.Bytes())
	return path
}

// refusals lists the problems of what was refused to a device, or under an invitation that
// has none, and audited.
func (w *world) refusals(t *testing.T, subject string) (problems []string) {
	t.Helper()
	entries, err := w.Audit.List(w.ctx, audit.Filter{Action: authorize.ActionRefused, Subject: subject})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		problems = append(problems, e.Detail["by"]+" "+e.Detail["problem"])
	}
	slices.Sort(problems)
	return problems
}

// identityOf checks that a client got the identity that an invitation stands for.
func (w *world) identityOf(t *testing.T, cert *x509.Certificate, invitation string) {
	t.Helper()
	c, err := w.Authority.Check(t.Context(), cert)
	if err != nil || c.Kind != ca.KindDevice || c.Invitation != invitation || strings.Contains(cert.Subject.String(), "administrator") {
		t.Errorf("the certificate of %s is %+v, %v; want the identity of invitation %s", cert.Subject, c, err, invitation)
	}
}

// TestScepclient: micromdm's client gets an identity by the challenge of an invitation, over
// TLS, and none by the same challenge again or by one that was made up.
func TestScepclient(t *testing.T) {
	t.Parallel()
	client := program(t, "scepclient", "scep")
	w := start(t, "", nil)
	in := w.invite(t, ward.Corporate, nil)
	challenge := w.challenge(t, in.Token)
	dir := t.TempDir()
	enrol := func(name, challenge string) ran {
		own := filepath.Join(dir, name) // it keeps its request beside its key
		if err := os.Mkdir(own, 0o700); err != nil {
			t.Fatal(err)
		}
		return runs(t, dir, []string{"SSL_CERT_FILE=" + w.RootFile()}, "", client, "-server-url", w.URL()+ca.SCEPPath, "-challenge", challenge, "-cn", "administrator",
			"-private-key", filepath.Join(own, "key.pem"), "-certificate", filepath.Join(own, "cert.pem"), "-keySize", "2048")
	}
	if got := enrol("one", challenge); !got.ok {
		t.Fatalf("scepclient: %s", got.out)
	}
	w.identityOf(t, certificateIn(t, filepath.Join(dir, "one", "cert.pem")), in.ID)
	for name, c := range map[string]string{"two": challenge, "three": "made up"} {
		if got := enrol(name, c); got.ok || !strings.Contains(got.out, "failInfo: badRequest") {
			t.Errorf("scepclient, challenge %s: succeeded %t, want badRequest\n%s", name, got.ok, got.out)
		}
	}
	if got := w.refusals(t, string(in.Device)); !slices.Equal(got, []string{"scep unauthorized"}) || len(w.certificates(t, "kind=device")) != 1 {
		t.Errorf("audited %q and %d certificates, want one refusal, one certificate", got, len(w.certificates(t, "kind=device")))
	}
}

// TestStrongSwan: the same with a client in C, over plain HTTP as most clients of SCEP speak
// it: its messages are protected by themselves.
func TestStrongSwan(t *testing.T) {
	t.Parallel()
	pki := program(t, "pki", "strongswan-pki, with libstrongswan-standard-plugins and libstrongswan-extra-plugins")
	w := start(t, "", nil)
	h, err := w.Handler()
	if err != nil {
		t.Fatal(err)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("operation") == "GetCACaps" { // Debian's 5.9.8 misreads shorter lists than this one
			if _, err := rw.Write([]byte("AES\nDES3\nSHA-256\nSHA-384\nSHA-512\nSHA-224\nSHA-1\nPOSTPKIOperation\nSCEPStandard\nGetNextCACert\nRenewal\n")); err != nil {
				t.Error(err)
			}
			return
		}
		h.ServeHTTP(rw, r)
	}))
	t.Cleanup(plain.Close)
	in := w.invite(t, ward.Corporate, nil)
	challenge := w.challenge(t, in.Token)
	dir := t.TempDir()
	if got := runs(t, dir, nil, "", pki, "--scepca", "--url", plain.URL+ca.SCEPPath, "--caout", "ca.pem", "--outform", "pem"); !got.ok {
		t.Fatalf("pki --scepca: %s", got.out)
	}
	authority, root := filepath.Join(dir, "issuer.pem"), w.RootFile()
	bundle(t, authority, w.Authority.Issuer())
	got, err := filepath.Glob(filepath.Join(dir, "ca*.pem"))
	if err != nil || !slices.ContainsFunc(got, func(path string) bool { return certificateIn(t, path).Equal(w.Authority.Issuer()) }) {
		t.Fatalf("pki --scepca wrote %q, %v, and not the authority's certificate", got, err)
	}
	if made := runs(t, dir, nil, "", "sh", "-c", pki+" --gen --type rsa --size 2048 --outform pem > key.pem"); !made.ok {
		t.Fatalf("pki --gen: %s", made.out)
	}
	enrol := func(name, challenge string) ran {
		return runs(t, dir, nil, "", "sh", "-c", pki+` --scep --url "$1" --in key.pem --dn "CN=administrator" --password "$2" --cacert-enc "$3" --cacert-sig "$3" --cacert "$4" --outform pem > "$5"`,
			"sh", plain.URL+ca.SCEPPath, challenge, authority, root, name)
	}
	if got := enrol("one.pem", challenge); !got.ok {
		t.Fatalf("pki --scep: %s", got.out)
	}
	w.identityOf(t, certificateIn(t, filepath.Join(dir, "one.pem")), in.ID)
	if got := enrol("two.pem", challenge); got.ok || !strings.Contains(got.out, "failInfo 'badRequest'") && !strings.Contains(got.out, "failInfo") {
		t.Errorf("pki --scep with a used challenge: succeeded %t, want badRequest\n%s", got.ok, got.out)
	}
	if n := len(w.certificates(t, "kind=device")); n != 1 {
		t.Errorf("%d certificates, want 1", n)
	}
}

// appFiles is an app's certificate, on a device that is enrolled, in files.
type appFiles struct {
	w                         *world
	device                    ward.DeviceID
	cert                      *x509.Certificate
	dir, leaf, key            string
	root, issuer, host, chain string
}

func newAppFiles(t *testing.T) appFiles {
	t.Helper()
	w, d, e := tokenWorld(t)
	token, err := w.Credentials.Issue(t.Context(), credential.Grant{Device: d, Enrolment: e, App: messenger})
	if err != nil {
		t.Fatal(err)
	}
	key, csr := appRequest(t)
	chain, _, err := w.Credentials.Exchange(w.ctx, token, csr)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := appFiles{w: w, device: d, cert: chain[0], dir: dir, key: filepath.Join(dir, "app.key"), root: w.RootFile(), host: strings.TrimPrefix(w.URL(), "https://")}
	writeFile(t, f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	f.leaf = bundle(t, filepath.Join(dir, "app.pem"), chain[0])
	f.issuer = bundle(t, filepath.Join(dir, "issuer.pem"), chain[1])
	f.chain = bundle(t, filepath.Join(dir, "chain.pem"), chain...)
	return f
}

// revoke revokes the certificate, as an operator does, and waits for the list.
func (f appFiles) revoke(t *testing.T) {
	t.Helper()
	if ok, err := f.w.Authority.Revoke(f.w.ctx, f.cert.SerialNumber.String(), ca.Withdrawn, "test"); !ok || err != nil {
		t.Fatalf("Revoke() = %t, %v", ok, err)
	}
	if err := f.w.Authority.RemakeCRL(f.w.ctx); err != nil {
		t.Fatal(err)
	}
}

// list fetches the revocation list from where the certificate says that it is.
func (f appFiles) list(t *testing.T) string {
	t.Helper()
	to := filepath.Join(f.dir, "list.der")
	got := runs(t, f.dir, nil, "", program(t, "curl", "curl"), "--silent", "--show-error", "--fail", "--cacert", f.root, "--output", to, f.cert.CRLDistributionPoints[0])
	if !got.ok {
		t.Fatalf("curl: %s", got.out)
	}
	return to
}

// TestOpenSSLClient: openssl verifies an app's certificate with the list and the responder
// that it names, and shows it to the server, before it is revoked and afterwards.
func TestOpenSSLClient(t *testing.T) {
	t.Parallel()
	openssl := program(t, "openssl", "openssl")
	f := newAppFiles(t)
	run := func(stdin string, args ...string) ran { return runs(t, f.dir, nil, stdin, openssl, args...) }
	request := "GET /app/v1/me HTTP/1.1\r\nHost: " + f.host + "\r\nConnection: close\r\n\r\n"
	for _, revoked := range []bool{false, true} {
		if revoked {
			f.revoke(t)
		}
		if got := run("", "crl", "-inform", "DER", "-in", f.list(t), "-out", "list.pem", "-CAfile", f.issuer, "-verify"); !got.ok || !strings.Contains(got.out, "verify OK") {
			t.Errorf("openssl crl: %s", got.out)
		}
		got := run("", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", f.root, "-untrusted", f.issuer, "-CRLfile", "list.pem", "-crl_check", f.leaf)
		if got.ok == revoked || revoked && !strings.Contains(got.out, "certificate revoked") {
			t.Errorf("openssl verify, revoked %t: %s", revoked, got.out)
		}
		got = run("", "ocsp", "-issuer", f.issuer, "-cert", f.leaf, "-CAfile", f.root, "-url", f.cert.OCSPServer[0])
		if want := map[bool]string{false: "app.pem: good", true: "app.pem: revoked"}[revoked]; !strings.Contains(got.out, "Response verify OK") || !strings.Contains(got.out, want) {
			t.Errorf("openssl ocsp, revoked %t: %s", revoked, got.out)
		}
		got = run(request, "s_client", "-connect", f.host, "-CAfile", f.root, "-verify_return_error", "-cert", f.leaf, "-key", f.key, "-cert_chain", f.issuer, "-ign_eof", "-quiet")
		want := map[bool]string{false: `"device":"` + string(f.device) + `"`, true: "This certificate was revoked."}[revoked]
		status := map[bool]string{false: "HTTP/1.1 200 ", true: "HTTP/1.1 403 "}[revoked]
		if !strings.Contains(got.out, status) || !strings.Contains(got.out, want) {
			t.Errorf("openssl s_client, revoked %t: %s", revoked, got.out)
		}
	}
	got := run(request, "s_client", "-connect", f.host, "-CAfile", f.root, "-verify_return_error", "-ign_eof", "-quiet")
	if !strings.Contains(got.out, "HTTP/1.1 403 ") || !strings.Contains(got.out, "A client certificate is needed.") {
		t.Errorf("openssl s_client without a certificate: %s", got.out)
	}
	if got := f.w.refusals(t, string(f.device)); !slices.Equal(got, []string{"certificate revoked"}) {
		t.Errorf("audited %q, want one refusal", got)
	}
}

// TestCurl: curl shows an app's certificate where an app does, and to what a proxy asks;
// revoked it is refused by both, with the reason.
func TestCurl(t *testing.T) {
	t.Parallel()
	curl := program(t, "curl", "curl")
	f := newAppFiles(t)
	get := func(path string) string {
		return runs(t, f.dir, nil, "", curl, "--silent", "--show-error", "--include", "--http1.1", "--cacert", f.root, "--cert", f.chain, "--key", f.key, f.w.URL()+path).out
	}
	if got := get("/app/v1/me"); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, messenger) {
		t.Errorf("curl /app/v1/me: %s", got)
	}
	f.revoke(t)
	f.w.Authorizer.Forget()
	if got := get("/app/v1/me"); !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.Contains(got, "application/problem+json") || !strings.Contains(got, "This certificate was revoked.") {
		t.Errorf("curl /app/v1/me, revoked: %s", got)
	}
	if got := get("/authorize/app/" + messenger); !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.Contains(got, "X-Ward-Reason: revoked") {
		t.Errorf("curl /authorize, revoked: %s", got)
	}
}
