package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/declare"
)

// networkLife is how long a network certificate is valid. iOS renews none by itself, so
// the profile that brings it is delivered again after two thirds of it.
const networkLife = 365 * 24 * time.Hour

// challenges returns what issues the challenges of enrolled devices and spends them.
func (s *Server) challenges() *credential.Challenges {
	return &credential.Challenges{Store: s.db.Challenges(), Devices: s.fleet, Judge: judge{s}, Audit: s.record, Now: s.now}
}

// binder returns what puts devices' own values into profiles.
func (s *Server) binder() *Binder {
	b := &Binder{Challenges: s.challenges(), ServerURL: s.config.PublicURL}
	if s.outside.serves(outsideNetworks) {
		b.Outside = s.outside
	}
	return b
}

// certificateAlias is the name of a device's certificate where a platform gives it one.
const certificateAlias = "ward"

// Variables of profiles that have no constant value for a device.
const networkChallenge = "network.challenge"

// Binder puts a device's own values into profiles when they are delivered.
type Binder struct {
	Challenges interface {
		Issue(ctx context.Context, g credential.ChallengeGrant, n int) ([]string, error)
	}
	// ServerURL is the public address of this server, without a slash at the end.
	ServerURL string
	// Outside, where it is not nil, gives network certificates in the place of Ward's own
	// authority: each challenge is then its own, and none is issued.
	Outside *outside
}

var _ declare.Binder = (*Binder)(nil)

// Bind returns a profile, an XML property list, with the variables in its strings
// replaced. Each {{network.challenge}} becomes a fresh challenge of its own; where none
// stands, none is issued. It joins the unit of work in ctx. What a value holds is escaped
// and not read again, so that the list stays well-formed whatever a device is called. A
// variable that has no value here stays as it is: the profile may be the organisation's
// own and mean it. A profile without variables is returned as it is.
func (b *Binder) Bind(ctx context.Context, d ward.Device, e ward.Enrolment, raw []byte) ([]byte, error) {
	if !bytes.Contains(raw, []byte("{{")) {
		return raw, nil
	}
	texts, err := boundTexts(raw)
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "The profile is no XML property list.").Because(err)
	}
	challenges, err := b.challenges(ctx, d, e, raw, texts)
	if err != nil {
		return nil, fmt.Errorf("challenges for %s: %w", e.ID, err)
	}
	values := map[string]string{
		"device.id": string(d.ID), "device.name": d.Name, "user.email": d.Email, "server.url": b.ServerURL,
		"cert.alias": certificateAlias, "network.scep_url": b.ServerURL + ca.SCEPPath, "network.scep_name": "Ward",
	}
	if b.Outside != nil {
		values["network.scep_url"], values["network.scep_name"] = b.Outside.c.URL, b.Outside.c.Name
	}
	var out bytes.Buffer
	rest := 0
	for _, t := range texts {
		text := profileVariable.ReplaceAllStringFunc(t.text, func(found string) string {
			name := profileVariable.FindStringSubmatch(found)[1]
			if name == networkChallenge {
				next := challenges[0]
				challenges = challenges[1:]
				return next
			}
			if value, ok := values[name]; ok {
				return value
			}
			return found
		})
		out.Write(raw[rest:t.start])
		if err := xml.EscapeText(&out, []byte(text)); err != nil {
			return nil, fmt.Errorf("bind profile: %w", err)
		}
		rest = t.end
	}
	out.Write(raw[rest:])
	return out.Bytes(), nil
}

// challenges issues one for each place in the texts that wants one.
func (b *Binder) challenges(ctx context.Context, d ward.Device, e ward.Enrolment, raw []byte, texts []boundText) ([]string, error) {
	n := 0
	for _, t := range texts {
		for _, found := range profileVariable.FindAllStringSubmatch(t.text, -1) {
			if found[1] == networkChallenge {
				n++
			}
		}
	}
	if n == 0 {
		return nil, nil
	}
	if b.Outside != nil {
		return slices.Repeat([]string{b.Outside.challenge}, n), nil
	}
	sum := sha256.Sum256(raw)
	return b.Challenges.Issue(ctx, credential.ChallengeGrant{Purpose: credential.ForNetwork, Device: d.ID, Enrolment: e.ID, Profile: hex.EncodeToString(sum[:])}, n)
}

var profileVariable = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

// boundText is a text of a string in a property list that holds a variable.
type boundText struct {
	start, end int // of its bytes
	text       string
}

// boundTexts finds the texts with variables in the strings of a property list. Keys,
// comments and attributes are none.
func boundTexts(raw []byte) (texts []boundText, err error) {
	dec := xml.NewDecoder(bytes.NewReader(raw))
	inString := false
	for {
		start := int(dec.InputOffset())
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return texts, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			inString = t.Name.Local == "string"
		case xml.EndElement:
			inString = false
		case xml.CharData:
			if inString && profileVariable.Match(t) {
				texts = append(texts, boundText{start, int(dec.InputOffset()), string(t)})
			}
		}
	}
}
