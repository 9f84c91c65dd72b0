package estate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
)

// CompareNames orders names as people do: whatever their case, and 2 before 10.
func CompareNames(a, b string) int { return strings.Compare(nameKey(a), nameKey(b)) }

// nameKey returns a text whose bytes stand in the order of names: in lower case, each number
// as how many digits it has and then its digits, without zeros before it.
func nameKey(name string) string {
	name = strings.ToLower(name)
	if !strings.ContainsAny(name, "0123456789") {
		return name
	}
	key := make([]byte, 0, len(name)+8)
	for name != "" {
		n := len(name) - len(strings.TrimLeft(name, "0123456789"))
		if n == 0 {
			key, name = append(key, name[0]), name[1:]
			continue
		}
		digits := strings.TrimLeft(name[:n], "0")
		key = append(append(key, '0', byte(min(len(digits), 255))), digits...)
		name = name[n:]
	}
	return string(key)
}

// nameOrder returns a text whose bytes stand in the order of a Snapshot within one state.
func nameOrder(d *Device) string { return nameKey(d.Name) + "\x00" + string(d.ID) }

// sortKey returns a text whose bytes stand in the order of a Snapshot.
func sortKey(d *Device) string {
	return string(rune('a'+attention(d.State))) + nameKey(d.Name) + "\x00" + string(d.ID) //nolint:gosec // one of a few states
}

// attention is how far down the list a state stands.
func attention(s compliance.State) int {
	if i := slices.Index(Attention, s); i >= 0 {
		return i
	}
	return len(Attention)
}

// System returns the platform and the version of a device's system, as people write it.
func (d *Device) System() string {
	return strings.TrimSpace(PlatformName(d.Platform) + " " + d.OSVersion)
}

// PlatformName is what people call a platform.
func PlatformName(p ward.Platform) string {
	names := map[ward.Platform]string{ward.IOS: "iOS", ward.MacOS: "macOS", ward.Android: "Android", ward.Windows: "Windows", ward.Linux: "Linux"}
	return cmp.Or(names[p], string(p))
}
