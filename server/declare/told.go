package declare

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward/server/fleet"
)

// The facts that only the status channel tells, besides fleet.Declarations.
const (
	// StatusItems holds what a device said of itself, each item with its time.
	StatusItems fleet.FactKind = "status_items"
	// Apps lists the apps that declarations manage. Those that commands manage stand in
	// fleet.ManagedApps.
	Apps fleet.FactKind = "declared_apps"
)

// Declaration is what a device says of one declaration, as the fact fleet.Declarations
// lists them, sorted by identifier.
type Declaration struct {
	fleet.Declaration
	Kind string    `json:"kind"` // activation, configuration, asset or management
	At   time.Time `json:"at"`   // when the device said so
}

// The words of Declaration.Valid.
const (
	Valid   = "valid"
	Invalid = "invalid"
	Unknown = "unknown"
)

// App is what a device says of an app that management put there.
// Source: https://github.com/apple/device-management/blob/release/declarative/status/app.managed.list.yaml
type App struct {
	BundleID    string    `json:"bundle_id"`
	Declaration string    `json:"declaration,omitempty"` // the declaration that manages it
	Name        string    `json:"name,omitempty"`
	Version     string    `json:"version,omitempty"`
	State       string    `json:"state,omitempty"` // such as managed or failed
	Update      string    `json:"update,omitempty"`
	Reasons     []string  `json:"reasons,omitempty"` // code and description, in Apple's words
	At          time.Time `json:"at"`
	Removed     bool      `json:"-"` // in a report: it is not managed any more
}

// Names of status items.
const (
	ItemOSVersion         = "device.operating-system.version"
	ItemModel             = "device.model.identifier"
	ItemSerial            = "device.identifier.serial-number"
	ItemPasscodePresent   = "passcode.is-present"
	ItemPasscodeCompliant = "passcode.is-compliant"
	ItemFileVault         = "diskmanagement.filevault.enabled"
	ItemUpdateState       = "softwareupdate.install-state"
	ItemUpdatePending     = "softwareupdate.pending-version"
	ItemUpdateFailure     = "softwareupdate.failure-reason"
)

// ItemNames returns the names of the status items that are kept, sorted. Others are
// dropped: what is not asked for has no business here.
func ItemNames() []string {
	names := []string{
		ItemOSVersion, ItemModel, ItemSerial, ItemPasscodePresent, ItemPasscodeCompliant, ItemFileVault, ItemUpdateState, ItemUpdatePending, ItemUpdateFailure,
		"device.operating-system.build-version", "device.operating-system.family", "device.operating-system.marketing-name",
		"device.operating-system.supplemental.build-version", "device.operating-system.supplemental.extra-version",
		"device.model.family", "device.model.marketing-name", "device.model.number", "device.identifier.udid", "device.power.battery-health",
		"softwareupdate.install-reason", "softwareupdate.device-id", "softwareupdate.beta-enrollment", "security.lockdown-mode",
	}
	slices.Sort(names)
	return names
}

// StatusItem is one status item with the time at which the device told it.
type StatusItem struct {
	Value json.RawMessage `json:"value"`
	At    time.Time       `json:"at"`
}

// Items are status items by Apple's names.
type Items map[string]StatusItem

// Text returns the text of an item and when it was told; the zero time if it was not, or
// is no text.
func (i Items) Text(name string) (string, time.Time) {
	var s string
	at := i.read(name, &s)
	return s, at
}

// Bool is Text for a truth value.
func (i Items) Bool(name string) (value bool, at time.Time) {
	at = i.read(name, &value)
	return value, at
}

func (i Items) read(name string, into any) time.Time {
	it, ok := i[name]
	if !ok || json.Unmarshal(it.Value, into) != nil {
		return time.Time{}
	}
	return it.At
}

// Told is all that an enrolment has told over the status channel. Its zero value is
// nothing.
type Told struct {
	Declarations []Declaration
	// Reported is when the device last spoke of its declarations; zero if never.
	Reported time.Time
	Items    Items
	Apps     []App
}

// Read finds in an enrolment's facts what the status channel told. A fact that can't be
// read is an error, for Ward wrote it itself.
func Read(facts []fleet.Fact) (Told, error) {
	var t Told
	for _, f := range facts {
		var err error
		switch f.Kind {
		case fleet.Declarations:
			t.Reported = f.Observed
			err = json.Unmarshal(f.Value, &t.Declarations)
		case StatusItems:
			err = json.Unmarshal(f.Value, &t.Items)
		case Apps:
			err = json.Unmarshal(f.Value, &t.Apps)
		}
		if err != nil {
			return t, fmt.Errorf("fact %s: %w", f.Kind, err)
		}
	}
	return t, nil
}
