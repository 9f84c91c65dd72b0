package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/notice"
)

// Notices keeps who acknowledged which notice; it meets notice.Store.
type Notices struct{ *DB }

var _ notice.Store = Notices{}

// Notices returns the store of acknowledgements.
func (db *DB) Notices() Notices { return Notices{db} }

// Acknowledge meets notice.Store.
func (n Notices) Acknowledge(ctx context.Context, a notice.Acknowledgement, text string) (fresh bool, err error) {
	err = n.Do(ctx, func(ctx context.Context) error {
		if _, err := n.exec(ctx, `INSERT INTO notice_text (version, text, first_at) VALUES ($1, $2, $3) ON CONFLICT (version) DO NOTHING`, a.Version, text, micros(a.At)); err != nil {
			return fmt.Errorf("keep notice %s: %w", a.Version, err)
		}
		rows, err := n.exec(ctx, `INSERT INTO notice_acknowledgement (person, version, name, email, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (person, version) DO NOTHING`,
			string(a.Person), a.Version, a.Name, a.Email, micros(a.At))
		fresh = rows == 1
		return err
	})
	return fresh, err
}

// Acknowledged meets notice.Store.
func (n Notices) Acknowledged(ctx context.Context, person ward.PersonID, version string) (time.Time, error) {
	var at int64
	err := n.row(ctx, `SELECT at FROM notice_acknowledgement WHERE person = $1 AND version = $2`, string(person), version).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return fromMicros(at), err
}

// Acknowledgements meets notice.Store.
func (n Notices) Acknowledgements(ctx context.Context, version string) ([]notice.Acknowledgement, error) {
	c := &conditions{}
	if version != "" {
		c.add("version = " + c.arg(version))
	}
	rows, err := n.query(ctx, `SELECT person, version, name, email, at FROM notice_acknowledgement`+c.clause()+` ORDER BY at DESC, person`, c.args...)
	return scanAll(rows, err, func(r scanner) (a notice.Acknowledgement, err error) {
		var at int64
		err = r.Scan(&a.Person, &a.Version, &a.Name, &a.Email, &at)
		a.At = fromMicros(at)
		return a, err
	})
}

// Versions meets notice.Store.
func (n Notices) Versions(ctx context.Context) ([]notice.Version, error) {
	rows, err := n.query(ctx, `SELECT t.version, t.text, t.first_at, (SELECT COUNT(*) FROM notice_acknowledgement a WHERE a.version = t.version) FROM notice_text t ORDER BY t.first_at DESC, t.version`)
	return scanAll(rows, err, func(r scanner) (v notice.Version, err error) {
		var first int64
		err = r.Scan(&v.ID, &v.Text, &first, &v.Count)
		v.First = fromMicros(first)
		return v, err
	})
}

// Forget meets notice.Store.
func (n Notices) Forget(ctx context.Context, person ward.PersonID) (int64, error) {
	return n.exec(ctx, `DELETE FROM notice_acknowledgement WHERE person = $1`, string(person))
}
