package authorize

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Remember is the longest that the record is not asked again about one certificate. What
// one copy of the server writes therefore counts at every other within that time, with no
// word between them that could be lost.
const Remember = 250 * time.Millisecond

// patience bounds one look into the record: a proxy that waits lets nobody in.
const patience = 2 * time.Second

// Store keeps what decides. Methods join the unit of work in ctx.
type Store interface {
	unit.Unit
	// Subject returns the certificate with this SHA-256 of its DER, in lower-case
	// hexadecimal, and what decides about it, in one read. A certificate that Ward did not
	// issue is a *ward.Error of kind NotFound.
	Subject(ctx context.Context, hash string) (Subject, error)
	// SaveVerdict keeps a device's verdict in the place of the one before.
	SaveVerdict(ctx context.Context, v Verdict) error
	// SaveUse keeps the newer of what is recorded and u. It reports whether u is a refusal
	// for another reason than the outcome that was recorded last.
	SaveUse(ctx context.Context, u Use) (bool, error)
	// SaveAllowed keeps when the holders of certificates were let in, where that is newer
	// than what is recorded, and that they were. It takes what SaveUse takes, many at once.
	SaveAllowed(ctx context.Context, all []Use) error
}

// Planner has devices planned, and judged with it, at a time or soon after.
type Planner interface {
	CheckSoon(ctx context.Context, id ward.DeviceID, t time.Time) error
}

// Recorder writes the audit log in the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// ActionRefused stands in the audit log when the holder of a certificate that Ward issued
// is refused: once, until it is let in again or refused for another reason. Its subject
// is the device.
const ActionRefused = "certificate.refused"

// Options are the parts of a service. All are needed but Rules and Soon.
type Options struct {
	Store   Store
	Planner Planner
	Audit   Recorder
	Rules   Rules
	Now     func() time.Time
	// Steady is a clock for the age of what is remembered. It must go forward at all times,
	// as time.Now does, whatever is done to the machine's clock.
	Steady func() time.Time
	// Soon is called when devices were made due for planning. It must not block.
	Soon func()
}

// Service decides. Its methods may be called by several goroutines.
type Service struct {
	Options
	memory memory
	uses   uses
}

// New returns a service.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.Planner == nil || o.Audit == nil || o.Now == nil || o.Steady == nil {
		return nil, errors.New("authorize: Store, Planner, Audit, Now and Steady are needed")
	}
	if o.Soon == nil {
		o.Soon = func() {}
	}
	return &Service{Options: o, uses: newUses()}, nil
}

// Decision is an answer, with who the certificate belongs to as far as that is known.
type Decision struct {
	Reason Reason
	Device ward.DeviceID
	App    string // bundle id, of an app's certificate
	Email  string // of the device's owner; empty if it has none
}

// Ask says whether the holder of the certificate with this hash may come in: see
// Store.Subject. An error means that the record could not be asked, and nobody may be
// let in by it.
func (s *Service) Ask(ctx context.Context, hash string, w Want) (Decision, error) {
	subject, found, err := s.subject(ctx, hash)
	if err != nil {
		return Decision{Reason: Failed}, fmt.Errorf("ask about a certificate: %w", err)
	}
	if !found {
		return Decision{Reason: Unknown}, nil
	}
	now := s.Now()
	d := Decision{Reason: s.Rules.Decide(subject, w, now), Device: subject.Device, Email: subject.Email}
	if subject.Kind == App {
		d.App = subject.App
	}
	s.uses.note(subject, d.Reason, now)
	return d, nil
}

// subject asks the record, unless it did just now.
func (s *Service) subject(ctx context.Context, hash string) (Subject, bool, error) {
	began := s.Steady()
	m, epoch, ok := s.memory.recall(hash, began)
	if ok {
		return m.subject, m.found, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	subject, err := s.Store.Subject(ctx, hash)
	found := err == nil
	if ward.KindOf(err) == ward.NotFound {
		err = nil
	}
	if err != nil {
		return subject, false, err
	}
	s.memory.keep(hash, remembered{subject, found, began}, epoch)
	return subject, found, nil
}

// Forget drops what is remembered, so that what this copy of the server has just written
// counts at once. It is for after a commit.
func (s *Service) Forget() { s.memory.forget() }
