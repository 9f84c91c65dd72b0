package store

import (
	"context"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

const identityColumns = `issuer, subject, person_id, provider, external_id`

func scanIdentity(r scanner) (i access.Identity, err error) {
	err = r.Scan(&i.Issuer, &i.Subject, &i.Person, &i.Provider, &i.External)
	return i, err
}

// Identity meets access.Provided.
func (s SignIn) Identity(ctx context.Context, issuer, subject string) (access.Identity, error) {
	i, err := scanIdentity(s.row(ctx, `SELECT `+identityColumns+` FROM provided_person WHERE issuer = $1 AND subject = $2`, issuer, subject))
	return i, missing(err, "Nobody here is known to this provider by that name.")
}

// SetIdentity meets access.Provided.
func (s SignIn) SetIdentity(ctx context.Context, i access.Identity) error {
	_, err := s.exec(ctx, `INSERT INTO provided_person (`+identityColumns+`) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (issuer, subject) DO UPDATE SET provider = excluded.provider, external_id = excluded.external_id`,
		i.Issuer, i.Subject, string(i.Person), i.Provider, i.External)
	return err
}

// IdentitiesFor meets access.Provided.
func (s SignIn) IdentitiesFor(ctx context.Context, provider, external string) ([]access.Identity, error) {
	rows, err := s.query(ctx, `SELECT `+identityColumns+` FROM provided_person WHERE provider = $1 AND external_id = $2 AND external_id <> '' ORDER BY subject`, provider, external)
	return scanAll(rows, err, scanIdentity)
}

// SetEmail meets access.Provided.
func (s SignIn) SetEmail(ctx context.Context, id ward.PersonID, email string) error {
	_, err := s.exec(ctx, `UPDATE person SET email = $1 WHERE id = $2`, email, string(id))
	return err
}

const userColumns = `id, provider, external_id, active, data, created_at, updated_at`

func scanUser(r scanner) (u access.DirectoryUser, err error) {
	var created, updated int64
	err = r.Scan(&u.ID, &u.Provider, &u.External, &u.Active, &u.Data, &created, &updated, &u.UserName)
	u.Created, u.Updated = fromMicros(created), fromMicros(updated)
	return u, err
}

func nameTaken(err error, name string) error {
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "There is a user called %.100s already.", name).Because(err)
	}
	return err
}

// AddUser meets access.Directory.
func (s SignIn) AddUser(ctx context.Context, u access.DirectoryUser) error {
	_, err := s.exec(ctx, `INSERT INTO directory_user (`+userColumns+`, user_name, name_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		u.ID, u.Provider, u.External, u.Active, u.Data, micros(u.Created), micros(u.Updated), u.UserName, strings.ToLower(u.UserName))
	return nameTaken(err, u.UserName)
}

// SetUser meets access.Directory.
func (s SignIn) SetUser(ctx context.Context, u access.DirectoryUser) error {
	n, err := s.exec(ctx, `UPDATE directory_user SET external_id = $1, active = $2, data = $3, updated_at = $4, user_name = $5, name_key = $6 WHERE id = $7 AND provider = $8`,
		u.External, u.Active, u.Data, micros(u.Updated), u.UserName, strings.ToLower(u.UserName), u.ID, u.Provider)
	if err == nil && n == 0 {
		return ward.Errorf(ward.NotFound, "There is no user %.60s.", u.ID)
	}
	return nameTaken(err, u.UserName)
}

// User meets access.Directory.
func (s SignIn) User(ctx context.Context, provider, id string) (access.DirectoryUser, error) {
	u, err := scanUser(s.row(ctx, `SELECT `+userColumns+`, user_name FROM directory_user WHERE id = $1 AND provider = $2`, id, provider))
	return u, missing(err, "There is no user %.60s.", id)
}

// UserByName meets access.Directory.
func (s SignIn) UserByName(ctx context.Context, provider, name string) (access.DirectoryUser, error) {
	u, err := scanUser(s.row(ctx, `SELECT `+userColumns+`, user_name FROM directory_user WHERE provider = $1 AND name_key = $2`, provider, strings.ToLower(name)))
	return u, missing(err, "There is no user %.60s.", name)
}

// UserByExternal meets access.Directory.
func (s SignIn) UserByExternal(ctx context.Context, provider, external string) (access.DirectoryUser, error) {
	u, err := scanUser(s.row(ctx, `SELECT `+userColumns+`, user_name FROM directory_user WHERE provider = $1 AND external_id = $2 AND external_id <> '' ORDER BY updated_at DESC, id LIMIT 1`, provider, external))
	return u, missing(err, "There is no user %.60s.", external)
}

// Users meets access.Directory. Directories page by number, as SCIM has it.
func (s SignIn) Users(ctx context.Context, provider string, skip, limit int) ([]access.DirectoryUser, int, error) {
	var n int
	if err := s.row(ctx, `SELECT COUNT(*) FROM directory_user WHERE provider = $1`, provider).Scan(&n); err != nil {
		return nil, 0, err
	}
	rows, err := s.query(ctx, `SELECT `+userColumns+`, user_name FROM directory_user WHERE provider = $1 ORDER BY id LIMIT $2 OFFSET $3`, provider, limit, skip)
	list, err := scanAll(rows, err, scanUser)
	return list, n, err
}

// DeleteUser meets access.Directory.
func (s SignIn) DeleteUser(ctx context.Context, provider, id string) error {
	return s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `DELETE FROM directory_member WHERE user_id = $1`, id); err != nil {
			return err
		}
		_, err := s.exec(ctx, `DELETE FROM directory_user WHERE id = $1 AND provider = $2`, id, provider)
		return err
	})
}

const groupColumns = `id, provider, name, external_id, created_at, updated_at`

func scanGroup(r scanner) (g access.DirectoryGroup, err error) {
	var created, updated int64
	err = r.Scan(&g.ID, &g.Provider, &g.Name, &g.External, &created, &updated)
	g.Created, g.Updated = fromMicros(created), fromMicros(updated)
	return g, err
}

func scanText(r scanner) (t string, err error) { return t, r.Scan(&t) }

// SetGroup meets access.Directory.
func (s SignIn) SetGroup(ctx context.Context, g access.DirectoryGroup) error {
	return s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `INSERT INTO directory_group (`+groupColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, external_id = excluded.external_id, updated_at = excluded.updated_at`,
			g.ID, g.Provider, g.Name, g.External, micros(g.Created), micros(g.Updated)); err != nil {
			return err
		}
		if _, err := s.exec(ctx, `DELETE FROM directory_member WHERE group_id = $1`, g.ID); err != nil {
			return err
		}
		for _, m := range g.Members {
			if _, err := s.exec(ctx, `INSERT INTO directory_member (group_id, user_id) VALUES ($1, $2) ON CONFLICT (group_id, user_id) DO NOTHING`, g.ID, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// Group meets access.Directory.
func (s SignIn) Group(ctx context.Context, provider, id string) (access.DirectoryGroup, error) {
	g, err := scanGroup(s.row(ctx, `SELECT `+groupColumns+` FROM directory_group WHERE id = $1 AND provider = $2`, id, provider))
	if err != nil {
		return g, missing(err, "There is no group %.60s.", id)
	}
	rows, err := s.query(ctx, `SELECT user_id FROM directory_member WHERE group_id = $1 ORDER BY user_id`, id)
	g.Members, err = scanAll(rows, err, scanText)
	return g, err
}

// DirectoryGroups meets access.Directory. The members are left out.
func (s SignIn) DirectoryGroups(ctx context.Context, provider string, skip, limit int) ([]access.DirectoryGroup, int, error) {
	var n int
	if err := s.row(ctx, `SELECT COUNT(*) FROM directory_group WHERE provider = $1`, provider).Scan(&n); err != nil {
		return nil, 0, err
	}
	rows, err := s.query(ctx, `SELECT `+groupColumns+` FROM directory_group WHERE provider = $1 ORDER BY id LIMIT $2 OFFSET $3`, provider, limit, skip)
	list, err := scanAll(rows, err, scanGroup)
	return list, n, err
}

// DeleteGroup meets access.Directory.
func (s SignIn) DeleteGroup(ctx context.Context, provider, id string) error {
	return s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `DELETE FROM directory_member WHERE group_id = $1`, id); err != nil {
			return err
		}
		_, err := s.exec(ctx, `DELETE FROM directory_group WHERE id = $1 AND provider = $2`, id, provider)
		return err
	})
}

// GroupsOf meets access.Directory.
func (s SignIn) GroupsOf(ctx context.Context, user string) (out []string, err error) {
	rows, err := s.query(ctx, `SELECT g.name, g.external_id FROM directory_member m JOIN directory_group g ON g.id = m.group_id WHERE m.user_id = $1 ORDER BY g.id`, user)
	pairs, err := scanAll(rows, err, func(r scanner) (p [2]string, err error) { return p, r.Scan(&p[0], &p[1]) })
	for _, p := range pairs {
		out = append(out, p[0])
		if p[1] != "" {
			out = append(out, p[1])
		}
	}
	return out, err
}
