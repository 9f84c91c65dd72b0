package intent

import (
	"cmp"
	"strconv"
	"strings"
)

// CompareVersions compares versions of dotted numbers of any length, such as 17.6.1,
// 24.05.1.7 or 10.0.22631.4169: negative if a is lower, positive if it is higher. A part
// that is missing counts as 0, and leading zeros do not matter. It reports false if
// either is no such version.
func CompareVersions(a, b string) (int, bool) {
	x, okX := numbers(a)
	y, okY := numbers(b)
	if !okX || !okY {
		return 0, false
	}
	for i := range max(len(x), len(y)) {
		var m, n uint64
		if i < len(x) {
			m = x[i]
		}
		if i < len(y) {
			n = y[i]
		}
		if c := cmp.Compare(m, n); c != 0 {
			return c, true
		}
	}
	return 0, true
}

func numbers(v string) ([]uint64, bool) {
	parts := strings.Split(strings.TrimSpace(v), ".")
	out := make([]uint64, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 64)
		if err != nil {
			return nil, false
		}
		out[i] = n
	}
	return out, true
}
