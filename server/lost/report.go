package lost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// maxWords is the longest text of a report in bytes, maxDevices the most devices that
// one report may name.
const (
	maxWords   = 2000
	maxDevices = 100
)

// Report is what is told of missing devices.
type Report struct {
	Devices       []ward.DeviceID
	Kind          Kind // Lost if empty
	LastSeenWhere string
	LastSeenAt    time.Time
	WasUnlocked   Answer
	Note          string

	// What the device shows; the organisation's words where empty.
	Message, Phone, Footnote string
}

// Report opens a case for each device: in one unit of work for each, the device is
// lost, its app certificates are revoked and the commands that lock it are queued. A
// device that has an open case keeps it. The cases come back in the order of the
// devices, also with an error, which then is about the other devices: it is of kind
// Conflict when the brake holds the rest.
func (s *Service) Report(ctx context.Context, r Report) ([]Case, error) {
	if _, err := actor(ctx); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	var cases []Case
	var failed []*ward.Error
	for i, id := range r.Devices {
		c, held, err := s.report(ctx, r, id)
		if err == nil && held == nil {
			cases = append(cases, c)
			continue
		}
		if err == nil {
			err = held
		}
		e, ok := errors.AsType[*ward.Error](err)
		if !ok {
			return cases, fmt.Errorf("report %s: %w", id, err)
		}
		failed = append(failed, e)
		if left := len(r.Devices) - i - 1; held != nil && left > 0 {
			failed = append(failed, ward.Errorf(ward.Conflict, "%d further devices were not looked at.", left))
			break
		}
	}
	return cases, together(len(cases), failed)
}

// together makes one error of those of several devices.
func together(done int, failed []*ward.Error) error {
	switch len(failed) {
	case 0:
		return nil
	case 1:
		return failed[0]
	}
	e := ward.Errorf(failed[len(failed)-1].Kind, "%d devices were reported, others could not be.", done)
	for _, f := range failed {
		e.Details = append(e.Details, f.Message)
	}
	return e
}

func (r *Report) check() error {
	var wrong []string
	if len(r.Devices) == 0 {
		wrong = append(wrong, "Name at least one device.")
	}
	if len(r.Devices) > maxDevices {
		wrong = append(wrong, fmt.Sprintf("The report names %d devices, and one may name %d at most.", len(r.Devices), maxDevices))
	}
	switch r.Kind {
	case "":
		r.Kind = Lost
	case Lost, Stolen:
	default:
		wrong = append(wrong, fmt.Sprintf("A device is lost or stolen, not %q.", string(r.Kind)))
	}
	switch r.WasUnlocked {
	case Unknown, Yes, No:
	default:
		wrong = append(wrong, fmt.Sprintf("Whether it was unlocked is answered yes, no or nothing, not %q.", string(r.WasUnlocked)))
	}
	for _, f := range []struct {
		name string
		text *string
	}{{"place", &r.LastSeenWhere}, {"note", &r.Note}, {"message", &r.Message}, {"telephone number", &r.Phone}, {"footnote", &r.Footnote}} {
		*f.text = strings.TrimSpace(*f.text)
		if len(*f.text) > maxWords {
			wrong = append(wrong, fmt.Sprintf("The %s is too long: %d bytes, %d at most.", f.name, len(*f.text), maxWords))
		}
	}
	switch len(wrong) {
	case 0:
		return nil
	case 1:
		return ward.Errorf(ward.Invalid, "%s", wrong[0])
	}
	return &ward.Error{Kind: ward.Invalid, Message: "The report has mistakes.", Details: wrong}
}

// report opens the case of one device. held says that the brake held it, which is
// committed: the attempt stands in the audit log.
func (s *Service) report(ctx context.Context, r Report, id ward.DeviceID) (c Case, held, err error) {
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		if err := s.Store.CloseGate(ctx, s.Now()); err != nil {
			return err
		}
		d, err := s.Fleet.Device(ctx, id)
		if err != nil {
			return err
		}
		switch c, err = s.Store.OpenCase(ctx, id); {
		case err == nil:
			return s.again(ctx, c)
		case ward.KindOf(err) != ward.NotFound:
			return err
		}
		if held, err = s.Brake.take(ctx, DeedReport, id); held != nil || err != nil {
			return err
		}
		c, err = s.open(ctx, r, d)
		return err
	})
	return c, held, err
}

// again keeps a second report of a device whose case is open.
func (s *Service) again(ctx context.Context, c Case) error {
	if err := s.note(ctx, c.ID, EventReportedAgain, "Reported again; this case was open already"); err != nil {
		return err
	}
	return s.Audit.Record(ctx, ActionLost, string(c.Device), map[string]string{"case": string(c.ID), "again": "true"})
}

// open does all that a report causes, within the unit of work in ctx.
func (s *Service) open(ctx context.Context, r Report, d ward.Device) (Case, error) {
	who := ward.ActorFrom(ctx)
	c := Case{
		ID: s.NewID(), Device: d.ID, Kind: r.Kind, State: Open, ReportedBy: who.Person, ReportedName: who.Name, Reported: s.Now().Truncate(time.Microsecond),
		LastSeenWhere: r.LastSeenWhere, LastSeenAt: r.LastSeenAt, WasUnlocked: r.WasUnlocked, Note: r.Note,
		Message: or(r.Message, s.Message), Phone: or(r.Phone, s.Phone), Footnote: or(r.Footnote, s.Footnote),
	}
	ok, err := s.Store.Add(ctx, c)
	if err != nil {
		return c, fmt.Errorf("open case of %s: %w", d.ID, err)
	}
	if !ok {
		return c, fmt.Errorf("open case of %s: it has one that could not be seen", d.ID)
	}
	if err := s.note(ctx, c.ID, EventReported, "Reported "+string(c.Kind)); err != nil {
		return c, err
	}
	if d.State == ward.Managed {
		if err := s.Fleet.SetDeviceState(ctx, d.ID, ward.Lost); err != nil {
			return c, err
		}
	}
	detail := map[string]string{"case": string(c.ID), "kind": string(c.Kind)}
	serials, err := s.Certificates.RevokeApps(ctx, d.ID, string(c.Kind))
	if err != nil {
		return c, fmt.Errorf("revoke app certificates of %s: %w", d.ID, err)
	}
	if len(serials) > 0 {
		detail["revoked"] = strings.Join(serials, " ")
		unit.AfterCommit(ctx, s.AfterRevoke)
		if err := s.note(ctx, c.ID, EventRevoked, "App certificates revoked: "+strings.Join(serials, ", ")); err != nil {
			return c, err
		}
	}
	if err := s.Audit.Record(ctx, ActionLost, string(d.ID), detail); err != nil {
		return c, err
	}
	if err := s.Planner.Replan(ctx, d.ID); err != nil {
		return c, fmt.Errorf("plan %s: %w", d.ID, err)
	}
	return c, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
