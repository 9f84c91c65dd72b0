// Package tpmtest starts software TPMs for tests: the program swtpm, with an endorsement
// key and, on request, a certificate of a manufacturer for it. It is no part of what runs
// on workstations.
package tpmtest

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Vendor is a manufacturer of software TPMs with an authority of its own.
type Vendor struct{ dir string }

// TPM is a running software TPM. It ends with the test.
type TPM struct {
	// Socket is its path, short enough for a Unix socket.
	Socket string
	dir    string
	cmd    *exec.Cmd
	log    bytes.Buffer
}

// programs are needed; they come in Debian's swtpm and swtpm-tools.
var programs = []string{"swtpm", "swtpm_setup", "swtpm_localca"}

// Need skips the test where there is no software TPM, and fails it where CI is set.
func Need(t testing.TB) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed", p)
			}
			t.Skipf("SKIPPED: %s is not installed, so nothing here was tested (install the packages swtpm and swtpm-tools)", p)
		}
	}
}

// NewVendor makes a manufacturer.
func NewVendor(t testing.TB) *Vendor {
	t.Helper()
	Need(t)
	v := &Vendor{short(t)}
	tool, err := exec.LookPath("swtpm_localca")
	if err != nil {
		t.Fatal(err)
	}
	v.write(t, "localca.conf", "statedir = %[1]s\nsigningkey = %[1]s/key.pem\nissuercert = %[1]s/issuer.pem\ncertserial = %[1]s/serial\n", v.dir)
	v.write(t, "localca.options", "--platform-manufacturer Test\n--platform-version 1\n--platform-model Test\n")
	v.write(t, "setup.conf", "create_certs_tool = %s\ncreate_certs_tool_config = %s/localca.conf\ncreate_certs_tool_options = %[2]s/localca.options\nactive_pcr_banks = sha256\n", tool, v.dir)
	return v
}

func (v *Vendor) write(t testing.TB, name, format string, args ...any) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(v.dir, name), fmt.Appendf(nil, format, args...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Root returns the authority under which the certificates of its TPMs are; it made none
// before its first TPM.
func (v *Vendor) Root(t testing.TB) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(v.dir, "swtpm-localca-rootca-cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, b)
}

// Issuer returns the authority between Root and the TPMs.
func (v *Vendor) Issuer(t testing.TB) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(v.dir, "issuer.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, b)
}

func parse(t testing.TB, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TPM starts a new TPM whose endorsement key the manufacturer has certified.
func (v *Vendor) TPM(t testing.TB) *TPM {
	t.Helper()
	return start(t, "--config", filepath.Join(v.dir, "setup.conf"), "--create-ek-cert")
}

// Bare starts a new TPM whose endorsement key has no certificate.
func Bare(t testing.TB) *TPM {
	t.Helper()
	Need(t)
	return start(t)
}

func start(t testing.TB, setup ...string) *TPM {
	t.Helper()
	p := &TPM{dir: short(t)}
	p.Socket = filepath.Join(p.dir, "sock")
	args := append([]string{"--tpm2", "--tpmstate", p.dir, "--overwrite"}, setup...)
	if out, err := exec.CommandContext(t.Context(), "swtpm_setup", args...).CombinedOutput(); err != nil { //nolint:gosec // a test's own words
		t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
	p.Start(t)
	t.Cleanup(func() { p.Stop(t) })
	return p
}

// Start starts the TPM again after Stop, as when a computer is switched on.
func (p *TPM) Start(t testing.TB) {
	t.Helper()
	p.cmd = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+p.dir, //nolint:gosec,noctx // a test's own words; Stop ends it
		"--server", "type=unixio,path="+p.Socket, "--flags", "not-need-init,startup-clear")
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	dieWithParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("swtpm: %v", err)
	}
	if err := p.await(); err != nil {
		t.Fatalf("swtpm does not answer: %v", err)
	}
}

// Stop ends the TPM; what is in its memory of things that last stays.
func (p *TPM) Stop(t testing.TB) {
	t.Helper()
	if p.cmd == nil {
		return
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Errorf("end swtpm: %v", err)
	}
	_ = p.cmd.Wait() // it was killed
	p.cmd = nil
	_ = os.Remove(p.Socket) // swtpm makes it anew
}

// await waits until the TPM listens.
func (p *TPM) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", p.Socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w\n%s", err, strings.TrimSpace(p.log.String()))
		}
	}
}

// short returns a folder with a short name: a socket's has 107 bytes at most.
func short(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") //nolint:usetesting // t.TempDir's names are too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
