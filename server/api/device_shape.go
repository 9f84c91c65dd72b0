package api

import (
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/posture"
	"github.com/wardmdm/ward/server/reconcile"
)

// Finding is one reason for a device's state.
type Finding struct {
	State   compliance.State `json:"state"`
	Code    string           `json:"code" doc:"Stable, for programs."`
	Subject string           `json:"subject,omitempty" doc:"What it is about: the slug of a blocked app, the bundle id of an approved one, a profile."`
	Text    string           `json:"text"`
	Cure    string           `json:"cure,omitempty" doc:"What would put it right."`
	Since   *time.Time       `json:"since,omitempty"`
	Until   *time.Time       `json:"until,omitempty" doc:"When its grace ends."`
}

// Device is a device as lists show it.
type Device struct {
	ID         ward.DeviceID    `json:"id"`
	Serial     string           `json:"serial"`
	Name       string           `json:"name"`
	Platform   ward.Platform    `json:"platform"`
	Model      string           `json:"model"`
	OSVersion  string           `json:"os_version"`
	Ownership  ward.Ownership   `json:"ownership"`
	Group      string           `json:"group"`
	Site       string           `json:"site"`
	Role       string           `json:"role" doc:"The staff role it is meant for."`
	Owner      string           `json:"owner"`
	Email      string           `json:"email"`
	Supervised *bool            `json:"supervised" doc:"null while it is not known."`
	Management ward.DeviceState `json:"management" enum:"invited,managed,lost,unenrolled,erased"`
	State      compliance.State `json:"state" enum:"compliant,pending,in grace,unknown,non-compliant,lost,retired"`
	Reason     string           `json:"reason" doc:"The worst finding; empty for a compliant device."`
	Findings   []Finding        `json:"findings" nullable:"false"`
	LastSeen   *time.Time       `json:"last_seen,omitempty"`
	Enrolled   *time.Time       `json:"enrolled,omitempty"`
	Enrolment  ward.EnrolmentID `json:"enrolment,omitempty" doc:"The newest; left out if it never enrolled."`
	Channel    string           `json:"channel,omitempty" doc:"UDID or EnrollmentID."`
	Epoch      int64            `json:"epoch" doc:"Counts the enrolments of the channel; 0 if it never enrolled."`
	Created    time.Time        `json:"created"`
}

func deviceOf(r posture.Row) Device {
	d, e := r.Device, r.Enrolment
	return Device{
		ID: d.ID, Serial: d.Serial, Name: d.Name, Platform: d.Platform, Model: d.Model, OSVersion: d.OSVersion,
		Ownership: d.Ownership, Group: d.Group, Site: d.Site, Role: d.Role, Owner: d.Owner, Email: d.Email,
		Supervised: supervised(r.Supervised, e.Supervised), Management: d.State,
		State: r.Assessment.State, Reason: r.Assessment.Reason(), Findings: shapes(r.Assessment.Findings, findingOf),
		LastSeen: when(e.LastSeen), Enrolled: when(e.Enrolled), Enrolment: e.ID, Channel: e.Channel, Epoch: e.Epoch, Created: d.Created.UTC(),
	}
}

func findingOf(f compliance.Finding) Finding {
	return Finding{State: f.State, Code: f.Code, Subject: f.Subject, Text: f.Text, Cure: f.Cure, Since: when(f.Since), Until: when(f.Until)}
}

// supervised takes what the device told, else what its enrolment did; nil is unknown.
func supervised(told, enrolled ward.Supervision) *bool {
	if told == ward.SupervisionUnknown {
		told = enrolled
	}
	if told == ward.SupervisionUnknown {
		return nil
	}
	yes := told == ward.Supervised
	return &yes
}

// Enrolment is one epoch of a channel to a device.
type Enrolment struct {
	ID         ward.EnrolmentID    `json:"id"`
	Channel    string              `json:"channel"`
	Kind       string              `json:"kind"`
	Epoch      int64               `json:"epoch"`
	State      ward.EnrolmentState `json:"state" enum:"pending,active,ended"`
	Supervised *bool               `json:"supervised"`
	Rights     ward.AccessRights   `json:"rights" doc:"Apple's AccessRights."`
	MayErase   bool                `json:"may_erase" doc:"Whether the device granted the right to be erased."`
	Invitation string              `json:"invitation,omitempty"`
	Enrolled   *time.Time          `json:"enrolled,omitempty"`
	Ended      *time.Time          `json:"ended,omitempty"`
	EndReason  string              `json:"end_reason,omitempty"`
	LastSeen   *time.Time          `json:"last_seen,omitempty"`
}

func enrolmentOf(e ward.Enrolment) Enrolment {
	return Enrolment{
		ID: e.ID, Channel: e.Channel, Kind: e.Kind, Epoch: e.Epoch, State: e.State, Supervised: supervised(e.Supervised, e.Supervised),
		Rights: e.Rights, MayErase: e.Rights.Has(ward.RightErase), Invitation: e.Invitation,
		Enrolled: when(e.Enrolled), Ended: when(e.Ended), EndReason: e.EndReason, LastSeen: when(e.LastSeen),
	}
}

// Limit says what becomes of one intent of the policy on a device.
type Limit struct {
	ID        intent.ID      `json:"id" doc:"Stable, for machines."`
	Subject   string         `json:"subject,omitempty" doc:"What of it: an app, a network."`
	Intent    string         `json:"intent"`
	Verdict   intent.Verdict `json:"verdict" enum:"enforced,partly,detected only,impossible here,not enforced"`
	Mechanism string         `json:"mechanism,omitempty" doc:"What carries it, in the platform's own words."`
	Since     string         `json:"since,omitempty" doc:"From which version the platform has it."`
	Why       string         `json:"why,omitempty"`
	Cure      string         `json:"cure,omitempty"`
}

func limitOf(l intent.Outcome) Limit {
	return Limit{ID: l.ID, Subject: l.Subject, Intent: l.Intent, Verdict: l.Verdict, Mechanism: l.Mechanism, Since: l.Since, Why: l.Why, Cure: l.Cure}
}

// Profile is a configuration profile that is wanted on a device, is there, or both.
type Profile struct {
	Identifier string `json:"identifier"`
	Name       string `json:"name"`
	Wanted     bool   `json:"wanted"`
	Installed  *bool  `json:"installed" doc:"null while the device has not told."`
	Managed    bool   `json:"managed" doc:"Whether it was put there by management."`
}

func profilesOf(v reconcile.View) []Profile {
	out, at := []Profile{}, map[string]int{}
	for _, p := range v.Want.Profiles {
		at[p.Identifier] = len(out)
		out = append(out, Profile{Identifier: p.Identifier, Name: p.Name, Wanted: true})
	}
	if v.Got.Profiles == nil {
		return out
	}
	for i := range out {
		out[i].Installed = new(bool)
	}
	for _, p := range v.Want.Profiles {
		if i := at[p.Identifier]; p.Declared && v.HasProfile(p) {
			*out[i].Installed, out[i].Managed = true, true
		}
	}
	for _, p := range v.Got.Profiles.Value {
		i, ok := at[p.Identifier]
		if !ok {
			i = len(out)
			out = append(out, Profile{Identifier: p.Identifier, Name: p.Name, Installed: new(bool)})
		}
		*out[i].Installed, out[i].Managed = true, p.Managed
	}
	return out
}

// Credential is what is known of an app's certificate on a device.
type Credential struct {
	ValidUntil *time.Time `json:"valid_until,omitempty" doc:"Of the newest that is not revoked."`
	Revoked    *time.Time `json:"revoked,omitempty" doc:"When one was last revoked."`
}

// App is an app that the policy names, as it is on a device. What else a person has is
// neither asked nor told.
type App struct {
	BundleID         string      `json:"bundle_id"`
	Name             string      `json:"name"`
	Wanted           bool        `json:"wanted"`
	Remove           bool        `json:"remove" doc:"It is to be removed with its data."`
	Required         bool        `json:"required" doc:"The person can't remove it."`
	Overdue          bool        `json:"overdue" doc:"Its approval is past its review date."`
	Installed        *bool       `json:"installed" doc:"null while the device has not told."`
	Version          string      `json:"version,omitempty"`
	ManagedStatus    string      `json:"managed_status,omitempty" doc:"Apple's word, such as Managed."`
	HasConfiguration bool        `json:"has_configuration"`
	Certificate      *Credential `json:"certificate,omitempty"`
}

func appsOf(v reconcile.View) []App {
	var order []string
	apps := map[string]*App{}
	of := func(id, name string) *App {
		a, ok := apps[id]
		if !ok {
			a = &App{BundleID: id, Name: name}
			if v.Got.Apps != nil {
				a.Installed = new(bool)
			}
			apps[id], order = a, append(order, id)
		}
		return a
	}
	for _, w := range v.Want.Apps {
		a := of(w.BundleID, w.Name)
		a.Wanted, a.Remove, a.Required, a.Overdue = !w.Remove, w.Remove, w.Required, w.Overdue
	}
	if v.Got.Apps != nil {
		for _, g := range v.Got.Apps.Value {
			a := of(g.BundleID, g.Name)
			*a.Installed, a.Version = true, g.Version
		}
	}
	if v.Got.Managed != nil {
		for _, m := range v.Got.Managed.Value {
			a := of(m.BundleID, m.BundleID)
			a.ManagedStatus, a.HasConfiguration = m.Status, m.HasConfiguration
			if m.Status == "Managed" { // Apple's word for installed and managed; the other list may be older
				there := true
				a.Installed = &there
			}
		}
	}
	if v.Got.DeclaredApps != nil { // what a declaration brings is told by the status of declarations
		for _, w := range v.Want.Apps {
			i := slices.IndexFunc(v.Got.DeclaredApps.Value, func(d declare.App) bool { return d.BundleID == w.BundleID })
			if !w.Declared || i < 0 {
				continue
			}
			there, a := v.HasApp(w), of(w.BundleID, w.Name)
			if a.ManagedStatus = v.Got.DeclaredApps.Value[i].State; there {
				a.ManagedStatus, a.Installed = "Managed", &there
			}
		}
	}
	out := make([]App, len(order))
	for i, id := range order {
		if c, ok := v.Got.Credentials[id]; ok {
			apps[id].Certificate = &Credential{ValidUntil: when(c.ValidUntil), Revoked: when(c.Revoked)}
		}
		out[i] = *apps[id]
	}
	return out
}
