package agent

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"github.com/micromdm/plist"
)

// Limits on what is accepted from outside. A command may carry a profile, and a
// profile may carry a few certificates and an icon; nothing honest is larger.
const (
	MaxCommandBytes = 8 << 20
	MaxProfileBytes = 4 << 20
	maxPlistDepth   = 48
)

// ErrNotPlist says that data is not an XML property list this package accepts.
var ErrNotPlist = errors.New("not an XML property list")

// DecodePlist decodes the XML property list in data into v. It refuses binary
// property lists, more than limit bytes and deep nesting before the decoder sees
// them: the decoder recurses, and a short cyclic binary list would end the process.
// Every error but one of type wraps ErrNotPlist.
func DecodePlist(data []byte, limit int, v any) error {
	if err := guardPlist(data, limit); err != nil {
		return err
	}
	if err := plist.NewXMLDecoder(bytes.NewReader(data)).Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrNotPlist, err)
	}
	return nil
}

// EncodePlist returns v as an XML property list. Maps must not hold nil values.
func EncodePlist(v any) ([]byte, error) {
	b, err := plist.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode property list: %w", err)
	}
	return b, nil
}

// guardPlist reads data with the lexer the decoder uses, so that the two cannot
// disagree about depth.
func guardPlist(data []byte, limit int) error {
	if len(data) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrNotPlist, len(data), limit)
	}
	head := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), " \t\r\n")
	if !bytes.HasPrefix(head, []byte("<?xml")) && !bytes.HasPrefix(head, []byte("<!DOCTYPE")) && !bytes.HasPrefix(head, []byte("<plist")) {
		return ErrNotPlist
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	for depth := 0; ; {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotPlist, err)
		}
		switch t.(type) {
		case xml.StartElement:
			if depth++; depth > maxPlistDepth {
				return fmt.Errorf("%w: nested more than %d deep", ErrNotPlist, maxPlistDepth)
			}
		case xml.EndElement:
			depth--
		}
	}
}
