package enrollment

import (
	"context"
	"strings"
)

// Source is where devices get their identities by SCEP: Ward's own authority, or the SCEP
// server of somebody else.
type Source interface {
	// Ask returns what the device that installs the profile of an invitation is to ask for,
	// and where, so that the certificate can be known for that of the ticket.
	Ask(ctx context.Context, i Invitation, ticket string) (Question, error)
}

// Question is what a device asks a SCEP server.
type Question struct {
	URL       string
	Name      string       // what the server calls the authority; many look at none
	Challenge string       // the password of the request
	Subject   [][][]string // as Apple's profiles have it: a list of lists of pairs
}

// own has the device ask Ward itself, whose challenge says all: the subject is a wish only.
type own struct{ organisation, publicURL string }

var _ Source = own{}

// Ask meets Source.
func (o own) Ask(_ context.Context, i Invitation, ticket string) (Question, error) {
	return Question{
		URL: o.publicURL + "/scep", Name: "ward", Challenge: ticket,
		Subject: [][][]string{{{"O", o.organisation}}, {{"CN", i.ID}}},
	}, nil
}

// From has devices get their identities by SCEP from s, in the place of Ward's own authority.
// Call it before the first profile is made.
func (b *Profiles) From(s Source) { b.source = s }

// outsidePrefix begins the challenges that are good for certificates of another authority
// than Ward's own.
const outsidePrefix = "outside-"

// OutsideChallenge returns the challenge that a ticket stands for which a certificate of an
// outside authority carries. The ticket is no secret any more when it is shown, so Ward's own
// authority must take neither: see IsOutside.
func OutsideChallenge(ticket string) string { return outsidePrefix + ticket }

// IsOutside reports whether a challenge is good for certificates of an outside authority
// only.
func IsOutside(challenge string) bool { return strings.HasPrefix(challenge, outsidePrefix) }
