package apple_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/plist"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

func phone(version string, change ...func(*intent.Target)) intent.Target {
	t := intent.Target{Platform: ward.IOS, OS: intent.ParseVersion(version), Supervised: true, Ownership: ward.Corporate, Enrolment: intent.ByAutomation}
	for _, c := range change {
		c(&t)
	}
	return t
}

func mac(version string, change ...func(*intent.Target)) intent.Target {
	return phone(version, append([]func(*intent.Target){func(t *intent.Target) { t.Platform = ward.MacOS }}, change...)...)
}

func loose(t *intent.Target) {
	t.Supervised, t.Enrolment, t.Ownership = false, intent.ByDevice, ward.Personal
}

func byUser(t *intent.Target) {
	t.Supervised, t.Enrolment, t.Ownership = false, intent.ByUser, ward.Personal
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	f := full()
	person := func(t *intent.Target) { t.UserChannel = true }
	personal := func(t *intent.Target) { t.Ownership = ward.Personal }
	block := intent.Wanted{Block: intent.Block{Apps: f.Block.Apps[:1]}}
	teams := intent.Wanted{Block: intent.Block{Apps: f.Block.Apps[:2], Teams: f.Block.Teams}}
	network := intent.Wanted{Block: intent.Block{Network: f.Block.Network}}
	resolver := intent.Wanted{Block: network.Block, DNS: f.DNS}
	some := resolver
	some.DNS.Only = []string{"example.org"}
	freeVPN := f
	freeVPN.On = nil
	only := intent.Wanted{Block: f.Block, Apps: f.Apps[:1]}
	only.Block.AllowOnly = true
	listed := only
	listed.Block.Allow = map[ward.Platform][]string{ward.MacOS: {"org.example.unsigned"}}
	on := func(ids ...intent.ID) intent.Wanted {
		w := intent.Wanted{On: map[intent.ID]bool{}}
		for _, id := range ids {
			w.On[id] = true
		}
		return w
	}
	const restriction = "com.apple.applicationaccess "
	for _, tt := range []struct {
		name      string
		wanted    intent.Wanted
		target    intent.Target
		id        intent.ID
		verdict   intent.Verdict
		mechanism string
	}{
		{"block, iOS 12", block, phone("12.5"), intent.BlockApps, intent.Enforced, restriction + "blacklistedAppBundleIDs"},
		{"block, iOS 15", block, phone("15.0"), intent.BlockApps, intent.Enforced, restriction + "blockedAppBundleIDs"},
		{"block, iOS 26", block, phone("26.4"), intent.BlockApps, intent.Enforced, restriction + "blockedAppBundleIDs"},
		{"block, iOS 27", block, phone("27.0"), intent.BlockApps, intent.Enforced, "com.apple.configuration.app.settings DeniedApps"},
		{"block, iOS 8", block, phone("8.4"), intent.BlockApps, intent.DetectOnly, ""},
		{"block, unsupervised", block, phone("27.0", loose), intent.BlockApps, intent.DetectOnly, ""},
		{"block, user enrolment", block, phone("27.0", byUser), intent.BlockApps, intent.Impossible, ""},
		{"block, unknown enrolment", block, phone("18.0", func(t *intent.Target) { t.Enrolment, t.Supervised = "", false }), intent.BlockApps, intent.Impossible, ""},
		{"block, macOS 26", block, mac("26.0"), intent.BlockApps, intent.DetectOnly, ""},
		{"block, macOS 27 without team", block, mac("27.0"), intent.BlockApps, intent.DetectOnly, ""},
		{"block, macOS 27 with team", teams, mac("27.0"), intent.BlockApps, intent.Enforced, "com.apple.configuration.app.settings DeniedBinaries"},
		{"block, Mac's user enrolment", teams, mac("27.0", byUser), intent.BlockApps, intent.Impossible, ""},
		{"allow list, iOS 14", only, phone("14.8"), intent.AllowOnly, intent.Enforced, restriction + "whitelistedAppBundleIDs"},
		{"allow list, iOS 18", only, phone("18.0"), intent.AllowOnly, intent.Enforced, restriction + "allowListedAppBundleIDs"},
		{"allow list carries the block", only, phone("18.0"), intent.BlockApps, intent.Enforced, restriction + "allowListedAppBundleIDs"},
		{"allow list, iOS 27", only, phone("27.0"), intent.AllowOnly, intent.Enforced, "com.apple.configuration.app.settings AllowedApps"},
		{"allow list, unsupervised", only, phone("18.0", loose), intent.AllowOnly, intent.Impossible, ""},
		{"allow list, macOS 26", only, mac("26.0"), intent.AllowOnly, intent.Impossible, ""},
		{"allow list, macOS 27", only, mac("27.0"), intent.AllowOnly, intent.Enforced, "com.apple.configuration.app.settings AllowedBinaries"},
		{"allow list, macOS 27, unknown team", listed, mac("27.0"), intent.AllowOnly, intent.NotEnforced, ""},
		{"web, supervised", f, phone("18.0"), intent.BlockWeb, intent.Enforced, "com.apple.webcontent-filter DenyListURLs"},
		{"web, iOS 14.4", f, phone("14.4"), intent.BlockWeb, intent.Enforced, "com.apple.webcontent-filter BlacklistedURLs"},
		{"web, unsupervised", f, phone("18.0", loose), intent.BlockWeb, intent.NotEnforced, ""},
		{"web not asked for", block, phone("18.0"), intent.BlockWeb, intent.NotEnforced, ""},
		{"RCS before there was any", on(intent.NoRCS), phone("17.7"), intent.NoRCS, intent.Enforced, ""},
		{"RCS without its key", on(intent.NoRCS), phone("18.0"), intent.NoRCS, intent.Impossible, ""},
		{"hidden apps before there were any", on(intent.NoHiddenApps), phone("17.7", byUser), intent.NoHiddenApps, intent.Enforced, ""},
		{"pasteboard alone", on(intent.ManagedPasteboard), phone("18.0"), intent.ManagedPasteboard, intent.NotEnforced, ""},
		{"pasteboard", on(intent.ManagedPasteboard, intent.ManagedOpenIn), phone("18.0", byUser), intent.ManagedPasteboard, intent.Enforced, restriction + "requireManagedPasteboard"},
		{"previews without an app", on(intent.NoLockScreenPreviews), phone("18.0"), intent.NoLockScreenPreviews, intent.Partly, restriction + "allowLockScreenNotificationsView"},
		{"previews without a Mac app", on(intent.NoLockScreenPreviews), mac("15.0"), intent.NoLockScreenPreviews, intent.NotEnforced, ""},
		{"Time Machine of a personal Mac", on(intent.NoBackup), mac("15.0", personal), intent.NoBackup, intent.Impossible, ""},
		{"passcode, iOS 15", f, phone("15.0"), intent.Passcode, intent.Enforced, "com.apple.mobiledevice.passwordpolicy"},
		{"passcode, iOS 16.1", f, phone("16.1"), intent.Passcode, intent.Partly, "com.apple.configuration.passcode.settings"},
		{"passcode, iOS 16.2", f, phone("16.2"), intent.Passcode, intent.Enforced, "com.apple.configuration.passcode.settings"},
		{"passcode, user enrolment, iOS 15", f, phone("15.0", byUser), intent.Passcode, intent.Impossible, ""},
		{"passcode, user enrolment, iOS 18", f, phone("18.0", byUser), intent.Passcode, intent.Partly, "com.apple.configuration.passcode.settings"},
		{"passcode, Mac's user enrolment", f, mac("15.0", byUser), intent.Passcode, intent.Impossible, ""},
		{"passcode, macOS 12", f, mac("12.0"), intent.Passcode, intent.Enforced, "com.apple.mobiledevice.passwordpolicy"},
		{"update, iOS 16", f, phone("16.0"), intent.UpdateOS, intent.Impossible, ""},
		{"update, user enrolment", f, phone("18.0", byUser), intent.UpdateOS, intent.Impossible, ""},
		{"relay, iOS 16", f, phone("16.0"), intent.UseRelay, intent.Impossible, ""},
		{"resolver, iOS 13", f, phone("13.7"), intent.UseDNS, intent.Impossible, ""},
		{"resolver, iOS 26", f, phone("26.4"), intent.UseDNS, intent.Partly, "com.apple.dnsSettings.managed"},
		{"resolver, iOS 27", f, phone("27.0"), intent.UseDNS, intent.Enforced, "com.apple.configuration.network.dns-settings"},
		{"resolver, iOS 27, VPNs allowed", freeVPN, phone("27.0"), intent.UseDNS, intent.Partly, "com.apple.configuration.network.dns-settings"},
		{"resolver, iOS 27, unsupervised", f, phone("27.0", loose), intent.UseDNS, intent.Partly, "com.apple.configuration.network.dns-settings"},
		{"resolver, user enrolment", f, phone("27.0", byUser), intent.UseDNS, intent.Impossible, ""},
		{"resolver without Wi-Fi, iOS 26", resolver, phone("26.4"), intent.UseDNS, intent.NotEnforced, "com.apple.dnsSettings.managed"},
		{"resolver without Wi-Fi, iOS 27", resolver, phone("27.0"), intent.UseDNS, intent.Partly, "com.apple.configuration.network.dns-settings"},
		{"resolver, macOS 27", f, mac("27.0"), intent.UseDNS, intent.Partly, "com.apple.configuration.network.dns-settings"},
		{"resolver of a personal Mac", f, mac("27.0", personal), intent.UseDNS, intent.NotEnforced, ""},
		{"resolver of a personal Mac, for some names", some, mac("27.0", personal), intent.UseDNS, intent.Partly, "com.apple.configuration.network.dns-settings"},
		{"names, resolver", f, phone("27.0"), intent.BlockNetwork, intent.Partly, "com.apple.configuration.network.dns-settings"},
		{"names, resolver for others", some, phone("27.0"), intent.BlockNetwork, intent.NotEnforced, ""},
		{"names, resolver not in force", resolver, phone("26.4"), intent.BlockNetwork, intent.NotEnforced, ""},
		{"names, no resolver", network, phone("27.0"), intent.BlockNetwork, intent.NotEnforced, ""},
		{"links on a Mac", f, mac("15.0"), intent.StaffPage, intent.NotEnforced, ""},
		{"links for a person on a Mac", f, mac("15.0", person), intent.StaffPage, intent.Enforced, "com.apple.webClip.managed"},
		{"lost, supervised", f, phone("18.0"), intent.LoseDevice, intent.Enforced, "EnableLostMode, DeviceLocation"},
		{"lost, personal", f, phone("18.0", loose), intent.LoseDevice, intent.Partly, "DeviceLock, RemoveProfile"},
	} {
		got := intent.Outcome{}
		for _, o := range mustCompile(t, tt.wanted, tt.target).Outcomes {
			if o.ID == tt.id && (o.Subject == "" || o.ID == intent.UpdateOS || o.ID == intent.UseRelay) {
				got = o
				break
			}
		}
		if got.Verdict != tt.verdict || got.Mechanism != tt.mechanism {
			t.Errorf("%s: %s by %q, want %s by %q", tt.name, got.Verdict, got.Mechanism, tt.verdict, tt.mechanism)
		}
	}
}

// declared lists the types of a result's declarations, and the profiles that are
// installed by command instead.
func delivered(r apple.Result) (declared, installed []string) {
	for _, d := range r.Declarations {
		declared = append(declared, strings.TrimPrefix(d.Identifier, apple.DeclarationIdentifiers))
	}
	for _, p := range r.Profiles {
		if !p.Declared {
			installed = append(installed, strings.TrimPrefix(p.Identifier, apple.ProfileIdentifiers))
		}
	}
	slices.Sort(declared)
	return declared, installed
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	w := intent.Wanted{
		Name: "x", On: map[intent.ID]bool{intent.NoScreenshots: true}, Passcode: intent.PasscodeRule{Required: true},
		WiFi: []intent.WiFi{{SSID: "Wards"}},
	}
	byDeclarations := []string{"activation", "activation.compliant", "passcode", "profile.messaging", "profile.wifi.wards-22ab8b8a", "subscriptions"}
	byProfiles := []string{"messaging", "wifi.wards-22ab8b8a", "passcode"}
	onMac := []string{"activation", "passcode", "profile.messaging", "profile.wifi.wards-22ab8b8a", "subscriptions"}
	for _, tt := range []struct {
		name                string
		target              intent.Target
		declared, installed []string
	}{
		{"iOS 15", phone("15.8"), nil, byProfiles},
		{"iOS 16", phone("16.0"), byDeclarations, nil},
		{"iOS 18 in user enrolment", phone("18.0", byUser), byDeclarations, nil},
		{"macOS 12", mac("12.7"), nil, byProfiles},
		{"macOS 13", mac("13.0"), onMac, nil},
		{"unknown", phone(""), nil, nil},
		{"a person's channel", mac("15.0", func(t *intent.Target) { t.UserChannel = true }), nil, nil},
	} {
		declared, installed := delivered(mustCompile(t, w, tt.target))
		if diff := cmp.Diff([2][]string{tt.declared, tt.installed}, [2][]string{declared, installed}); diff != "" {
			t.Errorf("%s mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
}

// What gives access goes when the passcode is not as asked; what restricts stays.
func TestOnlyAccessIsGated(t *testing.T) {
	t.Parallel()
	gated := func(w intent.Wanted) map[string]string {
		out := map[string]string{}
		for _, d := range mustCompile(t, w, phone("18.1")).Declarations {
			var payload struct {
				StandardConfigurations []string
				Predicate              string
			}
			if err := json.Unmarshal(d.Payload, &payload); err != nil {
				t.Fatal(err)
			}
			for _, id := range payload.StandardConfigurations {
				out[strings.TrimPrefix(id, apple.DeclarationIdentifiers)] += payload.Predicate
			}
		}
		return out
	}
	const predicate = "@status(passcode.is-compliant) == TRUE"
	for id, p := range gated(full()) {
		grants := strings.HasPrefix(id, "profile.wifi.") || strings.HasPrefix(id, "profile.vpn.") || strings.HasPrefix(id, "profile.relay.")
		if grants != (p == predicate) || !grants && p != "" {
			t.Errorf("%s has the predicate %q", id, p)
		}
	}
	w := full()
	w.Passcode = intent.PasscodeRule{}
	for id, p := range gated(w) {
		if p != "" {
			t.Errorf("%s has the predicate %q though no passcode is asked for", id, p)
		}
	}
}

func TestOneManagerForEachApp(t *testing.T) {
	t.Parallel()
	app := func(change func(*intent.App)) intent.Wanted {
		a := intent.App{Name: "A", Required: true, IOS: intent.AppleApp{BundleID: "org.example.a", ManifestURL: "https://example.org/a"}}
		change(&a)
		return intent.Wanted{Apps: []intent.App{a}}
	}
	same := func(*intent.App) {}
	for _, tt := range []struct {
		name     string
		wanted   intent.Wanted
		target   intent.Target
		declared bool
	}{
		{"required, from a manifest", app(same), phone("17.2"), true},
		{"in user enrolment", app(same), phone("18.0", byUser), true},
		{"before app.managed", app(same), phone("17.1"), false},
		{"with a configuration", app(func(a *intent.App) { a.Config = map[string]any{"a": 1} }), phone("27.0"), false},
		{"with a token", app(func(a *intent.App) { a.IOS.ManifestURL = "https://example.org/{{enrolment_token}}" }), phone("27.0"), false},
		{"optional", app(func(a *intent.App) { a.Required = false }), phone("27.0"), false},
		{"from the App Store", app(func(a *intent.App) { a.IOS.ManifestURL, a.IOS.StoreID = "", 7 }), phone("27.0"), false},
		{"on a Mac", app(func(a *intent.App) { a.MacOS = a.IOS }), mac("27.0"), false},
	} {
		r := mustCompile(t, tt.wanted, tt.target)
		named := slices.ContainsFunc(r.Declarations, func(d apple.Declaration) bool { return d.Type == "com.apple.configuration.app.managed" })
		if len(r.Apps) != 1 || r.Apps[0].Declared != tt.declared || named != tt.declared || (r.Apps[0].Command == nil) != tt.declared {
			t.Errorf("%s: declared %t, want %t: %+v", tt.name, named, tt.declared, r.Apps)
		}
	}
}

func TestBlockLists(t *testing.T) {
	t.Parallel()
	w := intent.Wanted{Block: intent.Block{
		Apps: append(blocked()[:2],
			catalogue.App{Slug: "phone", Name: "Phone", IOS: ids("com.apple.mobilephone")}),
		Spared: []catalogue.App{{Slug: "apple-messages", Name: "Messages (iMessage)", NeverBlock: true, Caution: "SMS.", IOS: ids("com.apple.MobileSMS")}},
	}}
	if diff := cmp.Diff([]any{"net.whatsapp.WhatsApp", "org.whispersystems.signal"}, restriction(t, w, "blockedAppBundleIDs")); diff != "" {
		t.Errorf("block list mismatch (-want +got):\n%s", diff)
	}
	if o, ok := find(mustCompile(t, w, phone("18.0")).Outcomes, intent.BlockApps, "apple-messages"); !ok || o.Verdict != intent.NotEnforced || o.Cure == "" {
		t.Errorf("Messages is told as %+v", o)
	}
	w.Block.AllowOnly = true
	w.Block.Allow = map[ward.Platform][]string{ward.IOS: {"com.apple.camera", "net.whatsapp.WhatsApp"}}
	w.StaffPage = "https://example.org"
	want := []any{"com.apple.MobileSMS", "com.apple.Preferences", "com.apple.camera", "com.apple.mobilephone", "com.apple.webapp"}
	if diff := cmp.Diff(want, restriction(t, w, "allowListedAppBundleIDs")); diff != "" {
		t.Errorf("allow list mismatch (-want +got):\n%s", diff)
	}
	if got := restriction(t, w, "blockedAppBundleIDs"); got != nil {
		t.Errorf("there is a block list beside the allow list: %v", got)
	}
}

// restriction returns a key of the messaging profile on iOS 18.
func restriction(t *testing.T, w intent.Wanted, key string) any {
	t.Helper()
	for _, p := range mustCompile(t, w, phone("18.0")).Profiles {
		var doc struct{ PayloadContent []map[string]any }
		if err := plist.Unmarshal(p.Data, &doc); err != nil {
			t.Fatal(err)
		}
		for _, payload := range doc.PayloadContent {
			if v, ok := payload[key]; ok {
				return v
			}
		}
	}
	return nil
}

func TestPasscodeIsWithinApplesBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule    intent.PasscodeRule
		verdict intent.Verdict
		want    map[string]any
	}{
		{intent.PasscodeRule{Required: true}, intent.Enforced, map[string]any{"RequirePasscode": true}},
		{intent.PasscodeRule{MinimumLength: 40}, intent.Enforced, map[string]any{"MinimumLength": 16.0}},
		{intent.PasscodeRule{LockAfter: 90 * time.Second}, intent.Enforced, map[string]any{"MaximumInactivityInMinutes": 1.0}},
		{intent.PasscodeRule{LockAfter: 30 * time.Second}, intent.Partly, map[string]any{"MaximumInactivityInMinutes": 1.0}},
		{intent.PasscodeRule{LockAfter: time.Hour}, intent.Enforced, map[string]any{"MaximumInactivityInMinutes": 15.0}},
	} {
		r := mustCompile(t, intent.Wanted{Passcode: tt.rule}, phone("18.0"))
		var got map[string]any
		for _, d := range r.Declarations {
			if d.Type == "com.apple.configuration.passcode.settings" {
				if err := json.Unmarshal(d.Payload, &got); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v mismatch (-want +got):\n%s", tt.rule, diff)
		}
		if o, _ := find(r.Outcomes, intent.Passcode, ""); o.Verdict != tt.verdict {
			t.Errorf("%+v is %s, want %s", tt.rule, o.Verdict, tt.verdict)
		}
	}
}
