package catalogue_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/profiles/catalogue"
)

var shapes = map[string]*regexp.Regexp{
	"ios":       regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`), // imoimiphone has no dot
	"app_store": regexp.MustCompile(`^[1-9][0-9]{7,11}$`),
	"android":   regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+$`),
	"macos":     regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`),
	"windows":   regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._ -]*$`),
	"linux":     regexp.MustCompile(`^(flatpak|snap|exec):[A-Za-z0-9._-]+$`),
	"web":       regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`),
}

func TestEveryIdentifierIsWellFormedAndGraded(t *testing.T) {
	t.Parallel()
	total := 0
	for _, a := range catalogue.Builtin().Apps() {
		if !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(a.Slug) {
			t.Errorf("slug %q is not lower case words joined by hyphens", a.Slug)
		}
		if a.Name == "" || a.Category == "" {
			t.Errorf("%s has no name or category", a.Slug)
		}
		if !slices.Contains([]catalogue.Status{catalogue.Active, catalogue.Retired, catalogue.Unconfirmed}, a.Status) {
			t.Errorf("%s has the status %q", a.Slug, a.Status)
		}
		if a.NeverBlock && a.Caution == "" {
			t.Errorf("%s may never be blocked but does not say why", a.Slug)
		}
		for platform, ids := range a.Platforms() {
			seen := map[string]bool{}
			for _, id := range ids {
				total++
				lintIdentifier(t, a.Slug, platform, id)
				if seen[id.ID] {
					t.Errorf("%s %s lists %q twice", a.Slug, platform, id.ID)
				}
				seen[id.ID] = true
			}
		}
	}
	if total < 400 {
		t.Errorf("the catalogue has %d identifiers, want at least 400", total)
	}
}

func lintIdentifier(t *testing.T, slug, platform string, id catalogue.Identifier) {
	t.Helper()
	if !shapes[platform].MatchString(id.ID) {
		t.Errorf("%s %s %q has the wrong shape", slug, platform, id.ID)
	}
	switch id.Grade {
	case catalogue.GradeA, catalogue.GradeL, catalogue.GradeB:
	default:
		t.Errorf("%s %s %q has the grade %q", slug, platform, id.ID, id.Grade)
	}
	if id.Source == "" || strings.Contains(id.Source, "://") {
		t.Errorf("%s %s %q has the source %q, want a repository and path or \"public catalogue\"", slug, platform, id.ID, id.Source)
	}
	if id.Shared && platform != "web" {
		t.Errorf("%s %s %q is marked shared, which is for web hosts", slug, platform, id.ID)
	}
}

// Case is part of an identifier: whoever sorts or cleans the file must not lose it.
func TestIdentifiersKeepTheirCase(t *testing.T) {
	t.Parallel()
	for slug, want := range map[string]string{
		"whatsapp": "net.whatsapp.WhatsApp", "facetime": "com.apple.facetime", "wechat": "com.tencent.xin",
		"line": "jp.naver.line", "kakaotalk": "com.iwilab.KakaoTalk", "telegram": "ph.telegra.Telegraph",
		"imo": "imoimiphone", "keybase": "keybase.ios",
	} {
		a, ok := catalogue.Builtin().Lookup(slug)
		if !ok || !slices.Contains(a.BundleIDs(), want) {
			t.Errorf("%s has the bundle ids %q, want %q among them", slug, a.BundleIDs(), want)
		}
	}
	slack, _ := catalogue.Builtin().Lookup("slack")
	if len(slack.Android) == 0 || slack.Android[0].ID != "com.Slack" {
		t.Errorf("slack has the packages %v, want com.Slack first", slack.Android)
	}
}

func TestNoKnownWrongIdentifier(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/wrong_identifiers.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")[1:]
	if len(lines) < 19 {
		t.Fatalf("the fixture has %d lines, want at least 19", len(lines))
	}
	for _, line := range lines {
		f := strings.Split(line, "\t")
		platform, wrong, right := f[0], f[1], f[2]
		rightSeen := right == ""
		for _, a := range catalogue.Builtin().Apps() {
			for _, id := range a.Platforms()[platform] {
				if id.ID == wrong || strings.HasSuffix(wrong, ".") && strings.HasPrefix(id.ID, wrong) {
					t.Errorf("%s lists %s for %s, which is wrong; right is %q", a.Slug, id.ID, platform, right)
				}
				rightSeen = rightSeen || id.ID == right
			}
		}
		if !rightSeen {
			t.Errorf("no app lists %s for %s", right, platform)
		}
	}
}

// A bundle id in two rows means that one block hits both: only a clinical service may
// share the id of a consumer row, and both rows must say so.
func TestSharedBundleIDsAreDeclared(t *testing.T) {
	t.Parallel()
	for _, a := range catalogue.Builtin().Apps() {
		for _, id := range a.BundleIDs() {
			owners := catalogue.Builtin().ByBundleID(id)
			if len(owners) == 1 {
				continue
			}
			clinical := 0
			for _, o := range owners {
				if o.Category == "clinical" {
					clinical++
				}
				if o.Caution == "" {
					t.Errorf("%s shares %s but says nothing of it", o.Slug, id)
				}
			}
			if clinical != len(owners)-1 {
				t.Errorf("%s belongs to %d rows of which %d are clinical", id, len(owners), clinical)
			}
		}
	}
}

func TestLookupAndSearch(t *testing.T) {
	t.Parallel()
	c := catalogue.Builtin()
	if a, ok := c.Lookup("messenger"); !ok || a.Slug != "facebook-messenger" {
		t.Errorf("Lookup(messenger) = %q, %v", a.Slug, ok)
	}
	if _, ok := c.Lookup("whats app"); ok {
		t.Error("Lookup found a name that is none")
	}
	if got := c.ByBundleID("net.whatsapp.whatsapp"); len(got) != 0 {
		t.Errorf("ByBundleID ignored case and found %q", got[0].Slug)
	}
	want := []string{"clinical", "collaboration", "consumer-messaging", "multi-messenger", "sms", "social-with-dm", "video-call"}
	if diff := cmp.Diff(want, c.Categories()); diff != "" {
		t.Errorf("Categories() mismatch (-want +got):\n%s", diff)
	}
	if got := len(c.Category("consumer-messaging")); got < 30 {
		t.Errorf("consumer-messaging has %d apps, want at least 30", got)
	}
	for text, slug := range map[string]string{"WHATSAPP": "whatsapp", "picaboo": "snapchat", "web.telegram.org": "telegram"} {
		if !slices.ContainsFunc(c.Search(text), func(a catalogue.App) bool { return a.Slug == slug }) {
			t.Errorf("Search(%q) does not find %s", text, slug)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"unknown field": "- {slug: a, nmae: A}",
		"slug twice":    "- {slug: a, name: A}\n- {slug: a, name: B}",
		"alias taken":   "- {slug: a, name: A}\n- {slug: b, name: B, aliases: [a]}",
		"no slug":       "- {name: A}",
		"not a list":    "slug: a",
	} {
		if _, err := catalogue.Parse([]byte(text)); err == nil {
			t.Errorf("%s: Parse(%q) accepted it", name, text)
		}
	}
}

func ExampleCatalogue_Lookup() {
	app, _ := catalogue.Builtin().Lookup("wa")
	fmt.Println(app.Name, app.BundleIDs())
	// Output: WhatsApp [net.whatsapp.WhatsApp]
}
