package web

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/posture"
)

// about are the facts that are known of a device, each with the time when it was told.
func about(d posture.Detail, now time.Time) []fact {
	dev, told := d.Device, moment{}
	if i := d.View.Got.Information; i != nil {
		told = at(i.At, now)
	}
	out := []fact{
		{Name: "Serial number", Value: cmp.Or(dev.Serial, "Not told yet")},
		{Name: "Model", Value: cmp.Or(dev.Model, "Not told yet"), When: told},
		{Name: "System", Value: osOf(dev), When: told},
		{Name: "Owner", Value: cmp.Or(dev.Owner, "Shared")},
		{Name: "Group", Value: cmp.Or(dev.Group, "None")},
		{Name: "Site", Value: cmp.Or(dev.Site, "None")},
		{Name: "Staff role", Value: cmp.Or(dev.Role, "None")},
		{Name: "Ownership", Value: ownershipName(dev.Ownership)},
		{Name: "Supervision", Value: supervisionName(d.Supervised), When: told},
	}
	if d.Enrolment.ID != "" {
		out = append(out, fact{Name: "UDID", Value: d.Enrolment.Channel}, fact{Name: "Last seen", Value: at(d.Enrolment.LastSeen, now).Exact})
	}
	if i := d.View.Got.Information; i != nil && i.Value.Battery > 0 {
		out = append(out, fact{"Battery", fmt.Sprintf("%.0f%%", i.Value.Battery*100), at(i.At, now)})
	}
	if sec := d.View.Got.Security; sec != nil {
		out = append(out, fact{"Passcode", answer(sec.Value.PasscodePresent, "Set", "Not set"), at(sec.At, now)}, fact{"Encryption", answer(sec.Value.Encrypted, "On", "Off"), at(sec.At, now)})
	}
	return out
}

// appsOn lists what is on a device: approved apps, blocked ones, and what else of the
// catalogue is there; told says what is known of its apps at all.
func (s *Server) appsOn(ctx context.Context, d posture.Detail, now time.Time) (out []holding, told string, err error) {
	out = append(apps(d, now), blockedApps(d, now)...)
	switch {
	case d.Device.Ownership == ward.Personal:
		told = "It is a person’s own: only apps that Ward manages are known here. What else is on it is nobody’s business but its owner’s."
	case d.View.Got.Apps == nil:
		told = "It has not told yet which messaging apps are on it."
	default:
		told = "Of messaging apps that the catalogue knows, told " + at(d.View.Got.Apps.At, now).Ago + ". No other app is asked about."
	}
	if d.View.Got.Apps == nil {
		return out, told, nil
	}
	ids := map[string]bool{}
	for _, a := range d.View.Got.Apps.Value {
		ids[a.BundleID] = true
	}
	p, _, err := s.policyFor(ctx, d.Device)
	if err != nil {
		return nil, "", err
	}
	blocked := d.View.Want.Present(bundles(d.View.Got.Apps.Value))
	for _, a := range catalogueOf(p).Apps() {
		if slices.ContainsFunc(blocked, func(b catalogue.App) bool { return b.Slug == a.Slug }) || p != nil && approvedApp(a, p) {
			continue
		}
		if slices.ContainsFunc(slices.Concat(a.IOS, a.MacOS), func(i catalogue.Identifier) bool { return ids[i.ID] }) {
			out = append(out, holding{tag{"Not blocked here", "quiet", "eye"}, a.Name, strings.Join([]string{categoryName(a.Category), "seen " + at(d.View.Got.Apps.At, now).Ago}, " · ")})
		}
	}
	return out, told, nil
}

func bundles(all []fleet.App) []string {
	out := make([]string, len(all))
	for i, a := range all {
		out[i] = a.BundleID
	}
	return out
}

// policyFor returns the policy that holds for a device; nil where none does, or where
// nobody knows of policies here.
func (s *Server) policyFor(ctx context.Context, d ward.Device) (*profiles.Policy, int64, error) {
	if s.Policies == nil {
		return nil, 0, nil
	}
	f, err := s.Policies.InForce(ctx)
	if err != nil {
		return nil, 0, err
	}
	p, generation := f.For(d)
	return p, generation, nil
}
