package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
)

// RenewIdentity has the device replace its enrolment profile, and with it the key and the
// certificate that it proves itself by. iOS renews no identity that came in a profile
// (https://support.apple.com/HT204836), so the server has to, and in good time.
const RenewIdentity Deed = "renew identity"

// identityKey is the key of the step that renews a device's identity. A device has one
// such step at a time.
const identityKey = "identity"

// When identities are renewed, and how a renewal is tried again. It is never given up:
// whoever does not renew in time is lost.
const (
	// renewalSpread is over how long before the half of their lives the identities that
	// were issued together are renewed, so that they do not come all at once.
	renewalSpread = 30 * 24 * time.Hour
	// renewalStale is when a command that the device has not answered is replaced, because
	// the challenge in it is about to expire.
	renewalStale = 6 * 24 * time.Hour
	// renewalRetry is the longest wait after a refusal, and the wait after a device said
	// that it took its new profile and went on with its old identity.
	renewalRetry = 24 * time.Hour
	// renewalLate takes its place once the identity has ended.
	renewalLate = time.Hour
)

// Identity is the certificate by which an enrolment proves itself.
type Identity struct {
	Serial      string // decimal
	From, Until time.Time
	Attested    bool // its key is held by hardware that proved it
}

// Identities knows what enrolments prove themselves by.
type Identities interface {
	// Identity returns the identity of an enrolment; a *ward.Error of kind NotFound if it
	// has none that Ward issued.
	Identity(ctx context.Context, id ward.EnrolmentID) (Identity, error)
}

// RenewAt returns when the identity of an enrolment is to be renewed: when half of its
// life is over, or up to 30 days before, as the enrolment's id has it.
func (i Identity) RenewAt(id ward.EnrolmentID) time.Time {
	life := i.Until.Sub(i.From)
	sum := sha256.Sum256([]byte(id))
	const parts = 1 << 16
	early := min(renewalSpread, life/4) / parts * time.Duration(binary.BigEndian.Uint16(sum[:]))
	return i.From.Add(life/2 - early)
}

// Ended reports whether the identity's time was over at t.
func (i Identity) Ended(t time.Time) bool { return t.After(i.Until) }

// renewal is what is to be done about an identity now.
type renewal struct {
	issue bool      // renew it
	stale bool      // instead of the command that waits
	wake  bool      // have the device come: it is renewed when it does
	next  time.Time // when to look again
}

// planRenewal says what is to be done about the identity of an enrolment. last is the
// newest attempt to renew it, zero if there was none. present says that the device waits
// for an answer: only then is it sent a challenge, which ages.
func planRenewal(id ward.EnrolmentID, i Identity, last Attempt, present bool, now time.Time) renewal {
	if due := i.RenewAt(id); due.After(now) {
		return renewal{next: due}
	}
	r := renewal{issue: present, wake: !present, next: now.Add(renewalRetry)}
	var wait time.Time
	switch {
	case last.State.Open():
		wait, r.stale = last.Queued.Add(renewalStale), true
	case last.State == command.Accepted && last.Answered.After(i.From):
		wait = last.Answered.Add(i.patience(now))
	case last.State == command.Refused || last.State == command.Withheld:
		pause := retryFirst
		for n := 1; n < last.Tries && pause < renewalRetry; n++ {
			pause *= retryFactor
		}
		wait = last.Answered.Add(min(pause, i.patience(now)))
	}
	if wait.After(now) {
		return renewal{next: wait}
	}
	return r
}

// patience is the longest wait before a renewal is tried again.
func (i Identity) patience(now time.Time) time.Duration {
	if i.Ended(now) {
		return renewalLate
	}
	return renewalRetry
}

// renew adds the renewal of the identity to the steps: whatever the device's case, group
// or posture, for without its identity nothing reaches it. One that has ended goes before
// everything else.
func (l *Loop) renew(ctx context.Context, v View, steps []Step, next time.Time) ([]Step, time.Time, error) {
	if v.Identity == nil {
		return steps, next, nil
	}
	var last Attempt
	for _, a := range v.Attempts {
		if a.Key == identityKey {
			last = a
		}
	}
	contact, ok := fleet.ContactFrom(ctx)
	present := ok && contact.ID == v.Enrolment.ID
	if present && contact.Renewed && last.State.Open() {
		return steps, next, l.takeBack(ctx, v.Enrolment.ID, "the device has its new identity")
	}
	r := planRenewal(v.Enrolment.ID, *v.Identity, last, present, l.Now())
	if r.next.Before(next) {
		next = r.next
	}
	if r.wake && l.Wake != nil {
		if err := l.Wake(ctx, v.Enrolment.ID); err != nil {
			return steps, next, fmt.Errorf("wake for a new identity: %w", err)
		}
	}
	if !r.issue {
		return steps, next, nil
	}
	if r.stale {
		if err := l.takeBack(ctx, v.Enrolment.ID, "its challenge is too old"); err != nil {
			return steps, next, err
		}
	}
	return append([]Step{{Key: identityKey, Deed: RenewIdentity, First: v.Identity.Ended(l.Now())}}, steps...), next, nil
}

// takeBack cancels the renewal that waits for an answer.
func (l *Loop) takeBack(ctx context.Context, id ward.EnrolmentID, why string) error {
	_, err := l.Queue.CancelOpen(ctx, id, why, func(c command.Record) bool { return c.StepKey == identityKey })
	return err
}

// identity reads what an enrolment proves itself by, nil if Ward did not issue it.
func (l *Loop) identity(ctx context.Context, id ward.EnrolmentID) (*Identity, error) {
	if l.Identities == nil || id == "" {
		return nil, nil //nolint:nilnil // nothing is known of it
	}
	i, err := l.Identities.Identity(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return nil, nil //nolint:nilnil // nothing is known of it
	}
	if err != nil {
		return nil, fmt.Errorf("identity of %s: %w", id, err)
	}
	return &i, nil
}

// RenewalPending returns since when the identity is due to be renewed, zero if it is not.
func (v View) RenewalPending(now time.Time) time.Time {
	if v.Identity == nil || v.Enrolment.State != ward.EnrolmentActive {
		return time.Time{}
	}
	if due := v.Identity.RenewAt(v.Enrolment.ID); !due.After(now) {
		return due
	}
	return time.Time{}
}

// ofCase returns the case that a step belongs to. An identity is renewed whatever case
// opens or is closed meanwhile.
func (s Step) ofCase(c *profiles.Case) ward.CaseID {
	if s.Deed == DisableLostMode { // the case is over that it belongs to
		return s.Case
	}
	if c == nil || s.Deed == RenewIdentity {
		return ""
	}
	return c.ID
}
