package applemdm

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jessepeterson/mdmcommands"
	"github.com/micromdm/plist"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// answer gathers what Ward reads from any acknowledged answer: which command it
// belongs to shows by its keys.
type answer struct {
	QueryResponses *queryResponses
	SecurityInfo   *struct {
		HardwareEncryptionCaps        *int
		PasscodePresent               *bool
		PasscodeCompliant             *bool
		PasscodeCompliantWithProfiles *bool
	}
	InstalledApplicationList *[]struct {
		Identifier   string
		Name         string
		ShortVersion string
		Version      string
	}
	ManagedApplicationList *map[string]struct {
		Status           string
		HasConfiguration bool
	}
	ProfileList *[]struct {
		PayloadIdentifier  string
		PayloadUUID        string
		PayloadDisplayName string
		IsManaged          bool
	}
	CertificateList *[]struct {
		CommonName string
		IsIdentity bool
	}
	Latitude           *float64
	Longitude          *float64
	HorizontalAccuracy float64
	Timestamp          string
}

// queryResponses is what DeviceInformation tells.
type queryResponses struct {
	DeviceName           *string
	OSVersion            *string
	ProductName          *string
	SerialNumber         *string
	IsSupervised         *bool
	IsMDMLostModeEnabled *bool
	BatteryLevel         *float64
	ServiceSubscriptions *[]struct {
		ICCID string
		Slot  string
	}
}

// readAnswer reads what an acknowledged answer tells. An answer that tells nothing
// gives an empty Told; one that can't be read is an error.
func readAnswer(raw []byte, now time.Time) (t reconcile.Told, err error) {
	root, ok := quick(raw)
	return readTold(&root, ok, raw, now)
}

// readTold is readAnswer where root is what quick made of raw, if it did.
func readTold(root *node, ok bool, raw []byte, now time.Time) (reconcile.Told, error) {
	var a answer
	if ok {
		a, ok = quickAnswer(root)
	}
	if !ok {
		a = answer{}
		if err := plist.Unmarshal(raw, &a); err != nil {
			return reconcile.Told{}, fmt.Errorf("read answer: %w", err)
		}
	}
	return a.told(now)
}

// told gathers the facts of an answer.
func (a *answer) told(now time.Time) (t reconcile.Told, err error) {
	add := func(kind fleet.FactKind, v any) {
		if err == nil {
			var b []byte
			b, err = json.Marshal(v)
			t.Facts = append(t.Facts, fleet.Fact{Kind: kind, Value: b, Observed: now})
		}
	}
	if q := a.QueryResponses; q != nil {
		t.Information = &reconcile.Information{
			Supervised: q.IsSupervised, LostMode: q.IsMDMLostModeEnabled, OSVersion: text(q.OSVersion), Model: text(q.ProductName),
			Serial: text(q.SerialNumber), Name: text(q.DeviceName), Battery: number(q.BatteryLevel),
		}
		add(fleet.Information, t.Information)
		t.Cards = q.cards()
	}
	if s := a.SecurityInfo; s != nil {
		add(fleet.Security, security(s.HardwareEncryptionCaps, s.PasscodePresent, s.PasscodeCompliant))
	}
	if a.InstalledApplicationList != nil {
		list := []fleet.App{}
		for _, i := range *a.InstalledApplicationList {
			version := i.ShortVersion
			if version == "" {
				version = i.Version
			}
			list = append(list, fleet.App{BundleID: i.Identifier, Name: i.Name, Version: version})
		}
		add(fleet.Apps, list)
	}
	if a.ManagedApplicationList != nil {
		list := []fleet.ManagedApp{}
		for id, m := range *a.ManagedApplicationList {
			list = append(list, fleet.ManagedApp{BundleID: id, Status: m.Status, HasConfiguration: m.HasConfiguration})
		}
		add(fleet.ManagedApps, list)
	}
	if a.ProfileList != nil {
		list := []fleet.Profile{}
		for _, p := range *a.ProfileList {
			list = append(list, fleet.Profile{Identifier: p.PayloadIdentifier, UUID: p.PayloadUUID, Name: p.PayloadDisplayName, Managed: p.IsManaged})
		}
		add(fleet.Profiles, list)
	}
	if a.CertificateList != nil {
		list := []fleet.Certificate{}
		for _, c := range *a.CertificateList {
			list = append(list, fleet.Certificate{CommonName: c.CommonName, Identity: c.IsIdentity})
		}
		add(fleet.Certificates, list)
	}
	if a.Latitude != nil && a.Longitude != nil {
		t.Location = &reconcile.Location{Latitude: *a.Latitude, Longitude: *a.Longitude, Accuracy: a.HorizontalAccuracy, At: located(a.Timestamp, now)}
	}
	return t, err
}

// cards reads the SIM cards and plans, nil where they were not told.
// Source: https://developer.apple.com/documentation/devicemanagement/deviceinformationresponse
func (r *queryResponses) cards() []reconcile.Card {
	if r.ServiceSubscriptions == nil {
		return nil
	}
	list := []reconcile.Card{}
	for _, s := range *r.ServiceSubscriptions {
		list = append(list, reconcile.Card{Slot: s.Slot, ICCID: strings.ReplaceAll(s.ICCID, " ", "")})
	}
	return list
}

// security reads hardware encryption as Apple tells it: 3 is both block and file
// level, and without a passcode neither protects anything.
// Source: https://developer.apple.com/documentation/devicemanagement/securityinforesponse
func security(caps *int, present, compliant *bool) reconcile.Security {
	s := reconcile.Security{PasscodePresent: present, PasscodeCompliant: compliant}
	if caps != nil && present != nil {
		encrypted := *caps == 3 && *present
		s.Encrypted = &encrypted
	}
	return s
}

// located reads a location's time stamp; a phone that gives none was located now.
func located(stamp string, now time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339, stamp); err == nil {
		return t.UTC()
	}
	return now
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return strings.TrimSpace(*s)
}

func number(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

// harmless are the request types that the raw enqueue operation lets through: none
// of them changes or takes anything.
var harmless = map[string]bool{
	mdmcommands.DeviceInformationRequestType:        true,
	mdmcommands.SecurityInfoRequestType:             true,
	mdmcommands.InstalledApplicationListRequestType: true,
	managedApplicationList:                          true,
	mdmcommands.ProfileListRequestType:              true,
	mdmcommands.CertificateListRequestType:          true,
	mdmcommands.ProvisioningProfileListRequestType:  true,
	mdmcommands.AvailableOSUpdatesRequestType:       true,
	mdmcommands.OSUpdateStatusRequestType:           true,
	"Restrictions":                                  true,
	"ManagedApplicationAttributes":                  true,
	"ManagedApplicationConfiguration":               true,
	"ManagedApplicationFeedback":                    true,
}
