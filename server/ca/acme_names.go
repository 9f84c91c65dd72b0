package ca

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// Attributes of a subject that name nobody: organisation, unit, country, place.
var (
	oidOrganisation = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidUnit         = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidCountry      = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidLocality     = asn1.ObjectIdentifier{2, 5, 4, 7}
	oidProvince     = asn1.ObjectIdentifier{2, 5, 4, 8}
)

// oidPermanentIdentifier is that of the name by RFC 4043.
var oidPermanentIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 3}

// onlyNames refuses a request that names anybody but want. What it names is not taken into
// the certificate: but a client that asks for another's name is not to be served.
func onlyNames(csr *x509.CertificateRequest, want string) error {
	harmless := []asn1.ObjectIdentifier{oidOrganisation, oidUnit, oidCountry, oidLocality, oidProvince}
	for _, n := range csr.Subject.Names {
		if slices.ContainsFunc(harmless, n.Type.Equal) {
			continue
		}
		if text, ok := n.Value.(string); !ok || text != want {
			return fmt.Errorf("the request names %.100q, the order %.100q", fmt.Sprint(n.Value), want)
		}
	}
	for _, ext := range csr.Extensions {
		if ext.Id.Equal(oidSubjectAltName) {
			if err := onlyAltNames(ext.Value, want); err != nil {
				return err
			}
		}
	}
	return nil
}

// onlyAltNames looks at the names of RFC 5280 section 4.2.1.6: want may stand among them as
// a text or as a permanent identifier.
func onlyAltNames(der []byte, want string) error {
	var names asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &names); err != nil || len(rest) > 0 || !names.IsCompound || names.Tag != asn1.TagSequence {
		return errors.New("the request's alternative names can't be read")
	}
	for rest := names.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &name); err != nil || name.Class != asn1.ClassContextSpecific {
			return errors.New("the request's alternative names can't be read")
		}
		text := string(name.Bytes)
		switch name.Tag {
		case 0: // otherName
			text = permanentIdentifier(name.FullBytes)
		case 1, 2, 6: // rfc822Name, dNSName, uniformResourceIdentifier
		default:
			text = ""
		}
		if text != want {
			return fmt.Errorf("the request has another alternative name than %.100q", want)
		}
	}
	return nil
}

// permanentIdentifier returns the value in a name by RFC 4043, "" where it is no such name.
func permanentIdentifier(der []byte) string {
	var other struct {
		ID    asn1.ObjectIdentifier
		Value struct {
			Value string `asn1:"utf8,optional"`
		} `asn1:"tag:0,explicit"`
	}
	if rest, err := asn1.UnmarshalWithParams(der, &other, "tag:0"); err != nil || len(rest) > 0 || !other.ID.Equal(oidPermanentIdentifier) {
		return ""
	}
	return other.Value.Value
}
