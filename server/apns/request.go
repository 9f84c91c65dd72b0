package apns

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/mail"
	"strings"
	"unicode/utf8"

	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
)

// Request is a new key and the request for its push certificate.
type Request struct {
	KeyPEM []byte // PKCS#8; secret, and needed again by Import
	CSRPEM []byte
}

// oidEmail is emailAddress (RFC 2985 §5.2.1).
var oidEmail = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// NewRequest makes an RSA-2048 key and a certificate signing request that names the
// organisation and the person to write to. Apple takes such a request only with the
// signature of an MDM vendor: see SignRequest.
func NewRequest(organisation, email string) (Request, error) {
	var wrong []string
	if n := utf8.RuneCountInString(organisation); strings.TrimSpace(organisation) == "" || n > 64 {
		wrong = append(wrong, "The organisation's name must have 1 to 64 characters.")
	}
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email || !isASCII(email) {
		wrong = append(wrong, fmt.Sprintf("%q is not an e-mail address.", email))
	}
	if len(wrong) > 0 {
		return Request{}, &ward.Error{Kind: ward.Invalid, Message: "The request cannot be made.", Details: wrong}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Request{}, fmt.Errorf("push request key: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		SignatureAlgorithm: x509.SHA256WithRSA,
		// Some signers accept exactly these two attributes and no common name.
		Subject: pkix.Name{
			Organization: []string{organisation},
			ExtraNames: []pkix.AttributeTypeAndValue{{
				Type: oidEmail, Value: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(email)},
			}},
		},
	}, key)
	if err != nil {
		return Request{}, fmt.Errorf("push request: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Request{}, fmt.Errorf("push request key: %w", err)
	}
	return Request{
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		CSRPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}),
	}, nil
}

// pushCertRequest is what Apple's portal takes. Source: Apple, "Setting up push
// notifications for your MDM customers",
// https://developer.apple.com/documentation/devicemanagement/setting-up-push-notifications-for-your-mdm-customers
type pushCertRequest struct {
	CSR       string `plist:"PushCertRequestCSR"`       // base64 of the DER
	Chain     string `plist:"PushCertCertificateChain"` // PEM, vendor first, root last
	Signature string `plist:"PushCertSignature"`        // base64, SHA256WithRSA over the DER
}

// SignRequest countersigns a request with a vendor certificate. The result, base64 of a
// property list, is what is uploaded at https://identity.apple.com/pushcert.
func SignRequest(csrPEM []byte, v Vendor) ([]byte, error) {
	der := csrPEM
	if isPEM(csrPEM) {
		der = firstBlock(csrPEM, "CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "The request file is not a certificate signing request.").Because(err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, ward.Errorf(ward.Invalid, "The request is damaged: its own signature does not match.").Because(err)
	}
	if k, ok := csr.PublicKey.(*rsa.PublicKey); !ok || k.N.BitLen() < 2048 {
		return nil, ward.Errorf(ward.Invalid, "Apple wants a request with an RSA key of 2048 bits or more.")
	}
	sum := sha256.Sum256(csr.Raw)
	sig, err := v.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("countersign push request: %w", err)
	}
	var chain strings.Builder
	for _, c := range v.chain {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return nil, fmt.Errorf("vendor chain: %w", err)
		}
	}
	xml, err := plist.MarshalIndent(pushCertRequest{
		CSR:       base64.StdEncoding.EncodeToString(csr.Raw),
		Chain:     chain.String(),
		Signature: base64.StdEncoding.EncodeToString(sig),
	}, "\t")
	if err != nil {
		return nil, fmt.Errorf("push request plist: %w", err)
	}
	out := make([]byte, base64.StdEncoding.EncodedLen(len(xml)))
	base64.StdEncoding.Encode(out, xml)
	return out, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
