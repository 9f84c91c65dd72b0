package estate_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"pgregory.net/rapid"
)

func subset[T any](all ...T) *rapid.Generator[[]T] {
	return rapid.Custom(func(t *rapid.T) (out []T) {
		for _, v := range all {
			if rapid.Bool().Draw(t, "with") {
				out = append(out, v)
			}
		}
		return out
	})
}

func filters() *rapid.Generator[estate.Filter] {
	return rapid.Custom(func(t *rapid.T) estate.Filter {
		f := estate.Filter{
			Search:    rapid.SampledFrom([]string{"", "ward 7", "a&b=c", "ß 100% + x"}).Draw(t, "search"),
			States:    subset(estate.Attention...).Draw(t, "states"),
			Sites:     subset("", "Royal Infirmary", "St Mary’s").Draw(t, "sites"),
			Groups:    subset("", "Ward 7", "Ward 10").Draw(t, "groups"),
			Platforms: subset(ward.IOS, ward.MacOS, ward.Linux).Draw(t, "platforms"),
			Ownership: rapid.SampledFrom([]ward.Ownership{"", ward.Corporate, ward.Personal}).Draw(t, "ownership"),
			OS:        rapid.SampledFrom([]string{"", "26", "26.1", "old"}).Draw(t, "os"),
			Findings:  subset("no-passcode", "not-seen").Draw(t, "findings"),
			App:       rapid.SampledFrom([]string{"", "whatsapp"}).Draw(t, "app"),
			Blocked:   rapid.Bool().Draw(t, "blocked"),
			Approved:  rapid.SampledFrom([]string{"", "ready", "not-ready"}).Draw(t, "approved"),
			NotSeen:   rapid.SampledFrom([]int{0, 7, 30}).Draw(t, "not seen"),
			Enrolled:  rapid.Bool().Draw(t, "enrolled"),
		}
		if rapid.Bool().Draw(t, "as of") {
			f.AsOf = start.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "after")))
		}
		return f
	})
}

// TestFilterRoundTrip: an address says all of a filter.
func TestFilterRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := filters().Draw(t, "filter")
		q, err := url.ParseQuery(f.Values().Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := estate.ParseFilter(q)
		if err != nil {
			t.Fatalf("ParseFilter(%s): %v", q.Encode(), err)
		}
		if diff := cmp.Diff(f, got); diff != "" {
			t.Fatalf("ParseFilter(%s) mismatch (-want +got):\n%s", q.Encode(), diff)
		}
		for key := range q {
			if !slices.Contains(estate.Keys(), key) {
				t.Fatalf("Keys() lacks %s", key)
			}
		}
		if (len(q) == 0) != (len(f.Words()) == 0) {
			t.Fatalf("Words() = %v of %s", f.Words(), q.Encode())
		}
	})
}

// TestFilterWrong: every mistake is named, with what would be right.
func TestFilterWrong(t *testing.T) {
	t.Parallel()
	tests := []struct{ query, want string }{
		{"state=green", `state: "green" is no state. The states are lost, non-compliant,`},
		{"platform=symbian", `platform: "symbian" is no platform`},
		{"ownership=mine", `ownership: "mine" is neither corporate nor personal`},
		{"os=latest", `os: "latest" is no version such as 26.1`},
		{"approved=maybe", `approved: "maybe" is neither ready nor not-ready`},
		{"not_seen=-1", `not_seen: "-1" is no number of days`},
		{"not_seen=99999", `not_seen: "99999" is no number of days`},
		{"as_of=yesterday", `as_of: "yesterday" is no time such as 2026-03-12`},
		{"blocked=perhaps", `blocked: "perhaps" is neither yes nor no`},
		{"app=a&app=b", "app: Only one value can be given"},
		{"q=" + strings.Repeat("x", 201), "q: A value has at most 200 characters"},
		{"state=green&os=latest", "os:"},
	}
	for _, tt := range tests {
		q, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		f, err := estate.ParseFilter(q)
		if ward.KindOf(err) != ward.Invalid || !strings.Contains(fmt.Sprint(err), tt.want) {
			t.Errorf("ParseFilter(%.40s) = %v, want Invalid with %q", tt.query, err, tt.want)
		}
		if diff := cmp.Diff(estate.Filter{}, f); diff != "" {
			t.Errorf("ParseFilter(%.40s) gives a filter all the same", tt.query)
		}
	}
}

// TestFilterAsOf: a time may be told as people tell it.
func TestFilterAsOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"2026-03-12":                time.Date(2026, 3, 12, 23, 59, 59, 0, time.UTC),
		"2026-03-12T09:30":          time.Date(2026, 3, 12, 9, 30, 0, 0, time.UTC),
		"2026-03-12T09:30:15":       time.Date(2026, 3, 12, 9, 30, 15, 0, time.UTC),
		"2026-03-12T09:30:00+01:00": time.Date(2026, 3, 12, 8, 30, 0, 0, time.UTC),
	} {
		if f, err := estate.ParseFilter(url.Values{"as_of": {text}}); err != nil || !f.AsOf.Equal(want) {
			t.Errorf("ParseFilter(as_of=%s) = %s, %v; want %s", text, f.AsOf, err, want)
		}
	}
}

// small is a fleet in which each device differs from the others.
func small() *estate.Snapshot {
	return &estate.Snapshot{At: start, Devices: []*estate.Device{
		{ID: "lost", Name: "Lost one", State: compliance.Lost, Enrolled: start, LastSeen: start.AddDate(0, 0, -40), Site: "Royal", Group: "Ward 7", Platform: ward.IOS, Ownership: ward.Corporate},
		{ID: "chat", Name: "Chatty", Owner: "Ada Byron", State: compliance.NonCompliant, Enrolled: start, LastSeen: start, Site: "Royal", Group: "Ward 10", Platform: ward.IOS, OSVersion: "26.1", Apps: []string{"telegram", "whatsapp"}, Findings: []estate.Finding{{Code: "blocked-app-present", Subject: "whatsapp"}}, Ownership: ward.Personal},
		{ID: "old", Name: "Old", State: compliance.InGrace, Enrolled: start, LastSeen: start.AddDate(0, 0, -7), Site: "Queen’s", Platform: ward.MacOS, OSVersion: "2.6", Findings: []estate.Finding{{Code: "old-system"}}, Approved: []estate.AppStanding{{Bundle: "b", Installed: true}}, Ownership: ward.Corporate},
		{ID: "invited", Name: "Invited", State: compliance.Unknown, Platform: ward.IOS, Ownership: ward.Corporate},
		{ID: "good", Name: "Good", State: compliance.Compliant, Enrolled: start, LastSeen: start, OSVersion: "26.10", Platform: ward.IOS, Approved: []estate.AppStanding{{Bundle: "b", Installed: true, Certificate: true}}, Site: "Royal", Ownership: ward.Corporate},
		{ID: "gone", Name: "Gone", State: compliance.Retired, Enrolled: start, LastSeen: start.AddDate(0, -2, 0), Platform: ward.IOS, Ownership: ward.Corporate},
	}}
}

// TestMatch: each part of a filter means what it says.
func TestMatch(t *testing.T) {
	t.Parallel()
	s := small()
	tests := []struct {
		query string
		scope ward.Scope
		want  string
	}{
		{query: "", want: "lost chat old invited good gone"},
		{query: "q=BYRON+ada", want: "chat"},
		{query: "q=ios+26.1", want: "chat good"},
		{query: "q=nobody", want: ""},
		{query: "state=lost&state=retired", want: "lost gone"},
		{query: "site=Royal", want: "lost chat good"},
		{query: "site=-", want: "invited gone"},
		{query: "group=Ward+7&group=-", want: "lost old invited good gone"},
		{query: "platform=macos", want: "old"},
		{query: "ownership=personal", want: "chat"},
		{query: "os=26", want: "chat good"},
		{query: "os=26.1", want: "chat"},
		{query: "os=old", want: "old"},
		{query: "finding=old-system&finding=blocked-app-present", want: "chat old"},
		{query: "app=telegram", want: "chat"},
		{query: "app=telegram&blocked=yes", want: ""},
		{query: "app=whatsapp&blocked=yes", want: "chat"},
		{query: "blocked=yes", want: "chat"},
		{query: "approved=ready", want: "good"},
		{query: "approved=not-ready", want: "old"},
		{query: "not_seen=7", want: "lost old invited gone"},
		{query: "not_seen=7&enrolled=yes", want: "lost old"},
		{query: "enrolled=yes", want: "lost chat old good"},
		{scope: ward.Scope{Sites: []string{"Royal"}}, want: "lost chat good"},
		{scope: ward.Scope{Sites: []string{"Royal"}, Groups: []string{"Ward 10"}}, want: "chat"},
		{scope: ward.Scope{Sites: []string{"Royal"}}, query: "site=Queen’s", want: ""},
	}
	for _, tt := range tests {
		q, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		f, err := estate.ParseFilter(q)
		if err != nil {
			t.Fatal(err)
		}
		f.Scope = tt.scope
		found := s.Match(f)
		if got := strings.Join(ids(found), " "); got != tt.want {
			t.Errorf("Match(%s, %v) = %q, want %q", tt.query, tt.scope, got, tt.want)
		}
		var paged []*estate.Device
		for after := ward.DeviceID(""); ; {
			page, first, total := s.Page(f, after, 2)
			if total != len(found) || first != len(paged) {
				t.Errorf("Page(%s, %q) begins at %d of %d, want %d of %d", tt.query, after, first, total, len(paged), len(found))
			}
			if paged = append(paged, page...); len(paged) >= total || len(page) == 0 {
				break
			}
			after = page[len(page)-1].ID
		}
		if diff := cmp.Diff(ids(found), ids(paged)); diff != "" {
			t.Errorf("Page(%s) mismatch (-want +got):\n%s", tt.query, diff)
		}
		all := f
		all.States = nil
		n := 0
		for st, c := range s.Counts(f) {
			all.States = []compliance.State{st}
			if m := len(s.Match(all)); m != c {
				t.Errorf("Counts(%s)[%s] = %d, want %d", tt.query, st, c, m)
			}
			n += c
		}
		all.States = nil
		if len(s.Match(all)) != n {
			t.Errorf("Counts(%s) come to %d, want %d", tt.query, n, len(s.Match(all)))
		}
	}
}

// TestPageAfter: a page goes on after a device that is meant no more, and begins anew after
// one that is not there.
func TestPageAfter(t *testing.T) {
	t.Parallel()
	s := small()
	f := estate.Filter{States: []compliance.State{compliance.Compliant, compliance.Lost}}
	for after, want := range map[ward.DeviceID]string{"old": "good 1", "nobody": "lost good 0", "gone": "lost good 0", "": "lost good 0"} {
		page, first, total := s.Page(f, after, 10)
		if got := strings.Join(ids(page), " ") + " " + strconv.Itoa(first); got != want || total != 2 {
			t.Errorf("Page(after %q) = %s of %d, want %s of 2", after, got, total, want)
		}
	}
}

// TestChoices: what there is to choose from is in the scope of who chooses.
func TestChoices(t *testing.T) {
	t.Parallel()
	want := estate.Choices{
		Sites: []string{"Royal"}, Groups: []string{"Ward 7", "Ward 10"}, OS: []string{"26.10", "26.1"}, Platforms: []ward.Platform{ward.IOS},
		Findings: []string{"blocked-app-present"}, Apps: []string{"telegram", "whatsapp"},
	}
	if diff := cmp.Diff(want, small().Choices(ward.Scope{Sites: []string{"Royal"}})); diff != "" {
		t.Errorf("Choices() mismatch (-want +got):\n%s", diff)
	}
}

// TestCompareNames: names stand as people look for them.
func TestCompareNames(t *testing.T) {
	t.Parallel()
	want := []string{"", "07 first", "7 first", "10", "alpha", "Beta", "beta 2", "Beta 10", "beta 10 a", "Gamma9", "gamma10"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortStableFunc(got, estate.CompareNames)
	got[1], got[2] = want[1], want[2] // they are equal
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order mismatch (-want +got):\n%s", diff)
	}
}

// TestWordsOfEveryCode: whatever package compliance finds has words.
func TestWordsOfEveryCode(t *testing.T) {
	t.Parallel()
	codes := complianceCodes(t)
	if len(codes) < 25 {
		t.Fatalf("found %d codes in package compliance: %v", len(codes), codes)
	}
	for _, code := range codes {
		for _, subject := range []string{"", "whatsapp"} {
			text, cure := estate.Words(code, subject)
			if text == code || !strings.HasSuffix(text, ".") || strings.Contains(text+cure, "%") {
				t.Errorf("Words(%s, %q) = %q, %q; want sentences", code, subject, text, cure)
			}
		}
	}
	if text, cure := estate.Words("of-tomorrow", ""); text != "of-tomorrow" || cure != "" {
		t.Errorf("Words() of an unknown code = %q, %q; want its own words", text, cure)
	}
	if text, _ := estate.Words("blocked-app-present", "whatsapp"); text != "Has WhatsApp, which the policy blocks." {
		t.Errorf("Words() = %q", text)
	}
}

// complianceCodes reads the codes of findings out of the source of package compliance: they
// are texts in lower case with hyphens, and the few words that stand alone.
func complianceCodes(t *testing.T) (codes []string) {
	t.Helper()
	alone := []string{"erased", "lost", "enrolling", "unenrolled", "quarantined", "exception"}
	sources := os.DirFS("../compliance")
	names, err := fs.Glob(sources, "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := fs.ReadFile(sources, name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return true
			}
			s, err := strconv.Unquote(l.Value)
			if err == nil && (slices.Contains(alone, s) || strings.Contains(s, "-") && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == "" && s != "-" && s != string(compliance.NonCompliant)) {
				codes = append(codes, s)
			}
			return true
		})
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// FuzzParseFilter: whatever stands in an address gives a filter that says itself, or a
// mistake that people can read.
func FuzzParseFilter(f *testing.F) {
	for _, q := range []string{"", "q=a&state=lost&as_of=2026-03-12", "site=-&site=%20x%20", "not_seen=7&os=26.", "as_of=0001-01-01T00:00:00Z", "q=%ff%fe", "os=old&approved=ready&blocked=1"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		got, err := estate.ParseFilter(q)
		if err != nil {
			if ward.KindOf(err) != ward.Invalid {
				t.Fatalf("ParseFilter(%q): %v, want kind invalid", query, err)
			}
			return
		}
		again, err := estate.ParseFilter(got.Values())
		if err != nil {
			t.Fatalf("ParseFilter(%q) gives %v, which can't be read: %v", query, got.Values(), err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatalf("ParseFilter(%q) says itself otherwise (-first +again):\n%s", query, diff)
		}
	})
}
