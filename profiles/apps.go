package profiles

import (
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/intent"
)

// App is an approved app as a device should have it.
type App struct {
	Name     string
	BundleID string
	// StoreID or ManifestURL says where it comes from; ManifestURL is a template for
	// RenderText.
	StoreID     int64
	ManifestURL string
	Config      map[string]any // template for Render; nil for none
	// Hash covers all that the policy says of the app, never rendered values: a new
	// token does not change it.
	Hash             string
	Required         bool // the person can't remove it
	NeedsCertificate bool // one of its own, by which it counts as equipped
	// Certificate is what the policy says of it, and Delivery how it comes to this device;
	// empty: it can't.
	Certificate    intent.Certificate
	Delivery       intent.Delivery
	NoBackup       bool   // kept out of backups: ManagementFlags 4
	MinimumVersion string // below it the app counts as missing; empty for none
	Overdue        bool   // past its review date
	Remove         bool   // to be removed with its data instead of installed
	// Command is the InstallApplication command without its RequestType, a template for
	// Render; nil for a declared app.
	Command map[string]any
	// Declared is set for an app that a declaration manages: no command may touch it.
	Declared bool
}

func appOf(a apple.App) App {
	return App{
		Name: a.Name, BundleID: a.BundleID, StoreID: a.StoreID, ManifestURL: a.ManifestURL, Config: a.Config, Hash: a.Hash,
		Required: a.Required, NeedsCertificate: a.NeedsCertificate, Certificate: a.Certificate, Delivery: a.Delivery, NoBackup: a.NoBackup, MinimumVersion: a.MinimumVersion, Command: a.Command, Declared: a.Declared,
	}
}
