package ca

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" //nolint:gosec // a hash of RFC 6960 that names a certificate; nothing relies on it being hard to collide
	_ "crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/ocsp"
)

// The structures of RFC 6960 that golang.org/x/crypto/ocsp keeps to itself: it reads the
// first certificate of a request and no extensions of it, and writes answers without a
// nonce. It is still what checks requests here, and what writes the errors.
type (
	certID struct {
		Hash    pkix.AlgorithmIdentifier
		Name    []byte
		Key     []byte
		Serial  *big.Int
		encoded []byte // as it was asked, to be repeated
	}
	rawRequest struct {
		CertID     asn1.RawValue
		Extensions []pkix.Extension `asn1:"explicit,tag:0,optional"`
	}
	rawTBSRequest struct {
		Version    int           `asn1:"explicit,tag:0,default:0,optional"`
		Requestor  asn1.RawValue `asn1:"explicit,tag:1,optional"`
		List       []rawRequest
		Extensions []pkix.Extension `asn1:"explicit,tag:2,optional"`
	}
	rawOCSPRequest struct {
		TBS       rawTBSRequest
		Signature asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	revokedInfo struct {
		At     time.Time       `asn1:"generalized"`
		Reason asn1.Enumerated `asn1:"explicit,tag:0,optional"`
	}
	singleResponse struct {
		CertID     asn1.RawValue
		Status     asn1.RawValue
		ThisUpdate time.Time `asn1:"generalized"`
		NextUpdate time.Time `asn1:"generalized,explicit,tag:0"`
	}
	responseData struct {
		KeyHash    []byte    `asn1:"explicit,tag:2"` // of the responder, byKey
		ProducedAt time.Time `asn1:"generalized"`
		Responses  []singleResponse
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional,omitempty"`
	}
	basicResponse struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	responseBytes struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	}
	ocspResponse struct {
		Status   asn1.Enumerated
		Response responseBytes `asn1:"explicit,tag:0"`
	}
)

var (
	oidOCSPBasic = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidOCSPNonce = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
)

// ocspHashes are the hashes that may name an issuer.
var ocspHashes = []struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, crypto.SHA1},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA256},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA384},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, crypto.SHA512},
}

const (
	maxOCSPRequest = 8 << 10
	maxOCSPCerts   = 16
	// The lengths of a nonce, RFC 9654 section 2.1: a request with one outside the first two
	// is refused, one shorter than the third may be left unanswered.
	minNonce, maxNonce, usefulNonce = 1, 128, 16
)

// ocspQuestion is a request for the status of certificates.
type ocspQuestion struct {
	certs []certID
	nonce []byte // nil if there is none that is to be repeated
	asked bool   // a nonce was sent, whether or not it is repeated
}

// parseOCSP reads a request (RFC 6960 section 4.1.1). Its signature, if it has one, is not
// looked at: anybody may ask.
func parseOCSP(b []byte) (*ocspQuestion, error) {
	if _, err := ocsp.ParseRequest(b); err != nil {
		return nil, fmt.Errorf("parse OCSP request: %w", err)
	}
	var raw rawOCSPRequest
	rest, err := asn1.Unmarshal(b, &raw)
	if err != nil {
		return nil, fmt.Errorf("parse OCSP request: %w", err)
	}
	if len(rest) > 0 || len(raw.TBS.List) == 0 || len(raw.TBS.List) > maxOCSPCerts {
		return nil, fmt.Errorf("parse OCSP request: %d certificates, %d bytes after it", len(raw.TBS.List), len(rest))
	}
	q := new(ocspQuestion)
	for _, r := range raw.TBS.List {
		id, err := parseCertID(r.CertID)
		if err != nil {
			return nil, err
		}
		if unknownCritical(r.Extensions, nil) {
			return nil, errors.New("parse OCSP request: an extension that is critical is not known")
		}
		q.certs = append(q.certs, id)
	}
	if unknownCritical(raw.TBS.Extensions, oidOCSPNonce) {
		return nil, errors.New("parse OCSP request: an extension that is critical is not known")
	}
	return q, q.takeNonce(raw.TBS.Extensions)
}

func parseCertID(raw asn1.RawValue) (certID, error) {
	var id struct {
		Hash   pkix.AlgorithmIdentifier
		Name   []byte
		Key    []byte
		Serial *big.Int
	}
	if rest, err := asn1.Unmarshal(raw.FullBytes, &id); err != nil || len(rest) > 0 {
		return certID{}, fmt.Errorf("parse OCSP request: the id of a certificate: %w", err)
	}
	return certID{id.Hash, id.Name, id.Key, id.Serial, raw.FullBytes}, nil
}

func unknownCritical(extensions []pkix.Extension, known asn1.ObjectIdentifier) bool {
	for _, e := range extensions {
		if e.Critical && !e.Id.Equal(known) {
			return true
		}
	}
	return false
}

func (q *ocspQuestion) takeNonce(extensions []pkix.Extension) error {
	for _, e := range extensions {
		if !e.Id.Equal(oidOCSPNonce) {
			continue
		}
		if q.asked {
			return errors.New("parse OCSP request: two nonces")
		}
		var nonce []byte
		if rest, err := asn1.Unmarshal(e.Value, &nonce); err != nil || len(rest) > 0 {
			return fmt.Errorf("parse OCSP request: the nonce is no octet string: %w", err)
		}
		if len(nonce) < minNonce || len(nonce) > maxNonce {
			return fmt.Errorf("parse OCSP request: a nonce of %d bytes", len(nonce))
		}
		if q.asked = true; len(nonce) >= usefulNonce {
			q.nonce = nonce
		}
	}
	return nil
}

// names reports whether id names is as the issuer.
func (id certID) names(is *issuer) bool {
	for _, h := range ocspHashes {
		if h.oid.Equal(id.Hash.Algorithm) {
			name, key := h.hash.New(), h.hash.New()
			name.Write(is.cert.RawSubject)
			key.Write(is.publicKeyBits())
			return bytes.Equal(name.Sum(nil), id.Name) && bytes.Equal(key.Sum(nil), id.Key)
		}
	}
	return false
}

// publicKeyBits are what RFC 6960 hashes of a key: the bit string without its header.
func (is *issuer) publicKeyBits() []byte {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(is.cert.RawSubjectPublicKeyInfo, &info); err != nil {
		return nil // a certificate that was parsed has one
	}
	return info.Key.RightAlign()
}

// single describes the status of one certificate; c is nil for one that is not known.
func (id certID) single(c *Certificate, from, until time.Time) (singleResponse, error) {
	s := singleResponse{CertID: asn1.RawValue{FullBytes: id.encoded}, ThisUpdate: from, NextUpdate: until}
	switch {
	case c == nil:
		s.Status = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: ocsp.Unknown}
	case !c.Revoked():
		s.Status = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: ocsp.Good}
	default:
		b, err := asn1.MarshalWithParams(revokedInfo{c.RevokedAt.UTC().Truncate(time.Second), asn1.Enumerated(c.Reason)}, "tag:1")
		if err != nil {
			return s, fmt.Errorf("write OCSP response: %w", err)
		}
		s.Status = asn1.RawValue{FullBytes: b}
	}
	return s, nil
}

// answerOCSP signs the answers with the issuer's own key (RFC 6960 section 4.2.2.2).
func (is *issuer) answerOCSP(all []singleResponse, nonce []byte, at time.Time) ([]byte, error) {
	h := crypto.SHA1.New()
	h.Write(is.publicKeyBits())
	data := responseData{KeyHash: h.Sum(nil), ProducedAt: at, Responses: all}
	if nonce != nil {
		value, err := asn1.Marshal(nonce)
		if err != nil {
			return nil, fmt.Errorf("write OCSP response: %w", err)
		}
		data.Extensions = []pkix.Extension{{Id: oidOCSPNonce, Value: value}}
	}
	tbs, err := asn1.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("write OCSP response: %w", err)
	}
	how, signature, err := is.signBytes(tbs)
	if err != nil {
		return nil, fmt.Errorf("sign OCSP response: %w", err)
	}
	basic, err := asn1.Marshal(basicResponse{
		asn1.RawValue{FullBytes: tbs},
		how.identifier,
		asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
	if err != nil {
		return nil, fmt.Errorf("write OCSP response: %w", err)
	}
	out, err := asn1.Marshal(ocspResponse{asn1.Enumerated(ocsp.Success), responseBytes{oidOCSPBasic, basic}})
	if err != nil {
		return nil, fmt.Errorf("write OCSP response: %w", err)
	}
	return out, nil
}
