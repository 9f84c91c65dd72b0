package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

// conditions gathers the conditions of a statement with their arguments.
type conditions struct {
	where []string
	args  []any
}

// arg adds an argument and returns its placeholder.
func (c *conditions) arg(v any) string {
	c.args = append(c.args, v)
	return fmt.Sprintf("$%d", len(c.args))
}

func (c *conditions) add(cond string) { c.where = append(c.where, cond) }

// clause is the WHERE clause, empty without conditions.
func (c *conditions) clause() string {
	if len(c.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.where, " AND ")
}

// stateOf is an invitation's state in SQL, as enrollment.Invitation.State has it.
func stateOf(now string) string {
	return `CASE WHEN used_at <> 0 THEN 'used' WHEN revoked_at <> 0 THEN 'revoked' WHEN expires_at <= ` + now + ` THEN 'expired' ELSE 'open' END`
}

func invitationsMeant(ctx context.Context, q enrollment.Query) *conditions {
	c := &conditions{}
	cond, args := within(ward.ActorFrom(ctx).Scope, "invitation.device_id", nil)
	if c.args = args; cond != "" {
		c.add(cond)
	}
	if q.Search != "" {
		like := c.arg("%" + likeEscape.Replace(q.Search) + "%")
		c.add(`(LOWER(name) LIKE ` + like + ` ESCAPE '\' OR LOWER(email) LIKE ` + like + ` ESCAPE '\' OR LOWER(device_name) LIKE ` + like + ` ESCAPE '\' OR LOWER(serial) LIKE ` + like + ` ESCAPE '\')`)
	}
	return c
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// Invitations meets enrollment.Store.
func (s *Invitations) Invitations(ctx context.Context, q enrollment.Query) ([]enrollment.Invitation, error) {
	c := invitationsMeant(ctx, q)
	if q.State != "" {
		c.add(stateOf(c.arg(micros(q.Now))) + " = " + c.arg(string(q.State)))
	}
	if q.Before != "" {
		c.add("id < " + c.arg(q.Before))
	}
	limit := c.arg(q.Limit)
	rows, err := s.db.query(ctx, `SELECT `+invitationColumns+` FROM invitation`+c.clause()+` ORDER BY id DESC LIMIT `+limit, c.args...)
	return scanAll(rows, err, scanInvitation)
}

// CountInvitations meets enrollment.Store.
func (s *Invitations) CountInvitations(ctx context.Context, q enrollment.Query) (map[enrollment.State]int, error) {
	c := invitationsMeant(ctx, q)
	state := stateOf(c.arg(micros(q.Now)))
	rows, err := s.db.query(ctx, `SELECT state, COUNT(*) FROM (SELECT `+state+` AS state FROM invitation`+c.clause()+`) AS meant GROUP BY state`, c.args...)
	type count struct {
		state string
		n     int
	}
	all, err := scanAll(rows, err, func(r scanner) (k count, err error) { return k, r.Scan(&k.state, &k.n) })
	if err != nil {
		return nil, fmt.Errorf("count invitations: %w", err)
	}
	out := map[enrollment.State]int{}
	for _, k := range all {
		out[enrollment.State(k.state)] = k.n
	}
	return out, nil
}
