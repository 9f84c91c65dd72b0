// Package ca is the certificate authority in the process: it gives devices their
// identities and their network certificates by SCEP, the approved app its client
// certificate, and a trial server its TLS certificate; keeps the record of them all; says
// by revocation lists and by OCSP which are revoked; warns before one ends on which others
// depend; and changes its issuer without anybody enrolling anew. It decides nothing about
// who may enrol or join a network (the challenge does) or which device deserves an app
// certificate (the caller does), and it renews nothing by itself. smallstep/certificates
// signs; another authority could take its place behind the same methods.
package ca

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
	"go.uber.org/zap"
)

// Paths under the public URL at which the handlers are to be served.
const (
	SCEPPath = "/scep"
	// CRLPath has the list of the first issuer; that of issuer n is at CRLPath/n.
	CRLPath  = "/ca/crl"
	RootPath = "/ca/root.pem"
	// OCSPPath takes requests by POST; by GET they follow it, after a slash.
	OCSPPath = "/ca/ocsp"
	// IssuersPath, a slash and a number have that issuer's certificate.
	IssuersPath = "/ca/issuer"
	// ACMEPath has a directory for each challenge: see DirectoryURL.
	ACMEPath = "/acme"
)

// Options say how to open the authority. Dir, Passphrase, Organisation, PublicURL,
// Unit, Store, Challenges, Now and Log are needed.
type Options struct {
	// Dir holds the keys, encrypted, and their certificates. It is made on first run.
	Dir string
	// Passphrase opens the keys. It must not be kept in the database.
	Passphrase []byte
	// Organisation stands in every subject.
	Organisation string
	// PublicURL is https://host[:port], without a path.
	PublicURL string
	// StatusURL is http://host[:port] or https://host[:port], without a path, under which
	// certificates say that CRLPath, OCSPPath and IssuersPath are; "" means PublicURL.
	// What those paths serve is signed, and some clients, nginx's OCSP among them, ask by
	// plain HTTP only: name an address here that leads them to this server.
	StatusURL string
	// Unit runs units of work on the database that Store writes to.
	Unit unit.Unit
	// Store is the record of certificates.
	Store Store
	// Challenges says who may have a certificate by SCEP.
	Challenges Challenges
	// Refused is told of each request for a certificate that was refused, known challenge
	// or not; nil is told nothing. It is called outside every unit of work.
	Refused func(ctx context.Context, r Refusal) error
	// DeviceLife is how long a device's identity is valid; 0 means two years. iOS renews
	// no identity that came in a profile (https://support.apple.com/HT204836), so it
	// must outlive the longest time a device may be offline.
	DeviceLife time.Duration
	// AppLife is how long an app's certificate is valid; 0 means seven days.
	AppLife time.Duration
	// AppleRoots are the authorities that Apple's attestations are checked against; none
	// means Apple's Enterprise Attestation Root CA
	// (https://www.apple.com/certificateauthority/private/).
	AppleRoots []*x509.Certificate
	// TPMRoots are the authorities that certified the attestation keys of TPMs; none means
	// that no TPM is believed.
	TPMRoots []*x509.Certificate
	// NetworkLife is how long a network certificate is valid; 0 means as long as
	// DeviceLife. A device renews it no more than its identity: it gets another only when
	// the profile that brought it is delivered anew, so a short life needs somebody who
	// does that in time. What ends it early is revocation, so whoever it is shown to, such
	// as a RADIUS server, must ask the revocation list.
	NetworkLife time.Duration
	// IssuerKey is where the key of a new issuer is: "" or KeyInFile for an encrypted file
	// in Dir, or a URI as CheckKeyPlace takes it. Issuers that are there stay where they are.
	IssuerKey string
	// Outside, where it is not nil, signs client certificates in the place of the issuers
	// in Dir.
	Outside *Outside
	// Now is the clock, in UTC.
	Now func() time.Time
	// Log receives a line for each certificate issued and each request refused.
	Log *zap.Logger
}

// Challenges knows the one-time challenges that stand in profiles: those of invitations
// in enrolment profiles, those of networks, apps and new identities in what is sent to
// devices later. By SCEP the challenge is the password of the request, by ACME a part of
// the directory's address.
type Challenges interface {
	// Lookup says what the challenge would grant, and changes nothing. An unknown,
	// spent or expired challenge is a *ward.Error of kind Forbidden or NotFound.
	Lookup(ctx context.Context, challenge string) (Grant, error)
	// Redeem spends the challenge for cert. It is called in the unit of work that
	// records cert: of several calls with one challenge one succeeds, the others
	// return a *ward.Error of kind Forbidden or Conflict.
	Redeem(ctx context.Context, challenge string, cert Certificate) error
	// Permit says whether the hardware that attested a key may have what the challenge
	// grants, and changes nothing. Redeem asks it again. A refusal is a *ward.Error of
	// kind Forbidden.
	Permit(ctx context.Context, challenge string, by Attested) error
}

// Grant is what a challenge entitles its bearer to. Whatever the device asks for beside
// its key is ignored.
type Grant struct {
	// Kind is KindDevice, KindNetwork or KindApp; "" means KindDevice.
	Kind Kind
	// Invitation is the id that a device's identity will carry. KindDevice only.
	Invitation string
	// CommonName is the subject's common name. KindDevice only: the others have the
	// device's id there.
	CommonName string
	// Device is the device that the invitation is for, which may be empty until Bind, or
	// the device that the certificate is for.
	Device ward.DeviceID
	// Enrolment is the one that the certificate is for. A device's identity has one only
	// when it takes the place of another identity, and then RenewedFrom is needed too.
	Enrolment ward.EnrolmentID
	// Profile is the hash of the profile that the challenge stood in. KindNetwork only.
	Profile string
	// App is the bundle id, and Names what the certificate says beside it. KindApp only.
	App   string
	Names Names
	// RenewedFrom is the serial of the certificate that the new one follows, or empty.
	RenewedFrom string
	// Attestation, where it is not nil, says what the device's hardware has to prove of
	// the key: then the challenge is good for ACME only, and never for SCEP. Where it is
	// nil the challenge is good for SCEP only.
	Attestation *Attestation
}

// Formats of attestation, as a WebAuthn statement names them.
const (
	FormatApple = "apple" // by the Secure Enclave of an Apple device
	FormatTPM   = "tpm"   // by a TPM whose attestation key Ward has certified
)

// Attestation is what hardware has to prove of a key before the key is certified by the
// ACME challenge device-attest-01 (draft-ietf-acme-device-attest).
type Attestation struct {
	Format string // FormatApple or FormatTPM
	// Identifier is the permanent-identifier that the order has to name. Apple's devices
	// name what stands in the profile as ClientIdentifier.
	Identifier string
	// Anonymous is set for user enrolment, where Apple's attestation names neither serial
	// number nor UDID: one that names either is refused then, and otherwise one that names
	// none. What it is bound to is the challenge alone.
	Anonymous bool
}

// Attested is what hardware said of itself and of a key. Its chain, its freshness and the
// key were checked.
type Attested struct {
	Format string
	Serial string // empty under user enrolment
	UDID   string // empty under user enrolment; of a Mac its provisioning UDID
	// OS is the version of the operating system that the attestation names, or empty.
	OS string
}

// Authority is an open certificate authority. Its methods may be called by several
// goroutines, and several processes may share one Store and copies of one Dir.
type Authority struct {
	o        Options
	root     *x509.Certificate
	issuers  atomic.Pointer[[]*issuer] // in order of their numbers, never empty
	loading  sync.Mutex                // one reload at a time
	warned   int                       // the missing issuer that was warned of; under loading
	crlMutex sync.Mutex                // one list at a time in this process
	mu       sync.Mutex
	server   *x509.Certificate // the newest server certificate, nil if none
	tpms     atomic.Bool       // whether TPM was called
	outside  outsideLink
	passing  sync.Mutex // one process tells the outside authority at a time
}

// Open opens the authority in o.Dir, making its root and issuer on first run. A
// passphrase that does not open a key is an error of kind Forbidden; keys that are
// not the ones the database's certificates were made with, one of kind Conflict.
func Open(ctx context.Context, o Options) (*Authority, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	_, err := o.Store.CRL(ctx, first)
	fresh := ward.KindOf(err) == ward.NotFound
	if err != nil && !fresh {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	if err := makeMissing(ctx, o, fresh); err != nil {
		return nil, err
	}
	a := &Authority{o: o}
	if a.root, err = readRoot(o.Dir); err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	a.issuers.Store(new([]*issuer))
	if err := a.Reload(ctx); err != nil {
		return nil, err
	}
	return a, a.meetOutside(ctx)
}

// complete checks the options and fills in what may be left out.
func (o *Options) complete() error {
	if o.Dir == "" || len(o.Passphrase) == 0 || o.Organisation == "" {
		return errors.New("open authority: Dir, Passphrase and Organisation are needed")
	}
	if o.Unit == nil || o.Store == nil || o.Challenges == nil || o.Now == nil || o.Log == nil {
		return errors.New("open authority: Unit, Store, Challenges, Now and Log are needed")
	}
	if scheme := bareURL(o.PublicURL); scheme != "https" {
		return ward.Errorf(ward.Invalid, "The public URL %q must be https://host or https://host:port.", o.PublicURL)
	}
	if err := CheckKeyPlace(o.IssuerKey); err != nil {
		return err
	}
	if o.Outside != nil {
		if err := o.Outside.Check(); err != nil {
			return err
		}
	}
	o.StatusURL = cmp.Or(o.StatusURL, o.PublicURL)
	if scheme := bareURL(o.StatusURL); scheme != "https" && scheme != "http" {
		return ward.Errorf(ward.Invalid, "The status URL %q must be http://host or https://host, with a port if need be.", o.StatusURL)
	}
	if o.DeviceLife == 0 {
		o.DeviceLife = 2 * 365 * 24 * time.Hour
	}
	if o.AppLife == 0 {
		o.AppLife = 7 * 24 * time.Hour
	}
	if o.NetworkLife == 0 {
		o.NetworkLife = o.DeviceLife
	}
	return nil
}

// bareURL returns the scheme of a URL that has a host and nothing after it, else "".
func bareURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	return u.Scheme
}

// Root returns the root certificate, which devices are given to trust.
func (a *Authority) Root() *x509.Certificate { return a.root }

// Roots returns the root, and those of outside authorities whose issuers are known: what
// the certificates of clients are under.
func (a *Authority) Roots() []*x509.Certificate {
	all := []*x509.Certificate{a.root}
	for _, is := range *a.issuers.Load() {
		if !slices.ContainsFunc(all, is.root.Equal) {
			all = append(all, is.root)
		}
	}
	return all
}

// Issuer returns the certificate that signs devices and apps now. Rotate puts another in
// its place.
func (a *Authority) Issuer() *x509.Certificate { return a.current().cert }

// Issuers returns the certificates of all issuers, the oldest first: those that signed
// before, the one that signs now, and those that will soon.
func (a *Authority) Issuers() []*x509.Certificate {
	all := *a.issuers.Load()
	certs := make([]*x509.Certificate, len(all))
	for i, is := range all {
		certs[i] = is.cert
	}
	return certs
}

// Numbered returns the issuers with their numbers, the oldest first.
func (a *Authority) Numbered() []Made {
	all := *a.issuers.Load()
	out := make([]Made, len(all))
	for i, is := range all {
		out[i] = Made{is.n, is.cert, is.from}
	}
	return out
}

// RootPEM returns the root certificate in PEM.
func (a *Authority) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw})
}

// Pool returns a new pool of roots and issuers, for tls.Config.ClientCAs: a client may
// send its leaf alone.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range a.Roots() {
		p.AddCert(c)
	}
	for _, c := range a.Issuers() {
		p.AddCert(c)
	}
	return p
}

// Expiry says when a certificate of the authority itself runs out.
type Expiry struct {
	Name     string // root, issuer, issuer 2 and so on, or server
	NotAfter time.Time
}

// Expiries returns the expiry of the root, of the issuers, and of the newest server
// certificate that this process made, if it made one.
func (a *Authority) Expiries() []Expiry {
	e := []Expiry{{"root", a.root.NotAfter}}
	for _, is := range *a.issuers.Load() {
		e = append(e, Expiry{is.name(), is.cert.NotAfter})
	}
	if c := a.Server(); c != nil {
		e = append(e, Expiry{"server", c.NotAfter})
	}
	return e
}

// Server returns the newest server certificate that this process made, nil if none.
func (a *Authority) Server() *x509.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.server
}
