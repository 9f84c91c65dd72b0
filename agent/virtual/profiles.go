package virtual

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/wardmdm/ward/agent"
)

const (
	typeRestrictions = "com.apple.applicationaccess"
	typeMDM          = "com.apple.mdm"
	typeSCEP         = "com.apple.security.scep"
	typeACME         = "com.apple.security.acme"
)

// Who brought a profile. That of a declaration is byDeclaration and its identifier.
const (
	byServer      = "server"
	byHand        = "hand"
	byDeclaration = "declaration "
)

// held is a profile on the device.
type held struct {
	profile  *agent.Profile
	payloads []agent.Payload // those that are in force: a Mac leaves out what it does not take
	by       string
	// identities are those that its payloads asked for, by PayloadUUID.
	identities map[string]agent.Identity
}

// installProfile installs a profile that the server sent.
func (b *body) installProfile(ctx context.Context, c agent.Command) agent.Response {
	data, ok := c.Payload["Payload"].([]byte)
	if !ok {
		return malformed("Payload is missing")
	}
	prof, err := agent.ParseProfile(data)
	if err != nil {
		return failWith(err)
	}
	if len(prof.Of(typeMDM)) > 0 {
		return b.updateManagement(ctx, prof)
	}
	if e, err := b.link.enrolment(); err == nil && e.Profile.Identifier == prof.Identifier {
		return fail(domainInstall, 4015, "the profile that replaces the management profile has no MDM payload")
	}
	if err := b.install(ctx, prof, byServer); err != nil {
		return failWith(err)
	}
	return done(nil)
}

// failWith is the answer that an error of a profile becomes.
func failWith(err error) agent.Response {
	if pe, ok := errors.AsType[*agent.ProfileError](err); ok {
		return fail(pe.Domain, pe.Code, err.Error())
	}
	return fail(agent.ProfileErrorDomain, 1000, err.Error())
}

// install takes a profile in, by whichever way it came, or refuses it whole with an
// *agent.ProfileError.
func (b *body) install(ctx context.Context, prof *agent.Profile, by string) error {
	h, err := b.prepare(ctx, prof, by)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.place(h); err != nil {
		return err
	}
	b.touchLocked()
	return nil
}

// prepare does all of an installation that may take its time: it checks the profile and
// gets the identities that it asks for.
func (b *body) prepare(ctx context.Context, prof *agent.Profile, by string) (*held, error) {
	if err := b.acceptable(prof); err != nil {
		return nil, err
	}
	h := &held{profile: prof, payloads: b.takes(prof.Payloads), by: by, identities: map[string]agent.Identity{}}
	for _, q := range h.payloads {
		if q.Type != typeSCEP && q.Type != typeACME {
			continue
		}
		i, err := b.link.identify(ctx, q)
		if err != nil {
			return nil, noIdentity(err)
		}
		h.identities[q.UUID] = i
	}
	return h, nil
}

// place puts a prepared profile where it belongs. The caller holds b.mu.
func (b *body) place(h *held) error {
	id := h.profile.Identifier
	if old := b.profiles[id]; old != nil && strings.HasPrefix(old.by, byDeclaration) && old.by != h.by {
		return refusal(codeInstallFailed, "a declaration manages the profile %s", id)
	}
	if b.mac() {
		b.profiles[id] = h
		return nil
	}
	for _, q := range h.payloads {
		if payloadRules[q.Type].needs&once == 0 {
			continue
		}
		for other, x := range b.profiles {
			if other != id && slices.ContainsFunc(x.payloads, func(y agent.Payload) bool { return y.Type == q.Type }) {
				return refusal(codeInstallFailed, "the device takes one %s, and %s has it", q.Type, other)
			}
		}
	}
	b.profiles[id] = h
	return nil
}

// removeProfile removes a profile. Removing the management profile ends management:
// the answer goes out first, while there still is an identity to sign it.
func (b *body) removeProfile(_ context.Context, c agent.Command) agent.Response {
	id := c.String("Identifier")
	if id == "" {
		return malformed("Identifier is missing")
	}
	if e, err := b.link.enrolment(); err == nil && e.Profile.Identifier == id {
		r := done(nil)
		r.Then = agent.Leave
		return r
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch h := b.profiles[id]; {
	case h == nil:
		return fail(domainMDM, codeNoProfile, "the profile is not installed")
	case h.by != byServer:
		return fail(domainMDM, codeProfileNotManaged, "the profile did not come by a command")
	}
	delete(b.profiles, id)
	b.kept = nil
	return done(nil)
}

// profileList lists the profiles. In user enrolment the server sees its own only.
func (b *body) profileList(_ context.Context, c agent.Command) agent.Response {
	onlyManaged, ok := optional[bool](c.Payload, "ManagedOnly")
	if !ok {
		return malformed("ManagedOnly is not a boolean")
	}
	list := []any{}
	if e, err := b.link.enrolment(); err == nil && !onlyManaged {
		list = append(list, describe(e.Profile, false))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(b.profiles)) {
		h := b.profiles[id]
		if h.by == byHand && (onlyManaged || b.opt.UserEnrolment) {
			continue
		}
		list = append(list, describe(h.profile, h.by != byHand))
	}
	return done(map[string]any{"ProfileList": list})
}

func describe(prof *agent.Profile, managed bool) map[string]any {
	content := []any{}
	for _, q := range prof.Payloads {
		content = append(content, map[string]any{
			"PayloadType": q.Type, "PayloadIdentifier": q.Identifier, "PayloadVersion": 1, "PayloadDisplayName": q.Name,
		})
	}
	m := map[string]any{
		"PayloadIdentifier": prof.Identifier, "PayloadUUID": prof.UUID, "PayloadVersion": 1,
		"PayloadDisplayName": prof.Name, "PayloadOrganization": prof.Organization,
		"PayloadRemovalDisallowed": prof.RemovalDisallowed, "HasRemovalPasscode": len(prof.Of("com.apple.profileRemovalPassword")) > 0,
		"IsEncrypted": false, "IsManaged": managed, "PayloadContent": content,
	}
	if prof.Signer != nil {
		m["SignerCertificates"] = []any{prof.Signer.Raw}
	}
	return m
}

// certificateList lists what management brought: its identity, the identities and the
// authorities of profiles.
func (b *body) certificateList(context.Context, agent.Command) agent.Response {
	list := []any{}
	add := func(c *x509.Certificate, identity bool) {
		list = append(list, map[string]any{"CommonName": c.Subject.CommonName, "Data": c.Raw, "IsIdentity": identity})
	}
	if e, err := b.link.enrolment(); err == nil {
		add(e.Certificate, true)
	}
	for _, i := range b.Identities() {
		add(i, true)
	}
	for _, c := range b.trusted() {
		add(c, false)
	}
	return done(map[string]any{"CertificateList": list})
}

// Identities returns the certificates that security.identity declarations and the SCEP and
// ACME payloads of installed profiles brought, in the order of their identifiers.
func (b *body) Identities() []*x509.Certificate {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []*x509.Certificate
	for _, d := range b.inForce(typeSecurityIdentity) {
		if i, ok := b.identityOf(d.payload["CredentialAssetReference"]); ok && i.Certificate != nil {
			out = append(out, i.Certificate)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.profiles)) {
		h := b.profiles[id]
		for _, u := range slices.Sorted(maps.Keys(h.identities)) {
			if c := h.identities[u].Certificate; c != nil {
				out = append(out, c)
			}
		}
	}
	return out
}

// trusted returns the authorities that installed profiles brought. acceptable has read
// the certificates of each before it was installed.
func (b *body) trusted() []*x509.Certificate {
	var all []*agent.Profile
	if e, err := b.link.enrolment(); err == nil {
		all = append(all, e.Profile)
	}
	b.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(b.profiles)) {
		all = append(all, b.profiles[id].profile)
	}
	b.mu.Unlock()
	var out []*x509.Certificate
	for _, prof := range all {
		certs, err := prof.Roots()
		if err != nil {
			continue // only an enrolment profile can be here that acceptable has not seen
		}
		out = append(out, certs...)
	}
	return out
}
