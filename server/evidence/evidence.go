// Package evidence makes the reports that an organisation shows to its board, to auditors,
// to a regulator and to the people whose data it holds, and proves what stands in them: it
// seals the history of postures into the audit log, and signs what it hands out. It reports
// what is recorded and says what is not; it judges nothing and changes nothing, but erases
// what is held of a person where the law asks for that.
package evidence

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/report"
)

// Of says of what time, or of whom, a pack is.
type Of string

// What a pack can be of.
const (
	OfMonth  Of = "month"  // Request.Period
	OfMoment Of = "moment" // Request.AsOf; zero is now
	OfPerson Of = "person" // Request.Person
	OfApp    Of = "app"    // Request.App, at Request.AsOf
)

// Pack is a kind of report.
type Pack struct {
	ID    string
	Title string
	For   string // whom it is for and what it answers, a sentence
	Of    Of
	Whole bool // it is about the whole organisation: nobody whose view is bounded may have it
}

// The packs.
const (
	Board           = "board"
	DSPT            = "dspt"
	CyberEssentials = "cyber-essentials"
	FOI             = "foi"
	Register        = "register"
	AccessReview    = "access-review"
	SubjectAccess   = "subject-access"
	Question        = "question"
)

// Packs lists every kind, in the order in which they are shown.
func Packs() []Pack {
	return []Pack{
		{Board, "Board report", "For the board or the information-governance group: a month on two pages, with the month before beside it.", OfMonth, true},
		{Question, "Which devices had an app?", "For a regulator: on which devices an app was at one moment, where it was blocked, who was told and what was done after, with proofs.", OfApp, false},
		{DSPT, "DSPT and CAF map", "For whoever completes the Data Security and Protection Toolkit: what Ward can show for each outcome, and what it cannot.", OfMoment, true},
		{CyberEssentials, "Cyber Essentials map", "For an assessment: the five controls, and the devices in scope by operating system and version.", OfMoment, true},
		{FOI, "Freedom of information", "For an answer to the public: approved apps, policies, exceptions and incidents in number, without personal data.", OfMonth, true},
		{Register, "Approved-app register", "For whoever asks which apps are approved, why and by which assessment.", OfMoment, false},
		{AccessReview, "Access review", "For the yearly or quarterly review: who may do what, who uses it, and lines to sign off.", OfMoment, true},
		{SubjectAccess, "Subject access", "For a person who asks what is held of them: everything, as a page, a PDF and JSON.", OfPerson, true},
	}
}

// Find returns the pack with this id, or NotFound.
func Find(id string) (Pack, error) {
	for _, p := range Packs() {
		if p.ID == id {
			return p, nil
		}
	}
	return Pack{}, ward.Errorf(ward.NotFound, "There is no report %q. Evidence lists those that there are.", id)
}

// Request says which report is wanted.
type Request struct {
	Pack   string
	Period Period    // of a month
	AsOf   time.Time // of a moment or an app; zero is now
	App    string    // slug of the catalogue
	Person string    // an e-mail address, a name or the id of a person
}

// Estate tells the posture of every device, now and in the past. *estate.Service meets it.
type Estate interface {
	Current(ctx context.Context) (*estate.Snapshot, error)
	At(ctx context.Context, t time.Time) (*estate.Snapshot, error)
	Trend(ctx context.Context, c estate.Cut, days int) ([]estate.Day, error)
	Removals(ctx context.Context, app string, by estate.Dimension, from, to time.Time) (map[string]estate.Removal, error)
	Recorded(ctx context.Context) (time.Time, error)
	Changes(ctx context.Context, id ward.DeviceID, before int64, limit int) ([]estate.Change, error)
}

// Policies tells versions of the policy, the newest first. *policy.Service meets it.
type Policies interface {
	Versions(ctx context.Context, before int64, limit int) ([]policy.Version, error)
	Version(ctx context.Context, generation int64) (policy.Version, error)
}

// Cases tells lost devices. *lost.Service meets it.
type Cases interface {
	List(ctx context.Context, f lost.Filter) ([]lost.Case, error)
	File(ctx context.Context, id ward.CaseID) (lost.File, error)
	Drills(ctx context.Context, f lost.Filter) ([]lost.Rehearsed, error)
}

// Orders tells orders, the newest first. *order.Service meets it.
type Orders interface {
	List(ctx context.Context, f order.Filter) ([]order.Order, error)
}

// Brake tells what is held. *brake.Service meets it.
type Brake interface {
	Holds(ctx context.Context) ([]brake.Hold, error)
}

// Approvers tells who may approve. *approver.Service meets it.
type Approvers interface {
	List(ctx context.Context) ([]approver.Standing, error)
}

// People tells who uses Ward. *access.Service meets it.
type People interface {
	People(ctx context.Context, after ward.PersonID, limit int) ([]access.Person, error)
	Tokens(ctx context.Context, id ward.PersonID) ([]access.Token, error)
}

// Notices tells what was told to whom, the newest first. *notify.Service meets it.
type Notices interface {
	Log(ctx context.Context, after string, limit int) ([]notify.Delivery, error)
}

// Invitations tells invitations, the newest first. *enrollment.Service meets it.
type Invitations interface {
	List(ctx context.Context, before string, limit int) ([]enrollment.Invitation, error)
}

// Standing is what is known of how somebody signs in.
type Standing struct {
	Factor   string // in words, such as "passkey"; empty: not known
	Sessions int    // that live; -1: not known
	Scope    ward.Scope
}

// Signer signs a file by the organisation's certificate: detached CMS, DER.
type Signer interface {
	Sign(pdf []byte) (p7s []byte, err error)
}

// Config is what a Service stands on. Those of the second group may be nil.
type Config struct {
	Estate      Estate
	Policies    Policies
	Cases       Cases
	Orders      Orders
	Brake       Brake
	Approvers   Approvers
	People      People
	Notices     Notices
	Invitations Invitations
	Seals       Seals
	Audit       Auditor
	Now         func() time.Time

	Organisation string
	PublicURL    string // where pages are reached, for links in words; may be empty
	Sign         Signer // nil: PDFs have no signature of their own
	Eraser       Eraser // nil: nobody is erased
	Standing     func(ctx context.Context, id ward.PersonID) (Standing, error)
}

// Service makes reports. It may be used by several goroutines.
type Service struct{ Config }

// New returns a service.
func New(c Config) (*Service, error) {
	if c.Estate == nil || c.Policies == nil || c.Cases == nil || c.Orders == nil || c.Brake == nil || c.Approvers == nil || c.People == nil || c.Notices == nil || c.Invitations == nil || c.Seals == nil || c.Audit == nil || c.Now == nil {
		return nil, errors.New("evidence: everything up to Now is needed")
	}
	return &Service{c}, nil
}

// made is a report with what proves it.
type made struct {
	report.Document
	changes []ProvenChange
	about   []audit.About // entries of the audit log that prove it
	person  ward.PersonID // whose personal data it holds
}

// Make makes a report, without a signature. It needs access.EvidenceRead; one of a whole
// organisation is refused to somebody whose view is bounded.
func (s *Service) Make(ctx context.Context, r Request) (report.Document, error) {
	m, err := s.make(ctx, r)
	return m.Document, err
}

func (s *Service) make(ctx context.Context, r Request) (m made, err error) {
	p, err := s.may(ctx, r)
	if err != nil {
		return m, err
	}
	if r.AsOf.After(s.Now()) {
		return m, ward.Errorf(ward.Invalid, "The time lies ahead. Ask for one that has passed.")
	}
	m.Document = report.Document{
		Name: p.ID, Title: p.Title, Organisation: s.Organisation, Made: s.Now().UTC().Truncate(time.Second), By: ward.ActorFrom(ctx).Name, AsOf: r.AsOf,
	}
	if p.Of != OfMonth && m.AsOf.IsZero() {
		m.AsOf = m.Made
	}
	builders := map[string]func(context.Context, Request, *made) error{
		Board: s.board, DSPT: s.dspt, CyberEssentials: s.cyberEssentials, FOI: s.foi, Register: s.register, AccessReview: s.accessReview, SubjectAccess: s.subjectAccess, Question: s.question,
	}
	return m, builders[p.ID](ctx, r, &m)
}

// may checks who asks.
func (s *Service) may(ctx context.Context, r Request) (Pack, error) {
	if err := access.Check(ctx, access.EvidenceRead); err != nil {
		return Pack{}, err
	}
	p, err := Find(r.Pack)
	if err != nil {
		return p, err
	}
	if p.Whole && !ward.ActorFrom(ctx).Scope.All() {
		return p, ward.Errorf(ward.Forbidden, "This report is about the whole organisation, and you see a part of it. Ask somebody who sees it all.")
	}
	return p, nil
}

// snapshot returns every device at a time, zero for now.
func (s *Service) snapshot(ctx context.Context, at time.Time) (*estate.Snapshot, error) {
	if at.IsZero() || !at.Before(s.Now()) {
		return s.Estate.Current(ctx)
	}
	return s.Estate.At(ctx, at)
}

// policyAt returns the version that was current at a time, with how it reads; ok is false
// where none was.
func (s *Service) policyAt(ctx context.Context, at time.Time) (v policy.Version, ok bool, err error) {
	for before := int64(0); ; {
		page, err := s.Policies.Versions(ctx, before, 50)
		if err != nil {
			return v, false, err
		}
		for _, v := range page {
			if v.State == policy.Proposed || v.State == policy.Withdrawn || inForceFrom(v).After(at) {
				continue
			}
			v, err := s.Policies.Version(ctx, v.Generation) // a list leaves the text out
			return v, err == nil, err
		}
		if len(page) < 50 {
			return v, false, nil
		}
		before = page[len(page)-1].Generation
	}
}

// inForceFrom is when a version began to hold for the first devices: when it was made, or when
// the second person said yes.
func inForceFrom(v policy.Version) time.Time {
	if v.Approved.After(v.Published) {
		return v.Approved
	}
	return v.Published
}

// devicesIn returns the devices of a scope, in the order of the snapshot.
func devicesIn(snap *estate.Snapshot, scope ward.Scope) []*estate.Device {
	return snap.Match(estate.Filter{Scope: scope})
}

func joined(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ", ")
}
