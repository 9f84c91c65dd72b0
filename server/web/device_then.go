package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/posture"
)

// changesRead is how many changes of a device are read at a time.
const changesRead = 200

// changeAt returns the change that held for a device at a time; ok is false where nothing
// was known of it yet.
func (s *Server) changeAt(r *http.Request, id ward.DeviceID, t time.Time) (c estate.Change, ok bool, err error) {
	if s.Fleet.Estate == nil {
		return c, false, errNoEstate
	}
	for before := int64(0); ; {
		all, err := s.Fleet.Estate.Changes(r.Context(), id, before, changesRead)
		if err != nil {
			return c, false, err
		}
		for _, x := range all {
			if !x.At.After(t) {
				return x, x.Device.State != "", nil
			}
			before = x.Seq
		}
		if len(all) < changesRead {
			return c, false, nil
		}
	}
}

// deviceThen shows a device as it was: what was known of it, and no deed.
func (s *Server) deviceThen(r *http.Request, v *devicePage, d posture.Detail, t time.Time) error {
	c, ok, err := s.changeAt(r, d.Device.ID, t)
	if err != nil {
		return err
	}
	now := s.Now()
	v.Past = &noteView{Tone: "info", Title: "As it was on " + at(t, now).Exact, Text: textPast, Link: &action{Text: textToNow, Href: v.Address}}
	v.Head = pageHead{Title: v.Title, AsOf: at(t, now)}
	if !ok {
		v.Past.Text = "Nothing was known of this device then."
		return nil
	}
	then := c.Device
	if !ward.ActorFrom(r.Context()).Scope.Includes(then.Site, then.Group) {
		return ward.Errorf(ward.NotFound, "This device was elsewhere then, where you may not see devices.")
	}
	st := stateTag(then.State)
	v.Head.Tag = &st
	v.Head.Caption = strings.Join(said(then.Owner, then.Group, then.Site, ownershipName(then.Ownership), strings.TrimSpace(platformName(then.Platform)+" "+then.OSVersion)), " · ")
	for _, f := range then.Findings {
		v.Findings = append(v.Findings, findingOf(worded(f, d.View.Want.Apps), now))
	}
	v.About = factsThen(&then, c.At, now)
	for _, slug := range then.Apps {
		v.Apps = append(v.Apps, holding{tag{"Present", "quiet", "eye"}, estate.AppName(slug), "a messaging app of the catalogue"})
	}
	for _, a := range then.Approved {
		h := holding{tag{"Ready", "good", "check"}, a.Bundle, "approved app"}
		switch {
		case !a.Installed:
			h.Tag = tag{"Not installed", "warn", "clock"}
		case !a.Certificate:
			h.Tag = tag{"No valid certificate", "warn", "clock"}
		}
		v.Apps = append(v.Apps, h)
	}
	v.Line, err = s.pastLine(r, d, c.Seq)
	return err
}

// worded gives a finding of the past the words that were not kept with it. An approved app
// is called by its name where the policy knows it.
func worded(f estate.Finding, apps []profiles.App) compliance.Finding {
	subject := f.Subject
	if i := slices.IndexFunc(apps, func(a profiles.App) bool { return a.BundleID == subject }); i >= 0 {
		subject = apps[i].Name
	}
	out := compliance.Finding{State: f.State, Code: f.Code, Subject: f.Subject, Text: f.Text, Cure: f.Cure, Since: f.Since, Until: f.Until}
	if out.Text == "" {
		out.Text, out.Cure = estate.Words(f.Code, subject)
	}
	if rest, ok := strings.CutPrefix(out.Text, f.Subject); ok && subject != f.Subject {
		out.Text = subject + rest
	}
	return out
}

func factsThen(d *estate.Device, since, now time.Time) []fact {
	managed := "No"
	if d.Managed {
		managed = "Yes"
	}
	return []fact{
		{Name: "So since", Value: at(since, now).Exact},
		{Name: "In this state since", Value: at(d.Since, now).Exact},
		{Name: "Managed", Value: managed},
		{Name: "Ward or team", Value: orNone(d.Group)},
		{Name: "Site", Value: orNone(d.Site)},
		{Name: "Supervision", Value: supervisionName(d.Supervised)},
		{Name: "Enrolled", Value: at(d.Enrolled, now).Exact},
		{Name: "Oldest fact", Value: at(d.Told, now).Exact},
	}
}

func orNone(v string) string {
	if v == "" {
		return "None"
	}
	return v
}

// said leaves out what is empty.
func said(words ...string) (out []string) {
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

// placeForm moves a device to another ward, site or staff role.
func placeForm(d ward.Device) *formView {
	return &formView{Action: deviceAddress(d.ID) + "/place", Submit: "Move it", Fields: []fieldView{
		{Name: "group", Label: "Ward or team", Value: d.Group, Required: true, Max: 100}, {Name: "site", Label: "Site", Value: d.Site, Max: 100}, {Name: "role", Label: "Staff role it is meant for", Value: d.Role, Max: 100},
	}}
}

// place moves a device: POST /devices/{id}/place.
func (s *Server) place(w http.ResponseWriter, r *http.Request) error {
	d, _, err := s.subject(r, "")
	if err != nil {
		return err
	}
	group, site, role := field(r, "group"), field(r, "site"), field(r, "role")
	err = s.Posture.Place(r.Context(), d.Device.ID, posture.Placement{Group: &group, Site: &site, Role: &role})
	if err != nil {
		v, viewErr := s.deviceView(r, d)
		if viewErr != nil {
			return viewErr
		}
		return again(s, w, r, s.pages.device, v, err, "group")
	}
	return s.done(w, r, d, fmt.Sprintf("Moved to %s. It is planned for the policy that holds there.", strings.Join(said(group, site), ", ")))
}
