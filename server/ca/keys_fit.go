package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/wardmdm/ward"
)

// pickIssuer finds the certificate of a key among those of a file in PEM, and returns the
// others too. Where there is one certificate it is that one, whatever its key: misfits then
// says what is wrong with it.
func pickIssuer(text []byte, key madeKey) (*x509.Certificate, []*x509.Certificate, error) {
	all, err := parseChain(text)
	if err != nil {
		return nil, nil, err
	}
	at := 0
	for i, c := range all {
		if sameKey(c.PublicKey, key.Public()) {
			at = i
		}
	}
	return all[at], append(all[:at:at], all[at+1:]...), nil
}

// parseChain reads the certificates of a file in PEM; at least one.
func parseChain(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, ward.Errorf(ward.Invalid, "The file holds %q, where certificates in PEM are wanted.", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, ward.Errorf(ward.Invalid, "A certificate in the file can't be read: it is damaged, or of a kind that is not known.")
		}
		all, text = append(all, c), rest
	}
	if len(all) == 0 {
		return nil, ward.Errorf(ward.Invalid, "The file holds no certificate in PEM.")
	}
	return all, nil
}

// misfits says everything that keeps cert from being the issuer with a key under a root.
func misfits(cert *x509.Certificate, key madeKey, root *x509.Certificate, now time.Time) (wrong []string) {
	note := func(bad bool, why string) {
		if bad {
			wrong = append(wrong, why)
		}
	}
	usage, want := key.usage(), "certificate signing, CRL signing and digital signature"
	if usage&x509.KeyUsageKeyEncipherment != 0 {
		want = "certificate signing, CRL signing, digital signature and key encipherment"
	}
	note(!sameKey(cert.PublicKey, key.Public()), "It is for another key than the one that was requested here.")
	note(!signedBy(cert, root), "It is not signed by this authority's root, "+root.Subject.String()+".")
	note(!cert.IsCA || !cert.BasicConstraintsValid, "It is not a certificate of an authority (basicConstraints CA).")
	note(cert.IsCA && (cert.MaxPathLen != 0 || !cert.MaxPathLenZero), "Its path length is not 0 (basicConstraints pathlen): it has no authorities beneath it.")
	note(cert.KeyUsage&usage != usage, "Its key usage must be "+want+".")
	note(len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > 0, "It is limited to some purposes (extended key usage): what it signs is for others.")
	note(limitsNames(cert), "It limits the URIs that it may sign for (name constraints): Ward names devices by URIs.")
	note(len(cert.UnhandledCriticalExtensions) > 0, "It has a critical extension that is not known.")
	note(now.Before(cert.NotBefore) || now.After(cert.NotAfter), "It is expired or not yet valid.")
	note(cert.NotAfter.After(root.NotAfter), "It outlives the root.")
	note(len(cert.SubjectKeyId) == 0, "It has no subject key identifier.")
	note(len(cert.Subject.Names) == 0, "It has no subject.")
	note(bytes.Equal(cert.RawSubject, root.RawSubject), "Its subject is that of the root: a chain could not be built by names.")
	return wrong
}

// misfitsRoot says everything that keeps root from being the root of an issuer.
func misfitsRoot(root *x509.Certificate, now time.Time) (wrong []string) {
	note := func(bad bool, why string) {
		if bad {
			wrong = append(wrong, "The root, "+root.Subject.String()+": "+why)
		}
	}
	note(!signedBy(root, root), "It is not signed by itself: the issuer has to stand directly under a root.")
	note(!root.IsCA || !root.BasicConstraintsValid, "It is not a certificate of an authority (basicConstraints CA).")
	note(root.MaxPathLenZero && root.MaxPathLen == 0, "Its path length is 0: it allows no issuer beneath it.")
	note(root.KeyUsage != 0 && root.KeyUsage&x509.KeyUsageCertSign == 0, "Its key usage lacks certificate signing.")
	note(len(root.ExtKeyUsage)+len(root.UnknownExtKeyUsage) > 0, "It is limited to some purposes (extended key usage).")
	note(limitsNames(root), "It limits the URIs beneath it (name constraints): Ward names devices by URIs.")
	note(len(root.UnhandledCriticalExtensions) > 0, "It has a critical extension that is not known.")
	note(now.Before(root.NotBefore) || now.After(root.NotAfter), "It is expired or not yet valid.")
	note(checkKey(root.PublicKey) != nil, "Its key must be RSA with 2048 to 4096 bits, or EC on the curve P-256 or P-384.")
	return wrong
}

// signedBy reports whether parent's key made the signature of c, in parent's name. Whether
// parent may sign certificates is told apart, or a single mistake would look like three.
func signedBy(c, parent *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, parent.RawSubject) && parent.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func limitsNames(c *x509.Certificate) bool {
	return len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0
}
