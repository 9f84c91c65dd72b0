package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// Access keeps people, their tokens, links and passphrases.
type Access struct{ db *DB }

// Access returns the store of people and what they prove themselves with.
func (db *DB) Access() *Access { return &Access{db} }

var _ access.Store = (*Access)(nil)

// Do runs fn as one unit of work; see DB.Do.
func (a *Access) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	return a.db.Do(ctx, fn)
}

// words joins what has no spaces, such as roles; split is its inverse.
func words[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return strings.Join(out, " ")
}

func split[T ~string](s string) (out []T) {
	for w := range strings.FieldsSeq(s) {
		out = append(out, T(w))
	}
	return out
}

const personColumns = `p.id, p.name, p.email, p.roles, p.created_at, p.activated_at, p.disabled_at, p.scope_sites, p.scope_groups, p.erased_at`

// personFields are where personColumns are scanned to; done turns them into p.
func personFields(p *access.Person) (fields []any, done func() error) {
	var roles, sites, groups string
	var created, activated, disabled, erased int64
	return []any{&p.ID, &p.Name, &p.Email, &roles, &created, &activated, &disabled, &sites, &groups, &erased}, func() error {
		p.Roles = split[ward.Role](roles)
		p.Created, p.Activated, p.DisabledAt, p.ErasedAt = fromMicros(created), fromMicros(activated), fromMicros(disabled), fromMicros(erased)
		// A bound that can't be read must not read as none.
		if err := errors.Join(unpack(sites, &p.Scope.Sites), unpack(groups, &p.Scope.Groups)); err != nil {
			return fmt.Errorf("scope of %s: %w", p.ID, err)
		}
		return nil
	}
}

func scanPerson(row interface{ Scan(...any) error }) (p access.Person, _ error) {
	fields, done := personFields(&p)
	if err := row.Scan(fields...); err != nil {
		return p, err
	}
	return p, done()
}

// AddPerson meets access.People.
func (a *Access) AddPerson(ctx context.Context, p access.Person) error {
	_, err := a.db.exec(ctx, `INSERT INTO person (id, name, name_key, email, roles, passphrase, created_at, activated_at, disabled_at, scope_sites, scope_groups)
		VALUES ($1, $2, $3, $4, $5, '', $6, $7, $8, $9, $10)`,
		string(p.ID), p.Name, strings.ToLower(p.Name), p.Email, words(p.Roles), micros(p.Created), micros(p.Activated), micros(p.DisabledAt), bounds(p.Scope.Sites), bounds(p.Scope.Groups))
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "There is a person called %s already. Choose another name.", p.Name).Because(err)
	}
	return err
}

// Person meets access.People.
func (a *Access) Person(ctx context.Context, id ward.PersonID) (access.Person, error) {
	p, err := scanPerson(a.db.row(ctx, `SELECT `+personColumns+` FROM person p WHERE p.id = $1`, string(id)))
	return p, missing(err, "There is no person %s.", id)
}

// PersonByName meets access.People.
func (a *Access) PersonByName(ctx context.Context, name string) (access.Person, error) {
	p, err := scanPerson(a.db.row(ctx, `SELECT `+personColumns+` FROM person p WHERE p.name_key = $1`, strings.ToLower(name)))
	return p, missing(err, "There is no person called %s.", name)
}

// People meets access.People.
func (a *Access) People(ctx context.Context, after ward.PersonID, limit int) ([]access.Person, error) {
	rows, err := a.db.query(ctx, `SELECT `+personColumns+` FROM person p WHERE p.id > $1 ORDER BY p.id LIMIT $2`, string(after), limit)
	return scanAll(rows, err, scanPerson)
}

// CountPeople meets access.People. SQLite has one writer and needs no lock.
func (a *Access) CountPeople(ctx context.Context) (people, admins int, err error) {
	if a.db.dialect.name == "postgres" {
		if _, err := a.db.exec(ctx, `LOCK TABLE person IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return 0, 0, err
		}
	}
	err = a.db.row(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN disabled_at = 0 AND scope_sites = '' AND scope_groups = '' AND ' ' || roles || ' ' LIKE '% admin %' THEN 1 ELSE 0 END), 0) FROM person`).Scan(&people, &admins)
	return people, admins, err
}

// UpdatePerson meets access.People.
func (a *Access) UpdatePerson(ctx context.Context, p access.Person) error {
	n, err := a.db.exec(ctx, `UPDATE person SET roles = $1, disabled_at = $2, scope_sites = $3, scope_groups = $4 WHERE id = $5`,
		words(p.Roles), micros(p.DisabledAt), bounds(p.Scope.Sites), bounds(p.Scope.Groups), string(p.ID))
	if err == nil && n == 0 {
		return ward.Errorf(ward.NotFound, "There is no person %s.", p.ID)
	}
	return err
}

// ActivatePerson meets access.People.
func (a *Access) ActivatePerson(ctx context.Context, id ward.PersonID, at time.Time) error {
	_, err := a.db.exec(ctx, `UPDATE person SET activated_at = $1 WHERE id = $2 AND activated_at = 0`, micros(at), string(id))
	return err
}

// Passphrase meets access.Secrets.
func (a *Access) Passphrase(ctx context.Context, id ward.PersonID) (encoded string, _ error) {
	err := a.db.row(ctx, `SELECT passphrase FROM person WHERE id = $1`, string(id)).Scan(&encoded)
	return encoded, missing(err, "There is no person %s.", id)
}

// SetPassphrase meets access.Secrets.
func (a *Access) SetPassphrase(ctx context.Context, id ward.PersonID, encoded string) error {
	_, err := a.db.exec(ctx, `UPDATE person SET passphrase = $1 WHERE id = $2`, encoded, string(id))
	return err
}

// AddLink meets access.Secrets.
func (a *Access) AddLink(ctx context.Context, l access.Link) error {
	return a.db.Do(ctx, func(ctx context.Context) error {
		if _, err := a.db.exec(ctx, `DELETE FROM access_link WHERE person_id = $1 AND kind = $2`, string(l.Person), string(l.Kind)); err != nil {
			return err
		}
		_, err := a.db.exec(ctx, `INSERT INTO access_link (hash, person_id, kind, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
			l.Hash, string(l.Person), string(l.Kind), micros(l.Created), micros(l.Expires))
		return err
	})
}

// TakeLink meets access.Secrets.
func (a *Access) TakeLink(ctx context.Context, hash string) (l access.Link, err error) {
	var created, expires int64
	err = a.db.Do(ctx, func(ctx context.Context) error {
		return a.db.row(ctx, `DELETE FROM access_link WHERE hash = $1 RETURNING hash, person_id, kind, created_at, expires_at`, hash).
			Scan(&l.Hash, &l.Person, &l.Kind, &created, &expires)
	})
	l.Created, l.Expires = fromMicros(created), fromMicros(expires)
	return l, missing(err, "There is no such link.")
}

// Attempt meets access.Secrets.
func (a *Access) Attempt(ctx context.Context, key string, now time.Time, wait func(int, time.Time) time.Duration) (left time.Duration, err error) {
	err = a.db.Do(ctx, func(ctx context.Context) error {
		var failures int
		var last int64
		// The update changes nothing: it locks the row, and makes one that was not there.
		if err := a.db.row(ctx, `INSERT INTO access_attempt (key, failures, last_at) VALUES ($1, 0, 0)
			ON CONFLICT (key) DO UPDATE SET failures = access_attempt.failures RETURNING failures, last_at`, key).Scan(&failures, &last); err != nil {
			return err
		}
		if left = max(0, wait(failures, fromMicros(last))); left > 0 {
			return nil
		}
		_, err := a.db.exec(ctx, `UPDATE access_attempt SET failures = $1, last_at = $2 WHERE key = $3`, failures+1, micros(now), key)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count attempt: %w", err)
	}
	return left, nil
}

// ClearAttempts meets access.Secrets.
func (a *Access) ClearAttempts(ctx context.Context, key string) error {
	_, err := a.db.exec(ctx, `DELETE FROM access_attempt WHERE key = $1`, key)
	return err
}

// Purge meets access.Secrets.
func (a *Access) Purge(ctx context.Context, links, attempts time.Time) error {
	return a.db.Do(ctx, func(ctx context.Context) error {
		if _, err := a.db.exec(ctx, `DELETE FROM access_link WHERE expires_at < $1`, micros(links)); err != nil {
			return err
		}
		_, err := a.db.exec(ctx, `DELETE FROM access_attempt WHERE last_at < $1`, micros(attempts))
		return err
	})
}

const tokenColumns = `t.id, t.person_id, t.name, t.scopes, t.created_at, t.expires_at, t.last_used_at, t.revoked_at` //nolint:gosec // names of columns, not secrets

func tokenFields(t *access.Token) (fields []any, done func()) {
	var scopes string
	var created, expires, used, revoked int64
	return []any{&t.ID, &t.Person, &t.Name, &scopes, &created, &expires, &used, &revoked}, func() {
		t.Scopes = split[access.Permission](scopes)
		t.Created, t.Expires, t.LastUsed, t.RevokedAt = fromMicros(created), fromMicros(expires), fromMicros(used), fromMicros(revoked)
	}
}

func scanToken(row interface{ Scan(...any) error }) (t access.Token, _ error) {
	fields, done := tokenFields(&t)
	err := row.Scan(fields...)
	done()
	return t, err
}

// AddToken meets access.Tokens.
func (a *Access) AddToken(ctx context.Context, t access.Token, hash string) error {
	_, err := a.db.exec(ctx, `INSERT INTO access_token (id, person_id, name, hash, scopes, created_at, expires_at, last_used_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0)`,
		t.ID, string(t.Person), t.Name, hash, words(t.Scopes), micros(t.Created), micros(t.Expires))
	return err
}

// TokenByHash meets access.Tokens.
func (a *Access) TokenByHash(ctx context.Context, hash string) (t access.Token, p access.Person, _ error) {
	tf, tokenDone := tokenFields(&t)
	pf, personDone := personFields(&p)
	err := a.db.row(ctx, `SELECT `+tokenColumns+`, `+personColumns+` FROM access_token t JOIN person p ON p.id = t.person_id WHERE t.hash = $1`, hash).
		Scan(slices.Concat(tf, pf)...)
	if err != nil {
		return t, p, missing(err, "There is no such token.")
	}
	tokenDone()
	return t, p, personDone()
}

// Token meets access.Tokens.
func (a *Access) Token(ctx context.Context, id string) (access.Token, error) {
	t, err := scanToken(a.db.row(ctx, `SELECT `+tokenColumns+` FROM access_token t WHERE t.id = $1`, id))
	return t, missing(err, "There is no token %s.", id)
}

// Tokens meets access.Tokens.
func (a *Access) Tokens(ctx context.Context, id ward.PersonID) ([]access.Token, error) {
	rows, err := a.db.query(ctx, `SELECT `+tokenColumns+` FROM access_token t WHERE t.person_id = $1 ORDER BY t.id`, string(id))
	return scanAll(rows, err, scanToken)
}

// RevokeToken meets access.Tokens.
func (a *Access) RevokeToken(ctx context.Context, id string, at time.Time) error {
	_, err := a.db.exec(ctx, `UPDATE access_token SET revoked_at = $1 WHERE id = $2 AND revoked_at = 0`, micros(at), id)
	return err
}

// TokensUsed meets access.Tokens.
func (a *Access) TokensUsed(ctx context.Context, at map[string]time.Time) error {
	return a.db.Do(ctx, func(ctx context.Context) error {
		for _, id := range slices.Sorted(maps.Keys(at)) { // one order, so that copies of the server do not deadlock
			if _, err := a.db.exec(ctx, `UPDATE access_token SET last_used_at = $1 WHERE id = $2 AND last_used_at < $1`, micros(at[id]), id); err != nil {
				return err
			}
		}
		return nil
	})
}
