package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/unit"
)

var _ order.Queue = Commands{}

// notTaken restricts a query to the open commands that no device holds.
const notTaken = `pending AND state IN ('waiting', 'not now', 'held')`

const takeBack = `UPDATE command SET pending = FALSE, deferred = FALSE, state = 'cancelled', answered_at = $1, error = $2, sealed = $3`

// TakeBack meets order.Queue.
func (c Commands) TakeBack(ctx context.Context, id ward.OrderID, reason string) (int, error) {
	which, args := `order_id <> ''`, []any{micros(c.now()), reason, []byte(spent)}
	if id != "" {
		which, args = `order_id = $4 AND order_id <> ''`, append(args, string(id))
	}
	n, err := c.exec(ctx, takeBack+` WHERE `+which+` AND `+notTaken, args...)
	if err != nil {
		return 0, fmt.Errorf("take back commands of orders: %w", err)
	}
	return int(n), nil
}

// TakeBackIf meets order.Queue.
func (c Commands) TakeBackIf(ctx context.Context, reason string, match func(r command.Record, body []byte) bool) (taken, tooLate int, err error) {
	err = c.Do(ctx, func(ctx context.Context) error {
		taken, tooLate = 0, 0
		type row struct {
			command.Record
			sealed []byte
		}
		marks, args := make([]string, len(dangerous)), make([]any, len(dangerous))
		for i, t := range dangerous {
			marks[i], args[i] = fmt.Sprintf("$%d", i+1), t
		}
		rows, err := c.query(ctx, `SELECT sealed, `+commandColumns+` FROM command WHERE pending AND request_type IN (`+strings.Join(marks, ", ")+`) ORDER BY seq`+c.dialect.hold, args...)
		open, err := scanAll(rows, err, func(s scanner) (r row, err error) {
			r.Record, err = scanCommand(prefixed{s, &r.sealed})
			return r, err
		})
		if err != nil {
			return err
		}
		for _, r := range open {
			body, err := c.queue.Open(r.sealed, place(r.UUID, r.Enrolment, r.RequestType, r.Order, micros(r.Expires))...)
			if err != nil {
				body = nil // it would never be delivered
			}
			if !match(r.Record, body) {
				continue
			}
			if r.State == command.Delivered {
				tooLate++
				continue
			}
			if err := c.close(ctx, r.Record, command.Cancelled, reason); err != nil {
				return err
			}
			taken++
		}
		return nil
	})
	return taken, tooLate, err
}

// OweHeld meets order.Queue.
func (c Commands) OweHeld(ctx context.Context) (int, error) {
	n, err := c.exec(ctx, `INSERT INTO push (enrolment_id, due_at, attempts, leased_until)
		SELECT DISTINCT enrolment_id, CAST($1 AS BIGINT), 0, 0 FROM command WHERE state = 'held' AND pending
		ON CONFLICT (enrolment_id) DO UPDATE SET due_at = CASE WHEN push.due_at < excluded.due_at THEN push.due_at ELSE excluded.due_at END, attempts = 0, leased_until = 0`,
		micros(c.now()))
	if err != nil {
		return 0, fmt.Errorf("owe pushes for held commands: %w", err)
	}
	unit.AfterCommit(ctx, c.wakePusher)
	return int(n), nil
}

// ExpireDue closes up to limit commands whose time has passed at now and which no device
// holds, and returns them as they are then. One that was delivered is closed when its device
// asks for commands again without having answered it.
func (c Commands) ExpireDue(ctx context.Context, now time.Time, limit int) (closed []command.Record, err error) {
	err = c.Do(ctx, func(ctx context.Context) error {
		rows, err := c.query(ctx, `UPDATE command SET pending = FALSE, deferred = FALSE, state = 'expired', answered_at = $1, error = $2, sealed = $3
			WHERE seq IN (SELECT seq FROM command WHERE pending AND expires_at > 0 AND expires_at <= $1 AND state IN ('waiting', 'not now', 'held') ORDER BY expires_at LIMIT $4)
			AND `+notTaken+` RETURNING `+commandColumns, micros(now), expiredWhy, []byte(spent), limit)
		if closed, err = scanAll(rows, err, scanCommand); err != nil {
			return err
		}
		for _, r := range closed {
			if err := c.settle(ctx, r.Enrolment, r.StepKey, r.UUID, command.Expired, micros(now), expiredWhy); err != nil {
				return err
			}
			if err := c.lapsed(ctx, r, micros(now)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("expire commands: %w", err)
	}
	return closed, nil
}

// lapsed tells the order of a command that its time has passed.
func (c Commands) lapsed(ctx context.Context, r command.Record, at int64) error {
	if r.Order == "" {
		return nil
	}
	_, err := c.exec(ctx, `UPDATE order_target SET outcome = 'expired', answered_at = $4, error = $5
		WHERE order_id = $1 AND enrolment_id = $2 AND command = $3 AND `+openOutcome, string(r.Order), string(r.Enrolment), r.UUID, at, expiredWhy)
	return err
}
