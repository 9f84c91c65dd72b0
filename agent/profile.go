package agent

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Profile is a configuration profile that was read and found well formed.
// Source: Apple, "TopLevel" (developer.apple.com/documentation/devicemanagement/toplevel).
type Profile struct {
	Identifier        string
	UUID              string
	Name              string // PayloadDisplayName, may be empty
	Organization      string
	RemovalDisallowed bool
	Payloads          []Payload
	Signer            *x509.Certificate // nil for an unsigned profile
	XML               []byte            // the profile without its signature
}

// Payload is one part of a profile.
type Payload struct {
	Type       string
	Identifier string
	UUID       string
	Name       string
	Content    map[string]any // every key of the payload, as decoded from the property list
}

// Of returns the payloads of type t in their order.
func (p *Profile) Of(t string) []Payload {
	var out []Payload
	for _, q := range p.Payloads {
		if q.Type == t {
			out = append(out, q)
		}
	}
	return out
}

// ProfileError is a refusal of a profile in Apple's own codes.
// Source: Apple, MDM Protocol Reference, "MCProfileErrorDomain" and "MCPayloadErrorDomain".
type ProfileError struct {
	Domain string
	Code   int
	Text   string
}

// Error returns domain, code and text.
func (e *ProfileError) Error() string { return fmt.Sprintf("%s %d: %s", e.Domain, e.Code, e.Text) }

// The domains and codes that profile parsing answers with.
const (
	ProfileErrorDomain = "MCProfileErrorDomain"
	PayloadErrorDomain = "MCPayloadErrorDomain"

	profileMalformed          = 1000
	profileUnsupportedVersion = 1001
	profileMissingField       = 1002
	profileBadType            = 1003
	profileBadSignature       = 1004
	profileEmpty              = 1005
	profileSameUUID           = 1007
	profileSameIdentifier     = 1008
	payloadMalformed          = 2000
	payloadUnsupportedVersion = 2001
	payloadMissingField       = 2002
	payloadBadType            = 2003
	payloadBadValue           = 2004
)

func profileErr(code int, format string, args ...any) error {
	return &ProfileError{ProfileErrorDomain, code, fmt.Sprintf(format, args...)}
}

func payloadErr(code int, format string, args ...any) error {
	return &ProfileError{PayloadErrorDomain, code, fmt.Sprintf(format, args...)}
}

// ParseProfile reads a profile, signed or not. A signature must be right, but by whom
// it was made is not asked: the profile came over a channel that is trusted already.
// Errors are *ProfileError.
func ParseProfile(data []byte) (*Profile, error) { return parseProfile(data, nil, time.Time{}) }

// OpenProfile reads a profile that must be signed by a certificate that chains to one
// of roots at now. A nil roots means the system's. Errors are *ProfileError.
func OpenProfile(data []byte, roots *x509.CertPool, now time.Time) (*Profile, error) {
	if roots == nil {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("open profile: %w", err)
		}
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) {
		return nil, profileErr(profileBadSignature, "the profile is not signed")
	}
	return parseProfile(data, roots, now)
}

func parseProfile(data []byte, roots *x509.CertPool, now time.Time) (*Profile, error) {
	if len(data) > MaxProfileBytes {
		return nil, profileErr(profileMalformed, "the profile has %d bytes, at most %d are accepted", len(data), MaxProfileBytes)
	}
	xml, signer := data, (*x509.Certificate)(nil)
	if len(data) > 0 && data[0] == 0x30 { // SEQUENCE: a CMS message
		var err error
		switch xml, signer, err = openSigned(data, roots, now); {
		case errors.Is(err, ErrNotCMS):
			return nil, profileErr(profileMalformed, "%v", err)
		case err != nil:
			return nil, profileErr(profileBadSignature, "%v", err)
		}
	}
	var top map[string]any
	if err := DecodePlist(xml, MaxProfileBytes, &top); err != nil {
		return nil, profileErr(profileMalformed, "%v", err)
	}
	p, err := readTop(top)
	if err != nil {
		return nil, err
	}
	p.Signer, p.XML = signer, xml
	return p, nil
}

func readTop(top map[string]any) (*Profile, error) {
	if t := text(top, "PayloadType"); t != "Configuration" {
		return nil, profileErr(profileMissingField, "PayloadType is %q, want Configuration", t)
	}
	if v, ok := whole(top["PayloadVersion"]); !ok || v != 1 {
		return nil, profileErr(profileUnsupportedVersion, "PayloadVersion must be 1")
	}
	p := &Profile{
		Identifier: text(top, "PayloadIdentifier"), UUID: text(top, "PayloadUUID"),
		Name: text(top, "PayloadDisplayName"), Organization: text(top, "PayloadOrganization"),
	}
	p.RemovalDisallowed, _ = top["PayloadRemovalDisallowed"].(bool)
	if p.Identifier == "" || p.UUID == "" {
		return nil, profileErr(profileMissingField, "PayloadIdentifier and PayloadUUID are required")
	}
	list, ok := top["PayloadContent"].([]any)
	if !ok {
		return nil, profileErr(profileBadType, "PayloadContent must be an array")
	}
	if len(list) == 0 {
		return nil, profileErr(profileEmpty, "the profile has no payloads")
	}
	uuids, ids := map[string]bool{p.UUID: true}, map[string]bool{}
	for i, v := range list {
		q, err := readPayload(i, v)
		if err != nil {
			return nil, err
		}
		if uuids[q.UUID] {
			return nil, profileErr(profileSameUUID, "PayloadUUID %s occurs twice", q.UUID)
		}
		if ids[q.Identifier] {
			return nil, profileErr(profileSameIdentifier, "PayloadIdentifier %s occurs twice", q.Identifier)
		}
		uuids[q.UUID], ids[q.Identifier] = true, true
		p.Payloads = append(p.Payloads, q)
	}
	return p, nil
}

func readPayload(i int, v any) (Payload, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return Payload{}, payloadErr(payloadMalformed, "payload %d is not a dictionary", i)
	}
	q := Payload{
		Type: text(m, "PayloadType"), Identifier: text(m, "PayloadIdentifier"),
		UUID: text(m, "PayloadUUID"), Name: text(m, "PayloadDisplayName"), Content: m,
	}
	if q.Type == "" || q.Identifier == "" || q.UUID == "" {
		return Payload{}, payloadErr(payloadMissingField, "payload %d needs PayloadType, PayloadIdentifier and PayloadUUID", i)
	}
	if n, ok := whole(m["PayloadVersion"]); !ok || n < 1 {
		return Payload{}, payloadErr(payloadUnsupportedVersion, "payload %d (%s) has no PayloadVersion", i, q.Type)
	}
	return q, nil
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// whole returns v as an int64 if it is an integer of a property list.
func whole(v any) (int64, bool) {
	switch n := v.(type) {
	case uint64:
		return int64(n), n < 1<<63 //nolint:gosec // the bound is the second result
	case int64:
		return n, true
	}
	return 0, false
}
