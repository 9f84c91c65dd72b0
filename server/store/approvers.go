package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
)

// Approvers keeps who may approve orders; it meets approver.Store.
type Approvers struct{ *DB }

var _ approver.Store = Approvers{}

// Approvers returns the store of approvers.
func (db *DB) Approvers() Approvers { return Approvers{db} }

// approverLock is the PostgreSQL advisory lock under which approvers change.
const approverLock = 0x61707276

// HoldApprovers meets approver.Store. SQLite has one writer and needs no lock.
func (s Approvers) HoldApprovers(ctx context.Context) error {
	if s.dialect.name != "postgres" {
		return nil
	}
	_, err := s.exec(ctx, `SELECT pg_advisory_xact_lock($1)`, approverLock)
	return err
}

const approverColumns = `id, person, subject, name, outside, key_id, public_key, counter, registered_at, hash, ended_at, ended_by`

func scanApprover(r scanner) (a approver.Approver, err error) {
	var at, ended int64
	err = r.Scan(&a.ID, &a.Person, &a.Subject, &a.Name, &a.Outside, &a.Key.ID, &a.Key.Public, &a.Key.Counter, &at, &a.Hash, &ended, &a.EndedBy)
	a.At, a.Ended = fromMicros(at), fromMicros(ended)
	return a, err
}

// AddApprover meets approver.Store.
func (s Approvers) AddApprover(ctx context.Context, a approver.Approver) error {
	return s.Do(ctx, func(ctx context.Context) error {
		_, err := s.exec(ctx, `INSERT INTO approver (`+approverColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			a.ID, string(a.Person), a.Subject, a.Name, a.Outside, a.Key.ID, a.Key.Public, int64(a.Key.Counter), micros(a.At), a.Hash, micros(a.Ended), a.EndedBy)
		if duplicate(err) {
			return ward.Errorf(ward.Conflict, "This passkey is registered already. Use another one.").Because(err)
		}
		if err != nil {
			return err
		}
		for _, v := range a.Vouches {
			if err := s.AddVouch(ctx, a.ID, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// Approver meets approver.Store.
func (s Approvers) Approver(ctx context.Context, id string) (approver.Approver, error) {
	a, err := scanApprover(s.row(ctx, `SELECT `+approverColumns+` FROM approver WHERE id = $1`, id))
	if err != nil {
		return a, missing(err, "There is no approver %s.", id)
	}
	rows, err := s.query(ctx, `SELECT `+vouchColumns+` FROM approver_vouch WHERE approver_id = $1 ORDER BY at, voucher_id`, id)
	vouches, err := scanAll(rows, err, scanVouch)
	for _, v := range vouches {
		a.Vouches = append(a.Vouches, v.Assertion)
	}
	return a, err
}

// Approvers meets approver.Store.
func (s Approvers) Approvers(ctx context.Context) ([]approver.Approver, error) {
	rows, err := s.query(ctx, `SELECT `+approverColumns+` FROM approver ORDER BY registered_at, id`)
	out, err := scanAll(rows, err, scanApprover)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	index := make(map[string]int, len(out))
	for i, a := range out {
		index[a.ID] = i
	}
	rows, err = s.query(ctx, `SELECT `+vouchColumns+` FROM approver_vouch ORDER BY approver_id, at, voucher_id`)
	vouches, err := scanAll(rows, err, scanVouch)
	for _, v := range vouches {
		if i, ok := index[v.of]; ok { // one that was added since is read the next time
			out[i].Vouches = append(out[i].Vouches, v.Assertion)
		}
	}
	return out, err
}

const vouchColumns = `approver_id, voucher_id, purpose, hash, nonce, client_data, authenticator_data, signature, at`

// vouchRow is a vouch and the approver whom it is for.
type vouchRow struct {
	of string
	approver.Assertion
}

func scanVouch(r scanner) (v vouchRow, err error) {
	var at int64
	err = r.Scan(&v.of, &v.Approver, &v.Purpose, &v.Hash, &v.Nonce, &v.ClientData, &v.AuthenticatorData, &v.Signature, &at)
	v.At = fromMicros(at)
	return v, err
}

// AddVouch meets approver.Store.
func (s Approvers) AddVouch(ctx context.Context, id string, a approver.Assertion) error {
	_, err := s.exec(ctx, `INSERT INTO approver_vouch (`+vouchColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		id, a.Approver, string(a.Purpose), a.Hash, a.Nonce, a.ClientData, a.AuthenticatorData, a.Signature, micros(a.At))
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "This approver has vouched already.").Because(err)
	}
	return err
}

// EndApprover meets approver.Store.
func (s Approvers) EndApprover(ctx context.Context, id string, at time.Time, by string) error {
	_, err := s.exec(ctx, `UPDATE approver SET ended_at = $1, ended_by = $2 WHERE id = $3 AND ended_at = 0`, micros(at), by, id)
	return err
}

// AddNonce meets approver.Store.
func (s Approvers) AddNonce(ctx context.Context, n approver.Nonce) error {
	_, err := s.exec(ctx, `INSERT INTO approver_nonce (hash, nonce, person, purpose, of_hash, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		n.Hash, n.Nonce, string(n.Person), string(n.Purpose), n.Of, micros(n.Expires))
	return err
}

// TakeNonce meets approver.Store.
func (s Approvers) TakeNonce(ctx context.Context, hash string) (n approver.Nonce, err error) {
	err = s.Do(ctx, func(ctx context.Context) error {
		rows, err := s.query(ctx, `DELETE FROM approver_nonce WHERE hash = $1 RETURNING hash, nonce, person, purpose, of_hash, expires_at`, hash)
		n, err = only(rows, err, func(r scanner) (n approver.Nonce, err error) {
			var expires int64
			err = r.Scan(&n.Hash, &n.Nonce, &n.Person, &n.Purpose, &n.Of, &expires)
			n.Expires = fromMicros(expires)
			return n, err
		})
		return missing(err, "There is no such question to a passkey.")
	})
	return n, err
}

// PurgeNonces meets approver.Store.
func (s Approvers) PurgeNonces(ctx context.Context, before time.Time) error {
	_, err := s.exec(ctx, `DELETE FROM approver_nonce WHERE expires_at < $1`, micros(before))
	return err
}

const approverInviteColumns = `hash, person, subject, outside, invited_by, created_at, expires_at`

func scanApproverInvite(r scanner) (i approver.Invite, err error) {
	var created, expires int64
	err = r.Scan(&i.Hash, &i.Person, &i.Subject, &i.Outside, &i.By, &created, &expires)
	i.Created, i.Expires = fromMicros(created), fromMicros(expires)
	return i, err
}

// AddInvite meets approver.Store.
func (s Approvers) AddInvite(ctx context.Context, i approver.Invite) error {
	return s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `DELETE FROM approver_invite WHERE expires_at <= $1`, micros(i.Created)); err != nil {
			return err
		}
		_, err := s.exec(ctx, `INSERT INTO approver_invite (`+approverInviteColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (person) DO UPDATE SET hash = excluded.hash, subject = excluded.subject, outside = excluded.outside,
			invited_by = excluded.invited_by, created_at = excluded.created_at, expires_at = excluded.expires_at`,
			i.Hash, string(i.Person), i.Subject, i.Outside, i.By, micros(i.Created), micros(i.Expires))
		return err
	})
}

// Invite meets approver.Store.
func (s Approvers) Invite(ctx context.Context, hash string) (approver.Invite, error) {
	i, err := scanApproverInvite(s.row(ctx, `SELECT `+approverInviteColumns+` FROM approver_invite WHERE hash = $1`, hash))
	return i, missing(err, "There is no such invitation.")
}

// TakeInvite meets approver.Store.
func (s Approvers) TakeInvite(ctx context.Context, hash string) (i approver.Invite, err error) {
	err = s.Do(ctx, func(ctx context.Context) error {
		rows, err := s.query(ctx, `DELETE FROM approver_invite WHERE hash = $1 RETURNING `+approverInviteColumns, hash)
		i, err = only(rows, err, scanApproverInvite)
		return missing(err, "There is no such invitation.")
	})
	return i, err
}

// only returns the one row that there is, or sql.ErrNoRows.
func only[T any](rows rowSet, err error, scan func(scanner) (T, error)) (one T, _ error) {
	found, err := scanAll(rows, err, scan)
	if err != nil {
		return one, err
	}
	if len(found) == 0 {
		return one, sql.ErrNoRows
	}
	return found[0], nil
}
