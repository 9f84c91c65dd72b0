package api

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
)

// Estate tells the posture of every device, now and at a past time.
type Estate interface {
	Current(ctx context.Context) (*estate.Snapshot, error)
	At(ctx context.Context, t time.Time) (*estate.Snapshot, error)
	Changes(ctx context.Context, id ward.DeviceID, before int64, limit int) ([]estate.Change, error)
}

// DeviceFilter says which devices are meant, in the words that addresses of pages have.
type DeviceFilter struct {
	Search    string   `query:"q" maxLength:"200" doc:"Every word of it is in the name, the owner, the serial number or another name of the device."`
	State     []string `query:"state,explode" enum:"compliant,pending,in grace,unknown,non-compliant,lost,retired"`
	Site      []string `query:"site,explode" doc:"- is none."`
	Group     []string `query:"group,explode" doc:"- is none."`
	Platform  []string `query:"platform,explode" enum:"ios,macos,android,windows,linux"`
	Ownership string   `query:"ownership" doc:"corporate or personal; left out: either."`
	OS        string   `query:"os" doc:"A version or the beginning of one; old: below what the policy asks for."`
	Finding   []string `query:"finding,explode" doc:"Codes: devices with at least one of them."`
	App       string   `query:"app" doc:"Slug of a messaging app that is on it."`
	Blocked   bool     `query:"blocked" doc:"A blocked app is on it; with app, that one."`
	Approved  string   `query:"approved" doc:"ready or not-ready: the approved apps that it should have."`
	NotSeen   int      `query:"not_seen" minimum:"0" maximum:"3660" doc:"Not heard from for at least so many days."`
	Enrolled  bool     `query:"enrolled" doc:"Leaves out devices that are retired or never enrolled."`
	AsOf      string   `query:"as_of" doc:"What was known then: a time, or a day, which means its end. Left out: now."`
}

// filter reads it as a page reads its address.
func (d DeviceFilter) filter(ctx context.Context) (estate.Filter, error) {
	q := url.Values{
		"q": {d.Search}, "state": d.State, "site": d.Site, "group": d.Group, "platform": d.Platform, "ownership": {d.Ownership}, "os": {d.OS}, "finding": d.Finding,
		"app": {d.App}, "approved": {d.Approved}, "not_seen": {strconv.Itoa(d.NotSeen)}, "as_of": {d.AsOf},
		"blocked": {strconv.FormatBool(d.Blocked)}, "enrolled": {strconv.FormatBool(d.Enrolled)},
	}
	f, err := estate.ParseFilter(q)
	f.Scope = ward.ActorFrom(ctx).Scope
	return f, err
}

type listDevicesInput struct {
	Paging
	DeviceFilter
}

// listDevices lists devices in the order of their ids, so that none is passed over or told
// twice where states change between one page and the next.
func (s *server) listDevices(ctx context.Context, in *listDevicesInput) (*reply[List[Device]], error) {
	f, err := in.filter(ctx)
	if err != nil {
		return nil, err
	}
	var snap *estate.Snapshot
	if f.AsOf.IsZero() {
		snap, err = s.Estate.Current(ctx)
	} else {
		snap, err = s.Estate.At(ctx, f.AsOf)
	}
	if err != nil {
		return nil, err
	}
	meant := slices.Clone(snap.Match(f))
	slices.SortFunc(meant, func(a, b *estate.Device) int { return strings.Compare(string(a.ID), string(b.ID)) })
	from, found := slices.BinarySearchFunc(meant, ward.DeviceID(in.After), func(d *estate.Device, id ward.DeviceID) int { return strings.Compare(string(d.ID), string(id)) })
	if found {
		from++
	}
	list := List[Device]{Items: []Device{}}
	for _, d := range meant[from:min(from+in.Limit, len(meant))] {
		shape, err := s.deviceShape(ctx, d)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, shape)
	}
	if from+in.Limit < len(meant) {
		list.Next = string(meant[from+in.Limit-1].ID)
	}
	return answer(list), nil
}

// deviceShape is a device as it was in a snapshot, with what the record has of it now.
func (s *server) deviceShape(ctx context.Context, d *estate.Device) (Device, error) {
	row, err := s.Posture.Row(ctx, d.ID)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return Device{}, err
	}
	out := deviceOf(row) // of one that was deleted since, only what is known of its past
	out.ID, out.Platform, out.OSVersion, out.Ownership, out.Group, out.Site = d.ID, d.Platform, d.OSVersion, d.Ownership, d.Group, d.Site
	out.Supervised, out.State, out.Reason, out.LastSeen = supervised(d.Supervised, d.Supervised), d.State, d.Reason(), when(d.LastSeen)
	out.Findings = shapes(d.Findings, pastFinding)
	return out, nil
}

func pastFinding(f estate.Finding) Finding {
	return Finding{State: f.State, Code: f.Code, Subject: f.Subject, Text: f.Text, Cure: f.Cure, Since: when(f.Since), Until: when(f.Until)}
}

// PostureChange is what a device came to after one change of its posture.
type PostureChange struct {
	Seq        int64            `json:"seq" doc:"Counts the changes of all devices."`
	At         time.Time        `json:"at"`
	Deleted    bool             `json:"deleted,omitempty" doc:"The device was deleted; nothing else is told."`
	State      compliance.State `json:"state,omitempty"`
	Since      *time.Time       `json:"since,omitempty" doc:"Since when it is in this state."`
	Findings   []Finding        `json:"findings" nullable:"false" doc:"The worst first, in words without the particulars of the device."`
	Apps       []string         `json:"apps" nullable:"false" doc:"Slugs of the messaging apps that are on it."`
	OSVersion  string           `json:"os_version,omitempty"`
	Ownership  ward.Ownership   `json:"ownership,omitempty"`
	Group      string           `json:"group,omitempty"`
	Site       string           `json:"site,omitempty"`
	Supervised *bool            `json:"supervised" doc:"null while it was not known."`
	Managed    bool             `json:"managed"`
}

func postureChangeOf(c estate.Change) PostureChange {
	d := c.Device
	return PostureChange{
		Seq: c.Seq, At: c.At.UTC(), Deleted: d.State == "", State: d.State, Since: when(d.Since), Findings: shapes(d.Findings, pastFinding), Apps: slices.Concat([]string{}, d.Apps),
		OSVersion: d.OSVersion, Ownership: d.Ownership, Group: d.Group, Site: d.Site, Supervised: supervised(d.Supervised, d.Supervised), Managed: d.Managed,
	}
}

type postureInput struct {
	DevicePath
	Paging
}

// devicePosture lists the changes of a device's posture.
func (s *server) devicePosture(ctx context.Context, in *postureInput) (*reply[List[PostureChange]], error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	before, err := number(in.After)
	if err != nil {
		return nil, err
	}
	all, err := s.Estate.Changes(ctx, d.ID, before, in.Limit)
	if err != nil {
		return nil, err
	}
	return answer(page(all, in.Limit, func(c estate.Change) string { return strconv.FormatInt(c.Seq, 10) }, postureChangeOf)), nil
}
