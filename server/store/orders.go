package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/order"
)

// Orders keeps orders, their approvals and what became of them.
type Orders struct{ *DB }

var _ order.Store = Orders{}

// Orders returns the store of orders.
func (db *DB) Orders() Orders { return Orders{db} }

// Add meets order.Store.
func (s Orders) Add(ctx context.Context, o order.Order) error {
	options, err := json.Marshal(o.Options)
	if err != nil {
		return fmt.Errorf("options of order %s: %w", o.ID, err)
	}
	return s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `INSERT INTO orders (id, kind, hash, options, reason, case_id, requested_by, requested_name, state, created_at, expires_at, due_at, closed_by, closed_name, closed_at, closed_reason)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '', '', 0, '')`,
			string(o.ID), string(o.Kind), o.Hash, string(options), o.Reason, string(o.Case),
			string(o.RequestedBy), o.RequestedName, string(o.State), micros(o.Created), micros(o.Expires), micros(o.Due)); err != nil {
			return err
		}
		for _, t := range o.Targets {
			if _, err := s.exec(ctx, `INSERT INTO order_target (order_id, device_id, enrolment_id, name, outcome, command, issued_at, delivered_at, answered_at, error)
				VALUES ($1, $2, $3, $4, '', '', 0, 0, 0, '')`, string(o.ID), string(t.Device), string(t.Enrolment), t.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

const orderColumns = `o.id, o.kind, o.hash, o.options, o.reason, o.case_id, o.requested_by, o.requested_name, o.state, o.created_at, o.expires_at, o.due_at, o.closed_by, o.closed_name, o.closed_at, o.closed_reason`

func scanOrder(r scanner) (o order.Order, err error) {
	var created, expires, due, closed int64
	var options string
	if err := r.Scan(&o.ID, &o.Kind, &o.Hash, &options, &o.Reason, &o.Case, &o.RequestedBy, &o.RequestedName,
		&o.State, &created, &expires, &due, &o.Closing.Person, &o.Closing.Name, &closed, &o.Closing.Reason); err != nil {
		return o, err
	}
	if err := json.Unmarshal([]byte(options), &o.Options); err != nil {
		return o, fmt.Errorf("options of order %s: %w", o.ID, err)
	}
	o.Created, o.Expires, o.Due, o.Closing.At = fromMicros(created), fromMicros(expires), fromMicros(due), fromMicros(closed)
	return o, nil
}

// Lock meets order.Store.
func (s Orders) Lock(ctx context.Context, id ward.OrderID) (order.Order, error) {
	var found string
	if err := s.row(ctx, `SELECT id FROM orders WHERE id = $1`+s.dialect.hold, string(id)).Scan(&found); err != nil {
		return order.Order{}, missing(err, "There is no order %s.", id)
	}
	return s.Order(ctx, id)
}

// Order meets order.Store.
func (s Orders) Order(ctx context.Context, id ward.OrderID) (order.Order, error) {
	also, args := scopedOrder(ctx, []any{string(id)})
	o, err := scanOrder(s.row(ctx, `SELECT `+orderColumns+` FROM orders o WHERE o.id = $1`+also, args...))
	if err != nil {
		return o, missing(err, "There is no order %s.", id)
	}
	one := []order.Order{o}
	err = s.fill(ctx, one)
	return one[0], err
}

// List meets order.Store.
func (s Orders) List(ctx context.Context, f order.Filter) ([]order.Order, error) {
	where, args := []string{"TRUE"}, []any{f.Limit}
	add := func(cond string, v string) {
		if v != "" {
			args = append(args, v)
			where = append(where, fmt.Sprintf(cond, len(args)))
		}
	}
	add("o.state = $%d", string(f.State))
	add("o.case_id = $%d AND o.case_id <> ''", string(f.Case))
	add("EXISTS (SELECT 1 FROM order_target t WHERE t.order_id = o.id AND t.device_id = $%d)", string(f.Device))
	add("o.seq < (SELECT a.seq FROM orders a WHERE a.id = $%d)", string(f.After))
	also, args := scopedOrder(ctx, args)
	rows, err := s.query(ctx, `SELECT `+orderColumns+` FROM orders o WHERE `+strings.Join(where, " AND ")+also+` ORDER BY o.seq DESC LIMIT $1`, args...)
	out, err := scanAll(rows, err, scanOrder)
	if err != nil {
		return nil, err
	}
	return out, s.fill(ctx, out)
}

// fill adds targets and approvals to orders. What is not final comes from the queue,
// which is the truth about its commands.
func (s Orders) fill(ctx context.Context, orders []order.Order) error {
	if len(orders) == 0 {
		return nil
	}
	index := make(map[ward.OrderID]int, len(orders))
	marks, args := make([]string, len(orders)), make([]any, len(orders))
	for i, o := range orders {
		index[o.ID], marks[i], args[i] = i, fmt.Sprintf("$%d", i+1), string(o.ID)
	}
	in := strings.Join(marks, ", ")
	rows, err := s.query(ctx, `SELECT t.order_id, t.device_id, t.enrolment_id, t.name, t.outcome, t.command, t.issued_at, t.delivered_at, t.answered_at, t.error,
		COALESCE(c.state, ''), COALESCE(c.delivered_at, 0), COALESCE(c.answered_at, 0), COALESCE(c.error, '')
		FROM order_target t LEFT JOIN command c ON c.uuid = t.command AND c.enrolment_id = t.enrolment_id
		WHERE t.order_id IN (`+in+`) ORDER BY t.order_id, t.device_id`, args...)
	if _, err := scanAll(rows, err, func(r scanner) (struct{}, error) {
		id, t, err := scanTarget(r)
		if err == nil {
			o := &orders[index[id]]
			o.Targets = append(o.Targets, t)
		}
		return struct{}{}, err
	}); err != nil {
		return err
	}
	rows, err = s.query(ctx, `SELECT order_id, hash, person, name, subject, approver, assertion, glass, at FROM order_approval WHERE order_id IN (`+in+`) ORDER BY at, person`, args...)
	_, err = scanAll(rows, err, func(r scanner) (struct{}, error) {
		a, err := scanApproval(r)
		if err == nil {
			o := &orders[index[a.Order]]
			o.Approvals = append(o.Approvals, a)
		}
		return struct{}{}, err
	})
	return err
}

func scanApproval(r scanner) (a order.Approval, err error) {
	var at int64
	var assertion string
	if err := r.Scan(&a.Order, &a.Hash, &a.Person, &a.Name, &a.Subject, &a.Approver, &assertion, &a.Glass, &at); err != nil {
		return a, err
	}
	a.At = fromMicros(at)
	if err := json.Unmarshal([]byte(assertion), &a.Assertion); err != nil { // it proves nothing then
		a.Assertion = approver.Assertion{}
	}
	return a, nil
}

func scanTarget(r scanner) (id ward.OrderID, t order.Target, err error) {
	var issued, delivered, answered, handed, closed int64
	var state command.State
	var reason string
	err = r.Scan(&id, &t.Device, &t.Enrolment, &t.Name, &t.Outcome, &t.Command, &issued, &delivered, &answered, &t.Error, &state, &handed, &closed, &reason)
	t.Issued, t.Delivered, t.Answered = fromMicros(issued), fromMicros(delivered), fromMicros(answered)
	switch {
	case state != "": // the command is kept still
		t.Follow(state, fromMicros(handed), fromMicros(closed), reason)
	case t.Command != "" && !t.Outcome.Final(): // it ended long ago, with its enrolment
		t.Outcome, t.Error = order.Superseded, "its command is no longer kept"
	}
	return id, t, err
}

// AddApproval meets order.Store.
func (s Orders) AddApproval(ctx context.Context, a order.Approval) error {
	assertion, err := json.Marshal(a.Assertion)
	if err != nil {
		return fmt.Errorf("signature of %s: %w", a.Person, err)
	}
	_, err = s.exec(ctx, `INSERT INTO order_approval (order_id, hash, person, name, subject, approver, assertion, glass, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		string(a.Order), a.Hash, string(a.Person), a.Name, a.Subject, a.Approver, string(assertion), a.Glass, micros(a.At))
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "This person has signed this order already.")
	}
	return err
}

// Move meets order.Store.
func (s Orders) Move(ctx context.Context, id ward.OrderID, from, to order.State, due time.Time) (bool, error) {
	n, err := s.exec(ctx, `UPDATE orders SET state = $3, due_at = $4 WHERE id = $1 AND state = $2`, string(id), string(from), string(to), micros(due))
	return n > 0, err
}

// Close meets order.Store.
func (s Orders) Close(ctx context.Context, id ward.OrderID, from, to order.State, c order.Closing) (bool, error) {
	n, err := s.exec(ctx, `UPDATE orders SET state = $3, due_at = 0, closed_by = $4, closed_name = $5, closed_at = $6, closed_reason = $7 WHERE id = $1 AND state = $2`,
		string(id), string(from), string(to), string(c.Person), c.Name, micros(c.At), c.Reason)
	return n > 0, err
}

// openOutcome restricts a query to the targets whose outcome is not final.
const openOutcome = `outcome IN ('', 'waiting', 'delivered', 'not now', 'held')`

// SetTarget meets order.Store.
func (s Orders) SetTarget(ctx context.Context, id ward.OrderID, t order.Target) (bool, error) {
	n, err := s.exec(ctx, `UPDATE order_target SET outcome = $3, command = $4, issued_at = $5, delivered_at = $6, answered_at = $7, error = $8
		WHERE order_id = $1 AND enrolment_id = $2 AND `+openOutcome,
		string(id), string(t.Enrolment), string(t.Outcome), t.Command, micros(t.Issued), micros(t.Delivered), micros(t.Answered), t.Error)
	return n > 0, err
}

// EndTargets meets order.Store.
func (s Orders) EndTargets(ctx context.Context, id ward.OrderID, o order.Outcome, at time.Time, reason, taken string) (int, error) {
	n, err := s.exec(ctx, `UPDATE order_target SET outcome = $2, answered_at = $3, error = $4 WHERE order_id = $1 AND `+openOutcome+`
		AND (command = '' OR EXISTS (SELECT 1 FROM command c WHERE c.uuid = order_target.command AND c.enrolment_id = order_target.enrolment_id AND c.state = 'cancelled' AND c.error = $5))`,
		string(id), string(o), micros(at), reason, taken)
	return int(n), err
}

// Due meets order.Store.
func (s Orders) Due(ctx context.Context, t time.Time, limit int) ([]ward.OrderID, error) {
	return s.ids(ctx, `SELECT id FROM orders WHERE state = 'requested' AND expires_at <= $1 ORDER BY expires_at, id LIMIT $2`, micros(t), limit)
}

// Ready meets order.Store.
func (s Orders) Ready(ctx context.Context, t time.Time, limit int) ([]ward.OrderID, error) {
	return s.ids(ctx, `SELECT id FROM orders WHERE due_at > 0 AND due_at <= $1 AND state IN ('approved', 'issued') ORDER BY due_at, id LIMIT $2`, micros(t), limit)
}

// CountOpen meets order.Store.
func (s Orders) CountOpen(ctx context.Context, by ward.PersonID) (mine, all int, err error) {
	err = s.row(ctx, `SELECT COUNT(CASE WHEN requested_by = $1 THEN 1 END), COUNT(*) FROM orders WHERE state = 'requested'`, string(by)).Scan(&mine, &all)
	return mine, all, err
}

func (s Orders) ids(ctx context.Context, query string, args ...any) ([]ward.OrderID, error) {
	rows, err := s.query(ctx, query, args...)
	return scanAll(rows, err, func(r scanner) (id ward.OrderID, err error) { return id, r.Scan(&id) })
}

// LockOpen meets order.Store. What waits is locked before it is looked at: on PostgreSQL it
// may have been carried on by a unit of work that was still running.
func (s Orders) LockOpen(ctx context.Context) (out []order.Order, err error) {
	err = s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.ids(ctx, `SELECT id FROM orders WHERE state IN ('requested', 'approved') ORDER BY seq`+s.dialect.hold); err != nil {
			return err
		}
		rows, err := s.query(ctx, `SELECT `+orderColumns+` FROM orders o WHERE o.state IN ('requested', 'approved')
			OR (o.state = 'issued' AND (o.due_at > 0 OR o.id IN (SELECT c.order_id FROM command c WHERE c.pending AND c.order_id <> ''))) ORDER BY o.seq`+s.dialect.hold)
		out, err = scanAll(rows, err, scanOrder)
		return err
	})
	return out, err
}

// Glass meets order.Store.
func (s Orders) Glass(ctx context.Context, t time.Time) ([]order.Order, error) {
	rows, err := s.query(ctx, `SELECT `+orderColumns+` FROM orders o WHERE o.id IN (SELECT a.order_id FROM order_approval a WHERE a.glass AND a.at >= $1) ORDER BY o.seq`, micros(t))
	out, err := scanAll(rows, err, scanOrder)
	if err != nil {
		return nil, err
	}
	return out, s.fill(ctx, out)
}
