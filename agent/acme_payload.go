package agent

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
)

// ParseACME reads a com.apple.security.acme payload and holds it against Apple's rules for
// keys. What depends on the device is not asked. Errors are *ProfileError.
// Source: Apple, "ACMECertificate" payload, KeyType and HardwareBound.
func ParseACME(q Payload) (ACME, error) {
	a := ACME{DirectoryURL: text(q.Content, "DirectoryURL"), ClientIdentifier: text(q.Content, "ClientIdentifier"), KeyType: text(q.Content, "KeyType")}
	for _, key := range []string{"DirectoryURL", "ClientIdentifier", "KeyType", "KeySize", "HardwareBound", "Subject"} {
		if q.Content[key] == nil || q.Content[key] == "" {
			return ACME{}, payloadErr(payloadMissingField, "the ACME payload has no %s", key)
		}
	}
	size, okSize := whole(q.Content["KeySize"])
	flags, okFlags := int64(0), true
	if v, ok := q.Content["UsageFlags"]; ok {
		flags, okFlags = whole(v)
	}
	var okBound bool
	okAttest := true
	a.HardwareBound, okBound = q.Content["HardwareBound"].(bool)
	if v, ok := q.Content["Attest"]; ok {
		a.Attest, okAttest = v.(bool)
	}
	if !okSize || !okFlags || !okBound || !okAttest {
		return ACME{}, payloadErr(payloadBadType, "KeySize, UsageFlags, HardwareBound or Attest is of a wrong type")
	}
	a.KeySize, a.UsageFlags = int(size), int(flags)
	if !isHTTPS(a.DirectoryURL) {
		return ACME{}, payloadErr(payloadBadValue, "DirectoryURL is %q, want an https address", a.DirectoryURL)
	}
	if err := a.checkKey(); err != nil {
		return ACME{}, err
	}
	return a, a.readNames(q.Content)
}

// checkKey holds type, size and place of the key against each other.
func (a ACME) checkKey() error {
	switch {
	case a.Attest && !a.HardwareBound:
		return payloadErr(payloadBadValue, "Attest needs HardwareBound")
	case a.KeyType == KeyRSA && a.HardwareBound:
		return payloadErr(payloadBadValue, "a key that is HardwareBound must be of KeyType %s", KeyEC)
	case a.KeyType == KeyRSA && (a.KeySize < 1024 || a.KeySize > 4096 || a.KeySize%8 != 0):
		return payloadErr(payloadBadValue, "KeySize is %d, want a multiple of 8 from 1024 to 4096", a.KeySize)
	case a.KeyType == KeyRSA:
		return nil
	case a.KeyType != KeyEC:
		return payloadErr(payloadBadValue, "KeyType is %q, want %s or %s", a.KeyType, KeyRSA, KeyEC)
	case a.HardwareBound && a.KeySize != 256 && a.KeySize != 384:
		return payloadErr(payloadBadValue, "KeySize is %d, want 256 or 384 for a key that is HardwareBound", a.KeySize)
	case !slices.Contains([]int{192, 256, 384, 521}, a.KeySize):
		return payloadErr(payloadBadValue, "KeySize is %d, want 192, 256, 384 or 521", a.KeySize)
	}
	return nil
}

// readNames reads what the request asks for beside the key.
func (a *ACME) readNames(content map[string]any) (err error) {
	if a.Subject, err = readSubject(content["Subject"]); err != nil {
		return err
	}
	if v, ok := content["SubjectAltName"]; ok {
		m, ok := v.(map[string]any)
		if !ok {
			return payloadErr(payloadBadType, "SubjectAltName is not a dictionary")
		}
		a.AltName = map[string]string{}
		for key := range m {
			if a.AltName[key] = text(m, key); a.AltName[key] == "" {
				return payloadErr(payloadBadType, "SubjectAltName.%s is not a string", key)
			}
		}
	}
	v, ok := content["ExtendedKeyUsage"]
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return payloadErr(payloadBadType, "ExtendedKeyUsage is not an array")
	}
	for _, x := range list {
		s, ok := x.(string)
		if _, err := parseOID(s); !ok || err != nil {
			return payloadErr(payloadBadValue, "ExtendedKeyUsage has %v, want OIDs in dotted notation", x)
		}
		a.ExtendedKeyUsage = append(a.ExtendedKeyUsage, s)
	}
	return nil
}

// request is the certificate request for key with all that a asks for.
func (a ACME) request(key crypto.Signer) ([]byte, error) {
	t := &x509.CertificateRequest{}
	if len(a.Subject) > 0 {
		var err error
		if t.RawSubject, err = subjectName(a.Subject); err != nil {
			return nil, err
		}
	}
	for _, part := range []func() (int, any, error){a.usage, a.extendedUsage, a.altNames} {
		n, value, err := part()
		if err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		der, err := asn1.Marshal(value)
		if err != nil {
			return nil, err
		}
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, n}, Value: der})
	}
	return x509.CreateCertificateRequest(rand.Reader, t, key)
}

// usage is the extension keyUsage, the fifteenth of its arc: bit 0 signs, bit 2 enciphers
// keys (RFC 5280, 4.2.1.3).
func (a ACME) usage() (int, any, error) {
	var bits byte
	if a.UsageFlags&1 != 0 {
		bits |= 0x80
	}
	if a.UsageFlags&4 != 0 {
		bits |= 0x20
	}
	switch {
	case bits == 0:
		return 0, nil, nil
	case bits&0x20 != 0:
		return 15, asn1.BitString{Bytes: []byte{bits}, BitLength: 3}, nil
	}
	return 15, asn1.BitString{Bytes: []byte{bits}, BitLength: 1}, nil
}

func (a ACME) extendedUsage() (int, any, error) {
	var out []asn1.ObjectIdentifier
	for _, s := range a.ExtendedKeyUsage {
		o, err := parseOID(s)
		if err != nil {
			return 0, nil, err
		}
		out = append(out, o)
	}
	if out == nil {
		return 0, nil, nil
	}
	return 37, out, nil
}

// altNames is the extension subjectAltName (RFC 5280, 4.2.1.6) with the four kinds of name
// that the payload knows.
func (a ACME) altNames() (int, any, error) {
	var out []asn1.RawValue
	for key, tag := range map[string]int{"rfc822Name": 1, "dNSName": 2, "uniformResourceIdentifier": 6} {
		if v := a.AltName[key]; v != "" {
			out = append(out, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(v)})
		}
	}
	if v := a.AltName["ntPrincipalName"]; v != "" {
		oid, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3})
		if err != nil {
			return 0, nil, err
		}
		name, err := asn1.MarshalWithParams(v, "utf8")
		if err != nil {
			return 0, nil, err
		}
		value, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: name})
		if err != nil {
			return 0, nil, err
		}
		out = append(out, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: append(oid, value...)})
	}
	if out == nil {
		return 0, nil, nil
	}
	return 17, out, nil
}
