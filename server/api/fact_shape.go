package api

import (
	"time"

	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// Facts are what a device has told, each with its time. A part that is left out was
// never told.
type Facts struct {
	Information *Information `json:"information,omitempty"`
	Security    *Security    `json:"security,omitempty"`
	AppsAt      *time.Time   `json:"apps_at,omitempty" doc:"When it told which of the watched apps it has."`
	ManagedAt   *time.Time   `json:"managed_apps_at,omitempty"`
	ProfilesAt  *time.Time   `json:"profiles_at,omitempty"`

	Certificates   []Certificate `json:"certificates,omitempty" nullable:"false" doc:"What it said it holds when it was last asked for news."`
	CertificatesAt *time.Time    `json:"certificates_at,omitempty"`
}

// Certificate is a certificate that a device said it holds.
type Certificate struct {
	CommonName string `json:"common_name"`
	Identity   bool   `json:"identity" doc:"It has the key."`
}

// Information is what a device told about itself.
type Information struct {
	At         time.Time `json:"at"`
	Supervised *bool     `json:"supervised"`
	LostMode   *bool     `json:"lost_mode"`
	OSVersion  string    `json:"os_version"`
	Model      string    `json:"model"`
	Name       string    `json:"name"`
	Battery    float64   `json:"battery" doc:"0 to 1; 0 if not told."`
}

// Security is what a device told about its protection.
type Security struct {
	At                time.Time `json:"at"`
	PasscodePresent   *bool     `json:"passcode_present"`
	PasscodeCompliant *bool     `json:"passcode_compliant"`
	Encrypted         *bool     `json:"encrypted"`
}

func factsOf(o reconcile.Observed) Facts {
	var f Facts
	if i := o.Information; i != nil {
		f.Information = &Information{
			At: i.At.UTC(), Supervised: i.Value.Supervised, LostMode: i.Value.LostMode, OSVersion: i.Value.OSVersion,
			Model: i.Value.Model, Name: i.Value.Name, Battery: i.Value.Battery,
		}
	}
	if s := o.Security; s != nil {
		f.Security = &Security{At: s.At.UTC(), PasscodePresent: s.Value.PasscodePresent, PasscodeCompliant: s.Value.PasscodeCompliant, Encrypted: s.Value.Encrypted}
	}
	if c := o.Certificates; c != nil {
		f.Certificates, f.CertificatesAt = shapes(c.Value, func(c fleet.Certificate) Certificate { return Certificate(c) }), when(c.At)
	}
	f.AppsAt, f.ManagedAt, f.ProfilesAt = told(o.Apps), told(o.Managed), told(o.Profiles)
	return f
}

func told[T any](k *reconcile.Known[T]) *time.Time {
	if k == nil {
		return nil
	}
	return when(k.At)
}

// Step is the newest attempt at one thing that the loop wants done.
type Step struct {
	Step     string        `json:"step"`
	State    command.State `json:"state"`
	Tries    int           `json:"tries" doc:"Since it last succeeded."`
	Queued   *time.Time    `json:"queued,omitempty"`
	Answered *time.Time    `json:"answered,omitempty"`
	Error    string        `json:"error,omitempty"`
}

func stepOf(a reconcile.Attempt) Step {
	return Step{Step: a.Key, State: a.State, Tries: a.Tries, Queued: when(a.Queued), Answered: when(a.Answered), Error: a.Error}
}
