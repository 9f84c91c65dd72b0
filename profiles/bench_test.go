package profiles_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
)

// bigFleet returns devices of a realistic mix: iPhones of many versions, supervised or
// not, personal ones, some in user enrolment, Macs, Android phones and workstations, over
// sites, wards and roles.
func bigFleet(n int) []profiles.Subject {
	versions := []string{"15.8", "16.7", "17.5", "17.7", "18.5", "18.6", "26.1", "27.0"}
	subjects := make([]profiles.Subject, n)
	for i := range subjects {
		d := ward.Device{
			ID: ward.DeviceID(fmt.Sprintf("dev_%06d", i)), Serial: fmt.Sprintf("S%07d", i), Email: fmt.Sprintf("staff%d@trust.example", i),
			Platform: ward.IOS, OSVersion: versions[i%len(versions)], Ownership: ward.Corporate,
			Site: []string{"North", "South"}[i/7%2], Group: fmt.Sprintf("Ward %d", i%40), Role: "nurse",
		}
		s := profiles.Subject{Device: d, Rights: ward.RightsAll, Kind: "Device", Supervised: ward.Supervised}
		switch i % 10 {
		case 5, 6:
			s.Supervised = ward.Unsupervised
		case 7:
			s.Supervised, s.Device.Ownership = ward.Unsupervised, ward.Personal
		case 8:
			s.Device.Platform, s.Device.OSVersion = ward.Android, []string{"13", "14", "15"}[i%3]
		case 9:
			s.Device.Platform, s.Device.OSVersion = []ward.Platform{ward.MacOS, ward.Windows, ward.Linux}[i%3], "15.6"
		}
		subjects[i] = s
	}
	return subjects
}

// mixedPolicy uses the most of the file: baseline, groups, exceptions, posture.
const mixedPolicy = record + `baseline: ncsc-corporate
block: {mode: deny-list, categories: [consumer-messaging, social-with-dm], network: true, stores: true}
containment: {managed_open_in: true, managed_pasteboard: true, no_lock_screen_previews: true, no_backup: true}
posture: {passcode: {minimum_length: 6}, minimum_os: {ios: "17.5"}}
groups:
  - {name: South nurses, match: {site: South, role: nurse}, containment: {no_screenshots: true}}
exceptions:
  - {id: EX-1, app: whatsapp, for: {ward: Ward 3}, who: a, reason: b, approver: c, from: 2026-11-01, expires: 2026-12-14, review: d}
`

// BenchmarkCompileFleet works out what 100,000 devices should have, from a policy that
// was only just read: nothing is compiled yet.
func BenchmarkCompileFleet(b *testing.B) {
	subjects := bigFleet(100_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var results map[string]bool
	for b.Loop() {
		p := parse(b, mixedPolicy)
		results = map[string]bool{}
		for _, s := range subjects {
			results[profiles.Desired(s, p, now).Class] = true
		}
	}
	runtime.ReadMemStats(&after)
	classes, p := map[profiles.Class]bool{}, parse(b, mixedPolicy)
	for _, s := range subjects {
		classes[profiles.ClassOf(s, p, now)] = true
	}
	b.ReportMetric(float64(len(results)), "results")
	b.ReportMetric(float64(len(classes)), "classes")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/(1<<20), "MB/op")
	b.ReportMetric(float64(after.Sys)/(1<<20), "MB-process")
}

// BenchmarkParse500 reads a policy of 500 lines.
func BenchmarkParse500(b *testing.B) {
	var text bytes.Buffer
	text.WriteString(mixedPolicy)
	for i := 2; bytes.Count(text.Bytes(), []byte("\n")) < 500; i++ {
		fmt.Fprintf(&text, "  - id: EX-%d\n    app: telegram\n    for: {device: S%07d}\n    who: a\n    reason: b\n    approver: c\n    from: 2026-11-01\n    expires: 2026-12-14\n    review: d\n", i, i)
	}
	for b.Loop() {
		if _, err := profiles.Parse(text.Bytes(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
