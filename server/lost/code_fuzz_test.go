package lost

import (
	"strings"
	"testing"
)

// FuzzPlain: whatever is typed becomes characters of the alphabet and question marks, and a
// code that was printed becomes itself again.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "ABCD-EFGH", " z s b v ", "0O1IL", "ſ‑—漢\x00\xff", strings.Repeat("A", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		got := plain(typed)
		if strings.Trim(got, codeAlphabet+"?") != "" || plain(got) != got || len(got) > 200 {
			t.Errorf("plain(%q) = %q", typed, got)
		}
	})
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for range 100 {
		code := newCode()
		if typed := strings.ToLower(grouped(code)); len(code) != codeLength || plain(typed) != code || plain(strings.ReplaceAll(typed, "-", " ")) != code {
			t.Errorf("the code %q is typed as %q and read as %q", code, typed, plain(typed))
		}
	}
	if got := plain("zzzz-ssss-bbbb-vvvv-AAAA"); got != "22225555"+"8888UUUUAAAA" {
		t.Errorf("look-alikes are read as %q", got)
	}
}
