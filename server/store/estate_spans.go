package store

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/estate"
)

// LastSpan meets estate.Spans.
func (e Estate) LastSpan(ctx context.Context, id ward.DeviceID, code, subject string) (estate.Span, bool, error) {
	s := estate.Span{Device: id, Code: code, Subject: subject}
	var from, to int64
	err := e.row(ctx, `SELECT site, grp, platform, ownership, from_at, to_at, ended FROM finding_span
		WHERE device_id = $1 AND code = $2 AND subject = $3 ORDER BY from_at DESC LIMIT 1`, string(id), code, subject).
		Scan(&s.Site, &s.Group, &s.Platform, &s.Ownership, &from, &to, &s.Ended)
	s.From, s.To = fromMicros(from), fromMicros(to)
	return s, err == nil, none(err)
}

// BeginSpan meets estate.Spans.
func (e Estate) BeginSpan(ctx context.Context, s estate.Span) error {
	return e.later(ctx, `INSERT INTO finding_span (device_id, code, subject, site, grp, platform, ownership, from_at, to_at, ended)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, '')
		ON CONFLICT (device_id, code, subject, from_at) DO UPDATE SET to_at = 0, ended = ''`,
		string(s.Device), s.Code, s.Subject, s.Site, s.Group, string(s.Platform), string(s.Ownership), micros(s.From))
}

// ResumeSpan meets estate.Spans.
func (e Estate) ResumeSpan(ctx context.Context, s estate.Span) error {
	return e.later(ctx, `UPDATE finding_span SET to_at = 0, ended = '', site = $5, grp = $6, platform = $7, ownership = $8
		WHERE device_id = $1 AND code = $2 AND subject = $3 AND from_at = $4`,
		string(s.Device), s.Code, s.Subject, micros(s.From), s.Site, s.Group, string(s.Platform), string(s.Ownership))
}

// EndSpan meets estate.Spans.
func (e Estate) EndSpan(ctx context.Context, id ward.DeviceID, code, subject string, at time.Time, why estate.Ending) error {
	return e.later(ctx, `UPDATE finding_span SET to_at = $4, ended = $5 WHERE device_id = $1 AND code = $2 AND subject = $3 AND to_at = 0`,
		string(id), code, subject, micros(at), string(why))
}

// MoveSpans meets estate.Spans.
func (e Estate) MoveSpans(ctx context.Context, d *estate.Device) error {
	return e.later(ctx, `UPDATE finding_span SET site = $2, grp = $3, platform = $4, ownership = $5 WHERE device_id = $1 AND to_at = 0`,
		string(d.ID), d.Site, d.Group, string(d.Platform), string(d.Ownership))
}

// spanColumn is the column of what spans are divided by.
func spanColumn(by estate.Dimension) string {
	switch by {
	case estate.BySite:
		return "site"
	case estate.ByGroup:
		return "grp"
	case estate.ByPlatform:
		return "platform"
	case estate.ByOwner:
		return "ownership"
	case estate.ByApp:
		return "subject"
	case estate.Everything:
	}
	return "''"
}

// went ranks spans by how long they took. A percentile is the one at its nearest rank.
func went(by estate.Dimension) string {
	c := spanColumn(by)
	return `SELECT k, n, MAX(CASE WHEN rank = (n * 50 + 99) / 100 THEN took ELSE 0 END), MAX(CASE WHEN rank = (n * 95 + 99) / 100 THEN took ELSE 0 END) FROM (
		SELECT ` + c + ` AS k, to_at - from_at AS took, ROW_NUMBER() OVER (PARTITION BY ` + c + ` ORDER BY to_at - from_at) AS rank, COUNT(*) OVER (PARTITION BY ` + c + `) AS n
		FROM finding_span WHERE to_at > $1 AND to_at <= $2 AND code = $3 AND ended = $4 AND (CAST($5 AS TEXT) = '' OR subject = $5)) ranked GROUP BY k, n`
}

// Went meets estate.Past.
func (e Estate) Went(ctx context.Context, code, subject string, by estate.Dimension, how estate.Ending, after, until time.Time) ([]estate.Went, error) {
	rows, err := e.query(ctx, went(by), micros(after), micros(until), code, string(how), subject)
	out, err := scanAll(rows, err, func(r scanner) (w estate.Went, err error) {
		var p50, p95 int64
		err = r.Scan(&w.Value, &w.Count, &p50, &p95)
		w.P50, w.P95 = time.Duration(p50)*time.Microsecond, time.Duration(p95)*time.Microsecond
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("spans that ended: %w", err)
	}
	return out, nil
}

func stood(by estate.Dimension) string {
	c := spanColumn(by)
	return `SELECT k, COUNT(*), MIN(since) FROM (
		SELECT ` + c + ` AS k, from_at AS since FROM finding_span WHERE to_at = 0 AND code = $1 AND from_at <= $2 AND (CAST($3 AS TEXT) = '' OR subject = $3)
		UNION ALL
		SELECT ` + c + `, from_at FROM finding_span WHERE to_at > $2 AND code = $1 AND from_at <= $2 AND (CAST($3 AS TEXT) = '' OR subject = $3)) s GROUP BY k`
}

// Standing meets estate.Past.
func (e Estate) Standing(ctx context.Context, code, subject string, by estate.Dimension, at time.Time) ([]estate.Standing, error) {
	rows, err := e.query(ctx, stood(by), code, micros(at), subject)
	out, err := scanAll(rows, err, func(r scanner) (s estate.Standing, err error) {
		var since int64
		err = r.Scan(&s.Value, &s.Count, &since)
		s.Oldest = fromMicros(since)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("spans that stood: %w", err)
	}
	return out, nil
}
