package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// bounds keeps the names that a person is bounded to as JSON; none are the empty text.
func bounds(names []string) string {
	if len(names) == 0 {
		return ""
	}
	b, err := json.Marshal(names)
	if err != nil { // a list of texts always encodes
		return "?" // which reads as an error, and never as no bound
	}
	return string(b)
}

// AddRole meets access.Roles.
func (a *Access) AddRole(ctx context.Context, r access.Role) error {
	_, err := a.db.exec(ctx, `INSERT INTO role (id, name, name_key, description, permissions, changed_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		string(r.ID), r.Name, strings.ToLower(r.Name), r.Description, words(r.Permissions), micros(a.db.now()))
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "There is a role with the id %s or the name %s already. Choose another.", r.ID, r.Name).Because(err)
	}
	return err
}

// Roles meets access.Roles.
func (a *Access) Roles(ctx context.Context) ([]access.Role, error) {
	rows, err := a.db.query(ctx, `SELECT id, name, description, permissions FROM role ORDER BY id`)
	return scanAll(rows, err, func(row scanner) (r access.Role, err error) {
		var permissions string
		err = row.Scan(&r.ID, &r.Name, &r.Description, &permissions)
		r.Permissions = split[access.Permission](permissions)
		return r, err
	})
}

// UpdateRole meets access.Roles.
func (a *Access) UpdateRole(ctx context.Context, r access.Role) error {
	n, err := a.db.exec(ctx, `UPDATE role SET name = $2, name_key = $3, description = $4, permissions = $5, changed_at = $6 WHERE id = $1`,
		string(r.ID), r.Name, strings.ToLower(r.Name), r.Description, words(r.Permissions), micros(a.db.now()))
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "There is a role called %s already. Choose another name.", r.Name).Because(err)
	}
	return oneRole(n, err, r.ID)
}

// DeleteRole meets access.Roles.
func (a *Access) DeleteRole(ctx context.Context, id ward.Role) error {
	n, err := a.db.exec(ctx, `DELETE FROM role WHERE id = $1`, string(id))
	return oneRole(n, err, id)
}

func oneRole(n int64, err error, id ward.Role) error {
	if err == nil && n == 0 {
		return ward.Errorf(ward.NotFound, "There is no role %q that somebody made.", id)
	}
	return err
}

// Holders meets access.Roles. An id of a role holds nothing that LIKE reads as more than
// itself.
func (a *Access) Holders(ctx context.Context, id ward.Role, limit int) ([]access.Person, error) {
	rows, err := a.db.query(ctx, `SELECT `+personColumns+` FROM person p WHERE ' ' || p.roles || ' ' LIKE $1 ORDER BY p.id LIMIT $2`, "% "+string(id)+" %", limit)
	return scanAll(rows, err, scanPerson)
}

// ErasePerson meets access.Erasures. The name of somebody who is erased is nobody's, so its
// key is the id.
func (a *Access) ErasePerson(ctx context.Context, id ward.PersonID, at time.Time) error {
	return a.db.Do(ctx, func(ctx context.Context) error {
		for _, q := range []struct {
			text string
			args []any
		}{
			{`UPDATE person SET name = $2, name_key = $1, email = '', roles = '', passphrase = '', scope_sites = '', scope_groups = '', erased_at = $3,
				disabled_at = CASE WHEN disabled_at = 0 THEN $3 ELSE disabled_at END WHERE id = $1`, []any{string(id), access.ErasedName, micros(at)}},
			{`UPDATE access_token SET revoked_at = CASE WHEN revoked_at = 0 THEN $2 ELSE revoked_at END, name = '' WHERE person_id = $1`, []any{string(id), micros(at)}},
			{`DELETE FROM access_link WHERE person_id = $1`, []any{string(id)}},
		} {
			if _, err := a.db.exec(ctx, q.text, q.args...); err != nil {
				return err
			}
		}
		return nil
	})
}
