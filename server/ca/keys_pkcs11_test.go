//go:build pkcs11

package ca_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/wardmdm/ward/server/store"
)

// taggedSigners are those of this build's tags: go test -tags pkcs11 ./server/ca
var taggedSigners = map[string]func(t *testing.T, db *store.DB) *signing{"pkcs11": inToken}

// modules is where distributions put SoftHSM.
var modules = []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"}

// softToken makes a token of SoftHSM and returns the URI of a key in it, without the PIN's
// file, and that file. SoftHSM reads its settings from the environment once in a process.
func softToken(t *testing.T, label string) (uri, pin string) {
	t.Helper()
	var module string
	for _, m := range modules {
		if _, err := os.Stat(m); err == nil {
			module = m
		}
	}
	if _, err := exec.LookPath("softhsm2-util"); err != nil || module == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("SoftHSM is needed (package softhsm2)")
		}
		t.Skip("SKIPPED: SoftHSM is not installed, so no key in a PKCS #11 token was tested (install the package softhsm2)")
	}
	if err := prepareTokens(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin", "5678").CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	pin = filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte("1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("pkcs11:module-path=%s;token=%s;id=01;object=ward-issuer", module, label), pin
}

// prepareTokens tells SoftHSM where its tokens are, before the library is loaded.
func prepareTokens(dir string) error {
	tokens := filepath.Join(dir, "tokens")
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return err
	}
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		return err
	}
	return os.Setenv("SOFTHSM2_CONF", conf)
}

func inToken(t *testing.T, db *store.DB) *signing {
	t.Helper()
	uri, pin := softToken(t, "ward")
	return &signing{fixture: keyedFixture(t, db, uri+"?pin-source="+pin)}
}
