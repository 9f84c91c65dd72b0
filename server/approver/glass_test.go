package approver_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
)

func TestGlass(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	wantKind(t, "without a key", w.VerifyGlass(t.Context(), hash, nil), ward.NotFound)
	for _, via := range []ward.Via{"", ward.ViaSession, ward.ViaToken, ward.ViaSystem} {
		_, err := w.MakeGlass(ward.WithActor(t.Context(), ward.Actor{Person: "ada", Via: via}))
		wantKind(t, "made by "+string(via), err, ward.Forbidden)
	}
	parts, err := w.MakeGlass(w.console())
	if err != nil {
		t.Fatal(err)
	}
	g, ok, err := w.Glass(t.Context())
	if err != nil || !ok || len(g.Public) != 32 || !g.At.Equal(start) || w.audit.count(approver.ActionGlassMade) != 1 {
		t.Errorf("Glass() = %+v, %v, %v", g, ok, err)
	}
	form := regexp.MustCompile(`^ward-glass-[12](-[A-Z2-7]{4}){16}$`)
	for i, p := range parts {
		if !form.MatchString(p) || p[11] != byte('1'+i) {
			t.Errorf("part %d is %q", i+1, p)
		}
	}
	sig, err := approver.SignGlass(parts[0], parts[1], hash)
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, "as it should be", w.VerifyGlass(t.Context(), hash, sig), "")
	wantKind(t, "another hash", w.VerifyGlass(t.Context(), other, sig), ward.Forbidden)
	wantKind(t, "no hash", w.VerifyGlass(t.Context(), "", sig), ward.Forbidden)
	wantKind(t, "no signature", w.VerifyGlass(t.Context(), hash, nil), ward.Forbidden)
	wantKind(t, "altered", w.VerifyGlass(t.Context(), hash, flipped(sig, 3)), ward.Forbidden)

	older := parts
	if parts, err = w.MakeGlass(w.console()); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "by the key before", w.VerifyGlass(t.Context(), hash, sig), ward.Forbidden)
	for name, c := range map[string]struct {
		first, second, hash, says string
	}{
		"part 1 twice":     {parts[0], parts[0], hash, "envelope holds part 2"},
		"part 2 twice":     {parts[1], parts[1], hash, "envelope holds part 1"},
		"of two keys":      {parts[0], older[1], hash, "different keys"},
		"no hash":          {parts[0], parts[1], "x", "not the hash"},
		"nothing":          {"", parts[1], hash, "first part does not begin"},
		"something else":   {parts[0], "open sesame", hash, "second part does not begin"},
		"a part 3":         {strings.Replace(parts[0], "glass-1", "glass-3", 1), parts[1], hash, "first part does not begin"},
		"marked wrongly":   {strings.Replace(parts[0], "glass-1", "glass-2", 1), parts[1], hash, "first part is mistyped"},
		"cut short":        {parts[0][:len(parts[0])-9], parts[1], hash, "first part is not whole"},
		"a digit too many": {parts[0] + "-AAAAAAAA", parts[1], hash, "first part is not whole"},
		"the digit 0":      {parts[0][:20] + "0" + parts[0][21:], parts[1], hash, "first part is mistyped"},
		"far too long":     {strings.Repeat(parts[0], 30), parts[1], hash, "far too long"},
	} {
		_, err := approver.SignGlass(c.first, c.second, c.hash)
		wantKind(t, name, err, ward.Invalid)
		if err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q does not say %q", name, err, c.says)
		}
	}
	for name, in := range map[string][2]string{
		"the other way round": {parts[1], parts[0]},
		"in small letters":    {strings.ToLower(parts[0]), strings.ToLower(parts[1])},
		"with blanks":         {" " + strings.ReplaceAll(parts[0], "-", " - "), strings.ReplaceAll(parts[1], "-", "\n")},
		"without hyphens":     {strings.ReplaceAll(parts[0], "-", ""), parts[1]},
	} {
		sig, err := approver.SignGlass(in[0], in[1], hash)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wantKind(t, name, w.VerifyGlass(t.Context(), hash, sig), "")
	}
}

// TestGlassMistyped: one wrong character anywhere is told apart, and in which part it is.
func TestGlassMistyped(t *testing.T) {
	t.Parallel()
	parts, _, err := approver.NewGlass()
	if err != nil {
		t.Fatal(err)
	}
	for i := len("ward-glass-1-"); i < len(parts[1]); i++ {
		if parts[1][i] == '-' {
			continue
		}
		wrong := byte('A')
		if parts[1][i] == wrong {
			wrong = 'B'
		}
		_, err := approver.SignGlass(parts[0], parts[1][:i]+string(wrong)+parts[1][i+1:], hash)
		if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), "second part is mistyped") {
			t.Errorf("character %d: %v, want that the second part is mistyped", i, err)
		}
	}
}

// TestGlassNeedsItsRecord: no key is made without a record of it.
func TestGlassNeedsItsRecord(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	w.audit.fail = approver.ActionGlassMade
	if parts, err := w.MakeGlass(w.console()); err == nil || parts != [2]string{} {
		t.Errorf("MakeGlass() = %v, %v; want an error", parts, err)
	}
	if _, ok, err := w.Glass(t.Context()); ok || err != nil {
		t.Errorf("Glass() = %t, %v; want none", ok, err)
	}
	w = newFileWorld(t)
	w.Service = w.copy(brokenRoot{errBroken})
	if parts, err := w.MakeGlass(w.console()); err == nil || parts != [2]string{} {
		t.Errorf("MakeGlass() = %v, %v; want an error and no parts that nobody could use", parts, err)
	}
}

// FuzzSignGlass: whatever people type, it is refused by what is wrong with it, or signs.
func FuzzSignGlass(f *testing.F) {
	parts, _, err := approver.NewGlass()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(parts[0], parts[1])
	f.Add(parts[1], strings.ToLower(parts[0]))
	f.Add("ward-glass-1-", "ward-glass-2")
	f.Fuzz(func(t *testing.T, first, second string) {
		sig, err := approver.SignGlass(first, second, hash)
		if err != nil {
			wantKind(t, "SignGlass", err, ward.Invalid)
			return
		}
		again, err := approver.SignGlass(second, first, hash)
		if err != nil || len(sig) != 64 || !bytes.Equal(sig, again) {
			t.Errorf("SignGlass() = %x, the other way round %x, %v", sig, again, err)
		}
	})
}
