package lost

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// Decision says whether a loss must be reported to the Information Commissioner. It is
// never changed: a later one counts in its place, and both stand.
type Decision struct {
	Reportable bool   `json:"reportable"`
	Reasoning  string `json:"reasoning"`           // needed
	Reference  string `json:"reference,omitempty"` // of the Commissioner, or of the incident
	Link       string `json:"link,omitempty"`      // https, into the incident system

	// Set by Decide:
	At       time.Time     `json:"at"`
	Person   ward.PersonID `json:"person"`
	Name     string        `json:"name"`
	Assessed Assessment    `json:"assessed"` // what the assessment said at that time
}

// Assessments keeps what was known of devices, and what was decided.
type Assessments interface {
	SaveSnapshot(ctx context.Context, id ward.CaseID, s Snapshot) error
	// Snapshot returns NotFound for a case from before there were any.
	Snapshot(ctx context.Context, id ward.CaseID) (Snapshot, error)
	SetAware(ctx context.Context, id ward.CaseID, at time.Time) error
	AddDecision(ctx context.Context, id ward.CaseID, d Decision) error
	// Decisions returns the decisions of a case, the oldest first.
	Decisions(ctx context.Context, id ward.CaseID) ([]Decision, error)
	// Undecided returns the cases that are no drills and not closed, and of which nothing
	// was decided.
	Undecided(ctx context.Context) ([]Case, error)
	// Unescalated returns the open cases that have not taken the step to propose an erase.
	Unescalated(ctx context.Context) ([]Case, error)
}

const maxReference = 200

// Decide keeps a person's decision on a case, with the assessment as it is now. Only a
// person decides: neither the console nor Ward. A drill can be decided too, for practice.
// Conflict means that the case is closed.
func (s *Service) Decide(ctx context.Context, id ward.CaseID, d Decision) (Decision, error) {
	who := ward.ActorFrom(ctx)
	if who.Person == "" {
		return d, ward.Errorf(ward.Forbidden, "Only a person who has signed in can do this.")
	}
	if err := d.check(); err != nil {
		return d, err
	}
	d.At, d.Person, d.Name = s.Now().Truncate(time.Microsecond), who.Person, who.Name
	err := s.Store.Do(ctx, func(ctx context.Context) error {
		c, err := s.Store.Case(ctx, id)
		if err != nil {
			return err
		}
		if c.State == Closed {
			return ward.Errorf(ward.Conflict, "This case is closed.")
		}
		if d.Assessed, err = s.assess(ctx, c); err != nil {
			return err
		}
		if err := s.Store.AddDecision(ctx, id, d); err != nil {
			return fmt.Errorf("decide on case %s: %w", id, err)
		}
		if err := s.note(ctx, id, EventDecided, d.words()); err != nil {
			return err
		}
		return s.Audit.Record(ctx, ActionDecided, string(id), map[string]string{
			"device": string(c.Device), "reportable": strconv.FormatBool(d.Reportable), "reasoning": d.Reasoning, "reference": d.Reference, "link": d.Link,
			"level": string(d.Assessed.Level),
		})
	})
	return d, err
}

func (d *Decision) check() error {
	d.Reasoning, d.Reference, d.Link = strings.TrimSpace(d.Reasoning), strings.TrimSpace(d.Reference), strings.TrimSpace(d.Link)
	if d.Reasoning == "" || len(d.Reasoning) > maxWords {
		return ward.Errorf(ward.Invalid, "Give the reasons for the decision, in at most %d bytes.", maxWords)
	}
	if len(d.Reference) > maxReference || len(d.Link) > maxWords {
		return ward.Errorf(ward.Invalid, "The reference may have %d bytes, the link %d.", maxReference, maxWords)
	}
	if d.Link == "" {
		return nil
	}
	if u, err := url.Parse(d.Link); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return ward.Errorf(ward.Invalid, "The link to the incident must be an address that begins with https://.")
	}
	return nil
}

func (d Decision) words() string {
	w := "Decided: not reportable. "
	if d.Reportable {
		w = "Decided: reportable to the Information Commissioner. "
	}
	w += d.Reasoning
	if d.Reference != "" {
		w += " Reference: " + d.Reference
	}
	return w
}

// decided returns a Conflict if a real case has no decision yet.
func (s *Service) decided(ctx context.Context, c Case) error {
	if c.Drill != Real {
		return nil
	}
	ds, err := s.Store.Decisions(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("decisions on case %s: %w", c.ID, err)
	}
	if len(ds) == 0 {
		return ward.Errorf(ward.Conflict, "Decide first whether this loss must be reported to the Information Commissioner. The case can be closed then.")
	}
	return nil
}
