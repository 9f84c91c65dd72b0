package store

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/seed"
)

// Seeds fills an empty database with a made-up fleet.
type Seeds struct{ Estate }

var _ seed.Record = Seeds{}

// Seeds returns what fills an empty database.
func (db *DB) Seeds() Seeds { return Seeds{db.Estate()} }

// Empty meets seed.Record.
func (s Seeds) Empty(ctx context.Context) (bool, error) {
	var some bool
	err := s.row(ctx, `SELECT EXISTS (SELECT 1 FROM device) OR EXISTS (SELECT 1 FROM posture_change) OR EXISTS (SELECT 1 FROM posture_frame)`).Scan(&some)
	return !some, err
}

// AddDevices meets seed.Record.
func (s Seeds) AddDevices(ctx context.Context, all []seed.Device) error {
	var devices, enrolments, seen, facts, attempts, drift [][]any
	for _, d := range all {
		v := d.Device
		devices = append(devices, []any{
			string(v.ID), v.Serial, v.Name, string(v.Platform), v.Model, v.OSVersion, string(v.Ownership), v.Group, v.Owner, v.Email, string(v.State), micros(v.Created), v.Site, v.Role,
			false, d.Epoch, micros(d.Check),
		})
		e := d.Enrolment
		if e.ID == "" {
			continue
		}
		enrolments = append(enrolments, []any{
			string(e.ID), e.Channel, "", e.Kind, int64(1), true, string(v.ID), string(e.State), v.Serial, string(e.Supervised), int64(e.Rights), "", "", "", "", int64(0), int64(1),
			micros(v.Created), micros(e.Enrolled), micros(e.Ended), e.EndReason,
		})
		seen = append(seen, []any{string(e.ID), micros(e.LastSeen)})
		for _, f := range d.Facts {
			facts = append(facts, []any{string(e.ID), string(f.Kind), string(f.Value), micros(f.Observed)})
		}
		for _, a := range d.Attempts {
			attempts = append(attempts, []any{string(e.ID), a.Key, "", string(a.State), int64(a.Tries), micros(a.Queued), micros(a.Answered), a.Error})
		}
		for x, at := range d.Since {
			drift = append(drift, []any{string(v.ID), string(x.Kind), x.Subject, micros(at), int64(0)})
		}
	}
	return s.Do(ctx, func(ctx context.Context) error {
		for _, t := range []struct {
			table, columns string
			rows           [][]any
		}{
			{"device", deviceColumns + `, reenrol, generation, check_at`, devices},
			{"enrolment", `id, channel, parent, kind, epoch, latest, device_id, state, serial, supervised, rights, invitation, topic, push_token, push_magic, push_dead_at, tally, created_at, enrolled_at, ended_at, end_reason`, enrolments},
			{"seen", `enrolment_id, at`, seen},
			{"fact", `enrolment_id, kind, value, observed_at`, facts},
			{"attempt", `enrolment_id, step_key, uuid, state, tries, queued_at, answered_at, error`, attempts},
			{"drift", `device_id, kind, subject, found_at, righted_at`, drift},
		} {
			if err := s.bulk(ctx, t.table, t.columns, t.rows); err != nil {
				return err
			}
		}
		return nil
	})
}

// AddDay meets seed.Record.
func (s Seeds) AddDay(ctx context.Context, changes []estate.KeptChange, at time.Time, frame []byte, days map[estate.Cut]estate.Day) error {
	rows := make([][]any, len(changes))
	for i, c := range changes {
		rows[i] = []any{string(c.Device), micros(c.At), c.Body}
	}
	return s.Do(ctx, func(ctx context.Context) error {
		if err := s.bulk(ctx, "posture_change", `device_id, at, body`, rows); err != nil || frame == nil {
			return err
		}
		first, err := s.SaveMidnight(ctx, at, frame, days)
		if err == nil && !first {
			return ward.Errorf(ward.Conflict, "The database is being filled by somebody else, or a server runs on it.")
		}
		return err
	})
}

// AddPostures meets seed.Record.
func (s Seeds) AddPostures(ctx context.Context, all []seed.Posture, at time.Time) error {
	var postures, spans [][]any
	for _, p := range all {
		postures = append(postures, []any{string(p.Device), micros(at), p.Body})
		for _, x := range p.Spans {
			spans = append(spans, []any{string(x.Device), x.Code, x.Subject, x.Site, x.Group, string(x.Platform), string(x.Ownership), micros(x.From), micros(x.To), string(x.Ended)})
		}
	}
	return s.Do(ctx, func(ctx context.Context) error {
		if err := s.bulk(ctx, "posture", `device_id, changed_at, body`, postures); err != nil {
			return err
		}
		return s.bulk(ctx, "finding_span", `device_id, code, subject, site, grp, platform, ownership, from_at, to_at, ended`, spans)
	})
}

// Finish meets seed.Record: PostgreSQL plans by statistics, SQLite without.
func (s Seeds) Finish(ctx context.Context) error {
	if s.writer != nil {
		return nil
	}
	if _, err := s.pool.ExecContext(ctx, `VACUUM ANALYZE`); err != nil {
		return fmt.Errorf("analyse: %w", err)
	}
	return nil
}
