package apple

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is an iOS version to the precision at which Apple introduces keys. The zero
// Version is an unknown one: nothing is promised for it.
type Version struct {
	Major, Minor int
}

// ParseVersion reads "18.6.1" or "18". What it can't read is the zero Version.
func ParseVersion(s string) Version {
	major, rest, _ := strings.Cut(strings.TrimSpace(s), ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(major)
	if err != nil || a <= 0 {
		return Version{}
	}
	if minor == "" {
		return Version{Major: a}
	}
	b, err := strconv.Atoi(minor)
	if err != nil || b < 0 {
		return Version{}
	}
	return Version{Major: a, Minor: b}
}

// Known reports whether v is a version at all.
func (v Version) Known() bool { return v.Major > 0 }

// AtLeast reports whether v is known and not older than w.
func (v Version) AtLeast(w Version) bool {
	return v.Known() && (v.Major > w.Major || v.Major == w.Major && v.Minor >= w.Minor)
}

// String writes the version as Apple does, "18" for 18.0 and "18.1"; "" if unknown.
func (v Version) String() string {
	switch {
	case !v.Known():
		return ""
	case v.Minor == 0:
		return strconv.Itoa(v.Major)
	}
	return fmt.Sprintf("%d.%d", v.Major, v.Minor)
}
