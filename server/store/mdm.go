package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/micromdm/nanomdm/service"
	"github.com/micromdm/nanomdm/storage"
	"github.com/micromdm/plist"
	"github.com/rs/xid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
)

// MDM is nanomdm's storage on Ward's own tables. Its methods join the unit of work
// in the request's context, and use the fleet.Contact and fleet.Admission they find
// there; without them they look up what they need.
type MDM struct {
	*DB
	// OnForged is told of queue rows that failed their seal, within the unit of work
	// that withheld them; nil tells nobody.
	OnForged func(ctx context.Context, rows []command.Record)
	// OnReport is told of every stored report but Idle, within its unit of work. known
	// is false for an answer to a command that was not open. nil tells nobody.
	OnReport func(ctx context.Context, e ward.Enrolment, r command.Record, known bool) error
}

var _ storage.AllStorage = MDM{}

// MDM returns nanomdm's storage.
func (db *DB) MDM() MDM { return MDM{DB: db} }

// enrolment returns the newest epoch of the request's channel.
func (m MDM) enrolment(r *mdm.Request) (ward.Enrolment, error) {
	if c, ok := fleet.ContactFrom(r.Context()); ok && c.Channel == r.ID {
		return c.Enrolment, nil
	}
	return m.Fleet().Latest(r.Context(), r.ID)
}

// StoreAuthenticate begins a new epoch of the channel: whatever was queued for the
// last one can never reach this one.
func (m MDM) StoreAuthenticate(r *mdm.Request, msg *mdm.Authenticate) error {
	return m.Do(r.Context(), func(ctx context.Context) error {
		var epoch int64 = 1
		old, err := m.Fleet().Latest(ctx, r.ID)
		switch {
		case ward.KindOf(err) == ward.NotFound:
		case err != nil:
			return err
		default:
			epoch = old.Epoch + 1
			if err := m.Fleet().endRow(ctx, old.ID, r.ID, "replaced by a new enrolment"); err != nil {
				return err
			}
			if _, err := m.exec(ctx, `UPDATE enrolment SET latest = FALSE WHERE channel = $1 AND latest`, r.ID); err != nil {
				return err
			}
		}
		ad, _ := fleet.AdmissionFrom(ctx)
		_, err = m.exec(ctx, `INSERT INTO enrolment (id, channel, parent, kind, epoch, latest, device_id, state, serial, supervised, rights, invitation, topic, push_token, push_magic, push_dead_at, tally, authenticate, created_at, enrolled_at, ended_at, end_reason)
			VALUES ($1, $2, '', $3, $4, TRUE, $5, 'pending', $6, '', $7, $8, $9, '', '', 0, 0, $10, $11, 0, 0, '')`,
			"enr_"+xid.New().String(), r.ID, r.Type.String(), epoch, string(ad.Device), msg.SerialNumber, int(ad.Rights), ad.Invitation, msg.Topic, msg.Raw, micros(m.now()))
		if err != nil {
			return err
		}
		return m.markPosture(ctx, ad.Device)
	})
}

// gone answers a device whose enrolment is not there: never 401, which could make
// it leave management.
func gone(format string, args ...any) error {
	return service.NewHTTPStatusError(http.StatusForbidden, fmt.Errorf(format, args...))
}

// StoreTokenUpdate completes an enrolment, or refreshes its push token. It refuses a
// TokenUpdate of an enrolment that has ended or never began.
func (m MDM) StoreTokenUpdate(r *mdm.Request, msg *mdm.TokenUpdate) error {
	return m.Do(r.Context(), func(ctx context.Context) error {
		if r.ParentID != "" {
			if err := m.userChannel(ctx, r); err != nil {
				return err
			}
		}
		e, err := m.Fleet().Latest(ctx, r.ID)
		if ward.KindOf(err) == ward.NotFound || (err == nil && e.State == ward.EnrolmentEnded) {
			return gone("TokenUpdate of %s, which is not enrolling", r.ID)
		}
		if err != nil {
			return err
		}
		now := micros(m.now())
		var unlock []byte
		raw := msg.Raw
		if len(msg.UnlockToken) > 0 && e.Rights == ward.RightsPersonal { // a personal phone's passcode is not ours to remove
			if raw, err = withoutUnlockToken(raw); err != nil {
				return err
			}
		} else if len(msg.UnlockToken) > 0 {
			unlock = m.secrets.Seal(msg.UnlockToken, "unlock token", string(e.ID))
		}
		raw = m.secrets.Seal(raw, "token update", string(e.ID))
		_, err = m.exec(ctx, `UPDATE enrolment SET state = 'active', topic = $2, push_token = $3, push_magic = $4, push_dead_at = 0, tally = tally + 1, token_update = $5,
			unlock_token = COALESCE($6, unlock_token), enrolled_at = CASE WHEN enrolled_at = 0 THEN $7 ELSE enrolled_at END WHERE id = $1`,
			string(e.ID), msg.Topic, msg.Token.String(), msg.PushMagic, raw, unlock, now)
		if err != nil || e.State == ward.EnrolmentActive {
			return err
		}
		return m.markPosture(ctx, e.Device)
	})
}

// withoutUnlockToken returns a TokenUpdate as it would be without the token.
func withoutUnlockToken(raw []byte) ([]byte, error) {
	var all map[string]any
	if err := plist.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("read TokenUpdate: %w", err)
	}
	delete(all, "UnlockToken")
	return plist.Marshal(all)
}

// userChannel makes the row of a user channel when its device is enrolled.
func (m MDM) userChannel(ctx context.Context, r *mdm.Request) error {
	parent, err := m.Fleet().Latest(ctx, r.ParentID)
	if ward.KindOf(err) == ward.NotFound || (err == nil && parent.State != ward.EnrolmentActive) {
		return gone("TokenUpdate of user channel %s, whose device is not enrolled", r.ID)
	}
	if err != nil {
		return err
	}
	old, err := m.Fleet().Latest(ctx, r.ID)
	if err == nil && old.State != ward.EnrolmentEnded {
		return nil
	}
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return err
	}
	if _, err := m.exec(ctx, `UPDATE enrolment SET latest = FALSE WHERE channel = $1 AND latest`, r.ID); err != nil {
		return err
	}
	_, err = m.exec(ctx, `INSERT INTO enrolment (id, channel, parent, kind, epoch, latest, device_id, state, serial, supervised, rights, invitation, topic, push_token, push_magic, push_dead_at, tally, created_at, enrolled_at, ended_at, end_reason)
		VALUES ($1, $2, $3, $4, $5, TRUE, $6, 'pending', '', '', $7, '', '', '', '', 0, 0, $8, 0, 0, '')`,
		"enr_"+xid.New().String(), r.ID, r.ParentID, r.Type.String(), old.Epoch+1, string(parent.Device), int(parent.Rights), micros(m.now()))
	return err
}

// Disable ends an active enrolment and the user channels below it. One that is only
// pending, which nanomdm disables between Authenticate and TokenUpdate, stays so.
func (m MDM) Disable(r *mdm.Request) error {
	return m.Do(r.Context(), func(ctx context.Context) error {
		e, err := m.Fleet().Latest(ctx, r.ID)
		if err != nil {
			return notFound(err)
		}
		if e.State != ward.EnrolmentActive {
			return nil
		}
		return m.Fleet().endRow(ctx, e.ID, r.ID, "checked out")
	})
}

// notFound turns a NotFound error into none at all.
func notFound(err error) error {
	if ward.KindOf(err) == ward.NotFound {
		return nil
	}
	return err
}

// StoreUserAuthenticate accepts a user channel's first message; nothing of it is
// kept, for Ward signs in no users on devices.
func (m MDM) StoreUserAuthenticate(r *mdm.Request, _ *mdm.UserAuthenticate) error {
	_, err := m.Fleet().Latest(r.Context(), r.ParentID)
	return err
}

// StoreBootstrapToken keeps a Mac's bootstrap token, sealed. An empty one clears it.
func (m MDM) StoreBootstrapToken(r *mdm.Request, msg *mdm.SetBootstrapToken) error {
	e, err := m.enrolment(r)
	if err != nil {
		return err
	}
	var sealed []byte
	if len(msg.BootstrapToken.BootstrapToken) > 0 {
		sealed = m.secrets.Seal(msg.BootstrapToken.BootstrapToken, "bootstrap token", string(e.ID))
	}
	_, err = m.exec(r.Context(), `UPDATE enrolment SET bootstrap_token = $2 WHERE id = $1`, string(e.ID), sealed)
	return err
}

// RetrieveBootstrapToken returns the bootstrap token, nil when there is none.
func (m MDM) RetrieveBootstrapToken(r *mdm.Request, _ *mdm.GetBootstrapToken) (*mdm.BootstrapToken, error) {
	e, err := m.enrolment(r)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	if err := m.row(r.Context(), `SELECT bootstrap_token FROM enrolment WHERE id = $1`, string(e.ID)).Scan(&sealed); err != nil || sealed == nil {
		return nil, err
	}
	token, err := m.secrets.Open(sealed, "bootstrap token", string(e.ID))
	if err != nil {
		return nil, fmt.Errorf("bootstrap token of %s: %w", e.ID, err)
	}
	return &mdm.BootstrapToken{BootstrapToken: token}, nil
}

// RetrieveTokenUpdateTally returns how many TokenUpdates this epoch has had.
func (m MDM) RetrieveTokenUpdateTally(ctx context.Context, id string) (n int, err error) {
	err = m.row(ctx, `SELECT tally FROM enrolment WHERE channel = $1 AND latest`, id).Scan(&n)
	return n, none(err)
}

// RetrieveMigrationCheckins sends the check-ins of every enrolment that lives, device
// channels before their user channels.
func (m MDM) RetrieveMigrationCheckins(ctx context.Context, out chan<- any) error {
	rows, err := m.query(ctx, `SELECT id, authenticate, token_update FROM enrolment WHERE latest AND state = 'active' ORDER BY parent, created_at, id`)
	type checkins struct {
		id                        string
		authenticate, tokenUpdate []byte
	}
	all, err := scanAll(rows, err, func(r scanner) (c checkins, err error) {
		return c, r.Scan(&c.id, &c.authenticate, &c.tokenUpdate)
	})
	if err != nil {
		return err
	}
	send := func(raw []byte) error {
		msg, err := mdm.DecodeCheckin(raw)
		if err != nil {
			return err
		}
		select {
		case out <- msg:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, c := range all {
		if len(c.authenticate) > 0 {
			if err := send(c.authenticate); err != nil {
				return err
			}
		}
		raw, err := m.secrets.Open(c.tokenUpdate, "token update", c.id)
		if err != nil {
			return fmt.Errorf("token update of %s: %w", c.id, err)
		}
		if err := send(raw); err != nil {
			return err
		}
	}
	return nil
}

// UnlockToken returns the escrowed unlock token of an enrolment. The caller audits.
func (m MDM) UnlockToken(ctx context.Context, id ward.EnrolmentID) ([]byte, error) {
	var sealed []byte
	if err := m.row(ctx, `SELECT unlock_token FROM enrolment WHERE id = $1`, string(id)).Scan(&sealed); err != nil {
		return nil, missing(err, "There is no enrolment %s.", id)
	}
	if sealed == nil {
		return nil, ward.Errorf(ward.NotFound, "This device has escrowed no unlock token.")
	}
	return m.secrets.Open(sealed, "unlock token", string(id))
}

// requestType reads the type of a raw command, which must be well formed.
func requestType(cmd *mdm.Command) ([]byte, error) {
	if cmd == nil || cmd.CommandUUID == "" || cmd.Command.RequestType == "" {
		return nil, errors.New("a command needs a CommandUUID and a RequestType")
	}
	if len(cmd.Raw) > 0 {
		return cmd.Raw, nil
	}
	return plist.Marshal(cmd)
}
