package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
)

// Told is what one answer of a device told.
type Told struct {
	Facts       []fleet.Fact
	Information *Information // also among Facts
	Location    *Location
	// Cards are the SIM cards and plans that the device told, nil if it told nothing of them.
	// They are kept as marks alone.
	Cards []Card
}

// Location is where a lost phone said it was.
type Location struct {
	Latitude, Longitude float64 // degrees
	Accuracy            float64 // metres, horizontal
	At                  time.Time
}

// Answered takes in the answer to a command, within the unit of work that records it:
// it keeps the facts and plans what follows. known is false for an answer to a command
// that was not open, which tells nothing new.
func (l *Loop) Answered(ctx context.Context, e ward.Enrolment, r command.Record, known bool, told Told) error {
	if !known {
		return nil
	}
	told, err := l.signs(ctx, e, r, told)
	if err != nil {
		return err
	}
	for _, f := range told.Facts {
		if err := l.Fleet.SetFact(ctx, e.ID, f); err != nil {
			return err
		}
	}
	changed, err := l.describe(ctx, e, told.Information)
	if err != nil || e.Device == "" || (r.StepKey == "" && !changed && !judges(told)) {
		return err
	}
	return l.Replan(ctx, e.Device)
}

// judges reports whether what was told without being a step of the loop may show that
// something is otherwise than it should be, as when a person asked for news.
func judges(told Told) bool {
	return slices.ContainsFunc(told.Facts, func(f fleet.Fact) bool {
		return f.Kind == fleet.Apps || f.Kind == fleet.ManagedApps || f.Kind == fleet.Profiles || f.Kind == fleet.Security
	})
}

// describe keeps what device information says of the device itself, and reports
// whether something changed that decides what the device should have.
func (l *Loop) describe(ctx context.Context, e ward.Enrolment, i *Information) (changed bool, err error) {
	if i == nil {
		return false, nil
	}
	if i.Supervised != nil {
		s := ward.Unsupervised
		if *i.Supervised {
			s = ward.Supervised
		}
		if s != e.Supervised {
			changed = true
			if err := l.Fleet.SetSupervised(ctx, e.ID, s); err != nil {
				return false, err
			}
		}
	}
	if e.Device == "" {
		return changed, nil
	}
	d, err := l.Fleet.Device(ctx, e.Device)
	if err != nil {
		return changed, err
	}
	was := d
	if i.OSVersion != "" {
		d.OSVersion = i.OSVersion
	}
	if i.Model != "" {
		d.Model = i.Model
	}
	if d == was {
		return changed, nil
	}
	return true, l.Fleet.UpdateDevice(ctx, d)
}
