package intent

import "time"

// Delivery is how an approved app comes by its certificate.
type Delivery string

// The deliveries. The words are those of a policy.
const (
	// ByToken gives the app a one-time token in its managed configuration, which it
	// exchanges, with a key of its own, for a certificate. It is meant where nothing is said.
	ByToken Delivery = "token"
	// ByManagedApp has the device get the certificate and hand its use to the app, which
	// asks Apple's ManagedApp framework for it.
	// Source: https://developer.apple.com/documentation/managedapp
	ByManagedApp Delivery = "managed_app"
	// ByNetwork gives the app none of its own: the VPN or the relay that carries it proves
	// who it is.
	ByNetwork Delivery = "network"
)

// Bounds of what a policy may ask of an app's certificate.
const (
	LeastLife   = time.Hour
	MostLife    = 30 * 24 * time.Hour
	DefaultLife = 7 * 24 * time.Hour
	MostSANs    = 8
	// MostName is how long a part of a subject may be (RFC 5280 appendix A.1, ub-common-name
	// and its like), and MostSAN how long an alternative name.
	MostName = 64
	MostSAN  = 255
)

// DefaultIdentity is the name under which an app finds its identity where a policy gives
// none.
const DefaultIdentity = "ward.client"

// Certificate is what an approved app's certificate is to be. The zero value is what an app
// gets that only says it needs one.
type Certificate struct {
	Delivery Delivery // empty: ByToken
	// IdentityName is the Identifier under which the app finds its identity. ByManagedApp
	// only; empty: DefaultIdentity.
	IdentityName string
	// The parts of the subject are templates of CertificateVariables; empty ones are left to
	// the authority, which names the device.
	CommonName, OrganizationalUnit, Organization string
	// URIs are templates of further alternative names, of the schemes urn and spiffe.
	URIs []string
	Life time.Duration // zero: the authority's, DefaultLife
	// Attested asks for a key that the device's hardware holds and attests. ByManagedApp only.
	Attested bool
}

// By returns the delivery, ByToken where none is said.
func (c Certificate) By() Delivery {
	if c.Delivery == "" {
		return ByToken
	}
	return c.Delivery
}

// Name returns the name under which the app finds its identity.
func (c Certificate) Name() string {
	if c.IdentityName == "" {
		return DefaultIdentity
	}
	return c.IdentityName
}

// Plain reports whether nothing is said of the certificate but that there is one.
func (c Certificate) Plain() bool {
	return c.By() == ByToken && c.IdentityName == "" && c.CommonName == "" && c.OrganizationalUnit == "" && c.Organization == "" && len(c.URIs) == 0 && c.Life == 0 && !c.Attested
}

// CertificateVariables lists the names that the templates of a certificate may hold between
// {{ and }}.
func CertificateVariables() []string {
	return []string{"device.id", "device.serial", "owner.email", "organisation", "app.id"}
}
