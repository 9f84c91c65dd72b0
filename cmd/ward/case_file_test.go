package main

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func archiveOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("of " + name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What the server sends can't leave the folder, or write over what is there.
func TestUnpack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		archive []byte
		before  string // a file that is there already
		want    []string
		err     string
	}{
		{"the three parts", archiveOf(t, "case-1.json", "case-1.pdf", "case-1.pdf.p7s"), "", []string{"case-1.json", "case-1.pdf", "case-1.pdf.p7s"}, ""},
		{"out of the folder", archiveOf(t, "case-1.json", "../case-1.pdf"), "", nil, `a file called "../case-1.pdf"`},
		{"another kind of file", archiveOf(t, "profile.sh"), "", nil, `a file called "profile.sh"`},
		{"nothing", archiveOf(t), "", nil, "it holds no file"},
		{"no archive", []byte("<html>"), "", nil, "not what this version of ward expects"},
		{"written over", archiveOf(t, "case-1.json", "case-1.pdf"), "case-1.pdf", []string{"case-1.pdf"}, "exists already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if tt.before != "" {
				if err := os.WriteFile(filepath.Join(dir, tt.before), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := unpack(tt.archive, dir)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("unpack: error %v, want %q", err, tt.err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range entries {
				got = append(got, e.Name())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("unpack mismatch (-want +got):\n%s", diff)
			}
		})
	}
}
