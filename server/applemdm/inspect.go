package applemdm

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jessepeterson/mdmcommands"
	"github.com/micromdm/plist"
	"github.com/wardmdm/ward/profiles"
)

// errTwice is why a command is not read: a device might go by the one and Ward by the other.
var errTwice = errors.New("a dictionary has a key twice")

// TypeOf reads what a queued body really is, whatever its row in the queue says: its
// RequestType; whether it removes the management profile, as every RemoveProfile counts that
// is not of a profile of a policy; and whether it locks a Mac with a PIN. A body that two
// readers might read in two ways is an error.
func (c *Compiler) TypeOf(body []byte) (requestType string, managementProfile, pin bool, err error) {
	command, err := openCommand(body)
	if err != nil {
		return "", false, false, err
	}
	requestType, _ = command["RequestType"].(string)
	switch requestType {
	case mdmcommands.RemoveProfileRequestType:
		id, _ := command["Identifier"].(string)
		managementProfile = id == c.ManagementProfile || !strings.HasPrefix(id, profiles.ProfilePrefix)
	case mdmcommands.DeviceLockRequestType:
		_, pin = command["PIN"]
	}
	return requestType, managementProfile, pin, nil
}

// Dangerous reads what a queued body really is, and whether it may be delivered by an order
// alone: because Destructive says so, or because the profile in it would have a device erase
// itself or would bind it.
func (c *Compiler) Dangerous(body []byte) (requestType string, destructive bool, err error) {
	requestType, management, pin, err := c.TypeOf(body)
	if err != nil || Destructive(requestType, management, pin) {
		return requestType, err == nil, err
	}
	if requestType != mdmcommands.InstallProfileRequestType {
		return requestType, false, nil
	}
	command, err := openCommand(body)
	if err != nil {
		return requestType, false, err
	}
	payload, _ := command["Payload"].([]byte)
	why, err := c.harmful(payload)
	return requestType, why != "", err
}

// openCommand reads the Command dictionary of a body.
func openCommand(body []byte) (map[string]any, error) {
	top, err := openDict(body)
	if err != nil {
		return nil, err
	}
	command, ok := top["Command"].(map[string]any)
	if requestType, _ := command["RequestType"].(string); !ok || requestType == "" {
		return nil, errors.New("the command has no RequestType")
	}
	return command, nil
}

// openDict reads a property list whose root is a dictionary, and of which there are no two
// readings.
func openDict(raw []byte) (top map[string]any, err error) {
	if err := guard(raw); err != nil {
		return nil, err
	}
	if err := single(raw); err != nil {
		return nil, err
	}
	if err := plist.Unmarshal(raw, &top); err != nil {
		return nil, fmt.Errorf("read property list: %w", err)
	}
	return top, nil
}

// single refuses a property list in which a key stands twice in a dictionary, that holds
// more than one value, or in which a comment stands within a text: what counts there is each
// reader's own choice.
func single(raw []byte) error {
	d := xml.NewDecoder(bytes.NewReader(raw))
	var open []string          // the elements around the token
	var keys []map[string]bool // of the dictionaries among them
	values := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			if values != 1 {
				return fmt.Errorf("the property list holds %d values, and must hold one", values)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("read property list: %w", err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if len(open) < 2 {
				if want := []string{"plist", "dict"}[len(open)]; tok.Name.Local != want {
					return fmt.Errorf("the property list has <%s> where <%s> belongs", tok.Name.Local, want)
				}
				values += len(open)
			}
			if tok.Name.Local == "dict" {
				keys = append(keys, map[string]bool{})
			}
			if tok.Name.Local == "key" {
				if err := oneKey(d, keys); err != nil {
					return err
				}
				continue // its end was read too
			}
			open = append(open, tok.Name.Local)
		case xml.EndElement:
			if tok.Name.Local == "dict" {
				keys = keys[:len(keys)-1]
			}
			open = open[:len(open)-1]
		case xml.Comment, xml.ProcInst:
			if n := len(open); n > 0 && open[n-1] != "dict" && open[n-1] != "array" && open[n-1] != "plist" {
				return fmt.Errorf("a <%s> holds a comment", open[n-1])
			}
		}
	}
}

// oneKey reads the key that has begun, and notes it in its dictionary.
func oneKey(d *xml.Decoder, keys []map[string]bool) error {
	var name strings.Builder
	for {
		tok, err := d.Token()
		if err != nil {
			return fmt.Errorf("read property list: %w", err)
		}
		switch tok := tok.(type) {
		case xml.CharData:
			name.Write(tok)
		case xml.EndElement:
			if len(keys) == 0 {
				return errors.New("a key stands in no dictionary")
			}
			in := keys[len(keys)-1]
			if in[name.String()] {
				return errTwice
			}
			in[name.String()] = true
			return nil
		default:
			return errors.New("a key holds more than its name")
		}
	}
}

// wipeKeys have a device erase itself after wrong passcodes, in the words of a profile and of
// a declaration; firmwareKeys lock whoever holds a Mac out of it.
// Source: Apple's schema, mdm/profiles/com.apple.mobiledevice.passwordpolicy.yaml and
// declarative/declarations/configurations/passcode.settings.yaml.
var (
	wipeKeys     = []string{"maxFailedAttempts", "MaximumFailedAttempts"}
	firmwareKeys = []string{"FirmwarePassword", "RecoveryLockPassword"}
)

// removalPassword keeps the holder of a device from removing a profile.
// Source: Apple's schema, mdm/profiles/com.apple.profileRemovalPassword.yaml.
const removalPassword = "com.apple.profileRemovalPassword" //nolint:gosec // the name of a type, not a secret

// managementType is the payload that puts a device under a server.
const managementType = "com.apple.mdm"

// harmful says what in a profile destroys or binds: empty for nothing. A management payload
// is none in the enrolment profile, by which identities are renewed. One that can't be read,
// a signed or an encrypted one among them, is an error.
func (c *Compiler) harmful(profile []byte) (why string, err error) {
	top, err := openDict(profile)
	if err != nil {
		return "", fmt.Errorf("read profile: %w", err)
	}
	ours := c != nil && c.ManagementProfile != "" && top["PayloadIdentifier"] == c.ManagementProfile
	return worst(top, ours), nil
}

// worst looks through a profile, at any depth: managed preferences nest another payload's
// keys.
func worst(v any, management bool) string {
	switch v := v.(type) {
	case map[string]any:
		switch t, _ := v["PayloadType"].(string); {
		case t == removalPassword:
			return "a removal password"
		case t == managementType && !management:
			return "a management payload"
		}
		for key, inner := range v {
			for _, k := range wipeKeys {
				if strings.EqualFold(strings.TrimSpace(key), k) {
					return "an erasure after wrong passcodes"
				}
			}
			for _, k := range firmwareKeys {
				if strings.EqualFold(strings.TrimSpace(key), k) {
					return "a firmware password"
				}
			}
			if why := worst(inner, management); why != "" {
				return why
			}
		}
	case []any:
		for _, inner := range v {
			if why := worst(inner, management); why != "" {
				return why
			}
		}
	}
	return ""
}

// namesWipe reports whether the text of a profile names a key by which a device erases
// itself. It is cheap, for it stands where profiles are made; Dangerous reads them whole.
func namesWipe(profile []byte) bool {
	const word = "failedattempts"
	for b := profile; len(b) >= len(word); {
		i := bytes.IndexAny(b, "fF")
		if i < 0 || len(b)-i < len(word) {
			return false
		}
		if bytes.EqualFold(b[i:i+len(word)], []byte(word)) {
			return true
		}
		b = b[i+1:]
	}
	return false
}
