package lost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
)

// maxWords is the longest text of a report in bytes, maxDevices the most devices that
// one report may name.
const (
	maxWords   = 2000
	maxDevices = 100
	maxAhead   = time.Hour // what the clock of a reporter may be ahead
)

// Report is what is told of missing devices.
type Report struct {
	Devices       []ward.DeviceID
	Kind          Kind // Lost if empty
	LastSeenWhere string
	LastSeenAt    time.Time
	WasUnlocked   Answer
	DataOpen      Answer // whether patient data was open
	Note          string
	// Identified says how the reporter was known, such as "help desk: called back on the
	// number of the staff list". Empty becomes BySignIn for somebody who signed in and
	// reports a device of their own, NotRecorded for everybody else.
	Identified string
	Drill      Drill

	// What the device shows; the organisation's words where empty.
	Message, Phone, Footnote string
}

// Report opens a case for each device: in one unit of work for each, the device is
// lost, its app certificates are revoked and the commands that lock it are queued. A
// device that has an open case keeps it. The cases come back in the order of the
// devices, also with an error, which then is about the other devices: it is of kind
// Conflict when the brake holds the rest. Of a dry drill nothing is done: its case says
// what would be.
func (s *Service) Report(ctx context.Context, r Report) ([]Case, error) {
	if _, err := actor(ctx); err != nil {
		return nil, err
	}
	return s.reportAll(ctx, r, s.signedIn)
}

// holder says what the brake is to count a report of a device as, and how who reports it
// is known where they did not say; that may be empty.
type holder func(ctx context.Context, d ward.Device) (e brake.Entry, identified string, err error)

// signedIn is the holder of a device who has signed in by themselves; a report by their
// token may be by a program, and so may one by the token of somebody else.
func (s *Service) signedIn(ctx context.Context, d ward.Device) (e brake.Entry, identified string, err error) {
	who := ward.ActorFrom(ctx)
	e.Person = counts(who)
	if s.People == nil || who.Via != ward.ViaSession || who.Person == "" || d.Email == "" {
		return e, "", nil
	}
	mine, err := s.People.Email(ctx, who.Person)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return e, "", fmt.Errorf("address of %s: %w", who.Person, err)
	}
	if strings.EqualFold(strings.TrimSpace(mine), strings.TrimSpace(d.Email)) {
		e.Note, identified = brake.Self, BySignIn
	}
	return e, identified, nil
}

func (s *Service) reportAll(ctx context.Context, r Report, by holder) ([]Case, error) {
	if err := r.check(s.Now()); err != nil {
		return nil, err
	}
	var cases []Case
	var failed []*ward.Error
	for i, id := range r.Devices {
		c, held, err := s.report(ctx, r, id, by)
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

func (r *Report) check(now time.Time) error {
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
	for _, q := range []struct {
		about  string
		answer Answer
	}{{"it was unlocked", r.WasUnlocked}, {"patient data was open", r.DataOpen}} {
		if q.answer != Unknown && q.answer != Yes && q.answer != No {
			wrong = append(wrong, fmt.Sprintf("Whether %s is answered yes, no or nothing, not %q.", q.about, string(q.answer)))
		}
	}
	if r.Drill != Real && r.Drill != Dry && r.Drill != Live {
		wrong = append(wrong, fmt.Sprintf("A drill is dry or live, not %q.", string(r.Drill)))
	}
	if r.LastSeenAt.After(now.Add(maxAhead)) {
		wrong = append(wrong, "The device can't have been last seen at a time to come.")
	}
	for _, f := range []struct {
		name string
		text *string
	}{{"place", &r.LastSeenWhere}, {"note", &r.Note}, {"note of how the reporter is known", &r.Identified}, {"message", &r.Message}, {"telephone number", &r.Phone}, {"footnote", &r.Footnote}} {
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
