package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"go.uber.org/zap"
)

// actionFileMade stands in the audit log for each file.
const actionFileMade = "case.file-made"

// CaseFile makes the file of a lost case, signed, with proofs of where each deed stands in
// the audit log. That it was made is audited.
func (s *Server) CaseFile(ctx context.Context, id ward.CaseID) (casefile.Pack, error) {
	if _, err := s.Lost.Case(ctx, id); err != nil {
		return casefile.Pack{}, err
	}
	if err := s.record.Record(ctx, actionFileMade, string(id), nil); err != nil { // before, so that it stands in the file
		return casefile.Pack{}, err
	}
	src, err := s.caseSource(ctx, id)
	if err != nil {
		return casefile.Pack{}, err
	}
	return s.pack(ctx, src)
}

// OrderFile makes the file of an order that belongs to no case.
func (s *Server) OrderFile(ctx context.Context, id ward.OrderID) (casefile.Pack, error) {
	o, err := s.Orders.Order(ctx, id)
	if err != nil {
		return casefile.Pack{}, err
	}
	if err := s.record.Record(ctx, actionFileMade, string(id), nil); err != nil {
		return casefile.Pack{}, err
	}
	src := s.newSource(ctx)
	one, err := s.orderInFile(ctx, o)
	if err != nil {
		return casefile.Pack{}, err
	}
	src.Orders = []casefile.Order{one}
	about := []audit.About{{Subject: string(id)}}
	if err := s.prove(ctx, &src, about); err != nil {
		return casefile.Pack{}, err
	}
	return s.pack(ctx, src)
}

func (s *Server) newSource(ctx context.Context) casefile.Source {
	who := ward.ActorFrom(ctx)
	return casefile.Source{MadeAt: s.now().Truncate(time.Second), MadeBy: casefile.By{Person: who.Person, Name: who.Name}, Organisation: s.config.Organisation}
}

func (s *Server) pack(ctx context.Context, src casefile.Source) (casefile.Pack, error) {
	return casefile.Render(ctx, src, casefile.Options{Note: s.Audit, Sign: casefile.CMS{Parts: s.signer.parts}})
}

// CaseView returns the words of a case's file for a page.
func (s *Server) CaseView(ctx context.Context, id ward.CaseID) (casefile.View, error) {
	src, err := s.caseSource(ctx, id)
	if err != nil {
		return casefile.View{}, err
	}
	return casefile.NewView(src), nil
}

func (s *Server) caseSource(ctx context.Context, id ward.CaseID) (casefile.Source, error) {
	f, err := s.Lost.File(ctx, id)
	if err != nil {
		return casefile.Source{}, err
	}
	src := s.newSource(ctx)
	fillCase(&src, f)
	about := []audit.About{{Subject: string(id)}, {Subject: string(f.Device.ID), From: f.Case.Reported.Add(-time.Minute), Until: f.Case.Closed}}
	orders, err := s.ordersOf(ctx, id)
	if err != nil {
		return src, err
	}
	for _, c := range f.Commands { // of an order for several devices, which belongs to no case
		if c.Order == "" || slices.ContainsFunc(orders, func(o order.Order) bool { return o.ID == c.Order }) {
			continue
		}
		o, err := s.Orders.Order(ctx, c.Order)
		if ward.KindOf(err) == ward.NotFound && !ward.ActorFrom(ctx).Scope.All() {
			continue // it names devices that who asks may not see
		}
		if err != nil {
			return src, err
		}
		orders = append(orders, o)
	}
	for _, o := range orders {
		one, err := s.orderInFile(ctx, o)
		if err != nil {
			return src, err
		}
		src.Orders = append(src.Orders, one)
		about = append(about, audit.About{Subject: string(o.ID)})
	}
	if src.Certificates, err = s.revokedInFile(ctx, f.Certificates); err != nil {
		return src, err
	}
	return src, s.prove(ctx, &src, about)
}

// ordersOf returns every order of a case, the oldest first.
func (s *Server) ordersOf(ctx context.Context, id ward.CaseID) (all []order.Order, err error) {
	f := order.Filter{Case: id, Limit: 100}
	for {
		page, err := s.Orders.List(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, o := range page {
			all = append([]order.Order{o}, all...)
		}
		if len(page) < f.Limit {
			return all, nil
		}
		f.After = page[len(page)-1].ID
	}
}

// prove adds what the audit log proves. A log that can't be read makes no file impossible:
// the file then says so.
func (s *Server) prove(ctx context.Context, src *casefile.Source, about []audit.About) error {
	e, err := s.Audit.Evidence(ctx, about...)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		src.Audit = casefile.Audit{Problem: err.Error()}
		return nil //nolint:nilerr // the file says it
	}
	src.Audit = casefile.AuditOf(e)
	return nil
}

// revokedInFile tells of the certificates that a case revoked, with the revocation list that
// first had to name them.
func (s *Server) revokedInFile(ctx context.Context, serials []string) (out []casefile.Certificate, err error) {
	record := s.db.Certificates()
	for _, serial := range serials {
		c, err := record.CertificateBySerial(ctx, serial)
		if ward.KindOf(err) == ward.NotFound {
			out = append(out, casefile.Certificate{Serial: serial})
			continue
		}
		if err != nil {
			return nil, err
		}
		one := casefile.Certificate{Serial: serial, Use: use(c), Subject: c.Subject, Revoked: c.RevokedAt, Reason: c.Reason.String()}
		list, err := record.CRL(ctx, c.Issuer)
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return nil, err
		}
		if err == nil && !list.Made.Before(c.RevokedAt) {
			one.List, one.Listed = fmt.Sprint(list.Number), list.Made
		}
		out = append(out, one)
	}
	return out, nil
}

// use says what a certificate is for.
func use(c ca.Certificate) string {
	switch c.Kind {
	case ca.KindApp:
		return "app " + c.App
	case ca.KindNetwork:
		return "network"
	}
	return string(c.Kind)
}

// orderInFile tells of an order with what each signature can be checked by.
func (s *Server) orderInFile(ctx context.Context, o order.Order) (casefile.Order, error) {
	options, err := json.Marshal(o.Options)
	if err != nil {
		return casefile.Order{}, fmt.Errorf("options of order %s: %w", o.ID, err)
	}
	statement, err := o.Statement()
	if err != nil {
		return casefile.Order{}, err
	}
	digest, err := o.Digest()
	if err != nil {
		return casefile.Order{}, err
	}
	out := casefile.Order{
		ID: o.ID, Kind: string(o.Kind), State: string(o.State), Reason: o.Reason, RequestedBy: casefile.By{Person: o.RequestedBy, Name: o.RequestedName},
		Requested: o.Created, Due: o.Due, Expires: o.Expires, Drill: o.Options.Drill, Options: options, Hash: o.Hash, Statement: statement,
	}
	for _, t := range o.Targets {
		out.Targets = append(out.Targets, casefile.Target{
			Device: t.Device, Enrolment: t.Enrolment, Name: t.Name, Command: t.Command, Outcome: string(t.Outcome), Delivered: t.Delivered, Answered: t.Answered, Error: t.Error,
		})
	}
	for _, a := range o.Approvals {
		yes, err := s.approvalInFile(ctx, a, digest)
		if err != nil {
			return out, err
		}
		out.Approvals = append(out.Approvals, yes)
	}
	if !o.Closing.At.IsZero() {
		out.Closing = &casefile.Closing{By: casefile.By{Person: o.Closing.Person, Name: o.Closing.Name}, At: o.Closing.At, Reason: o.Closing.Reason}
	}
	return out, nil
}

// approvalInFile tells of an approval, and whether it proves the order with this digest: what
// the database says of it is believed of nobody.
func (s *Server) approvalInFile(ctx context.Context, a order.Approval, digest string) (casefile.Approval, error) {
	out := casefile.Approval{Person: a.Person, Name: a.Name, Subject: a.Subject, Approver: a.Approver, At: a.At, Hash: a.Hash, Glass: a.Glass}
	out.Assertion = &casefile.Assertion{
		Purpose: string(a.Assertion.Purpose), Nonce: a.Assertion.Nonce, ClientData: a.Assertion.ClientData, AuthenticatorData: a.Assertion.AuthenticatorData, Signature: a.Assertion.Signature,
	}
	var err error
	switch {
	case a.Hash != digest:
		err = ward.Errorf(ward.Forbidden, "This was signed for something else than this order as it is now.")
	case a.Glass:
		err = s.glassInFile(ctx, a, &out)
	default:
		err = s.passkeyInFile(ctx, a, &out)
	}
	if err == nil {
		out.Proven = true
		return out, nil
	}
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	why, told := errors.AsType[*ward.Error](err)
	switch {
	case told && why.Kind != ward.Unavailable && why.Kind != ward.Internal:
		out.Unproven = why.Message
	default: // a case needs its file all the same, and the words may name files of this machine
		s.Log.Error("an approval in a case file could not be checked", zap.String("order", string(a.Order)), zap.Error(err))
		out.Unproven = "Ward was not able to check it when this file was made."
	}
	return out, nil
}

// passkeyInFile verifies an approval by a person. What then stands in the file of them is
// what was vouched for, and the time that of their signature.
func (s *Server) passkeyInFile(ctx context.Context, a order.Approval, out *casefile.Approval) error {
	who, err := s.Approvers.Verify(ctx, a.Assertion, approver.ForOrder, a.Hash)
	if err != nil {
		return err
	}
	if who.ID != a.Approver || who.Person != a.Person || who.Subject != a.Subject {
		return ward.Errorf(ward.Forbidden, "It was signed by somebody else: by %s.", who.Name)
	}
	out.Name, out.At, out.PublicKey = who.Name, a.Assertion.At, who.Key.Public
	return nil
}

// glassInFile verifies an approval by the sealed key.
func (s *Server) glassInFile(ctx context.Context, a order.Approval, out *casefile.Approval) error {
	g, ok, err := s.Approvers.Glass(ctx)
	if err != nil {
		return err
	}
	if err := s.Approvers.VerifyGlass(ctx, a.Hash, a.Assertion.Signature); err != nil {
		if ok && g.At.After(a.At) && ward.KindOf(err) == ward.Forbidden {
			return ward.Errorf(ward.Forbidden, "The sealed key was replaced at %s, and what the one before it signed can't be checked any more.", g.At.UTC().Format(time.RFC3339)).Because(err)
		}
		return err
	}
	out.PublicKey = g.Public
	return nil
}

// fillCase fits the words of a case to those of its file.
func fillCase(src *casefile.Source, f lost.File) {
	src.Case = &casefile.Case{
		ID: f.Case.ID, Kind: string(f.Case.Kind), State: string(f.Case.State), Drill: string(f.Case.Drill), Reported: f.Case.Reported,
		ReportedBy: casefile.By{Person: f.Reporter.Person, Name: f.Reporter.Name}, Identified: f.Reporter.Identified,
		LastSeenWhere: f.Case.LastSeenWhere, LastSeen: f.Case.LastSeenAt, WasUnlocked: string(f.Case.WasUnlocked), DataOpen: string(f.Case.DataOpen), Note: f.Case.Note,
		Aware: f.Case.Aware, Found: f.Case.Found, Closed: f.Case.Closed, Message: f.Case.Message, Phone: f.Case.Phone, Footnote: f.Case.Footnote,
	}
	d := f.Device
	src.Device = &casefile.Device{
		ID: d.ID, Name: d.Name, Serial: d.Serial, Model: d.Model, Platform: string(d.Platform), Ownership: string(d.Ownership), Holder: d.Owner, Email: d.Email, Site: d.Site, LastSeen: d.LastSeen,
	}
	for _, c := range f.Commands {
		src.Commands = append(src.Commands, casefile.Command{
			UUID: c.UUID, Enrolment: c.Enrolment, Device: d.ID, RequestType: c.RequestType, Order: c.Order, State: string(c.State), AskedBy: casefile.By{Person: c.By},
			Queued: c.Queued, Delivered: c.Delivered, Deliveries: c.Deliveries, Deferred: c.NotNow, Answered: c.Answered, Expires: c.Expires, Error: c.Error,
			LastSeen: c.LastSeen, Afresh: c.Afresh, RawAnswer: c.Answer,
		})
	}
	for _, l := range f.Locations {
		src.Locations = append(src.Locations, casefile.Look{At: l.At, By: casefile.By{Person: l.Person, Name: l.Name}, Deed: string(l.Kind), Purpose: l.Purpose})
	}
	for _, e := range f.Events {
		src.Timeline = append(src.Timeline, casefile.Event{At: e.At, Kind: string(e.Kind), Text: e.Text, By: casefile.By{Person: e.Person, Name: e.Name}})
	}
	a := casefile.Assessment{Level: string(f.Assessment.Level), Reasons: f.Assessment.Reasons, Aware: f.Assessment.Aware, Deadline: f.Assessment.Deadline}
	for _, x := range f.Assessment.Findings {
		a.Facts = append(a.Facts, casefile.Fact{Name: x.Name, Value: x.Text, Known: x.Value != lost.Unknown, At: x.At})
	}
	src.Assessment = &a
	for _, x := range f.Decisions {
		src.Decisions = append(src.Decisions, casefile.Decision{At: x.At, By: casefile.By{Person: x.Person, Name: x.Name}, Reportable: x.Reportable, Reasoning: x.Reasoning, Reference: x.Reference, Link: x.Link})
	}
}
