package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/reconcile"
)

// Commands is the command queue. What waits stands in a small index of its own, so
// that fetching the next command costs the same however long a history is.
type Commands struct{ *DB }

var _ command.Queue = Commands{}

// Commands returns the command queue.
func (db *DB) Commands() Commands { return Commands{db} }

// openCommand restricts a query to the commands that the device may still be given or answer.
// Naming urgent has SQLite take the small index of these: it knows no statistics, and
// would as soon read a device's whole history.
const openCommand = `pending AND urgent >= -1`

const resume = `UPDATE command SET deferred = FALSE WHERE enrolment_id = $1 AND ` + openCommand + ` AND deferred`

const next = `UPDATE command SET state = 'delivered', delivered_at = $2, deliveries = deliveries + 1, error = ''
	WHERE seq = (SELECT seq FROM command WHERE enrolment_id = $1 AND ` + openCommand + ` AND NOT deferred ORDER BY urgent, seq LIMIT 1) AND pending
	RETURNING sealed, ` + commandColumns

// spent takes the place of a command's sealed body once it has ended: whoever sets an
// ended row back to pending has nothing that could be delivered.
const spent = "-"

// place binds a sealed command to its row, and to the time that it expires at.
func place(uuid string, id ward.EnrolmentID, requestType string, order ward.OrderID, expires int64) []string {
	p := []string{uuid, string(id), requestType, string(order)}
	if expires != 0 {
		p = append(p, strconv.FormatInt(expires, 10))
	}
	return p
}

// Enqueue meets command.Queue.
func (c Commands) Enqueue(ctx context.Context, n command.New) (string, error) {
	if n.UUID == "" {
		n.UUID = strings.ToUpper(uuid.NewString())
	}
	now, expires := micros(c.now()), micros(n.Expires)
	sealed := c.queue.Seal(n.Body, place(n.UUID, n.Enrolment, n.RequestType, n.Order, expires)...)
	urgent := 1 // sorts after
	if n.Urgent {
		urgent = 0
	}
	if n.First {
		urgent = -1
	}
	err := c.Do(ctx, func(ctx context.Context) error {
		rows, err := c.exec(ctx, `INSERT INTO command (uuid, enrolment_id, request_type, sealed, urgent, pending, deferred, state, step_key, case_id, order_id, requested_by, created_at, delivered_at, deliveries, not_now_at, answered_at, error, expires_at)
			SELECT $1, e.id, $3, $4, $5, TRUE, FALSE, 'waiting', $6, $7, $8, $9, $10, 0, 0, 0, 0, '', $11 FROM enrolment e WHERE e.id = $2 AND e.state = 'active'
			ON CONFLICT (uuid, enrolment_id) DO NOTHING`, // a failed INSERT would end the whole unit on PostgreSQL
			n.UUID, string(n.Enrolment), n.RequestType, sealed, urgent, n.StepKey, string(n.Case), string(n.Order), string(n.By), now, expires)
		if err != nil {
			return err
		}
		if rows == 0 {
			return c.refused(ctx, n)
		}
		if n.StepKey != "" {
			if err := c.attempt(ctx, n, now); err != nil {
				return err
			}
		}
		if n.NoPush {
			return nil
		}
		return c.OwePush(ctx, n.Enrolment, c.now())
	})
	return n.UUID, err
}

// refused says why a command was not queued.
func (c Commands) refused(ctx context.Context, n command.New) error {
	if _, err := c.Command(ctx, n.UUID, n.Enrolment); err == nil {
		return ward.Errorf(ward.Conflict, "This device has had a command with the CommandUUID %s already.", n.UUID)
	}
	return ward.Errorf(ward.NotFound, "The enrolment %s is not active: it takes no commands.", n.Enrolment)
}

func (c Commands) attempt(ctx context.Context, n command.New, now int64) error {
	_, err := c.exec(ctx, `INSERT INTO attempt (enrolment_id, step_key, uuid, state, tries, queued_at, answered_at, error) VALUES ($1, $2, $3, 'waiting', 1, $4, 0, '')
		ON CONFLICT (enrolment_id, step_key) DO UPDATE SET uuid = excluded.uuid, state = 'waiting', tries = attempt.tries + 1, queued_at = excluded.queued_at, answered_at = 0, error = ''`,
		string(n.Enrolment), n.StepKey, n.UUID, now)
	return err
}

// settle keeps the outcome of a step's newest attempt.
func (c Commands) settle(ctx context.Context, id ward.EnrolmentID, stepKey, uuid string, s command.State, at int64, reason string) error {
	if stepKey == "" {
		return nil
	}
	tries := ""
	if s == command.Accepted { // a step that succeeds starts afresh
		tries = ", tries = 0"
	}
	_, err := c.exec(ctx, `UPDATE attempt SET state = $4, answered_at = $5, error = $6`+tries+` WHERE enrolment_id = $1 AND step_key = $2 AND uuid = $3`,
		string(id), stepKey, uuid, string(s), at, reason)
	return err
}

// Attempts returns the newest attempt of each step for an enrolment.
func (c Commands) Attempts(ctx context.Context, id ward.EnrolmentID) ([]reconcile.Attempt, error) {
	rows, err := c.query(ctx, `SELECT step_key, state, tries, queued_at, answered_at, error FROM attempt WHERE enrolment_id = $1 ORDER BY step_key`, string(id))
	return scanAll(rows, err, func(r scanner) (a reconcile.Attempt, err error) {
		var queued, answered int64
		err = r.Scan(&a.Key, &a.State, &a.Tries, &queued, &answered, &a.Error)
		a.Queued, a.Answered = fromMicros(queued), fromMicros(answered)
		return a, err
	})
}

const commandColumns = `seq, uuid, enrolment_id, request_type, urgent, state, step_key, case_id, order_id, requested_by, created_at, delivered_at, deliveries, not_now_at, answered_at, error, expires_at`

func scanCommand(r scanner) (c command.Record, err error) {
	var urgent int
	var created, delivered, notNow, answered, expires int64
	err = r.Scan(&c.Seq, &c.UUID, &c.Enrolment, &c.RequestType, &urgent, &c.State, &c.StepKey, &c.Case, &c.Order, &c.By, &created, &delivered, &c.Deliveries, &notNow, &answered, &c.Error, &expires)
	c.Urgent = urgent <= 0
	c.Created, c.Delivered, c.NotNow, c.Answered = fromMicros(created), fromMicros(delivered), fromMicros(notNow), fromMicros(answered)
	c.Expires = fromMicros(expires)
	return c, err
}

// List returns up to limit commands of an enrolment that are older than before, the
// newest first; before 0 starts with the newest.
func (c Commands) List(ctx context.Context, id ward.EnrolmentID, before int64, limit int) ([]command.Record, error) {
	if before == 0 {
		before = 1<<63 - 1
	}
	rows, err := c.query(ctx, `SELECT `+commandColumns+` FROM command WHERE enrolment_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3`, string(id), before, limit)
	return scanAll(rows, err, scanCommand)
}

// Open returns the commands of an enrolment that it may still be given or answer, in
// the order of their delivery.
func (c Commands) Open(ctx context.Context, id ward.EnrolmentID) ([]command.Record, error) {
	return c.open(ctx, id, "")
}

func (c Commands) open(ctx context.Context, id ward.EnrolmentID, suffix string) ([]command.Record, error) {
	rows, err := c.query(ctx, `SELECT `+commandColumns+` FROM command WHERE enrolment_id = $1 AND `+openCommand+` ORDER BY urgent, seq`+suffix, string(id))
	return scanAll(rows, err, scanCommand)
}

// Command returns one command.
func (c Commands) Command(ctx context.Context, uuid string, id ward.EnrolmentID) (command.Record, error) {
	r, err := scanCommand(c.row(ctx, `SELECT `+commandColumns+` FROM command WHERE uuid = $1 AND enrolment_id = $2`, uuid, string(id)))
	return r, missing(err, "There is no command %s for this enrolment.", uuid)
}

// CancelOpen meets command.Queue.
func (c Commands) CancelOpen(ctx context.Context, id ward.EnrolmentID, reason string, match func(command.Record) bool) (n int, err error) {
	err = c.Do(ctx, func(ctx context.Context) error {
		open, err := c.open(ctx, id, c.dialect.hold) // or one might be handed out between
		if err != nil {
			return err
		}
		for _, r := range open {
			if match != nil && !match(r) {
				continue
			}
			if err := c.close(ctx, r, command.Cancelled, reason); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// close takes a command out of the queue without an answer.
func (c Commands) close(ctx context.Context, r command.Record, s command.State, reason string) error {
	now := micros(c.now())
	if _, err := c.exec(ctx, `UPDATE command SET pending = FALSE, deferred = FALSE, state = $3, answered_at = $4, error = $5, sealed = $6 WHERE uuid = $1 AND enrolment_id = $2 AND pending`,
		r.UUID, string(r.Enrolment), string(s), now, reason, []byte(spent)); err != nil {
		return fmt.Errorf("close command %s: %w", r.UUID, err)
	}
	return c.settle(ctx, r.Enrolment, r.StepKey, r.UUID, s, now, reason)
}

// Answer is what a device reports of a command.
type Answer struct {
	UUID   string
	State  command.State // Accepted, Refused or Deferred
	Reason string        // the device's, when refused
	Raw    []byte
	Secret bool // Raw is sealed: it holds a location or a secret
}

// Report keeps a device's answer. known is false for a command that is not open: a
// repeated answer, or one to a command that never was; nothing changes then.
func (c Commands) Report(ctx context.Context, id ward.EnrolmentID, a Answer) (r command.Record, known bool, err error) {
	err = c.Do(ctx, func(ctx context.Context) error {
		r, known, err = c.report(ctx, id, a)
		return err
	})
	return r, known, err
}

func (c Commands) report(ctx context.Context, id ward.EnrolmentID, a Answer) (r command.Record, known bool, err error) {
	now := micros(c.now())
	if a.State == command.Deferred {
		r, err = scanCommand(c.row(ctx, `UPDATE command SET deferred = TRUE, state = 'not now', not_now_at = $3
			WHERE uuid = $1 AND enrolment_id = $2 AND pending RETURNING `+commandColumns, a.UUID, string(id), now))
		return r, err == nil, none(err)
	}
	raw := a.Raw
	if a.Secret {
		raw = c.secrets.Seal(raw, "answer", a.UUID, string(id))
	}
	r, err = scanCommand(c.row(ctx, `UPDATE command SET pending = FALSE, deferred = FALSE, state = $3, answered_at = $4, error = $5, answer = $6, sealed = $7
		WHERE uuid = $1 AND enrolment_id = $2 AND pending RETURNING `+commandColumns, a.UUID, string(id), string(a.State), now, a.Reason, raw, []byte(spent)))
	if err != nil {
		return r, false, none(err)
	}
	return r, true, c.settle(ctx, id, r.StepKey, a.UUID, a.State, now, a.Reason)
}

// Resume lets commands that were answered NotNow be given again: a new connection
// of the device has begun.
func (c Commands) Resume(ctx context.Context, id ward.EnrolmentID) error {
	return c.later(ctx, resume, string(id))
}
