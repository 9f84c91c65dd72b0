package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/md5" //nolint:gosec // Apple lets CAFingerprint be MD5; it is compared, not trusted alone
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // as for MD5
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"
)

const maxSCEPBytes = 1 << 20

// The attributes of a SCEP message (RFC 8894, 3.2.1).
func oidSCEP(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, n}
}

// scepClient asks one authority for certificates, by RFC 8894.
type scepClient struct {
	payload SCEP
	call    func(ctx context.Context, method, address, contentType string, body []byte, limit int64) ([]byte, error)
	now     func() time.Time
}

// enrol returns a certificate for key.
func (s *scepClient) enrol(ctx context.Context, key *rsa.PrivateKey) (*x509.Certificate, error) {
	authority, err := s.authority(ctx)
	if err != nil {
		return nil, fmt.Errorf("scep authority: %w", err)
	}
	caps, err := s.capabilities(ctx)
	if err != nil {
		return nil, fmt.Errorf("scep capabilities: %w", err)
	}
	if !caps["AES"] && !caps["SCEPStandard"] {
		return nil, errors.New("scep capabilities: the authority does not take AES")
	}
	req, err := s.request(key, authority)
	if err != nil {
		return nil, fmt.Errorf("scep request: %w", err)
	}
	post := caps["POSTPKIOperation"] || caps["SCEPStandard"]
	answer, err := s.operation(ctx, req.message, post)
	if err != nil {
		return nil, fmt.Errorf("scep operation: %w", err)
	}
	cert, err := req.open(answer, authority)
	if err != nil {
		return nil, fmt.Errorf("scep answer: %w", err)
	}
	return cert, nil
}

func (s *scepClient) address(operation, message string) string {
	u, err := url.Parse(s.payload.URL)
	if err != nil { // ParseSCEP has parsed it before
		return s.payload.URL
	}
	q := u.Query()
	q.Set("operation", operation)
	if message != "" {
		q.Set("message", message)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// authority fetches the certificates of the authority (RFC 8894, 4.2) and holds them
// against the fingerprint of the profile, if it gave one.
func (s *scepClient) authority(ctx context.Context) ([]*x509.Certificate, error) {
	b, err := s.call(ctx, http.MethodGet, s.address("GetCACert", s.payload.Name), "", nil, maxSCEPBytes)
	if err != nil {
		return nil, err
	}
	certs, err := x509.ParseCertificates(b)
	if err != nil { // more than one certificate comes as a CMS message
		if err := guardBER(b); err != nil {
			return nil, err
		}
		if certs, err = scep.CACerts(b); err != nil {
			return nil, err
		}
	}
	if len(certs) == 0 {
		return nil, errors.New("it sent no certificate")
	}
	if len(s.payload.Fingerprint) > 0 && !fingerprinted(certs, s.payload.Fingerprint) {
		return nil, errors.New("no certificate has the fingerprint that the profile names")
	}
	return certs, nil
}

func fingerprinted(certs []*x509.Certificate, want []byte) bool {
	for _, c := range certs {
		m, s1, s256 := md5.Sum(c.Raw), sha1.Sum(c.Raw), sha256.Sum256(c.Raw) //nolint:gosec // compared with what the signed profile says
		if bytes.Equal(want, m[:]) || bytes.Equal(want, s1[:]) || bytes.Equal(want, s256[:]) {
			return true
		}
	}
	return false
}

func (s *scepClient) capabilities(ctx context.Context) (map[string]bool, error) {
	b, err := s.call(ctx, http.MethodGet, s.address("GetCACaps", s.payload.Name), "", nil, maxSCEPBytes)
	if err != nil {
		return nil, err
	}
	caps := map[string]bool{}
	for c := range strings.FieldsSeq(string(b)) {
		caps[c] = true
	}
	return caps, nil
}

func (s *scepClient) operation(ctx context.Context, message []byte, post bool) ([]byte, error) {
	if post {
		return s.call(ctx, http.MethodPost, s.address("PKIOperation", ""), "application/x-pki-message", message, maxSCEPBytes)
	}
	return s.call(ctx, http.MethodGet, s.address("PKIOperation", base64.StdEncoding.EncodeToString(message)), "", nil, maxSCEPBytes)
}

// errSCEPRefused says that the same request will not be granted later either.
var errSCEPRefused = errors.New("the authority refuses")

// scepRequest is one request that waits for its answer.
type scepRequest struct {
	key         *rsa.PrivateKey
	self        *x509.Certificate // signs the request and receives the answer (RFC 8894, 2.3)
	transaction string
	nonce       []byte
	message     []byte
}

func (s *scepClient) request(key *rsa.PrivateKey, authority []*x509.Certificate) (*scepRequest, error) {
	recipients := recipients(authority)
	if len(recipients) == 0 {
		return nil, errors.New("the authority has no certificate to encrypt to")
	}
	subject, err := subjectName(s.payload.Subject)
	if err != nil {
		return nil, err
	}
	csr, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{RawSubject: subject, SignatureAlgorithm: x509.SHA256WithRSA},
		ChallengePassword:  s.payload.Challenge,
	}, key)
	if err != nil {
		return nil, err
	}
	r := &scepRequest{key: key, nonce: make([]byte, 16)}
	if _, err := rand.Read(r.nonce); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	r.transaction = fmt.Sprintf("%X", sum[:16])
	if r.self, err = selfSigned(key, subject, s.now()); err != nil {
		return nil, err
	}
	sealed, err := sealFor(recipients[:1], csr)
	if err != nil {
		return nil, err
	}
	r.message, err = r.sign(sealed, s.now())
	return r, err
}

// recipients are the certificates that a request may be encrypted to: those that say so, or
// where none does those with an RSA key, as SCEP servers have that answer with the
// certificate of their authority alone (RFC 8894, 4.2.1.1) and permit it to sign only.
func recipients(authority []*x509.Certificate) []*x509.Certificate {
	if found := scep.EnciphermentCertsSelector()(authority); len(found) > 0 {
		return found
	}
	return slices.DeleteFunc(slices.Clone(authority), func(c *x509.Certificate) bool {
		_, ok := c.PublicKey.(*rsa.PublicKey)
		return !ok
	})
}

func (r *scepRequest) sign(sealed []byte, now time.Time) ([]byte, error) {
	return signCMS(sealed, false, Identity{r.self, r.key}, now,
		attribute{oidSCEP(7), []any{r.transaction}}, attribute{oidSCEP(2), []any{string(scep.PKCSReq)}}, attribute{oidSCEP(5), []any{r.nonce}})
}

// open checks that answer is the authority's answer to r, and returns the certificate.
// The library takes the first certificate of an envelope without asking whether there
// is one, so its panic is an error here.
func (r *scepRequest) open(answer []byte, authority []*x509.Certificate) (cert *x509.Certificate, err error) {
	defer func() {
		if p := recover(); p != nil {
			cert, err = nil, fmt.Errorf("%w: %v", ErrNotCMS, p)
		}
	}()
	if err := guardBER(answer); err != nil {
		return nil, err
	}
	m, err := scep.ParsePKIMessage(answer, scep.WithCACerts(authority))
	if err != nil {
		return nil, err
	}
	switch {
	case m.CertRepMessage == nil || string(m.TransactionID) != r.transaction:
		return nil, errors.New("it answers another request")
	case !bytes.Equal(m.RecipientNonce, r.nonce):
		return nil, errors.New("its nonce is not the one sent")
	case m.PKIStatus == scep.FAILURE:
		return nil, fmt.Errorf("%w: %s", errSCEPRefused, failure(m.FailInfo))
	case m.PKIStatus != scep.SUCCESS:
		return nil, errors.New("the authority wants to decide later; this device does not ask again")
	}
	if err := m.DecryptPKIEnvelope(r.self, r.key); err != nil {
		return nil, err
	}
	c := m.CertRepMessage.Certificate
	if pub, ok := c.PublicKey.(*rsa.PublicKey); !ok || !pub.Equal(&r.key.PublicKey) {
		return nil, errors.New("the certificate is for another key")
	}
	return c, nil
}

// failure names a failInfo (RFC 8894, 3.2.1.4); the library panics on one it does not know.
func failure(f scep.FailInfo) string {
	switch f {
	case scep.BadAlg, scep.BadMessageCheck, scep.BadRequest, scep.BadTime, scep.BadCertID:
		return f.String()
	}
	return "no reason given"
}

func selfSigned(key *rsa.PrivateKey, subject []byte, now time.Time) (*x509.Certificate, error) {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), RawSubject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), crypto.Signer(key))
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// subjectName encodes the Subject of a SCEP payload. A type is one of Apple's short
// names or a dotted OID. Without a subject the name is that of a device.
func subjectName(rdns [][][]string) ([]byte, error) {
	short := map[string][]int{"CN": {2, 5, 4, 3}, "C": {2, 5, 4, 6}, "L": {2, 5, 4, 7}, "ST": {2, 5, 4, 8}, "O": {2, 5, 4, 10}, "OU": {2, 5, 4, 11}}
	if len(rdns) == 0 {
		rdns = [][][]string{{{"CN", "MDM device"}}}
	}
	var name pkix.RDNSequence
	for _, rdn := range rdns {
		var set pkix.RelativeDistinguishedNameSET
		for _, kv := range rdn {
			oid, known := short[kv[0]]
			if !known {
				var err error
				if oid, err = parseOID(kv[0]); err != nil {
					return nil, err
				}
			}
			set = append(set, pkix.AttributeTypeAndValue{Type: oid, Value: kv[1]})
		}
		name = append(name, set)
	}
	return asn1.Marshal(name)
}

func parseOID(s string) (asn1.ObjectIdentifier, error) {
	o, err := x509.ParseOID(s)
	if err != nil {
		return nil, fmt.Errorf("subject type %q: %w", s, err)
	}
	der, err := o.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("subject type %q: %w", s, err)
	}
	var out asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(append([]byte{asn1.TagOID, byte(len(der))}, der...), &out); err != nil { //nolint:gosec // der is far shorter than 128 bytes
		return nil, fmt.Errorf("subject type %q: %w", s, err)
	}
	return out, nil
}
