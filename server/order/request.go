package order

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/notify"
)

// maxReason is the longest reason in bytes.
const maxReason = 2000

// Request is what is asked for.
type Request struct {
	Kind    Kind
	Devices []ward.DeviceID
	Options Options
	Reason  string
	Case    ward.CaseID // of one of the devices; empty outside a case
}

// Request asks for an order. Nothing reaches a device until two people have signed it.
// Forbidden means that a rule stands against it (a personal device, an actor who may not
// ask), Conflict that a device can't be reached so now or that the order names more devices
// than one order may. A person, a token, the console and Ward itself may ask.
func (s *Service) Request(ctx context.Context, r Request) (Order, error) {
	who, err := asker(ctx)
	if err != nil {
		return Order{}, s.deny(ctx, "", err)
	}
	now := s.now()
	if r, err = s.ofOpenCase(ctx, r); err != nil {
		return Order{}, err
	}
	if err := r.check(now, s.Notice); err != nil {
		return Order{}, err
	}
	if err := s.checkNumber(r); err != nil {
		return Order{}, s.deny(ctx, deviceList(r.Devices), err)
	}
	o := Order{
		ID: s.NewID(), Kind: r.Kind, Options: r.Options, Reason: r.Reason, Case: r.Case,
		RequestedBy: name(who), RequestedName: who.Name, State: Requested, Created: now, Expires: now.Add(s.Lifetime),
	}
	if c := r.Options.Campaign; c != nil {
		o.Expires = c.Start.Add(s.CommandLife)
	}
	if back := r.Options.ReturnToService; back != nil && len(back.WiFiProfile) > 0 && s.WiFi != nil {
		if _, err := s.WiFi(back.WiFiProfile); err != nil {
			return Order{}, err
		}
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		if err := s.checkOpen(ctx, who, r.Case != ""); err != nil {
			return err
		}
		if err := s.checkCase(ctx, r); err != nil {
			return err
		}
		if err := s.checkBrake(ctx, r); err != nil {
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
		if err := s.Audit.Record(ctx, ActionRequested, string(o.ID), o.detail()); err != nil {
			return err
		}
		if err := s.journal(ctx, o, brake.Entry{Event: brake.Requested, Person: string(o.RequestedBy)}); err != nil {
			return err
		}
		return s.tell(ctx, o, notify.OrderWaiting, who.Via == ward.ViaSystem, "waits for two signatures", "Asked for by "+o.RequestedName+": "+o.Reason)
	})
	if err != nil {
		return Order{}, s.deny(ctx, deviceList(r.Devices), err)
	}
	o.Why = o.why()
	return o, nil
}

// journal appends entries about an order. A rehearsal leaves none.
func (s *Service) journal(ctx context.Context, o Order, entries ...brake.Entry) error {
	kind := o.Kind.brake()
	if !o.Kind.Devices() {
		kind = o.Options.Brake.Kind
	}
	if o.Options.Drill || len(entries) == 0 {
		return nil
	}
	for i := range entries {
		e := &entries[i]
		e.Kind, e.Order, e.At, e.Campaign = kind, o.ID, s.now(), o.Options.Campaign != nil
		if e.Hash == "" {
			e.Hash = o.Hash
		}
		if o.Kind == ReleaseBrake && e.Event == brake.Requested {
			e.Note = brake.ToRelease
		}
	}
	if err := s.Journal.RecordAll(ctx, entries); err != nil {
		return fmt.Errorf("journal of order %s: %w", o.ID, err)
	}
	return nil
}

// announced reports whether everybody is to hear of the order, for it is about more than the
// brake lets pass.
func (o Order) announced() bool { return o.Kind == LiftBrake || o.Options.Campaign != nil }

// tell tells the people on call of an order.
func (s *Service) tell(ctx context.Context, o Order, topic notify.Topic, urgent bool, what, more string) error {
	m := notify.Message{
		Topic: topic, Subject: o.title() + " " + what, Body: more, Link: "/orders/" + string(o.ID), Order: o.ID, Case: o.Case,
		Urgent: urgent, Everyone: topic == notify.BreakGlass || o.announced(), At: s.now(),
	}
	if len(o.Targets) == 1 {
		m.Device = o.Targets[0].Device
	}
	if err := s.Notify.Tell(ctx, m); err != nil {
		return fmt.Errorf("tell of order %s: %w", o.ID, err)
	}
	return nil
}

// title names an order to people, in a few words.
func (o Order) title() string {
	words := "The order to " + map[Kind]string{
		Erase: "erase", ClearPasscode: "clear the passcode of", RemoveManagement: "remove the management of", LockPIN: "lock with a PIN",
		ReleaseBrake: "release the brake", LiftBrake: "lift the brake",
	}[o.Kind]
	if o.Options.Drill {
		words = "Drill: " + words
	}
	switch n := len(o.Targets); {
	case n == 1:
		return words + " " + o.Targets[0].label()
	case n > 1:
		return words + " " + strconv.Itoa(n) + " devices"
	}
	return words
}

func (t Target) label() string { return label(ward.Device{ID: t.Device, Name: t.Name}) }

// checkNumber holds an order that names too many devices.
func (s *Service) checkNumber(r Request) error {
	most, what := s.MaxDevices, "one order"
	if r.Options.Campaign != nil {
		most, what = s.MaxCampaign, "a campaign"
	}
	if n := len(r.Devices); n > most {
		return ward.Errorf(ward.Conflict, "The brake holds this order: it names %d devices, and %s may name %d at most.", n, what, most)
	}
	return nil
}

// ofOpenCase has an order for one device that is missing belong to its case, whether or not
// who asks knew of it: the case tells what became of the device.
func (s *Service) ofOpenCase(ctx context.Context, r Request) (Request, error) {
	if r.Case != "" || len(r.Devices) != 1 || r.Options.Campaign != nil || r.Options.Drill || !r.Kind.Devices() {
		return r, nil
	}
	c, _, err := s.OpenCase(ctx, r.Devices[0])
	r.Case = c
	return r, err
}

// How many orders may wait for signatures at a time: each is told to people, who must not
// drown in them.
const (
	openByOne = 20
	openByAll = 200
)

// checkOpen refuses more orders from one who has so many waiting. Ward itself may always ask,
// and a flood of others' orders keeps nobody from asking for one in a case.
func (s *Service) checkOpen(ctx context.Context, who ward.Actor, inCase bool) error {
	if who.Via == ward.ViaSystem {
		return nil
	}
	mine, all, err := s.Store.CountOpen(ctx, name(who))
	switch {
	case err != nil:
		return err
	case mine >= openByOne:
		return ward.Errorf(ward.Conflict, "%d orders that you asked for wait for signatures: have them signed or cancel some before you ask for more.", mine)
	case all >= openByAll && !inCase:
		return ward.Errorf(ward.Conflict, "%d orders wait for signatures, which is more than people can look at. If this is an attack, cancel all orders.", all)
	}
	return nil
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

// checkBrake refuses to release what is not held.
func (s *Service) checkBrake(ctx context.Context, r Request) error {
	if r.Kind != ReleaseBrake {
		return nil
	}
	ledger, err := s.Journal.Ledger(ctx)
	if err != nil {
		return err
	}
	if _, held := ledger.Held(r.Options.Brake.Kind); !held {
		return ward.Errorf(ward.Conflict, "The brake does not hold %s: there is nothing to release.", many(r.Options.Brake.Kind))
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
	if err := allowed(r.Kind, r.Options, d, e); err != nil {
		return Target{}, err
	}
	if r.Kind != LockPIN && r.Options.ReturnToService == nil { // they would make a PIN, or an invitation
		if _, _, _, err := s.compile(ctx, r.Kind, r.Options, d, e); err != nil {
			return Target{}, err
		}
	}
	return Target{Device: id, Enrolment: e.ID, Name: d.Name}, nil
}

func (s *Service) compile(ctx context.Context, k Kind, o Options, d ward.Device, e ward.Enrolment) (uuid, requestType string, body []byte, err error) {
	switch k {
	case Erase:
		return s.Compiler.Erase(ctx, d, e, o)
	case ClearPasscode:
		return s.Compiler.ClearPasscode(ctx, d, e)
	case RemoveManagement:
		return s.Compiler.RemoveManagement(ctx, d, e)
	case LockPIN:
		return s.Compiler.LockPIN(ctx, d, e, o)
	}
	return "", "", nil, fmt.Errorf("an order of kind %s has no command", k)
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

// deviceList names devices for the audit log, which needs no list of thousands: the hash
// covers it.
func deviceList(ids []ward.DeviceID) string {
	const most = 50
	words := make([]string, 0, most)
	for _, id := range ids[:min(len(ids), most)] {
		words = append(words, string(id))
	}
	if len(ids) > most {
		words = append(words, fmt.Sprintf("and %d more", len(ids)-most))
	}
	return strings.Join(words, " ")
}

// detail is what the audit log keeps of an order.
func (o Order) detail() map[string]string {
	ids := make([]ward.DeviceID, len(o.Targets))
	for i, t := range o.Targets {
		ids[i] = t.Device
	}
	d := map[string]string{"kind": string(o.Kind), "hash": o.Hash, "reason": o.Reason}
	if len(ids) > 0 {
		d["devices"] = deviceList(ids)
	}
	if o.Case != "" {
		d["case"] = string(o.Case)
	}
	maps.Copy(d, o.Options.detail(o.Kind))
	return d
}

func (o Options) detail(k Kind) map[string]string {
	d := map[string]string{}
	if k == Erase {
		d["preserve_data_plan"] = strconv.FormatBool(o.PreserveDataPlan)
		d["disallow_proximity_setup"] = strconv.FormatBool(o.DisallowProximitySetup)
		d["return_to_service"] = strconv.FormatBool(o.ReturnToService != nil)
		if o.Obliteration != "" {
			d["obliteration"] = o.Obliteration
		}
	}
	if c := o.Campaign; c != nil {
		d["campaign_start"], d["campaign_per_hour"] = c.Start.UTC().Format(time.RFC3339), strconv.Itoa(c.PerHour)
	}
	if b := o.Brake; b != nil {
		d["brake"] = string(b.Kind)
		if b.Hours > 0 {
			d["hours"] = strconv.Itoa(b.Hours)
		}
	}
	if o.Drill {
		d["drill"] = "true"
	}
	return d
}
