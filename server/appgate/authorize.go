package appgate

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/netip"

	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/httpd"
)

// AuthorizePath is where a proxy asks whether the holder of a certificate may come in.
const AuthorizePath = "/authorize"

// Headers of the question and of the answer.
const (
	// SecretHeader holds the secret by which a proxy may pass certificates.
	SecretHeader = "X-Ward-Secret"
	reasonHeader = "X-Ward-Reason"
	deviceHeader = "X-Ward-Device"
	appHeader    = "X-Ward-App"
	userHeader   = "X-Ward-User"
)

// AuthorizeOptions say who may ask, and how. Ask is needed.
type AuthorizeOptions struct {
	// Ask decides about the certificate whose DER has this SHA-256, in hexadecimal.
	Ask func(ctx context.Context, hash string, w authorize.Want) (authorize.Decision, error)
	// Header is the one header in which proxies pass the certificate.
	Header string
	// Secret is what a proxy must know to pass certificates. Empty: none may pass any, and
	// only clients that hold a certificate themselves are answered.
	Secret string
	// Proxies are the networks that such proxies are in. Empty: any.
	Proxies []netip.Prefix
	// User puts the e-mail address of the device's owner into the answer.
	User bool
	// Count is told every outcome; nil counts none.
	Count func(r authorize.Reason)
}

// NewAuthorize returns the handler of AuthorizePath and of what is under it. What is
// wanted stands in the path, for proxies choose it and a client can't change it:
//
//	/authorize                     the certificate of any app
//	/authorize/app/{bundle id}     that app's
//	/authorize/network             a network certificate
//
// It answers 204 with X-Ward-Device, X-Ward-App and X-Ward-User, or 403 with the reason in
// X-Ward-Reason. Whatever stands behind the last two forms is not read, and then it
// answers 200 in the place of 204: Envoy appends the path of the client's request and
// takes nothing but 200 for a yes. The method and the query are not read, a body neither.
func NewAuthorize(o AuthorizeOptions) http.Handler {
	a := &authorizer{AuthorizeOptions: o, secret: sha256.Sum256([]byte(o.Secret))}
	if a.Count == nil {
		a.Count = func(authorize.Reason) {}
	}
	mux := http.NewServeMux()
	for pattern, want := range map[string]authorize.Want{
		AuthorizePath:                {Kind: authorize.App},
		AuthorizePath + "/app/{app}": {Kind: authorize.App},
		AuthorizePath + "/network":   {Kind: authorize.Network},
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, want, http.StatusNoContent) })
		if pattern != AuthorizePath { // there a client's path could choose what is wanted
			mux.HandleFunc(pattern+"/{rest...}", func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, want, http.StatusOK) })
		}
	}
	return mux
}

type authorizer struct {
	AuthorizeOptions
	secret [sha256.Size]byte
}

func (a *authorizer) answer(w http.ResponseWriter, r *http.Request, want authorize.Want, yes int) {
	want.App = r.PathValue("app")
	d, err := a.decide(r, want)
	if err != nil {
		httpd.Note(r.Context(), err)
	}
	a.Count(d.Reason)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if d.Reason == authorize.Allowed && err == nil {
		h.Set(deviceHeader, string(d.Device))
		if d.App != "" {
			h.Set(appHeader, d.App)
		}
		if a.User && d.Email != "" {
			h.Set(userHeader, d.Email)
		}
		w.WriteHeader(yes)
		return
	}
	status := http.StatusForbidden
	if d.Reason == authorize.Failed || err != nil {
		status = http.StatusServiceUnavailable // whoever asks takes it for no, and may tell the two apart
	}
	h.Set(reasonHeader, string(d.Reason))
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(string(d.Reason) + ": " + d.Reason.Text() + "\n")) //nolint:errcheck // the client is gone, nobody is left to tell
}

// decide finds the certificate that the question is about. One in a header counts from
// those that know the secret only; it is never mixed with the certificate of the
// connection, which would be the proxy's own.
func (a *authorizer) decide(r *http.Request, want authorize.Want) (authorize.Decision, error) {
	refuse := func(reason authorize.Reason) (authorize.Decision, error) {
		return authorize.Decision{Reason: reason}, nil
	}
	passed := r.Header.Values(a.Header)
	if len(passed) == 0 && len(r.Header.Values(SecretHeader)) == 0 {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return refuse(authorize.NoCertificate)
		}
		return a.Ask(r.Context(), hashOf(r.TLS.PeerCertificates[0].Raw), want)
	}
	switch {
	case !a.trusts(r):
		return refuse(authorize.Untrusted)
	case len(passed) == 0 || len(passed) == 1 && passed[0] == "":
		return refuse(authorize.NoCertificate)
	case len(passed) > 1: // one of them is not the proxy's word
		return refuse(authorize.Unreadable)
	}
	hash, ok := passedHash(passed[0])
	if !ok {
		return refuse(authorize.Unreadable)
	}
	return a.Ask(r.Context(), hash, want)
}

func (a *authorizer) trusts(r *http.Request) bool {
	said := r.Header.Values(SecretHeader)
	if a.Secret == "" || len(said) != 1 {
		return false
	}
	if sum := sha256.Sum256([]byte(said[0])); subtle.ConstantTimeCompare(sum[:], a.secret[:]) != 1 {
		return false
	}
	if len(a.Proxies) == 0 {
		return true
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	for _, p := range a.Proxies {
		if p.Contains(from.Addr().Unmap()) {
			return true
		}
	}
	return false
}

func hashOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
