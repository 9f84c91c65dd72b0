package virtual

import (
	"slices"
	"strconv"
	"strings"
)

// model splits Apple's product name of a device into its family and first number.
func model(name string) (family string, n int) {
	i := strings.IndexAny(name, "0123456789")
	if i < 0 {
		return name, 0
	}
	digits, _, _ := strings.Cut(name[i:], ",")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return name[:i], 0
	}
	return name[:i], n
}

// silicons and secondChips are the Macs of older naming, by their first number: those with
// Apple silicon, and those with an Intel processor and a T2. Later Macs are all called Mac.
// Source: Apple, support.apple.com/en-us/116943 and 103265.
func silicons() map[string][]int {
	return map[string][]int{"Mac": nil, "MacBookAir": {10}, "MacBookPro": {17, 18}, "Macmini": {9}, "iMac": {21}}
}

func secondChips() map[string][]int {
	return map[string][]int{"MacBookAir": {8, 9}, "MacBookPro": {15, 16}, "Macmini": {8}, "iMac": {20}, "iMacPro": {1}, "MacPro": {7}}
}

func listed(m map[string][]int, name string) bool {
	family, n := model(name)
	list, ok := m[family]
	return ok && (list == nil || slices.Contains(list, n))
}

// hasEnclave reports whether the device can bind a key to its hardware: every phone that
// runs a system of today, a Mac with Apple silicon or a T2.
// Source: Apple, ACMECertificate, HardwareBound.
func (b *body) hasEnclave() bool {
	return !b.mac() || listed(silicons(), b.opt.Model) || listed(secondChips(), b.opt.Model)
}

// attests reports whether the device attests keys: from the A11, which came with
// iPhone10,1 and, after iPads with A10 and A10X called iPad7, with iPad8,1; all Apple
// silicon. Others ignore Attest. Source: Apple, ACMECertificate, "ACME attestation
// hardware support".
func (b *body) attests() bool {
	family, n := model(b.opt.Model)
	switch family {
	case "iPhone":
		return n >= 10
	case "iPad":
		return n >= 8
	}
	return b.mac() && listed(silicons(), b.opt.Model)
}
