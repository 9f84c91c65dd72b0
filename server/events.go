package server

import (
	"cmp"
	"context"
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/unit"
	"go.uber.org/zap"
)

// events carries what devices do to the parts that must know, within the unit of work
// that records it.
type events struct{ s *Server }

var (
	_ applemdm.Events  = events{}
	_ fleet.Identities = events{}
)

// Enrolled meets applemdm.Events.
func (v events) Enrolled(ctx context.Context, e ward.Enrolment) error {
	if e.Device == "" {
		return nil
	}
	d, err := v.s.fleet.Device(ctx, e.Device)
	if err != nil {
		return err
	}
	if err := v.stands(ctx, d, e); err != nil {
		return err
	}
	if err := v.s.Lost.Enrolled(ctx, e); err != nil {
		return err
	}
	detail, err := v.s.attestedBy(ctx, e)
	if err != nil {
		return err
	}
	detail["enrolment"], detail["invitation"] = string(e.ID), e.Invitation
	if err := v.s.record.Record(ctx, "device.enrolled", string(e.Device), detail); err != nil {
		return err
	}
	return v.s.Loop.Replan(ctx, e.Device)
}

// stands gives a device the state that its new enrolment brings: one reported lost stays so
// until it is found, and one that accepted an erase and still has its identity was not erased,
// so it does not come back into use by itself either.
func (v events) stands(ctx context.Context, d ward.Device, e ward.Enrolment) error {
	if d.State == ward.Lost {
		return nil
	}
	same, err := false, error(nil)
	if d.State == ward.Erased {
		same, err = v.same(ctx, e)
	}
	if err != nil {
		return err
	}
	if !same {
		return v.s.fleet.SetDeviceState(ctx, d.ID, ward.Managed)
	}
	if err := v.s.fleet.SetReenrol(ctx, d.ID, false); err != nil { // the erase that allowed it did not happen
		return err
	}
	_, err = v.s.Lost.OpenCase(ctx, d.ID)
	if ward.KindOf(err) != ward.NotFound {
		return err // the case tells
	}
	return v.s.record.Record(ctx, lost.ActionNotErased, string(d.ID), map[string]string{"enrolment": string(e.ID)})
}

// same reports whether an enrolment goes on from an older one of its device by the same
// identity. What was begun and never completed is none: a device repeats a message whose
// answer it lost.
func (v events) same(ctx context.Context, e ward.Enrolment) (bool, error) {
	all, err := v.s.fleet.Enrolments(ctx, e.Device)
	if err != nil {
		return false, err
	}
	for _, old := range all {
		if old.ID == e.ID || old.Enrolled.IsZero() {
			continue
		}
		afresh, err := v.s.fleet.Afresh(ctx, e.ID, old.ID)
		if err != nil || !afresh {
			return err == nil, err
		}
	}
	return false, nil
}

// CheckedOut meets applemdm.Events. The identity of a lost device stays valid until it is
// retired.
func (v events) CheckedOut(ctx context.Context, e ward.Enrolment) error {
	if e.Device == "" {
		return nil
	}
	d, err := v.s.fleet.Device(ctx, e.Device)
	if err != nil {
		return err
	}
	if err := v.s.fleet.EndEnrolment(ctx, e.ID, "checked out"); err != nil {
		return err
	}
	if d.State != ward.Lost {
		if err := v.Cease(ctx, e, false); err != nil {
			return err
		}
		if err := v.s.Lost.DropCode(ctx, d.ID); err != nil {
			return err
		}
	}
	if err := v.left(ctx, d, e, "unenrolled"); err != nil {
		return err
	}
	return v.s.record.Record(ctx, "device.unenrolled", string(e.Device), map[string]string{"enrolment": string(e.ID)})
}

// left is told that an enrolment has ended by which a device was managed. If it still is by
// another, only what that enrolment got is revoked.
func (v events) left(ctx context.Context, d ward.Device, e ward.Enrolment, why string) error {
	_, err := v.s.fleet.Current(ctx, d.ID)
	switch {
	case err == nil:
		for _, kind := range []ca.Kind{ca.KindApp, ca.KindNetwork} {
			if err := v.withdraw(ctx, e, kind, ca.Ceased); err != nil {
				return err
			}
		}
		return nil
	case ward.KindOf(err) != ward.NotFound:
		return err
	}
	if d.State != ward.Erased {
		if err := v.s.fleet.SetDeviceState(ctx, d.ID, ward.Unenrolled); err != nil {
			return err
		}
	}
	return v.revoke(ctx, d.ID, why)
}

// Cease meets fleet.Identities.
func (v events) Cease(ctx context.Context, e ward.Enrolment, anew bool) error {
	if anew {
		return v.withdraw(ctx, e, ca.KindDevice, ca.Superseded)
	}
	return v.withdraw(ctx, e, ca.KindDevice, ca.Ceased)
}

// withdraw revokes the certificates of one kind that an enrolment's channel got.
func (v events) withdraw(ctx context.Context, e ward.Enrolment, kind ca.Kind, why ca.Reason) error {
	serials, err := v.s.fleet.Unrevoked(ctx, e, kind)
	if err != nil {
		return err
	}
	by := ward.ActorFrom(ctx)
	for _, serial := range serials {
		if _, err := v.s.Authority.Revoke(ctx, serial, why, cmp.Or(string(by.Person), by.Name)); err != nil {
			return err
		}
	}
	if len(serials) > 0 {
		unit.AfterCommit(ctx, v.s.remakeCRL)
	}
	return nil
}

func (v events) revoke(ctx context.Context, id ward.DeviceID, why string) error {
	if _, err := v.s.appCerts.RevokeApps(ctx, id, why); err != nil {
		return err
	}
	unit.AfterCommit(ctx, v.s.remakeCRL)
	return nil
}

// Answered meets applemdm.Events.
func (v events) Answered(ctx context.Context, e ward.Enrolment, r command.Record, known bool, t reconcile.Told) error {
	if !known {
		v.s.Log.Info("answer to a command that is not open", zap.String("enrolment", string(e.ID)))
		return nil
	}
	if r.Order != "" {
		at := r.Answered
		if at.IsZero() {
			at = v.s.now()
		}
		if err := v.s.Orders.Answered(ctx, r.Order, e.ID, r.State, at, r.Error); err != nil {
			return err
		}
	}
	if r.RequestType == "EraseDevice" && r.State == command.Accepted {
		if err := v.erased(ctx, e); err != nil {
			return err
		}
	}
	if t.Location != nil && r.Case != "" {
		l := lost.Location{Lat: t.Location.Latitude, Lon: t.Location.Longitude, Accuracy: t.Location.Accuracy, At: t.Location.At}
		err := v.s.Lost.SetLocation(ctx, r.Case, l)
		if ward.KindOf(err) == ward.Invalid {
			v.s.Log.Warn("a device told a location that is no place", zap.String("enrolment", string(e.ID)))
		} else if err != nil {
			return err
		}
	}
	return v.s.Loop.Answered(ctx, e, r, known, t)
}

// erased notes that a device accepted its erase. Its identity stays valid, so that a
// device that was not erased after all is seen; it may enrol anew at once.
func (v events) erased(ctx context.Context, e ward.Enrolment) error {
	if _, err := v.s.queue.CancelOpen(ctx, e.ID, "the device accepted an erase", nil); err != nil {
		return err
	}
	if e.Device == "" {
		return nil
	}
	if err := v.s.fleet.SetDeviceState(ctx, e.Device, ward.Erased); err != nil {
		return err
	}
	if err := v.s.fleet.SetReenrol(ctx, e.Device, true); err != nil {
		return err
	}
	return v.revoke(ctx, e.Device, "erased")
}

// tellForged has the audit log and the people on call know of a command that stood in the
// queue behind the back of what decides.
func (s *Server) tellForged(ctx context.Context, r command.Record) error {
	return s.db.Do(ctx, func(ctx context.Context) error {
		detail := map[string]string{"enrolment": string(r.Enrolment), "request_type": r.RequestType, "order": string(r.Order), "why": r.Error}
		if err := s.record.Record(ctx, "command.withheld", r.UUID, detail); err != nil {
			return err
		}
		return s.Notify.Tell(ctx, notify.Message{
			Topic: notify.Forged, Subject: "A command that nobody ordered was withheld", Order: r.Order, Urgent: true,
			Body: fmt.Sprintf("%s stood in the queue of a device, and was not delivered: %s. Somebody may have written to the database, or a key was changed. The command is %s, of the enrolment %s.", r.RequestType, r.Error, r.UUID, r.Enrolment),
		})
	})
}

// forged reports queue rows that failed their seal, or that no order stands behind.
func (s *Server) forged(ctx context.Context, rows []command.Record) {
	for _, r := range rows {
		s.metrics.forged.Inc()
		s.Log.Error("a queued command is withheld: nobody ordered it as it stands there",
			zap.String("command", r.UUID), zap.String("enrolment", string(r.Enrolment)), zap.String("request_type", r.RequestType), zap.String("why", r.Error))
		if err := s.tellForged(ctx, r); err != nil {
			s.Log.Error("withheld command not reported", zap.String("command", r.UUID), zap.Error(err))
		}
		if r.Order != "" {
			err := s.Orders.Answered(ctx, r.Order, r.Enrolment, command.Withheld, s.now(), r.Error)
			if err != nil && ward.KindOf(err) != ward.NotFound { // an order that does not name the device has nothing to keep
				s.Log.Error("withheld command's order not told", zap.String("order", string(r.Order)), zap.Error(err))
			}
		}
	}
}
