package virtual

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"slices"

	"github.com/wardmdm/ward/agent"
)

const (
	typeRestrictions = "com.apple.applicationaccess"
	typeMDM          = "com.apple.mdm"
	typePasscode     = "com.apple.mobiledevice.passwordpolicy"
	typeWebFilter    = "com.apple.webcontent-filter"
)

// held is a profile on the phone. All of them came by the server.
type held struct{ profile *agent.Profile }

func (p *Phone) installProfile(ctx context.Context, c agent.Command) agent.Response {
	data, ok := c.Payload["Payload"].([]byte)
	if !ok {
		return malformed("Payload is missing")
	}
	prof, err := agent.ParseProfile(data)
	if err == nil {
		err = p.acceptable(prof)
	}
	if err != nil {
		if pe, ok := errors.AsType[*agent.ProfileError](err); ok {
			return fail(pe.Domain, pe.Code, pe.Text)
		}
		return fail(agent.ProfileErrorDomain, 1000, err.Error())
	}
	if len(prof.Of(typeMDM)) > 0 {
		return p.updateManagement(ctx, prof)
	}
	if e, err := p.client.Enrolment(); err == nil && e.Profile.Identifier == prof.Identifier {
		return fail(domainInstall, 4015, "the profile that replaces the management profile has no MDM payload")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.profiles[prof.Identifier] = &held{prof}
	return done(nil)
}

// updateManagement installs the management profile again. Apple forbids other addresses,
// another topic and more rights (schema com.apple.mdm).
func (p *Phone) updateManagement(ctx context.Context, prof *agent.Profile) agent.Response {
	e, err := p.client.Enrolment()
	if err != nil || e.Profile.Identifier != prof.Identifier {
		return fail(domainInstall, codeUnacceptable, "the device is managed already")
	}
	m, _, err := prof.MDM()
	if err != nil {
		return fail(agent.PayloadErrorDomain, 2002, err.Error())
	}
	old := e.MDM
	if m.Topic != old.Topic || m.ServerURL != old.ServerURL || m.CheckInURL != old.CheckInURL || !old.AccessRights.Has(m.AccessRights) {
		return fail(domainMDM, codeReplaceMismatch, "topic and addresses may not change, and rights may only shrink")
	}
	if err := p.client.Shrink(ctx, m.AccessRights); err != nil {
		return fail(domainInstall, 4001, err.Error())
	}
	return done(nil)
}

// acceptable holds the payloads against what iOS takes on this phone.
func (p *Phone) acceptable(prof *agent.Profile) error {
	if _, err := prof.Roots(); err != nil {
		return err
	}
	for _, q := range prof.Payloads {
		switch {
		case q.Type == "com.apple.declarations", q.Type == "com.apple.applicationaccess.new":
			return &agent.ProfileError{Domain: domainInstall, Code: codeUnacceptable, Text: q.Type + " cannot be installed here"}
		case q.Type == "com.apple.profileRemovalPassword" && !p.opt.Supervised:
			return &agent.ProfileError{Domain: domainInstall, Code: codeSupervision, Text: q.Type + " needs supervision"}
		case q.Type == typeWebFilter && !p.opt.Supervised && q.Content["ContentFilterUUID"] == nil:
			return &agent.ProfileError{Domain: domainInstall, Code: codeSupervision, Text: "without supervision a content filter needs ContentFilterUUID"}
		case q.Type == typeRestrictions:
			for _, key := range slices.Sorted(maps.Keys(q.Content)) {
				if r, ok := ruleFor(key); ok {
					if err := r.check(key, q.Content[key]); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// removeProfile removes a profile. Removing the management profile ends management:
// the answer goes out first, while there still is an identity to sign it.
func (p *Phone) removeProfile(_ context.Context, c agent.Command) agent.Response {
	id := c.String("Identifier")
	if id == "" {
		return malformed("Identifier is missing")
	}
	if e, err := p.client.Enrolment(); err == nil && e.Profile.Identifier == id {
		r := done(nil)
		r.Then = agent.Leave
		return r
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.profiles[id] == nil {
		return fail(domainMDM, codeNoProfile, "the profile is not installed")
	}
	delete(p.profiles, id)
	return done(nil)
}

func (p *Phone) profileList(_ context.Context, c agent.Command) agent.Response {
	onlyManaged, ok := optional[bool](c.Payload, "ManagedOnly")
	if !ok {
		return malformed("ManagedOnly is not a boolean")
	}
	list := []any{}
	if e, err := p.client.Enrolment(); err == nil && !onlyManaged {
		list = append(list, describe(e.Profile, false))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(p.profiles)) {
		list = append(list, describe(p.profiles[id].profile, true))
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

func (p *Phone) certificateList(context.Context, agent.Command) agent.Response {
	list := []any{}
	add := func(c *x509.Certificate, identity bool) {
		list = append(list, map[string]any{"CommonName": c.Subject.CommonName, "Data": c.Raw, "IsIdentity": identity})
	}
	if e, err := p.client.Enrolment(); err == nil {
		add(e.Certificate, true)
	}
	for _, c := range p.trusted() {
		add(c, false)
	}
	return done(map[string]any{"CertificateList": list})
}

// trusted returns the authorities that installed profiles brought. acceptable has read
// the certificates of each before it was installed.
func (p *Phone) trusted() []*x509.Certificate {
	var all []*agent.Profile
	if e, err := p.client.Enrolment(); err == nil {
		all = append(all, e.Profile)
	}
	p.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(p.profiles)) {
		all = append(all, p.profiles[id].profile)
	}
	p.mu.Unlock()
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
