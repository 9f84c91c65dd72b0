package server

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
)

// recoveryOpen is how long after a device enrolled the link of its invitation still gives its
// holder a recovery code, once.
const recoveryOpen = 24 * time.Hour

const recoveryBucket = "recovery code by invitation"

// RecoverableBy returns the device that has enrolled by an invitation's link; ok says that
// the link may give its holder a recovery code now.
func (s *Server) RecoverableBy(ctx context.Context, token string) (d ward.Device, ok bool, err error) {
	inv, err := s.Enrolment.Find(ctx, token)
	if inv.ID == "" || inv.UsedBy == "" || inv.Used.IsZero() || s.now().Sub(inv.Used) >= recoveryOpen {
		if k := ward.KindOf(err); k == ward.NotFound || k == ward.Conflict || k == ward.Forbidden {
			err = nil
		}
		return d, false, err
	}
	e, err := s.fleet.Latest(ctx, inv.UsedBy)
	if ward.KindOf(err) == ward.NotFound || err == nil && (e.Device == "" || e.State != ward.EnrolmentActive) {
		return d, false, nil
	}
	if err != nil {
		return d, false, err
	}
	if _, err = s.db.Certificates().UsedOnce(ctx, recoveryBucket, inv.ID); ward.KindOf(err) != ward.NotFound {
		return d, false, err // it has given one, or that can't be told
	}
	d, err = s.fleet.Device(ctx, e.Device)
	return d, err == nil, err
}

// RecoveryCodeBy makes the recovery code of the device that enrolled by an invitation's link.
// The link gives one, once, within a day; Forbidden says that it does not.
func (s *Server) RecoveryCodeBy(ctx context.Context, token string) (code string, d ward.Device, err error) {
	refuse := ward.Errorf(ward.Forbidden, "This link gives no recovery code any more. IT prints one for you.")
	d, ok, err := s.RecoverableBy(ctx, token)
	if err != nil {
		return "", d, err
	}
	if !ok {
		return "", d, refuse
	}
	inv, _ := s.Enrolment.Find(ctx, token) // it was found a moment ago, and is used up, which is the error
	ctx = ward.WithActor(ctx, ward.System)
	err = s.db.Do(ctx, func(ctx context.Context) error {
		first, err := s.db.Certificates().UseOnce(ctx, recoveryBucket, inv.ID, []byte(d.ID), s.now())
		if err != nil {
			return fmt.Errorf("recovery code of %s: %w", d.ID, err)
		}
		if !first {
			return refuse
		}
		code, err = s.Lost.MakeCode(ctx, d.ID)
		return err
	})
	return code, d, err
}
