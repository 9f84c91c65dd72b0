package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/unit"
)

// Cases keeps the cases of lost devices, and the recovery codes of their holders.
type Cases struct{ *DB }

var (
	_ lost.Store  = Cases{}
	_ order.Cases = Cases{}
)

// Cases returns the store of cases.
func (db *DB) Cases() Cases { return Cases{db} }

const caseColumns = `id, device_id, kind, state, reported_by, reported_name, reported_at, seen_where, seen_at, was_unlocked, note, message, phone, footnote, found_at, closed_at,
	identified, data_open, drill, aware_at`

// caseRead adds when a location was last received.
const caseRead = `SELECT ` + caseColumns + `, COALESCE((SELECT MAX(l.received_at) FROM case_location l WHERE l.case_id = lost_case.id), 0) FROM lost_case`

func scanCase(r scanner) (c lost.Case, err error) {
	var reported, seen, found, closed, aware, located int64
	err = r.Scan(&c.ID, &c.Device, &c.Kind, &c.State, &c.ReportedBy, &c.ReportedName, &reported, &c.LastSeenWhere, &seen, &c.WasUnlocked, &c.Note,
		&c.Message, &c.Phone, &c.Footnote, &found, &closed, &c.Identified, &c.DataOpen, &c.Drill, &aware, &located)
	c.Reported, c.LastSeenAt, c.Found, c.Closed, c.Located = fromMicros(reported), fromMicros(seen), fromMicros(found), fromMicros(closed), fromMicros(located)
	c.Aware = fromMicros(aware)
	return c, err
}

// Add meets lost.Store.
func (s Cases) Add(ctx context.Context, c lost.Case) (added bool, err error) {
	err = s.Do(ctx, func(ctx context.Context) error {
		if added, err = s.add(ctx, c); err != nil || !added {
			return err
		}
		return s.markPosture(ctx, c.Device)
	})
	return added, err
}

func (s Cases) add(ctx context.Context, c lost.Case) (bool, error) {
	n, err := s.exec(ctx, `INSERT INTO lost_case (`+caseColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
		ON CONFLICT (device_id) WHERE state = 'open' DO NOTHING`,
		string(c.ID), string(c.Device), string(c.Kind), string(c.State), string(c.ReportedBy), c.ReportedName, micros(c.Reported), c.LastSeenWhere, micros(c.LastSeenAt),
		string(c.WasUnlocked), c.Note, c.Message, c.Phone, c.Footnote, micros(c.Found), micros(c.Closed),
		c.Identified, string(c.DataOpen), string(c.Drill), micros(c.Aware))
	return n > 0, err
}

// Case meets lost.Store.
func (s Cases) Case(ctx context.Context, id ward.CaseID) (lost.Case, error) {
	also, args := scoped(ctx, "lost_case.device_id", []any{string(id)})
	c, err := scanCase(s.row(ctx, caseRead+` WHERE id = $1`+also, args...))
	return c, missing(err, "There is no case %s.", id)
}

// OpenCase meets lost.Store.
func (s Cases) OpenCase(ctx context.Context, device ward.DeviceID) (lost.Case, error) {
	also, args := scoped(ctx, "lost_case.device_id", []any{string(device)})
	c, err := scanCase(s.row(ctx, caseRead+` WHERE device_id = $1 AND state = 'open'`+also, args...))
	return c, missing(err, "The device %s has no open case.", device)
}

// CaseDevice meets order.Cases.
func (s Cases) CaseDevice(ctx context.Context, id ward.CaseID) (d ward.DeviceID, err error) {
	also, args := scoped(ctx, "lost_case.device_id", []any{string(id)})
	err = s.row(ctx, `SELECT device_id FROM lost_case WHERE id = $1`+also, args...).Scan(&d)
	return d, missing(err, "There is no case %s.", id)
}

// List meets lost.Store.
func (s Cases) List(ctx context.Context, f lost.Filter) ([]lost.Case, error) {
	where, args := []string{"TRUE"}, []any{f.Limit}
	add := func(cond string, v string) {
		if v != "" {
			args = append(args, v)
			where = append(where, fmt.Sprintf(cond, len(args)))
		}
	}
	add("state = $%d", string(f.State))
	add("device_id = $%d", string(f.Device))
	switch f.Which {
	case lost.OnlyReal:
		where = append(where, "drill = ''")
	case lost.OnlyDrills:
		where = append(where, "drill <> ''")
	case lost.All:
	}
	add("seq < (SELECT a.seq FROM lost_case a WHERE a.id = $%d)", string(f.After))
	also, args := scoped(ctx, "lost_case.device_id", args)
	rows, err := s.query(ctx, caseRead+` WHERE `+strings.Join(where, " AND ")+also+` ORDER BY seq DESC LIMIT $1`, args...)
	return scanAll(rows, err, func(r scanner) (lost.Case, error) { return scanCase(r) })
}

// Move meets lost.Store.
func (s Cases) Move(ctx context.Context, id ward.CaseID, from, to lost.State, t time.Time) (bool, error) {
	column := map[lost.State]string{lost.Found: "found_at", lost.Closed: "closed_at"}[to]
	if column == "" {
		return false, fmt.Errorf("case %s: it can't become %s", id, to)
	}
	var n int64
	err := s.Do(ctx, func(ctx context.Context) (err error) {
		n, err = s.exec(ctx, `UPDATE lost_case SET state = $3, `+column+` = $4 WHERE id = $1 AND state = $2`, string(id), string(from), string(to), micros(t))
		if err != nil || n == 0 {
			return err
		}
		return s.markCase(ctx, id)
	})
	return n > 0, err
}

// markCase has the posture of a case's device judged anew.
func (s Cases) markCase(ctx context.Context, id ward.CaseID) error {
	unit.AfterCommit(ctx, s.wakeEstate)
	return s.later(ctx, `INSERT INTO posture_due (device_id, tried_at) SELECT device_id, 0 FROM lost_case WHERE id = $1`, string(id))
}

// CaseCommands meets lost.Store.
func (s Cases) CaseCommands(ctx context.Context, id ward.CaseID) ([]command.Record, error) {
	rows, err := s.query(ctx, `SELECT `+commandColumns+` FROM command WHERE case_id = $1 AND case_id <> '' ORDER BY seq`, string(id))
	return scanAll(rows, err, func(r scanner) (command.Record, error) { return scanCommand(r) })
}

// place of a location: its seal fails in any other row.
func locationPlace(id ward.CaseID, at int64) []string {
	return []string{"location", string(id), strconv.FormatInt(at, 10)}
}

type sealedLocation struct {
	Lat      float64 `json:"lat"`
	Lon      float64 `json:"lon"`
	Accuracy float64 `json:"accuracy"`
}

// AddLocation meets lost.Locations.
func (s Cases) AddLocation(ctx context.Context, id ward.CaseID, l lost.Location) (bool, error) {
	plain, err := json.Marshal(sealedLocation{l.Lat, l.Lon, l.Accuracy})
	if err != nil {
		return false, fmt.Errorf("seal location: %w", err)
	}
	at := micros(l.At)
	n, err := s.exec(ctx, `INSERT INTO case_location (case_id, observed_at, received_at, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT (case_id, observed_at) DO NOTHING`,
		string(id), at, micros(l.Received), s.secrets.Seal(plain, locationPlace(id, at)...))
	return n > 0, err
}

// LastLocation meets lost.Locations.
func (s Cases) LastLocation(ctx context.Context, id ward.CaseID) (l lost.Location, err error) {
	var at, received int64
	var sealed []byte
	also, args := scoped(ctx, "(SELECT c.device_id FROM lost_case c WHERE c.id = case_location.case_id)", []any{string(id)})
	err = s.row(ctx, `SELECT observed_at, received_at, sealed FROM case_location WHERE case_id = $1`+also+` ORDER BY observed_at DESC LIMIT 1`, args...).Scan(&at, &received, &sealed)
	if err != nil {
		return l, missing(err, "No location of this case is kept.")
	}
	plain, err := s.secrets.Open(sealed, locationPlace(id, at)...)
	if err != nil {
		return l, fmt.Errorf("location of case %s: %w", id, err)
	}
	var p sealedLocation
	if err := json.Unmarshal(plain, &p); err != nil {
		return l, fmt.Errorf("location of case %s: %w", id, err)
	}
	return lost.Location{Lat: p.Lat, Lon: p.Lon, Accuracy: p.Accuracy, At: fromMicros(at), Received: fromMicros(received)}, nil
}

// DeleteLocations meets lost.Locations.
func (s Cases) DeleteLocations(ctx context.Context, before time.Time) (int, error) {
	n, err := s.exec(ctx, `DELETE FROM case_location WHERE received_at < $1`, micros(before))
	return int(n), err
}
