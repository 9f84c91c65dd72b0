package brake_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/wardmdm/ward/server/brake"
)

func TestFileAnchor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "brake.head")
	a := brake.FileAnchor(path)
	if _, _, err := a.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of none = %v", err)
	}
	for _, tt := range []struct {
		seq  int64
		mac  string
		want int64
	}{{0, "", 0}, {7, "seven", 7}, {5, "five", 7}, {7, "other", 7}, {8, "eight", 8}} {
		if err := a.Save(tt.seq, []byte(tt.mac)); err != nil {
			t.Fatal(err)
		}
		if seq, _, err := brake.FileAnchor(path).Load(); seq != tt.want || err != nil {
			t.Errorf("after Save(%d): Load = %d, %v; want %d", tt.seq, seq, err, tt.want)
		}
	}
	if _, mac, _ := a.Load(); string(mac) != "eight" {
		t.Errorf("the MAC is %q", mac)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("Stat = %v, %v; want it its owner's alone", st.Mode(), err)
	}
	for _, text := range []string{"", "{", `{"seq":-1,"mac":"eA=="}`, `{"seq":3}`, `{"seq":0,"mac":"eA=="}`, `"x"`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := a.Load(); !errors.Is(err, brake.ErrTampered) {
			t.Errorf("Load of %q = %v", text, err)
		}
	}
	if err := a.Save(9, []byte("nine")); err != nil {
		t.Errorf("Save over a damaged file = %v", err)
	}
	if files, err := os.ReadDir(dir); len(files) != 1 || err != nil {
		t.Errorf("the folder holds %v, %v; want one file", files, err)
	}
	if err := brake.FileAnchor(filepath.Join(dir, "gone", "brake.head")).Save(1, []byte("x")); err == nil {
		t.Error("saved into a folder that is not there")
	}
}
