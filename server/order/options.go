package order

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
)

// Options of an order. What does not fit the kind or a device is refused, except
// PreserveDataPlan, which a device without a data plan ignores.
// Source: Apple, commands EraseDevice and DeviceLock.
type Options struct {
	PreserveDataPlan       bool             `json:"preserve_data_plan"`          // Erase: keep the mobile data plan of an eSIM
	DisallowProximitySetup bool             `json:"disallow_proximity_setup"`    // Erase, iOS: no set-up by a phone held near it
	ReturnToService        *ReturnToService `json:"return_to_service,omitempty"` // Erase, iOS, outside a case
	Obliteration           string           `json:"obliteration,omitempty"`      // Erase, macOS: see Obliterations; empty for Apple's default
	Message                string           `json:"message,omitempty"`           // LockPIN: shown on the locked Mac
	Phone                  string           `json:"phone,omitempty"`             // LockPIN: shown on the locked Mac
	Campaign               *Campaign        `json:"campaign,omitempty"`          // Erase and RemoveManagement of many devices
	Brake                  *Brake           `json:"brake,omitempty"`             // ReleaseBrake and LiftBrake
	Drill                  bool             `json:"drill,omitempty"`             // a rehearsal: nothing is queued
}

// ReturnToService has an erased device enrol again by itself.
// Source: Apple, command EraseDevice, key ReturnToService.
type ReturnToService struct {
	WiFiProfile []byte `json:"wifi_profile,omitempty"` // a configuration profile; nil if it needs none
}

// Campaign is a planned refresh of many devices, announced a day ahead, with a limit of
// its own instead of the brake's windows.
type Campaign struct {
	Start   time.Time `json:"start"`
	PerHour int       `json:"per_hour"` // devices in any hour
}

// Brake names what an order does to the brake.
type Brake struct {
	Kind  brake.Kind `json:"kind"`
	Hours int        `json:"hours,omitempty"` // LiftBrake only: 1 to 24
}

// Obliterations are the values of Options.Obliteration.
// Source: Apple, command EraseDevice, key ObliterationBehavior.
var Obliterations = []string{"Default", "DoNotObliterate", "ObliterateWithWarning", "Always"}

// empty reports whether nothing was chosen.
func (o Options) empty() bool {
	return !o.PreserveDataPlan && !o.DisallowProximitySetup && o.ReturnToService == nil && o.Obliteration == "" &&
		o.Message == "" && o.Phone == "" && o.Campaign == nil && o.Brake == nil && !o.Drill
}

// Digest returns the lower-case hexadecimal SHA-256 of the order's Statement. An approval is
// for this value. The id makes it unique, so that a yes to one order is never a yes to its
// twin.
func (o Order) Digest() (string, error) {
	text, err := o.Statement()
	if err != nil {
		return "", err
	}
	return sum(text), nil
}

// Statement returns the order's canonical JSON: a version, id, kind, the SHA-256 of the list
// of targets, the targets (device, enrolment, name), every option, reason, case and
// requester, in that order, without white space.
func (o Order) Statement() ([]byte, error) {
	type target struct {
		Device    ward.DeviceID    `json:"device"`
		Enrolment ward.EnrolmentID `json:"enrolment"`
		Name      string           `json:"name"`
	}
	targets := make([]target, len(o.Targets))
	for i, t := range o.Targets {
		targets[i] = target{t.Device, t.Enrolment, t.Name}
	}
	list, err := canonical(targets)
	if err != nil {
		return nil, fmt.Errorf("statement of order %s: %w", o.ID, err)
	}
	text, err := canonical(struct {
		Version     int             `json:"v"`
		ID          ward.OrderID    `json:"id"`
		Kind        Kind            `json:"kind"`
		TargetsHash string          `json:"targets_sha256"`
		Targets     json.RawMessage `json:"targets"`
		Options     Options         `json:"options"`
		Reason      string          `json:"reason"`
		Case        ward.CaseID     `json:"case"`
		RequestedBy ward.PersonID   `json:"requested_by"`
	}{2, o.ID, o.Kind, sum(list), list, o.Options, o.Reason, o.Case, o.RequestedBy})
	if err != nil {
		return nil, fmt.Errorf("statement of order %s: %w", o.ID, err)
	}
	return text, nil
}

// canonical encodes a value as JSON without white space, its fields in the order of
// their declaration.
func canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
