package apple

import (
	"fmt"
	"maps"
	"strings"

	"github.com/google/uuid"
	"github.com/micromdm/plist"
)

// Payload is one payload of a configuration profile. Keys are its own keys; the
// envelope (PayloadType, PayloadIdentifier and so on) is added by Mobileconfig.
type Payload struct {
	Type string
	Name string // shown to staff in Settings
	Keys map[string]any
}

// Document is a configuration profile before it is written.
type Document struct {
	Identifier  string // PayloadIdentifier, stable for the life of the fleet
	Name        string // shown to staff in Settings
	Description string // shown to staff in Settings; may be empty
	Payloads    []Payload
}

// Mobileconfig writes the profile as an XML property list with sorted keys. The same
// document gives the same bytes: every PayloadUUID is a version 5 UUID (RFC 9562,
// section 5.5) of the content, so it changes exactly when the content does. At least
// one payload is needed.
// Source: https://developer.apple.com/documentation/devicemanagement/toplevel
func Mobileconfig(d Document) ([]byte, error) {
	if d.Identifier == "" || len(d.Payloads) == 0 {
		return nil, fmt.Errorf("write profile %q: it needs an identifier and a payload", d.Identifier)
	}
	content := make([]any, len(d.Payloads))
	for i, p := range d.Payloads {
		dict, err := p.envelope(d.Identifier)
		if err != nil {
			return nil, fmt.Errorf("write profile %s: %w", d.Identifier, err)
		}
		content[i] = dict
	}
	top := map[string]any{
		"PayloadType":        "Configuration",
		"PayloadVersion":     1,
		"PayloadIdentifier":  d.Identifier,
		"PayloadDisplayName": d.Name,
		"PayloadContent":     content,
	}
	if d.Description != "" {
		top["PayloadDescription"] = d.Description
	}
	if err := stamp(top); err != nil {
		return nil, fmt.Errorf("write profile %s: %w", d.Identifier, err)
	}
	raw, err := plist.MarshalIndent(top, "\t")
	if err != nil {
		return nil, fmt.Errorf("write profile %s: %w", d.Identifier, err)
	}
	return raw, nil
}

func (p Payload) envelope(profile string) (map[string]any, error) {
	dict := make(map[string]any, len(p.Keys)+5)
	maps.Copy(dict, p.Keys)
	dict["PayloadType"] = p.Type
	dict["PayloadVersion"] = 1
	dict["PayloadIdentifier"] = profile + "." + p.Type[strings.LastIndex(p.Type, ".")+1:]
	dict["PayloadDisplayName"] = p.Name
	return dict, stamp(dict)
}

// stamp gives dict the PayloadUUID that follows from everything else in it.
func stamp(dict map[string]any) error {
	raw, err := plist.Marshal(dict)
	if err != nil {
		return err
	}
	// The namespace is that of URLs; the content itself makes the name.
	dict["PayloadUUID"] = strings.ToUpper(uuid.NewSHA1(uuid.NameSpaceURL, raw).String())
	return nil
}
