// Package posture reads what is known of devices for people: the list with each
// device's state and reason, and the one screen that tells what a device is, what is
// wrong, what is enforced and what was done. It changes nothing but what a person asks
// for there: a refresh, or a release for a new enrolment.
package posture

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// Store is what reading needs of the record.
type Store interface {
	fleet.Store
	Devices(ctx context.Context, after ward.DeviceID, limit int) ([]ward.Device, error)
	// FindDevice returns the device with this id, serial number, UDID or exact name.
	FindDevice(ctx context.Context, word string) ([]ward.Device, error)
	// Afresh reports whether an enrolment proves itself by another identity than the older
	// one: only then was the device erased in between.
	Afresh(ctx context.Context, id, than ward.EnrolmentID) (bool, error)
}

// Commands lists what was sent.
type Commands interface {
	List(ctx context.Context, id ward.EnrolmentID, before int64, limit int) ([]command.Record, error)
	Open(ctx context.Context, id ward.EnrolmentID) ([]command.Record, error)
}

// Recorder writes the audit log in the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// Reader reads devices for people.
type Reader struct {
	Store    Store
	Loop     *reconcile.Loop
	Commands Commands
	Queue    command.Queue
	Audit    Recorder
	// Wake has a device come at a time, in the unit of work in ctx. Nil: all come at once.
	Wake func(ctx context.Context, id ward.EnrolmentID, at time.Time) error
	Now  func() time.Time
}

// Row is one device in a list.
type Row struct {
	Device     ward.Device
	Enrolment  ward.Enrolment // the newest; zero if it never enrolled
	Supervised ward.Supervision
	Assessment compliance.Assessment
}

// Detail is all that one device's page tells.
type Detail struct {
	Row
	View       reconcile.View
	Limits     []intent.Outcome // what is enforced here, and what can't be and why
	Enrolments []ward.Enrolment
	Commands   []command.Record // of every epoch, the newest first
	// Afresh tells of each enrolment that is over when the device enrolled by another
	// identity since. One that it has not is not in it.
	Afresh map[ward.EnrolmentID]time.Time
}

// List returns up to limit devices after the given id, in order of their ids, of those that
// lie in the scope of who asks.
func (r *Reader) List(ctx context.Context, after ward.DeviceID, limit int) ([]Row, error) {
	rows := make([]Row, 0, limit)
	for len(rows) < limit {
		ds, err := r.Store.Devices(ctx, after, limit)
		if err != nil {
			return nil, err
		}
		for _, d := range ds {
			if after = d.ID; len(rows) == limit || !seen(ctx, d) {
				continue
			}
			row, _, _, err := r.row(ctx, d)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		if len(ds) < limit {
			break
		}
	}
	return rows, nil
}

// seen reports whether a device lies in the scope of who acts. One that does not is told to
// be not there.
func seen(ctx context.Context, d ward.Device) bool {
	return ward.ActorFrom(ctx).Scope.Includes(d.Site, d.Group)
}

// device returns a device that lies in the scope of who acts.
func (r *Reader) device(ctx context.Context, id ward.DeviceID) (ward.Device, error) {
	d, err := r.Store.Device(ctx, id)
	if err == nil && !seen(ctx, d) {
		err = ward.Errorf(ward.NotFound, "There is no device %s.", id)
	}
	return d, err
}

// Row returns one device as a list shows it.
func (r *Reader) Row(ctx context.Context, id ward.DeviceID) (Row, error) {
	d, err := r.device(ctx, id)
	if err != nil {
		return Row{}, err
	}
	row, _, _, err := r.row(ctx, d)
	return row, err
}

func (r *Reader) row(ctx context.Context, d ward.Device) (row Row, v reconcile.View, all []ward.Enrolment, err error) {
	if all, err = r.Store.Enrolments(ctx, d.ID); err != nil {
		return row, v, nil, err
	}
	var e ward.Enrolment
	if len(all) > 0 {
		e = all[0]
	}
	if v, err = r.Loop.View(ctx, d, e); err != nil {
		return row, v, nil, err
	}
	return Row{Device: d, Enrolment: e, Supervised: v.Got.Supervised(), Assessment: compliance.Assess(v, r.Now())}, v, all, nil
}

// Assess returns what is wanted and known of a device and what that comes to.
func (r *Reader) Assess(ctx context.Context, id ward.DeviceID) (reconcile.View, compliance.Assessment, error) {
	d, err := r.Store.Device(ctx, id)
	if err != nil {
		return reconcile.View{}, compliance.Assessment{}, err
	}
	row, v, _, err := r.row(ctx, d)
	return v, row.Assessment, err
}

// Find returns the one device that word names by id, serial number, UDID or name.
func (r *Reader) Find(ctx context.Context, word string) (ward.Device, error) {
	word = strings.TrimSpace(word)
	ds, err := r.Store.FindDevice(ctx, word)
	if err != nil {
		return ward.Device{}, err
	}
	ds = slices.DeleteFunc(ds, func(d ward.Device) bool { return !seen(ctx, d) })
	switch len(ds) {
	case 0:
		return ward.Device{}, ward.Errorf(ward.NotFound, "No device has the id, serial number, UDID or name %q.", word)
	case 1:
		return ds[0], nil
	}
	return ward.Device{}, ward.Errorf(ward.Conflict, "%d devices are called %q: name one by its id or serial number.", len(ds), word)
}

// Show returns everything about the device that word names.
func (r *Reader) Show(ctx context.Context, word string) (Detail, error) {
	d, err := r.Find(ctx, word)
	if err != nil {
		return Detail{}, err
	}
	var out Detail
	if out.Row, out.View, out.Enrolments, err = r.row(ctx, d); err != nil {
		return out, err
	}
	out.Limits = out.View.Want.Limits
	for _, e := range out.Enrolments {
		cs, err := r.Commands.List(ctx, e.ID, 0, 50)
		if err != nil {
			return out, err
		}
		out.Commands = append(out.Commands, cs...)
	}
	out.Afresh, err = r.Afresh(ctx, out.Enrolments)
	return out, err
}

// Afresh is Detail.Afresh for a device whose enrolments are given, the newest first.
func (r *Reader) Afresh(ctx context.Context, all []ward.Enrolment) (map[ward.EnrolmentID]time.Time, error) {
	out := map[ward.EnrolmentID]time.Time{}
	for _, e := range all {
		newest := all[0]
		if e.ID == newest.ID || newest.Enrolled.IsZero() {
			continue
		}
		ok, err := r.Store.Afresh(ctx, newest.ID, e.ID)
		if err != nil {
			return nil, fmt.Errorf("what followed %s: %w", e.ID, err)
		}
		if ok {
			out[e.ID] = newest.Enrolled
		}
	}
	return out, nil
}

// Refresh plans a device afresh and asks it everything that it is not being asked
// already.
func (r *Reader) Refresh(ctx context.Context, id ward.DeviceID) error {
	return r.Store.Do(ctx, func(ctx context.Context) error {
		d, err := r.device(ctx, id)
		if err != nil {
			return err
		}
		e, err := r.Store.Current(ctx, id)
		if err != nil {
			return err
		}
		if err := r.Audit.Record(ctx, "device.refreshed", string(id), nil); err != nil {
			return err
		}
		if err := r.Loop.Replan(ctx, id); err != nil {
			return err
		}
		_, err = r.ask(ctx, d, e, false)
		return err
	})
}

// ask queues what the device is not being asked already, and returns how much that is. quiet
// wakes it for none of it.
func (r *Reader) ask(ctx context.Context, d ward.Device, e ward.Enrolment, quiet bool) (asked int, err error) {
	v, err := r.Loop.View(ctx, d, e)
	if err != nil {
		return 0, err
	}
	open, err := r.Commands.Open(ctx, e.ID)
	if err != nil {
		return 0, err
	}
	for _, q := range v.Questions() {
		uuid := r.Loop.Compiler.NewUUID()
		requestType, body, err := r.Loop.Compiler.Compile(ctx, q, d, e, uuid)
		if err != nil {
			return asked, fmt.Errorf("%s: %w", q.Deed, err)
		}
		if slices.ContainsFunc(open, func(c command.Record) bool { return c.RequestType == requestType }) {
			continue
		}
		n := command.New{UUID: uuid, Enrolment: e.ID, RequestType: requestType, Body: body, By: ward.ActorFrom(ctx).Person, NoPush: quiet}
		if _, err := r.Queue.Enqueue(ctx, n); err != nil {
			return asked, fmt.Errorf("%s: %w", q.Deed, err)
		}
		asked++
	}
	return asked, nil
}

// Release lets a device enrol anew although an enrolment of it lives, for instance
// because its owner removed the management while it was offline. One that never enrolled is
// a conflict.
func (r *Reader) Release(ctx context.Context, id ward.DeviceID) error {
	return r.Store.Do(ctx, func(ctx context.Context) error {
		d, err := r.device(ctx, id)
		if err != nil {
			return err
		}
		if d.State == ward.Invited {
			return ward.Errorf(ward.Conflict, "This device has never enrolled, so there is nothing to release: it may enrol by its invitation, or by a new one, made with: ward invite")
		}
		if err := r.Store.SetReenrol(ctx, id, true); err != nil {
			return err
		}
		return r.Audit.Record(ctx, "device.released", string(id), nil)
	})
}
