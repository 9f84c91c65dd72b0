package apple

import (
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// Band returns the newest version, not newer than v, at which what Compile gives
// changes: devices of one band get the same bytes and the same words. It is zero for an
// unknown version and for platforms that are not Apple's.
func Band(p ward.Platform, v intent.Version) intent.Version {
	var band intent.Version
	for _, b := range Bands(p) {
		if b.Known() && v.AtLeast(b) {
			band = b
		}
	}
	return band
}

// Bands returns every version that Band can return, oldest first, beginning with the
// zero Version. Other platforms than Apple's have that one only.
func Bands(p ward.Platform) []intent.Version {
	switch p {
	case ward.IOS:
		return slices.Clone(iosBands)
	case ward.MacOS:
		return slices.Clone(macBands)
	}
	return []intent.Version{{}}
}

// iosBands is a table, never changed. 1 stands for all that is too old.
var iosBands = []intent.Version{
	{},
	ver(1, 0), oldest(ward.IOS), ver(10, 0), ver(11, 0), ver(12, 0), ver(13, 0), ver(14, 0), ver(14, 5), ver(15, 0),
	ver(16, 0), ver(16, 1), ver(16, 2), ver(17, 0), ver(17, 2), ver(17, 4), ver(17, 5), ver(18, 0), ver(18, 1), ver(18, 4), ver(27, 0),
}

// macBands is a table, never changed.
var macBands = []intent.Version{
	{}, ver(1, 0), oldest(ward.MacOS), ver(12, 0), ver(13, 0), ver(13, 1), ver(14, 0), ver(15, 0), ver(27, 0),
}
