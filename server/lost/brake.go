package lost

import (
	"context"
	"errors"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Deed is what the brake counts: one account that locks two thousand phones stops a
// hospital too.
type Deed string

// The deeds that share the brake.
const (
	DeedReport  Deed = "report"
	DeedLock    Deed = "lock"
	DeedUnenrol Deed = "unenrol"
	DeedRevoke  Deed = "revoke"
)

// Limits bound the deeds that need only one person, all kinds counted together.
type Limits struct {
	PerPerson    int           // within Window; 10 if zero
	Installation int           // within Window; 50 if zero
	Window       time.Duration // one hour if zero
}

// Brakes keeps the brake's count.
type Brakes interface {
	// CloseGate makes every other unit of work that counts wait until this one ends.
	CloseGate(ctx context.Context, now time.Time) error
	// Uses counts the deeds since t: the actor's and everybody's.
	Uses(ctx context.Context, actor string, since time.Time) (mine, all int, err error)
	AddUse(ctx context.Context, d Deed, subject, actor string, at time.Time) error
}

// Brake holds back a person, token or process that locks, reports or unenrols more
// than the limits allow. The count is in the database, for every copy of the server.
type Brake struct {
	store interface {
		unit.Unit
		Brakes
	}
	audit  Recorder
	now    func() time.Time
	limits Limits
}

// NewBrake returns a brake.
func NewBrake(store interface {
	unit.Unit
	Brakes
}, audit Recorder, now func() time.Time, l Limits,
) (*Brake, error) {
	if l.PerPerson < 0 || l.Installation < 0 || l.Window < 0 {
		return nil, errors.New("brake: its limits can't be negative")
	}
	if l.PerPerson == 0 {
		l.PerPerson = 10
	}
	if l.Installation == 0 {
		l.Installation = 50
	}
	if l.Window == 0 {
		l.Window = time.Hour
	}
	return &Brake{store, audit, now, l}, nil
}

// Do runs fn in one unit of work with the count of the deed, which it performs on
// subject, a device. Beyond a limit fn does not run, the attempt is audited, and the
// error is of kind Conflict.
func (b *Brake) Do(ctx context.Context, d Deed, subject ward.DeviceID, fn func(ctx context.Context) error) error {
	var held error
	err := b.store.Do(ctx, func(ctx context.Context) error {
		err := b.store.CloseGate(ctx, b.now())
		if err != nil {
			return err
		}
		if held, err = b.take(ctx, d, subject); held != nil || err != nil {
			return err
		}
		return fn(ctx)
	})
	if err != nil {
		return err
	}
	return held
}

// take counts a deed within a unit of work whose gate is closed. held says that a
// limit is reached; the unit is then to commit, for the attempt stands in the audit.
func (b *Brake) take(ctx context.Context, d Deed, subject ward.DeviceID) (held, err error) {
	who, err := actor(ctx)
	if err != nil {
		return nil, err
	}
	key := string(who.Person)
	if key == "" {
		key = string("via " + who.Via)
	}
	now := b.now()
	mine, all, err := b.store.Uses(ctx, key, now.Add(-b.limits.Window))
	if err != nil {
		return nil, err
	}
	switch {
	case mine >= b.limits.PerPerson:
		held = ward.Errorf(ward.Conflict, "The brake holds this: one person may lock, report or unenrol %d devices within %s, and you have. Ask a colleague to do the others, or wait.", b.limits.PerPerson, span(b.limits.Window))
	case all >= b.limits.Installation:
		held = ward.Errorf(ward.Conflict, "The brake holds this: %d devices were locked, reported or unenrolled within %s, the most that is allowed here. If this is not an attack, wait, or have the operator raise the limit.", all, span(b.limits.Window))
	default:
		return nil, b.store.AddUse(ctx, d, string(subject), key, now)
	}
	return held, b.audit.Record(ctx, ActionHeld, string(subject), map[string]string{"deed": string(d), "why": held.Error()})
}

// span says a window in words.
func span(d time.Duration) string {
	if d == time.Hour {
		return "an hour"
	}
	return d.String()
}
