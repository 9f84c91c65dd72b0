// Package fleet knows the devices and the channels to them: who may enrol as which
// device, when an enrolment begins and ends, and what a device has told. It sends
// no command and speaks no protocol.
package fleet

import (
	"context"
	"encoding/json"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Contact is an enrolment as seen by one request of its device.
type Contact struct {
	ward.Enrolment
	Pending    bool  // commands wait
	Generation int64 // the policies' epoch for which the device was last planned
	Published  int64 // the epoch now: see policy.Service.Epoch
	CheckAt    time.Time
	// Renewed is set in the first request under a new identity.
	Renewed bool
}

// Store keeps devices and enrolments. Methods join the unit of work in ctx; a
// missing row is a *ward.Error of kind NotFound.
type Store interface {
	unit.Unit
	Device(ctx context.Context, id ward.DeviceID) (ward.Device, error)
	DevicesBySerial(ctx context.Context, serial string) ([]ward.Device, error)
	InsertDevice(ctx context.Context, d ward.Device) error
	UpdateDevice(ctx context.Context, d ward.Device) error
	DeleteDevice(ctx context.Context, id ward.DeviceID) error
	SetDeviceState(ctx context.Context, id ward.DeviceID, s ward.DeviceState) error
	// MayReenrol reports, and SetReenrol says, that a person lets a device enrol anew
	// although an enrolment of it lives.
	MayReenrol(ctx context.Context, id ward.DeviceID) (bool, error)
	SetReenrol(ctx context.Context, id ward.DeviceID, allowed bool) error
	// CheckSoon makes a device due for planning at t.
	CheckSoon(ctx context.Context, id ward.DeviceID, t time.Time) error

	Enrolment(ctx context.Context, id ward.EnrolmentID) (ward.Enrolment, error)
	// Latest returns the newest epoch of a channel.
	Latest(ctx context.Context, channel string) (ward.Enrolment, error)
	// Current returns the device channel that commands for the device go to: the newest
	// that is active or pending.
	Current(ctx context.Context, id ward.DeviceID) (ward.Enrolment, error)
	Enrolments(ctx context.Context, id ward.DeviceID) ([]ward.Enrolment, error)
	EndEnrolment(ctx context.Context, id ward.EnrolmentID, reason string) error

	// ChannelOf returns the channel that a certificate proves or once proved, and
	// whether it still does; "" if it never proved one.
	ChannelOf(ctx context.Context, hash string) (channel string, live bool, err error)
	// Bind makes the certificate the only one that proves the channel.
	Bind(ctx context.Context, hash, channel string) error

	SetFact(ctx context.Context, id ward.EnrolmentID, f Fact) error
	Facts(ctx context.Context, id ward.EnrolmentID) ([]Fact, error)
	SetSupervised(ctx context.Context, id ward.EnrolmentID, s ward.Supervision) error
}

// Fact is one thing that a device told, and when.
type Fact struct {
	Kind     FactKind
	Value    json.RawMessage
	Observed time.Time
}

// FactKind names what a fact is about.
type FactKind string

// The kinds of facts.
const (
	Information  FactKind = "device_information"
	Security     FactKind = "security_info"
	Apps         FactKind = "installed_apps"
	ManagedApps  FactKind = "managed_apps"
	Profiles     FactKind = "profiles"
	Certificates FactKind = "certificates"
	// Declarations is what a device makes of its declarations.
	Declarations FactKind = "declarations"
)

// Declaration is the state of one declaration, as the fact Declarations lists them.
// Source: Apple's schema, declarative/status/management.declarations.yaml.
type Declaration struct {
	Identifier string   `json:"identifier"`
	Token      string   `json:"token"` // ServerToken of the version that the device holds
	Active     bool     `json:"active"`
	Valid      string   `json:"valid"`             // valid, invalid or unknown
	Reasons    []string `json:"reasons,omitempty"` // code and description, in Apple's words
}

// App is one installed app, as the fact Apps lists them.
type App struct {
	BundleID string `json:"bundle_id"`
	Name     string `json:"name,omitempty"`
	Version  string `json:"version,omitempty"`
}

// ManagedApp is one managed app, as the fact ManagedApps lists them.
type ManagedApp struct {
	BundleID         string `json:"bundle_id"`
	Status           string `json:"status"`
	HasConfiguration bool   `json:"has_configuration,omitempty"`
}

// Profile is one installed profile, as the fact Profiles lists them.
type Profile struct {
	Identifier string `json:"identifier"`
	UUID       string `json:"uuid,omitempty"`
	Name       string `json:"name,omitempty"`
	Managed    bool   `json:"managed,omitempty"`
}

// Certificate is one installed certificate, as the fact Certificates lists them.
type Certificate struct {
	CommonName string `json:"common_name"`
	Identity   bool   `json:"identity,omitempty"`
}

type contactKey struct{}

// WithContact returns a context that knows the enrolment of its request.
func WithContact(ctx context.Context, c Contact) context.Context {
	return context.WithValue(ctx, contactKey{}, c)
}

// ContactFrom returns the enrolment of the request, if ctx knows it.
func ContactFrom(ctx context.Context) (Contact, bool) {
	c, ok := ctx.Value(contactKey{}).(Contact)
	return c, ok
}

type admissionKey struct{}

// WithAdmission returns a context in which the enrolment that begins is the
// admitted one.
func WithAdmission(ctx context.Context, a Admission) context.Context {
	return context.WithValue(ctx, admissionKey{}, a)
}

// AdmissionFrom returns the admission, if ctx holds one.
func AdmissionFrom(ctx context.Context) (Admission, bool) {
	a, ok := ctx.Value(admissionKey{}).(Admission)
	return a, ok
}
