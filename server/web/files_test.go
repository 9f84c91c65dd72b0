package web_test

import (
	"context"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/lost"
)

// files makes files of cases as the composition root does, without a signature, and gives
// one recovery code by the link "used-link".
type files struct {
	w      *world
	device ward.DeviceID // that enrolled by the link
	given  bool
	looks  int // at PINs
}

func (f *files) source(ctx context.Context, id ward.CaseID) (casefile.Source, error) {
	all, err := f.w.lost.File(ctx, id)
	if err != nil {
		return casefile.Source{}, err
	}
	c, d := all.Case, all.Device
	src := casefile.Source{
		MadeAt: f.w.now(), MadeBy: casefile.By{Name: ward.ActorFrom(ctx).Name}, Organisation: "St Example’s Hospital",
		Case: &casefile.Case{
			ID: c.ID, Kind: string(c.Kind), State: string(c.State), Drill: string(c.Drill), Reported: c.Reported, ReportedBy: casefile.By{Person: all.Reporter.Person, Name: all.Reporter.Name},
			Identified: all.Reporter.Identified, LastSeenWhere: c.LastSeenWhere, LastSeen: c.LastSeenAt, WasUnlocked: string(c.WasUnlocked), DataOpen: string(c.DataOpen), Note: c.Note, Aware: c.Aware, Found: c.Found, Closed: c.Closed,
		},
		Device: &casefile.Device{ID: d.ID, Name: d.Name, Serial: d.Serial, Model: d.Model, Platform: string(d.Platform), OSVersion: d.OSVersion, Ownership: string(d.Ownership), Holder: d.Owner, AsOf: d.AsOf},
	}
	for _, x := range all.Commands {
		src.Commands = append(src.Commands, casefile.Command{UUID: x.UUID, Enrolment: x.Enrolment, Device: d.ID, RequestType: x.RequestType, State: string(x.State), Queued: x.Queued, Delivered: x.Delivered, Answered: x.Answered, Error: x.Error, LastSeen: x.LastSeen})
	}
	for _, x := range all.Events {
		src.Timeline = append(src.Timeline, casefile.Event{At: x.At, Kind: string(x.Kind), Text: x.Text, By: casefile.By{Person: x.Person, Name: x.Name}})
	}
	for _, x := range all.Locations {
		src.Locations = append(src.Locations, casefile.Look{At: x.At, By: casefile.By{Name: x.Name}, Deed: string(x.Kind), Purpose: x.Purpose})
	}
	for _, x := range all.Certificates {
		src.Certificates = append(src.Certificates, casefile.Certificate{Serial: x, Revoked: c.Reported})
	}
	a := casefile.Assessment{Level: string(all.Assessment.Level), Reasons: all.Assessment.Reasons, Aware: all.Assessment.Aware, Deadline: all.Assessment.Deadline}
	for _, x := range all.Assessment.Findings {
		a.Facts = append(a.Facts, casefile.Fact{Name: x.Name, Value: x.Text, Known: x.Value != lost.Unknown, Bad: x.Bad, At: x.At})
	}
	src.Assessment = &a
	for _, x := range all.Decisions {
		src.Decisions = append(src.Decisions, casefile.Decision{At: x.At, By: casefile.By{Name: x.Name}, Reportable: x.Reportable, Reasoning: x.Reasoning, Reference: x.Reference})
	}
	return src, nil
}

func (f *files) CaseView(ctx context.Context, id ward.CaseID) (casefile.View, error) {
	src, err := f.source(ctx, id)
	return casefile.NewView(src), err
}

func (f *files) CaseFile(ctx context.Context, id ward.CaseID) (casefile.Pack, error) {
	if _, err := f.source(ctx, id); err != nil {
		return casefile.Pack{}, err
	}
	return casefile.Pack{ID: string(id), JSON: []byte(`{"case":"x"}`), PDF: []byte("%PDF-1.7")}, nil
}

func (f *files) OrderFile(ctx context.Context, id ward.OrderID) (casefile.Pack, error) {
	_, err := f.w.orders.Order(ctx, id)
	return casefile.Pack{ID: string(id), JSON: []byte(`{}`), PDF: []byte("%PDF-1.7"), P7S: []byte{0x30}}, err
}

func (f *files) MacPIN(_ context.Context, id ward.DeviceID) (map[string]string, error) {
	if id != "mac-1" {
		return nil, ward.Errorf(ward.NotFound, "Ward has locked this device with no PIN.")
	}
	f.looks++
	return map[string]string{"lost case": "042137"}, nil
}

func (f *files) RecoverableBy(ctx context.Context, token string) (d ward.Device, ok bool, err error) {
	if token != "used-link" || f.given {
		return d, false, nil
	}
	d, err = f.w.db.Fleet().Device(ctx, f.device)
	return d, err == nil, err
}

func (f *files) RecoveryCodeBy(ctx context.Context, token string) (code string, d ward.Device, err error) {
	d, ok, err := f.RecoverableBy(ctx, token)
	if err != nil || !ok {
		return "", d, ward.Errorf(ward.Forbidden, "This link gives no recovery code any more. IT prints one for you.").Because(err)
	}
	f.given = true
	code, err = f.w.lost.MakeCode(ward.WithActor(ctx, ward.System), d.ID)
	return code, d, err
}
