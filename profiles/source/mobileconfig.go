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
// the reason. A table, never changed.
// Source: https://developer.apple.com/documentation/devicemanagement/profile-specific-payload-keys
var forbiddenTypes = map[string]string{ //nolint:gosec // names of payloads, no secret
	"com.apple.mdm":                    "would put the device under another server",
	"com.apple.profileRemovalPassword": "would let its holder remove what Ward installed, or keep Ward from it",
	"com.apple.declarations":           "can't be installed by a management server",
}

// checkProfile returns the payload types of a profile, sorted, and what is wrong with it.
func checkProfile(raw []byte) (types, problems []string) {
	if err := guard(raw); err != nil {
		return nil, []string{err.Error()}
	}
	var doc map[string]any
	if err := plist.Unmarshal(raw, &doc); err != nil {
		return nil, []string{fmt.Sprintf("is no property list: %v", err)}
	}
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if doc["PayloadType"] != "Configuration" {
		wrong("is no configuration profile: its PayloadType is not Configuration")
	}
	for _, key := range []string{"PayloadIdentifier", "PayloadUUID"} {
		if id, ok := doc[key].(string); !ok || id == "" {
			wrong("has no %s", key)
		}
	}
	if id, _ := doc["PayloadIdentifier"].(string); strings.HasPrefix(strings.ToLower(id), ownPrefix) {
		wrong("has a PayloadIdentifier that begins with %s, which is for Ward's own profiles", ownPrefix)
	}
	for key, why := range map[string]string{
		"PayloadRemovalDisallowed": "Ward must be able to replace and remove it, and staff can't remove it anyway",
		"EncryptedPayloadContent":  "what is in it can't be checked",
		"RemovalDate":              "it would vanish by itself and be installed again",
		"DurationUntilRemoval":     "it would vanish by itself and be installed again",
	} {
		if v, ok := doc[key]; ok && v != false {
			wrong("may not have the key %s: %s", key, why)
		}
	}
	types, more := payloadTypes(doc["PayloadContent"])
	problems = append(problems, more...)
	slices.Sort(problems)
	return types, problems
}

func payloadTypes(content any) (types, problems []string) {
	payloads, ok := content.([]any)
	if !ok || len(payloads) == 0 {
		return nil, []string{"has no payloads in its PayloadContent"}
	}
	for i, p := range payloads {
		payload, _ := p.(map[string]any)
		t, _ := payload["PayloadType"].(string)
		if t == "" {
			problems = append(problems, fmt.Sprintf("has a payload without PayloadType, number %d", i+1))
			continue
		}
		if why := forbiddenTypes[t]; why != "" {
			problems = append(problems, fmt.Sprintf("has the payload %s, which %s", t, why))
		}
		if !slices.Contains(types, t) {
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
