package store

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

// Invitations keeps invitations and their challenges; it meets enrollment.Store.
type Invitations struct{ db *DB }

var _ enrollment.Store = (*Invitations)(nil)

// Invitations returns the store of invitations.
func (db *DB) Invitations() *Invitations { return &Invitations{db} }

const invitationColumns = `id, name, email, device_name, platform, ownership, grp, supervised, device_id, created_at, created_by, expires_at, used_at, used_by, revoked_at, certificates, site, role, serial, identity`

func scanInvitation(r scanner) (i enrollment.Invitation, err error) {
	var created, expires, used, revoked int64
	err = r.Scan(&i.ID, &i.Name, &i.Email, &i.DeviceName, &i.Platform, &i.Ownership, &i.Group, &i.Supervised, &i.Device,
		&created, &i.CreatedBy, &expires, &used, &i.UsedBy, &revoked, &i.Certificates, &i.Site, &i.Role, &i.Serial, &i.Identity)
	i.Created, i.Expires, i.Used, i.Revoked = fromMicros(created), fromMicros(expires), fromMicros(used), fromMicros(revoked)
	return i, err
}

// InsertInvitation meets enrollment.Store.
func (s *Invitations) InsertInvitation(ctx context.Context, i enrollment.Invitation, tokenHash string) error {
	_, err := s.db.exec(ctx, `INSERT INTO invitation (`+invitationColumns+`, token_hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`,
		i.ID, i.Name, i.Email, i.DeviceName, string(i.Platform), string(i.Ownership), i.Group, i.Supervised, string(i.Device),
		micros(i.Created), i.CreatedBy, micros(i.Expires), micros(i.Used), i.UsedBy, micros(i.Revoked), i.Certificates, i.Site, i.Role, i.Serial, string(i.Identity), tokenHash)
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "There is already an invitation %s.", i.ID).Because(err)
	}
	return err
}

// Invitation meets enrollment.Store.
func (s *Invitations) Invitation(ctx context.Context, id string) (enrollment.Invitation, error) {
	also, args := scoped(ctx, "invitation.device_id", []any{id})
	i, err := scanInvitation(s.db.row(ctx, `SELECT `+invitationColumns+` FROM invitation WHERE id = $1`+also, args...))
	return i, missing(err, "There is no invitation %s.", id)
}

// InvitationByToken meets enrollment.Store.
func (s *Invitations) InvitationByToken(ctx context.Context, tokenHash string) (enrollment.Invitation, error) {
	i, err := scanInvitation(s.db.row(ctx, `SELECT `+invitationColumns+` FROM invitation WHERE token_hash = $1`, tokenHash))
	return i, missing(err, "There is no invitation with this token.")
}

// UnusedInvitations meets enrollment.Store.
func (s *Invitations) UnusedInvitations(ctx context.Context, serial string) ([]enrollment.Invitation, error) {
	rows, err := s.db.query(ctx, `SELECT `+invitationColumns+` FROM invitation WHERE serial = $1 AND serial <> '' AND used_at = 0 ORDER BY id`, serial)
	return scanAll(rows, err, scanInvitation)
}

// RevokeInvitation meets enrollment.Store.
func (s *Invitations) RevokeInvitation(ctx context.Context, id string, at time.Time) (bool, error) {
	n, err := s.db.exec(ctx, `UPDATE invitation SET revoked_at = $1 WHERE id = $2 AND used_at = 0 AND revoked_at = 0`, micros(at), id)
	return n == 1, err
}

// UseInvitation meets enrollment.Store.
func (s *Invitations) UseInvitation(ctx context.Context, id, channel string, at time.Time) (bool, error) {
	n, err := s.db.exec(ctx, `UPDATE invitation SET used_at = $1, used_by = $2 WHERE id = $3 AND used_at = 0 AND revoked_at = 0`, micros(at), channel, id)
	return n == 1, err
}

// AttestInvitation meets enrollment.Store.
func (s *Invitations) AttestInvitation(ctx context.Context, id, serial string) (bool, error) {
	n, err := s.db.exec(ctx, `UPDATE invitation SET serial = $1, identity = $2 WHERE id = $3 AND (serial = '' OR serial = $1)`, serial, string(enrollment.Attested), id)
	return n == 1, err
}

// PutChallenge meets enrollment.ChallengeStore.
func (s *Invitations) PutChallenge(ctx context.Context, c enrollment.Challenge) error {
	_, err := s.db.exec(ctx, `INSERT INTO challenge (hash, invitation, identifier, created_at, expires_at, redeemed_at) VALUES ($1, $2, $3, $4, $5, 0)
		ON CONFLICT (invitation) WHERE redeemed_at = 0
		DO UPDATE SET hash = excluded.hash, identifier = excluded.identifier, created_at = excluded.created_at, expires_at = excluded.expires_at`,
		c.Hash, c.Invitation, c.Identifier, micros(c.Created), micros(c.Expires))
	return err
}

// Challenge meets enrollment.ChallengeStore.
func (s *Invitations) Challenge(ctx context.Context, hash string) (c enrollment.Challenge, err error) {
	var created, expires, redeemed int64
	err = s.db.row(ctx, `SELECT hash, invitation, identifier, created_at, expires_at, redeemed_at FROM challenge WHERE hash = $1`, hash).
		Scan(&c.Hash, &c.Invitation, &c.Identifier, &created, &expires, &redeemed)
	c.Created, c.Expires, c.Redeemed = fromMicros(created), fromMicros(expires), fromMicros(redeemed)
	return c, missing(err, "There is no such challenge.")
}

// SpendChallenge meets enrollment.ChallengeStore. Both updates name the state that they
// leave, so of several at once the database lets one through.
func (s *Invitations) SpendChallenge(ctx context.Context, hash string, at time.Time, limit int) (ok bool, err error) {
	err = s.db.Do(ctx, func(ctx context.Context) error {
		n, err := s.db.exec(ctx, `UPDATE challenge SET redeemed_at = $1 WHERE hash = $2 AND redeemed_at = 0`, micros(at), hash)
		if err != nil || n == 0 {
			return err
		}
		n, err = s.db.exec(ctx, `UPDATE invitation SET certificates = certificates + 1
			WHERE id = (SELECT invitation FROM challenge WHERE hash = $1) AND used_at = 0 AND revoked_at = 0 AND certificates < $2`, hash, limit)
		ok = n == 1
		return err
	})
	return ok && err == nil, err
}
