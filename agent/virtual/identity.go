package virtual

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/wardmdm/ward/agent"
)

// checkACME holds an ACME payload, or the document of an ACME credential if declared,
// against what this device does. Source: Apple, ACMECertificate, HardwareBound and Attest:
// on a Mac true from macOS 14, with Apple silicon or, for HardwareBound, a T2; and
// CredentialACME, by which both are false on a Mac and P-192 is not there.
func (b *body) checkACME(q agent.Payload, declared bool) error {
	a, err := agent.ParseACME(q)
	if err != nil {
		return err
	}
	bad := func(text string) error {
		return &agent.ProfileError{Domain: agent.PayloadErrorDomain, Code: codeBadValue, Text: text}
	}
	switch {
	case declared && a.KeySize == 192:
		return bad("a credential has no KeySize 192")
	case declared && b.mac() && (a.HardwareBound || a.Attest):
		return bad("HardwareBound and Attest of a credential must be false on a Mac")
	case (a.HardwareBound || a.Attest) && !b.since("16.0", "14.0"):
		return bad("HardwareBound and Attest must be false before macOS 14")
	case a.HardwareBound && !b.hasEnclave():
		return bad("HardwareBound must be false on a Mac without Apple silicon or T2")
	}
	return nil
}

// admissible says whether this device takes a profile that is to manage it. Besides what
// every profile has to be, its identity must be of a kind that the system knows.
func (b *body) admissible(prof *agent.Profile) error {
	if err := b.acceptable(prof); err != nil {
		return err
	}
	_, q, err := prof.MDM()
	if err != nil {
		return err
	}
	if len(b.takes([]agent.Payload{q})) == 0 {
		return &agent.ProfileError{Domain: agent.PayloadErrorDomain, Code: codeBadReference, Text: "IdentityCertificateUUID names a " + q.Type + ", which this system does not know"}
	}
	return nil
}

// ManagementIdentity returns what the phone proves itself to its server by, or
// agent.ErrNotEnrolled.
func (p *Phone) ManagementIdentity() (tls.Certificate, error) {
	e, err := p.client.Enrolment()
	if err != nil {
		return tls.Certificate{}, err
	}
	return e.Identity().TLS(), nil
}

// ProfileIdentities returns the identities that the SCEP and ACME payloads of an installed
// profile brought, by PayloadUUID; nil if there is no such profile. On a device without a
// server they are empty.
func (b *body) ProfileIdentities(profile string) map[string]tls.Certificate {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.profiles[profile]
	if h == nil {
		return nil
	}
	out := map[string]tls.Certificate{}
	for u, i := range h.identities {
		out[u] = i.TLS()
	}
	return out
}

// identityOf returns the identity that an asset in force has brought, or still the one of
// its former state until the new one is here. ok is false for none. The caller holds b.mu.
func (b *body) identityOf(ref any) (i agent.Identity, ok bool) {
	a := b.credential(ref)
	switch {
	case a == nil:
		return i, false
	case a.tried && a.failed == nil:
		return a.got.identity, true
	}
	return a.former, a.former.Certificate != nil
}

// appItems returns what one list of AppConfig hands to an app that a declaration manages
// and that is on the device: asset references by the name that the app knows. The caller
// holds b.mu. Source: Apple, AppManaged declaration, AppConfig (iOS 18.4).
func (b *body) appItems(bundleID, key string) map[string]any {
	a := b.apps[bundleID]
	if a == nil || a.declared == "" {
		return nil
	}
	d := b.ddm.held[a.declared]
	if d == nil || !d.active || d.valid != valid {
		return nil
	}
	list, _ := nestedIn(d.payload, "AppConfig")[key].([]any)
	out := map[string]any{}
	for _, v := range list {
		m, _ := v.(map[string]any)
		if name, ok := m["Identifier"].(string); ok {
			out[name] = m["AssetReference"]
		}
	}
	return out
}

// AppIdentities returns the identities that an app which a declaration manages finds, by
// the names that it knows them by. On a device without a server they are empty.
func (b *body) AppIdentities(bundleID string) map[string]tls.Certificate {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]tls.Certificate{}
	for name, ref := range b.appItems(bundleID, "Identities") {
		if i, ok := b.identityOf(ref); ok {
			out[name] = i.TLS()
		}
	}
	return out
}

// AppCertificates returns the certificates that an app which a declaration manages finds.
func (b *body) AppCertificates(bundleID string) map[string]*x509.Certificate {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]*x509.Certificate{}
	for name, ref := range b.appItems(bundleID, "Certificates") {
		if a := b.credential(ref); a != nil && a.got.certificate != nil {
			out[name] = a.got.certificate
		}
	}
	return out
}

// Password is a name with its password.
type Password struct{ UserName, Password string }

// AppPasswords returns the passwords that an app which a declaration manages finds.
func (b *body) AppPasswords(bundleID string) map[string]Password {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]Password{}
	for name, ref := range b.appItems(bundleID, "Passwords") {
		if a := b.credential(ref); a != nil && a.got.password != nil {
			out[name] = *a.got.password
		}
	}
	return out
}
