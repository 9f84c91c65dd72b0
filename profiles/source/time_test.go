package source_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

func at(day string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", day)
	if err != nil {
		panic(err)
	}
	return t
}

func TestExceptionsBeginAndEnd(t *testing.T) {
	t.Parallel()
	p := parseFull(t)
	palliative := ward.Device{ID: "D1", Platform: ward.IOS, Group: "palliative care"}
	tests := []struct {
		name   string
		device ward.Device
		app    string
		at     time.Time
		want   bool // blocked
	}{
		{"a moment before it begins", palliative, "whatsapp", at("2026-11-01 00:00:00").Add(-1), true},
		{"as it begins", palliative, "whatsapp", at("2026-11-01 00:00:00"), false},
		{"its last moment", palliative, "whatsapp", at("2026-12-15 00:00:00").Add(-1), false},
		{"as it ends", palliative, "whatsapp", at("2026-12-15 00:00:00"), true},
		{"another ward", ward.Device{Platform: ward.IOS, Group: "Ward 9"}, "whatsapp", now, true},
		{"an app that is not excepted", palliative, "telegram", now, true},
		{"a device by its serial number", ward.Device{ID: "D2", Serial: "SERIAL2", Platform: ward.IOS}, "telegram", at("2026-12-02 00:00:00"), false},
		{"a device by its id", ward.Device{ID: "SERIAL2", Platform: ward.IOS}, "telegram", at("2027-01-02 23:59:59"), false},
		{"an owner in another case", ward.Device{ID: "D3", Email: "jo@EXAMPLE.org", Platform: ward.IOS}, "telegram", at("2026-11-20 12:00:00"), false},
		{"an owner, ended", ward.Device{ID: "D3", Email: "jo@example.org", Platform: ward.IOS}, "telegram", at("2026-11-21 00:00:00"), true},
		{"a group of the policy", ward.Device{Group: "Radiology", Platform: ward.IOS}, "facebook-messenger", now, false},
		{"outside the group", ward.Device{Group: "Ward 9", Platform: ward.IOS}, "facebook-messenger", now, true},
		{"a site", ward.Device{Site: "North", Platform: ward.IOS}, "skype", now, false},
	}
	for _, tt := range tests {
		got := slices.Contains(slugs(p.Settle(tt.device, tt.at).Wanted.Block), tt.app)
		if got != tt.want {
			t.Errorf("%s: %s blocked is %t, want %t", tt.name, tt.app, got, tt.want)
		}
	}
	want := []intent.Exception{{
		ID: "EX-1", App: "whatsapp", AppName: "WhatsApp", Who: "Jo Smith", Reason: "Families abroad have no other way", Approver: "Sam Jones",
		Expires: at("2026-12-14 00:00:00"), Review: "Information governance group, December",
	}}
	if diff := cmp.Diff(want, p.Settle(palliative, now).Excepted); diff != "" {
		t.Errorf("Excepted mismatch (-want +got):\n%s", diff)
	}
}

// An exception lifts an app although another row of the catalogue has its identifier.
func TestExceptionOfATwin(t *testing.T) {
	t.Parallel()
	p := parse(t, record+"block: {apps: [microsoft-teams, clin-teams]}\nexceptions: [{id: E, app: clin-teams, for: {site: North}, who: a, reason: b, approver: c, from: 2026-11-15, expires: 2026-12-15, review: d}]")
	if got := p.Settle(ward.Device{Site: "North", Platform: ward.IOS}, now).Wanted.Block; len(got.Apps) != 0 {
		t.Errorf("the block holds %v", slugs(got))
	}
}

// Where nothing runs but what is listed, an exception lists its app.
func TestExceptionFromAnAllowList(t *testing.T) {
	t.Parallel()
	p := parse(t, record+"block: {mode: allow-list}\nexceptions: [{id: E, app: whatsapp, for: {site: North}, who: a, reason: b, approver: c, from: 2026-11-15, expires: 2026-12-15, review: d}]")
	got := p.Settle(ward.Device{Site: "North", Platform: ward.IOS}, now).Wanted.Block.Allow[ward.IOS]
	if diff := cmp.Diff([]string{"net.whatsapp.WhatsApp"}, got); diff != "" {
		t.Errorf("Allow mismatch (-want +got):\n%s", diff)
	}
	if got := p.Settle(ward.Device{Platform: ward.IOS}, now).Wanted.Block.Allow; len(got) != 0 {
		t.Errorf("elsewhere %v may run", got)
	}
}

func TestNextChangeAndEnded(t *testing.T) {
	t.Parallel()
	p := parseFull(t)
	var got []time.Time
	for next := p.NextChange(time.Time{}); !next.IsZero(); next = p.NextChange(next) {
		got = append(got, next)
	}
	want := []time.Time{
		at("2026-10-01 00:00:00"), at("2026-11-01 00:00:00"), at("2026-11-21 00:00:00"), at("2026-12-02 00:00:00"),
		at("2026-12-15 00:00:00"), at("2026-12-25 00:00:00"), at("2027-01-03 00:00:00"), at("2027-01-21 00:00:00"), at("2027-12-01 00:00:00"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("NextChange mismatch (-want +got):\n%s", diff)
	}
	ids := func(at time.Time) []string {
		var out []string
		for _, e := range p.Ended(at) {
			out = append(out, e.ID)
		}
		return out
	}
	for _, tt := range []struct {
		at   time.Time
		want []string
	}{
		{at("2026-11-21 00:00:00").Add(-1), nil},
		{at("2026-11-21 00:00:00"), []string{"EX-3"}},
		{at("2026-12-20 00:00:00"), []string{"EX-1", "EX-3"}},
		{at("2026-12-21 00:00:00"), []string{"EX-1"}},
	} {
		if diff := cmp.Diff(tt.want, ids(tt.at)); diff != "" {
			t.Errorf("Ended(%s) mismatch (-want +got):\n%s", tt.at, diff)
		}
	}
}

func devices() *rapid.Generator[ward.Device] {
	return rapid.Custom(func(t *rapid.T) ward.Device {
		return ward.Device{
			ID:        ward.DeviceID(rapid.SampledFrom([]string{"D1", "D2", "SERIAL2"}).Draw(t, "id")),
			Serial:    rapid.SampledFrom([]string{"", "SERIAL1", "SERIAL2"}).Draw(t, "serial"),
			Platform:  rapid.SampledFrom([]ward.Platform{ward.IOS, ward.MacOS, ward.Android, ward.Windows, ward.Linux, ""}).Draw(t, "platform"),
			Ownership: rapid.SampledFrom([]ward.Ownership{ward.Corporate, ward.Personal, ""}).Draw(t, "ownership"),
			Group:     rapid.SampledFrom([]string{"", "Radiology", "radiology", "Palliative care", "Ward 9"}).Draw(t, "ward"),
			Site:      rapid.SampledFrom([]string{"", "North", "south", "East"}).Draw(t, "site"),
			Role:      rapid.SampledFrom([]string{"", "nurse", "Nurse", "doctor"}).Draw(t, "role"),
			Email:     rapid.SampledFrom([]string{"", "jo@example.org", "JO@example.org", "sam@example.org"}).Draw(t, "email"),
		}
	})
}

// Devices with the same key and platform get the same, whatever else differs.
func TestKeyNamesWhatSettleSays(t *testing.T) {
	t.Parallel()
	p := parseFull(t)
	type class struct {
		key      string
		platform ward.Platform
	}
	seen := map[class]intent.Settled{}
	rapid.Check(t, func(t *rapid.T) {
		d := devices().Draw(t, "device")
		when := now.Add(time.Duration(rapid.IntRange(-60*24, 60*24).Draw(t, "hours")) * time.Hour)
		c := class{p.Key(d, when), d.Platform}
		got := p.Settle(d, when)
		if first, ok := seen[c]; ok {
			if diff := cmp.Diff(first, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("two devices of %v differ:\n%s", c, diff)
			}
		}
		seen[c] = got
	})
	keys := map[string]bool{}
	for c := range seen {
		keys[c.key] = true
	}
	if len(keys) < 10 {
		t.Errorf("only %d keys were met: %v", len(keys), keys)
	}
}

func TestKeyAllocatesLittle(t *testing.T) {
	p := parseFull(t)
	for _, tt := range []struct {
		device ward.Device
		most   float64
	}{
		{ward.Device{ID: "D1", Platform: ward.IOS, Email: "ann@example.org", Serial: "S"}, 0},
		{ward.Device{ID: "D1", Platform: ward.IOS, Group: "Ward 9", Role: "nurse", Site: "North", Ownership: ward.Corporate}, 1}, // under an exception
	} {
		if got := testing.AllocsPerRun(100, func() { p.Key(tt.device, now) }); got > tt.most {
			t.Errorf("Key(%+v) allocates %v times, want at most %v", tt.device, got, tt.most)
		}
	}
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	a := source.Approved{ReviewBy: at("2026-12-24 00:00:00")}
	if a.Overdue(at("2026-12-24 23:59:59")) || !a.Overdue(at("2026-12-25 00:00:00")) {
		t.Error("a review is overdue from the day after its last day")
	}
}
