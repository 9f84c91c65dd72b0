package catalogue_test

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
)

func TestEssentialsAreSound(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	kinds := map[string]int{}
	for _, e := range catalogue.Essentials() {
		kinds[e.Kind]++
		key := e.Kind + " " + strings.ToLower(e.ID)
		if seen[key] {
			t.Errorf("%s stands there twice", key)
		}
		seen[key] = true
		if _, err := path.Match(e.ID, ""); err != nil || strings.ContainsAny(e.ID, `[]\`) {
			t.Errorf("%s is no pattern: %v", e.ID, err)
		}
		if e.Reason == "" || strings.HasSuffix(e.Reason, ".") {
			t.Errorf("%s has the reason %q, want words without a full stop", e.ID, e.Reason)
		}
		if _, never := catalogue.NeverBlocked(e.Kind, strings.NewReplacer("*", "x", "?", "8").Replace(e.ID)); !never {
			t.Errorf("%s is not found", key)
		}
	}
	for _, kind := range []string{"ios", "macos", "android", "windows", "linux"} {
		if kinds[kind] < 9 {
			t.Errorf("of %s there are %d", kind, kinds[kind])
		}
	}
	if kinds["web"]+kinds["network"]+kinds["app_store"] > 0 {
		t.Errorf("there are entries that are no names of programs: %v", kinds)
	}
}

// Ward's own catalogue never names the system, and what a policy may name stays blockable.
func TestBuiltinKeepsOffTheSystem(t *testing.T) {
	t.Parallel()
	for _, a := range catalogue.Builtin().Apps() {
		if diff := cmp.Diff(a, a.Blockable()); diff != "" {
			t.Errorf("%s loses identifiers:\n%s", a.Slug, diff)
		}
	}
	for _, tt := range [][2]string{
		{"ios", "com.apple.facetime"},
		{"android", "com.google.android.apps.messaging"},
		{"android", "com.android.chrome"},
		{"windows", "chat.exe"},
		{"windows", "Microsoft.SkypeApp_kzf8qxf38zg5c"},
		{"linux", "exec:pidgin"},
		{"linux", "snap:core-messenger"},
		{"none", "explorer.exe"},
	} {
		if reason, never := catalogue.NeverBlocked(tt[0], tt[1]); never {
			t.Errorf("%s %s: %s", tt[0], tt[1], reason)
		}
	}
}

// A site's own file blocked Settings, Google Play services and the desktop of Windows.
func TestSiteCanNotBlockTheSystem(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, id, want string }{
		{"ios", "com.apple.Preferences", "ios com.apple.Preferences belongs to the system: com.apple.Preferences is never blocked: it is Settings"},
		{"ios", "com.apple.preferences", "it is Settings"},
		{"ios", "com.apple.mobilephone", "it is Phone, which makes emergency calls"},
		{"ios", "com.apple.MobileSMS", "ios com.apple.MobileSMS belongs to apple-messages, which is never blocked"},
		{"macos", "com.apple.finder", "it is the desktop"},
		{"android", "com.android.settings", "it is Settings"},
		{"android", "com.google.android.gms", "Google Play services"},
		{"android", "com.google.android.apps.work.clouddpc", "it manages the device"},
		{"windows", "explorer.exe", "it is the desktop"},
		{"windows", "Explorer.exe", "it is the desktop"},
		{"windows", "ward-agent.exe", "it is Ward itself"},
		{"windows", "Microsoft.LockApp_cw5n1h2txyewy", "it is signed as a part of Windows"},
		{"windows", "Microsoft.WindowsStore", "apps are updated by it"},
		{"linux", "exec:gnome-shell", "it is the desktop"},
		{"linux", "exec:ward-agent", "it is Ward itself"},
	} {
		for _, relation := range []string{"", "  shares_with: [apple-messages]\n"} {
			text := "- slug: ours\n  name: Ours\n  category: consumer-messaging\n" + relation + "  " + tt.kind + ":\n    - {id: '" + tt.id + "', source: our inventory}\n"
			_, err := catalogue.Extend(catalogue.Builtin(), "site.yaml", []byte(text))
			e, ok := err.(*ward.Error) //nolint:errorlint // Extend returns it unwrapped
			if !ok || !strings.Contains(strings.Join(e.Details, "\n"), tt.want) {
				t.Errorf("%s %s: Extend gave %v, want %q", tt.kind, tt.id, err, tt.want)
			}
		}
		add := catalogue.App{Slug: "ours", Name: "Ours", Category: "consumer-messaging"}
		id := []catalogue.Identifier{{ID: tt.id, Source: "our inventory"}}
		*map[string]*[]catalogue.Identifier{"ios": &add.IOS, "macos": &add.MacOS, "android": &add.Android, "windows": &add.Windows, "linux": &add.Linux}[tt.kind] = id
		if _, err := catalogue.Amend(catalogue.Builtin(), "site.yaml", nil, add); ward.KindOf(err) != ward.Invalid {
			t.Errorf("%s %s: Amend gave %v, want an invalid file", tt.kind, tt.id, err)
		}
		if left := add.Blockable(); tt.id != "com.apple.MobileSMS" && len(left.IOS)+len(left.MacOS)+len(left.Android)+len(left.Windows)+len(left.Linux) > 0 {
			t.Errorf("%s %s stays in what can be blocked", tt.kind, tt.id)
		}
	}
	// An app that is never blocked may say by what it is known.
	text := "- slug: our-settings\n  name: Settings\n  category: sms\n  never_block: true\n  caution: It is Settings.\n  ios:\n    - {id: com.apple.Preferences, source: our inventory}\n"
	c, err := catalogue.Extend(catalogue.Builtin(), "site.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Problems(); len(got) > 0 {
		t.Errorf("Problems() = %q", got)
	}
}
