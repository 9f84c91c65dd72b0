package lost

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// deviceLocation is Apple's request type of a location.
const deviceLocation = "DeviceLocation"

// Locations keeps where lost devices were.
type Locations interface {
	// AddLocation keeps a location. It reports false if it has one of that time.
	AddLocation(ctx context.Context, id ward.CaseID, l Location) (bool, error)
	// LastLocation returns the newest location by the device's own time.
	LastLocation(ctx context.Context, id ward.CaseID) (Location, error)
	// DeleteLocations deletes those that were received before t and says how many.
	DeleteLocations(ctx context.Context, before time.Time) (int, error)
}

// SetLocation keeps what a lost device answered, within the unit of work in ctx. A
// location that comes when the case is no longer open is dropped, for then nobody
// may know it; a repeated one changes nothing. Invalid means that the device told
// something that is no place.
func (s *Service) SetLocation(ctx context.Context, id ward.CaseID, l Location) error {
	if err := l.check(); err != nil {
		return err
	}
	if l.Received.IsZero() {
		l.Received = s.Now()
	}
	return s.Store.Do(ctx, func(ctx context.Context) error {
		c, err := s.Store.Case(ctx, id)
		if err != nil {
			return err
		}
		if c.State != Open {
			return s.Audit.Record(ctx, ActionLocationDropped, string(id), map[string]string{"device": string(c.Device)})
		}
		added, err := s.Store.AddLocation(ctx, id, l)
		if err != nil {
			return fmt.Errorf("location of case %s: %w", id, err)
		}
		if !added {
			return nil
		}
		if err := s.note(ctx, id, EventLocated, "The device told where it is"); err != nil {
			return err
		}
		return s.Audit.Record(ctx, ActionLocated, string(id), map[string]string{"device": string(c.Device)})
	})
}

func (l Location) check() error {
	bad := func(v, limit float64) bool { return math.IsNaN(v) || math.Abs(v) > limit }
	if bad(l.Lat, 90) || bad(l.Lon, 180) || bad(l.Accuracy, math.MaxFloat64) || l.At.IsZero() {
		return ward.Errorf(ward.Invalid, "The device did not tell a place and a time.")
	}
	return nil
}

// byPurpose is what a location is taken and looked at for where nobody says more.
const byPurpose = "to find the device"

// ViewLocation returns the last location of a case to a person who wants to find the
// device. Each look is audited, before it is answered. NotFound means that none is kept.
func (s *Service) ViewLocation(ctx context.Context, id ward.CaseID) (Location, error) {
	return s.ViewLocationFor(ctx, id, byPurpose)
}

// ViewLocationFor is ViewLocation for a purpose that the person says, which is kept with
// the case.
func (s *Service) ViewLocationFor(ctx context.Context, id ward.CaseID, purpose string) (l Location, err error) {
	if who := ward.ActorFrom(ctx); who.Person == "" {
		return l, ward.Errorf(ward.Forbidden, "Only a person who has signed in can see where a device is.")
	}
	purpose = strings.TrimSpace(purpose)
	if purpose == "" || len(purpose) > maxWords {
		return l, ward.Errorf(ward.Invalid, "Say in at most %d bytes what the location is needed for.", maxWords)
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		c, err := s.Store.Case(ctx, id)
		if err != nil {
			return err
		}
		if l, err = s.Store.LastLocation(ctx, id); err != nil {
			return err
		}
		if err := s.keep(ctx, id, Event{Kind: EventLooked, Text: "The location was looked at: " + purpose, Purpose: purpose}); err != nil {
			return err
		}
		return s.Audit.Record(ctx, ActionLocationViewed, string(id), map[string]string{
			"device": string(c.Device), "received": l.Received.Format(time.RFC3339), "purpose": purpose,
		})
	})
	if err != nil {
		return Location{}, err
	}
	return l, nil
}

// LookKind says what a Look was.
type LookKind string

// The kinds of looks.
const (
	LookAsked    LookKind = "asked"    // the device was asked where it is
	LookReceived LookKind = "received" // it told
	LookSeen     LookKind = "seen"     // a person saw where it was
)

// Look is one time that the location of a lost device was asked for, told or seen. It
// never holds the place.
type Look struct {
	At      time.Time     `json:"at"`
	Kind    LookKind      `json:"kind"`
	Person  ward.PersonID `json:"person,omitempty"` // empty for Ward and the device
	Name    string        `json:"name"`
	Purpose string        `json:"purpose,omitempty"`
	State   command.State `json:"state,omitempty"` // of LookAsked: where the command stands
}

// History returns each time that a case's location was asked for, told or seen, the
// oldest first. What Ward asked by itself, as the policy says, is among it.
func (s *Service) History(ctx context.Context, id ward.CaseID) ([]Look, error) {
	if _, err := s.Store.Case(ctx, id); err != nil {
		return nil, err
	}
	events, err := s.Store.Events(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("events of case %s: %w", id, err)
	}
	commands, err := s.Store.CaseCommands(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("commands of case %s: %w", id, err)
	}
	return looks(events, commands), nil
}

func looks(events []Event, commands []command.Record) []Look {
	var out []Look
	asked := map[string]Event{}
	for _, e := range events {
		l := Look{At: e.At, Person: e.Person, Name: e.Name, Purpose: e.Purpose}
		switch e.Kind {
		case EventLocateAsked:
			asked[e.Command] = e
			continue
		case EventLocated:
			l.Kind, l.Name = LookReceived, "The device"
		case EventLooked:
			l.Kind = LookSeen
		default:
			continue
		}
		out = append(out, l)
	}
	for _, r := range commands {
		if r.RequestType != deviceLocation {
			continue
		}
		l := Look{At: r.Created, Kind: LookAsked, Person: r.By, Name: "Ward, as the policy says", Purpose: byPurpose, State: r.State}
		if e, ok := asked[r.UUID]; ok {
			l.Name, l.Purpose = e.Name, e.Purpose
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b Look) int { return a.At.Compare(b.At) })
	return out
}

// PurgeLocations deletes the locations received before t, as the retention says, and
// returns how many.
func (s *Service) PurgeLocations(ctx context.Context, before time.Time) (n int, err error) {
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		if n, err = s.Store.DeleteLocations(ctx, before); err != nil || n == 0 {
			return err
		}
		return s.Audit.Record(ctx, ActionLocationsDeleted, "", map[string]string{"before": before.UTC().Format(time.RFC3339), "deleted": strconv.Itoa(n)})
	})
	return n, err
}
