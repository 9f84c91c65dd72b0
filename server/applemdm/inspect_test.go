package applemdm

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/profiles"
)

// body is a command whose dictionary holds inner.
func body(inner string) string {
	return head + `<plist version="1.0"><dict><key>CommandUUID</key><string>U</string><key>Command</key><dict>` + inner + `</dict></dict></plist>`
}

func typed(requestType, rest string) string {
	return body(`<key>RequestType</key><string>` + requestType + `</string>` + rest)
}

// install is an InstallProfile of a profile whose dictionary holds inner.
func install(inner string) string {
	return typed("InstallProfile", `<key>Payload</key><data>`+base64.StdEncoding.EncodeToString([]byte(head+`<plist version="1.0"><dict>`+inner+`</dict></plist>`))+`</data>`)
}

func TestTypeOf(t *testing.T) {
	t.Parallel()
	text := func(key, value string) string { return "<key>" + key + "</key><string>" + value + "</string>" }
	for _, tc := range []struct {
		name, body      string
		requestType     string
		management, pin bool
		destructive     bool
	}{
		{name: "an erase", body: typed("EraseDevice", ""), requestType: "EraseDevice", destructive: true},
		{name: "a question", body: typed("SecurityInfo", ""), requestType: "SecurityInfo"},
		{name: "a lock", body: typed("DeviceLock", text("Message", "PIN")), requestType: "DeviceLock"},
		{name: "a lock with a PIN", body: typed("DeviceLock", text("PIN", "123456")), requestType: "DeviceLock", pin: true, destructive: true},
		{name: "a lock with an empty PIN", body: typed("DeviceLock", "<key>PIN</key><string/>"), requestType: "DeviceLock", pin: true, destructive: true},
		{name: "the removal of a policy's profile", body: typed("RemoveProfile", text("Identifier", profiles.MessagingProfile)), requestType: "RemoveProfile"},
		{name: "of the management profile", body: typed("RemoveProfile", text("Identifier", "org.example.enrolment")), requestType: "RemoveProfile", management: true, destructive: true},
		{name: "of a profile that nobody knows", body: typed("RemoveProfile", text("Identifier", "com.example.mdm")), requestType: "RemoveProfile", management: true, destructive: true},
		{name: "of none", body: typed("RemoveProfile", ""), requestType: "RemoveProfile", management: true, destructive: true},
		{name: "an unknown type", body: typed("EraseDisk", ""), requestType: "EraseDisk", destructive: true},
		{name: "a profile", body: install(text("PayloadType", "Configuration")), requestType: "InstallProfile"},
		{name: "a profile that wipes", body: install("<key>PayloadContent</key><array><dict><key>maxFailedAttempts</key><integer>10</integer></dict></array>"), requestType: "InstallProfile", destructive: true},
		{name: "one that wipes, by another case", body: install("<key>a</key><dict><key> MAXfailedattempts</key><integer>10</integer></dict>"), requestType: "InstallProfile", destructive: true},
		{name: "one that wipes, by a reference", body: install("<key>maxF&#97;iledAttempts</key><integer>10</integer>"), requestType: "InstallProfile", destructive: true},
		{name: "one that wipes by a declaration's word", body: install("<key>MaximumFailedAttempts</key><integer>10</integer>"), requestType: "InstallProfile", destructive: true},
		{name: "a firmware password", body: install(text("FirmwarePassword", "x")), requestType: "InstallProfile", destructive: true},
		{name: "a removal password", body: install("<key>PayloadContent</key><array><dict>" + text("PayloadType", "com.apple.profileRemovalPassword") + "</dict></array>"), requestType: "InstallProfile", destructive: true},
		{name: "another server", body: install("<key>PayloadContent</key><array><dict>" + text("PayloadType", "com.apple.mdm") + "</dict></array>"), requestType: "InstallProfile", destructive: true},
		{name: "its own enrolment profile", body: install(text("PayloadIdentifier", "org.example.enrolment") + "<key>PayloadContent</key><array><dict>" + text("PayloadType", "com.apple.mdm") + "</dict></array>"), requestType: "InstallProfile"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := compiler(new(int))
			requestType, management, pin, err := c.TypeOf([]byte(tc.body))
			if err != nil || requestType != tc.requestType || management != tc.management || pin != tc.pin {
				t.Errorf("TypeOf() = %s, management %v, PIN %v, %v; want %s, %v, %v", requestType, management, pin, err, tc.requestType, tc.management, tc.pin)
			}
			if requestType, destructive, err := c.Dangerous([]byte(tc.body)); err != nil || requestType != tc.requestType || destructive != tc.destructive {
				t.Errorf("Dangerous() = %s, %v, %v; want %s, %v", requestType, destructive, err, tc.requestType, tc.destructive)
			}
		})
	}
}

// TestTypeOfRefuses: a body that can be read in two ways is not read.
func TestTypeOfRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want error
	}{
		"a binary list":              {string(cyclic()), errNotXML},
		"a deep one":                 {`<plist>` + nested(200) + `</plist>`, errDeep},
		"nothing":                    {"", errNotXML},
		"two types":                  {body(`<key>RequestType</key><string>SecurityInfo</string><key>RequestType</key><string>EraseDevice</string>`), errTwice},
		"two commands":               {head + `<plist version="1.0"><dict><key>Command</key><dict><key>RequestType</key><string>SecurityInfo</string></dict><key>Command</key><dict><key>RequestType</key><string>EraseDevice</string></dict></dict></plist>`, errTwice},
		"two commands, by reference": {head + `<plist version="1.0"><dict><key>Command</key><dict><key>RequestType</key><string>SecurityInfo</string></dict><key>Comm&#97;nd</key><dict/></dict></plist>`, errTwice},
		"two values":                 {body("") + body(`<key>RequestType</key><string>EraseDevice</string>`), nil},
		"two values in one list":     {head + `<plist version="1.0"><dict/><dict/></plist>`, nil},
		"a list":                     {head + `<plist version="1.0"><array/></plist>`, nil},
		"another document":           {`<html></html>`, nil},
		"no type":                    {body(""), nil},
		"a type that is none":        {body(`<key>RequestType</key><integer>1</integer>`), nil},
		"a comment in the type":      {body(`<key>RequestType</key><string>Security<!-- x -->Info</string>`), nil},
		"a comment in a key":         {body(`<key>Request<!-- x -->Type</key><string>SecurityInfo</string>`), nil},
		"a dictionary in a key":      {body(`<key><dict/></key><string>SecurityInfo</string>`), nil},
		"no command":                 {head + `<plist version="1.0"><dict/></plist>`, nil},
		"a profile that is signed":   {typed("InstallProfile", `<key>Payload</key><data>MIAG</data>`), errNotXML},
		"a profile that is not":      {typed("InstallProfile", ""), errNotXML},
		"a profile with a key twice": {install("<key>a</key><true/><key>a</key><false/>"), errTwice},
	} {
		c := compiler(new(int))
		if requestType, destructive, err := c.Dangerous([]byte(tc.body)); err == nil || destructive || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: Dangerous() = %s, %v, %v; want the error %v", name, requestType, destructive, err, tc.want)
		}
	}
}

// TestOwnCommandsAreRead: what the compiler makes, TypeOf reads.
func TestOwnCommandsAreRead(t *testing.T) {
	t.Parallel()
	c := compiler(new(int))
	d, e := workPhone()
	mac, macEnrol := workMac()
	for name, tc := range map[string]struct {
		d           ward.Device
		e           ward.Enrolment
		make        deed
		destructive bool
	}{
		"erase":             {d, e, erase(EraseOptions{PreserveDataPlan: true}), true},
		"erase a Mac":       {mac, macEnrol, erase(EraseOptions{PIN: macPIN}), true},
		"clear a passcode":  {d, e, clearPasscode, true},
		"lock a Mac":        {mac, macEnrol, lockPIN, true},
		"remove management": {d, e, removeManagement, true},
		"lock":              {d, e, lockOnly, false},
		"restart":           {d, e, restart, false},
	} {
		_, want, raw, err := tc.make(c, tc.d, tc.e)
		if err != nil {
			t.Fatal(err)
		}
		if requestType, destructive, err := c.Dangerous(raw); err != nil || requestType != want || destructive != tc.destructive {
			t.Errorf("%s: Dangerous() = %s, %v, %v; want %s, %v", name, requestType, destructive, err, want, tc.destructive)
		}
	}
}

// FuzzTypeOf: whatever a body holds, what a device would take for a destructive command is
// destructive here, or is not read at all.
func FuzzTypeOf(f *testing.F) {
	for _, s := range []string{
		typed("EraseDevice", ""), typed("DeviceLock", "<key>PIN</key><string>123456</string>"), install("<key>maxFailedAttempts</key><integer>4</integer>"),
		typed("RemoveProfile", "<key>Identifier</key><string>org.example.enrolment</string>"), string(cyclic()), body(""),
		body(`<key>RequestType</key><string>SecurityInfo</string><key>RequestType</key><string>EraseDevice</string>`),
		typed("Security<!-- -->Info", ""), typed("Erase&#68;evice", ""), typed("<![CDATA[EraseDevice]]>", ""),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := compiler(new(int))
		requestType, destructive, err := c.Dangerous(raw)
		if err != nil {
			if destructive {
				t.Errorf("%q: destructive, and not read: %v", requestType, err)
			}
			return
		}
		seen, perr := agent.ParseCommand(raw)
		if perr != nil {
			return // a device does nothing with it
		}
		if seen.RequestType != requestType {
			t.Errorf("a device reads %q, TypeOf %q", seen.RequestType, requestType)
		}
		if _, named := DestructiveTypes()[seen.RequestType]; named && !destructive {
			t.Errorf("%s passes as harmless", seen.RequestType)
		}
		payload, _ := seen.Payload["Payload"].([]byte)
		var v map[string]any
		if seen.RequestType == "InstallProfile" && !destructive && plist.Unmarshal(payload, &v) == nil && strings.Contains(strings.ToLower(strings.Join(keysOf(v), " ")), "maxfailedattempts") {
			t.Errorf("a profile that wipes passes as harmless: %q", payload)
		}
	})
}

func keysOf(v any) (out []string) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if strings.EqualFold(strings.TrimSpace(k), "maxFailedAttempts") {
				out = append(out, k)
			}
			out = append(out, keysOf(inner)...)
		}
	case []any:
		for _, inner := range v {
			out = append(out, keysOf(inner)...)
		}
	}
	return out
}
