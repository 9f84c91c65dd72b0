package lost

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/notify"
)

// Found ends the search: the device is managed again, orders of the case that no
// device holds are taken back, and planning undoes lost mode and gives the device
// new app credentials. The people on call are told. One person is enough, within the brake,
// which counts it as a lock: what unlocks many stolen devices is as grave as what locks them.
// Only an open case can be found; Conflict says otherwise, or that the brake holds it.
func (s *Service) Found(ctx context.Context, id ward.CaseID, note string) (Case, error) {
	if _, err := actor(ctx); err != nil {
		return Case{}, err
	}
	note = strings.TrimSpace(note)
	if len(note) > maxWords {
		return Case{}, ward.Errorf(ward.Invalid, "The note is too long: %d bytes, %d at most.", len(note), maxWords)
	}
	text := "Found"
	if note != "" {
		text += ": " + note
	}
	var held error
	err := s.Store.Do(ctx, func(ctx context.Context) error {
		held = nil
		if err := s.closeGate(ctx); err != nil {
			return err
		}
		c, err := s.Store.Case(ctx, id)
		if err != nil {
			return err
		}
		if held, err = s.countFound(ctx, c); held != nil || err != nil {
			return err
		}
		return s.found(ctx, c, text)
	})
	if err == nil {
		err = held
	}
	if err != nil {
		return Case{}, err
	}
	return s.Store.Case(ctx, id)
}

// countFound has the brake count that a device is said to be found. The holder of the device,
// who signed in, is not counted for the organisation, as in a report; what unlocks nothing is
// not counted at all.
func (s *Service) countFound(ctx context.Context, c Case) (held, err error) {
	if c.State != Open {
		return nil, nil
	}
	d, err := s.Fleet.Device(ctx, c.Device)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return nil, err
	}
	use, _, err := s.signedIn(ctx, d)
	if err != nil {
		return nil, err
	}
	use.Kind, use.Device, use.Site = brake.Lock, c.Device, d.Site
	_, held, err = s.take(ctx, use)
	return held, err
}

// tellFound tells the people on call that a case's device was found: by whom, or how Ward
// itself knows. The note of a person may hold a place, and is not told.
func (s *Service) tellFound(ctx context.Context, c Case, text string, cancelled int) error {
	how := text + "."
	if who := ward.ActorFrom(ctx); who.Via != ward.ViaSystem {
		how = or(who.Name, string(who.Person)) + " says that it was found. If nobody of yours has it in their hands, report it again at once."
	}
	switch cancelled {
	case 0:
	case 1:
		how += " One order of the case was taken back."
	default:
		how += fmt.Sprintf(" %d orders of the case were taken back.", cancelled)
	}
	return s.tell(ctx, c, notify.Message{
		Topic: notify.CaseFound, Urgent: c.Kind == Stolen, Subject: "A device that was reported " + string(c.Kind) + " is said to be found",
		Body: fmt.Sprintf("A device was reported %s at %s. %s What locks it is undone when it next connects, and its apps get certificates anew.", c.Kind, stamp(c.Reported), how),
	})
}

// unsend takes back what the case asked of its device and the device has not fetched: a phone
// that was off all the time is not to go into lost mode after it was found.
func (s *Service) unsend(ctx context.Context, c Case) error {
	e, err := s.Fleet.Current(ctx, c.Device)
	if ward.KindOf(err) == ward.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.Queue.CancelOpen(ctx, e.ID, "the device was found", func(r command.Record) bool {
		return r.Case == c.ID && r.Order == "" && (r.State == command.Waiting || r.State == command.Held)
	})
	if err != nil {
		return fmt.Errorf("commands of case %s: %w", c.ID, err)
	}
	return nil
}

func (s *Service) found(ctx context.Context, c Case, text string) error {
	from := Open
	if c.Drill == Dry {
		from = Rehearsal
	}
	ok, err := s.Store.Move(ctx, c.ID, from, Found, s.Now())
	if err != nil {
		return fmt.Errorf("case %s found: %w", c.ID, err)
	}
	if !ok {
		return ward.Errorf(ward.Conflict, "This case is no longer open.")
	}
	if c.Drill == Dry {
		return s.foundInRehearsal(ctx, c, text)
	}
	cancelled, err := s.Orders.CancelCase(ctx, c.ID, "the device was found")
	if err != nil {
		return fmt.Errorf("cancel orders of case %s: %w", c.ID, err)
	}
	if err := s.unsend(ctx, c); err != nil {
		return err
	}
	if err := s.note(ctx, c.ID, EventFound, text); err != nil {
		return err
	}
	if err := s.Audit.Record(ctx, ActionFound, string(c.Device), map[string]string{"case": string(c.ID), "orders_cancelled": strconv.Itoa(cancelled)}); err != nil {
		return err
	}
	if err := s.restore(ctx, c.Device); err != nil {
		return err
	}
	if err := s.Planner.Replan(ctx, c.Device); err != nil {
		return fmt.Errorf("plan %s: %w", c.Device, err)
	}
	return s.tellFound(ctx, c, text, cancelled)
}

// restore gives a device that was lost the state that its enrolment says.
func (s *Service) restore(ctx context.Context, id ward.DeviceID) error {
	d, err := s.Fleet.Device(ctx, id)
	if err != nil || d.State != ward.Lost {
		return err
	}
	state := ward.Managed
	_, err = s.Fleet.Current(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		state = ward.Unenrolled
	} else if err != nil {
		return err
	}
	return s.Fleet.SetDeviceState(ctx, id, state)
}

// Close puts a case away: one whose device was found, or one whose device is beyond
// reach because it was erased or has left management. Conflict means that closing it
// would give up a device that can still be locked, or that nobody has decided yet whether
// the loss must be reported; a drill needs no decision, and a dry one can be closed at any
// time.
func (s *Service) Close(ctx context.Context, id ward.CaseID, note string) (Case, error) {
	if _, err := actor(ctx); err != nil {
		return Case{}, err
	}
	note = strings.TrimSpace(note)
	if note == "" || len(note) > maxWords {
		return Case{}, ward.Errorf(ward.Invalid, "Say in at most %d bytes why the case is closed.", maxWords)
	}
	err := s.Store.Do(ctx, func(ctx context.Context) error {
		c, err := s.Store.Case(ctx, id)
		if err != nil {
			return err
		}
		if err := s.closable(ctx, c); err != nil {
			return err
		}
		ok, err := s.Store.Move(ctx, id, c.State, Closed, s.Now())
		if err != nil {
			return fmt.Errorf("close case %s: %w", id, err)
		}
		if !ok {
			return closedAlready()
		}
		if c.Drill != Dry {
			if _, err := s.Orders.CancelCase(ctx, id, "the case was closed"); err != nil {
				return fmt.Errorf("cancel orders of case %s: %w", id, err)
			}
		}
		if err := s.note(ctx, id, EventClosed, "Closed: "+note); err != nil {
			return err
		}
		return s.Audit.Record(ctx, ActionClosed, string(id), map[string]string{"device": string(c.Device), "note": note})
	})
	if err != nil {
		return Case{}, err
	}
	return s.Store.Case(ctx, id)
}

func closedAlready() error { return ward.Errorf(ward.Conflict, "This case is closed already.") }

// closable returns a Conflict that says why a case can't be closed.
func (s *Service) closable(ctx context.Context, c Case) error {
	if c.State == Closed {
		return closedAlready()
	}
	if c.State == Open {
		d, err := s.Fleet.Device(ctx, c.Device)
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return err
		}
		if d.State == ward.Lost || d.State == ward.Managed {
			return ward.Errorf(ward.Conflict, "This device can still be reached, and closing its case would unlock it. Say that it was found, or have it erased first.")
		}
	}
	return s.decided(ctx, c)
}

// Enrolled is told that an enrolment has begun, within its unit of work. If its device had
// accepted an erase in its open case, it has come back fresh and the case is over, provided
// that it comes by another identity: an erase takes the key with it, so one that still has it
// was not erased. Without an erase, too, it stays lost, and the new enrolment is locked like
// the old.
func (s *Service) Enrolled(ctx context.Context, e ward.Enrolment) error {
	return s.Store.Do(ctx, func(ctx context.Context) error {
		c, err := s.Store.OpenCase(ctx, e.Device)
		if ward.KindOf(err) == ward.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		commands, err := s.Store.CaseCommands(ctx, c.ID)
		if err != nil {
			return fmt.Errorf("commands of case %s: %w", c.ID, err)
		}
		ctx = ward.WithActor(ctx, ward.System)
		accepted := false
		for _, r := range commands {
			if r.RequestType != eraseDevice || r.State != command.Accepted {
				continue
			}
			accepted = true
			afresh, err := s.Fleet.Afresh(ctx, e.ID, r.Enrolment)
			if err != nil {
				return err
			}
			if afresh {
				return s.found(ctx, c, "It has come back fresh: it was erased and has enrolled anew")
			}
		}
		if err := s.Fleet.SetDeviceState(ctx, e.Device, ward.Lost); err != nil || !accepted {
			return err
		}
		if err := s.note(ctx, c.ID, EventNotErased, "It accepted an erase and came back with the same identity: it was not erased"); err != nil {
			return err
		}
		return s.Audit.Record(ctx, ActionNotErased, string(e.Device), map[string]string{"case": string(c.ID), "enrolment": string(e.ID)})
	})
}
