package seal_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardmdm/ward/server/seal"
)

// TestBox: a sealed value opens in its own place and under its own key, and nowhere else.
func TestBox(t *testing.T) {
	t.Parallel()
	m := seal.NewMaster([32]byte{1})
	box := m.Box("queue")
	for _, plain := range [][]byte{nil, {}, []byte("EraseDevice"), bytes.Repeat([]byte{0}, 100_000)} {
		sealed := box.Seal(plain, "u1", "e1")
		if got, err := box.Open(sealed, "u1", "e1"); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("Open() = %d bytes, %v; want the %d that were sealed", len(got), err, len(plain))
		}
		if len(plain) > 0 && bytes.Contains(sealed, plain) {
			t.Error("what is sealed can be read")
		}
		if bytes.Equal(sealed, box.Seal(plain, "u1", "e1")) {
			t.Error("the same value sealed twice looks the same")
		}
		for name, open := range map[string]func() ([]byte, error){
			"another place":           func() ([]byte, error) { return box.Open(sealed, "u1", "e2") },
			"no place":                func() ([]byte, error) { return box.Open(sealed) },
			"the parts run together":  func() ([]byte, error) { return box.Open(sealed, "u1e1") },
			"the parts cut elsewhere": func() ([]byte, error) { return box.Open(sealed, "u", "1e1") },
			"another purpose":         func() ([]byte, error) { return m.Box("secrets").Open(sealed, "u1", "e1") },
			"another master":          func() ([]byte, error) { return seal.NewMaster([32]byte{2}).Box("queue").Open(sealed, "u1", "e1") },
			"cut short":               func() ([]byte, error) { return box.Open(sealed[:len(sealed)-1], "u1", "e1") },
			"nothing":                 func() ([]byte, error) { return box.Open(nil, "u1", "e1") },
		} {
			if _, err := open(); !errors.Is(err, seal.ErrForged) {
				t.Errorf("opened in %s: %v, want %v", name, err, seal.ErrForged)
			}
		}
		for i := 0; i < len(sealed); i += 1 + len(sealed)/50 {
			b := bytes.Clone(sealed)
			b[i] ^= 1
			if _, err := box.Open(b, "u1", "e1"); !errors.Is(err, seal.ErrForged) {
				t.Errorf("with byte %d changed: %v, want %v", i, err, seal.ErrForged)
			}
		}
	}
	if _, err := seal.NewBox(make([]byte, 16)); err == nil {
		t.Error("a short key was taken")
	}
}

func TestLoadMaster(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys", "master.key")
	first, err := seal.LoadMaster(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := seal.LoadMaster(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Derive("x"), second.Derive("x")) || bytes.Equal(first.Derive("x"), first.Derive("y")) {
		t.Error("the same file must give the same key for the same purpose, and another for another")
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadMaster(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may read: %v, want the cure", err)
	}
	for name, content := range map[string]string{"empty": "", "short": "00ff", "no hexadecimal": strings.Repeat("z", 64), "long": strings.Repeat("0", 66)} {
		bad := filepath.Join(t.TempDir(), "master.key")
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.LoadMaster(bad); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("a file that is %s: %v, want it called damaged", name, err)
		}
		if b, err := os.ReadFile(bad); err != nil || string(b) != content {
			t.Errorf("a file that is %s was changed to %q, %v", name, b, err)
		}
	}
}
