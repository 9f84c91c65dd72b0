package intent_test

import (
	"testing"

	"github.com/wardmdm/ward/profiles/intent"
)

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		want int
		ok   bool
	}{
		{"17.6", "17.6.0", 0, true},
		{"17.6.1", "17.6", 1, true},
		{"9.3", "17", -1, true},
		{"24.04", "24.4", 0, true},
		{"24.05.1.7", "24.05.1.10", -1, true},
		{"10.0.22631.4169", "10.0.22631", 1, true},
		{" 18 ", "18", 0, true},
		{"18 beta", "18", 0, false},
		{"", "18", 0, false},
		{"18.", "18", 0, false},
		{"-1", "18", 0, false},
	} {
		if got, ok := intent.CompareVersions(tc.a, tc.b); got != tc.want || ok != tc.ok {
			t.Errorf("CompareVersions(%q, %q) = %d, %v; want %d, %v", tc.a, tc.b, got, ok, tc.want, tc.ok)
		}
		if got, ok := intent.CompareVersions(tc.b, tc.a); got != -tc.want || ok != tc.ok {
			t.Errorf("CompareVersions(%q, %q) = %d, %v; want %d, %v", tc.b, tc.a, got, ok, -tc.want, tc.ok)
		}
	}
}
