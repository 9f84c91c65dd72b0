package virtual

import (
	"context"
	"crypto/subtle"
	"maps"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
)

// deviceInformation answers the queries that the rights allow. The others are left out
// without an error. Source: Apple, MDM Protocol Reference, DeviceInformation.
func (p *Phone) deviceInformation(_ context.Context, c agent.Command) agent.Response {
	if _, ok := c.Payload["Queries"].([]any); !ok {
		return malformed("Queries is missing")
	}
	rights := p.AccessRights()
	answers := map[string]any{}
	for key, a := range p.facts() {
		if slices.Contains(stringsOf(c.Payload["Queries"]), key) && rights.Has(a.right) {
			answers[key] = a.value
		}
	}
	return done(map[string]any{"QueryResponses": answers})
}

// fact is the answer to one query and the right that it needs.
type fact struct {
	value any
	right ward.AccessRights
}

func (p *Phone) facts() map[string]fact {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.opt
	const none, device, network = ward.AccessRights(0), ward.RightDeviceInformation, ward.RightNetworkInformation
	return map[string]fact{
		"UDID": {o.UDID, none}, "AwaitingConfiguration": {false, none},
		"DeviceName": {p.name, device}, "SerialNumber": {o.Serial, device},
		"OSVersion": {o.OSVersion, device}, "BuildVersion": {buildOf(o.OSVersion), device},
		"ProductName": {o.Model, device}, "ModelName": {"iPhone", device}, "Model": {"MTP03", device}, "ModelNumber": {"MTP03B/A", device},
		"DeviceCapacity": {128.0, device}, "AvailableDeviceCapacity": {96.5, device}, "BatteryLevel": {0.81, device},
		"IsSupervised": {o.Supervised, device}, "IsMultiUser": {false, device}, "IsMDMLostModeEnabled": {p.lost != nil, device},
		"IsDeviceLocatorServiceEnabled": {false, device}, "IsActivationLockEnabled": {false, device},
		"IsCloudBackupEnabled": {false, device}, "DiagnosticSubmissionEnabled": {false, device},
		"TimeZone": {"Europe/London", device}, "EASDeviceIdentifier": {"EAS" + o.Serial, device},
		"WiFiMAC": {"02:00:00:00:00:01", network}, "BluetoothMAC": {"02:00:00:00:00:02", network},
	}
}

func (p *Phone) securityInfo(context.Context, agent.Command) agent.Response {
	p.mu.Lock()
	defer p.mu.Unlock()
	compliant := p.passcode
	if !compliant {
		compliant = true
		for _, h := range p.profiles {
			for _, q := range h.profile.Of(typePasscode) {
				compliant = compliant && q.Content["forcePIN"] != true
			}
		}
	}
	return done(map[string]any{"SecurityInfo": map[string]any{
		"HardwareEncryptionCaps": 3, "PasscodePresent": p.passcode, "PasscodeCompliant": compliant,
		"PasscodeCompliantWithProfiles": compliant, "PasscodeLockGracePeriodEnforced": 0,
		"ManagementStatus": map[string]any{"EnrolledViaDEP": false, "UserApprovedEnrollment": true, "IsUserEnrollment": false},
	}})
}

// restrictionsCommand answers with the sum of all profiles, in the four families.
func (p *Phone) restrictionsCommand(context.Context, agent.Command) agent.Response {
	p.mu.Lock()
	defer p.mu.Unlock()
	bools, values, meets, joins := map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}
	for key, r := range rules {
		v, ok := p.restriction(key)
		if !ok {
			continue
		}
		switch r.how {
		case allow, force:
			bools[key] = map[string]any{"value": v}
		case least:
			values[key] = map[string]any{"value": v}
		case common:
			meets[key] = map[string]any{"values": v}
		case union:
			joins[key] = map[string]any{"values": v}
		}
	}
	sum := map[string]any{"restrictedBool": bools, "restrictedValue": values, "intersection": meets, "union": joins}
	return done(map[string]any{"GlobalRestrictions": sum, "ProfileRestrictions": map[string]any{}})
}

// deviceLock locks the screen. MessageResult is sent where a message was to be shown;
// one shows only above a passcode. Source: Apple, DeviceLock.
func (p *Phone) deviceLock(_ context.Context, c agent.Command) agent.Response {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.locked = true
	if c.String("Message") == "" && c.String("PhoneNumber") == "" && p.lost == nil {
		return done(nil)
	}
	result := "Success"
	switch {
	case p.lost != nil:
		result = "DeviceInLostMode"
	case !p.passcode:
		result = "NoPasscodeSet"
	}
	return done(map[string]any{"MessageResult": result})
}

func (p *Phone) clearPasscode(_ context.Context, c agent.Command) agent.Response {
	token, ok := c.Payload["UnlockToken"].([]byte)
	if !ok {
		return malformed("UnlockToken is missing")
	}
	if subtle.ConstantTimeCompare(token, p.unlockToken) != 1 {
		return fail(domainPasscode, codeCannotClear, "the unlock token is not this device's")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passcode, p.locked = false, false
	return done(nil)
}

// eraseDevice accepts an erase. The phone answers first and is gone when the answer is
// out. Source: Apple, EraseDevice.
func (p *Phone) eraseDevice(context.Context, agent.Command) agent.Response {
	r := done(nil)
	r.Then = agent.Vanish
	return r
}

// restart comes back with the lock screen up.
func (p *Phone) restart(context.Context, agent.Command) agent.Response {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.locked = true
	return done(nil)
}

func (p *Phone) enableLostMode(_ context.Context, c agent.Command) agent.Response {
	l := LostMode{Message: c.String("Message"), PhoneNumber: c.String("PhoneNumber"), Footnote: c.String("Footnote"), Since: p.opt.Clock()}
	switch {
	case !p.opt.Supervised:
		return fail(domainMDM, codeLostModeOn, "lost mode needs supervision")
	case l.Message == "" && l.PhoneNumber == "":
		return malformed("Message or PhoneNumber is needed")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost, p.locked = &l, true
	return done(nil)
}

func (p *Phone) disableLostMode(context.Context, agent.Command) agent.Response {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost == nil {
		return fail(domainMDM, codeLostModeOff, "the device is not in lost mode")
	}
	p.lost = nil // the lock screen stays up
	return done(nil)
}

func (p *Phone) deviceLocation(context.Context, agent.Command) agent.Response {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost == nil {
		return fail(domainMDM, codeNotLost, "the device is not in lost mode")
	}
	if p.opt.LocationUnknown {
		return fail(domainMDM, codeNoLocation, "the location could not be determined")
	}
	return done(map[string]any{
		"Latitude": p.opt.Latitude, "Longitude": p.opt.Longitude, "HorizontalAccuracy": 12.0, "VerticalAccuracy": 8.0,
		"Altitude": 35.0, "Speed": -1.0, "Course": -1.0, "Timestamp": p.opt.Clock().UTC().Format(time.RFC3339),
	})
}

func (p *Phone) playLostModeSound(context.Context, agent.Command) agent.Response {
	if _, lost := p.InLostMode(); !lost {
		return fail(domainMDM, codeNotLost, "the device is not in lost mode")
	}
	return done(nil)
}

// settings applies each item by itself and answers for each.
func (p *Phone) settings(_ context.Context, c agent.Command) agent.Response {
	list, ok := c.Payload["Settings"].([]any)
	if !ok {
		return malformed("Settings is missing")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	answers := []any{}
	for _, v := range list {
		item, _ := v.(map[string]any)
		name, _ := item["Item"].(string)
		answer := map[string]any{"Item": name, "Status": string(agent.Acknowledged)}
		if id, ok := item["Identifier"].(string); ok {
			answer["Identifier"] = id
		}
		if failure := p.set(name, item); failure != nil {
			answer["Status"], answer["ErrorChain"] = string(agent.Error), failure
		}
		answers = append(answers, answer)
	}
	return done(map[string]any{"Settings": answers})
}

// supervisedSettings are refused without supervision; they have no effect that anything
// here could observe.
func supervisedSettings() []string {
	return []string{"Bluetooth", "TimeZone", "Wallpaper", "MDMOptions", "AccessibilitySettings", "DefaultApplications", "SharedDeviceConfiguration"}
}

// set applies one item and returns an error chain if it cannot. The caller holds p.mu.
func (p *Phone) set(name string, item map[string]any) []agent.ErrorItem {
	switch {
	case name == "DeviceName":
		next, _ := item["DeviceName"].(string)
		if !p.opt.Supervised {
			return chain(domainChaperone, codeNotSupervised, "the device is not supervised")
		}
		if next == "" {
			return chain(domainMDM, codeMalformed, "DeviceName is missing")
		}
		p.name = next
		return nil
	case name == "ApplicationConfiguration", name == "ApplicationAttributes":
		return p.setApp(name, item)
	case name == "OrganizationInfo", name == "PasscodeLockGracePeriod", name == "DataRoaming", name == "VoiceRoaming", name == "PersonalHotspot", name == "DiagnosticSubmission", name == "AppAnalytics":
		return nil
	case slices.Contains(supervisedSettings(), name):
		if !p.opt.Supervised {
			return chain(domainChaperone, codeNotSupervised, "the device is not supervised")
		}
		return nil
	}
	return chain(domainMDM, codeMalformed, "the setting is not known")
}

// setApp changes what is attached to a managed app; without a value it is taken away.
func (p *Phone) setApp(name string, item map[string]any) []agent.ErrorItem {
	id, _ := item["Identifier"].(string)
	a := p.apps[id]
	if a == nil || !a.managed {
		return chain(domainMDM, codeAppNotManaged, "the app is not managed")
	}
	key := "Configuration"
	if name == "ApplicationAttributes" {
		key = "Attributes"
	}
	v, ok := optional[map[string]any](item, key)
	if !ok {
		return chain(domainMDM, codeMalformed, key+" is not a dictionary")
	}
	if key == "Configuration" {
		a.config = maps.Clone(v)
	} else {
		a.attributes = maps.Clone(v)
	}
	return nil
}
