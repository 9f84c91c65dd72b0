package apns

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"

	"github.com/wardmdm/ward"
	"software.sslmate.com/src/go-pkcs12"
)

// Vendor is an organisation's own MDM vendor certificate ("MDM CSR" in Apple's
// developer portal), with which it may countersign requests for push certificates.
type Vendor struct {
	key   crypto.Signer
	chain []*x509.Certificate // vendor certificate first, root last
}

// LoadVendor reads a vendor certificate and its key in PEM form. certs holds the vendor
// certificate and Apple's intermediate and root, in any order and any of them PEM; Apple
// refuses a request without the full chain.
func LoadVendor(certs, key []byte) (Vendor, error) {
	signer, err := parseKey(key)
	if err != nil {
		return Vendor{}, err
	}
	all, err := parseCertificates(certs)
	if err != nil {
		return Vendor{}, err
	}
	return newVendor(signer, all)
}

// LoadVendorP12 reads a vendor certificate and its key from a PKCS#12 file, as Keychain
// Access exports it. extra holds the certificates of the chain that are not in the
// file, as PEM or one as DER; it may be nil.
func LoadVendorP12(p12 []byte, password string, extra []byte) (Vendor, error) {
	key, leaf, chain, err := pkcs12.DecodeChain(p12, password)
	if err != nil {
		return Vendor{}, ward.Errorf(ward.Invalid, "The vendor file could not be opened: either it is not a .p12 file or the password is wrong.").Because(err)
	}
	signer, ok := key.(*rsa.PrivateKey)
	if !ok {
		return Vendor{}, ward.Errorf(ward.Invalid, "The vendor file's key is not an RSA key.")
	}
	all := append([]*x509.Certificate{leaf}, chain...)
	if len(bytes.TrimSpace(extra)) > 0 {
		more, err := parseCertificates(extra)
		if err != nil {
			return Vendor{}, err
		}
		all = append(all, more...)
	}
	return newVendor(signer, all)
}

func newVendor(key crypto.Signer, all []*x509.Certificate) (Vendor, error) {
	if _, ok := key.(*rsa.PrivateKey); !ok {
		return Vendor{}, ward.Errorf(ward.Invalid, "The vendor's key is not an RSA key.")
	}
	var leaf *x509.Certificate
	for _, c := range all {
		if samePublicKey(c.PublicKey, key.Public()) {
			leaf = c
			break
		}
	}
	if leaf == nil {
		return Vendor{}, ward.Errorf(ward.Invalid, "None of the vendor's certificates belongs to the vendor's key.")
	}
	chain := []*x509.Certificate{leaf}
	for c := leaf; !bytes.Equal(c.RawIssuer, c.RawSubject); {
		if c = issuerOf(c, all); c == nil || len(chain) > len(all) {
			return Vendor{}, ward.Errorf(ward.Invalid,
				"The vendor's chain is incomplete: the certificate %q is missing. Apple's intermediate and root certificates are at https://www.apple.com/certificateauthority/.",
				chain[len(chain)-1].Issuer.CommonName)
		}
		chain = append(chain, c)
	}
	return Vendor{key: key, chain: chain}, nil
}

// issuerOf finds the certificate that signed c. Only the signature decides, for Apple
// has had intermediates of one name with different keys.
func issuerOf(c *x509.Certificate, all []*x509.Certificate) *x509.Certificate {
	for _, p := range all {
		if p != c && bytes.Equal(p.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(p) == nil {
			return p
		}
	}
	return nil
}

// parseCertificates reads every certificate of PEM text, or one in DER form.
func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	if !isPEM(b) {
		c, err := parseCertificate(b)
		if err != nil {
			return nil, err
		}
		return []*x509.Certificate{c}, nil
	}
	var all []*x509.Certificate
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		if b = rest; block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, ward.Errorf(ward.Invalid, "One of the vendor's certificates is damaged.").Because(err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, ward.Errorf(ward.Invalid, "The vendor's file holds no certificate.")
	}
	return all, nil
}
