package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// maxReason is the longest reason in bytes.
const maxReason = 2000

// Request is what one person asks for.
type Request struct {
	Kind    Kind
	Devices []ward.DeviceID
	Options Options
	Reason  string
	Case    ward.CaseID // of one of the devices; empty outside a case
}

// Request asks for an order. Nothing reaches a device until another person approves
// it. Forbidden means that a rule stands against it (a personal device, an actor who
// is no signed-in person), Conflict that a device can't be reached so now or that
// the order names more devices than one order may.
func (s *Service) Request(ctx context.Context, r Request) (Order, error) {
	who, err := person(ctx)
	if err != nil {
		return Order{}, s.deny(ctx, "", err)
	}
	r.Reason = strings.TrimSpace(r.Reason)
	if err := r.check(); err != nil {
		return Order{}, err
	}
	if n := len(r.Devices); n > s.MaxDevices {
		return Order{}, s.deny(ctx, "", ward.Errorf(ward.Conflict, "The brake holds this order: it names %d devices, and one order may name %d at most.", n, s.MaxDevices))
	}
	now := s.Now().Truncate(time.Microsecond) // as fine as it is kept
	o := Order{
		ID: s.NewID(), Kind: r.Kind, Options: r.Options, Reason: r.Reason, Case: r.Case,
		RequestedBy: who.Person, RequestedName: who.Name, State: Requested, Created: now, Expires: now.Add(s.Lifetime),
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		if err := s.checkCase(ctx, r); err != nil {
			return err
		}
		if o.Targets, err = s.targets(ctx, r); err != nil {
			return err
		}
		if o.Hash, err = o.Digest(); err != nil {
			return err
		}
		if err := s.Store.Add(ctx, o); err != nil {
			return fmt.Errorf("add order %s: %w", o.ID, err)
		}
		return s.Audit.Record(ctx, ActionRequested, string(o.ID), o.detail())
	})
	if err != nil {
		return Order{}, s.deny(ctx, deviceList(r.Devices), err)
	}
	return o, nil
}

// check finds every mistake of a request that needs no look at the fleet.
func (r *Request) check() error {
	var wrong []string
	if r.Kind != Erase && r.Kind != ClearPasscode {
		wrong = append(wrong, fmt.Sprintf("The kind of an order is %s or %s, not %q.", Erase, ClearPasscode, string(r.Kind)))
	}
	if r.Kind == ClearPasscode && r.Options != (Options{}) {
		wrong = append(wrong, "An order that clears a passcode has no options.")
	}
	if r.Reason == "" {
		wrong = append(wrong, "Say why: an order needs a reason.")
	}
	if len(r.Reason) > maxReason {
		wrong = append(wrong, fmt.Sprintf("The reason is too long: %d bytes, %d at most.", len(r.Reason), maxReason))
	}
	if len(r.Devices) == 0 {
		wrong = append(wrong, "Name at least one device.")
	}
	r.Devices = slices.Clone(r.Devices)
	slices.Sort(r.Devices)
	for i := 1; i < len(r.Devices); i++ {
		if r.Devices[i] == r.Devices[i-1] {
			wrong = append(wrong, fmt.Sprintf("The device %s is named twice.", r.Devices[i]))
			break
		}
	}
	return problems(ward.Invalid, wrong)
}

// checkCase makes sure that a case is about one of the devices of its order.
func (s *Service) checkCase(ctx context.Context, r Request) error {
	if r.Case == "" {
		return nil
	}
	d, err := s.Cases.CaseDevice(ctx, r.Case)
	if err != nil {
		return err
	}
	if !slices.Contains(r.Devices, d) {
		return ward.Errorf(ward.Invalid, "The case %s is about another device.", r.Case)
	}
	return nil
}

// targets looks up the devices of a request and refuses it if any of them can't be a
// target, naming all that can't.
func (s *Service) targets(ctx context.Context, r Request) ([]Target, error) {
	var out []Target
	var wrong []string
	kind := ward.Conflict
	for _, id := range r.Devices {
		t, err := s.target(ctx, r, id)
		if e, ok := errors.AsType[*ward.Error](err); ok {
			wrong = append(wrong, e.Message)
			if e.Kind != ward.Conflict {
				kind = e.Kind
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, problems(kind, wrong)
}

func (s *Service) target(ctx context.Context, r Request, id ward.DeviceID) (Target, error) {
	d, err := s.Fleet.Device(ctx, id)
	if err != nil {
		return Target{}, err
	}
	e, err := s.Fleet.Current(ctx, id)
	if ward.KindOf(err) == ward.NotFound || (err == nil && e.State != ward.EnrolmentActive) {
		return Target{}, ward.Errorf(ward.Conflict, "%s is not enrolled, so no command can reach it.", label(d))
	}
	if err != nil {
		return Target{}, err
	}
	if err := allowed(r.Kind, d, e); err != nil {
		return Target{}, err
	}
	if _, _, err := s.compile(ctx, r.Kind, r.Options, e.ID); err != nil {
		return Target{}, err
	}
	return Target{Device: id, Enrolment: e.ID, Name: d.Name}, nil
}

// allowed says whether the rules let an order of this kind touch the device. It is
// asked when the order is made and again when it is approved.
func allowed(k Kind, d ward.Device, e ward.Enrolment) error {
	if d.Ownership != ward.Corporate {
		if k == Erase {
			return ward.Errorf(ward.Forbidden, "%s is a personal device. A personal device is never erased: remove its management instead, which takes away only what Ward put there.", label(d))
		}
		return ward.Errorf(ward.Forbidden, "%s is a personal device: its passcode is its owner's and is never cleared.", label(d))
	}
	right := ward.RightErase
	if k == ClearPasscode {
		right = ward.RightLockAndPasscode
	}
	if !e.Rights.Has(right) {
		return ward.Errorf(ward.Forbidden, "%s was enrolled without the right to this, so it would refuse the command.", label(d))
	}
	if d.Platform != ward.IOS && (k != Erase || d.Platform != ward.MacOS) {
		return ward.Errorf(ward.Conflict, "%s runs %s: Ward has no such command for it.", label(d), d.Platform)
	}
	return nil
}

func (s *Service) compile(ctx context.Context, k Kind, o Options, e ward.EnrolmentID) (string, []byte, error) {
	if k == ClearPasscode {
		return s.Compiler.ClearPasscode(ctx, e)
	}
	return s.Compiler.Erase(o)
}

// label names a device to a person.
func label(d ward.Device) string {
	if d.Name == "" {
		return "The device " + string(d.ID)
	}
	return fmt.Sprintf("%s (%s)", d.Name, d.ID)
}

// problems makes one error of what is wrong, nil of nothing.
func problems(k ward.Kind, wrong []string) error {
	switch len(wrong) {
	case 0:
		return nil
	case 1:
		return ward.Errorf(k, "%s", wrong[0])
	}
	return &ward.Error{Kind: k, Message: "This order can't be made.", Details: wrong}
}

func deviceList(ids []ward.DeviceID) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = string(id)
	}
	return strings.Join(words, " ")
}

// detail is what the audit log keeps of an order.
func (o Order) detail() map[string]string {
	ids := make([]ward.DeviceID, len(o.Targets))
	for i, t := range o.Targets {
		ids[i] = t.Device
	}
	d := map[string]string{"kind": string(o.Kind), "devices": deviceList(ids), "hash": o.Hash, "reason": o.Reason}
	if o.Case != "" {
		d["case"] = string(o.Case)
	}
	if o.Kind == Erase {
		d["preserve_data_plan"] = strconv.FormatBool(o.Options.PreserveDataPlan)
		d["disallow_proximity_setup"] = strconv.FormatBool(o.Options.DisallowProximitySetup)
	}
	return d
}
