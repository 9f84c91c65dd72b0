package source

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/micromdm/plist"
)

// ownPrefix begins the identifiers of Ward's own profiles: one that is installed but not
// wanted is removed.
const ownPrefix = "org.wardmdm."

// forbiddenTypes are the payloads that no profile of the organisation may carry, with
// the reason, in lower case. A table, never changed.
// Source: https://developer.apple.com/documentation/devicemanagement/profile-specific-payload-keys
var forbiddenTypes = map[string]string{ //nolint:gosec // names of payloads, no secret
	"com.apple.mdm":                    "would put the device under another server",
	"com.apple.profileremovalpassword": "would let its holder remove what Ward installed, or keep Ward from it",
	"com.apple.declarations":           "can't be installed by a management server",
}

// forbiddenKeys are keys of a whole profile that none of the organisation may have, but as
// false, with the reason. A table, never changed.
var forbiddenKeys = map[string]string{
	"PayloadRemovalDisallowed": "Ward must be able to replace and remove it, and staff can't remove it anyway",
	"HasRemovalPasscode":       "its holder could remove what Ward installed, or keep Ward from it",
	"IsEncrypted":              "what is in it can't be checked",
	"EncryptedPayloadContent":  "what is in it can't be checked",
	"RemovalDate":              "it would vanish by itself and be installed again",
	"DurationUntilRemoval":     "it would vanish by itself and be installed again",
}

// checkProfile returns the payload types of a profile, sorted, and what is wrong with it,
// sorted too.
func checkProfile(raw []byte) (types, problems []string) {
	if err := guard(raw); err != nil {
		return nil, []string{err.Error()}
	}
	var doc map[string]any
	if err := plist.Unmarshal(raw, &doc); err != nil {
		return nil, []string{fmt.Sprintf("is no property list: %v", err)}
	}
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if kind, ok := doc["PayloadType"].(string); ok && kind != "Configuration" {
		wrong("is no configuration profile: its PayloadType is not Configuration")
	}
	problems = append(problems, envelopeProblems(doc, "", profileKeys)...)
	if id, _ := doc["PayloadIdentifier"].(string); strings.HasPrefix(strings.ToLower(id), ownPrefix) {
		wrong("has a PayloadIdentifier that begins with %s, which is for Ward's own profiles", ownPrefix)
	}
	for key, why := range forbiddenKeys {
		if v, ok := doc[key]; ok && v != false {
			wrong("may not have the key %s: %s", key, why)
		}
	}
	types, more := payloads(doc)
	problems = slices.Concat(problems, more, boundProblems(doc), wipeProblems(doc))
	slices.Sort(problems)
	return types, slices.Compact(problems)
}

// payloads returns the types of a profile's payloads, sorted, and what is wrong with them.
func payloads(doc map[string]any) (types, problems []string) {
	content, ok := doc["PayloadContent"].([]any)
	if !ok || len(content) == 0 {
		return nil, []string{"has no payloads in its PayloadContent"}
	}
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	whole, _ := doc["PayloadUUID"].(string)
	uuids, ids := map[string]string{strings.ToLower(whole): "that of the whole profile"}, map[string]string{}
	once := func(seen map[string]string, key, value string, i int) {
		if other := seen[strings.ToLower(value)]; other != "" && value != "" {
			wrong("has a payload whose %s is %s, number %d", key, other, i+1)
			return
		}
		seen[strings.ToLower(value)] = fmt.Sprintf("that of number %d", i+1)
	}
	for i, p := range content {
		payload, ok := p.(map[string]any)
		if !ok {
			wrong("has a payload that is no dictionary, number %d", i+1)
			continue
		}
		problems = append(problems, envelopeProblems(payload, fmt.Sprintf(", number %d", i+1), payloadKeys)...)
		text := func(key string) string { s, _ := payload[key].(string); return s }
		once(uuids, "PayloadUUID", text("PayloadUUID"), i)
		once(ids, "PayloadIdentifier", text("PayloadIdentifier"), i)
		t := text("PayloadType")
		if why := forbiddenTypes[strings.ToLower(strings.TrimSpace(t))]; why != "" {
			wrong("has the payload %s, which %s", t, why)
		}
		if t != "" && !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	slices.Sort(types)
	return types, problems
}

// maxDepth is how deep a profile may nest before it is refused: the property-list
// decoder recurses.
const maxDepth = 32

// guard refuses what the property-list decoder must not see: a binary list can be cyclic
// and a deep one exhausts the stack.
func guard(raw []byte) error {
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(trimmed, []byte("0")), bytes.HasPrefix(trimmed, []byte("-----BEGIN")): // DER begins with 0x30, a sequence
		return errors.New("is signed: export it without a signature, Ward delivers it over its own channel")
	case !bytes.HasPrefix(trimmed, []byte("<")):
		return errors.New("is no XML property list")
	}
	dec := xml.NewDecoder(bytes.NewReader(trimmed))
	depth := 0
	for {
		tok, err := dec.RawToken()
		switch {
		case errors.Is(err, io.EOF) && depth == 0:
			return nil
		case err != nil:
			return fmt.Errorf("is no well-formed XML: %w", err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return fmt.Errorf("is nested deeper than %d", maxDepth)
			}
		case xml.EndElement:
			if depth--; depth < 0 {
				return errors.New("is no well-formed XML: a tag ends that did not begin")
			}
		case xml.Directive:
			if bytes.ContainsAny(tok, "[") {
				return errors.New("declares entities, which have no place in a property list")
			}
		}
	}
}
