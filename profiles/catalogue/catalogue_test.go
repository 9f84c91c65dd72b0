package catalogue_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
)

func TestBuiltinHasNoProblems(t *testing.T) {
	t.Parallel()
	if got := catalogue.Builtin().Problems(); len(got) > 0 {
		t.Errorf("the catalogue has %d problems:\n%s", len(got), strings.Join(got, "\n"))
	}
}

func TestEveryIdentifierHasASource(t *testing.T) {
	t.Parallel()
	total, unrecorded := 0, 0
	count := map[string]int{}
	for _, a := range catalogue.Builtin().Apps() {
		for kind, ids := range a.Platforms() {
			count[kind] += len(ids)
			for _, id := range ids {
				total++
				if id.Source == catalogue.Unrecorded {
					unrecorded++
					continue
				}
				if strings.Contains(id.Source, "://") || !strings.Contains(id.Source, "/") {
					t.Errorf("%s %s %q has the source %q, want a repository and path, or the address of a page", a.Slug, kind, id.ID, id.Source)
				}
			}
		}
	}
	// The counts only go up, the number without a source that can be found only down.
	least := map[string]int{"ios": 66, "app_store": 41, "android": 118, "macos": 48, "windows": 53, "linux": 68, "web": 31, "network": 132}
	for kind, n := range least {
		if count[kind] < n {
			t.Errorf("the catalogue has %d identifiers of %s, want at least %d", count[kind], kind, n)
		}
	}
	if total < 568 || unrecorded > 39 {
		t.Errorf("the catalogue has %d identifiers, %d without a recorded source; want at least 568, at most 39", total, unrecorded)
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

func TestKnownWrongIdentifiers(t *testing.T) {
	t.Parallel()
	wrongs := catalogue.KnownWrong()
	if len(wrongs) < 19 {
		t.Fatalf("%d wrong identifiers are known, want at least 19", len(wrongs))
	}
	for _, w := range wrongs {
		if w.Why == "" || !slices.Contains(catalogue.Kinds(), w.Kind) {
			t.Errorf("%+v has no reason or no known platform", w)
		}
		id := strings.Replace(w.ID, ".*", ".something", 1)
		if found, ok := catalogue.FindWrong(w.Kind, id); !ok || found != w {
			t.Errorf("FindWrong(%s, %s) = %+v, %v", w.Kind, id, found, ok)
		}
		rightSeen := w.Right == ""
		for _, a := range catalogue.Builtin().Apps() {
			for _, id := range a.Platforms()[w.Kind] {
				rightSeen = rightSeen || id.ID == w.Right
			}
		}
		if !rightSeen {
			t.Errorf("no app lists %s for %s, which is said to be right", w.Right, w.Kind)
		}
	}
	if w, ok := catalogue.FindWrong("android", "com.hospifyx"); ok {
		t.Errorf("FindWrong took com.hospifyx for %s", w.ID)
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

func TestByIdentifier(t *testing.T) {
	t.Parallel()
	c := catalogue.Builtin()
	for _, tt := range []struct {
		platform ward.Platform
		id       string
		want     []string
	}{
		{ward.IOS, "net.whatsapp.WhatsApp", []string{"whatsapp"}},
		{ward.IOS, "310633997", []string{"whatsapp"}},
		{ward.IOS, "com.wearezeta.zclient.ios", []string{"wire", "clin-wire"}},
		{ward.IOS, "net.whatsapp.whatsapp", nil},
		{ward.IOS, "com.whatsapp", nil},
		{ward.Android, "com.Slack", []string{"slack"}},
		{ward.Android, "com.slack", nil},
		{ward.MacOS, "com.apple.FaceTime", []string{"facetime"}},
		{ward.MacOS, "com.apple.facetime", nil},
		{ward.Windows, "Signal.exe", []string{"signal"}},
		{ward.Linux, "snap:zapzap", []string{"whatsapp-wrappers"}},
		{"watchos", "x", nil},
	} {
		if diff := cmp.Diff(tt.want, slugs(c.ByIdentifier(tt.platform, tt.id))); diff != "" {
			t.Errorf("ByIdentifier(%s, %s) mismatch (-want +got):\n%s", tt.platform, tt.id, diff)
		}
	}
	want := []string{"whatsapp", "whatsapp-business", "whatsapp-wrappers"}
	if diff := cmp.Diff(want, slugs(c.ByHost("Web.WhatsApp.com."))); diff != "" {
		t.Errorf("ByHost mismatch (-want +got):\n%s", diff)
	}
	signal, _ := c.Lookup("signal")
	for p, want := range map[ward.Platform]string{
		ward.IOS: "org.whispersystems.signal", ward.Android: "org.thoughtcrime.securesms", ward.MacOS: "org.whispersystems.signal-desktop",
		ward.Windows: "Signal.exe", ward.Linux: "flatpak:org.signal.Signal",
	} {
		if got := signal.Identifiers(p); len(got) == 0 || got[0].ID != want {
			t.Errorf("Identifiers(%s) = %v, want %s first", p, got, want)
		}
	}
	if got := signal.Identifiers("watchos"); got != nil {
		t.Errorf("Identifiers(watchos) = %v", got)
	}
}

func slugs(apps []catalogue.App) []string {
	var out []string
	for _, a := range apps {
		out = append(out, a.Slug)
	}
	return out
}

func TestForms(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]catalogue.Form{
		"Signal.exe": catalogue.Executable, "WhatsApp.Root.exe": catalogue.Executable, "MSTeams_8wekyb3d8bbwe": catalogue.FamilyName,
		"2414FC7A.Viber": catalogue.PackageName, "Some_thing": catalogue.PackageName,
	} {
		if got := catalogue.WindowsForm(id); got != want {
			t.Errorf("WindowsForm(%s) = %s, want %s", id, got, want)
		}
	}
	for id, want := range map[string]catalogue.Form{"snap:whatsie": catalogue.Snap, "flatpak:org.a.B": catalogue.Flatpak, "exec:zoom": catalogue.Executable, "deb:zoom": catalogue.Deb} {
		form, name := catalogue.LinuxForm(id)
		if form != want || strings.Contains(name, ":") || name == "" {
			t.Errorf("LinuxForm(%s) = %s, %s, want %s", id, form, name, want)
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
