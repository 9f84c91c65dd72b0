package health_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/health"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// well is an installation at which nothing is wrong.
func well() health.Facts {
	return health.Facts{
		Now: now, Version: "1", Started: now.Add(-30 * day), Push: true, Backup: now.Add(-time.Hour), Devices: 100, Approvers: 3, Policy: true,
		Expiries: []health.Expiry{{Name: "com.apple.mgmt.External.1", Ends: now.Add(300 * day)}},
		Disk:     health.Disk{Free: 80 << 30, Total: 100 << 30},
		Database: health.Database{Engine: "sqlite", Size: 1 << 30, Latency: time.Millisecond},
		Audit:    health.Audit{Verified: now.Add(-9 * time.Hour), Sound: true},
		Jobs:     []health.Job{{Name: "plan", Every: 2 * time.Second, Good: now.Add(-time.Second)}},
		Notices:  health.Notices{Configured: true},
	}
}

func TestWell(t *testing.T) {
	t.Parallel()
	r := health.Judge(well())
	if all := r.Troubles(); len(all) != 0 || r.Worst() != "" {
		t.Errorf("troubles = %+v, want none", all)
	}
	if len(r.Looks) != len(health.Catalogue()) {
		t.Errorf("%d looks, want one for each of the %d of the catalogue", len(r.Looks), len(health.Catalogue()))
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(f *health.Facts)
		want  string // code, severity and a part of the text
	}{
		{"push certificate within a week", func(f *health.Facts) { f.Expiries[0].Ends = now.Add(6 * day) }, "certificate-ends fault: ends on 28 November 2026, 12:00 UTC, in 6 days"},
		{"push certificate within a month", func(f *health.Facts) { f.Expiries[0].Ends = now.Add(29 * day) }, "certificate-ends warning: Apple’s push certificate"},
		{"it has ended", func(f *health.Facts) { f.Expiries[0].Ends = now.Add(-time.Hour) }, "certificate-ends fault: ended on 22 November"},
		{"one that renews itself, late", func(f *health.Facts) {
			f.Expiries = []health.Expiry{{Name: "server", Ends: now.Add(6 * day), Renews: true}}
		}, "certificate-ends fault: The server’s TLS certificate"},
		{"a lost key", func(f *health.Facts) {
			f.Expiries = []health.Expiry{{Name: "issuer 2", Ends: now.Add(900 * day), Lost: true}}
		}, "certificate-ends warning: given up"},
		{"no push certificate", func(f *health.Facts) { f.Push = false }, "push-certificate fault: no Apple device can enrol"},
		{"a token that ends", func(f *health.Facts) { f.Tokens = []health.Expiry{{Name: "nightly", Ends: now.Add(3 * day)}} }, "token-ends notice: “nightly”"},
		{"never backed up", func(f *health.Facts) { f.Backup = time.Time{} }, "backup-old fault: No backup was ever made"},
		{"an old backup", func(f *health.Facts) { f.Backup = now.Add(-3 * day) }, "backup-old warning: 3 days ago"},
		{"a very old backup", func(f *health.Facts) { f.Backup = now.Add(-8 * day) }, "backup-old fault: 8 days ago"},
		{"a full disk", func(f *health.Facts) { f.Disk.Free = 3 << 30 }, "disk-full fault: Only 3.0 GiB of 100.0 GiB"},
		{"a disk that fills", func(f *health.Facts) { f.Disk.Free = 10 << 30 }, "disk-full warning: 10.0 GiB of 100.0 GiB"},
		{"a slow database", func(f *health.Facts) { f.Database.Latency = 3 * time.Second }, "database-slow fault: 3s"},
		{"clocks apart", func(f *health.Facts) { f.Database.Clock = -time.Minute }, "database-slow warning: differ by 1m0s"},
		{"a broken log", func(f *health.Facts) { f.Audit.Broken = true }, "audit-broken fault: can’t be continued"},
		{"entries that wait", func(f *health.Facts) { f.Audit.Waiting, f.Audit.Oldest = 7, now.Add(-20*time.Minute) }, "audit-broken fault: 7 entries are not in"},
		{"an altered log", func(f *health.Facts) { f.Audit.Sound, f.Audit.Problem = false, "entry 3 was altered." }, "audit-unverified fault: not to be relied on: entry 3"},
		{"not verified for days", func(f *health.Facts) { f.Audit.Verified = now.Add(-4 * day) }, "audit-unverified warning: last verified on 18 November"},
		{"never verified", func(f *health.Facts) { f.Audit = health.Audit{} }, "audit-unverified warning: never verified"},
		{"a tampered journal", func(f *health.Facts) { f.Tampered = true }, "brake-tampered fault: journal"},
		{"a hold", func(f *health.Facts) { f.Holds = []health.Hold{{"erases", now.Add(-time.Hour)}} }, "brake-holds warning: The brake holds erases since"},
		{"forged commands", func(f *health.Facts) { f.Forged = 1 }, "command-forged fault: 1 command was withheld"},
		{"a job that fails", func(f *health.Facts) { f.Jobs[0].Failed, f.Jobs[0].Error = 2, "disk on fire" }, "job-failing warning: failed 2 times in a row: disk on fire."},
		{"a job that fails for long", func(f *health.Facts) { f.Jobs[0].Failed, f.Jobs[0].Good = 9, now.Add(-time.Hour) }, "job-failing fault: fails since"},
		{"a job that stopped", func(f *health.Facts) { f.Jobs[0].Good = now.Add(-time.Hour) }, "job-failing fault: has not run since"},
		{"pushes owed", func(f *health.Facts) { f.Pushes = health.Queue{Count: 12, Oldest: now.Add(-5 * time.Hour)} }, "push-late fault: 12 pushes"},
		{"stuck commands", func(f *health.Facts) { f.Commands = health.Queue{Count: 1, Oldest: now.Add(-2 * day)} }, "command-stuck warning: 1 commands wait"},
		{"late plans", func(f *health.Facts) { f.Plans = health.Queue{Count: 40, Oldest: now.Add(-time.Hour)} }, "plan-late warning: 40 devices"},
		{"nobody told", func(f *health.Facts) { f.Notices.Configured = false }, "notice-failed warning: Nobody is configured"},
		{"messages given up", func(f *health.Facts) { f.Notices.GivenUp = 2 }, "notice-failed fault: 2 messages"},
		{"messages to nobody in a trial", func(f *health.Facts) { f.Trial, f.Notices.Configured, f.Notices.GivenUp = true, false, 2 }, "notice-failed notice: Nobody is configured"},
		{"a trial without a backup", func(f *health.Facts) { f.Trial, f.Backup = true, time.Time{} }, "backup-old notice: No backup was ever made"},
		{"a trial without approvers", func(f *health.Facts) { f.Trial, f.Approvers = true, 0 }, "approvers-few notice: nothing can be erased"},
		{"one approver", func(f *health.Facts) { f.Approvers = 1 }, "approvers-few warning: 1 person may approve"},
		{"what can't be measured", func(f *health.Facts) {
			f.Unmeasured = []health.Unmeasured{{"disk-full", "permission denied."}}
		}, "disk-full warning: could not be looked at: permission denied"},
	} {
		f := well()
		tt.spoil(&f)
		all := health.Judge(f).Troubles()
		code, part, _ := strings.Cut(tt.want, ": ")
		if len(all) != 1 || fmt.Sprintf("%s %s", all[0].Code, all[0].Severity) != code || !strings.Contains(all[0].Text, part) {
			t.Errorf("%s: %+v, want %s", tt.name, all, tt.want)
			continue
		}
		if all[0].Cure == "" || all[0].Title == "" {
			t.Errorf("%s: %+v lacks a title or what to do", tt.name, all[0])
		}
	}
}

// TestWorstFirst: a fault stands before a warning and that before a notice.
func TestWorstFirst(t *testing.T) {
	t.Parallel()
	f := well()
	f.Approvers, f.Backup, f.Tampered = 2, now.Add(-3*day), true
	var got []health.Severity
	for _, x := range health.Judge(f).Troubles() {
		got = append(got, x.Severity)
	}
	if want := []health.Severity{health.Fault, health.Warning, health.Notice}; !slices.Equal(got, want) {
		t.Errorf("severities = %v, want %v", got, want)
	}
}

// TestCatalogue: each kind has a code of its own and all its words.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range health.Catalogue() {
		if seen[k.Code] || k.Code == "" || k.Title == "" || k.About == "" || k.Cure == "" {
			t.Errorf("%+v is there twice or lacks words", k)
		}
		seen[k.Code] = true
	}
}

func TestSetup(t *testing.T) {
	t.Parallel()
	first := health.Setup(health.First{Facts: health.Facts{Now: now}, Organisation: "Ward"})
	if health.Ready(first) {
		t.Error("an empty installation is ready")
	}
	for _, s := range first {
		if s.Done == health.Finished || s.Text == "" || s.Why == "" || s.How == "" {
			t.Errorf("%s = %+v, want it open and with its words", s.Code, s)
		}
	}
	f := well()
	all := health.Setup(health.First{
		Facts: f, Organisation: "St Example’s", PublicURL: "https://ward.example", TLS: "files", Register: 1, Assessed: 1, Tested: true, Enrolled: 1, Notice: true, Words: true,
	})
	if !health.Ready(all) {
		t.Errorf("Ready() = false: %+v", all)
	}
	f.Approvers = 2
	if health.Ready(health.Setup(health.First{Facts: f, Organisation: "St Example’s", TLS: "files", Register: 1, Assessed: 1, Tested: true, Enrolled: 1, Notice: true, Words: true})) {
		t.Error("it is ready with two approvers")
	}
}
