package source_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An update that was due long ago, and a version that no device can have, validated
// without a word.
func TestUpdatesOfThePastAndVersionsThatAreNotAreTold(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"nothing wrong", "updates: {ios: {version: '27.1', by: 2026-12-02T20:00}, windows: {version: 10.0.22631.4169, by: 2027-01-01T00:00}}\nposture: {minimum_os: {ios: 18, macos: 10.15, android: 18, windows: 10.0.19045, linux: 24.04}}", ""},
		{"due already", "updates: {ios: {version: '26.1', by: 2026-11-30T20:00}}", "The policy enforces an update to iOS 26.1 by 2026-11-30 20:00 (line 10), which has passed: devices without it install it at once."},
		{"between two counts", "updates: {ios: {version: '20', by: 2027-01-01T20:00}}", "The policy enforces an update to iOS 20 (line 10), but there is none: Apple went from 18 to 26."},
		{"to come", "updates: {macos: {version: '28', by: 2027-01-01T20:00}}", "The policy enforces an update to macOS 28 (line 10), but the newest there can be is 27."},
		{"long before", "posture: {minimum_os: {macos: 9}}", "The policy asks for at least macOS 9 (line 10), but there is none."},
		{"Android to come", "posture: {minimum_os: {android: 19}}", "The policy asks for at least Android 19 (line 10), but the newest there can be is 18."},
		{"Windows by its name", "posture: {minimum_os: {windows: 11}}", "The policy asks for at least Windows 11 (line 10), but Windows 10 and 11 both call themselves 10.0: Windows 11 begins at 10.0.22000."},
		{"of a group", "groups: [{name: A, match: {site: x}, posture: {minimum_os: {ios: 25}}}]", "Group A asks for at least iOS 25 (line 10), but there is none: Apple went from 18 to 26."},
		{"older than what complies", "posture: {minimum_os: {windows: 10.0.22631.4169}}\nupdates: {windows: {version: 10.0.22631.880, by: 2027-01-01T00:00}}", "The policy enforces an update to Windows 10.0.22631.880 (line 11), which is older than the 10.0.22631.4169 that complies: it makes no device comply."},
		{"older than what complies, by a group", "posture: {minimum_os: {ios: 26}}\ngroups: [{name: A, match: {site: x}, updates: {ios: {version: '18.7', by: 2027-01-01T00:00}}}]", "Group A enforces an update to iOS 18.7 (line 11), which is older than the 26 that complies: it makes no device comply."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			if diff := cmp.Diff(want, parse(t, record+tt.text).Warnings(now)); diff != "" {
				t.Errorf("Warnings mismatch (-want +got):\n%s", diff)
			}
		})
	}
	if got := parse(t, record+"posture: {minimum_os: {ios: 26}}").Warnings(time.Time{}); len(got) != 0 {
		t.Errorf("with a clock that was never set it warns: %q", got)
	}
}

// An app's version may begin with 0 and have as many parts as its maker likes.
func TestMinimumVersionOfAnyLength(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"0.98.1", "24.05.1.7", "1.2.3.4.5.6", "2024111501"} {
		parse(t, strings.Replace(record, "    purpose: p\n", "    minimum_version: {ios: '"+version+"'}\n    purpose: p\n", 1)+"containment: {no_rcs: true}")
	}
	for _, version := range []string{"v1", "1.", "1..2", "1-2", "1.2.3.4.5.6.7.8.9"} {
		got := details(t, strings.Replace(record, "    purpose: p\n", "    minimum_version: {ios: '"+version+"'}\n    purpose: p\n", 1), nil)
		if len(got) != 1 || !strings.Contains(got[0], "minimum_version must be a version such as 18") {
			t.Errorf("minimum_version %s: mistakes are %q", version, got)
		}
	}
}
