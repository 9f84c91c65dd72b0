package store

import (
	"context"
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

var _ reconcile.Identities = Fleet{}

// Identity meets reconcile.Identities.
func (f Fleet) Identity(ctx context.Context, id ward.EnrolmentID) (i reconcile.Identity, err error) {
	var from, until int64
	err = f.row(ctx, `SELECT c.serial, c.not_before, c.not_after, c.attested_format <> '' FROM enrolment e
		JOIN identity i ON i.channel = e.channel AND i.live JOIN certificate c ON c.hash = i.hash AND c.kind = $2
		WHERE e.id = $1 AND e.latest ORDER BY i.bound_at DESC LIMIT 1`, string(id), string(ca.KindDevice)).
		Scan(&i.Serial, &from, &until, &i.Attested)
	i.From, i.Until = fromMicros(from), fromMicros(until)
	return i, missing(err, "The enrolment %s has no identity that was issued here.", id)
}

// Succeed has a certificate that was issued to follow the identity of an enrolment take its
// place, if the channel is that enrolment's, and returns the succession. If it had done so
// before, Former is empty. Until then both prove the enrolment. ok is false for a
// certificate that follows none; one that follows another enrolment's, that was revoked or
// whose enrolment has ended is a *ward.Error of kind Forbidden.
func (f Fleet) Succeed(ctx context.Context, hash, channel string) (s fleet.Succession, ok bool, err error) {
	c, err := f.successor(ctx, hash)
	if ward.KindOf(err) == ward.NotFound {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	err = f.Do(ctx, func(ctx context.Context) (err error) {
		if err = f.Hold(ctx, c.device); err != nil {
			return err
		}
		if c, err = f.successor(ctx, hash); err != nil { // again, now that nobody else changes it
			return err
		}
		s, err = f.succeed(ctx, c, channel)
		return err
	})
	return s, err == nil, err
}

// successor is a certificate that was issued to follow an identity.
type successor struct {
	hash, serial string
	device       ward.DeviceID
	enrolment    ward.EnrolmentID
	revoked      bool
	bound        int64 // when it first proved its enrolment, 0 if it never did
	live         bool  // it proves it now
}

func (f Fleet) successor(ctx context.Context, hash string) (successor, error) {
	c := successor{hash: hash}
	err := f.row(ctx, `SELECT c.serial, c.device_id, c.enrolment_id, c.revoked_at <> 0, COALESCE(i.bound_at, 0), COALESCE(i.live, FALSE)
		FROM certificate c LEFT JOIN identity i ON i.hash = c.hash
		WHERE c.hash = $1 AND c.kind = $2 AND c.renewed_from <> '' AND c.enrolment_id <> ''`, hash, string(ca.KindDevice)).
		Scan(&c.serial, &c.device, &c.enrolment, &c.revoked, &c.bound, &c.live)
	return c, missing(err, "This certificate follows no identity.")
}

func (f Fleet) succeed(ctx context.Context, c successor, channel string) (s fleet.Succession, err error) {
	s.Serial = c.serial
	s.Enrolment, err = f.Latest(ctx, channel)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return s, err
	}
	lives := err == nil && s.Enrolment.ID == c.enrolment && !c.revoked && s.Enrolment.State != ward.EnrolmentEnded
	if c.bound != 0 && lives && c.live {
		s.Since = fromMicros(c.bound)
		return s, nil
	}
	if c.bound != 0 || !lives || s.Enrolment.State != ward.EnrolmentActive {
		return s, ward.Errorf(ward.Forbidden, "This certificate followed the identity of an enrolment, which it can't prove now.")
	}
	s.Since = f.now().UTC()
	if s.Former, err = f.former(ctx, c.hash, s.Enrolment); err != nil {
		return s, fmt.Errorf("what %s takes the place of: %w", s.Serial, err)
	}
	// A challenge that was not used for this succession would buy another, by which whoever
	// kept it could put the device out.
	if _, err := f.exec(ctx, `DELETE FROM device_challenge WHERE enrolment_id = $1 AND purpose = $2`, string(s.Enrolment.ID), string(credential.ForIdentity)); err != nil {
		return s, fmt.Errorf("challenges that %s leaves: %w", s.Serial, err)
	}
	return s, f.Bind(ctx, c.hash, channel)
}

// former returns the serial numbers of the other identities of an enrolment that are not
// revoked.
func (f Fleet) former(ctx context.Context, hash string, e ward.Enrolment) ([]string, error) {
	rows, err := f.query(ctx, `SELECT serial FROM certificate
		WHERE device_id = $1 AND device_id <> '' AND enrolment_id = $2 AND kind = $3 AND revoked_at = 0 AND hash <> $4 ORDER BY seq`,
		string(e.Device), string(e.ID), string(ca.KindDevice), hash)
	return scanAll(rows, err, func(r scanner) (s string, err error) { return s, r.Scan(&s) })
}
