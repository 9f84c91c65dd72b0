package source_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name + ".golden"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s mismatch (-want +got):\n%s", name, diff)
	}
}

// Each case changes one thing by a layer; the device is an iPhone at site North, on ward
// 7, of a nurse.
func TestLayers(t *testing.T) {
	t.Parallel()
	nurse := ward.Device{ID: "D1", Platform: ward.IOS, Ownership: ward.Corporate, Site: "north", Group: "Ward 7", Role: "nurse"}
	with := func(groups string) string { return record + groups }
	tests := []struct {
		name, text string
		got        func(intent.Settled) any
		want       any
	}{
		{
			"a policy overrides a baseline's switch", with("baseline: ncsc-corporate\nhardening: {no_app_store: false}"),
			func(s intent.Settled) any {
				return [2]bool{s.Wanted.On[intent.NoAppStore], s.Wanted.On[intent.NoCloudPhotos]}
			},
			[2]bool{false, true},
		},
		{
			"a policy overrides a baseline's mode", with("baseline: ncsc-corporate\nblock: {mode: deny-list}"),
			func(s intent.Settled) any { return s.Wanted.Block.AllowOnly }, false,
		},
		{
			"a later baseline overrides an earlier one", with("baseline: [ncsc-corporate, byod-contained]"),
			func(s intent.Settled) any {
				return []any{s.Posture.LastSeenWithin, s.Posture.LastSeen.Severity, s.Posture.BlockedApp.On}
			},
			[]any{14 * 24 * time.Hour, intent.Advice, false},
		},
		{
			"fields of a rule come from different layers", with("posture: {passcode: {minimum_length: 6, grace: 1d}}\ngroups: [{name: g, match: {site: North}, posture: {passcode: {minimum_length: 8}}}]"),
			func(s intent.Settled) any { return []any{s.Wanted.Passcode.MinimumLength, s.Posture.Passcode} },
			[]any{8, intent.Rule{On: true, Severity: intent.Breach, Grace: 24 * time.Hour}},
		},
		{
			"a group's resolver takes the place of the policy's whole", with("networks: {dns: {name: A, server_url: https://a.example.org, addresses: [192.0.2.2, 192.0.2.1], only: [b.example.org, a.example.org]}}\ngroups: [{name: g, match: {site: North}, networks: {dns: {name: B, server_name: b.example.org}}}]"),
			func(s intent.Settled) any { return s.Wanted.DNS },
			intent.DNS{Name: "B", ServerName: "b.example.org"},
		},
		{
			"a group without a resolver has the policy's", with("networks: {dns: {name: A, server_url: https://a.example.org, addresses: [192.0.2.2, '2001:DB8::1'], only: [b.example.org, a.example.org]}}\ngroups: [{name: g, match: {site: North}, networks: {wifi: []}}]"),
			func(s intent.Settled) any { return s.Wanted.DNS },
			intent.DNS{Name: "A", ServerURL: "https://a.example.org", Addresses: []string{"192.0.2.2", "2001:db8::1"}, Only: []string{"a.example.org", "b.example.org"}},
		},
		{
			"Ward's own posture", with("containment: {no_rcs: true}"),
			func(s intent.Settled) any { return s.Posture },
			intent.Posture{
				Passcode:    intent.Rule{On: true, Severity: intent.Breach},
				ApprovedApp: intent.Rule{On: true, Severity: intent.Breach}, Certificate: intent.Rule{On: true, Severity: intent.Breach},
				BlockedApp: intent.Rule{On: true, Severity: intent.Breach},
			},
		},
		{
			"a rule is switched off", with("posture: {encryption: {}, passcode: {minimum_length: 8}}\ngroups: [{name: g, match: {role: [nurse, doctor]}, posture: {encryption: {severity: none}, passcode: {severity: none}}}]"),
			func(s intent.Settled) any {
				return []any{s.Wanted.Encryption, s.Posture.Encryption, s.Wanted.Passcode, s.Posture.Passcode}
			},
			[]any{false, intent.Rule{}, intent.PasscodeRule{}, intent.Rule{}},
		},
		{
			"lists add up", with("block: {apps: [whatsapp]}\ngroups: [{name: g, match: {ward: ward 7}, block: {apps: [signal]}}]"),
			func(s intent.Settled) any { return slugs(s.Wanted.Block) },
			[]string{"whatsapp", "signal"},
		},
		{
			"a group excepts what the policy blocks", with("block: {apps: [whatsapp, signal]}\ngroups: [{name: g, match: {ward: Ward 7}, block: {except: [whatsapp]}}]"),
			func(s intent.Settled) any { return slugs(s.Wanted.Block) },
			[]string{"signal"},
		},
		{
			"a later group blocks it again", with("block: {apps: [whatsapp]}\ngroups: [{name: g, match: {ward: Ward 7}, block: {except: [whatsapp]}}, {name: h, match: {site: North}, block: {apps: [whatsapp]}}]"),
			func(s intent.Settled) any { return slugs(s.Wanted.Block) },
			[]string{"whatsapp"},
		},
		{
			"all that a match gives must hold", with("groups: [{name: g, match: {site: North, role: doctor}, containment: {no_rcs: true}}]"),
			func(s intent.Settled) any { return s.Wanted.On[intent.NoRCS] }, false,
		},
		{
			"ownership and platform", with("groups: [{name: g, match: {ownership: corporate, platform: [ios, macos]}, containment: {no_rcs: true}}, {name: h, match: {ownership: personal}, containment: {no_imessage: true}}]"),
			func(s intent.Settled) any { return [2]bool{s.Wanted.On[intent.NoRCS], s.Wanted.On[intent.NoIMessage]} },
			[2]bool{true, false},
		},
		{
			"apps that any group names", record + strings.Replace(strings.Replace(entry, "Chat", "Rota", 1), "org.example.chat", "org.example.rota", 1) +
				strings.Replace(strings.Replace(entry, "Chat", "Scan", 1), "org.example.chat", "org.example.scan", 1) +
				"groups: [{name: g, match: {site: North}, approved: [Scan]}, {name: h, match: {role: nurse}, approved: [Chat]}]",
			func(s intent.Settled) any { return []string{s.Wanted.Apps[0].Name, s.Wanted.Apps[1].Name} },
			[]string{"Chat", "Scan"},
		},
		{
			"a network takes its namesake's place", with("web_clips: [{label: A, url: 'https://a.example.org'}, {label: B, url: 'https://b.example.org'}]\ngroups: [{name: g, match: {site: North}, web_clips: [{label: A, url: 'https://x.example.org'}, {label: C, url: 'https://c.example.org'}]}]"),
			func(s intent.Settled) any {
				var urls []string
				for _, c := range s.Wanted.WebClips {
					urls = append(urls, c.URL)
				}
				return urls
			},
			[]string{"https://x.example.org", "https://b.example.org", "https://c.example.org"},
		},
		{
			"the page for staff", with("staff_page: true\ngroups: [{name: g, match: {role: doctor}, staff_page: false}]"),
			func(s intent.Settled) any { return s.Wanted.StaffPage }, source.StaffPage,
		},
		{
			"an update of the platform", with("updates: {ios: {version: 18.6, by: 2027-01-15T20:00}, macos: {version: 15.6, by: 2027-01-15T20:00}}"),
			func(s intent.Settled) any { return s.Wanted.Update },
			intent.Update{Version: "18.6", By: time.Date(2027, 1, 15, 20, 0, 0, 0, time.UTC)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tt.got(parse(t, tt.text).Settle(nurse, now))); diff != "" {
				t.Errorf("mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

// What is approved, excepted, shared or needed by others is never kept off.
func TestWhatIsNeverKeptOff(t *testing.T) {
	t.Parallel()
	teams := strings.Replace(record, "org.example.chat", "com.microsoft.skype.teams", 1) + "block: {apps: [microsoft-teams, whatsapp], network: true}\n"
	b := parse(t, teams).Base(ward.IOS).Wanted.Block
	if got := slugs(b); !cmp.Equal(got, []string{"whatsapp"}) {
		t.Errorf("on an iPhone with Teams approved the block holds %v", got)
	}
	for _, h := range b.Web {
		if strings.Contains(h, "teams") {
			t.Errorf("Teams is approved but %s is kept off", h)
		}
	}
	if got := slugs(parse(t, teams).Base(ward.Android).Wanted.Block); !cmp.Equal(got, []string{"whatsapp", "microsoft-teams"}) {
		t.Errorf("on Android, where it is not approved, the block holds %v", got)
	}
	if !slices.Contains(b.Web, "web.whatsapp.com") || len(b.Network) == 0 {
		t.Errorf("hosts are %v and names %v, want WhatsApp's", b.Web, b.Network)
	}

	business := parse(t, record+"block: {apps: [whatsapp, whatsapp-business], except: [whatsapp], network: true}").Base(ward.IOS).Wanted.Block
	if slices.Contains(business.Web, "web.whatsapp.com") || slices.Contains(business.Network, "whatsapp.net") {
		t.Errorf("WhatsApp is excepted but its hosts %v %v are kept off with those of WhatsApp Business", business.Web, business.Network)
	}

	hosts := parse(t, record+"    web: [whatsapp.com]\nblock: {apps: [whatsapp], network: true}").Base(ward.IOS).Wanted.Block
	for _, h := range slices.Concat(hosts.Web, hosts.Network) {
		if strings.HasSuffix(h, "whatsapp.com") {
			t.Errorf("%s lies under a host of an approved app", h)
		}
	}
	open := parse(t, record+"block: {apps: [whatsapp], web: false}").Base(ward.IOS).Wanted.Block
	if len(open.Web)+len(open.Network) != 0 {
		t.Errorf("hosts are %v and names %v, want none", open.Web, open.Network)
	}
}

func TestNeverBlockRowsStayOut(t *testing.T) {
	t.Parallel()
	p := parse(t, record+"block: {categories: [consumer-messaging]}")
	for _, a := range p.Base(ward.IOS).Wanted.Block.Apps {
		if a.NeverBlock {
			t.Errorf("the block holds %s, which may never be blocked", a.Slug)
		}
	}
	if got := strings.Join(p.Warnings(now), "\n"); !strings.Contains(got, "is among what is named, but is never blocked.") {
		t.Errorf("warnings are\n%s\nwant one of what is never blocked", got)
	}
}

func TestAllowList(t *testing.T) {
	t.Parallel()
	b := parse(t, record+"block: {mode: allow-list, allow: [com.apple.mobilesafari, Example.App_1a2b3c4d5e6f7, flatpak:org.mozilla.firefox, skype], stores: true}").Base(ward.IOS).Wanted.Block
	if !b.AllowOnly || !b.Stores || len(b.Apps) != 0 {
		t.Errorf("AllowOnly %t, Stores %t, %d apps; want true, true, 0", b.AllowOnly, b.Stores, len(b.Apps))
	}
	for p, want := range map[ward.Platform][]string{
		ward.IOS: {"com.apple.mobilesafari", "com.skype.skype"}, ward.Android: {"com.apple.mobilesafari", "com.skype.raider"},
		ward.Windows: {"Example.App_1a2b3c4d5e6f7"}, ward.Linux: {"flatpak:org.mozilla.firefox"},
	} {
		for _, id := range want {
			if !slices.Contains(b.Allow[p], id) {
				t.Errorf("%s may run %v, want %s among them", p, b.Allow[p], id)
			}
		}
		if !slices.IsSorted(b.Allow[p]) {
			t.Errorf("what %s may run is not sorted: %v", p, b.Allow[p])
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	p := parse(t, record+"    windows: {executable: chat.exe}\n    linux: {snap: chat}\nblock: {apps: [whatsapp]}")
	for pl, want := range map[ward.Platform][]string{
		ward.IOS: {"net.whatsapp.WhatsApp", "org.example.chat"}, ward.Windows: {"WhatsApp.exe", "chat.exe"}, ward.Linux: {"snap:chat"},
	} {
		got := p.Base(pl).Watch
		for _, id := range want {
			if !slices.Contains(got, id) {
				t.Errorf("%s is asked about %v, want %s among them", pl, got, id)
			}
		}
		if !slices.IsSorted(got) {
			t.Errorf("%s is asked about %v, want it sorted", pl, got)
		}
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	p := parseFull(t)
	var b strings.Builder
	for _, d := range []ward.Device{
		{ID: "D1", Platform: ward.IOS},
		{ID: "D2", Platform: ward.IOS, Ownership: ward.Corporate, Site: "North", Role: "nurse", Group: "Palliative care"},
		{ID: "D3", Platform: ward.IOS, Group: "Radiology"},
	} {
		fmt.Fprintf(&b, "# site %q ward %q role %q\n", d.Site, d.Group, d.Role)
		for _, o := range p.Settle(d, now).Origins {
			if strings.HasPrefix(o.Path, "block.apps[") && o.Path != "block.apps[whatsapp]" && o.Path != "block.apps[skype]" {
				continue // the catalogue grows; two of its apps stand for all
			}
			fmt.Fprintf(&b, "%s: %s (%s:%d, %s)\n", o.Path, o.Value, o.File, o.Line, o.Layer)
			if strings.HasPrefix(o.Layer, "baseline ") != (o.Source != "") {
				t.Errorf("%s of %s has the source %q", o.Path, o.Layer, o.Source)
			}
		}
	}
	golden(t, "origins", b.String())
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	p := parseFull(t)
	var kept []string
	for _, w := range p.Warnings(time.Date(2026, 12, 25, 0, 0, 0, 0, time.UTC)) {
		if slices.ContainsFunc([]string{"The review", "The exception", "The certificate", "Before a block"}, func(p string) bool { return strings.HasPrefix(w, p) }) {
			kept = append(kept, w)
		}
	}
	golden(t, "warnings", strings.Join(kept, "\n")+"\n")
	got := strings.Join(p.Warnings(now), "\n")
	for _, want := range []string{
		"The exception EX-1 (WhatsApp for ward Palliative care) ends at the end of 2026-12-14.",
		"The certificate Trust Root of Wi-Fi Staff ends on 2026-12-10.", "Not confirmed by the vendor or a device",
		"Before a block takes an app away, move what belongs to the record",
		"Devices look up all names at Ward DNS (line 99): where it does not answer they find no names at all",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("warnings are\n%s\nwant among them\n%s", got, want)
		}
	}
	if strings.Contains(got, "Trust DNS") {
		t.Errorf("warnings are\n%s\nwant nothing of a resolver that is asked for some names", got)
	}
	teams := parse(t, strings.Replace(record, "org.example.chat", "com.microsoft.skype.teams", 1)+"block: {apps: [microsoft-teams], web: false}")
	got = strings.Join(teams.Warnings(now), "\n")
	for _, want := range []string{
		"Chat is approved, so com.microsoft.skype.teams is left out of the block of Microsoft Teams.",
		"The policy leaves web versions open (line 10)", "No approved app is named for macOS, Android, Windows or Linux",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("warnings are\n%s\nwant among them\n%s", got, want)
		}
	}
}

func TestNotices(t *testing.T) {
	t.Parallel()
	p := parseFull(t)
	want := map[string]string{"en": "Use Chat. Questions to information governance.", "cy": "Defnyddiwch Chat."}
	if diff := cmp.Diff(want, p.Notices(ward.Device{})); diff != "" {
		t.Errorf("Notices mismatch (-want +got):\n%s", diff)
	}
	nurse := ward.Device{Platform: ward.IOS, Ownership: ward.Corporate, Site: "North", Role: "nurse"}
	if diff := cmp.Diff(map[string]string{"en": "Use Chat on ward phones."}, p.Notices(nurse)); diff != "" {
		t.Errorf("Notices of a group mismatch (-want +got):\n%s", diff)
	}
	if got := p.Settle(nurse, now).Wanted.Notice; got != "Use Chat on ward phones." {
		t.Errorf("Notice = %q", got)
	}
}
