// Package reconcile compares what should be true on a device with what the device
// has told, and says what is left to do. Plan is pure; Loop carries its steps to the
// queue. It knows neither SQL nor Apple's messages.
package reconcile

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
)

// Observed is what a device has told. A nil part was never told.
type Observed struct {
	Of          ward.EnrolmentID // whose facts these are; empty where it does not matter
	Information *Known[Information]
	Security    *Known[Security]
	Apps        *Known[[]fleet.App]
	Managed     *Known[[]fleet.ManagedApp]
	Profiles    *Known[[]fleet.Profile]
	// Declarations is what the device makes of its declarations, by its status reports.
	Declarations *Known[[]fleet.Declaration]
	// DeclaredApps are the apps that declarations manage; ManagedApplicationList leaves
	// them out.
	DeclaredApps *Known[[]declare.App]
	// SIM is what the device told of its SIM cards and plans in a lost case.
	SIM *Known[SIM]
	// Certificates are asked for when a person wants news, for nothing is decided by them.
	Certificates *Known[[]fleet.Certificate]
	Credentials  map[string]Credential // by bundle id
}

// Known is a fact with the time it was true.
type Known[T any] struct {
	Value T
	At    time.Time
}

// Information is what matters of a device's DeviceInformation. A nil pointer was not
// told.
type Information struct {
	Supervised *bool   `json:"supervised,omitempty"`
	LostMode   *bool   `json:"lost_mode,omitempty"`
	OSVersion  string  `json:"os_version,omitempty"`
	Model      string  `json:"model,omitempty"`
	Serial     string  `json:"serial,omitempty"`
	Name       string  `json:"name,omitempty"`
	Battery    float64 `json:"battery,omitempty"` // 0 to 1
}

// Security is what matters of a device's SecurityInfo.
type Security struct {
	PasscodePresent   *bool `json:"passcode_present,omitempty"`
	PasscodeCompliant *bool `json:"passcode_compliant,omitempty"`
	Encrypted         *bool `json:"encrypted,omitempty"`
}

// Credential is what the record knows of an app's certificate on a device.
type Credential struct {
	ValidUntil  time.Time // of the newest certificate that is not revoked; zero for none
	Life        time.Duration
	Revoked     time.Time // when one was last revoked; zero if never
	TokenIssued time.Time // when the app was last given a token to ask with; zero if never
}

// Observe reads facts into an Observed. A fact that can't be read is an error, for
// Ward wrote it itself.
func Observe(facts []fleet.Fact) (o Observed, err error) {
	for _, f := range facts {
		switch f.Kind {
		case fleet.Information:
			o.Information, err = known[Information](f)
		case fleet.Security:
			o.Security, err = known[Security](f)
		case fleet.Apps:
			o.Apps, err = known[[]fleet.App](f)
		case fleet.ManagedApps:
			o.Managed, err = known[[]fleet.ManagedApp](f)
		case fleet.Profiles:
			o.Profiles, err = known[[]fleet.Profile](f)
		case fleet.Declarations:
			o.Declarations, err = known[[]fleet.Declaration](f)
		case declare.Apps:
			o.DeclaredApps, err = known[[]declare.App](f)
		case SIMs:
			o.SIM, err = known[SIM](f)
		case fleet.Certificates:
			o.Certificates, err = known[[]fleet.Certificate](f)
		}
		if err != nil {
			return o, fmt.Errorf("fact %s: %w", f.Kind, err)
		}
	}
	return o, nil
}

func known[T any](f fleet.Fact) (*Known[T], error) {
	k := Known[T]{At: f.Observed}
	if err := json.Unmarshal(f.Value, &k.Value); err != nil {
		return nil, err
	}
	return &k, nil
}

// Supervised returns what is known of the supervision.
func (o Observed) Supervised() ward.Supervision {
	switch {
	case o.Information == nil || o.Information.Value.Supervised == nil:
		return ward.SupervisionUnknown
	case *o.Information.Value.Supervised:
		return ward.Supervised
	default:
		return ward.Unsupervised
	}
}

// Attempt is the newest attempt of a step.
type Attempt struct {
	Key      string
	State    command.State
	Tries    int // since the step last succeeded
	Queued   time.Time
	Answered time.Time // zero while open
	Error    string
}
