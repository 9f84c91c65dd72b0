package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
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
	return s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `INSERT INTO orders (id, kind, hash, preserve_data_plan, disallow_proximity_setup, reason, case_id, requested_by, requested_name, state, created_at, expires_at, closed_by, closed_name, closed_at, closed_reason)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '', '', 0, '')`,
			string(o.ID), string(o.Kind), o.Hash, o.Options.PreserveDataPlan, o.Options.DisallowProximitySetup, o.Reason, string(o.Case),
			string(o.RequestedBy), o.RequestedName, string(o.State), micros(o.Created), micros(o.Expires)); err != nil {
			return err
		}
		for _, t := range o.Targets {
			if _, err := s.exec(ctx, `INSERT INTO order_target (order_id, device_id, enrolment_id, name, outcome, command, delivered_at, answered_at, error)
				VALUES ($1, $2, $3, $4, '', '', 0, 0, '')`, string(o.ID), string(t.Device), string(t.Enrolment), t.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

const orderColumns = `o.id, o.kind, o.hash, o.preserve_data_plan, o.disallow_proximity_setup, o.reason, o.case_id, o.requested_by, o.requested_name, o.state, o.created_at, o.expires_at, o.closed_by, o.closed_name, o.closed_at, o.closed_reason`

func scanOrder(r scanner) (o order.Order, err error) {
	var created, expires, closed int64
	err = r.Scan(&o.ID, &o.Kind, &o.Hash, &o.Options.PreserveDataPlan, &o.Options.DisallowProximitySetup, &o.Reason, &o.Case, &o.RequestedBy, &o.RequestedName,
		&o.State, &created, &expires, &o.Closing.Person, &o.Closing.Name, &closed, &o.Closing.Reason)
	o.Created, o.Expires, o.Closing.At = fromMicros(created), fromMicros(expires), fromMicros(closed)
	return o, err
}

// Order meets order.Store.
func (s Orders) Order(ctx context.Context, id ward.OrderID) (order.Order, error) {
	o, err := scanOrder(s.row(ctx, `SELECT `+orderColumns+` FROM orders o WHERE o.id = $1`, string(id)))
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
	rows, err := s.query(ctx, `SELECT `+orderColumns+` FROM orders o WHERE `+strings.Join(where, " AND ")+` ORDER BY o.seq DESC LIMIT $1`, args...)
	out, err := scanAll(rows, err, func(r scanner) (order.Order, error) { return scanOrder(r) })
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
	rows, err := s.query(ctx, `SELECT t.order_id, t.device_id, t.enrolment_id, t.name, t.outcome, t.command, t.delivered_at, t.answered_at, t.error,
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
	rows, err = s.query(ctx, `SELECT order_id, hash, person, name, via, token, at FROM order_approval WHERE order_id IN (`+in+`) ORDER BY at, person`, args...)
	_, err = scanAll(rows, err, func(r scanner) (struct{}, error) {
		var a order.Approval
		var at int64
		err := r.Scan(&a.Order, &a.Hash, &a.Person, &a.Name, &a.Via, &a.Token, &at)
		if err == nil {
			a.At = fromMicros(at)
			o := &orders[index[a.Order]]
			o.Approvals = append(o.Approvals, a)
		}
		return struct{}{}, err
	})
	return err
}

func scanTarget(r scanner) (id ward.OrderID, t order.Target, err error) {
	var delivered, answered, handed, closed int64
	var state command.State
	var reason string
	err = r.Scan(&id, &t.Device, &t.Enrolment, &t.Name, &t.Outcome, &t.Command, &delivered, &answered, &t.Error, &state, &handed, &closed, &reason)
	t.Delivered, t.Answered = fromMicros(delivered), fromMicros(answered)
	if state != "" { // the command is kept still
		t.Follow(state, fromMicros(handed), fromMicros(closed), reason)
	}
	return id, t, err
}

// Issue meets order.Store.
func (s Orders) Issue(ctx context.Context, a order.Approval) (ok bool, err error) {
	err = s.Do(ctx, func(ctx context.Context) error {
		n, err := s.exec(ctx, `UPDATE orders SET state = 'issued' WHERE id = $1 AND state = 'requested' AND hash = $2 AND requested_by <> $3 AND expires_at > $4`,
			string(a.Order), a.Hash, string(a.Person), micros(a.At))
		if err != nil || n == 0 {
			return err
		}
		ok = true
		_, err = s.exec(ctx, `INSERT INTO order_approval (order_id, hash, requested_by, person, name, via, token, at)
			SELECT o.id, o.hash, o.requested_by, $2, $3, $4, $5, $6 FROM orders o WHERE o.id = $1`,
			string(a.Order), string(a.Person), a.Name, string(a.Via), a.Token, micros(a.At))
		return err
	})
	return ok && err == nil, err
}

// Close meets order.Store.
func (s Orders) Close(ctx context.Context, id ward.OrderID, from, to order.State, c order.Closing) (bool, error) {
	n, err := s.exec(ctx, `UPDATE orders SET state = $3, closed_by = $4, closed_name = $5, closed_at = $6, closed_reason = $7 WHERE id = $1 AND state = $2`,
		string(id), string(from), string(to), string(c.Person), c.Name, micros(c.At), c.Reason)
	return n > 0, err
}

// SetTarget meets order.Store.
func (s Orders) SetTarget(ctx context.Context, id ward.OrderID, t order.Target) (bool, error) {
	n, err := s.exec(ctx, `UPDATE order_target SET outcome = $3, command = $4, delivered_at = $5, answered_at = $6, error = $7
		WHERE order_id = $1 AND enrolment_id = $2 AND outcome IN ('', 'waiting', 'delivered', 'not now')`,
		string(id), string(t.Enrolment), string(t.Outcome), t.Command, micros(t.Delivered), micros(t.Answered), t.Error)
	return n > 0, err
}

// Due meets order.Store.
func (s Orders) Due(ctx context.Context, t time.Time, limit int) ([]ward.OrderID, error) {
	rows, err := s.query(ctx, `SELECT id FROM orders WHERE state = 'requested' AND expires_at <= $1 ORDER BY expires_at, id LIMIT $2`, micros(t), limit)
	return scanAll(rows, err, func(r scanner) (id ward.OrderID, err error) { return id, r.Scan(&id) })
}
