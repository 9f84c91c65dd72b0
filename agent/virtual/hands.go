package virtual

import (
	"context"
	"errors"
	"fmt"

	"github.com/wardmdm/ward/agent"
)

// ErrManaged says that a person can't undo what management did.
var ErrManaged = errors.New("management put it there")

// InstallProfileByHand is the user installing a profile that came by mail or from a page.
// A restriction may keep them from it; otherwise the rules are those of every profile.
func (b *body) InstallProfileByHand(ctx context.Context, data []byte) error {
	b.mu.Lock()
	off := b.off("allowUIConfigurationProfileInstallation")
	b.mu.Unlock()
	if off {
		return by("allowUIConfigurationProfileInstallation")
	}
	prof, err := agent.ParseProfile(data)
	if err != nil {
		return err
	}
	if len(prof.Of(typeMDM)) > 0 {
		return refusal(codeUnacceptable, "enrolment has its own way")
	}
	for _, t := range mdmOnly() {
		if !b.mac() && len(prof.Of(t)) > 0 {
			return refusal(codeMustBeMDM, "%s must be installed by management", t)
		}
	}
	b.mu.Lock()
	old := b.profiles[prof.Identifier]
	b.mu.Unlock()
	if old != nil && old.by != byHand {
		return fmt.Errorf("install %s: %w", prof.Identifier, ErrManaged)
	}
	return b.install(ctx, prof, byHand)
}

// mdmOnly are the payloads that iOS takes from management alone. Source: Apple's schema,
// manualinstall of each profile.
func mdmOnly() []string {
	return []string{typeDNSProxy, "com.apple.extensiblesso", "com.apple.networkusagerules"}
}

// RemoveProfileByHand is the user removing a profile in Settings. What management
// installed stays there until management ends. A profile of the user's own that forbids
// its removal stays too, where the device is supervised.
// Source: Apple, TopLevel, PayloadRemovalDisallowed; InstallProfile.
func (b *body) RemoveProfileByHand(identifier string) error {
	if e, err := b.link.enrolment(); err == nil && e.Profile.Identifier == identifier {
		return fmt.Errorf("remove %s: it is removed by leaving management", identifier)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch h := b.profiles[identifier]; {
	case h == nil:
		return fmt.Errorf("remove %s: there is no such profile", identifier)
	case h.by != byHand:
		return fmt.Errorf("remove %s: %w", identifier, ErrManaged)
	case h.profile.RemovalDisallowed && (b.opt.Supervised || b.mac()):
		return fmt.Errorf("remove %s: its removal is disallowed", identifier)
	}
	delete(b.profiles, identifier)
	b.touchLocked()
	return nil
}

// UpdateSystem is the device starting with another version of its system, higher or not.
// Everything it holds is judged by that version from then on; the server hears of it by
// TokenUpdate, a status report, or when it asks.
func (b *body) UpdateSystem(version string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.os = version
	for _, h := range b.profiles {
		h.payloads = b.takes(h.profile.Payloads)
	}
	for _, d := range b.ddm.held {
		if again := b.checkDeclaration(d); again == nil || d.fault == nil || d.fault.Code != reasonCannotParse {
			d.fault = again
		}
	}
	b.touchLocked()
}
