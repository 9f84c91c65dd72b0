package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
)

// Apple's names of the commands that take a profile away and that lock a device.
const (
	removeProfile = "RemoveProfile"
	deviceLock    = "DeviceLock"
)

func deliver() (command.Verdict, error) { return command.Verdict{Do: command.Deliver}, nil }

func hold(why string) (command.Verdict, error) {
	return command.Verdict{Do: command.Hold, Why: why}, nil
}

func withhold(format string, args ...any) (command.Verdict, error) {
	return command.Verdict{Do: command.Withhold, Why: fmt.Sprintf(format, args...)}, nil
}

// Deliverable is the command.Guard: it says whether a command may be handed out now. A
// destructive one goes only for an order that two different people signed, whose signatures
// verify at this moment, which the journal knows, and whose device the rules still allow.
// What nobody ordered is withheld for good; what only has to wait is held.
func (s *Service) Deliverable(ctx context.Context, r command.Record, body []byte) (command.Verdict, error) {
	is, destructive, err := s.TypeOf(body)
	if err != nil {
		return withhold("its body can't be read: %v", err)
	}
	if is != r.RequestType {
		return withhold("its body is a %s, but it was queued as a %s", is, r.RequestType)
	}
	switch {
	case !destructive:
		return s.braked(ctx, r)
	case r.Order == "":
		return s.unordered(ctx, r)
	}
	o, err := s.Store.Order(ctx, r.Order)
	if ward.KindOf(err) == ward.NotFound {
		return withhold("there is no order %s", r.Order)
	}
	if err != nil {
		return command.Verdict{}, err
	}
	switch err := s.proven(ctx, o); {
	case errors.Is(err, errUnproven):
		return withhold("%s", people(err))
	case ward.KindOf(err) == ward.Unavailable:
		return hold(people(err))
	case err != nil:
		return command.Verdict{}, err
	}
	i := slices.IndexFunc(o.Targets, func(t Target) bool { return t.Enrolment == r.Enrolment })
	switch {
	case i < 0:
		return withhold("the order %s does not name the enrolment %s", o.ID, r.Enrolment)
	case o.Targets[i].Command != r.UUID:
		return withhold("it is not the command that the order %s queued", o.ID)
	case o.Options.Drill:
		return withhold("the order %s is a rehearsal", o.ID)
	case o.State != Issued && o.State != Cancelled:
		return withhold("the order %s is %s", o.ID, o.State)
	case o.Targets[i].Outcome.Final():
		return withhold("the order %s is done for this device: %s", o.ID, o.Targets[i].Outcome)
	}
	d, _, why, err := s.gone(ctx, o, &o.Targets[i])
	if err != nil {
		return command.Verdict{}, err
	}
	if why != "" {
		return withhold("%s", why)
	}
	return s.journalled(ctx, o, o.Targets[i], d.Site, body)
}

// tampered is why nothing destructive is handed out while the journal does not verify.
const tampered = "the journal of dangerous deeds was changed: nothing destructive is handed out until the operator has looked at it"

// people returns what an error says to people.
func people(err error) string {
	if e, ok := errors.AsType[*ward.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

// journalled asks the journal whether the order's command may be handed out, and counts
// it if so.
func (s *Service) journalled(ctx context.Context, o Order, t Target, site string, body []byte) (command.Verdict, error) {
	ledger, err := s.Journal.Ledger(ctx)
	if errors.Is(err, brake.ErrTampered) {
		return hold(tampered)
	}
	if err != nil {
		return command.Verdict{}, err
	}
	now := s.now()
	before := ledger.Delivered(o.ID, t.Enrolment)
	yes, ok := ledger.ApprovedEntry(o.ID)
	put, queued := ledger.IssuedEntry(o.ID, t.Enrolment)
	switch {
	case !ok || yes.Hash != o.Hash:
		return withhold("the journal does not know that the order %s was approved", o.ID)
	case !queued || put.Hash != sum(body):
		return withhold("the journal does not know this command of the order %s", o.ID)
	case put.At.Before(yes.Until) || now.Before(yes.Until):
		return withhold("the order %s had to wait until %s", o.ID, yes.Until.Format(time.RFC3339))
	case ledger.Cancelled(o.ID, t.Enrolment) && !ledger.Cancelled(o.ID, ""):
		return withhold("the journal says that the order %s is done for this device", o.ID)
	case o.State == Cancelled || ledger.Cancelled(o.ID, ""):
		if before { // its answer is still welcome
			return hold("the order was cancelled after the device had fetched this: it is not handed out again")
		}
		return withhold("the order %s was cancelled", o.ID)
	}
	perHour := 0
	if o.Options.Campaign != nil {
		perHour = o.Options.Campaign.PerHour
	}
	h, err := s.Journal.TakeWithin(ctx, brake.Entry{
		Event: brake.Delivered, Kind: o.Kind.brake(), At: now, Order: o.ID, Device: t.Device, Enrolment: t.Enrolment, Site: site,
		Person: string(o.RequestedBy), Campaign: o.Options.Campaign != nil, Hash: o.Hash,
	}, perHour)
	switch {
	case errors.Is(err, brake.ErrTurn):
		return hold(fmt.Sprintf("the campaign takes %d devices an hour: this one has its turn later", perHour))
	case errors.Is(err, brake.ErrTampered):
		return hold(tampered)
	case errors.Is(err, brake.ErrCancelled):
		return withhold("the order %s was cancelled", o.ID)
	case err != nil:
		return command.Verdict{}, err
	case h != nil:
		return hold("the brake holds it until two people release it: " + h.Why)
	}
	return deliver()
}

// unordered judges a destructive command without an order. Two need none, for as long as the
// case of their device is open: the removal of what Ward put on a personal device, and the
// lock of the organisation's own Mac by a PIN that Ward made.
func (s *Service) unordered(ctx context.Context, r command.Record) (command.Verdict, error) {
	of := map[string]ward.Ownership{removeProfile: ward.Personal, deviceLock: ward.Corporate}[r.RequestType]
	if of != "" && r.Case != "" {
		ok, err := s.ofCase(ctx, r, of)
		if err != nil {
			return command.Verdict{}, err
		}
		if ok {
			return s.inCase(ctx, r)
		}
	}
	return withhold("nobody ordered it: a destructive command needs an order")
}

// inCase judges what a case does to a device that its end does not undo. To let a device go
// counts like an order for it, so that nobody lets the fleet go by reporting it; a Mac's lock,
// which its PIN takes off, is within the windows of reports.
func (s *Service) inCase(ctx context.Context, r command.Record) (command.Verdict, error) {
	report, v, err := s.reported(ctx, r)
	if err != nil || v.Do != command.Deliver || r.RequestType == deviceLock {
		return v, err
	}
	id, err := s.Cases.CaseDevice(ctx, r.Case)
	if err != nil {
		return command.Verdict{}, err
	}
	d, err := s.Fleet.Device(ctx, id)
	if err != nil {
		return command.Verdict{}, err
	}
	h, err := s.Journal.TakeWithin(ctx, brake.Entry{
		Event: brake.Delivered, Kind: brake.RemoveManagement, Order: ward.OrderID("case " + r.Case), Device: id, Enrolment: r.Enrolment, Site: d.Site, Person: report.Person,
	}, 0)
	switch {
	case errors.Is(err, brake.ErrTampered):
		return hold(tampered)
	case err != nil:
		return command.Verdict{}, err
	case h != nil:
		return hold("the brake holds it until two people release it: " + h.Why)
	}
	return deliver()
}

// reported judges what a case brought about: somebody must have reported the device, which
// stands in the journal, whatever the tables say. It waits while reports do, unless it was
// the device's holder who reported it. A journal that does not verify stops no lock.
func (s *Service) reported(ctx context.Context, r command.Record) (e brake.Entry, v command.Verdict, err error) {
	id, err := s.Cases.CaseDevice(ctx, r.Case)
	if ward.KindOf(err) == ward.NotFound {
		v, err = withhold("there is no case %s", r.Case)
		return e, v, err
	}
	if err != nil {
		return e, v, err
	}
	ledger, err := s.Journal.Ledger(ctx)
	if errors.Is(err, brake.ErrTampered) {
		v, err = deliver()
		return e, v, err
	}
	if err != nil {
		return e, v, err
	}
	e, ok := ledger.Reported(id, r.Case)
	h, held := ledger.Held(brake.Report)
	open, _, err := s.OpenCase(ctx, id)
	if err != nil {
		return e, v, err
	}
	switch {
	case ok && open != r.Case: // a row that was answered long ago can be put back
		v, err = hold("its case is over")
	case !ok:
		v, err = withhold("nobody reported the device of the case %s", r.Case)
	case held && e.Note != brake.Self:
		v, err = hold("the brake holds it until two people release it: " + h.Why)
	default:
		v, err = deliver()
	}
	return e, v, err
}

// ofCase reports whether the command is for the device that its open case is about, and that
// is of this ownership.
func (s *Service) ofCase(ctx context.Context, r command.Record, of ward.Ownership) (bool, error) {
	id, err := s.Cases.CaseDevice(ctx, r.Case)
	if err != nil {
		return false, notFound(err)
	}
	open, _, err := s.OpenCase(ctx, id)
	if err != nil || open != r.Case {
		return false, err
	}
	d, err := s.Fleet.Device(ctx, id)
	if err != nil {
		return false, notFound(err)
	}
	e, err := s.Fleet.Current(ctx, id)
	if err != nil {
		return false, notFound(err)
	}
	return d.Ownership == of && e.ID == r.Enrolment && (of == ward.Personal || d.Platform == ward.MacOS), nil
}

// notFound turns an error that says that there is none into no error.
func notFound(err error) error {
	if ward.KindOf(err) == ward.NotFound {
		return nil
	}
	return err
}

// braked judges a command that one person may send and that the brake counted when it was
// asked for: it waits while its kind is held. A journal that does not verify stops no lock:
// whoever could change the journal would keep lost devices open by it.
func (s *Service) braked(ctx context.Context, r command.Record) (command.Verdict, error) {
	switch {
	case r.RequestType != deviceLock && r.RequestType != "EnableLostMode":
		return deliver()
	case r.Case != "":
		_, v, err := s.reported(ctx, r)
		return v, err
	}
	ledger, err := s.Journal.Ledger(ctx)
	if errors.Is(err, brake.ErrTampered) {
		return deliver()
	}
	if err != nil {
		return command.Verdict{}, err
	}
	if h, held := ledger.Held(brake.Lock); held {
		return hold("the brake holds it until two people release it: " + h.Why)
	}
	return deliver()
}
