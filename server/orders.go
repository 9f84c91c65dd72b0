package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/store"
	"go.uber.org/zap"
)

// What the engine of destructive orders keeps beside the keys, out of the database's reach.
const (
	approversFile = "approvers.json" // whom the operator trusts, and the sealed key's public half
	anchorFile    = "brake.head"     // the newest entry of the brake's journal
)

// openNotify puts together what tells the people on call.
func (s *Server) openNotify(_ context.Context, _ *seal.Master) error {
	email, hooks, err := s.config.Notify.senders(s.config.PublicURL, s.now)
	if err != nil {
		return err
	}
	s.Notify, err = notify.New(notify.Config{
		Store: s.db.Notifications(), People: addresses{s.db.Access()}, Audit: s.record, Now: s.now, Logger: s.Log.Named("notify"), PublicURL: s.config.PublicURL,
		Email: email, To: s.config.Notify.Email.To, Webhooks: hooks,
	})
	return err
}

// openOrders puts the engine of destructive orders together: who may approve, what counts,
// and what judges every dangerous command when it is handed out.
func (s *Server) openOrders(_ context.Context, master *seal.Master) (err error) {
	if s.Approvers, err = openApprovers(s.config, s.db, s.record, s.now, s); err != nil {
		return err
	}
	if s.Brake, err = openBrake(s.config, s.db, master, brake.Config{
		Now: s.now, OnHeld: s.braked, OnTampered: s.tampered,
		OnUnsaved: func(err error) { s.Log.Error("the anchor of the brake's journal can't be saved", zap.Error(err)) },
	}); err != nil {
		return err
	}
	s.Orders, err = order.New(order.Config{
		Store: s.db.Orders(), Fleet: s.fleet, Cases: caseDevices{s.db.Cases()}, Approvers: s.Approvers, Journal: s.Brake, Queue: s.queue,
		Compiler: deedCompiler{s.compiler, s.mdm, pins{s.db}}, Notify: s.Notify, Audit: s.record, Now: s.now,
		TypeOf: s.compiler.Dangerous, WiFi: applemdm.WiFiWords, OpenCase: s.openCase, Subject: s.subject,
		MaxDevices: s.config.Orders.MaxDevices, MaxCampaign: s.config.Orders.CampaignMax,
		Lifetime: time.Duration(s.config.Orders.Lifetime) * time.Hour, SeenWithin: time.Duration(s.config.Orders.SeenWithin) * time.Minute, Cooling: time.Duration(s.config.Orders.Cooling) * time.Minute,
	})
	if err != nil {
		return err
	}
	s.db.SetGuard(s.Orders.Deliverable)
	return nil
}

// openApprovers opens the register of those who may approve.
// Whoever begins or ceases to be one is told to everyone by teller.
func openApprovers(c Config, db *store.DB, record approver.Recorder, now func() time.Time, teller *Server) (*approver.Service, error) {
	host, origin, err := approver.RelyingParty(c.PublicURL)
	if err != nil {
		return nil, err
	}
	return approver.New(approver.Config{
		Store: db.Approvers(), Root: approver.FileRoot(filepath.Join(c.keysDir(), approversFile)), Audit: record, Now: now,
		RPID: host, Origin: origin, Organisation: c.Organisation, OnAdded: teller.approverAdded, OnEnded: teller.approverEnded,
		People: addresses{db.Access()},
	})
}

// openBrake opens the brake and its journal.
func openBrake(c Config, db *store.DB, master *seal.Master, b brake.Config) (*brake.Service, error) {
	b.Journal, b.Fleet, b.Limits = db.Journal(), db.Journal(), c.Brake.limits()
	b.Anchor, b.Key = brake.FileAnchor(filepath.Join(c.keysDir(), anchorFile)), master.Derive("brake journal")
	return brake.New(b)
}

// approverAdded tells everyone of a new approver.
func (s *Server) approverAdded(ctx context.Context, a approver.Approver) error {
	how := "Two approvers have vouched for them."
	if a.Founder {
		how = "The operator has trusted them at the server's console."
	}
	return s.Notify.Tell(ctx, notify.Message{
		Topic: notify.ApproverAdded, Subject: a.Name + " may approve orders from now on", Link: "/approvers", Everyone: true,
		Body: fmt.Sprintf("%s (%s) has become an approver of orders that can't be undone. %s If this is not right, end it at once on the page of the approvers.", a.Name, a.Subject, how),
	})
}

// approverEnded tells everyone of one who may approve no more.
func (s *Server) approverEnded(ctx context.Context, a approver.Approver, by, reason string) error {
	return s.Notify.Tell(ctx, notify.Message{
		Topic: notify.ApproverEnded, Subject: a.Name + " may approve no more orders", Link: "/approvers", Everyone: true,
		Body: fmt.Sprintf("%s (%s) is an approver no longer: %s ended it. The reason given: %s", a.Name, a.Subject, by, reason),
	})
}

// braked tells the people on call that the brake holds.
func (s *Server) braked(ctx context.Context, h brake.Hold) error {
	_, many := brake.Words(h.Kind)
	s.metrics.held.Inc()
	if err := s.record.Record(ctx, lost.ActionHeld, string(h.Kind), map[string]string{"why": h.Why}); err != nil {
		return err
	}
	return s.Notify.Tell(ctx, notify.Message{
		Topic: notify.BrakeHeld, Subject: "The brake holds " + many, Link: "/brake", Urgent: true, Everyone: true,
		Body: h.Words() + " Nothing of this kind reaches a device until two people have released it, one of whom had no part in it. If nobody here meant this, cancel all orders first: the button stands on the page of the brake.",
	})
}

// tampered tells that the brake's journal is not as it was written. It is told once for each
// finding, outside any unit of work.
func (s *Server) tampered(ctx context.Context, finding error) {
	s.Log.Error("the brake's journal is not as it was written: no destructive command is delivered", zap.Error(finding))
	ctx = ward.WithActor(context.WithoutCancel(ctx), ward.System)
	err := s.db.Do(ctx, func(ctx context.Context) error {
		if err := s.record.Record(ctx, "brake.tampered", "", map[string]string{"finding": finding.Error()}); err != nil {
			return err
		}
		return s.Notify.Tell(ctx, notify.Message{
			Topic: notify.Tampered, Subject: "The journal of dangerous deeds was changed", Link: "/brake", Urgent: true, Everyone: true,
			Body: finding.Error() + " No destructive command is delivered while this stands.",
		})
	})
	if err != nil {
		s.Log.Error("nobody could be told that the brake's journal was changed", zap.Error(err))
	}
}

// adoptCases has the journal, at the first start with one, know the cases that were open before there was
// one: a case that does not stand there brings about nothing.
func (s *Server) adoptCases(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.config.keysDir(), anchorFile)); !errors.Is(err, fs.ErrNotExist) {
		return err // not the first start with a journal
	}
	ledger, err := s.Brake.Ledger(ctx)
	if err != nil || ledger.Head() != 0 {
		return nil //nolint:nilerr // a journal that does not verify is told of by its own job
	}
	return journalCases(ctx, s.db, s.Brake, "via upgrade of ")
}

// journalCases enters every open case in the journal as one that was reported, by a name that
// says how it came there.
func journalCases(ctx context.Context, db *store.DB, b *brake.Service, how string) error {
	return db.Do(ctx, func(ctx context.Context) error {
		f := lost.Filter{State: lost.Open, Limit: 100}
		for {
			page, err := db.Cases().List(ctx, f)
			if err != nil {
				return err
			}
			for _, c := range page {
				e := brake.Entry{Event: brake.Used, Kind: brake.Report, Device: c.Device, Hash: string(c.ID), Person: how + string(c.ID), Note: brake.Self}
				if _, err := b.Take(ctx, e); err != nil {
					return err
				}
			}
			if len(page) < f.Limit {
				return nil
			}
			f.After = page[len(page)-1].ID
		}
	})
}

// openCase tells the orders whether a device is really missing.
func (s *Server) openCase(ctx context.Context, id ward.DeviceID) (ward.CaseID, bool, error) {
	c, err := s.db.Cases().OpenCase(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return "", false, nil
	}
	return c.ID, c.Drill != lost.Real, err
}

// subject says who the human being behind an account is: what they enrolled with as an
// approver, else their e-mail address.
func (s *Server) subject(ctx context.Context, id ward.PersonID) (string, error) {
	a, err := s.Approvers.ByPerson(ctx, id)
	if err == nil {
		return a.Subject, nil
	}
	if ward.KindOf(err) != ward.NotFound {
		return "", err
	}
	p, err := s.Access.Person(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return "", nil
	}
	return approver.Subject(p.Email), err
}

// addresses are the e-mail addresses of those who may sign in.
type addresses struct{ s *store.Access }

// Emails meets notify.People.
func (a addresses) Emails(ctx context.Context) (out []string, err error) {
	const page = 500
	for after := ward.PersonID(""); ; {
		people, err := a.s.People(ctx, after, page)
		if err != nil {
			return nil, err
		}
		for _, p := range people {
			if p.Email != "" && p.DisabledAt.IsZero() {
				out = append(out, p.Email)
			}
		}
		if len(people) < page {
			return out, nil
		}
		after = people[len(people)-1].ID
	}
}

// Email meets approver.People.
func (a addresses) Email(ctx context.Context, id ward.PersonID) (string, error) {
	p, err := a.s.Person(ctx, id)
	return p.Email, err
}

// accountSettles is how old an account must be to be believed to be the holder of a device
// with its e-mail address: whoever may make accounts could make one for every device.
const accountSettles = 7 * 24 * time.Hour

// accountHolders knows the e-mail addresses by which people are known as the holders of devices.
type accountHolders struct {
	addresses
	now func() time.Time
}

// Email meets lost.People.
func (h accountHolders) Email(ctx context.Context, id ward.PersonID) (string, error) {
	p, err := h.s.Person(ctx, id)
	if err != nil || p.Activated.IsZero() || h.now().Sub(p.Activated) < accountSettles {
		return "", err
	}
	return p.Email, nil
}

// proposals lets a case ask for an order as Ward.
type proposals struct {
	*order.Service
	fleet store.Fleet
}

// Propose meets lost.Orders.
func (p proposals) Propose(ctx context.Context, id ward.CaseID, device ward.DeviceID, reason string) (ward.OrderID, error) {
	d, err := p.fleet.Device(ctx, device)
	if err != nil {
		return "", err
	}
	options := order.Options{PreserveDataPlan: true, DisallowProximitySetup: d.Platform == ward.IOS}
	o, err := p.Request(ward.WithActor(ctx, ward.System), order.Request{
		Kind: order.Erase, Devices: []ward.DeviceID{device}, Case: id, Reason: reason,
		Options: options,
	})
	return o.ID, err
}

// deedCompiler makes the commands of orders.
type deedCompiler struct {
	c    *applemdm.Compiler
	m    store.MDM
	pins pins
}

// Erase meets order.Compiler. A Mac with Apple's older chips asks for a PIN to come back.
func (d deedCompiler) Erase(ctx context.Context, dev ward.Device, e ward.Enrolment, o order.Options) (uuid, requestType string, body []byte, err error) {
	out := applemdm.EraseOptions{PreserveDataPlan: o.PreserveDataPlan, DisallowProximitySetup: o.DisallowProximitySetup, Obliteration: o.Obliteration}
	if o.ReturnToService != nil {
		out.ReturnToService = &applemdm.ReturnToService{WiFiProfile: o.ReturnToService.WiFiProfile}
	}
	if dev.Platform == ward.MacOS {
		if out.PIN, err = d.pins.of(ctx, erasePIN, e.ID); err != nil {
			return "", "", nil, err
		}
	}
	return d.c.Erase(ctx, dev, e, out)
}

// ClearPasscode meets order.Compiler.
func (d deedCompiler) ClearPasscode(ctx context.Context, dev ward.Device, e ward.Enrolment) (uuid, requestType string, body []byte, err error) {
	token, err := d.m.UnlockToken(ctx, e.ID)
	if err != nil {
		return "", "", nil, err
	}
	return d.c.ClearPasscode(dev, e, token)
}

// RemoveManagement meets order.Compiler.
func (d deedCompiler) RemoveManagement(_ context.Context, dev ward.Device, e ward.Enrolment) (uuid, requestType string, body []byte, err error) {
	return d.c.RemoveManagement(dev, e)
}

// LockPIN meets order.Compiler.
func (d deedCompiler) LockPIN(ctx context.Context, dev ward.Device, e ward.Enrolment, o order.Options) (uuid, requestType string, body []byte, err error) {
	pin, err := d.pins.of(ctx, lockPIN, e.ID)
	if err != nil {
		return "", "", nil, err
	}
	return d.c.LockPIN(dev, e, pin, o.Message, o.Phone)
}

// advanceOrders is the job of the orders: what is due is issued, what nobody signed in time ends, and
// commands whose time has passed are closed.
func (s *Server) advanceOrders(ctx context.Context) error {
	_, issued := s.Orders.Advance(ctx)
	_, expired := s.Orders.Expire(ctx)
	return errors.Join(issued, expired, s.expireCommands(ctx))
}

// expireCommands closes the commands whose time has passed.
func (s *Server) expireCommands(ctx context.Context) error {
	const batch = 200
	for ctx.Err() == nil {
		closed, err := s.queue.ExpireDue(ctx, s.now(), batch)
		if err != nil {
			return err
		}
		for _, r := range closed {
			if r.Order == "" {
				continue
			}
			if err := s.Orders.Answered(ctx, r.Order, r.Enrolment, r.State, s.now(), r.Error); err != nil {
				return err
			}
		}
		if len(closed) < batch {
			return nil
		}
	}
	return nil
}

var _ lost.People = accountHolders{}

// stands reports whether a person stands as an approver.
func (s *Server) stands(ctx context.Context, id ward.PersonID) (bool, error) {
	_, err := s.Approvers.ByPerson(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return false, nil
	}
	return err == nil, err
}
