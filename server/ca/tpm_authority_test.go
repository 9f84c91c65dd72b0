package ca_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/tpmid/tpmtest"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
)

// certify has the desk certify the computer's attestation key under a challenge.
func (o *tpmDesk) certify(t *testing.T, challenge string, w *computer) error {
	t.Helper()
	var q tpmQuestion
	if err := o.post(t, challenge, "attest", w.claim(t), &q); err != nil {
		return err
	}
	var got tpmChain
	return o.post(t, challenge, "secret", tpmSecret{w.answer(t, q)}, &got)
}

// TestAttestationRootAmongCopies: copies of the server with folders of their own never
// have two attestation authorities, and one that lacks the folder says so.
func TestAttestationRootAmongCopies(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	w := newComputer(t, tpmtest.Bare(t))
	one, two := newTPMDesk(t, db, ca.TPMOptions{}), newTPMDesk(t, db, ca.TPMOptions{})
	for _, o := range []*tpmDesk{one, two} {
		o.counter.allow("a", ca.FormatTPM, w.name(t))
	}
	if err := one.certify(t, "a", w); err != nil {
		t.Fatalf("the first copy: %v", err)
	}
	refusedTPM(t, "the other copy", two.certify(t, "a", w), ward.Unavailable, "the server's log says why")
	if c, err := two.AttestationRoot(); c != nil || err != nil {
		t.Errorf("the other copy has an authority of its own: %v, %v", c, err)
	}
	if said := two.logs.FilterMessage("tpm request refused").All(); len(said) != 1 || !strings.Contains(fmt.Sprint(said[0].ContextMap()["error"]), filepath.Join(two.o.Dir, "tpm")) {
		t.Errorf("the log says %v, want where the folder belongs", said)
	}
	if err := os.CopyFS(filepath.Join(two.o.Dir, "tpm"), os.DirFS(filepath.Join(one.o.Dir, "tpm"))); err != nil {
		t.Fatal(err)
	}
	if err := two.certify(t, "a", w); err != nil {
		t.Errorf("the other copy with the folder: %v", err)
	}
	a, err := one.AttestationRoot()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := two.AttestationRoot(); err != nil || !a.Equal(b) {
		t.Errorf("the roots differ: %v", err)
	}
}

// slower is a store in which another copy of the server is always first.
type slower struct{ ca.Activations }

func (slower) ClaimAttestationRoot(context.Context, string) (string, error) {
	return "another", nil
}

// TestAttestationRootLosesTheRace: of two copies that make one at the same moment the
// later keeps nothing.
func TestAttestationRootLosesTheRace(t *testing.T) {
	t.Parallel()
	o := newTPMDesk(t, storetest.SQLite(t), ca.TPMOptions{})
	w := newComputer(t, tpmtest.Bare(t))
	o.counter.allow("a", ca.FormatTPM, w.name(t))
	o.serve(t, ca.TPMOptions{Store: slower{o.db.Activations()}})
	refusedTPM(t, "the later copy", o.certify(t, "a", w), ward.Unavailable, "the server's log says why")
	if _, err := os.Stat(filepath.Join(o.o.Dir, "tpm")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder stays: %v", err)
	}
}

// TestAttestationKeyAtRest: the key is encrypted and nobody else's to read, and one of
// several first users makes it.
func TestAttestationKeyAtRest(t *testing.T) {
	t.Parallel()
	o := newTPMDesk(t, storetest.SQLite(t), ca.TPMOptions{})
	p := tpmtest.Bare(t)
	w := newComputer(t, p)
	o.counter.allow("a", ca.FormatTPM, w.name(t))
	o.counter.allow("b", ca.FormatTPM, w.name(t))
	var wg sync.WaitGroup
	for _, c := range []string{"a", "b"} {
		var q tpmQuestion
		if err := o.post(t, c, "attest", w.claim(t), &q); err != nil {
			t.Fatal(err)
		}
		answer := tpmSecret{w.answer(t, q)}
		wg.Go(func() {
			var got tpmChain
			if err := o.post(t, c, "secret", answer, &got); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"root.key", "root.pem"} {
		path := filepath.Join(o.o.Dir, "tpm", name)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		if b, err := os.ReadFile(path); err != nil || (name == "root.key") != bytes.Contains(b, []byte("ENCRYPTED PRIVATE KEY")) {
			t.Errorf("%s: %.40q, %v", name, b, err)
		}
	}
	if made := o.logs.FilterMessage("attestation authority made").Len(); made != 1 {
		t.Errorf("it was made %d times", made)
	}
	if _, err := o.TPM(ca.TPMOptions{}); err == nil {
		t.Error("TPM() without a store is no error")
	}
}
