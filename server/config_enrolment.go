package server

import (
	"crypto/x509"
	"encoding/pem"
	"os"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

// Enrolment says what a device has to prove of itself when it enrols by an invitation.
type Enrolment struct {
	Attestation      enrollment.Attestation `yaml:"attestation"`
	AttestationRoots []string               `yaml:"attestation_roots"`
	AllowUnlisted    bool                   `yaml:"allow_unlisted"`
}

func (e Enrolment) mistakes(bad func(field, format string, args ...any)) {
	if !e.Attestation.Valid() {
		bad("enrolment.attestation", "%q is not preferred, required or off", e.Attestation)
	}
	if e.AllowUnlisted && e.Attestation != enrollment.AttestationRequired {
		bad("enrolment.allow_unlisted", "it means something only where attestation is required")
	}
}

// roots reads the authorities of attestation; none means Apple's own.
func (e Enrolment) roots() ([]*x509.Certificate, error) {
	return readAuthorities("enrolment.attestation_roots", e.AttestationRoots)
}

// attestation returns the rule for invitations. The phones of a trial are virtual, and Apple
// attests none of them: there an attestation that is only preferred is not asked for, unless
// the trial names the authority that attests its phones.
func (c *Config) attestation() enrollment.Attestation {
	if c.Trial && c.Enrolment.Attestation == enrollment.AttestationPreferred && len(c.Enrolment.AttestationRoots) == 0 {
		return enrollment.AttestationOff
	}
	return c.Enrolment.Attestation
}

// attestationOff says why nothing is attested although the configuration does not switch it
// off; "" if it does, or something is.
func (c *Config) attestationOff() string {
	if c.attestation() == c.Enrolment.Attestation {
		return ""
	}
	return "in a trial nobody attests. Name the authority that attests its phones by enrolment.attestation_roots."
}

// readAuthorities reads the certificates of the PEM files that a field of the
// configuration names.
func readAuthorities(field string, paths []string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, path := range paths {
		b, err := os.ReadFile(path) //nolint:gosec // the operator names it in the configuration
		if err != nil {
			return nil, ward.Errorf(ward.Invalid, "%s: %v.", field, err)
		}
		found := 0
		for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, ward.Errorf(ward.Invalid, "%s: %s: %v.", field, path, err)
			}
			all = append(all, c)
			found++
		}
		if found == 0 {
			return nil, ward.Errorf(ward.Invalid, "%s: %s holds no certificate in PEM.", field, path)
		}
	}
	return all, nil
}
