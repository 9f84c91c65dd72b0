package server

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/credential"
)

// documented returns the program in a language that docs/app-certificates.md gives.
func documented(t *testing.T, language string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "app-certificates.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)\n```").FindSubmatch(text)
	if m == nil {
		t.Fatalf("docs/app-certificates.md has no program in %s", language)
	}
	return append(m[1], '\n')
}

// TestDocumentedExchange runs the programs of docs/app-certificates.md against a server: the
// first time they get a certificate that works, the second time they say that the token was
// used.
func TestDocumentedExchange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		language string
		needs    []string
		command  func(dir string) *exec.Cmd
	}{
		{"go", []string{"go"}, func(dir string) *exec.Cmd {
			write(t, filepath.Join(dir, "main.go"), documented(t, "go"))
			write(t, filepath.Join(dir, "go.mod"), []byte("module certificate\n\ngo 1.24\n"))
			return exec.CommandContext(t.Context(), "go", "run", ".")
		}},
		{"sh", []string{"sh", "curl", "openssl", "jq"}, func(dir string) *exec.Cmd {
			write(t, filepath.Join(dir, "certificate.sh"), documented(t, "sh"))
			return exec.CommandContext(t.Context(), "sh", "certificate.sh")
		}},
	} {
		t.Run(tt.language, func(t *testing.T) {
			t.Parallel()
			for _, program := range tt.needs {
				if _, err := exec.LookPath(program); err != nil {
					if os.Getenv("CI") == "true" {
						t.Fatalf("%s is not installed, and CI must not skip", program)
					}
					t.Skipf("SKIPPED: %s is not installed, so the documented exchange in %s was not tested", program, tt.language)
				}
			}
			w, d, e := tokenWorld(t)
			token, err := w.Credentials.Issue(t.Context(), credential.Grant{Device: d, Enrolment: e, App: messenger})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			run := func() (string, error) {
				cmd := tt.command(dir)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "WARD_URL="+w.URL(), "WARD_TOKEN="+token, "SSL_CERT_FILE="+w.RootFile(), "GOFLAGS=", "GOWORK=off")
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				err := cmd.Run()
				return out.String(), err
			}
			out, err := run()
			if err != nil || !strings.Contains(out, `"device":"`+string(d)+`"`) || !strings.Contains(out, messenger) {
				t.Fatalf("the first time: %v\n%s", err, out)
			}
			if tt.language == "sh" && !strings.Contains(out, "URI:urn:ward:device:"+string(d)) {
				t.Errorf("openssl does not see the device's name:\n%s", out)
			}
			if out, err := run(); err == nil || !strings.Contains(out, "This token is unknown, used or expired") {
				t.Errorf("the second time: %v\n%s", err, out)
			}
		})
	}
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tokenWorld is a server with one enrolled device, whose policy gives the app a certificate.
func tokenWorld(t *testing.T) (w *world, d ward.DeviceID, e ward.EnrolmentID) {
	t.Helper()
	f := newNetworkFixture(t, "")
	f.w.publishExample(t)
	return f.w, f.id, f.w.show(t, "SN1").Enrolment.ID
}

func (w *world) publishExample(t *testing.T) {
	t.Helper()
	if _, err := w.Policy.Publish(w.ctx, profiles.ExamplePolicy()); err != nil {
		t.Fatal(err)
	}
}

// TestRenewalRefused: an app whose device may not have its certificate renewed is told why,
// and what it has is left alone.
func TestRenewalRefused(t *testing.T) {
	t.Parallel()
	w, d, e := tokenWorld(t)
	exchange := func() (status int, kind, body string) {
		t.Helper()
		token, err := w.Credentials.Issue(t.Context(), credential.Grant{Device: d, Enrolment: e, App: messenger})
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, sharedKey(t))
		if err != nil {
			t.Fatal(err)
		}
		in, err := json.Marshal(map[string]string{"token": token, "csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))})
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.people.Post(w.URL()+"/app/v1/certificate", "application/json", bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(res.Body)
		if err = firstOf(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Header.Get("Content-Type"), string(out)
	}
	if status, _, body := exchange(); status != http.StatusOK {
		t.Fatalf("the first certificate: %d %s", status, body)
	}
	status, kind, body := exchange()
	if status != http.StatusForbidden || !strings.HasPrefix(kind, "application/problem+json") || !strings.Contains(body, "It has not told anything about itself yet") {
		t.Errorf("a renewal for a device that told nothing: %d %s %s, want 403 with the reason", status, kind, body)
	}
}
