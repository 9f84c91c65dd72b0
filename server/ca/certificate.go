package ca

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// Kind says what a certificate is for.
type Kind string

// The kinds of certificate.
const (
	KindDevice  Kind = "device"  // a device's management identity
	KindApp     Kind = "app"     // the approved app on one device
	KindNetwork Kind = "network" // a device on Wi-Fi, a VPN or a relay; nothing of Ward's own takes it
	KindServer  Kind = "server"  // this server's own TLS
)

// Certificate is one row of the record: a certificate that Ward issued.
type Certificate struct {
	Issuer      int    // number of the issuer that signed it, or Foreign
	Serial      string // decimal; of a foreign one as ForeignRow has it
	Hash        string // SHA-256 of the DER, hexadecimal, lower case
	Kind        Kind
	Invitation  string
	Device      ward.DeviceID    // empty until it is known
	Enrolment   ward.EnrolmentID // empty until it is known
	App         string           // bundle id, for KindApp; hash of the profile, for KindNetwork
	Subject     string
	NotBefore   time.Time
	NotAfter    time.Time
	DER         []byte
	RenewedFrom string    // serial of the certificate that this one follows, or empty
	Attested    Attested  // what the hardware proved that holds the key; zero if nothing
	RevokedAt   time.Time // zero while it is valid
	Reason      Reason
	RevokedBy   string
}

// Revoked reports whether the certificate was revoked.
func (c Certificate) Revoked() bool { return !c.RevokedAt.IsZero() }

// Reason is why a certificate was revoked, by the codes of RFC 5280 section 5.3.1.
type Reason int

// The reasons that Ward gives.
const (
	Unspecified   Reason = 0
	KeyCompromise Reason = 1 // the device is lost or stolen
	Superseded    Reason = 4 // another certificate took its place
	Ceased        Reason = 5 // the device left management
	Withdrawn     Reason = 9 // privilegeWithdrawn: the device no longer complies
)

// Revocation says how a certificate is revoked.
type Revocation struct {
	At     time.Time
	Reason Reason
	By     string // who or what, for people to read
}

// Revoked is an entry of the revocation list.
type Revoked struct {
	Serial string
	At     time.Time
	Reason Reason
}

// CRL is a signed revocation list.
type CRL struct {
	Issuer  int // the number of its issuer
	Number  int64
	Entries int
	DER     []byte
	Made    time.Time
}

// Store is the record of certificates. Each method joins the unit of work in ctx.
type Store interface {
	Record
	Register
	Revocations
	Once
	Orders
}

// Record keeps certificates. A certificate that is not there is a *ward.Error of
// kind NotFound.
type Record interface {
	// InsertCertificate adds c; a serial that exists is a Conflict.
	InsertCertificate(ctx context.Context, c Certificate) error
	// CertificateBySerial finds a certificate by its serial number in decimal.
	CertificateBySerial(ctx context.Context, serial string) (Certificate, error)
	// CertificateByHash finds a certificate by the SHA-256 of its DER.
	CertificateByHash(ctx context.Context, hash string) (Certificate, error)
	// CertificatesOfDevice lists a device's certificates, oldest first.
	CertificatesOfDevice(ctx context.Context, device ward.DeviceID) ([]Certificate, error)
	// CertificatesOfInvitation lists an invitation's certificates, oldest first.
	CertificatesOfInvitation(ctx context.Context, invitation string) ([]Certificate, error)
	// BindCertificate says whose a certificate is.
	BindCertificate(ctx context.Context, hash string, device ward.DeviceID, enrolment ward.EnrolmentID) error
}

// Filter picks certificates of the record. What is zero picks all.
type Filter struct {
	Device  ward.DeviceID
	Kind    Kind
	Revoked bool // only revoked ones
	// ExpiringBy picks those that end after Now, at ExpiringBy at the latest, and are not
	// revoked.
	Now, ExpiringBy time.Time
	// After is the serial of the last certificate of the page before; one that is not in
	// the record has nothing after it.
	After string
	Limit int // the most certificates; at least 1
}

// Count is how many certificates of one kind from one issuer there are.
type Count struct {
	Issuer                  int
	Kind                    Kind
	Valid, Expired, Revoked int // one that is both revoked and expired counts as revoked
}

// Register answers what an operator asks of the record.
type Register interface {
	// Certificates lists what f picks, the newest first.
	Certificates(ctx context.Context, f Filter) ([]Certificate, error)
	// CountCertificates counts every certificate, by issuer and kind.
	CountCertificates(ctx context.Context, now time.Time) ([]Count, error)
	// SoonestIdentity returns, of the identities that live enrolments prove themselves by
	// and that end after now, the one that ends first. None is a *ward.Error of kind
	// NotFound.
	SoonestIdentity(ctx context.Context, now time.Time) (Certificate, error)
	// CountIdentities counts those identities that end after now and by until.
	CountIdentities(ctx context.Context, now, until time.Time) (int, error)
}

// Revocations keeps what was revoked and the list that says so.
type Revocations interface {
	// RevokeCertificate revokes one certificate and reports whether it was valid until
	// then; the first revocation stands.
	RevokeCertificate(ctx context.Context, serial string, r Revocation) (bool, error)
	// RevokeApps revokes every unexpired app and network certificate of a device that is
	// not yet revoked and returns their serials.
	RevokeApps(ctx context.Context, device ward.DeviceID, r Revocation) ([]string, error)
	// RevokedAfter lists the revoked certificates of an issuer that expire after t.
	RevokedAfter(ctx context.Context, issuer int, t time.Time) ([]Revoked, error)
	// CRL returns an issuer's newest list; none is a *ward.Error of kind NotFound.
	CRL(ctx context.Context, issuer int) (CRL, error)
	// ReplaceCRL stores c if the newest list of its issuer still has the number previous (0
	// for none), and reports whether it did.
	ReplaceCRL(ctx context.Context, c CRL, previous int64) (bool, error)
}

// Once remembers values that may be used one time only.
type Once interface {
	// UseOnce records key in bucket and reports whether it was new.
	UseOnce(ctx context.Context, bucket, key string, value []byte, at time.Time) (bool, error)
	// PurgeOnce forgets what was recorded before t and reports how much it was.
	PurgeOnce(ctx context.Context, t time.Time) (int64, error)
}

// Why Check refuses; the cause of its *ward.Error.
var (
	ErrForeign     = errors.New("certificate was not issued by this authority")
	ErrUnusable    = errors.New("certificate is not one for clients")
	ErrOutsideTime = errors.New("certificate is expired or not yet valid")
	ErrUnrecorded  = errors.New("certificate is not in the record")
	ErrRevoked     = errors.New("certificate was revoked")
)

// Hash returns the hash by which the record knows cert.
func Hash(cert *x509.Certificate) string {
	h := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(h[:])
}

const urnPrefix = "urn:ward:"

// urn names an invitation, a device or an app in a certificate.
func urn(what, id string) *url.URL {
	return &url.URL{Scheme: "urn", Opaque: "ward:" + what + ":" + url.PathEscape(id)}
}

// Invitation returns the invitation that a device certificate was issued for, or ""
// when cert carries none. It does not check the certificate: see Check.
func Invitation(cert *x509.Certificate) string {
	for _, u := range cert.URIs {
		if id, ok := strings.CutPrefix(u.String(), urnPrefix+"invitation:"); ok {
			if s, err := url.PathUnescape(id); err == nil {
				return s
			}
		}
	}
	return ""
}

// row describes a new certificate for the record.
func (is *issuer) row(cert *x509.Certificate, kind Kind) Certificate {
	return Certificate{
		Issuer: is.n, Serial: cert.SerialNumber.String(), Hash: Hash(cert), Kind: kind, Subject: cert.Subject.String(),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), DER: cert.Raw,
	}
}
