package ca

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/smallstep/certificates/acme"
	acmeapi "github.com/smallstep/certificates/acme/api"
	steplog "github.com/smallstep/certificates/api/log"
	"github.com/smallstep/certificates/api/render"
	"github.com/smallstep/certificates/authority"
	"github.com/wardmdm/ward"
	"go.step.sm/crypto/jose"
	"go.uber.org/zap"
)

// maxACME is the largest ACME message read; an attestation by a TPM has some 8 KiB.
const maxACME = 64 << 10

// DirectoryURL returns the address of the ACME directory that serves one challenge, for
// hardware that attests in format, FormatApple or FormatTPM. Whoever has the address has
// the challenge: it belongs into the device's profile and nowhere else.
func (a *Authority) DirectoryURL(challenge, format string) string {
	return a.o.PublicURL + ACMEPath + "/" + url.PathEscape(challenge) + "/" + url.PathEscape(format) + "/directory"
}

// ACME serves the Automatic Certificate Management Environment (RFC 8555) below ACMEPath
// for keys that hardware attests: orders of one permanent-identifier, with the challenge
// device-attest-01 (draft-ietf-acme-device-attest). Each one-time challenge has a directory
// of its own, see DirectoryURL, and is asked for at every request. What it grants is
// certified and nothing that the request names; and it is spent only together with the
// record of the certificate. Routes, signatures of messages, and answers are the library's;
// what it keeps and what it decides is session's. Keys are not changed and certificates
// not revoked by ACME.
func (a *Authority) ACME() http.Handler {
	sealed, err := newSeal(a.o.Passphrase)
	if err != nil { // it does not happen: the length is what the hash gives
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.refuseACME("")(w, r, err)
			render.Error(w, r, acme.WrapErrorISE(err, "acme"))
		})
	}
	r, read := chi.NewRouter(), new(recent)
	r.Route(ACMEPath+"/{challenge}", func(r chi.Router) {
		r.Use(func(next http.Handler) http.Handler { return a.acmeSession(sealed, read, next) })
		acmeapi.Route(offered{r})
	})
	r.NotFound(func(w http.ResponseWriter, r *http.Request) { render.Error(w, r, errNoResource()) })
	r.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		e := errNoResource()
		e.Status = http.StatusMethodNotAllowed
		render.Error(w, r, e)
	})
	return r
}

// offered has the library's routes, but for those that are not offered.
type offered struct{ chi.Router }

// MethodFunc adds a route.
func (o offered) MethodFunc(method, pattern string, h http.HandlerFunc) {
	if strings.HasSuffix(pattern, "/"+acme.RevokeCertLinkType.String()) || strings.Contains(pattern, "/"+acme.KeyChangeLinkType.String()) {
		h = acmeapi.NotImplemented
	}
	o.Router.MethodFunc(method, pattern, h)
}

// acmeSession asks what the challenge in the address grants and has next serve the request
// for it. Without a grant nothing is answered but why.
func (a *Authority) acmeSession(sealed seal, read *recent, next http.Handler) http.Handler {
	public, _ := url.Parse(a.o.PublicURL) // it was parsed when the authority was opened
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		secret, format := addressed(r.URL.Path)
		ctx := steplog.WithErrorLogger(r.Context(), a.refuseACME(secret))
		s := &session{a: a, seal: sealed, read: read, secret: secret, hash: hashOf(secret), path: r.URL.Path}
		if err := s.begin(ctx, format); err != nil {
			render.Error(w, r.WithContext(ctx), problem(err))
			return
		}
		var err error
		if r.Body, err = readWhole(w, r); err != nil {
			render.Error(w, r.WithContext(ctx), err)
			return
		}
		// Addresses are the public ones, also behind a proxy that gives this server another name.
		r.Host = public.Host
		ctx = authority.NewContext(ctx, a.current().step)
		ctx = acme.NewDatabaseContext(ctx, s)
		ctx = acme.NewLinkerContext(ctx, linker{acme.NewLinker(public.Host, strings.TrimPrefix(ACMEPath, "/")+"/"+secret)})
		next.ServeHTTP(w, r.WithContext(ctx))
		if err := s.burnRest(ctx); err != nil {
			a.refuseACME(secret)(w, r, err)
		}
	})
}

// addressed returns what the path of a request names, /acme/{challenge}/{format}/….
func addressed(path string) (challenge, format string) {
	challenge, rest, _ := strings.Cut(strings.TrimPrefix(path, ACMEPath+"/"), "/")
	format, _, _ = strings.Cut(rest, "/")
	return challenge, format
}

// readWhole reads the message, for the library would take one that is too large for a
// fault of the server.
func readWhole(w http.ResponseWriter, r *http.Request) (io.ReadCloser, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxACME))
	if err != nil {
		e := acme.WrapError(acme.ErrorMalformedType, err, "read message")
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			e.Status = http.StatusRequestEntityTooLarge
		}
		return nil, e
	}
	return io.NopCloser(bytes.NewReader(body)), slowKey(body)
}

// slowKey refuses a message that is to be verified with a key that would be slow to verify
// with, which the library would do before it looks at the key.
func slowKey(body []byte) error {
	jws, err := jose.ParseJWS(string(body))
	if err != nil {
		return nil //nolint:nilerr // the library says in ACME's words what is wrong with it
	}
	for _, sig := range jws.Signatures {
		if jwk := sig.Protected.JSONWebKey; jwk != nil {
			if k, ok := jwk.Key.(*rsa.PublicKey); ok && k.N.BitLen() > maxRSA {
				return acme.NewError(acme.ErrorBadPublicKeyType, "an RSA key of %d bits is too large", k.N.BitLen())
			}
		}
	}
	return nil
}

// linker makes addresses, and tells a challenge that waits for its answer as it is: see
// session.GetChallenge.
type linker struct{ acme.Linker }

// LinkChallenge sets the challenge's address.
func (l linker) LinkChallenge(ctx context.Context, ch *acme.Challenge, authorization string) {
	if ch.Status == waiting {
		ch.Status = acme.StatusPending
	}
	l.Linker.LinkChallenge(ctx, ch, authorization)
}

// refuseACME logs what went wrong with a request, without its secret.
func (a *Authority) refuseACME(secret string) steplog.ErrorLogger {
	return func(_ http.ResponseWriter, r *http.Request, err error) {
		why := err.Error()
		if secret != "" {
			why = strings.NewReplacer(secret, "…", url.PathEscape(secret), "…").Replace(why)
		}
		fields := []zap.Field{zap.String("error", why), zap.String("request_id", ward.RequestID(r.Context()))}
		if e, ok := errors.AsType[*acme.Error](err); ok && e.Status < http.StatusInternalServerError {
			a.o.Log.Warn("acme request refused", append(fields, zap.Int("status", e.Status), zap.String("problem", e.Type))...)
			a.refused(r.Context(), "acme", secret, e)
			return
		}
		a.o.Log.Error("acme request failed", fields...)
	}
}

func errNoResource() *acme.Error {
	e := acme.NewError(acme.ErrorMalformedType, "no such resource")
	e.Status = http.StatusNotFound
	return e
}

// problem returns the problem document for an error of ours; one that stands for itself
// already stays. What is said is what people may read.
func problem(err error) *acme.Error {
	if e, ok := errors.AsType[*acme.Error](err); ok {
		return e
	}
	said, ok := errors.AsType[*ward.Error](err)
	if !ok {
		return acme.WrapErrorISE(err, "acme")
	}
	var e *acme.Error
	switch {
	case errors.Is(err, errManyOrders):
		e = acme.WrapError(acme.ErrorRateLimitedType, err, "acme")
	case said.Kind == ward.Invalid:
		e = acme.WrapError(acme.ErrorBadCSRType, err, "acme")
	case said.Kind == ward.Internal || said.Kind == ward.Unavailable:
		e = acme.WrapErrorISE(err, "acme")
		e.Status = http.StatusServiceUnavailable
	default: // the challenge is not, or no longer, good for it
		e = acme.WrapError(acme.ErrorUnauthorizedType, err, "acme")
	}
	e.Detail = said.Message
	return e
}
