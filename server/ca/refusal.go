package ca

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/smallstep/certificates/acme"
	"github.com/wardmdm/ward"
	"go.uber.org/zap"
)

// Refusal is a request for a certificate that was refused for good. Whether its challenge
// is anybody's is for whoever is told to find out.
type Refusal struct {
	// Protocol is "scep", "acme" or "tpm".
	Protocol  string
	Challenge string
	// Problem is the last part of the ACME error that is the nearest (RFC 8555 section 6.7),
	// whatever the protocol: unauthorized, badCSR, badAttestationStatement and the like.
	Problem string
	// Reason is for people. Some of it may be what the client said.
	Reason string
}

// maxReason bounds what is told of a refusal, in bytes.
const maxReason = 300

// telling are the problems that say something of who asks. The others happen to honest
// clients too: a nonce that has aged, an order that is not ready yet.
var telling = []acme.ProblemType{
	acme.ErrorUnauthorizedType, acme.ErrorBadCSRType, acme.ErrorBadAttestationStatementType, acme.ErrorRejectedIdentifierType,
	acme.ErrorBadPublicKeyType, acme.ErrorBadSignatureAlgorithmType, acme.ErrorRateLimitedType,
}

// refused tells of a request that was refused with err. Errors that are the server's own
// are not told.
func (a *Authority) refused(ctx context.Context, protocol, challenge string, err error) {
	e := problem(err)
	if a.o.Refused == nil || challenge == "" || !slices.ContainsFunc(telling, func(t acme.ProblemType) bool { return acme.NewError(t, "").Type == e.Type }) {
		return
	}
	reason := e.Detail
	if said, ok := errors.AsType[*ward.Error](err); ok {
		reason = said.Message
	}
	reason = strings.ReplaceAll(cmp.Or(reason, e.Type), challenge, "…")
	r := Refusal{
		Protocol: protocol, Challenge: challenge, Problem: e.Type[strings.LastIndexByte(e.Type, ':')+1:],
		Reason: strings.ToValidUTF8(reason[:min(len(reason), maxReason)], ""),
	}
	if err := a.o.Refused(context.WithoutCancel(ctx), r); err != nil {
		a.o.Log.Error("refusal of a certificate not recorded", zap.Error(err), zap.String("request_id", ward.RequestID(ctx)))
	}
}
