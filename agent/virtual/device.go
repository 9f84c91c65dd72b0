package virtual

import (
	"context"
	"maps"
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
)

// deviceInformation answers the queries that the rights allow. The others are left out
// without an error. Source: Apple, MDM Protocol Reference, DeviceInformation.
func (b *body) deviceInformation(_ context.Context, c agent.Command) agent.Response {
	if _, ok := c.Payload["Queries"].([]any); !ok {
		return malformed("Queries is missing")
	}
	queries := stringsOf(c.Payload["Queries"])
	rights := b.link.rights()
	answers := map[string]any{}
	for key, a := range b.facts() {
		if b.opt.UserEnrolment && slices.Contains(privateQueries(), key) {
			continue
		}
		if slices.Contains(queries, key) && rights.Has(a.right) {
			answers[key] = a.value
		}
	}
	return done(map[string]any{"QueryResponses": answers})
}

// privateQueries are not answered in user enrolment. Source: Apple, DeviceInformation
// command, userenrollment of each query.
func privateQueries() []string {
	return []string{
		"UDID", "SerialNumber", "WiFiMAC", "BluetoothMAC", "IsActivationLockEnabled", "IsCloudBackupEnabled", "IsMDMLostModeEnabled",
		"AwaitingConfiguration", "SoftwareUpdateDeviceID", "ServiceSubscriptions",
	}
}

// fact is the answer to one query and the right that it needs.
type fact struct {
	value any
	right ward.AccessRights
}

func (b *body) facts() map[string]fact {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.opt
	const none, device, network = ward.AccessRights(0), ward.RightDeviceInformation, ward.RightNetworkInformation
	facts := map[string]fact{
		"UDID": {o.UDID, none}, "AwaitingConfiguration": {false, none},
		"DeviceName": {b.name, device}, "SerialNumber": {o.Serial, device},
		"OSVersion": {b.os, device}, "BuildVersion": {buildOf(b.os), device},
		"ProductName": {o.Model, device}, "ModelName": {b.family(), device}, "Model": {"MTP03", device}, "ModelNumber": {"MTP03B/A", device},
		"DeviceCapacity": {128.0, device}, "AvailableDeviceCapacity": {96.5, device}, "BatteryLevel": {0.81, device},
		"IsSupervised": {o.Supervised, device}, "IsMultiUser": {false, device}, "IsMDMLostModeEnabled": {b.lost != nil, device},
		"IsDeviceLocatorServiceEnabled": {false, device}, "IsActivationLockEnabled": {false, device},
		"IsCloudBackupEnabled": {false, device}, "DiagnosticSubmissionEnabled": {false, device},
		"TimeZone": {"Europe/London", device}, "EASDeviceIdentifier": {"EAS" + o.Serial, device},
		"WiFiMAC": {"02:00:00:00:00:01", network}, "BluetoothMAC": {"02:00:00:00:00:02", network},
	}
	if len(b.sims) > 0 && b.since("12.0", never) {
		facts["ServiceSubscriptions"] = fact{b.subscriptions(), network}
	}
	return facts
}

func (b *body) securityInfo(context.Context, agent.Command) agent.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	info := map[string]any{
		"PasscodeLockGracePeriodEnforced": 0,
		"ManagementStatus":                map[string]any{"EnrolledViaDEP": false, "UserApprovedEnrollment": true, "IsUserEnrollment": b.opt.UserEnrolment},
	}
	switch {
	case b.mac():
		info["FDE_Enabled"], info["SystemIntegrityProtectionEnabled"] = b.opt.FileVault, true
	default:
		info["HardwareEncryptionCaps"], info["PasscodeCompliant"] = 3, b.compliant()
	}
	if !b.mac() && !b.opt.UserEnrolment {
		info["PasscodePresent"], info["PasscodeCompliantWithProfiles"] = b.passcode.set, b.compliant()
	}
	return done(map[string]any{"SecurityInfo": info})
}

// restrictionsCommand answers with the sum of all profiles, in the four families.
func (b *body) restrictionsCommand(context.Context, agent.Command) agent.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	bools, values, meets, joins := map[string]any{}, map[string]any{}, map[string]any{}, map[string]any{}
	for key, v := range b.effects().restrictions {
		switch restrictionRules[key].how {
		case allow, force:
			bools[key] = map[string]any{"value": v}
		case least, most, last:
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

// settings applies each item by itself and answers for each.
func (b *body) settings(_ context.Context, c agent.Command) agent.Response {
	list, ok := c.Payload["Settings"].([]any)
	if !ok {
		return malformed("Settings is missing")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	answers := []any{}
	for _, v := range list {
		item, _ := v.(map[string]any)
		name, _ := item["Item"].(string)
		answer := map[string]any{"Item": name, "Status": string(agent.Acknowledged)}
		if id, ok := item["Identifier"].(string); ok {
			answer["Identifier"] = id
		}
		if failure := b.set(name, item); failure != nil {
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

// set applies one item and returns an error chain if it cannot. The caller holds b.mu.
func (b *body) set(name string, item map[string]any) []agent.ErrorItem {
	switch {
	case b.opt.UserEnrolment && name != "ApplicationConfiguration" && name != "ApplicationAttributes" && name != "OrganizationInfo":
		return chain(domainMDM, codeNotAuthorised, "the setting is not for user enrolment")
	case name == "DeviceName":
		next, _ := item["DeviceName"].(string)
		if !b.opt.Supervised {
			return chain(domainChaperone, codeNotSupervised, "the device is not supervised")
		}
		if next == "" {
			return chain(domainMDM, codeMalformed, "DeviceName is missing")
		}
		b.name = next
		return nil
	case name == "ApplicationConfiguration", name == "ApplicationAttributes":
		return b.setApp(name, item)
	case name == "OrganizationInfo", name == "PasscodeLockGracePeriod", name == "DataRoaming", name == "VoiceRoaming", name == "PersonalHotspot", name == "DiagnosticSubmission", name == "AppAnalytics":
		return nil
	case slices.Contains(supervisedSettings(), name):
		if !b.opt.Supervised {
			return chain(domainChaperone, codeNotSupervised, "the device is not supervised")
		}
		return nil
	}
	return chain(domainMDM, codeMalformed, "the setting is not known")
}

// setApp changes what is attached to a managed app; without a value it is taken away.
func (b *body) setApp(name string, item map[string]any) []agent.ErrorItem {
	id, _ := item["Identifier"].(string)
	a := b.apps[id]
	if a == nil || !a.managed || a.declared != "" {
		return chain(domainMDM, codeAppNotManaged, "no command manages the app")
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
