package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/lost"
)

// CloseGate meets lost.Store: the gate's row stays locked until the unit of work ends. On
// SQLite the one writer is gate enough, and the row costs nothing.
func (s Cases) CloseGate(ctx context.Context, now time.Time) error {
	n, err := s.exec(ctx, `UPDATE brake_gate SET used_at = $1 WHERE id = 1`, micros(now))
	if err == nil && n != 1 {
		return fmt.Errorf("%w: its gate, row 1 of brake_gate, is missing from the database", brake.ErrTampered)
	}
	return err
}

// eventDetail is what only some events tell.
type eventDetail struct {
	Command string       `json:"command,omitempty"`
	Purpose string       `json:"purpose,omitempty"`
	Serials []string     `json:"serials,omitempty"`
	Order   ward.OrderID `json:"order,omitempty"`
}

// AddEvent meets lost.Store.
func (s Cases) AddEvent(ctx context.Context, id ward.CaseID, e lost.Event) error {
	detail, err := json.Marshal(eventDetail{e.Command, e.Purpose, e.Serials, e.Order})
	if err != nil {
		return fmt.Errorf("event of case %s: %w", id, err)
	}
	_, err = s.exec(ctx, `INSERT INTO case_event (case_id, kind, text, person, name, at, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		string(id), string(e.Kind), e.Text, string(e.Person), e.Name, micros(e.At), string(detail))
	return err
}

// Events meets lost.Store, in the order in which they were kept.
func (s Cases) Events(ctx context.Context, id ward.CaseID) ([]lost.Event, error) {
	rows, err := s.query(ctx, `SELECT kind, text, person, name, at, detail FROM case_event WHERE case_id = $1 ORDER BY seq`, string(id))
	return scanAll(rows, err, func(r scanner) (e lost.Event, err error) {
		var at int64
		var detail string
		if err = r.Scan(&e.Kind, &e.Text, &e.Person, &e.Name, &at, &detail); err != nil {
			return e, err
		}
		e.At = fromMicros(at)
		var d eventDetail
		if err := unpack(detail, &d); err != nil {
			return e, fmt.Errorf("event of case %s: %w", id, err)
		}
		e.Command, e.Purpose, e.Serials, e.Order = d.Command, d.Purpose, d.Serials, d.Order
		return e, nil
	})
}

// unpack reads JSON from a column; an empty one leaves v as it is.
func unpack(text string, v any) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), v)
}

// Once meets lost.Store.
func (s Cases) Once(ctx context.Context, id ward.CaseID, step string, at time.Time) (bool, error) {
	n, err := s.exec(ctx, `INSERT INTO case_step (case_id, step, at) VALUES ($1, $2, $3) ON CONFLICT (case_id, step) DO NOTHING`, string(id), step, micros(at))
	return n > 0, err
}

// Steps meets lost.Store.
func (s Cases) Steps(ctx context.Context, id ward.CaseID) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	rows, err := s.query(ctx, `SELECT step, at FROM case_step WHERE case_id = $1`, string(id))
	_, err = scanAll(rows, err, func(r scanner) (struct{}, error) {
		var step string
		var at int64
		err := r.Scan(&step, &at)
		out[step] = fromMicros(at)
		return struct{}{}, err
	})
	return out, err
}

// SetReal meets lost.Store.
func (s Cases) SetReal(ctx context.Context, id ward.CaseID, t time.Time) error {
	n, err := s.exec(ctx, `UPDATE lost_case SET drill = '', aware_at = $2 WHERE id = $1 AND state = 'open'`, string(id), micros(t))
	if err == nil && n != 1 {
		return ward.Errorf(ward.NotFound, "There is no open case %s.", id)
	}
	return err
}

// Learn meets lost.Store.
func (s Cases) Learn(ctx context.Context, c lost.Case) error {
	return s.Do(ctx, func(ctx context.Context) error {
		_, err := s.exec(ctx, `UPDATE lost_case SET kind = $2, was_unlocked = $3, data_open = $4, seen_where = $5, seen_at = $6 WHERE id = $1 AND state = 'open'`,
			string(c.ID), string(c.Kind), string(c.WasUnlocked), string(c.DataOpen), c.LastSeenWhere, micros(c.LastSeenAt))
		if err != nil {
			return err
		}
		return s.markCase(ctx, c.ID)
	})
}

// SaveSnapshot meets lost.Assessments.
func (s Cases) SaveSnapshot(ctx context.Context, id ward.CaseID, then lost.Snapshot) error {
	text, err := json.Marshal(then)
	if err != nil {
		return fmt.Errorf("snapshot of case %s: %w", id, err)
	}
	return s.ofCase(ctx, id, `UPDATE lost_case SET snapshot = $2 WHERE id = $1`, string(text))
}

// Snapshot meets lost.Assessments.
func (s Cases) Snapshot(ctx context.Context, id ward.CaseID) (then lost.Snapshot, err error) {
	var text string
	if err = s.row(ctx, `SELECT snapshot FROM lost_case WHERE id = $1 AND snapshot <> ''`, string(id)).Scan(&text); err != nil {
		return then, missing(err, "What was known of the device of case %s is not kept.", id)
	}
	if err := unpack(text, &then); err != nil {
		return then, fmt.Errorf("snapshot of case %s: %w", id, err)
	}
	return then, nil
}

// SetAware meets lost.Assessments.
func (s Cases) SetAware(ctx context.Context, id ward.CaseID, at time.Time) error {
	return s.ofCase(ctx, id, `UPDATE lost_case SET aware_at = $2 WHERE id = $1`, micros(at))
}

func (s Cases) ofCase(ctx context.Context, id ward.CaseID, query string, v any) error {
	n, err := s.exec(ctx, query, string(id), v)
	if err == nil && n != 1 {
		return ward.Errorf(ward.NotFound, "There is no case %s.", id)
	}
	return err
}

// AddDecision meets lost.Assessments.
func (s Cases) AddDecision(ctx context.Context, id ward.CaseID, d lost.Decision) error {
	assessed, err := json.Marshal(d.Assessed)
	if err != nil {
		return fmt.Errorf("decision on case %s: %w", id, err)
	}
	_, err = s.exec(ctx, `INSERT INTO case_decision (case_id, reportable, reasoning, reference, link, person, name, at, assessed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		string(id), d.Reportable, d.Reasoning, d.Reference, d.Link, string(d.Person), d.Name, micros(d.At), string(assessed))
	return err
}

// Decisions meets lost.Assessments.
func (s Cases) Decisions(ctx context.Context, id ward.CaseID) ([]lost.Decision, error) {
	rows, err := s.query(ctx, `SELECT reportable, reasoning, reference, link, person, name, at, assessed FROM case_decision WHERE case_id = $1 ORDER BY seq`, string(id))
	return scanAll(rows, err, func(r scanner) (d lost.Decision, err error) {
		var at int64
		var assessed string
		if err = r.Scan(&d.Reportable, &d.Reasoning, &d.Reference, &d.Link, &d.Person, &d.Name, &at, &assessed); err != nil {
			return d, err
		}
		d.At = fromMicros(at)
		if err := unpack(assessed, &d.Assessed); err != nil {
			return d, fmt.Errorf("decision on case %s: %w", id, err)
		}
		return d, nil
	})
}

const (
	undecided = caseRead + ` WHERE state <> 'closed' AND drill = '' AND NOT EXISTS (SELECT 1 FROM case_decision d WHERE d.case_id = lost_case.id) ORDER BY seq`
	// unescalated names the step as lost does; that it is not closed is for the index.
	unescalated = caseRead + ` WHERE state <> 'closed' AND state = 'open' AND NOT EXISTS (SELECT 1 FROM case_step s WHERE s.case_id = lost_case.id AND s.step = 'propose') ORDER BY seq`
)

// Undecided meets lost.Assessments.
func (s Cases) Undecided(ctx context.Context) ([]lost.Case, error) { return s.cases(ctx, undecided) }

// Unescalated meets lost.Assessments.
func (s Cases) Unescalated(ctx context.Context) ([]lost.Case, error) {
	return s.cases(ctx, unescalated)
}

func (s Cases) cases(ctx context.Context, query string) ([]lost.Case, error) {
	rows, err := s.query(ctx, query)
	return scanAll(rows, err, func(r scanner) (lost.Case, error) { return scanCase(r) })
}
