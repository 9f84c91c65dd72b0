package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/micromdm/plist"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/source"
)

// Whatever a file holds, Parse answers: with a policy that settles for every platform, or
// with an invalid *ward.Error that names a mistake.
func FuzzParse(f *testing.F) {
	text, files := full(f)
	f.Add(text)
	f.Add(record + "    config: {a: [1, 2.5, true, 2026-01-01], b: {c: '{{device.id}}'}}\n")
	f.Add(record + "block: {categories: [consumer-messaging], except: [signal]}")
	f.Add(record + "groups: [{name: a, match: {site: x}, block: {mode: allow-list}}]")
	f.Add("name: x\ncontainment: {no_rcs: true}\nnotice: \"\\u0000\"")
	f.Add("a: &a [*a]")
	f.Add("? {a: b}\n: c")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := source.Named([]byte(text)); err != nil && ward.KindOf(err) != ward.Invalid {
			t.Fatalf("Named: %v", err)
		}
		p, err := source.Parse([]byte(text), source.Inputs{Files: files})
		if err != nil {
			if len(details(t, text, files)) == 0 {
				t.Fatal("the error names no mistake")
			}
			return
		}
		for _, pl := range []ward.Platform{ward.IOS, ward.MacOS, ward.Android, ward.Windows, ward.Linux} {
			d := ward.Device{ID: "D1", Platform: pl, Site: "x", Ownership: ward.Corporate}
			if s := p.Settle(d, now); s.Wanted.Name != p.Name || p.Key(d, now) == "" {
				t.Fatalf("%s: the name came back as %q, the key as %q", pl, s.Wanted.Name, p.Key(d, now))
			}
		}
		p.Warnings(now)
		p.Ended(now)
		p.NextChange(now)
	})
}

// Whatever a profile of the organisation holds, it is refused or its envelope is whole and
// no text of it asks for a one-time challenge.
func FuzzOwnProfile(f *testing.F) {
	f.Add([]byte(mobileconfig))
	f.Add([]byte(strings.Replace(mobileconfig, "{{server.url}}", "{{network.challenge}}", 1)))
	f.Add([]byte("<plist><dict><key>PayloadContent</key><array><dict/></array></dict></plist>"))
	f.Add([]byte("<plist><dict><key>a</key><key>b</key><true/></dict></plist>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		text := record + "profiles: [{name: P, platform: ios, file: p.mobileconfig}]"
		p, err := source.Parse([]byte(text), source.Inputs{Files: map[string][]byte{"p.mobileconfig": data}})
		if err != nil {
			if ward.KindOf(err) != ward.Invalid {
				t.Fatalf("Parse: %v", err)
			}
			return
		}
		var doc struct {
			PayloadContent []map[string]any
		}
		if err := plist.Unmarshal(data, &doc); err != nil {
			t.Fatalf("a profile that was taken can't be read: %v", err)
		}
		seen := map[any]bool{}
		for _, payload := range doc.PayloadContent {
			if id := payload["PayloadUUID"]; seen[id] || id == nil || payload["PayloadIdentifier"] == nil || payload["PayloadType"] == nil {
				t.Errorf("the payload %v was taken", payload)
			} else {
				seen[id] = true
			}
		}
		if own := p.Base(ward.IOS).Wanted.Own; len(own) != 1 || len(own[0].Types) == 0 || len(seen) == 0 {
			t.Errorf("it comes to %v", own)
		}
		if strings.Contains(fmt.Sprint(doc), "{{network.") {
			t.Error("it asks for a one-time challenge")
		}
	})
}

// large is a policy of about 500 lines.
func large(tb testing.TB) (string, map[string][]byte) {
	tb.Helper()
	text, files := full(tb)
	var b strings.Builder
	head, rest, _ := strings.Cut(text, "exceptions:\n")
	b.WriteString(head)
	for i := range 25 {
		fmt.Fprintf(&b, "  - name: Ward %d\n    match:\n      ward: Ward %d\n    block:\n      apps: [skype]\n    containment:\n      no_screenshots: true\n    posture:\n      passcode:\n        minimum_length: 8\n", i, i)
	}
	b.WriteString("exceptions:\n")
	for i := range 14 {
		fmt.Fprintf(&b, "  - id: EXX-%d\n    app: whatsapp\n    for:\n      ward: Ward %d\n    who: a\n    reason: b\n    approver: c\n    from: 2026-11-20\n    expires: 2026-12-20\n    review: d\n", i, i)
	}
	b.WriteString(rest)
	return b.String(), files
}

func BenchmarkParse(b *testing.B) {
	text, files := large(b)
	for b.Loop() {
		if _, err := source.Parse([]byte(text), source.Inputs{Files: files}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(strings.Count(text, "\n")), "lines")
}

func largePolicy(b *testing.B) *source.Policy {
	b.Helper()
	text, files := large(b)
	p, err := source.Parse([]byte(text), source.Inputs{Files: files})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func BenchmarkSettle(b *testing.B) {
	p := largePolicy(b)
	d := ward.Device{ID: "D1", Platform: ward.IOS, Group: "Ward 7", Site: "North", Role: "nurse", Ownership: ward.Corporate}
	for b.Loop() {
		if s := p.Settle(d, now); len(s.Excepted) == 0 {
			b.Fatal("no exception is in force")
		}
	}
}

func BenchmarkKey(b *testing.B) {
	p := largePolicy(b)
	d := ward.Device{ID: "D1", Platform: ward.IOS, Group: "Ward 20", Site: "East", Role: "nurse", Email: "jo.bloggs@example.org", Ownership: ward.Corporate}
	b.ReportAllocs()
	for b.Loop() {
		if p.Key(d, now) == "" {
			b.Fatal("no key")
		}
	}
}
