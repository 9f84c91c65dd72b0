package agent

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
)

// MDM is what the com.apple.mdm payload of an enrolment profile says.
// Source: Apple, "MDM" payload (developer.apple.com/documentation/devicemanagement/mdm).
type MDM struct {
	ServerURL           string
	CheckInURL          string // ServerURL if the payload names none
	Topic               string
	SignMessage         bool
	CheckOutWhenRemoved bool
	AccessRights        ward.AccessRights
	IdentityUUID        string
	// AppleID, Mode and AppID are AssignedManagedAppleID, EnrollmentMode and
	// RequiredAppIDForMDM; PerUser says that ServerCapabilities has per-user-connections.
	// An update may not change them.
	AppleID, Mode string
	AppID         int64
	PerUser       bool
	// UserEnrolment is set for the work side of a personal device, on which access rights
	// mean nothing. Source: Apple, MDM payload, EnrollmentMode and ManagedAppleID.
	UserEnrolment bool
}

// SCEP is what the com.apple.security.scep payload of an enrolment profile says.
// Source: Apple, "SCEP" payload.
type SCEP struct {
	URL         string
	Name        string
	Subject     [][][]string // relative names of {type, value} pairs, such as {{{"CN","x"}}}
	Challenge   string
	Fingerprint []byte // of a certificate of the authority; empty if not given
}

// Enrolment is one living enrolment: what a Keeper keeps. Its fields do not change
// after it was made; a change makes a new one.
type Enrolment struct {
	UDID string
	// EnrollmentID stands in for the UDID in every message; empty except in user enrolment.
	EnrollmentID string
	Profile      *Profile
	MDM          MDM
	Key          crypto.Signer // RSA by SCEP; by ACME of any kind, and maybe in hardware
	Certificate  *x509.Certificate
	Token        []byte // the push token
	PushMagic    string
}

const (
	typeMDM  = "com.apple.mdm"
	typeSCEP = "com.apple.security.scep"
	typeACME = "com.apple.security.acme"
)

// Roots returns the certificates of authorities that p installs.
func (p *Profile) Roots() ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, q := range p.Payloads {
		switch q.Type {
		case "com.apple.security.root", "com.apple.security.pkcs1", "com.apple.security.pem":
		default:
			continue
		}
		der, ok := q.Content["PayloadContent"].([]byte)
		if !ok {
			return nil, payloadErr(payloadMissingField, "%s has no PayloadContent", q.Type)
		}
		if b, _ := pem.Decode(der); b != nil {
			der = b.Bytes
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, payloadErr(payloadMalformed, "%s: %v", q.Type, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// MDM returns the MDM payload of p and the SCEP or ACME payload that makes its identity.
func (p *Profile) MDM() (MDM, Payload, error) {
	list := p.Of(typeMDM)
	if len(list) != 1 {
		return MDM{}, Payload{}, payloadErr(payloadMissingField, "the profile has %d MDM payloads, want 1", len(list))
	}
	c := list[0].Content
	m := MDM{ServerURL: text(c, "ServerURL"), CheckInURL: text(c, "CheckInURL"), Topic: text(c, "Topic"), IdentityUUID: text(c, "IdentityCertificateUUID")}
	m.SignMessage, _ = c["SignMessage"].(bool)
	m.CheckOutWhenRemoved, _ = c["CheckOutWhenRemoved"].(bool)
	rights, _ := whole(c["AccessRights"])
	m.AccessRights = ward.AccessRights(rights)
	m.AppleID, m.Mode = text(c, "AssignedManagedAppleID"), text(c, "EnrollmentMode")
	m.AppID, _ = whole(c["RequiredAppIDForMDM"])
	able, _ := c["ServerCapabilities"].([]any)
	m.PerUser = slices.Contains(able, any("com.apple.mdm.per-user-connections"))
	m.UserEnrolment = text(c, "EnrollmentMode") == "BYOD" || text(c, "ManagedAppleID") != ""
	if m.CheckInURL == "" {
		m.CheckInURL = m.ServerURL
	}
	if err := m.check(); err != nil {
		return MDM{}, Payload{}, err
	}
	for _, q := range p.Payloads {
		if q.UUID != m.IdentityUUID {
			continue
		}
		var err error
		switch q.Type {
		case typeSCEP:
			_, err = ParseSCEP(q)
		case typeACME:
			_, err = ParseACME(q)
		default:
			err = payloadErr(payloadMissingField, "IdentityCertificateUUID names a %s, want SCEP or ACME", q.Type)
		}
		return m, q, err
	}
	return MDM{}, Payload{}, payloadErr(payloadMissingField, "no payload has the UUID that IdentityCertificateUUID names")
}

// check holds m against what Apple requires of the payload.
func (m MDM) check() error {
	for _, u := range []string{m.ServerURL, m.CheckInURL} {
		if !isHTTPS(u) {
			return payloadErr(payloadMissingField, "ServerURL and CheckInURL must be https addresses, got %q", u)
		}
	}
	if !strings.HasPrefix(m.Topic, "com.apple.mgmt.") {
		return payloadErr(payloadMissingField, "Topic must begin with com.apple.mgmt., got %q", m.Topic)
	}
	if m.UserEnrolment {
		return nil // which ignores the rights
	}
	if m.AccessRights <= 0 || m.AccessRights > ward.RightsAll {
		return payloadErr(payloadMissingField, "AccessRights is %d, want 1 to %d", m.AccessRights, ward.RightsAll)
	}
	for _, need := range [][2]ward.AccessRights{
		{ward.RightInstallProfiles, ward.RightInspectProfiles},
		{ward.RightInstallProvisioning, ward.RightInspectProvisioning},
	} {
		if m.AccessRights.Has(need[0]) && !m.AccessRights.Has(need[1]) {
			return payloadErr(payloadMissingField, "AccessRights %d needs %d", need[0], need[1])
		}
	}
	return nil
}

// ParseSCEP reads a com.apple.security.scep payload. Errors are *ProfileError.
func ParseSCEP(q Payload) (SCEP, error) {
	c, ok := q.Content["PayloadContent"].(map[string]any)
	if !ok {
		return SCEP{}, payloadErr(payloadMissingField, "the SCEP payload has no PayloadContent")
	}
	s := SCEP{URL: text(c, "URL"), Name: text(c, "Name"), Challenge: text(c, "Challenge")}
	s.Fingerprint, _ = c["CAFingerprint"].([]byte)
	if !isHTTP(s.URL) {
		return SCEP{}, payloadErr(payloadMissingField, "the SCEP payload's URL is %q", s.URL)
	}
	if size, ok := whole(c["Keysize"]); ok && size != keyBits {
		return SCEP{}, payloadErr(payloadMalformed, "Keysize is %d, this device makes keys of %d bits", size, keyBits)
	}
	if v, ok := c["Subject"]; ok {
		var err error
		if s.Subject, err = readSubject(v); err != nil {
			return SCEP{}, err
		}
	}
	return s, nil
}

func readSubject(v any) ([][][]string, error) {
	bad := payloadErr(payloadMalformed, "Subject must be an array of arrays of pairs")
	rdns, ok := v.([]any)
	if !ok {
		return nil, bad
	}
	var out [][][]string
	for _, rdn := range rdns {
		pairs, ok := rdn.([]any)
		if !ok {
			return nil, bad
		}
		var set [][]string
		for _, p := range pairs {
			kv, ok := p.([]any)
			if !ok || len(kv) != 2 {
				return nil, bad
			}
			k, okK := kv[0].(string)
			val, okV := kv[1].(string)
			if !okK || !okV {
				return nil, bad
			}
			set = append(set, []string{k, val})
		}
		out = append(out, set)
	}
	return out, nil
}

func isHTTPS(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != ""
}

// isHTTP takes http too: a SCEP message is encrypted and signed in itself (RFC 8894, 4.1).
func isHTTP(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// identify puts into m who the device is: its EnrollmentID or its UDID, never both.
func (e *Enrolment) identify(m map[string]any) map[string]any {
	if e.EnrollmentID != "" {
		m["EnrollmentID"] = e.EnrollmentID
	} else {
		m["UDID"] = e.UDID
	}
	return m
}

// Identity returns what the device proves itself by.
func (e *Enrolment) Identity() Identity { return Identity{e.Certificate, e.Key} }

// String names the enrolment for logs.
func (e *Enrolment) String() string { return fmt.Sprintf("%s at %s", e.UDID, e.MDM.ServerURL) }
