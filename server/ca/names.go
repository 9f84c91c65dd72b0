package ca

import (
	"cmp"
	"crypto/x509"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wardmdm/ward"
)

// Names say what an app's certificate says beside its device and its app, which it always
// names first, as urn:ward:device:… and urn:ward:app:…. The zero Names add nothing.
type Names struct {
	// CommonName, OrganizationalUnit and Organization are the subject; empty ones are the
	// device's id, "app" and the authority's organisation. At most 64 characters each.
	CommonName, OrganizationalUnit, Organization string
	// URIs are further names, of the schemes urn and spiffe. At most 8, of 255 characters.
	URIs []string
	// Life is how long the certificate is valid, an hour to 30 days; 0 means Options.AppLife.
	Life time.Duration
}

// Bounds of Names. Those of a subject's parts are of RFC 5280 appendix A.1.
const (
	mostName     = 64
	mostURI      = 255
	mostURIs     = 8
	shortestLife = time.Hour
	longestLife  = 30 * 24 * time.Hour
)

// appSubject returns what the certificate of an app on a device says. Names that it may not
// have are an error of kind Invalid.
func (a *Authority) appSubject(device ward.DeviceID, app string, n Names) (subject, error) {
	for _, part := range []string{n.CommonName, n.OrganizationalUnit, n.Organization} {
		if utf8.RuneCountInString(part) > mostName || !utf8.ValidString(part) || strings.ContainsFunc(part, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return subject{}, ward.Errorf(ward.Invalid, "A part of the subject of an app's certificate must be printable and have at most %d characters: %.100q.", mostName, part)
		}
	}
	if n.Life != 0 && (n.Life < shortestLife || n.Life > longestLife) {
		return subject{}, ward.Errorf(ward.Invalid, "An app's certificate is valid for an hour to 30 days, not %s.", n.Life)
	}
	if len(n.URIs) > mostURIs {
		return subject{}, ward.Errorf(ward.Invalid, "An app's certificate has at most %d further names, not %d.", mostURIs, len(n.URIs))
	}
	s := subject{
		name: cmp.Or(n.CommonName, string(device)), unit: cmp.Or(n.OrganizationalUnit, "app"), organisation: n.Organization,
		life: cmp.Or(n.Life, a.o.AppLife), uris: []*url.URL{urn("device", string(device)), urn("app", app)},
	}
	for _, text := range n.URIs {
		u, err := url.Parse(text)
		if err != nil || u.String() != text || len(text) > mostURI || !further(u) {
			return subject{}, ward.Errorf(ward.Invalid, "%.100q can't be a name in an app's certificate: it must be a URI that begins with urn: or spiffe://, and not with urn:ward:.", text)
		}
		s.uris = append(s.uris, u)
	}
	return s, nil
}

// further reports whether a certificate may have u beside Ward's own names: a URI that names
// no host to a TLS client, no mailbox, and nothing in the name of Ward.
func further(u *url.URL) bool {
	if strings.HasPrefix(strings.ToLower(u.String()), urnPrefix) {
		return false
	}
	switch u.Scheme {
	case "urn": // RFC 8141
		nid, nss, ok := strings.Cut(u.Opaque, ":")
		return ok && nid != "" && nss != "" && u.Fragment == "" && u.RawQuery == ""
	case "spiffe": // https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
		return u.Host != "" && u.Port() == "" && u.User == nil && u.Fragment == "" && u.RawQuery == "" && u.Opaque == ""
	}
	return false
}

// named reports whether the first name in t is one of Ward's and every other is, too, or is
// one that an app's certificate may have beside them.
func named(t *x509.Certificate) bool {
	own := func(u *url.URL) bool { return strings.HasPrefix(u.String(), urnPrefix) }
	if len(t.URIs) == 0 || !own(t.URIs[0]) {
		return false
	}
	app := slices.ContainsFunc(t.URIs, func(u *url.URL) bool { return strings.HasPrefix(u.String(), urnPrefix+"app:") })
	return !slices.ContainsFunc(t.URIs, func(u *url.URL) bool { return !own(u) && (!app || !further(u)) })
}
