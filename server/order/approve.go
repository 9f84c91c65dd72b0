package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/notify"
)

// Begin returns what the page gives to navigator.credentials.get, for the person in ctx to
// sign the order, and the hash that they sign. It fails as Approve would.
func (s *Service) Begin(ctx context.Context, id ward.OrderID) (requestOptionsJSON []byte, hash string, err error) {
	who, err := signer(ctx)
	if err != nil {
		return nil, "", s.deny(ctx, string(id), err)
	}
	o, err := s.Store.Order(ctx, id)
	if err != nil {
		return nil, "", err
	}
	if err := s.signable(ctx, o, who, o.Hash); err != nil {
		return nil, "", s.deny(ctx, string(id), err)
	}
	requestOptionsJSON, err = s.Approvers.Begin(ctx, approver.ForOrder, o.Hash)
	return requestOptionsJSON, o.Hash, err
}

// Approve is the yes of the person in ctx to the order with this hash: response is their
// passkey's answer to Begin, as the browser gives it. With the second yes everything is
// checked again, and in the same unit of work the order is Issued, or Approved if it has to
// wait; with the first it stays Requested. Forbidden means that this person can't sign it,
// Conflict that the order is another than the one shown or no longer waits.
func (s *Service) Approve(ctx context.Context, id ward.OrderID, hash string, response []byte) (Order, error) {
	who, err := signer(ctx)
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	o, err := s.Store.Order(ctx, id)
	if err != nil {
		return Order{}, err
	}
	if err := s.signable(ctx, o, who, hash); err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	a, proof, err := s.Approvers.Finish(ctx, approver.ForOrder, hash, response)
	if err == nil && a.Person != who.Person {
		err = ward.Errorf(ward.Forbidden, "This is another person's passkey: everybody signs with their own.")
	}
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	yes := Approval{Order: id, Hash: hash, Person: who.Person, Name: who.Name, Subject: a.Subject, Approver: a.ID, Assertion: proof, At: s.now()}
	err = s.Store.Do(ctx, func(ctx context.Context) error { return s.sign(ctx, who, yes) })
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	return s.Order(ctx, id)
}

// sign keeps a signature, and carries the order on if it is the second.
func (s *Service) sign(ctx context.Context, who ward.Actor, yes Approval) error {
	o, err := s.Store.Lock(ctx, yes.Order)
	if err != nil {
		return err
	}
	if err := s.signable(ctx, o, who, yes.Hash); err != nil { // somebody may have been quicker
		return err
	}
	o.Approvals = append(o.Approvals, yes)
	signers, err := s.signers(ctx, o)
	if err != nil {
		return err
	}
	if err := s.stand(ctx, signers); err != nil {
		return err
	}
	if err := s.Store.AddApproval(ctx, yes); err != nil {
		return fmt.Errorf("sign order %s: %w", o.ID, err)
	}
	if len(signers) < signatures {
		return s.Audit.Record(ctx, ActionSigned, string(o.ID), o.detail())
	}
	if o.Kind == ReleaseBrake {
		return s.turn(ctx, o, signers)
	}
	persons := make([]ward.PersonID, len(signers))
	for i, a := range signers {
		persons[i] = a.Person
	}
	return s.approved(ctx, o, ActionApproved, persons)
}

// stand makes sure that those who signed may still approve: one whose passkey was stolen has
// been ended since.
func (s *Service) stand(ctx context.Context, signers []approver.Approver) error {
	for _, a := range signers {
		now, err := s.Approvers.ByPerson(ctx, a.Person)
		if ward.KindOf(err) == ward.NotFound || (err == nil && now.ID != a.ID) {
			return ward.Errorf(ward.Conflict, "%s signed this order and may no longer approve any: ask for a new one.", a.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// signable says why a person can't sign the order, as far as that shows without a
// signature.
func (s *Service) signable(ctx context.Context, o Order, who ward.Actor, hash string) error {
	if err := s.approvable(ctx, o, hash); err != nil {
		return err
	}
	me, err := s.Approvers.ByPerson(ctx, who.Person)
	if ward.KindOf(err) == ward.NotFound {
		return ward.Errorf(ward.Forbidden, "You are not an approver: an approver has registered a passkey, and two approvers have vouched for them.")
	}
	if err != nil {
		return err
	}
	if who.Person != o.RequestedBy && !strings.HasPrefix(string(o.RequestedBy), via) {
		asked, err := s.Subject(ctx, o.RequestedBy)
		if err != nil {
			return fmt.Errorf("who asked for order %s: %w", o.ID, err)
		}
		if asked != "" && asked == me.Subject {
			return ward.Errorf(ward.Forbidden, "You asked for this order with another account of yours. You may sign it with that account, and another person has to sign it too.")
		}
	}
	for _, a := range o.Approvals {
		if a.Person == who.Person {
			return ward.Errorf(ward.Conflict, "You have signed this order already: another person has to sign it too.")
		}
		if a.Subject == me.Subject {
			return ward.Errorf(ward.Forbidden, "You have signed this order with another account of yours: another person has to sign it too.")
		}
	}
	return nil
}

// approvable says why nobody can approve the order.
func (s *Service) approvable(ctx context.Context, o Order, hash string) error {
	digest, err := o.Digest()
	if err != nil {
		return err
	}
	switch {
	case digest != o.Hash:
		return ward.Errorf(ward.Conflict, "This order was altered since it was asked for: it can't be approved. Cancel it and report this.")
	case o.State != Requested:
		return ward.Errorf(ward.Conflict, "This order is %s already, so it can't be approved.", o.State)
	case !s.now().Before(o.Expires):
		return ward.Errorf(ward.Conflict, "This order expired at %s. Ask for a new one if it is still needed.", o.Expires.UTC().Format(time.RFC3339))
	case hash != o.Hash:
		return ward.Errorf(ward.Conflict, "This is not the order that you were shown. Look at it again before you decide.")
	}
	return s.asked(ctx, o)
}

// asked makes sure that the journal knows the order as it is, as one that waits: no row of the
// database makes an order that nobody asked for, or one that was refused or forgotten.
func (s *Service) asked(ctx context.Context, o Order) error {
	if o.Options.Drill {
		return nil // it leaves nothing in the journal, and does nothing
	}
	ledger, err := s.Journal.Ledger(ctx)
	if err != nil {
		return err
	}
	until := o.Created.Add(s.Lifetime)
	e, ok := ledger.RequestedEntry(o.ID)
	if ok {
		until = e.At.Add(s.Lifetime)
	}
	if c := o.Options.Campaign; c != nil {
		until = c.Start.Add(s.CommandLife)
	}
	switch {
	case !ok || e.Hash != o.Hash || ledger.Cancelled(o.ID, ""):
		return ward.Errorf(ward.Conflict, "The journal does not know this order as one that waits: it was refused, cancelled or never asked for. Report this, and ask for a new one if it is needed.")
	case !s.now().Before(until):
		return ward.Errorf(ward.Conflict, "This order expired at %s. Ask for a new one if it is still needed.", until.UTC().Format(time.RFC3339))
	}
	return nil
}

// errUnproven is wrapped by errors that say that an order's signatures do not prove it.
var errUnproven = errors.New("the order is not proven by its signatures")

// disproven reports whether err says that a signature is not good, rather than that nobody
// could tell.
func disproven(err error) bool {
	switch ward.KindOf(err) {
	case ward.Forbidden, ward.Conflict, ward.NotFound, ward.Invalid, ward.Unauthenticated:
		return true
	}
	return false
}

// signers verifies every signature of the order, now, and returns who made them: people
// who all differ. Break glass is not among them.
func (s *Service) signers(ctx context.Context, o Order) ([]approver.Approver, error) {
	unproven := func(why string, err error) error {
		return ward.Errorf(ward.Conflict, "The signatures of this order do not prove it: %s.", why).Because(errors.Join(errUnproven, err))
	}
	digest, err := o.Digest()
	if err != nil {
		return nil, err
	}
	if digest != o.Hash {
		return nil, unproven("it was altered since it was asked for", nil)
	}
	var out []approver.Approver
	for _, yes := range o.Approvals {
		if yes.Glass {
			continue
		}
		a, err := s.Approvers.Verify(ctx, yes.Assertion, approver.ForOrder, digest)
		if disproven(err) {
			return nil, unproven("that of "+yes.Name+" does not verify", err)
		}
		if err != nil {
			return nil, err
		}
		if a.ID != yes.Approver || a.Person != yes.Person || a.Subject != yes.Subject || yes.Hash != digest {
			return nil, unproven("that of "+yes.Name+" was made by somebody else", nil)
		}
		if slices.ContainsFunc(out, func(b approver.Approver) bool { return approver.Same(a, b) }) {
			return nil, unproven("two of them are of one person", nil)
		}
		out = append(out, a)
	}
	return out, nil
}

// proven says why the order is not proven, now, by two different people or by break glass.
func (s *Service) proven(ctx context.Context, o Order) error {
	signers, err := s.signers(ctx, o)
	if err != nil || len(signers) >= signatures {
		return err
	}
	for _, yes := range o.Approvals {
		if !yes.Glass || !o.glassable() {
			continue
		}
		if err := s.Approvers.VerifyGlass(ctx, o.Hash, yes.Assertion.Signature); !disproven(err) {
			return err
		}
	}
	return ward.Errorf(ward.Conflict, "The signatures of this order do not prove it: it has those of %d people and needs %d.", len(signers), signatures).Because(errUnproven)
}

// approved carries an order on that has its signatures, whose makers are persons, and that is
// for devices or lifts the brake. o is locked.
func (s *Service) approved(ctx context.Context, o Order, action string, persons []ward.PersonID) error {
	detail := o.detail()
	words := make([]string, len(persons))
	for i, p := range persons {
		words[i] = string(p)
	}
	detail["approved_by"] = strings.Join(words, " ")
	due, inUse, err := s.due(ctx, o)
	if err != nil {
		return err
	}
	if !due.IsZero() {
		detail["due"] = due.Format(time.RFC3339)
	}
	if err := s.Audit.Record(ctx, action, string(o.ID), detail); err != nil {
		return err
	}
	entries := make([]brake.Entry, len(persons)) // each by name: a hold tells who was involved
	for i, p := range persons {
		entries[i] = brake.Entry{Event: brake.Approved, Person: string(p), Until: due}
	}
	if due.IsZero() {
		return s.issue(ctx, o, entries)
	}
	if _, err := s.Store.Move(ctx, o.ID, Requested, Approved, due); err != nil {
		return fmt.Errorf("approve order %s: %w", o.ID, err)
	}
	if err := s.journal(ctx, o, entries...); err != nil {
		return err
	}
	if o.Kind == LiftBrake {
		return s.tell(ctx, o, notify.OrderWaiting, true, "was approved: the brake is lifted at "+due.Format(time.RFC3339)+" unless somebody cancels it",
			fmt.Sprintf("From then on the windows for %s do not count for %d hours. If this is not meant, cancel the order now. Reason: %s", many(o.Options.Brake.Kind), o.Options.Brake.Hours, o.Reason))
	}
	if o.Options.Campaign != nil {
		return s.tell(ctx, o, notify.OrderWaiting, false, "was approved: the campaign begins at "+due.Format(time.RFC3339),
			fmt.Sprintf("At most %d devices in any hour. Whoever did not expect this cancels it before then. Reason: %s", o.Options.Campaign.PerHour, o.Reason))
	}
	return s.tell(ctx, o, notify.OrderCooling, true, "was approved and is carried out at "+due.Format(time.RFC3339)+" unless somebody cancels it",
		strings.Join(inUse, ", ")+" was in use within "+s.SeenWithin.String()+" and is in no open lost case. If this is not meant, cancel the order now. Reason: "+o.Reason)
}

// due says until when an order that is approved now has to wait, zero for not at all, and
// which of its devices are in use.
func (s *Service) due(ctx context.Context, o Order) (due time.Time, inUse []string, err error) {
	if o.Options.Drill {
		return time.Time{}, nil, nil
	}
	now := s.now()
	if c := o.Options.Campaign; c != nil { // it was told of a day before it begins, whenever it was asked for
		if notice := now.Add(s.Notice); notice.After(c.Start) {
			return notice, nil, nil
		}
		return c.Start, nil, nil
	}
	if o.Kind == LiftBrake { // else two people who collude would reach more than the brake's number
		return now.Add(s.Notice), nil, nil
	}
	if o.Kind != Erase {
		return time.Time{}, nil, nil
	}
	for _, t := range o.Targets {
		e, err := s.Fleet.Current(ctx, t.Device)
		if ward.KindOf(err) == ward.NotFound {
			continue // it is superseded when it is issued
		}
		if err != nil {
			return due, nil, err
		}
		if now.Sub(e.LastSeen) >= s.SeenWithin && now.Sub(e.Enrolled) >= s.SeenWithin {
			continue
		}
		lost, drill, err := s.OpenCase(ctx, t.Device)
		if err != nil {
			return due, nil, err
		}
		if lost == "" || drill {
			inUse = append(inUse, t.label())
			due = now.Add(s.Cooling)
		}
	}
	return due, inUse, nil
}
