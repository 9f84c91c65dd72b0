package apple

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/micromdm/plist"
)

// Payload types that this package makes.
// Source: https://github.com/apple/device-management, mdm/profiles.
const (
	typeRestrictions  = "com.apple.applicationaccess"
	typeNotifications = "com.apple.notificationsettings"
	typePasscode      = "com.apple.mobiledevice.passwordpolicy"
	typeWebFilter     = "com.apple.webcontent-filter"
	typeWiFi          = "com.apple.wifi.managed"
	typeVPN           = "com.apple.vpn.managed"
	typeAppVPN        = "com.apple.vpn.managed.applayer"
	typeRelay         = "com.apple.relay.managed"
	typeDNS           = "com.apple.dnsSettings.managed"
	typeSCEP          = "com.apple.security.scep"
	typeRoot          = "com.apple.security.root"
	typeWebClip       = "com.apple.webClip.managed"
	typeMCX           = "com.apple.MCX"
	typeGatekeeper    = "com.apple.systempolicy.control"
	typeNoOverride    = "com.apple.systempolicy.managed"
)

// payload is one payload of a profile before its envelope is added.
type payload struct {
	Type string
	ID   string // last part of its identifier; empty: the last part of the type
	Name string // shown to staff in Settings
	Keys map[string]any
}

// draft is a profile before it is written.
type draft struct {
	id, name, description string
	payloads              []payload
	// grants marks a profile that gives access, which the device itself takes away while
	// its passcode is not as asked.
	grants bool
	// whole is a profile that was written elsewhere, without payloads of its own.
	whole      map[string]any
	wholeTypes []string
}

func (d draft) types() []string {
	types := slices.Clone(d.wholeTypes)
	for _, p := range d.payloads {
		types = append(types, p.Type)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// write gives the profile as an XML property list with sorted keys. Every PayloadUUID is
// a version 5 UUID (RFC 9562, section 5.5) of the content beside it, so that it changes
// exactly when the content does.
// Source: https://developer.apple.com/documentation/devicemanagement/toplevel
func (d draft) write(on device) ([]byte, error) {
	top := d.whole
	if top == nil {
		content := make([]any, len(d.payloads))
		for i, p := range d.payloads {
			dict, err := p.sealed(d.id)
			if err != nil {
				return nil, fmt.Errorf("write profile %s: %w", d.id, err)
			}
			content[i] = dict
		}
		top = map[string]any{
			"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": d.id,
			"PayloadDisplayName": d.name, "PayloadContent": content,
		}
		if d.description != "" {
			top["PayloadDescription"] = d.description
		}
		if !on.ios() {
			top["PayloadScope"] = "System"
			if on.UserChannel {
				top["PayloadScope"] = "User"
			}
		}
		if err := seal(top); err != nil {
			return nil, fmt.Errorf("write profile %s: %w", d.id, err)
		}
	}
	raw, err := plist.MarshalIndent(top, "\t")
	if err != nil {
		return nil, fmt.Errorf("write profile %s: %w", d.id, err)
	}
	return raw, nil
}

// sealed returns the payload with its envelope.
func (p payload) sealed(profile string) (map[string]any, error) {
	id := p.ID
	if id == "" {
		id = p.Type[strings.LastIndex(p.Type, ".")+1:]
	}
	dict := make(map[string]any, len(p.Keys)+5)
	maps.Copy(dict, p.Keys)
	dict["PayloadType"], dict["PayloadVersion"] = p.Type, 1
	dict["PayloadIdentifier"], dict["PayloadDisplayName"] = profile+"."+id, p.Name
	return dict, seal(dict)
}

// seal gives dict the PayloadUUID that follows from everything else in it.
func seal(dict map[string]any) error {
	raw, err := plist.Marshal(dict)
	if err != nil {
		return err
	}
	dict["PayloadUUID"] = uuidOf(raw)
	return nil
}

// uuidOf is a UUID of the content. The namespace is that of URLs; the content itself
// makes the name.
func uuidOf(content []byte) string {
	return strings.ToUpper(uuid.NewSHA1(uuid.NameSpaceURL, content).String())
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
