package lost

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
)

// Counted runs fn in one unit of work with the brake's count of a deed of kind k, which
// one person performs on subject, a device, which may be empty. What the brake holds is
// not done: the attempt is audited, and the error is of kind Conflict and says what to do.
// While the brake's journal is not as it was written, a report or a lock is done uncounted,
// within uncountedByOne; of any other kind the error is Unavailable.
func (s *Service) Counted(ctx context.Context, k brake.Kind, subject ward.DeviceID, fn func(ctx context.Context) error) error {
	var held error
	err := s.Store.Do(ctx, func(ctx context.Context) error {
		held = nil
		if err := s.closeGate(ctx); err != nil {
			return err
		}
		who, err := actor(ctx)
		if err != nil {
			return err
		}
		e := brake.Entry{Kind: k, Device: subject, Person: counts(who)}
		if subject != "" {
			d, err := s.Fleet.Device(ctx, subject)
			if err != nil && ward.KindOf(err) != ward.NotFound {
				return err
			}
			e.Site = d.Site
		}
		if _, held, err = s.take(ctx, e); held != nil || err != nil {
			return err
		}
		return fn(ctx)
	})
	if err != nil {
		return err
	}
	return held
}

// counts returns the name under which the brake counts an actor.
func counts(a ward.Actor) string {
	if a.Person != "" {
		return string(a.Person)
	}
	return "via " + string(a.Via)
}

// closeGate closes the gate. That it is gone is for take to find, which knows what to do.
func (s *Service) closeGate(ctx context.Context) error {
	if err := s.Store.CloseGate(ctx, s.Now()); !errors.Is(err, brake.ErrTampered) {
		return err
	}
	return nil
}

// take counts a deed within a unit of work whose gate is closed. held says that the brake
// holds it; the unit is then to commit, for the hold and the attempt stand in its records. A
// deed that is not counted, see uncounted, goes on like one that is.
func (s *Service) take(ctx context.Context, e brake.Entry) (counted bool, held, err error) {
	e.Event, e.At = brake.Used, s.Now()
	hold, err := s.Brake.Take(ctx, e)
	refused, ok := errors.AsType[*ward.Error](err)
	switch {
	case ok && refused.Kind == ward.Conflict:
		held = refused
	case errors.Is(err, brake.ErrTampered):
		held, err = s.uncounted(ctx, e, err)
	case err == nil && hold != nil:
		held = ward.Errorf(ward.Conflict, "The brake holds this: %s", hold.Words())
	case err == nil:
		return true, nil, nil
	}
	if held == nil {
		return false, nil, err
	}
	return false, held, s.Audit.Record(ctx, ActionHeld, string(e.Device), map[string]string{"deed": string(e.Kind), "why": held.Error()})
}

// uncountedByOne is how many reports, and how many locks, of one person go on within an hour
// of the clock while the brake's journal is not as it was written.
const uncountedByOne = 10

// uncounted lets a report or a lock go on though the brake can't count it: else whoever
// changes the journal keeps everybody from saying that a phone is lost. It is counted as well
// as can be, in a table that whoever changed the journal may change too, and it is audited.
// Anything else has to wait for the operator.
func (s *Service) uncounted(ctx context.Context, e brake.Entry, why error) (held, err error) {
	if e.Kind != brake.Report && e.Kind != brake.Lock {
		_, many := brake.Words(e.Kind)
		return nil, ward.Errorf(ward.Unavailable, "The brake can't count this, so all %s have to wait. A lost device can still be reported and locked. %s", many, words(why)).Because(brake.ErrTampered)
	}
	const slots = int64(time.Hour / triesTime)
	n, err := s.Store.AddTries(ctx, hashed("ward uncounted 1", string(e.Kind), e.Person), s.slot()/slots*slots, 1)
	if err != nil {
		return nil, err
	}
	if n > uncountedByOne {
		_, many := brake.Words(e.Kind)
		return ward.Errorf(ward.Conflict, "The brake holds this: its journal was changed, so it can't count, and until that is settled one person may do %d %s within an hour of the clock. You have. Ask a colleague to do the others, or wait.", uncountedByOne, many), nil
	}
	detail := map[string]string{"deed": string(e.Kind), "person": e.Person, "within_the_hour": strconv.Itoa(n), "why": "the brake could not count it: its journal was changed"}
	if e.Hash != "" {
		detail["case"] = e.Hash
	}
	return nil, s.Audit.Record(ctx, ActionUncounted, string(e.Device), detail)
}

// words returns what an error says to people.
func words(err error) string {
	if e, ok := errors.AsType[*ward.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

// The steps of a case whose report the brake could not count, and of one that it has counted
// since.
const (
	stepUncounted = "uncounted"
	stepCounted   = "counted since"
)

// openedUncounted keeps with a case that its report stands in no journal: once that is settled
// nothing of the case reaches the device until somebody reports it again.
func (s *Service) openedUncounted(ctx context.Context, c Case) error {
	if _, err := s.Store.Once(ctx, c.ID, stepUncounted, s.Now()); err != nil {
		return fmt.Errorf("case %s: %w", c.ID, err)
	}
	return s.note(ctx, c.ID, EventReported, "The brake could not count this report, for its journal was changed. Once the operator has settled that, report the device again: until then what locks it may be held back")
}

// countSince counts the report of a case that could not be counted before, now that use
// reports it again, and has what locks the device planned anew. Of any other case it does
// nothing.
func (s *Service) countSince(ctx context.Context, c Case, use brake.Entry) (held, err error) {
	steps, err := s.Store.Steps(ctx, c.ID)
	if err != nil {
		return nil, fmt.Errorf("steps of case %s: %w", c.ID, err)
	}
	if steps[stepUncounted].IsZero() || !steps[stepCounted].IsZero() {
		return nil, nil
	}
	counted, held, err := s.take(ctx, use)
	if !counted {
		return held, err
	}
	if _, err := s.Store.Once(ctx, c.ID, stepCounted, s.Now()); err != nil {
		return nil, fmt.Errorf("case %s: %w", c.ID, err)
	}
	if err := s.note(ctx, c.ID, EventReportedAgain, "The brake has counted the report now"); err != nil {
		return nil, err
	}
	if err := s.Planner.Replan(ctx, c.Device); err != nil {
		return nil, fmt.Errorf("plan %s: %w", c.Device, err)
	}
	return nil, nil
}
