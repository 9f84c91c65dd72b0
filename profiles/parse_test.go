package profiles_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/plist"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
)

// record is a full record of an approved app; %CONFIG% and more can be put after it.
const record = `
name: Test
approved:
  - name: Chat
    ios: {bundle_id: org.example.chat, app_store_id: 123456789}
    purpose: p
    owner: o
    dpia: d
    retention: r
    review_by: 2027-01-31
`

func parse(t *testing.T, text string) *profiles.Policy {
	t.Helper()
	p, err := profiles.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func details(t *testing.T, text string) []string {
	t.Helper()
	_, err := profiles.Parse([]byte(text))
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*ward.Error](err)
	if !ok || e.Kind != ward.Invalid {
		t.Fatalf("Parse error is %T of kind %q, want an invalid *ward.Error: %v", err, ward.KindOf(err), err)
	}
	if len(e.Details) == 0 {
		return []string{e.Message}
	}
	return e.Details
}

// full uses every field of the file.
const full = `
name: Full
note: second version
notice: Use Chat.
approved:
  - name: Chat
    ios: {bundle_id: org.example.chat, manifest_url: "{{server.url}}/chat.plist"}
    purpose: clinical messages
    owner: CCIO
    dpia: 2026-014
    retention: 30 days
    review_by: 2027-01-31
    required: true
    needs_certificate: true
    config:
      token: "{{ enrolment_token }}"
      nested: {on: true, ports: [80, 1.5, "{{device.id}}"]}
      since: 2026-01-02
block:
  mode: deny-list
  categories: [multi-messenger]
  apps: [wa, ph.telegra.Telegraph]
  except: [caprine]
containment:
  managed_open_in: true
  managed_pasteboard: true
  airdrop_unmanaged: true
  no_screenshots: true
  no_lock_screen_previews: true
  no_backup: true
  no_imessage: true
  no_rcs: true
lost: {message: Lost, phone: 020 7946 0000, footnote: Thanks}
`

func TestParseReadsEveryField(t *testing.T) {
	t.Parallel()
	p := parse(t, full)
	want := []profiles.Approved{{
		Name: "Chat", IOS: profiles.IOSApp{BundleID: "org.example.chat", ManifestURL: "{{server.url}}/chat.plist"},
		Purpose: "clinical messages", Owner: "CCIO", DPIA: "2026-014", Retention: "30 days",
		ReviewBy: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC), Required: true, NeedsCertificate: true,
		Config: map[string]any{
			"token":  "{{ enrolment_token }}",
			"nested": map[string]any{"on": true, "ports": []any{int64(80), 1.5, "{{device.id}}"}},
			"since":  time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		},
	}}
	if diff := cmp.Diff(want, p.Approved); diff != "" {
		t.Errorf("Approved mismatch (-want +got):\n%s", diff)
	}
	wantBlock := profiles.Block{Categories: []string{"multi-messenger"}, Apps: []string{"whatsapp", "telegram"}, Except: []string{"caprine"}}
	if diff := cmp.Diff(wantBlock, p.Block); diff != "" {
		t.Errorf("Block mismatch (-want +got):\n%s", diff)
	}
	var slugs []string
	for _, a := range p.Blocked() {
		slugs = append(slugs, a.Slug)
	}
	wantSlugs := []string{"whatsapp", "telegram", "airmessage", "beeper", "desktop-multi", "whatsapp-wrappers"}
	if diff := cmp.Diff(wantSlugs, slugs); diff != "" {
		t.Errorf("Blocked() mismatch (-want +got):\n%s", diff)
	}
	if want := (profiles.LostWords{Message: "Lost", Phone: "020 7946 0000", Footnote: "Thanks"}); p.Lost != want {
		t.Errorf("Lost = %+v, want %+v", p.Lost, want)
	}
	all := profiles.Containment{
		ManagedOpenIn: true, ManagedPasteboard: true, AirDropUnmanaged: true, NoScreenshots: true,
		NoLockScreenPreviews: true, NoBackup: true, NoIMessage: true, NoRCS: true,
	}
	if p.Containment != all {
		t.Errorf("Containment = %+v, want everything on", p.Containment)
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
  mode: allow-list
containment: {screenshots: true, managed_pasteboard: true}
lost: 5
`)
	want := []string{
		`line 2, column 1: the policy has no field "nme"; did you mean "name"?`,
		`line 2, column 1: the policy needs a name`,
		`line 4, column 5: Chat has no purpose: an app is approved only with its full record`,
		`line 4, column 5: Chat has no owner: an app is approved only with its full record`,
		`line 4, column 5: Chat has no dpia: an app is approved only with its full record`,
		`line 4, column 5: Chat has no retention: an app is approved only with its full record`,
		`line 5, column 10: ios needs a bundle_id of letters, digits, dots and hyphens, such as org.example.app`,
		`line 5, column 11: ios has no field "bundel_id"; did you mean "bundle_id"?`,
		`line 5, column 54: app_store_id must be the number of the app in the App Store`,
		`line 7, column 16: review_by must be a day such as 2027-03-31`,
		`line 8, column 24: needs_certificate must be true or false`,
		`line 9, column 17: config.a has the unknown variable {{device.idd}}; did you mean "device.id"?`,
		`line 9, column 38: config.b must be a decimal whole number that fits 64 bits; put quotes around it if it is text`,
		`line 9, column 46: config.c is not a number that a property list can hold`,
		`line 9, column 55: config.d must be text, a number, true, false, a date, a list or a dictionary`,
		`line 11, column 3: block has no mode "allow-list": only deny-list is offered`,
		`line 11, column 16: the catalogue has no category "consumer-mesaging"; did you mean "consumer-messaging"?`,
		`line 11, column 35: clinical apps can't be blocked as a category: name the apps`,
		`line 12, column 10: the catalogue has no app "whatsap"; did you mean "whatsapp"?`,
		`line 12, column 23: apps names whatsapp twice`,
		`line 14, column 14: managed_pasteboard does nothing without managed_open_in: true`,
		`line 14, column 15: containment has no field "screenshots"; did you mean "no_screenshots"?`,
		`line 15, column 7: lost must be a list of fields`,
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
		{"a list", "[a]", "the policy must be a list of fields"},
		{"nothing in it", "name: Test", "approves, blocks and contains nothing"},
		{"two documents", "name: Test\ncontainment: {no_rcs: true}\n---\nname: x", "one document"},
		{"field twice", "name: Test\nname: Test\ncontainment: {no_rcs: true}", `has the field "name" twice`},
		{"alias", "name: &n Test\nnote: *n\ncontainment: {no_rcs: true}", "aliases are not supported"},
		{"block without an approved app", "name: Test\nblock: {apps: [whatsapp]}", "reason_without_alternative"},
		{"block of nothing", record + "block: {except: [whatsapp]}", "names no categories and no apps"},
		{"idle exception", record + "block: {apps: [whatsapp], except: [signal]}", `"signal", which is not blocked anyway`},
		{"exception with a blocked twin", record + "block: {apps: [microsoft-teams, clin-teams], except: [clin-teams]}", `"microsoft-teams" has the same bundle id`},
		{"record with a blank", strings.Replace(record, "owner: o", "owner: ' '", 1), "Chat has no owner"},
		{"record without a day", strings.Replace(record, "review_by: 2027-01-31", "review_by:", 1), "Chat has no review_by"},
		{"no such day", strings.Replace(record, "2027-01-31", "2027-02-30", 1), "review_by must be a day"},
		{"both sources", strings.Replace(record, "app_store_id: 123456789", "app_store_id: 1, manifest_url: 'https://x.example/a'", 1), "either app_store_id or manifest_url"},
		{"plain http", strings.Replace(record, "app_store_id: 123456789", "manifest_url: 'http://x.example/a'", 1), "must begin with https://"},
		{"token in the address", strings.Replace(record, "app_store_id: 123456789", "manifest_url: '{{server.url}}/{{enrolment_token}}'", 1), "at its beginning only"},
		{"certificate without token", record + "    needs_certificate: true", "its config must hold {{enrolment_token}}"},
		{"token without certificate", record + "    config: {t: '{{enrolment_token}}'}", "does not say needs_certificate"},
		{"open brace", record + "    config: {t: '{{device.id'}", "without its counterpart"},
		{"config twice", record + "    config: {t: 1, t: 2}", `has the key "t" twice`},
		{"config is text", record + "    config: x", "config must be a dictionary"},
		{"control character", record + `notice: "a\x01b"`, "control character"},
		{"same app twice", record + strings.SplitAfterN(record, "approved:\n", 2)[1], "has the bundle id of Chat"},
		{"too large", "name: " + strings.Repeat("x", profiles.MaxPolicySize), "larger than"},
	}
	for _, tt := range tests {
		got := strings.Join(details(t, tt.text), "\n")
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: mistakes are %q, want %q among them", tt.name, got, tt.want)
		}
	}
}

func TestBlockWithoutAlternativeNeedsAReason(t *testing.T) {
	t.Parallel()
	p := parse(t, "name: Test\nblock: {apps: [whatsapp], reason_without_alternative: shared ward phones only call}")
	if len(p.Blocked()) != 1 {
		t.Errorf("Blocked() has %d apps, want 1", len(p.Blocked()))
	}
}

func TestExamplePolicyIsValidAndOwnCopy(t *testing.T) {
	t.Parallel()
	a := profiles.ExamplePolicy()
	parse(t, string(a))
	a[0] = 'X'
	if profiles.ExamplePolicy()[0] == 'X' {
		t.Error("ExamplePolicy returns memory that callers share")
	}
}

// Whatever a file holds, Parse answers: with a policy that compiles for every class to
// valid property lists, or with an invalid *ward.Error that names a mistake.
func FuzzParse(f *testing.F) {
	f.Add(string(profiles.ExamplePolicy()))
	f.Add(record + "    config: {a: [1, 2.5, true, 2026-01-01], b: {c: '{{device.id}}'}}\n")
	f.Add(record + "block: {categories: [consumer-messaging], except: [signal]}")
	f.Add("name: x\ncontainment: {no_rcs: true}\nnotice: \"\\u0000\"")
	f.Add("a: &a [*a]")
	f.Add("? {a: b}\n: c")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := profiles.Parse([]byte(text))
		if err != nil {
			if len(details(t, text)) == 0 {
				t.Fatal("the error names no mistake")
			}
			return
		}
		for _, s := range []profiles.Subject{supervised("18.6"), corporate("17.0"), personal("18.6")} {
			st := profiles.Desired(s, p, now)
			for _, pr := range st.Profiles {
				var doc map[string]any
				if err := plist.Unmarshal(pr.Payload, &doc); err != nil {
					t.Fatalf("the profile can't be read back: %v", err)
				}
				if doc["PayloadDisplayName"] != "Ward: "+p.Name {
					t.Fatalf("the name came back as %q", doc["PayloadDisplayName"])
				}
			}
			for _, a := range st.Apps {
				if _, err := plist.Marshal(profiles.Render(a.Config, profiles.Values{})); a.Config != nil && err != nil {
					t.Fatalf("the configuration can't be written: %v", err)
				}
			}
		}
	})
}
