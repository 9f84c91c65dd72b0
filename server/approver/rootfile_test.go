package approver_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example is a root of trust with everything in it.
func example() approver.Trusted {
	return approver.Trusted{
		Founders: map[string]approver.Founder{
			hash:  {ID: "apr-1", Name: "Ada <ada@h.example>", Subject: "staff 1", At: start},
			other: {ID: "apr-2", Name: "Bjørn", Subject: "staff 2", At: start.Add(time.Microsecond)},
		},
		Ended: map[string]time.Time{"apr-1": start.Add(time.Hour)},
		Key:   make([]byte, 32),
		Glass: approver.Glass{Public: make([]byte, 32), At: start},
	}
}

func TestRootFileForm(t *testing.T) {
	t.Parallel()
	got, err := approver.FormatRoot(example())
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "approvers.json.golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("FormatRoot() mismatch (-want +got):\n%s", diff)
	}
	back, err := approver.ParseRoot(got)
	if diff := cmp.Diff(example(), back); err != nil || diff != "" {
		t.Errorf("ParseRoot(): %v, mismatch (-want +got):\n%s", err, diff)
	}
}

// TestRootFileIsReadStrictly: what is not as Ward wrote it is refused, with the file's name.
func TestRootFileIsReadStrictly(t *testing.T) {
	t.Parallel()
	b, err := approver.FormatRoot(example())
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	replaced := func(old, with string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("the file does not hold %s", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for name, text := range map[string]string{
		"empty":           "",
		"half":            good[:len(good)/2],
		"unknown field":   replaced(`"version": 1,`, `"version": 1, "founder": [],`),
		"another version": replaced(`"version": 1,`, `"version": 2,`),
		"something after": good + "{}",
		"no hash":         replaced(hash, "ab"),
		"twice":           replaced(hash, other),
		"no key":          replaced(`"nonce_key"`, `"glass": null, "nonce_key"`)[:0] + replaced("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", ""),
		"a short key":     replaced("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AAAA"),
		"half a glass":    replaced(`"public_key": "AAAA`, `"public_key": "`),
		"no id":           replaced(`"id": "apr-1",`+"\n      \"at\"", `"id": "",`+"\n      \"at\""),
	} {
		path := filepath.Join(t.TempDir(), "approvers.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := approver.FileRoot(path).Read(t.Context())
		wantKind(t, name, err, ward.Unavailable)
		if err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v does not name the file", name, err)
		}
		if err := approver.FileRoot(path).Change(t.Context(), func(*approver.Trusted) error { return nil }); err == nil {
			t.Errorf("%s: Change() wrote over it", name)
		}
	}
}

func TestRootFileOpenToOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "approvers.json")
	root := approver.FileRoot(path)
	if err := root.Change(t.Context(), func(tr *approver.Trusted) error { *tr = example(); return nil }); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]ward.Kind{0o600: "", 0o400: "", 0o640: ward.Unavailable, 0o602: ward.Unavailable, 0o604: ward.Unavailable} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := root.Read(t.Context())
		wantKind(t, mode.String(), err, want)
		if err != nil && !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%v does not name the cure", err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	_, err := approver.FileRoot(link).Read(t.Context())
	wantKind(t, "a link", err, ward.Unavailable)
	_, err = approver.FileRoot(t.TempDir()).Read(t.Context())
	wantKind(t, "a folder", err, ward.Unavailable)
}

// TestRootFileChanges: another copy sees a change, one that fails leaves the file as it was,
// and a file that is gone trusts nobody.
func TestRootFileChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "approvers.json")
	one, two := approver.FileRoot(path), approver.FileRoot(path)
	read := func(r approver.Root) approver.Trusted {
		t.Helper()
		got, err := r.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := read(two); len(got.Founders) != 0 || got.Key != nil {
		t.Errorf("Read() of none = %+v", got)
	}
	change := func(r approver.Root, f func(*approver.Trusted)) {
		t.Helper()
		if err := r.Change(t.Context(), func(tr *approver.Trusted) error { f(tr); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	change(one, func(tr *approver.Trusted) { *tr = example() })
	before := read(two)
	if diff := cmp.Diff(example(), before); diff != "" {
		t.Errorf("Read() mismatch (-want +got):\n%s", diff)
	}
	change(two, func(tr *approver.Trusted) { tr.Ended["apr-2"] = start })
	change(one, func(tr *approver.Trusted) { tr.Ended["apr-3"] = start })
	for _, r := range []approver.Root{one, two} {
		if got := read(r); len(got.Ended) != 3 {
			t.Errorf("Read() = %+v, want both changes", got.Ended)
		}
	}
	if len(before.Ended) != 1 {
		t.Error("a change reached into what was read before")
	}
	boom := errors.New("no")
	err := one.Change(t.Context(), func(tr *approver.Trusted) error { clear(tr.Founders); return boom })
	if !errors.Is(err, boom) || len(read(one).Founders) != 2 {
		t.Errorf("Change() = %v with %d founders, want %v and both", err, len(read(one).Founders), boom)
	}
	if err := one.Change(t.Context(), func(tr *approver.Trusted) error { tr.Key = []byte("short"); return nil }); err == nil {
		t.Error("Change() took what Read() refuses")
	}
	if len(read(one).Founders) != 2 {
		t.Error("the file was replaced by one that can't be read")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v; want 0600", info.Mode(), err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v; want 1", len(left), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := read(one); len(got.Founders) != 0 {
		t.Errorf("Read() of a file that is gone = %+v", got)
	}
	if err := approver.FileRoot(filepath.Join(dir, "none", "approvers.json")).Change(context.Background(), func(*approver.Trusted) error { return nil }); err == nil {
		t.Error("Change() in a folder that is not there succeeded")
	}
}

// TestOnAFile: the whole story with the root in a file, seen by a second copy.
func TestOnAFile(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	path := filepath.Join(t.TempDir(), "approvers.json")
	w.root = approver.FileRoot(path)
	w.Service = w.copy(w.root)
	second := w.copy(approver.FileRoot(path))
	if got, err := second.List(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("List() = %v, %v", got, err)
	}
	ada, _, cy := w.seed()
	a := w.assert(cy, approver.ForOrder, hash)
	if _, err := second.Verify(t.Context(), a, approver.ForOrder, hash); err != nil {
		t.Errorf("Verify() by the second copy: %v", err)
	}
	if err := w.End(w.console(), ada.ID, "left"); err != nil {
		t.Fatal(err)
	}
	w.sql(`UPDATE approver SET ended_at = 0 WHERE id = $1`, ada.ID)
	_, err := second.ByPerson(t.Context(), "ada")
	wantKind(t, "ByPerson by the second copy", err, ward.NotFound)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = w.Verify(t.Context(), a, approver.ForOrder, hash)
	wantKind(t, "Verify with the file open to others", err, ward.Unavailable)
}
