package ca

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/wardmdm/ward"
)

// tagURI is the tag of a URI among the names of a certificate (RFC 5280 section 4.2.1.6).
const tagURI = 6

// sameNames refuses a request with names of its own. This authority ignores them; an
// outside one compares them with what it is asked for, and would refuse less plainly.
func sameNames(csr *x509.CertificateRequest, want *x509.Certificate) error {
	uris := uriTexts(csr.URIs)
	switch {
	case csr.Subject.CommonName != "" && csr.Subject.CommonName != want.Subject.CommonName:
		return ward.Errorf(ward.Invalid, "The certificate request is for the name %q: leave the name out, or ask for %q.", csr.Subject.CommonName, want.Subject.CommonName)
	case len(csr.DNSNames)+len(csr.EmailAddresses)+len(csr.IPAddresses) > 0 || len(uris) > 0 && !slices.Equal(uris, uriTexts(want.URIs)):
		return ward.Errorf(ward.Invalid, "The certificate request brings alternative names of its own: leave them out.")
	}
	return nil
}

// uriTexts returns URIs as they are written.
func uriTexts(all []*url.URL) []string {
	out := make([]string, len(all))
	for i, u := range all {
		out[i] = u.String()
	}
	return out
}

// differs says everything in which a certificate of the outside authority is not the one
// that was asked for: names, key, purpose, or a longer life. Organisation and the like in
// the subject are that authority's to choose, and a life may be shorter.
func differs(got, want *x509.Certificate, now time.Time) (wrong []string) {
	note := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	note(!sameKey(got.PublicKey, want.PublicKey), "It is for another key.")
	note(got.Subject.CommonName != want.Subject.CommonName, "Its common name is %q, want %q.", got.Subject.CommonName, want.Subject.CommonName)
	note(!slices.Equal(uriTexts(got.URIs), uriTexts(want.URIs)), "Its URIs are %q, want %q.", uriTexts(got.URIs), uriTexts(want.URIs))
	note(!onlyURIs(got), "It has alternative names that are no URIs.")
	note(!slices.Equal(got.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || len(got.UnknownExtKeyUsage) > 0, "Its extended key usage is not client authentication alone.")
	note(got.IsCA, "It is a certificate of an authority.")
	note(got.KeyUsage&x509.KeyUsageDigitalSignature == 0 || got.KeyUsage&^(x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment) != 0,
		"Its key usage is not digital signature, with or without key encipherment.")
	note(got.NotAfter.After(want.NotAfter.Add(backdate)), "It is valid until %s, want %s at the latest.", got.NotAfter.UTC().Format(time.RFC3339), want.NotAfter.UTC().Format(time.RFC3339))
	note(got.NotBefore.After(now.Add(backdate)) || now.After(got.NotAfter), "It is expired or not yet valid: do the clocks agree?")
	note(len(got.UnhandledCriticalExtensions) > 0, "It has a critical extension that is not known.")
	return wrong
}

// onlyURIs reports whether every alternative name of c is a URI, of whatever kind others
// may be: crypto/x509 does not tell of each.
func onlyURIs(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var names []asn1.RawValue
		rest, err := asn1.Unmarshal(e.Value, &names)
		if err != nil || len(rest) > 0 || slices.ContainsFunc(names, func(n asn1.RawValue) bool { return n.Class != asn1.ClassContextSpecific || n.Tag != tagURI }) {
			return false
		}
	}
	return true
}
