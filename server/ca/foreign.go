package ca

import (
	"cmp"
	"crypto/x509"
	"regexp"
	"slices"

	"github.com/wardmdm/ward"
)

// Foreign is the issuer of certificates that an authority gave which Ward does not speak for:
// it put none of its lists and answers out, and has them in the record because their devices
// prove themselves by them.
const Foreign = 0

// foreignSerial is how the record calls a foreign certificate. Serial numbers are one
// authority's own, and the record knows a certificate by its serial number alone.
var foreignSerial = regexp.MustCompile(`^outside-[0-9]{1,50}-[0-9a-f]{8}$`)

// ForeignRow describes for the record the identity that another authority gave a device for
// what g grants. Its Serial is outside-, its own in decimal, a hyphen and the first 8
// digits of its hash.
func ForeignRow(cert *x509.Certificate, g Grant) Certificate {
	hash := Hash(cert)
	c := Certificate{
		Issuer: Foreign, Serial: "outside-" + cert.SerialNumber.String() + "-" + hash[:8], Hash: hash, Kind: cmp.Or(g.Kind, KindDevice), Subject: cert.Subject.String(),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(), DER: cert.Raw,
	}
	c.keep(g)
	return c
}

// CheckForeign refuses what no device may prove itself by, whoever signed it: an authority,
// a certificate that is not for clients, or a weak key. Some SCEP servers give no extended
// key usage, which permits all (RFC 5280 section 4.2.1.12). Whether it is valid and under a
// root that is trusted is the caller's to check.
func CheckForeign(cert *x509.Certificate) error {
	none := len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0
	switch {
	case cert.IsCA:
		return ward.Errorf(ward.Forbidden, "A certificate of an authority proves no device.").Because(ErrUnusable)
	case !none && !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return ward.Errorf(ward.Forbidden, "This certificate is not one for clients: its extended key usage lacks client authentication.").Because(ErrUnusable)
	case cert.SerialNumber == nil || cert.SerialNumber.Sign() < 0:
		return ward.Errorf(ward.Forbidden, "This certificate has no serial number.").Because(ErrUnusable)
	}
	if err := checkKey(cert.PublicKey); err != nil {
		return ward.Errorf(ward.Forbidden, "%v", err).Because(ErrUnusable)
	}
	return nil
}
