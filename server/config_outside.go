package server

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

// OutsideSCEP is a SCEP server of somebody else's that gives devices their certificates in
// the place of Ward's own.
type OutsideSCEP struct {
	URL           string   `yaml:"url"`
	Name          string   `yaml:"name"`
	For           []string `yaml:"for"`
	ChallengeFile string   `yaml:"challenge_file"`
	ChallengeURL  string   `yaml:"challenge_url"`
	HeaderFile    string   `yaml:"challenge_header_file"`
	Roots         []string `yaml:"roots"`
	Intermediates []string `yaml:"intermediates"`
}

// What an outside SCEP server may be for.
const (
	outsideIdentity = "identity"
	outsideNetworks = "networks"
)

const outsideField = "ca.outside_scep"

// serves reports whether the server gives certificates for what.
func (o OutsideSCEP) serves(what string) bool { return o.URL != "" && slices.Contains(o.For, what) }

// mistakes reports what is wrong with the outside SCEP server, by itself and beside the rest
// of the configuration. It reads the files that are named.
func (o OutsideSCEP) mistakes(c *Config, bad func(field, format string, args ...any)) {
	wrong := func(field, format string, args ...any) { bad(outsideField+"."+field, format, args...) }
	roots := o.readable("roots", o.Roots, wrong)
	o.readable("intermediates", o.Intermediates, wrong)
	if o.URL == "" {
		if o.Name != "" || len(o.For) > 0 || o.ChallengeFile != "" || o.ChallengeURL != "" || o.HeaderFile != "" {
			wrong("url", "it is empty, but the outside SCEP server has other settings; only roots and intermediates may stay, for the devices that have its certificates")
		}
		return
	}
	if u, err := url.Parse(o.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		wrong("url", "%q is not an https address: devices send their challenge there", o.URL)
	}
	o.forMistakes(c, wrong)
	o.challengeMistakes(wrong)
	if slices.Contains(o.For, outsideIdentity) && len(o.Roots) == 0 {
		wrong("roots", "name files with the authorities (PEM) that its certificates are under: without them no device could prove itself")
	}
	o.shared(c, roots, wrong)
}

func (o OutsideSCEP) forMistakes(c *Config, wrong func(field, format string, args ...any)) {
	if len(o.For) == 0 {
		wrong("for", "say what it gives certificates for: %s, %s or both", outsideIdentity, outsideNetworks)
	}
	for i, what := range o.For {
		if what != outsideIdentity && what != outsideNetworks {
			wrong(fmt.Sprintf("for[%d]", i), "%q is neither %s nor %s", what, outsideIdentity, outsideNetworks)
		}
	}
	if slices.Contains(o.For, outsideIdentity) && c.Enrolment.Attestation == enrollment.AttestationRequired {
		wrong("for", "an identity by SCEP proves nothing of the device, and enrolment.attestation is required: take one of the two back")
	}
	if slices.Contains(o.For, outsideNetworks) && o.ChallengeFile == "" && o.ChallengeURL != "" {
		wrong("for", "%s need a challenge_file: a challenge_url is asked for identities only", outsideNetworks)
	}
}

func (o OutsideSCEP) challengeMistakes(wrong func(field, format string, args ...any)) {
	if o.ChallengeFile == "" && o.ChallengeURL == "" {
		wrong("challenge_file", "name the file with its challenge, or by challenge_url the service that gives one for each request")
	}
	if o.ChallengeFile != "" {
		if _, err := o.challenge(); err != nil {
			wrong("challenge_file", "%v", err)
		}
	}
	if o.ChallengeURL != "" {
		if u, err := url.Parse(o.ChallengeURL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			wrong("challenge_url", "%q is not an https address without a user: name a header with the secret by challenge_header_file", o.ChallengeURL)
		}
	}
	switch {
	case o.HeaderFile == "":
	case o.ChallengeURL == "":
		wrong("challenge_header_file", "it means something only beside a challenge_url")
	default:
		if _, _, err := o.header(); err != nil {
			wrong("challenge_header_file", "%v", err)
		}
	}
}

// shared refuses an authority by which devices may also be adopted: whatever certificate it
// gave anybody would let a device in, without any invitation.
func (o OutsideSCEP) shared(c *Config, roots []*x509.Certificate, wrong func(field, format string, args ...any)) {
	adopting, err := readAuthorities("mdm.device_authorities", c.MDM.DeviceAuthorities)
	if err != nil { // told of the field itself
		return
	}
	for _, r := range roots {
		if slices.ContainsFunc(adopting, r.Equal) {
			wrong("roots", "%s is among mdm.device_authorities too: then whatever it certifies could be managed here without an invitation", r.Subject)
		}
	}
}

func (o OutsideSCEP) readable(field string, paths []string, wrong func(field, format string, args ...any)) []*x509.Certificate {
	all := authorityMistakes(field, paths, wrong)
	for _, c := range all {
		if !c.IsCA || !c.BasicConstraintsValid {
			wrong(field, "%s is no certificate of an authority", c.Subject)
		}
	}
	return all
}

// longestChallenge bounds what a SCEP server may want as its challenge (PKCS #9 has 255
// characters, RFC 2985 appendix A).
const longestChallenge = 255

// challenge reads the challenge that every request carries.
func (o OutsideSCEP) challenge() (string, error) {
	b, err := os.ReadFile(o.ChallengeFile)
	if err != nil {
		return "", err
	}
	return challengeOf(b)
}

// challengeOf reads a challenge from a file or an answer.
func challengeOf(b []byte) (string, error) {
	text := string(bytes.TrimSpace(b))
	if text == "" || len(text) > longestChallenge || strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) {
		return "", ward.Errorf(ward.Invalid, "a challenge is one line of 1 to %d printable ASCII characters", longestChallenge)
	}
	return text, nil
}

// header reads the header that proves Ward to the challenge service, such as
// "Authorization: Bearer …".
func (o OutsideSCEP) header() (name, value string, err error) {
	if o.HeaderFile == "" {
		return "", "", nil
	}
	b, err := os.ReadFile(o.HeaderFile)
	if err != nil {
		return "", "", err
	}
	name, value, ok := strings.Cut(string(bytes.TrimSpace(b)), ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" || value == "" || strings.ContainsFunc(name+value, unicode.IsControl) || strings.Contains(name, " ") {
		return "", "", ward.Errorf(ward.Invalid, "it must hold one line such as Authorization: Bearer secret")
	}
	return name, value, nil
}
