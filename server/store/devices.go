package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/unit"
)

// Fleet keeps devices, enrolments and facts.
type Fleet struct{ *DB }

var (
	_ fleet.Store     = Fleet{}
	_ reconcile.Fleet = Fleet{}
)

// Fleet returns the store of devices and enrolments.
func (db *DB) Fleet() Fleet { return Fleet{db} }

type scanner = interface{ Scan(...any) error }

const deviceColumns = `id, serial, name, platform, model, os_version, ownership, grp, owner, email, state, created_at, site, role`

func scanDevice(r scanner) (d ward.Device, err error) {
	var created int64
	err = r.Scan(&d.ID, &d.Serial, &d.Name, &d.Platform, &d.Model, &d.OSVersion, &d.Ownership, &d.Group, &d.Owner, &d.Email, &d.State, &created, &d.Site, &d.Role)
	d.Created = fromMicros(created)
	return d, err
}

// Device meets fleet.Store.
func (f Fleet) Device(ctx context.Context, id ward.DeviceID) (ward.Device, error) {
	also, args := scoped(ctx, "device.", []any{string(id)})
	d, err := scanDevice(f.row(ctx, `SELECT `+deviceColumns+` FROM device WHERE id = $1`+also, args...))
	return d, missing(err, "There is no device %s.", id)
}

// DevicesBySerial meets fleet.Store. It knows no scope: no two devices have one serial number,
// wherever they are.
func (f Fleet) DevicesBySerial(ctx context.Context, serial string) ([]ward.Device, error) {
	rows, err := f.query(ctx, `SELECT `+deviceColumns+` FROM device WHERE serial = $1 AND serial <> '' ORDER BY created_at, id`, serial)
	return scanAll(rows, err, func(r scanner) (ward.Device, error) { return scanDevice(r) })
}

// Devices returns up to limit devices after the given id, in order of their ids.
func (f Fleet) Devices(ctx context.Context, after ward.DeviceID, limit int) ([]ward.Device, error) {
	also, args := scoped(ctx, "device.", []any{string(after), limit})
	rows, err := f.query(ctx, `SELECT `+deviceColumns+` FROM device WHERE id > $1`+also+` ORDER BY id LIMIT $2`, args...)
	return scanAll(rows, err, func(r scanner) (ward.Device, error) { return scanDevice(r) })
}

// FindDevice returns the devices with this id, serial number, UDID or exact name.
func (f Fleet) FindDevice(ctx context.Context, word string) ([]ward.Device, error) {
	also, args := scoped(ctx, "device.", []any{word})
	rows, err := f.query(ctx, `SELECT `+deviceColumns+` FROM device WHERE (id = $1 OR serial = $1 OR LOWER(name) = LOWER($1)
		OR id IN (SELECT device_id FROM enrolment WHERE channel = $1))`+also+` ORDER BY created_at, id`, args...)
	found, err := scanAll(rows, err, scanDevice)
	for _, d := range found { // an id or a serial number is meant before a name that reads the same
		if string(d.ID) == word || (d.Serial == word && word != "") {
			return []ward.Device{d}, err
		}
	}
	return found, err
}

// InsertDevice meets fleet.Store.
func (f Fleet) InsertDevice(ctx context.Context, d ward.Device) error {
	return f.Do(ctx, func(ctx context.Context) error { return f.insertDevice(ctx, d) })
}

func (f Fleet) insertDevice(ctx context.Context, d ward.Device) error {
	_, err := f.exec(ctx, `INSERT INTO device (`+deviceColumns+`, reenrol, generation, check_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, FALSE, 0, 0)`,
		string(d.ID), d.Serial, d.Name, string(d.Platform), d.Model, d.OSVersion, string(d.Ownership), d.Group, d.Owner, d.Email, string(d.State), micros(d.Created), d.Site, d.Role)
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "There is already a device %s.", d.ID)
	}
	return f.marked(ctx, d.ID, err)
}

// UpdateDevice meets fleet.Store; it leaves the state as it is.
func (f Fleet) UpdateDevice(ctx context.Context, d ward.Device) error {
	return f.Do(ctx, func(ctx context.Context) error { return f.updateDevice(ctx, d) })
}

func (f Fleet) updateDevice(ctx context.Context, d ward.Device) error {
	n, err := f.exec(ctx, `UPDATE device SET serial = $2, name = $3, platform = $4, model = $5, os_version = $6, ownership = $7, grp = $8, owner = $9, email = $10, site = $11, role = $12 WHERE id = $1`,
		string(d.ID), d.Serial, d.Name, string(d.Platform), d.Model, d.OSVersion, string(d.Ownership), d.Group, d.Owner, d.Email, d.Site, d.Role)
	return f.marked(ctx, d.ID, one(n, err, d.ID))
}

// DeleteDevice meets fleet.Store.
func (f Fleet) DeleteDevice(ctx context.Context, id ward.DeviceID) error {
	return f.Do(ctx, func(ctx context.Context) error { return f.deleteDevice(ctx, id) })
}

func (f Fleet) deleteDevice(ctx context.Context, id ward.DeviceID) error {
	n, err := f.exec(ctx, `DELETE FROM device WHERE id = $1`, string(id))
	return f.marked(ctx, id, one(n, err, id))
}

// SetDeviceState meets fleet.Store.
func (f Fleet) SetDeviceState(ctx context.Context, id ward.DeviceID, s ward.DeviceState) error {
	return f.Do(ctx, func(ctx context.Context) error { return f.setDeviceState(ctx, id, s) })
}

func (f Fleet) setDeviceState(ctx context.Context, id ward.DeviceID, s ward.DeviceState) error {
	n, err := f.exec(ctx, `UPDATE device SET state = $2 WHERE id = $1`, string(id), string(s))
	return f.marked(ctx, id, one(n, err, id))
}

// MayReenrol meets fleet.Store.
func (f Fleet) MayReenrol(ctx context.Context, id ward.DeviceID) (ok bool, err error) {
	err = f.row(ctx, `SELECT reenrol FROM device WHERE id = $1`, string(id)).Scan(&ok)
	return ok, missing(err, "There is no device %s.", id)
}

// SetReenrol meets fleet.Store.
func (f Fleet) SetReenrol(ctx context.Context, id ward.DeviceID, allowed bool) error {
	n, err := f.exec(ctx, `UPDATE device SET reenrol = $2 WHERE id = $1`, string(id), allowed)
	return one(n, err, id)
}

// CheckSoon meets fleet.Store; an earlier time that is already set stays.
func (f Fleet) CheckSoon(ctx context.Context, id ward.DeviceID, t time.Time) error {
	_, err := f.exec(ctx, `UPDATE device SET check_at = $2 WHERE id = $1 AND (check_at = 0 OR check_at > $2)`, string(id), micros(t))
	return err
}

// Planned notes that a device was planned for a policy generation, and when it is
// due again; the zero time means when something happens.
func (f Fleet) Planned(ctx context.Context, id ward.DeviceID, generation int64, next time.Time) error {
	_, err := f.exec(ctx, `UPDATE device SET generation = $2, check_at = $3 WHERE id = $1`, string(id), generation, micros(next))
	return err
}

// DuePlans returns up to limit devices that are due at t or that were planned for an
// older policy than generation, the longest due first.
func (f Fleet) DuePlans(ctx context.Context, t time.Time, generation int64, limit int) ([]ward.DeviceID, error) {
	rows, err := f.query(ctx, `SELECT id FROM device WHERE (check_at > 0 AND check_at <= $1) OR (generation < $2 AND state IN ('managed', 'lost')) ORDER BY check_at, id LIMIT $3`, micros(t), generation, limit)
	return scanAll(rows, err, func(r scanner) (id ward.DeviceID, err error) { return id, r.Scan(&id) })
}

// marked has the posture of a device that was written judged anew.
func (f Fleet) marked(ctx context.Context, id ward.DeviceID, err error) error {
	if err != nil {
		return err
	}
	return f.markPosture(ctx, id)
}

// one turns "no row was changed" into NotFound.
func one(n int64, err error, id ward.DeviceID) error {
	if err != nil {
		return err
	}
	if n == 0 {
		return ward.Errorf(ward.NotFound, "There is no device %s.", id)
	}
	return nil
}

const enrolmentColumns = `e.id, e.device_id, e.channel, e.kind, e.epoch, e.state, e.supervised, e.rights, e.invitation, e.topic, e.enrolled_at, e.ended_at, e.end_reason, COALESCE((SELECT s.at FROM seen s WHERE s.enrolment_id = e.id), 0)`

func scanEnrolment(r scanner, more ...any) (e ward.Enrolment, err error) {
	var enrolled, ended, seen int64
	dest := []any{&e.ID, &e.Device, &e.Channel, &e.Kind, &e.Epoch, &e.State, &e.Supervised, &e.Rights, &e.Invitation, &e.Topic, &enrolled, &ended, &e.EndReason, &seen}
	err = r.Scan(append(dest, more...)...)
	e.Enrolled, e.Ended, e.LastSeen = fromMicros(enrolled), fromMicros(ended), fromMicros(seen)
	return e, err
}

// Enrolment meets fleet.Store.
func (f Fleet) Enrolment(ctx context.Context, id ward.EnrolmentID) (ward.Enrolment, error) {
	e, err := scanEnrolment(f.row(ctx, `SELECT `+enrolmentColumns+` FROM enrolment e WHERE e.id = $1`, string(id)))
	return f.fresh(e), missing(err, "There is no enrolment %s.", id)
}

// Latest meets fleet.Store.
func (f Fleet) Latest(ctx context.Context, channel string) (ward.Enrolment, error) {
	e, err := scanEnrolment(f.row(ctx, `SELECT `+enrolmentColumns+` FROM enrolment e WHERE e.channel = $1 AND e.latest`, channel))
	return f.fresh(e), missing(err, "No device is enrolled as %s.", channel)
}

// Current meets fleet.Store.
func (f Fleet) Current(ctx context.Context, id ward.DeviceID) (ward.Enrolment, error) {
	also, args := scoped(ctx, "e.device_id", []any{string(id)})
	e, err := scanEnrolment(f.row(ctx, `SELECT `+enrolmentColumns+` FROM enrolment e
		WHERE e.device_id = $1 AND e.latest AND e.state <> 'ended' AND e.parent = ''`+also+` ORDER BY e.created_at DESC, e.id DESC LIMIT 1`, args...))
	return f.fresh(e), missing(err, "The device %s is not enrolled.", id)
}

// Enrolments meets fleet.Store, the newest first.
func (f Fleet) Enrolments(ctx context.Context, id ward.DeviceID) ([]ward.Enrolment, error) {
	also, args := scoped(ctx, "e.device_id", []any{string(id)})
	rows, err := f.query(ctx, `SELECT `+enrolmentColumns+` FROM enrolment e WHERE e.device_id = $1`+also+` ORDER BY e.created_at DESC, e.id DESC`, args...)
	return scanAll(rows, err, func(r scanner) (ward.Enrolment, error) {
		e, err := scanEnrolment(r)
		return f.fresh(e), err
	})
}

// fresh adds a heartbeat that is still in memory.
func (f Fleet) fresh(e ward.Enrolment) ward.Enrolment {
	f.last.mu.Lock()
	at, ok := f.last.at[e.ID]
	f.last.mu.Unlock()
	if t := fromMicros(at); ok && t.After(e.LastSeen) {
		e.LastSeen = t
	}
	return e
}

// EndEnrolment meets fleet.Store: its certificate proves nothing from now on, its
// open commands are cancelled, and its user channels end with it.
func (f Fleet) EndEnrolment(ctx context.Context, id ward.EnrolmentID, reason string) error {
	return f.Do(ctx, func(ctx context.Context) error {
		e, err := f.Enrolment(ctx, id)
		if err != nil {
			return err
		}
		if _, err := f.exec(ctx, `UPDATE identity SET live = FALSE WHERE channel = $1 AND live`, e.Channel); err != nil {
			return err
		}
		return f.endRow(ctx, e.ID, e.Channel, reason)
	})
}

// endRow ends one enrolment and the user channels below its channel.
func (f Fleet) endRow(ctx context.Context, id ward.EnrolmentID, channel, reason string) error {
	rows, err := f.query(ctx, `UPDATE enrolment SET state = 'ended', ended_at = $3, end_reason = $4
		WHERE (id = $1 OR (parent = $2 AND latest)) AND state <> 'ended' RETURNING id, device_id`, string(id), channel, micros(f.now()), reason)
	ended, err := scanAll(rows, err, func(r scanner) (e ward.Enrolment, err error) { return e, r.Scan(&e.ID, &e.Device) })
	if err != nil {
		return fmt.Errorf("end enrolment %s: %w", id, err)
	}
	for _, e := range ended {
		if _, err := f.Commands().CancelOpen(ctx, e.ID, reason, nil); err != nil {
			return err
		}
		if _, err := f.exec(ctx, `DELETE FROM push WHERE enrolment_id = $1`, string(e.ID)); err != nil {
			return err
		}
		if err := f.markPosture(ctx, e.Device); err != nil {
			return err
		}
	}
	return nil
}

// ChannelOf meets fleet.Store.
func (f Fleet) ChannelOf(ctx context.Context, hash string) (channel string, live bool, err error) {
	err = f.row(ctx, `SELECT channel, live FROM identity WHERE hash = $1`, hash).Scan(&channel, &live)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return channel, live, err
}

// Bind meets fleet.Store.
func (f Fleet) Bind(ctx context.Context, hash, channel string) error {
	return f.Do(ctx, func(ctx context.Context) error {
		if _, err := f.exec(ctx, `UPDATE identity SET live = FALSE WHERE channel = $1 AND live AND hash <> $2`, channel, hash); err != nil {
			return err
		}
		n, err := f.exec(ctx, `INSERT INTO identity (hash, channel, live, bound_at) VALUES ($1, $2, TRUE, $3)
			ON CONFLICT (hash) DO UPDATE SET live = TRUE WHERE identity.channel = excluded.channel`, hash, channel, micros(f.now()))
		if err == nil && n == 0 {
			return ward.Errorf(ward.Forbidden, "This certificate belongs to another enrolment.")
		}
		return err
	})
}

// Afresh meets lost.Fleet. An identity and those that were issued to follow it are one: what
// counts is when the first of them was bound, which is before the enrolments that it proves
// begin.
func (f Fleet) Afresh(ctx context.Context, id, than ward.EnrolmentID) (ok bool, err error) {
	err = f.row(ctx, `WITH RECURSIVE line (hash, renewed_from) AS (
			SELECT i.hash, COALESCE(c.renewed_from, '') FROM enrolment e JOIN identity i ON i.channel = e.channel AND i.live
				LEFT JOIN certificate c ON c.hash = i.hash WHERE e.id = $1 AND e.latest
			UNION SELECT c.hash, c.renewed_from FROM line JOIN certificate c ON c.serial = line.renewed_from WHERE line.renewed_from <> '')
		SELECT EXISTS (SELECT 1 FROM line JOIN identity i ON i.hash = line.hash JOIN enrolment old ON old.id = $2
			WHERE line.renewed_from = '' AND (old.channel <> i.channel OR old.created_at < i.bound_at))`, string(id), string(than)).Scan(&ok)
	if err != nil {
		return false, fmt.Errorf("whether %s came after %s by another identity: %w", id, than, err)
	}
	return ok, nil
}

// Unrevoked returns the serial numbers of the certificates of one kind that a device got under
// the channel of e, in whichever epoch, and that are not revoked.
func (f Fleet) Unrevoked(ctx context.Context, e ward.Enrolment, kind ca.Kind) ([]string, error) {
	rows, err := f.query(ctx, `SELECT serial FROM certificate WHERE device_id = $1 AND device_id <> '' AND kind = $2 AND revoked_at = 0
		AND enrolment_id IN (SELECT id FROM enrolment WHERE channel = $3) ORDER BY seq`, string(e.Device), string(kind), e.Channel)
	return scanAll(rows, err, func(r scanner) (s string, err error) { return s, r.Scan(&s) })
}

const contact = `SELECT ` + enrolmentColumns + `, COALESCE(d.generation, 0), COALESCE(d.check_at, 0),
	EXISTS (SELECT 1 FROM command WHERE enrolment_id = e.id AND ` + openCommand + `), COALESCE((SELECT p.epoch FROM policy_epoch p WHERE p.id = 1), 0)
	FROM identity i JOIN enrolment e ON e.channel = i.channel AND e.latest LEFT JOIN device d ON d.id = e.device_id
	WHERE i.hash = $1 AND i.live`

// Contact returns the enrolment that a certificate proves, with what a request
// needs to know of it, in one read. NotFound means that it proves none.
func (f Fleet) Contact(ctx context.Context, hash string) (fleet.Contact, error) {
	var c fleet.Contact
	var check int64
	var err error
	c.Enrolment, err = scanEnrolment(f.row(ctx, contact, hash), &c.Generation, &check, &c.Pending, &c.Published)
	c.CheckAt = fromMicros(check)
	return c, missing(err, "This certificate proves no enrolment.")
}

// SetFact meets fleet.Store.
func (f Fleet) SetFact(ctx context.Context, id ward.EnrolmentID, fact fleet.Fact) error {
	return f.later(ctx, `INSERT INTO fact (enrolment_id, kind, value, observed_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (enrolment_id, kind) DO UPDATE SET value = excluded.value, observed_at = excluded.observed_at`,
		string(id), string(fact.Kind), string(fact.Value), micros(fact.Observed))
}

// Facts meets fleet.Store.
func (f Fleet) Facts(ctx context.Context, id ward.EnrolmentID) ([]fleet.Fact, error) {
	rows, err := f.query(ctx, `SELECT kind, value, observed_at FROM fact WHERE enrolment_id = $1 ORDER BY kind`, string(id))
	return scanAll(rows, err, func(r scanner) (fact fleet.Fact, err error) {
		var v string
		var at int64
		err = r.Scan(&fact.Kind, &v, &at)
		fact.Value, fact.Observed = []byte(v), fromMicros(at)
		return fact, err
	})
}

// SetSupervised meets fleet.Store.
func (f Fleet) SetSupervised(ctx context.Context, id ward.EnrolmentID, s ward.Supervision) error {
	return f.Do(ctx, func(ctx context.Context) error { return f.setSupervised(ctx, id, s) })
}

func (f Fleet) setSupervised(ctx context.Context, id ward.EnrolmentID, s ward.Supervision) error {
	n, err := f.exec(ctx, `UPDATE enrolment SET supervised = $2 WHERE id = $1 AND supervised <> $2`, string(id), string(s))
	if err != nil || n == 0 {
		return err
	}
	unit.AfterCommit(ctx, f.wakeEstate)
	return f.later(ctx, `INSERT INTO posture_due (device_id, tried_at) SELECT device_id, 0 FROM enrolment WHERE id = $1 AND device_id <> ''`, string(id))
}

// Attempts meets reconcile.Fleet.
func (f Fleet) Attempts(ctx context.Context, id ward.EnrolmentID) ([]reconcile.Attempt, error) {
	return f.Commands().Attempts(ctx, id)
}

// EraseAccepted meets reconcile.Fleet.
func (f Fleet) EraseAccepted(ctx context.Context, id ward.EnrolmentID) (time.Time, error) {
	var at int64
	err := f.row(ctx, `SELECT COALESCE(MAX(answered_at), 0) FROM command WHERE enrolment_id = $1 AND request_type = 'EraseDevice' AND state = 'accepted'`, string(id)).Scan(&at)
	return fromMicros(at), err
}

// Hold meets reconcile.Fleet. SQLite has one writer, which holds everything.
func (f Fleet) Hold(ctx context.Context, id ward.DeviceID) error {
	if f.dialect.hold == "" {
		return nil
	}
	var one int
	return missing(f.row(ctx, `SELECT 1 FROM device WHERE id = $1`+f.dialect.hold, string(id)).Scan(&one), "There is no device %s.", id)
}
