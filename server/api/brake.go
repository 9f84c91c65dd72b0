package api

import (
	"context"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
)

// BrakeStatus says how full the windows of the brake are, and what it holds.
type BrakeStatus struct {
	Windows []BrakeWindow `json:"windows" nullable:"false"`
	Holds   []BrakeHold   `json:"holds" nullable:"false"`
	Lifted  []BrakeLift   `json:"lifted" nullable:"false" doc:"The kinds whose windows do not count for now."`
}

// BrakeWindow is one window of one kind of deeds, of the whole organisation.
type BrakeWindow struct {
	Kind      brake.Kind `json:"kind" enum:"erase,clear_passcode,remove_management,lock_pin,lock,report,revoke,recovery_code"`
	Words     string     `json:"words" doc:"What people call such deeds."`
	Seconds   int        `json:"seconds" doc:"The length of the window, which ends now."`
	Count     int        `json:"count" doc:"Deeds within it."`
	Most      int        `json:"most" doc:"That it takes, with the devices that there are."`
	PerSite   int        `json:"per_site,omitempty" doc:"Within one site; left out for as many as most."`
	PerPerson int        `json:"per_person,omitempty" doc:"By one person, of deeds that take one; left out for as many as most."`
}

// BrakeHold says that everything of a kind waits until two people release it, one of whom
// had no part in it: an order of the kind release_brake.
type BrakeHold struct {
	Kind     brake.Kind `json:"kind" enum:"erase,clear_passcode,remove_management,lock_pin,lock,report,revoke,recovery_code"`
	Words    string     `json:"words" doc:"What is held, and since when, for people."`
	Since    time.Time  `json:"since"`
	Why      string     `json:"why"`
	Involved []Someone  `json:"involved" nullable:"false" doc:"Who asked for or approved what filled the window, and what was held."`
}

// BrakeLift says until when the windows of a kind do not count.
type BrakeLift struct {
	Kind  brake.Kind `json:"kind" enum:"erase,clear_passcode,remove_management,lock_pin,lock,report,revoke,recovery_code"`
	Until time.Time  `json:"until"`
}

func (s *server) showBrake(ctx context.Context, _ *noInput) (*reply[BrakeStatus], error) {
	meters, err := s.Brake.Meters(ctx)
	if err != nil {
		return nil, err
	}
	holds, err := s.Brake.Holds(ctx)
	if err != nil {
		return nil, err
	}
	ledger, err := s.Brake.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	out := BrakeStatus{Windows: shapes(meters, windowOf), Holds: make([]BrakeHold, len(holds)), Lifted: []BrakeLift{}}
	for i, h := range holds {
		if out.Holds[i], err = s.holdOf(ctx, h); err != nil {
			return nil, err
		}
	}
	now := s.Now()
	for _, k := range brake.Kinds {
		if until, ok := ledger.Lifted(k, now); ok {
			out.Lifted = append(out.Lifted, BrakeLift{Kind: k, Until: until.UTC()})
		}
	}
	return answer(out), nil
}

func windowOf(m brake.Meter) BrakeWindow {
	_, many := brake.Words(m.Kind)
	return BrakeWindow{
		Kind: m.Kind, Words: many, Seconds: int(m.Limit.Window.Seconds()), Count: m.Count, Most: m.Most, PerSite: m.Limit.PerSite, PerPerson: m.Limit.PerPerson,
	}
}

func (s *server) holdOf(ctx context.Context, h brake.Hold) (BrakeHold, error) {
	out := BrakeHold{Kind: h.Kind, Words: h.Words(), Since: h.Since.UTC(), Why: h.Why, Involved: make([]Someone, len(h.Involved))}
	for i, id := range h.Involved {
		who, err := s.someone(ctx, ward.PersonID(id))
		if err != nil {
			return out, err
		}
		out.Involved[i] = who
	}
	return out, nil
}

// someone names who did a deed by what the journal kept: a person's id, or "via …" of what
// is none.
func (s *server) someone(ctx context.Context, id ward.PersonID) (Someone, error) {
	if name, ok := strings.CutPrefix(string(id), via); ok {
		return Someone{Name: name}, nil
	}
	p, err := s.Access.Person(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return Someone{ID: id, Name: string(id)}, nil
	}
	return Someone{ID: id, Name: p.Name}, err
}
