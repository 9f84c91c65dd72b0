package agent

import "errors"

// maxBERDepth is far above what a signed profile or a SCEP answer needs (about 12).
const maxBERDepth = 40

// ErrNotCMS says that data is not a CMS message this package accepts.
var ErrNotCMS = errors.New("not a CMS message")

// guardBER walks the elements of data without recursion and refuses deep nesting,
// because the CMS parser recurses and two bytes are enough for one level.
func guardBER(data []byte) error {
	type frame struct{ end int } // end is -1 for an element of indefinite length
	var open []frame
	for at := 0; at < len(data); {
		for len(open) > 0 && open[len(open)-1].end == at {
			open = open[:len(open)-1]
		}
		if len(open) > 0 && open[len(open)-1].end == -1 && at+1 < len(data) && data[at] == 0 && data[at+1] == 0 {
			open = open[:len(open)-1]
			at += 2
			continue
		}
		constructed, size, next, ok := readHeader(data, at)
		if !ok {
			return ErrNotCMS
		}
		if !constructed {
			at = next + size
			continue
		}
		end := -1
		if size >= 0 {
			end = next + size
		}
		if open = append(open, frame{end}); len(open) > maxBERDepth {
			return ErrNotCMS
		}
		at = next
	}
	return nil
}

// readHeader reads the identifier and length octets at position at (X.690, 8.1.2 and
// 8.1.3). size is -1 for an indefinite length; next is where the contents begin.
func readHeader(data []byte, at int) (constructed bool, size, next int, ok bool) {
	constructed = data[at]&0x20 != 0
	long := data[at]&0x1f == 0x1f
	at++
	for long && at < len(data) {
		long = data[at]&0x80 != 0
		at++
	}
	if at >= len(data) {
		return false, 0, 0, false
	}
	l := int(data[at])
	at++
	switch {
	case l == 0x80:
		return constructed, -1, at, constructed
	case l < 0x80:
		size = l
	default:
		n := l & 0x7f
		if n > 4 || at+n > len(data) {
			return false, 0, 0, false
		}
		for _, b := range data[at : at+n] {
			size = size<<8 | int(b)
		}
		at += n
	}
	return constructed, size, at, size <= len(data)-at
}
