package web

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

func TestFold(t *testing.T) {
	t.Parallel()
	sentence := strings.Repeat("word ", 39) + "end. " // 200 bytes
	long, endless := strings.TrimSpace(strings.Repeat(sentence, 6)), strings.Repeat("w", 1500)
	cut := strings.TrimSpace(strings.Repeat(sentence, 2))
	three := strings.TrimSpace(strings.Repeat(sentence, 3))
	for _, tt := range []struct {
		name, text string
		lead, rest []string
	}{
		{"nothing", " \n\n ", nil, nil},
		{"short", "One.\n\n\nTwo.\n- a\n- b\n", []string{"One.", "Two.\n- a\n- b"}, nil},
		{"as long as stands open", cut + "\n\n" + cut, []string{cut, cut}, nil},
		{"paragraphs", cut + "\n\n" + cut + "\n\n" + cut, []string{cut}, []string{cut, cut}},
		{"none after a folded one stands open", cut + "\n\n" + long + "\n\nEnd.", []string{cut}, []string{long, "End."}},
		{"one paragraph", long, []string{three}, []string{three}},
		{"no sentence ends", endless + "\n\nEnd.", []string{endless}, []string{"End."}},
	} {
		lead, rest := fold(tt.text)
		if diff := cmp.Diff([2][]string{tt.lead, tt.rest}, [2][]string{lead, rest}); diff != "" {
			t.Errorf("fold(%s) mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
}

// FuzzFold: no word of a notice is lost, and some of it stands open.
func FuzzFold(f *testing.F) {
	for _, seed := range []string{"", "a. b", strings.Repeat("é. ", 700), strings.Repeat("x\n\n", 600), "\r\n\r\n."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lead, rest := fold(text)
		got := strings.Fields(strings.Join(append(lead, rest...), " "))
		if want := strings.Fields(text); !slices.Equal(want, got) {
			t.Errorf("fold kept the words %q, want %q", got, want)
		}
		if len(lead) == 0 && len(got) > 0 {
			t.Error("fold left nothing open")
		}
	})
}

// FuzzChooseLanguage: whatever a browser says, a language that is offered is chosen.
func FuzzChooseLanguage(f *testing.F) {
	for _, seed := range []string{"", "cy", "en;q=x", "*", "pt-PT,pt;q=0.5", strings.Repeat("a-", 300)} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, header, query string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/staff", nil)
		r.Header.Set("Accept-Language", header)
		r.URL.RawQuery = "lang=" + query
		for _, offered := range [][]string{nil, {"en"}, {"en", "cy", "pt-BR", "zz"}} {
			if got := chooseLanguage(r, offered); got != "en" && !strings.Contains(strings.Join(offered, " "), got) {
				t.Errorf("chooseLanguage(%q, %q) = %q, want one of %q", header, query, got, offered)
			}
		}
	})
}

func TestLanguageName(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{"en": "English", "cy": "Cymraeg", "pt-BR": "português", "zz": "zz", "qaa": "qaa"} {
		if got := languageName(code); got != want {
			t.Errorf("languageName(%q) = %q, want %q", code, got, want)
		}
	}
}

func TestNumberOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"020 7946 0000": "tel:02079460000", "+44 (20) 7946-0000": "tel:+442079460000", "999": "tel:999",
		"": "", "the switchboard": "", "020 7946 0000 ext 5": "", "javascript:1": "", "+": "",
	} {
		if got := numberOf(text); string(got.Call) != want || got.Text != text {
			t.Errorf("numberOf(%q) = %+v, want %q", text, got, want)
		}
	}
}

// TestStaffPageWithoutPolicies: a server that knows of no policies has no such page.
func TestStaffPageWithoutPolicies(t *testing.T) {
	t.Parallel()
	s := &Server{Options: Options{Log: zap.NewNop()}}
	err := s.staff(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/staff", nil))
	if err == nil || !strings.Contains(err.Error(), "no page at this address") {
		t.Errorf("staff() = %v, want that there is no such page", err)
	}
}
