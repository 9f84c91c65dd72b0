package ca

import "errors"

// maxNesting is how deep a message may nest; a certificate request needs about ten.
const maxNesting = 32

var errNesting = errors.New("BER is truncated or nests too deep")

// checkNesting walks BER before pkcs7 does: that copies each object once for each
// level it lies in, so that 64 KiB of nested headers would cost it gigabytes.
func checkNesting(b []byte) error {
	_, err := skipObject(b, 0, 0)
	return err
}

// skipObject returns the offset after the object at offset. It reads lengths as
// pkcs7 does, so that both see the same nesting.
func skipObject(b []byte, offset, depth int) (int, error) {
	if depth > maxNesting {
		return 0, errNesting
	}
	constructed, length, offset, err := readHeader(b, offset)
	if err != nil {
		return 0, err
	}
	indefinite := length < 0
	end := offset + max(length, 0)
	if end > len(b) || (indefinite && !constructed) {
		return 0, errNesting
	}
	if !constructed {
		return end, nil
	}
	for offset < end || indefinite {
		if offset, err = skipObject(b, offset, depth+1); err != nil {
			return 0, err
		}
		if indefinite && len(b)-offset < 2 {
			return 0, errNesting
		}
		if indefinite && b[offset] == 0 && b[offset+1] == 0 {
			return offset + 2, nil
		}
	}
	return end, nil
}

// readHeader reads a tag and a length, which is -1 for the indefinite form, and
// returns the offset of the content.
func readHeader(b []byte, offset int) (constructed bool, length, next int, err error) {
	if offset >= len(b) {
		return false, 0, 0, errNesting
	}
	constructed = b[offset]&0x20 != 0
	long := b[offset]&0x1f == 0x1f
	offset++
	for long && offset < len(b) && b[offset] >= 0x80 {
		offset++
	}
	if long {
		offset++
	}
	if offset >= len(b) {
		return false, 0, 0, errNesting
	}
	first := int(b[offset])
	offset++
	if first == 0x80 {
		return constructed, -1, offset, nil
	}
	if first < 0x80 {
		return constructed, first, offset, nil
	}
	n := first & 0x7f
	if n > 4 || offset+n > len(b) {
		return false, 0, 0, errNesting
	}
	for _, c := range b[offset : offset+n] {
		length = length<<8 | int(c)
	}
	if length > len(b) {
		return false, 0, 0, errNesting
	}
	return constructed, length, offset + n, nil
}
