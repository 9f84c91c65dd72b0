package api

import (
	"context"
	"io"
	"time"

	"github.com/wardmdm/ward"
)

// CertificateKind says what a certificate is for.
type CertificateKind string

// IssuedCertificate is one of the record.
type IssuedCertificate struct {
	Serial      string          `json:"serial" doc:"Decimal; of one that an outside SCEP server issued, outside- with its own and a part of its hash."`
	Kind        CertificateKind `json:"kind" enum:"device,app,network,server"`
	Subject     string          `json:"subject"`
	Issuer      string          `json:"issuer"`
	Device      ward.DeviceID   `json:"device,omitempty"`
	App         string          `json:"app,omitempty" doc:"Bundle id. Of an app's certificate only."`
	NotBefore   time.Time       `json:"not_before"`
	NotAfter    time.Time       `json:"not_after"`
	Attested    bool            `json:"attested" doc:"Whether the device has proven that the key can't leave its hardware."`
	Attestation *Attestation    `json:"attestation,omitempty" doc:"What the hardware said when it proved it."`
	Manages     bool            `json:"manages" doc:"Whether a device is managed by it now: it is then revoked only to retire the device."`
	RenewalDue  *time.Time      `json:"renewal_due,omitempty" doc:"Since when an identity that manages a device is due to be renewed, which happens by itself at the device's next check-in."`
	RevokedAt   *time.Time      `json:"revoked_at,omitempty"`
	Reason      string          `json:"reason,omitempty" enum:"unspecified,key-compromise,superseded,ceased,withdrawn" doc:"Of the revocation."`
	RevokedBy   string          `json:"revoked_by,omitempty"`
	LastUsed    *time.Time      `json:"last_used,omitempty" doc:"When its holder was last let in somewhere, where that is known. Told of one device's certificates only."`
}

// Attestation is what hardware said of itself when it proved that it holds a key.
type Attestation struct {
	By     string `json:"by" enum:"apple,tpm" doc:"Whose word it is: Apple's, or that of a TPM that Ward has certified."`
	Serial string `json:"serial,omitempty" doc:"Serial number of the device; the TPM's own identifier. Left out under user enrolment."`
	UDID   string `json:"udid,omitempty"`
	OS     string `json:"os,omitempty" doc:"Version of the operating system at the time."`
}

// AuthorityCertificate is a certificate whose end has to be prevented: the authority's
// own, the push certificate, the server's, and the device identity that ends first.
type AuthorityCertificate struct {
	Name     string        `json:"name"`
	Subject  string        `json:"subject"`
	Issuer   string        `json:"issuer"`
	Serial   string        `json:"serial" doc:"Decimal."`
	NotAfter time.Time     `json:"not_after"`
	DaysLeft int           `json:"days_left" doc:"Whole days; negative once it has ended."`
	Warning  *int          `json:"warning,omitempty" enum:"60,30,14,7,1,0" doc:"The last warning that is due, in days before the end; left out before the first."`
	Device   ward.DeviceID `json:"device,omitempty"`
	Count    int           `json:"count,omitempty" doc:"How many device identities end within the time of the warning."`
	Signs    bool          `json:"signs,omitempty" doc:"Whether new certificates come from it."`
	KeyLost  bool          `json:"key_lost,omitempty" doc:"Of an issuer: its key was given up, and it signs neither certificates nor revocation lists nor answers to OCSP."`
	Cure     string        `json:"cure,omitempty" doc:"What is to be done, in time."`
}

// CertificateCount is how many certificates of one kind one issuer has signed.
type CertificateCount struct {
	Issuer  int             `json:"issuer" doc:"Its number; 0 for outside SCEP servers."`
	Kind    CertificateKind `json:"kind" enum:"device,app,network,server"`
	Valid   int             `json:"valid"`
	Expired int             `json:"expired"`
	Revoked int             `json:"revoked" doc:"Expired ones too."`
}

// RevocationList is the newest list of an issuer.
type RevocationList struct {
	Issuer     int       `json:"issuer"`
	Number     int64     `json:"number"`
	Entries    int       `json:"entries"`
	Made       time.Time `json:"made"`
	NextUpdate time.Time `json:"next_update"`
}

// AuthorityStatus is what an operator wants to know of the authority.
type AuthorityStatus struct {
	Certificates []AuthorityCertificate `json:"certificates" nullable:"false"`
	Counts       []CertificateCount     `json:"counts" nullable:"false"`
	Lists        []RevocationList       `json:"lists" nullable:"false"`
}

// CertificateFilter picks certificates; what is zero picks all.
type CertificateFilter struct {
	Device   ward.DeviceID
	Kind     CertificateKind
	Expiring int // within so many days, and not revoked
	Revoked  bool
	After    string // the serial of the last one of the page before
	Limit    int
}

// CertificateRevocation says how a certificate is revoked.
type CertificateRevocation struct {
	Serial, Reason string
	Retire         bool
	Why            string
}

// Authority keeps the certificates.
type Authority interface {
	Status(ctx context.Context) (AuthorityStatus, error)
	// Certificates lists what f picks, the newest first.
	Certificates(ctx context.Context, f CertificateFilter) ([]IssuedCertificate, error)
	// Revoke revokes a certificate for good and has it audited. One by which a device is
	// managed is an error of kind Conflict, unless the device is retired by it.
	Revoke(ctx context.Context, r CertificateRevocation) (IssuedCertificate, error)
	// RemakeLists makes the revocation lists anew, and has it audited.
	RemakeLists(ctx context.Context) ([]RevocationList, error)
	// WriteList writes the newest list of an issuer in DER.
	WriteList(ctx context.Context, issuer int, w io.Writer) error
}

func (s *server) showAuthority(ctx context.Context, _ *noInput) (*reply[AuthorityStatus], error) {
	v, err := s.Authority.Status(ctx)
	if err != nil {
		return nil, err
	}
	return answer(v), nil
}

type listCertificatesInput struct {
	Paging
	Device   string `query:"device" maxLength:"200" doc:"Id, serial number, UDID or exact name."`
	Kind     string `query:"kind" enum:"device,app,network,server"`
	Expiring int    `query:"expiring" minimum:"1" maximum:"3650" doc:"Only those that end within so many days and are not revoked."`
	Revoked  bool   `query:"revoked" doc:"Only revoked ones."`
}

func (s *server) listCertificates(ctx context.Context, in *listCertificatesInput) (*reply[List[IssuedCertificate]], error) {
	f := CertificateFilter{Kind: CertificateKind(in.Kind), Expiring: in.Expiring, Revoked: in.Revoked, After: in.After, Limit: in.Limit}
	if in.Device != "" {
		d, err := s.Posture.Find(ctx, in.Device)
		if err != nil {
			return nil, err
		}
		f.Device = d.ID
	}
	all, err := s.Authority.Certificates(ctx, f)
	if err != nil {
		return nil, err
	}
	return answer(page(all, f.Limit, func(c IssuedCertificate) string { return c.Serial }, func(c IssuedCertificate) IssuedCertificate { return c })), nil
}

type revokeCertificateInput struct {
	Serial string `path:"serial" maxLength:"80" doc:"Decimal, or hexadecimal with colons or after 0x; as listed for one that an outside SCEP server issued."`
	Body   struct {
		Reason string `json:"reason" enum:"unspecified,key-compromise,superseded,ceased,withdrawn" doc:"By RFC 5280 section 5.3.1."`
		Retire bool   `json:"retire,omitempty" doc:"Give up the device that is managed by it: it can never be reached again. Needs why."`
		Why    string `json:"why,omitempty" maxLength:"500" doc:"For the record."`
	} `nameHint:"CertificateRevocation"`
}

func (s *server) revokeCertificate(ctx context.Context, in *revokeCertificateInput) (*reply[IssuedCertificate], error) {
	c, err := s.Authority.Revoke(ctx, CertificateRevocation{Serial: in.Serial, Reason: in.Body.Reason, Retire: in.Body.Retire, Why: in.Body.Why})
	if err != nil {
		return nil, err
	}
	return answer(c), nil
}

// RevocationLists are the newest lists, one for each issuer.
type RevocationLists struct {
	Items []RevocationList `json:"items" nullable:"false"`
}

func (s *server) remakeLists(ctx context.Context, _ *noInput) (*reply[RevocationLists], error) {
	all, err := s.Authority.RemakeLists(ctx)
	if err != nil {
		return nil, err
	}
	return answer(RevocationLists{Items: all}), nil
}

type listPath struct {
	Issuer int `path:"issuer" minimum:"1"`
}

func (s *server) getList(ctx context.Context, in *listPath) (*stream, error) {
	return streamed(ctx, revocationList, func(ctx context.Context, w io.Writer) error { return s.Authority.WriteList(ctx, in.Issuer, w) }), nil
}

// devicePage is how many certificates of a device are shown with it.
const devicePage = 50

func (s *server) certificatesOf(ctx context.Context, id ward.DeviceID) ([]IssuedCertificate, error) {
	return s.Authority.Certificates(ctx, CertificateFilter{Device: id, Limit: devicePage})
}

// revocationList is the media type of a list in DER, RFC 2585 section 4.2.
const revocationList = "application/pkix-crl"
