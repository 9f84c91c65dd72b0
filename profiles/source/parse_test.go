package source_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

var now = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// entry is an entry of the register; record a small policy with it.
const (
	entry = `  - name: Chat
    ios: {bundle_id: org.example.chat, app_store_id: 123456789}
    purpose: p
    owner: o
    dpia: d
    retention: r
    review_by: 2027-01-31
`
	record = "name: Test\napproved:\n" + entry
)

func parse(t *testing.T, text string) *source.Policy {
	t.Helper()
	p, err := source.Parse([]byte(text), source.Inputs{})
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return p
}

// details returns the mistakes of a file that must have some.
func details(t *testing.T, text string, files map[string][]byte) []string {
	t.Helper()
	_, err := source.Parse([]byte(text), source.Inputs{Files: files})
	if ward.KindOf(err) != ward.Invalid {
		t.Fatalf("Parse gave the error %v, want one of the kind invalid", err)
	}
	e := err.(*ward.Error) //nolint:errorlint // Parse returns it unwrapped
	if len(e.Details) == 0 {
		return []string{e.Message}
	}
	return e.Details
}

func example(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/messaging.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func slugs(b intent.Block) []string {
	var out []string
	for _, a := range b.Apps {
		out = append(out, a.Slug)
	}
	return out
}

func TestExample(t *testing.T) {
	t.Parallel()
	p := parse(t, example(t))
	want := []source.Approved{{
		App: intent.App{
			Name: "Ward Messenger", Required: true, NeedsCertificate: true,
			IOS: intent.AppleApp{BundleID: "org.example.wardmessenger", ManifestURL: "{{server.url}}/app/v1/manifest/org.example.wardmessenger.plist"},
			Config: map[string]any{
				"server_url": "{{server.url}}", "enrolment_token": "{{enrolment_token}}", "app_id": "org.example.wardmessenger",
			},
		},
		Purpose: "Messages between clinical staff about patients in their care", Owner: "Chief Clinical Information Officer",
		DPIA: "DPIA-2026-014", Retention: "30 days on the phone; what matters is copied to the record",
		ReviewBy: time.Date(2027, 11, 30, 0, 0, 0, 0, time.UTC), Line: 8,
	}}
	if diff := cmp.Diff(want, p.Register); diff != "" {
		t.Errorf("Register mismatch (-want +got):\n%s", diff)
	}
	if want := (source.LostWords{
		Message: "This phone belongs to the hospital and has been reported lost.", Phone: "020 7946 0000",
		Footnote: "Please hand it in at any hospital reception.", Escalation: intent.DefaultEscalation(),
	}); !cmp.Equal(want, p.Lost) {
		t.Errorf("Lost = %+v, want %+v", p.Lost, want)
	}
	s := p.Base(ward.IOS)
	if want := map[intent.ID]bool{
		intent.ManagedOpenIn: true, intent.ManagedPasteboard: true, intent.AirDropUnmanaged: true,
		intent.NoLockScreenPreviews: true, intent.NoBackup: true,
	}; !cmp.Equal(want, s.Wanted.On) {
		t.Errorf("On = %v, want %v", s.Wanted.On, want)
	}
	if !strings.HasPrefix(s.Wanted.Notice, "Messages about patients go through Ward Messenger") {
		t.Errorf("Notice = %q", s.Wanted.Notice)
	}
	for _, a := range s.Wanted.Block.Apps {
		if a.Category != "consumer-messaging" || a.NeverBlock {
			t.Errorf("the block holds %s of the category %s", a.Slug, a.Category)
		}
	}
	if len(s.Wanted.Block.Apps) < 30 || len(s.Wanted.Block.Web) == 0 || len(s.Wanted.Block.Network) != 0 {
		t.Errorf("the block has %d apps, %d hosts and %d names, want some of the first two", len(s.Wanted.Block.Apps), len(s.Wanted.Block.Web), len(s.Wanted.Block.Network))
	}
}

// One pass over the file finds everything, with places and the nearest right names.
func TestParseReportsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	got := details(t, `
nme: Test
approved:
  - name: Chat
    ios: {bundel_id: org.example.chat, app_store_id: x}
    purpose: ""
    review_by: soon
    needs_certificate: yes
    config: {a: "{{device.idd}}", b: 012, c: .inf, d: ~}
block:
  categories: [consumer-mesaging, clinical]
  apps: [whatsap, wa, whatsapp]
  mode: allow-lst
containment: {screenshots: true, managed_pasteboard: true}
lost: 5
groups:
  - name: Ward 7
    match: {sit: North}
    approved: [Chatt]
posture:
  passcode: {maximum_failed_attempts: 10, minimum_length: 3, grace: 1y}
exceptions:
  - {id: EX-1, app: whatsapp, for: {group: Ward 8, ward: x}, who: Jo, reason: r, approver: jo, from: 2026-01-01, expires: 2026-04-02}
`, nil)
	want := []string{
		`line 2, column 1: the policy has no field "nme"; did you mean "name"?`,
		`line 2, column 1: the policy has no name`,
		`line 4, column 5: Chat has no purpose: an app is approved only with its full record`,
		`line 4, column 5: Chat has no owner: an app is approved only with its full record`,
		`line 4, column 5: Chat has no dpia: an app is approved only with its full record`,
		`line 4, column 5: Chat has no retention: an app is approved only with its full record`,
		`line 5, column 10: ios has no bundle_id`,
		`line 5, column 11: ios has no field "bundel_id"; did you mean "bundle_id"?`,
		`line 5, column 54: app_store_id must be the number of the app in the App Store`,
		`line 7, column 16: review_by must be a day such as 2027-03-31`,
		`line 8, column 24: needs_certificate must be true or false`,
		`line 9, column 17: config.a has the unknown variable {{device.idd}}; did you mean "device.id"?`,
		`line 9, column 38: config.b must be a decimal whole number that fits 64 bits; put quotes around it if it is text`,
		`line 9, column 46: config.c is not a number that a property list can hold`,
		`line 9, column 55: config.d must be text, a number, true, false, a date, a list or a dictionary`,
		`line 11, column 16: the catalogue has no category "consumer-mesaging"; did you mean "consumer-messaging"?`,
		`line 11, column 35: clinical apps can't be blocked as a category: name the apps`,
		`line 12, column 10: the catalogue has no app "whatsap"; did you mean "whatsapp"?`,
		`line 12, column 23: apps names whatsapp twice`,
		`line 13, column 9: mode can't be "allow-lst"; did you mean "allow-list"?`,
		`line 14, column 14: managed_pasteboard does nothing without managed_open_in: true`,
		`line 14, column 15: containment has no field "screenshots"; did you mean "no_screenshots"?`,
		`line 15, column 7: lost must be a list of fields`,
		`line 18, column 12: match names nothing: give site, ward, role, ownership or platform`,
		`line 18, column 13: match has no field "sit"; did you mean "site"?`,
		`line 19, column 16: the register has no app "Chatt"; did you mean "Chat"?`,
		`line 21, column 14: passcode has no field "maximum_failed_attempts": a device that erases itself after wrong passcodes carries out a destructive order that nobody gave and nobody approved; order an erase when it is lost`,
		`line 21, column 59: minimum_length must be a whole number from 4 to 16`,
		`line 21, column 69: grace must be a span of time such as 30m, 72h, 7d or 2w`,
		`line 23, column 5: EX-1 has no review: an exception is a written approval`,
		`line 23, column 5: EX-1 was approved by who asked for it: another person must approve`,
		`line 23, column 5: EX-1 lasts 91d: an exception may expire at most 90d after it begins`,
		`line 23, column 36: for must name one of device, owner, group, ward and site`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Details mismatch (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"empty file", "", "The policy file is empty."},
		{"comment only", "# nothing\n", "The policy file is empty."},
		{"not YAML", "a: [", "line 1"},
		{"a list", "[a]", "line 1, column 1: the policy must be a list of fields"},
		{"nothing in it", "name: Test", "approves, blocks and contains nothing"},
		{"two documents", "name: Test\ncontainment: {no_rcs: true}\n---\nname: x", "one document"},
		{"field twice", "name: Test\nname: Test\ncontainment: {no_rcs: true}", `line 2, column 1: the policy has the field "name" twice`},
		{"alias", "name: &n Test\nnote: *n\ncontainment: {no_rcs: true}", "line 2, column 7: note: aliases are not supported"},
		{"alias in a list", "name: &n whatsapp\nblock: {apps: [*n], reason_without_alternative: r}", "line 2, column 16: apps: aliases are not supported"},
		{"block without an approved app", "name: Test\nblock: {apps: [whatsapp]}", "line 2, column 8: apps are blocked but none is approved"},
		{"block of nothing", record + "block: {except: [whatsapp]}", "line 10, column 8: block names no categories and no apps"},
		{"idle exception", record + "block: {apps: [whatsapp], except: [signal]}", `line 10, column 36: except names "signal", which is not blocked anyway`},
		{"exception with a blocked twin", record + "block: {apps: [microsoft-teams, clin-teams], except: [clin-teams]}", `"microsoft-teams" has the same bundle id`},
		{"blank item", record + "block: {apps: ['']}", "line 10, column 16: an item of apps is empty"},
		{"item is a list", record + "block: {apps: [[whatsapp]]}", "line 10, column 16: an item of apps must be text"},
		{"apps is text", record + "block: {apps: whatsapp}", "line 10, column 15: apps must be a list"},
		{"category twice", record + "block: {categories: [sms, sms]}", `categories lists "sms" twice`},
		{"allow without its mode", record + "block: {apps: [whatsapp], allow: [com.apple.mobilesafari]}", "line 10, column 35: allow does nothing in the mode deny-list"},
		{"allow of no identifier", record + "block: {mode: allow-list, allow: [Safari browser]}", "neither an app of the catalogue nor an identifier"},
		{"record with a blank", strings.Replace(record, "owner: o", "owner: ' '", 1), "Chat has no owner"},
		{"record without a day", strings.Replace(record, "review_by: 2027-01-31", "review_by:", 1), "Chat has no review_by"},
		{"no such day", strings.Replace(record, "2027-01-31", "2027-02-30", 1), "review_by must be a day"},
		{"no platform", strings.Replace(record, "    ios: {bundle_id: org.example.chat, app_store_id: 123456789}\n", "", 1), "line 3, column 5: Chat names no platform"},
		{"both sources", strings.Replace(record, "app_store_id: 123456789", "app_store_id: 1, manifest_url: 'https://x.example/a'", 1), "either app_store_id or manifest_url"},
		{"plain http", strings.Replace(record, "app_store_id: 123456789", "manifest_url: 'http://x.example/a'", 1), "must begin with https://"},
		{"token in the address", strings.Replace(record, "app_store_id: 123456789", "manifest_url: '{{server.url}}/{{enrolment_token}}'", 1), "at its beginning only"},
		{"team id", strings.Replace(record, "app_store_id: 123456789", "app_store_id: 1, team_id: abc", 1), "team_id must be ten capital letters and digits"},
		{"android package", record + "    android: {package: chat}", "package must be a package name"},
		{"android version", record + "    android: {package: org.example.chat, minimum_version_code: -1}", "minimum_version_code must be a whole number above 0"},
		{"windows without a name", record + "    windows: {}", "windows names no app"},
		{"linux name", record + "    linux: {snap: 'a b'}", "snap must be letters, digits"},
		{"web host", record + "    web: [https://chat.example.org]", "an item of web must be a host name"},
		{"minimum version", record + "    minimum_version: {ios: new}", "minimum_version must be a version such as 18"},
		{"certificate without token", record + "    needs_certificate: true", "its config must hold {{enrolment_token}}"},
		{"token without certificate", record + "    config: {t: '{{enrolment_token}}'}", "does not say needs_certificate"},
		{"alias without certificate", record + "    config: {t: '{{cert.alias}}'}", "is given {{cert.alias}} but does not say needs_certificate"},
		{"open brace", record + "    config: {t: '{{device.id'}", "without its counterpart"},
		{"config twice", record + "    config: {t: 1, t: 2}", `has the key "t" twice`},
		{"config is text", record + "    config: x", "config must be a dictionary"},
		{"too many items", record + "block: {apps: [" + strings.Repeat("wa, ", 5001) + "]}", "apps has more than 5000 items"},
		{"control character", record + `notice: "a\x01b"`, "line 10, column 9: notice holds a control character"},
		{"same app twice", record + entry, "has the bundle id of Chat"},
		{"notice without English", record + "notice: {cy: Helo}", "line 10, column 9: notice has no en"},
		{"notice in no language", record + "notice: {en: Hello, welsh: Helo}", `line 10, column 21: notice has "welsh" where a language`},
		{"unknown baseline", record + "baseline: ncsc-corporat", `line 10, column 11: baseline can't be "ncsc-corporat"; did you mean "ncsc-corporate"?`},
		{"baseline twice", record + "baseline: [byod-contained, byod-contained]", "line 10, column 28: baseline lists"},
		{"automatic wipe", record + "hardening: {wipe_after_failed_attempts: 10}", "carries out a destructive order"},
		{"severity", record + "posture: {encryption: {severity: major}}", `severity can't be "major"; it must be none, advice or breach`},
		{"grace too long", record + "posture: {encryption: {grace: 60w}}", "grace must be between 1m and 90d"},
		{"minimum system", record + "posture: {minimum_os: {ios: latest}}", "ios must be a version such as 18 or 18.6.1"},
		{"group without a name", record + "groups: [{match: {site: x}}]", "a group has no name"},
		{"group twice", record + "groups: [{name: a, match: {site: x}}, {name: a, match: {site: y}}]", `groups lists "a" twice`},
		{"group without a match", record + "groups: [{name: a}]", "a has no match"},
		{"group of an unknown platform", record + "groups: [{name: a, match: {platform: iOS}}]", `platform can't be "iOS"; did you mean "ios"?`},
		{"group loses its alternative", record + "block: {apps: [whatsapp]}\ngroups: [{name: a, match: {site: x}, approved: []}]", "line 11, column 10: apps are blocked for group a but none is approved"},
		{"group without an app for its platform", record + "groups: [{name: a, match: {platform: android}, block: {apps: [whatsapp]}}]", "line 10, column 55: apps are blocked for group a but none is approved"},
		{"group switches off what another switch needs", record + "containment: {managed_open_in: true, managed_pasteboard: true}\ngroups: [{name: a, match: {site: x}, containment: {managed_open_in: false}}]", "line 11, column 51: managed_pasteboard does nothing without"},
		{"group excepts in vain", record + "block: {apps: [whatsapp]}\ngroups: [{name: a, match: {site: x}, block: {except: [signal]}}]", `line 11, column 55: except names "signal", which is not blocked anyway`},
		{"exception for an unknown group", record + "exceptions: [{id: E, app: wa, for: {group: x}, who: a, reason: b, approver: c, from: 2026-01-01, expires: 2026-02-01, review: d}]", `the policy has no group "x"`},
		{"exception for no address", record + "exceptions: [{id: E, app: wa, for: {owner: x}, who: a, reason: b, approver: c, from: 2026-01-01, expires: 2026-02-01, review: d}]", "owner must be an e-mail address"},
		{"exception that ends first", record + "exceptions: [{id: E, app: wa, for: {site: x}, who: a, reason: b, approver: c, from: 2026-03-01, expires: 2026-02-01, review: d}]", "E expires before it begins"},
		{"Wi-Fi without servers", record + "networks: {wifi: [{ssid: Staff, trusted_roots: root.pem}]}", "Staff has no server_names"},
		{"Wi-Fi name", record + "networks: {wifi: [{ssid: " + strings.Repeat("x", 33) + ", server_names: [r.example.org], trusted_roots: root.pem}]}", "longer than 32 bytes"},
		{"file that is not there", record + "networks: {wifi: [{ssid: Staff, server_names: [r.example.org], trusted_roots: root.pem}]}", `line 10, column 79: the file "root.pem" was not found`},
		{"file elsewhere", record + "catalogue: ../../etc/passwd", "must name a file beside the policy"},
		{"relay over http", record + "networks: {relays: [{name: R, url: 'http://r.example.org'}]}", "url must begin with https://"},
		{"resolver of nothing", record + "networks: {dns: {name: D}}", "line 10, column 17: dns has neither a server_url nor a server_name"},
		{"resolver without a name", record + "networks: {dns: {server_name: d.example.org}}", "dns has no name"},
		{"resolver over http", record + "networks: {dns: {name: D, server_url: 'http://d.example.org'}}", "server_url must begin with https://"},
		{"resolver with a template", record + "networks: {dns: {name: D, server_url: 'https://d.example.org/q{?dns}'}}", "server_url may hold no variable"},
		{"resolver by its address", record + "networks: {dns: {name: D, server_name: 192.0.2.53}}", "server_name must be a host name"},
		{"address that is none", record + "networks: {dns: {name: D, server_name: d.example.org, addresses: [192.0.2.530]}}", `"192.0.2.530" is no IP address`},
		{"address of a network", record + "networks: {dns: {name: D, server_name: d.example.org, addresses: [192.0.2.0/24]}}", "must be an IP address"},
		{"address of the device itself", record + "networks: {dns: {name: D, server_name: d.example.org, addresses: ['::1']}}", "::1 is no address that a device can ask"},
		{"address twice", record + "networks: {dns: {name: D, server_name: d.example.org, addresses: ['2001:db8::1', '2001:DB8:0::1']}}", "addresses lists 2001:db8::1 twice"},
		{"two resolvers", record + "networks: {dns: [{name: D, server_name: d.example.org}]}", "dns must be a list of fields"},
		{"secret in a link", record + "web_clips: [{label: A, url: 'https://x.example.org/{{enrolment_token}}'}]", "an address is seen by others"},
		{"link twice", record + "web_clips: [{label: A, url: 'https://x.example.org'}, {label: A, url: 'https://y.example.org'}]", `web_clips lists "A" twice`},
		{"staff page", record + "staff_page: staff.example.org", "staff_page must begin with https://"},
		{"update without a day", record + "updates: {ios: {version: '18.6'}}", "the update of ios has no by"},
		{"update at no time", record + "updates: {ios: {version: '18.6', by: 2027-01-15}}", "by must be a day and hour"},
		{"too large", "name: " + strings.Repeat("x", source.MaxSize), "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(details(t, tt.text, nil), "\n")
			if !strings.Contains(got, tt.want) {
				t.Errorf("mistakes are\n%s\nwant among them\n%s", got, tt.want)
			}
		})
	}
}

func TestBlockWithoutAlternativeNeedsAReason(t *testing.T) {
	t.Parallel()
	p := parse(t, "name: Test\nblock: {apps: [whatsapp], reason_without_alternative: shared ward phones only call}")
	if got := slugs(p.Base(ward.IOS).Wanted.Block); !cmp.Equal(got, []string{"whatsapp"}) {
		t.Errorf("the block holds %v, want whatsapp", got)
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	got, err := source.Named([]byte(`
catalogue: site.yaml
networks:
  wifi: [{ssid: Staff, trusted_roots: [b.pem, a.pem]}]
groups:
  - profiles: [{name: P, file: own/p.mobileconfig}]
    web_clips: [{icon: ../x.png}, {icon: x.png}]
`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.pem", "b.pem", "own/p.mobileconfig", "site.yaml", "x.png"}, got); diff != "" {
		t.Errorf("Named mismatch (-want +got):\n%s", diff)
	}
	if _, err := source.Named([]byte("a: [")); ward.KindOf(err) != ward.Invalid {
		t.Errorf("Named of no YAML gave %v, want an invalid file", err)
	}
}
