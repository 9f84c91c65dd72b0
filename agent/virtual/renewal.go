package virtual

import (
	"context"
	"fmt"

	"github.com/wardmdm/ward/agent"
)

// Renewal is what a phone does when a command replaces its enrolment profile. It gets a
// new identity first in any case.
type Renewal string

// The ways. Apple does not write down what follows; systems were seen to differ, so a
// server has to take each. Those that lose the connection do so once, and then the phone
// is as in RenewQuietly.
const (
	// RenewQuietly answers the command under the new identity and then sends TokenUpdate.
	// It is the default.
	RenewQuietly Renewal = ""
	// RenewAnnounced sends Authenticate and TokenUpdate under the new identity before the
	// answer. If the server refuses them, everything stays as it was.
	RenewAnnounced Renewal = "announced"
	// RenewAnnouncedLate sends them after the answer.
	RenewAnnouncedLate Renewal = "announced late"
	// RenewLostNew has the new identity in place, but the connection goes before the answer:
	// the phone comes back with the new identity and knows of no command.
	RenewLostNew Renewal = "lost with new"
	// RenewLostOld loses the new identity with the connection: the server has issued a
	// certificate that nobody has, and the phone comes back with the old one.
	RenewLostOld Renewal = "lost with old"
)

// SetRenewal says what the phone does the next times its enrolment profile is replaced.
func (b *body) SetRenewal(how Renewal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.renewal = how
}

// nextRenewal returns how this renewal goes.
func (b *body) nextRenewal() Renewal {
	b.mu.Lock()
	defer b.mu.Unlock()
	how := b.renewal
	if how == RenewLostNew || how == RenewLostOld {
		b.renewal = RenewQuietly
	}
	return how
}

// updateManagement installs the management profile again. It may change neither its
// addresses nor its topic, nor for whom it is, and its rights may only shrink; the identity
// is got anew. Without one the old profile stays whole. Source: Apple, MDM payload: "may
// not change" of Topic, ServerURL, CheckInURL, AssignedManagedAppleID, EnrollmentMode,
// RequiredAppIDForMDM and ServerCapabilities, and AccessRights.
func (b *body) updateManagement(ctx context.Context, prof *agent.Profile) agent.Response {
	e, err := b.link.enrolment()
	if err != nil || e.Profile.Identifier != prof.Identifier {
		return fail(domainInstall, codeUnacceptable, "the device is managed already")
	}
	if err := b.admissible(prof); err != nil {
		return failWith(err)
	}
	m, q, err := prof.MDM()
	if err != nil {
		return failWith(err)
	}
	if fault := mismatch(e.MDM, m); fault != "" {
		return fail(domainMDM, codeReplaceMismatch, fault)
	}
	identity, err := b.link.identify(ctx, q)
	if err != nil {
		return failWith(noIdentity(err))
	}
	how := b.nextRenewal()
	if how == RenewLostOld {
		return agent.Response{Then: agent.Lose}
	}
	if err := b.link.replace(ctx, prof, identity, how == RenewAnnounced); err != nil {
		return fail(domainInstall, codeInstallFailed, err.Error())
	}
	r := done(nil)
	switch how {
	case RenewLostNew:
		return agent.Response{Then: agent.Lose}
	case RenewAnnounced:
	case RenewAnnouncedLate:
		r.After = func(ctx context.Context) error { return b.link.tell(ctx, true) }
	default:
		r.After = func(ctx context.Context) error { return b.link.tell(ctx, false) }
	}
	return r
}

// mismatch says what an update of the management profile changes that it may not; empty
// for nothing.
func mismatch(old, next agent.MDM) string {
	for _, x := range []struct {
		key     string
		changed bool
	}{
		{"Topic", next.Topic != old.Topic},
		{"ServerURL", next.ServerURL != old.ServerURL},
		{"CheckInURL", next.CheckInURL != old.CheckInURL},
		{"AssignedManagedAppleID", next.AppleID != old.AppleID},
		{"EnrollmentMode", next.Mode != old.Mode || next.UserEnrolment != old.UserEnrolment},
		{"RequiredAppIDForMDM", next.AppID != old.AppID},
		{"per-user-connections of ServerCapabilities", next.PerUser != old.PerUser},
	} {
		if x.changed {
			return x.key + " may not change"
		}
	}
	if !next.UserEnrolment && !old.AccessRights.Has(next.AccessRights) {
		return "AccessRights may only shrink"
	}
	return ""
}

// noIdentity is the error of a profile whose identity could not be had.
func noIdentity(err error) error {
	refused := &agent.ProfileError{Domain: domainSCEP, Code: codeSCEP, Text: "there is no identity to be had"}
	return fmt.Errorf("%w: %w", refused, err)
}
