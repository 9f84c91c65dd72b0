package ca_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"go/build"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/tpmid"
	"github.com/wardmdm/ward/agent/tpmid/tpmtest"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
)

// stepProgram finds smallstep's command line, which Debian has not: .ci/run installs it. A
// program of KDE's has the same name.
func stepProgram(t *testing.T) string {
	t.Helper()
	why := "it is not installed"
	for _, name := range []string{"step", filepath.Join(build.Default.GOPATH, "bin", "step")} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if out, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput(); err == nil && strings.HasPrefix(string(out), "Smallstep CLI") {
			return path
		}
		why = path + " is another program"
	}
	const cure = "go install github.com/smallstep/cli/cmd/step@v0.30.2"
	if os.Getenv("CI") == "true" {
		t.Fatalf("the step CLI was not tried, and CI must not skip: %s; %s", why, cure)
	}
	t.Skipf("SKIPPED: the step CLI was not tried: %s; %s", why, cure)
	return ""
}

// stepDesk is an authority that the step CLI reaches, with the files that it is given.
type stepDesk struct {
	*tpmDesk
	program, dir string
	root         string
}

func newStepDesk(t *testing.T) *stepDesk {
	t.Helper()
	o := &stepDesk{program: stepProgram(t), dir: t.TempDir(), tpmDesk: newTPMDesk(t, storetest.SQLite(t), ca.TPMOptions{})}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.o.PublicURL = "https://" + l.Addr().String()
	if o.Authority, err = ca.Open(t.Context(), o.o); err != nil {
		t.Fatal(err)
	}
	if o.tpms, err = o.TPM(ca.TPMOptions{Store: o.db.Activations()}); err != nil {
		t.Fatal(err)
	}
	choose, err := o.ServerTLS(t.Context(), nil, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(ca.TPMPath+"/", o.tpms.Handler())
	mux.Handle(ca.ACMEPath+"/", o.ACME())
	mux.Handle(ca.OCSPPath, o.OCSP())
	mux.Handle("GET "+ca.CRLPath, o.CRL())
	mux.Handle("GET "+ca.IssuersPath+"/{issuer}", o.IssuerHandler())
	srv := &httptest.Server{Listener: tls.NewListener(l, &tls.Config{GetCertificate: choose}), Config: &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}}
	srv.Start()
	t.Cleanup(srv.Close)
	o.root = o.write(t, "root.pem", o.Root())
	return o
}

func (o *stepDesk) write(t *testing.T, name string, certs ...*x509.Certificate) string {
	t.Helper()
	var b bytes.Buffer
	for _, c := range certs {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// step runs the step CLI and returns what it wrote to both streams, and whether it succeeded.
func (o *stepDesk) step(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, o.program, args...)
	cmd.Dir, cmd.Env = o.dir, append(os.Environ(), "STEPPATH="+filepath.Join(o.dir, "step"), "HOME="+o.dir)
	out, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed || ctx.Err() != nil {
		t.Fatalf("step %q: %v\n%s", args, err, out)
	}
	return string(out), err == nil
}

// TestStepReads: the step CLI verifies a certificate with the list, the responder and the
// issuer that it names, and prints it and the list.
func TestStepReads(t *testing.T) {
	t.Parallel()
	o := newStepDesk(t)
	good, revoked := issueApp(t, o.fixture, appGrant), issueApp(t, o.fixture, appGrant)
	if _, err := o.Revoke(t.Context(), revoked.SerialNumber.String(), ca.KeyCompromise, "test"); err != nil {
		t.Fatal(err)
	}
	if err := o.RemakeCRL(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string]*x509.Certificate{"good": good, "revoked": revoked} {
		chain := o.write(t, name+".pem", cert, o.Issuer())
		if out, ok := o.step(t, "certificate", "verify", chain, "--roots", o.root); !ok {
			t.Errorf("step certificate verify %s: %s", name, out)
		}
		for _, way := range []string{"--verify-crl", "--verify-ocsp"} {
			if out, ok := o.step(t, "certificate", "verify", chain, "--roots", o.root, way); ok != (name == "good") || !ok && !strings.Contains(out, "revoked") {
				t.Errorf("step certificate verify %s %s: succeeded %t: %s", way, name, ok, out)
			}
		}
		var seen struct {
			Subject struct{ Serial string } `json:"-"`
			Serial  string                  `json:"serial_number"`
			Ext     struct {
				Names struct {
					URIs []string `json:"uniform_resource_identifiers"`
				} `json:"subject_alt_name"`
			} `json:"extensions"`
		}
		out, ok := o.step(t, "certificate", "inspect", chain, "--format", "json")
		if err := json.Unmarshal([]byte(out), &seen); err != nil || !ok || seen.Serial != cert.SerialNumber.String() || len(seen.Ext.Names.URIs) != 2 || seen.Ext.Names.URIs[0] != "urn:ward:device:d1" {
			t.Errorf("step certificate inspect: %v, %+v: %s", err, seen, out)
		}
	}
	issuer := o.write(t, "issuer.pem", o.Issuer())
	out, ok := o.step(t, "crl", "inspect", "--ca", issuer, "--roots", o.root, good.CRLDistributionPoints[0])
	if !ok || !strings.Contains(out, revoked.SerialNumber.String()) || strings.Contains(out, good.SerialNumber.String()) || !strings.Contains(out, "Valid: true") {
		t.Errorf("step crl inspect: succeeded %t: %s", ok, out)
	}
}

// TestStepEnrols: the step CLI has a TPM's attestation key certified and gets an identity for
// a key of that TPM by ACME; by the same challenge it gets nothing again, and no other TPM does.
func TestStepEnrols(t *testing.T) {
	t.Parallel()
	tpmtest.Need(t)
	o := newStepDesk(t)
	p, other := tpmtest.Bare(t), tpmtest.Bare(t)
	w, err := tpmid.Open(t.Context(), tpmid.Options{Device: p.Socket, Dir: t.TempDir(), HTTP: http.DefaultClient})
	if err != nil {
		t.Fatal(err)
	}
	ek, err := w.EK(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.counter.permit = func(by ca.Attested) error {
		if by.Serial != ek {
			return ward.Errorf(ward.Forbidden, "This challenge is for another workstation.")
		}
		return nil
	}
	o.counter.allow("one", ca.FormatTPM, ek)
	o.counter.allow("two", ca.FormatTPM, ek)
	enrol := func(p *tpmtest.TPM, challenge, key, name string) (string, bool) {
		return o.step(t, "ca", "certificate", name, key+".pem", key+".key", "--acme", o.DirectoryURL(challenge, ca.FormatTPM), "--root", o.root,
			"--attestation-uri", "tpmkms:name="+key+";device="+p.Socket, "--attestation-ca-url", o.o.PublicURL+ca.TPMPath+"/"+challenge, "--attestation-ca-root", o.root,
			"--tpm-storage-directory", filepath.Join(o.dir, filepath.Base(filepath.Dir(p.Socket))), "--force")
	}
	if out, ok := enrol(p, "one", "first", ek); !ok {
		t.Fatalf("step ca certificate: %s", out)
	}
	b, err := os.ReadFile(filepath.Join(o.dir, "first.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("step wrote %s", b)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := o.Check(t.Context(), cert); err != nil || c.Invitation != "inv-one" || c.Attested != (ca.Attested{Format: ca.FormatTPM, Serial: ek}) {
		t.Errorf("Check() = %+v, %v", c, err)
	}
	if out, ok := o.step(t, "certificate", "verify", "first.pem", "--roots", o.root, "--verify-crl", "--verify-ocsp"); !ok {
		t.Errorf("step certificate verify: %s", out)
	}
	for name, tt := range map[string]struct {
		p              *tpmtest.TPM
		challenge, ask string
		want           string
	}{
		"a used challenge":        {p, "one", ek, "used already"},
		"a challenge nobody made": {p, "three", ek, ""},
		"another TPM":             {other, "two", ek, "403"},
		"another name":            {p, "two", "S1", "permanent identifier"},
	} {
		if out, ok := enrol(tt.p, tt.challenge, "again", tt.ask); ok || !strings.Contains(out, tt.want) {
			t.Errorf("step ca certificate with %s: succeeded %t: %s", name, ok, out)
		}
	}
	if _, err := os.Stat(filepath.Join(o.dir, "again.pem")); err == nil {
		t.Error("a certificate was issued to somebody else")
	}
	certs, err := o.db.Certificates().CertificatesOfInvitation(t.Context(), "inv-two")
	if err != nil || len(certs) != 0 {
		t.Errorf("%d certificates, %v; want none", len(certs), err)
	}
}

// TestStepACMERefused: what the step CLI orders by ACME elsewhere, a host name, is no order
// here, and it says why.
func TestStepACMERefused(t *testing.T) {
	t.Parallel()
	o := newStepDesk(t)
	o.counter.allow("one", ca.FormatApple, "S1")
	out, ok := o.step(t, "ca", "certificate", "ward.example", "x.pem", "x.key", "--acme", o.DirectoryURL("one", ca.FormatApple), "--root", o.root, "--standalone")
	if ok || !strings.Contains(out, "permanent identifier") {
		t.Errorf("step ca certificate: succeeded %t: %s", ok, out)
	}
}
