package profiles_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/plist"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
)

var update = flag.Bool("update", false, "write the golden files anew")

func phone(os string, o ward.Ownership, s ward.Supervision) profiles.Subject {
	return profiles.Subject{
		Device:     ward.Device{Platform: ward.IOS, OSVersion: os, Ownership: o},
		Supervised: s, Rights: ward.RightsFor(o), Kind: "Device",
	}
}

func supervised(os string) profiles.Subject { return phone(os, ward.Corporate, ward.Supervised) }
func corporate(os string) profiles.Subject  { return phone(os, ward.Corporate, ward.Unsupervised) }
func personal(os string) profiles.Subject   { return phone(os, ward.Personal, ward.Unsupervised) }

func userEnrolled(os string) profiles.Subject {
	s := personal(os)
	s.Kind, s.Rights = "User Enrollment (Device)", 0
	return s
}

func missing(s profiles.Subject, kind profiles.CaseKind) profiles.Subject {
	s.Case = &profiles.Case{ID: "case-1", Kind: kind, Reported: now}
	return s
}

func examplePolicy(t testing.TB) *profiles.Policy {
	t.Helper()
	p, err := profiles.Parse(profiles.ExamplePolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// record is a register of one app.
const record = `name: n
approved:
  - name: Chat
    ios: {bundle_id: org.example.chat, app_store_id: 123456789}
    purpose: p
    owner: o
    dpia: d
    retention: r
    review_by: 2027-01-31
`

func parse(t testing.TB, text string) *profiles.Policy {
	t.Helper()
	p, err := profiles.Parse([]byte(text), nil)
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, text)
	}
	return p
}

// restrictions returns the keys of the restrictions payload, nil if there is none.
func restrictions(t *testing.T, st profiles.State) map[string]any {
	t.Helper()
	for _, p := range st.Profiles {
		var doc struct{ PayloadContent []map[string]any }
		if err := plist.Unmarshal(p.Payload, &doc); err != nil {
			t.Fatal(err)
		}
		for _, payload := range doc.PayloadContent {
			if payload["PayloadType"] == "com.apple.applicationaccess" {
				return payload
			}
		}
	}
	return nil
}

func verdict(t *testing.T, limits []intent.Outcome, words string) intent.Outcome {
	t.Helper()
	i := slices.IndexFunc(limits, func(l intent.Outcome) bool { return strings.HasPrefix(l.Intent, words) })
	if i < 0 {
		t.Fatalf("no limit speaks of %q: %+v", words, limits)
	}
	return limits[i]
}

func TestDesiredBlocks(t *testing.T) {
	t.Parallel()
	p := examplePolicy(t)
	tests := []struct {
		name    string
		subject profiles.Subject
		blocks  bool
		watches bool
		verdict intent.Verdict
		why     string
	}{
		{"supervised", supervised("18.6"), true, true, intent.Enforced, "can't be opened on this phone"},
		{"supervised iPad of iOS 26", supervised("26.1"), true, true, intent.Enforced, "can't be opened"},
		{"supervised, too old", supervised("9.2"), false, true, intent.DetectOnly, "needs iOS 9.3"},
		{"supervised, version unknown", supervised(""), false, true, intent.DetectOnly, "not known"},
		{"supervision unknown", phone("18.6", ward.Corporate, ward.SupervisionUnknown), false, true, intent.DetectOnly, "only supervised iPhones block apps"},
		{"work phone", corporate("18.6"), false, true, intent.DetectOnly, "only supervised iPhones block apps"},
		{"personal", personal("18.6"), false, true, intent.DetectOnly, "never for all its apps"},
		{"user enrolment", userEnrolled("18.6"), false, false, intent.Impossible, "user enrolment"},
	}
	for _, tt := range tests {
		st := profiles.Desired(tt.subject, p, now)
		ids, blocks := restrictions(t, st)["blockedAppBundleIDs"].([]any)
		if blocks != tt.blocks || blocks && !slices.Contains(ids, any("net.whatsapp.WhatsApp")) {
			t.Errorf("%s: blockedAppBundleIDs = %v, want it there: %v", tt.name, ids, tt.blocks)
		}
		if slices.Contains(st.WatchApps, "net.whatsapp.WhatsApp") != tt.watches {
			t.Errorf("%s: WatchApps = %v, want WhatsApp in it: %v", tt.name, st.WatchApps, tt.watches)
		}
		l := verdict(t, st.Limits, "Block WhatsApp")
		if l.Verdict != tt.verdict || !strings.Contains(l.Why, tt.why) {
			t.Errorf("%s: limit = %s because %q, want %s because %q", tt.name, l.Verdict, l.Why, tt.verdict, tt.why)
		}
		if l.Verdict != intent.Enforced && l.Cure == "" {
			t.Errorf("%s: no cure is named", tt.name)
		}
	}
}

// A key that needs supervision must never reach a phone without it.
func TestUnsupervisedPhonesGetNoSupervisedKey(t *testing.T) {
	t.Parallel()
	p := parse(t, record+"block: {categories: [consumer-messaging]}\ncontainment: {managed_open_in: true, no_screenshots: true, no_lock_screen_previews: true, no_backup: true, no_imessage: true, no_rcs: true}")
	for _, s := range []profiles.Subject{corporate("18.6"), personal("18.6"), userEnrolled("18.6"), phone("26.0", ward.Corporate, "")} {
		got := restrictions(t, profiles.Desired(s, p, now))
		for _, key := range []string{"blockedAppBundleIDs", "allowChat", "allowRCSMessaging", "allowiPhoneMirroring", "allowCloudBackup"} {
			if _, there := got[key]; there {
				t.Errorf("%s has %s", profiles.ClassOf(s, p, now), key)
			}
		}
		if got["allowOpenFromManagedToUnmanaged"] != false || got["allowScreenShot"] != false {
			t.Errorf("%s lacks containment that needs no supervision: %v", profiles.ClassOf(s, p, now), got)
		}
	}
}

func TestMessagesIsNeverBlocked(t *testing.T) {
	t.Parallel()
	p := parse(t, record+"block: {categories: [consumer-messaging], apps: [imessage]}")
	st := profiles.Desired(supervised("18.6"), p, now)
	ids, _ := restrictions(t, st)["blockedAppBundleIDs"].([]any)
	if len(ids) < 30 || slices.Contains(ids, any("com.apple.MobileSMS")) {
		t.Errorf("blockedAppBundleIDs = %v, want at least 30 and not com.apple.MobileSMS", ids)
	}
	if l := verdict(t, st.Limits, "Block Messages"); l.Verdict != intent.NotEnforced || l.Cure == "" {
		t.Errorf("limit = %+v, want not enforced with a cure", l)
	}
	p = parse(t, record+"block: {apps: [imessage]}\ncontainment: {no_imessage: true, no_rcs: true}")
	st = profiles.Desired(supervised("18.6"), p, now)
	if got := restrictions(t, st); got["allowChat"] != false || got["allowRCSMessaging"] != false || got["blockedAppBundleIDs"] != nil {
		t.Errorf("restrictions = %v, want iMessage and RCS off and no block", got)
	}
}

// What is approved wins over the block, even where the catalogue's row says otherwise.
func TestApprovedAppIsNeverBlocked(t *testing.T) {
	t.Parallel()
	p := parse(t, strings.Replace(record, "org.example.chat", "io.element.elementx", 1)+"block: {categories: [consumer-messaging]}")
	st := profiles.Desired(supervised("18.6"), p, now)
	ids, _ := restrictions(t, st)["blockedAppBundleIDs"].([]any)
	if slices.Contains(ids, any("io.element.elementx")) || !slices.Contains(ids, any("im.vector.app")) {
		t.Errorf("blockedAppBundleIDs = %v, want im.vector.app without io.element.elementx", ids)
	}
	if found := st.Present([]string{"io.element.elementx"}); len(found) != 0 {
		t.Errorf("Present names %s, which is approved", found[0].Slug)
	}
	warned := slices.ContainsFunc(p.Summary(now).Warnings, func(w string) bool { return strings.Contains(w, "io.element.elementx is left out") })
	if !warned {
		t.Errorf("the summary does not say so: %v", p.Summary(now).Warnings)
	}
}

func TestDesiredWhenMissing(t *testing.T) {
	t.Parallel()
	p := examplePolicy(t)
	words := profiles.LostMode{
		Message:  "This phone belongs to the hospital and has been reported lost.",
		Phone:    "020 7946 0000",
		Footnote: "Please hand it in at any hospital reception.",
	}
	lock := &profiles.Lock{Message: words.Message, Phone: words.Phone}
	both := intent.Signs()
	type deeds struct {
		LostMode                             *profiles.LostMode
		Lock                                 *profiles.Lock
		Locate, RemoveManagement, RevokeApps bool
		AppsRemoved                          bool
		Signs                                []intent.Sign
	}
	tests := []struct {
		name    string
		subject profiles.Subject
		want    deeds
	}{
		{"supervised", missing(supervised("18.6"), profiles.CaseLost), deeds{LostMode: &words, Locate: true, RevokeApps: true, Signs: both}},
		{"supervised, stolen", missing(supervised("18.6"), profiles.CaseStolen), deeds{LostMode: &words, Locate: true, RevokeApps: true, Signs: both}},
		{"work phone", missing(corporate("18.6"), profiles.CaseLost), deeds{Lock: lock, RevokeApps: true, Signs: both}},
		{"work phone, stolen", missing(corporate("18.6"), profiles.CaseStolen), deeds{Lock: lock, RevokeApps: true, AppsRemoved: true, Signs: both}},
		{"personal", missing(personal("18.6"), profiles.CaseLost), deeds{Lock: lock, RemoveManagement: true, RevokeApps: true}},
		{"personal, supervised", missing(phone("18.6", ward.Personal, ward.Supervised), profiles.CaseStolen), deeds{Lock: lock, RemoveManagement: true, RevokeApps: true}},
		{"user enrolment", missing(userEnrolled("18.6"), profiles.CaseLost), deeds{Lock: lock, RemoveManagement: true, RevokeApps: true}},
		{"no case", supervised("18.6"), deeds{}},
	}
	for _, tt := range tests {
		st := profiles.Desired(tt.subject, p, now)
		got := deeds{st.LostMode, st.Lock, st.Locate, st.RemoveManagement, st.RevokeApps, st.Apps[0].Remove, st.Signs}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: Desired mismatch (-want +got):\n%s", tt.name, diff)
		}
		calm := tt.subject
		calm.Case = nil
		if diff := cmp.Diff(profiles.Desired(calm, p, now).Profiles, st.Profiles); diff != "" {
			t.Errorf("%s: the case changed the profiles (-without +with):\n%s", tt.name, diff)
		}
	}
	if st := profiles.Desired(corporate("18.6"), p, now); st.Apps[0].Remove {
		t.Error("a stolen phone's removal leaked into the shared state")
	}
}

func TestLostWordsFallBack(t *testing.T) {
	t.Parallel()
	p := examplePolicy(t)
	s := missing(supervised("18.6"), profiles.CaseLost)
	s.Case.Message, s.Case.Phone = "Ring ward 7.", "1234"
	got := *profiles.Desired(s, p, now).LostMode
	want := profiles.LostMode{Message: "Ring ward 7.", Phone: "1234", Footnote: p.Lost.Footnote}
	if got != want {
		t.Errorf("with the case's words: %+v, want %+v", got, want)
	}
	// EnableLostMode needs a message or a number, so there is always one.
	if st := profiles.Desired(missing(supervised("18.6"), profiles.CaseLost), nil, now); st.LostMode == nil || st.LostMode.Message == "" {
		t.Errorf("without a policy: %+v, want words of Ward's own", st.LostMode)
	}
}

func TestDesiredWithoutPolicyOrIPhone(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(profiles.State{}, profiles.Desired(supervised("18.6"), nil, now)); diff != "" {
		t.Errorf("without a policy (-want +got):\n%s", diff)
	}
	for _, platform := range []ward.Platform{ward.MacOS, ward.Android, ward.Windows, ward.Linux} {
		st := profiles.Desired(missing(profiles.Subject{Device: ward.Device{Platform: platform, OSVersion: "15.1"}}, profiles.CaseLost), examplePolicy(t), now)
		if len(st.Apps) > 0 || st.Lock != nil || st.LostMode != nil || len(st.Limits) == 0 || st.Class == "" {
			t.Errorf("for %s: %d apps, lock %v, lost mode %v, %d limits; want limits only", platform, len(st.Apps), st.Lock, st.LostMode, len(st.Limits))
		}
	}
}

func TestRightsAreRespected(t *testing.T) {
	t.Parallel()
	p := examplePolicy(t)
	tests := []struct {
		name                 string
		without              ward.AccessRights
		profile, apps, watch bool
	}{
		{"all", 0, true, true, true},
		{"no erase", ward.RightErase, true, true, true},
		{"no profiles", ward.RightInstallProfiles, false, true, true},
		{"no apps", ward.RightManageApps, true, false, true},
		{"no list", ward.RightInspectApps, true, true, false},
	}
	for _, tt := range tests {
		s := supervised("18.6")
		s.Rights = ward.RightsAll &^ tt.without
		st := profiles.Desired(s, p, now)
		if len(st.Profiles) > 0 != tt.profile || len(st.Apps) > 0 != tt.apps || len(st.WatchApps) > 0 != tt.watch {
			t.Errorf("%s: %d profiles, %d apps, %d watched; want some: %v %v %v",
				tt.name, len(st.Profiles), len(st.Apps), len(st.WatchApps), tt.profile, tt.apps, tt.watch)
		}
		said := slices.ContainsFunc(st.Limits, func(l intent.Outcome) bool { return strings.Contains(l.Why, "without the right") })
		if said == (tt.profile && tt.apps && tt.watch) {
			t.Errorf("%s: a missing right is spoken of: %v", tt.name, said)
		}
	}
}

func TestAppHashIsOfTheTemplate(t *testing.T) {
	t.Parallel()
	app := func(config string, edit ...string) profiles.App {
		text := strings.NewReplacer(edit...).Replace(record) + "    config: " + config
		return profiles.Desired(supervised("18.6"), parse(t, text), now).Apps[0]
	}
	base := app(`{a: 1, b: "{{device.id}}"}`)
	if again := app(`{b: "{{device.id}}", a: 1}`, "purpose: p", "purpose: other"); again.Hash != base.Hash {
		t.Error("the order of keys, or the record, changed the hash")
	}
	for what, other := range map[string]profiles.App{
		"text for a number":  app(`{a: "1", b: "{{device.id}}"}`),
		"decimal for whole":  app(`{a: 1.0, b: "{{device.id}}"}`),
		"another variable":   app(`{a: 1, b: "{{device.name}}"}`),
		"another store id":   app(`{a: 1, b: "{{device.id}}"}`, "123456789", "123456780"),
		"no configuration":   app(`{}`),
		"what stands inside": app(`{a: 1, b: "{{device.id}}", c: {d: [true]}}`),
	} {
		if other.Hash == base.Hash {
			t.Errorf("%s: the hash stays the same", what)
		}
	}
}

func TestOverdueReviewIsShownNotDropped(t *testing.T) {
	t.Parallel()
	p := parse(t, record)
	for day, want := range map[string]bool{"2027-01-31T23:59:59Z": false, "2027-02-01T00:00:00Z": true} {
		at, err := time.Parse(time.RFC3339, day)
		if err != nil {
			t.Fatal(err)
		}
		apps := profiles.Desired(supervised("18.6"), p, at).Apps
		if len(apps) != 1 || apps[0].Overdue != want {
			t.Errorf("at %s the apps are %+v, want one with Overdue %v", day, apps, want)
		}
		if got := p.Summary(at).Approved[0].Overdue; got != want {
			t.Errorf("at %s the summary says overdue: %v", day, got)
		}
	}
}

func TestPresent(t *testing.T) {
	t.Parallel()
	p := examplePolicy(t)
	found := profiles.Desired(supervised("18.6"), p, now).Present([]string{"ph.telegra.Telegraph", "org.example.wardmessenger", "net.whatsapp.whatsapp", "net.whatsapp.WhatsApp", "com.apple.MobileSMS"})
	var got []string
	for _, a := range found {
		got = append(got, a.Slug)
	}
	if diff := cmp.Diff([]string{"whatsapp", "telegram"}, got); diff != "" {
		t.Errorf("Present mismatch (-want +got):\n%s", diff)
	}
	if found := profiles.Desired(supervised("18.6"), nil, now).Present([]string{"net.whatsapp.WhatsApp"}); len(found) != 0 {
		t.Errorf("without a policy Present names %s", found[0].Slug)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	template := map[string]any{
		"id": "{{device.id}}", "who": "{{ user.email }} on {{device.name}}", "url": "{{server.url}}/x",
		"token": "{{enrolment_token}}", "n": int64(7), "list": []any{"{{device.id}}", map[string]any{"deep": "{{device.id}}"}},
	}
	values := profiles.Values{
		DeviceID: "d1", DeviceName: "{{enrolment_token}}", UserEmail: "a@example.org",
		ServerURL: "https://ward.example", EnrolmentToken: "secret",
	}
	want := map[string]any{
		// A device may be called anything: what is put in is not read again.
		"id": "d1", "who": "a@example.org on {{enrolment_token}}", "url": "https://ward.example/x",
		"token": "secret", "n": int64(7), "list": []any{"d1", map[string]any{"deep": "d1"}},
	}
	if diff := cmp.Diff(want, profiles.Render(template, values)); diff != "" {
		t.Errorf("Render mismatch (-want +got):\n%s", diff)
	}
	if template["id"] != "{{device.id}}" {
		t.Error("Render changed its template")
	}
	if text := fmt.Sprintf("%v %+v", values, values); strings.Contains(text, "secret") {
		t.Errorf("the values print their token: %s", text)
	}
	if profiles.Render(nil, values) != nil {
		t.Error("no template gives a configuration")
	}
}

// Order in the file is not meaning: a thousand shufflings give the same bytes.
func TestCompiledBytesDoNotDependOnOrder(t *testing.T) {
	t.Parallel()
	apps := []string{"whatsapp", "signal", "telegram", "viber", "discord", "imo", "kik", "line"}
	keys := []string{"a: 1", "b: x", `c: "{{device.id}}"`, "d: {x: 1, y: 2}"}
	text := func() string {
		return record + "    config: {" + strings.Join(keys, ", ") + "}\nblock: {categories: [multi-messenger, social-with-dm], apps: [" + strings.Join(apps, ", ") + "]}"
	}
	s := supervised("18.6")
	want := profiles.Desired(s, parse(t, text()), now)
	for range 1000 {
		rand.Shuffle(len(apps), func(i, j int) { apps[i], apps[j] = apps[j], apps[i] })
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		got := profiles.Desired(s, parse(t, text()), now)
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("%s\ngives another state (-want +got):\n%s", text(), cmp.Diff(want, got))
		}
	}
}

func TestClassesShareBytes(t *testing.T) {
	t.Parallel()
	p := examplePolicy(t)
	a, b := profiles.Desired(supervised("18.4"), p, now), profiles.Desired(supervised("26.4.1"), p, now)
	if &a.Profiles[0].Payload[0] != &b.Profiles[0].Payload[0] {
		t.Error("two phones of a class have payloads of their own")
	}
	work, own := profiles.Desired(corporate("18.2"), p, now), profiles.Desired(personal("18.2"), p, now)
	if work.Profiles[0].Hash != own.Profiles[0].Hash {
		t.Error("ownership alone changed the profile")
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	p := examplePolicy(t)
	var b strings.Builder
	for _, s := range []profiles.Subject{supervised("18.6"), supervised("14.8"), supervised(""), corporate("18.6"), personal("18.6"), userEnrolled("18.6")} {
		st := profiles.Desired(s, p, now)
		fmt.Fprintf(&b, "== %s\n", profiles.ClassOf(s, p, now))
		for _, l := range st.Limits {
			fmt.Fprintf(&b, "%s: %s\n", l.Intent, l.Verdict)
			for _, text := range []string{l.Why, l.Cure} {
				if text != "" {
					fmt.Fprintf(&b, "    %s\n", text)
				}
			}
		}
		b.WriteString("\n")
	}
	golden(t, "limits.golden", b.String())
	golden(t, "summary.golden", p.Summary(now).String())
	golden(t, "supervised.mobileconfig.golden", string(profiles.Desired(supervised("18.6"), p, now).Profiles[0].Payload))
	golden(t, "unsupervised.mobileconfig.golden", string(profiles.Desired(personal("18.6"), p, now).Profiles[0].Payload))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s mismatch (-want +got):\n%s", name, diff)
	}
}

func TestPreviewCountsByClass(t *testing.T) {
	t.Parallel()
	p := examplePolicy(t)
	blind := corporate("18.6")
	blind.Rights &^= ward.RightInspectApps
	lines := profiles.Preview(p, []profiles.Subject{
		supervised("18.6"), missing(supervised("26.0"), profiles.CaseLost), corporate("18.6"), blind, personal("17.1"),
	}, now)
	var got []string
	for _, l := range lines {
		got = append(got, fmt.Sprintf("%d %s: %s", l.Devices, l.Class, l.Limits[0].Verdict))
	}
	want := []string{
		"2 supervised work phone, iOS 18.4 or later: enforced",
		"1 unsupervised personal phone, iOS 17 or later: detected only",
		"1 unsupervised work phone, iOS 18.4 or later: impossible here",
		"1 unsupervised work phone, iOS 18.4 or later: detected only",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Preview mismatch (-want +got):\n%s", diff)
	}
	if len(lines[2].Limits) == len(lines[3].Limits) {
		t.Error("the phone without the right to list apps reads like the one with it")
	}
}

func BenchmarkDesired(b *testing.B) {
	p, s := examplePolicy(b), missing(supervised("18.6"), profiles.CaseLost)
	b.ReportAllocs()
	for b.Loop() {
		profiles.Desired(s, p, now)
	}
}

func BenchmarkParse(b *testing.B) {
	text := profiles.ExamplePolicy()
	for b.Loop() {
		if _, err := profiles.Parse(text, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleDesired() {
	policy, err := profiles.Parse(profiles.ExamplePolicy(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	state := profiles.Desired(profiles.Subject{
		Device:     ward.Device{Platform: ward.IOS, OSVersion: "18.6", Ownership: ward.Corporate},
		Supervised: ward.Supervised,
	}, policy, time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC))
	fmt.Println(state.Profiles[0].Identifier, state.Apps[0].BundleID)
	fmt.Println(state.Limits[0].Intent+":", state.Limits[0].Verdict)
	// Output:
	// org.wardmdm.policy.messaging org.example.wardmessenger
	// Block WhatsApp, WhatsApp Business, Messenger and 25 others: enforced
}
