package appgate

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
)

// maxPassed bounds what is read of a passed certificate: ours have 1 to 2 KB.
const maxPassed = 32 << 10

const (
	pemBegin = "-----BEGIN CERTIFICATE-----"
	pemEnd   = "-----END CERTIFICATE-----"
)

// passedHash returns the SHA-256, in lower-case hexadecimal, of the client's certificate
// in the form in which a proxy passes it:
//
//   - PEM, percent-encoded or not, with its line breaks or with blanks in their place, as
//     nginx ($ssl_client_escaped_cert), Apache and HAProxy pass it
//   - base64 of the DER, as Traefik and Caddy do; of a list the first, which is the client's
//   - base64 of the DER between colons (RFC 9440, section 2.1)
//   - Hash or Cert of X-Forwarded-Client-Cert, as Envoy does, if there is one element
//   - the SHA-256 itself in hexadecimal, with colons or without
//
// The certificate is not parsed: the record holds the hashes of those that Ward issued,
// and whatever else is passed is in no record.
func passedHash(value string) (hash string, ok bool) {
	if len(value) > maxPassed {
		return "", false
	}
	value = strings.TrimSpace(value)
	if strings.Contains(value, "=\"") || strings.HasPrefix(value, "Hash=") || strings.Contains(value, ";Hash=") {
		return forwardedHash(value)
	}
	if h, ok := fingerprint(value); ok {
		return h, true
	}
	if inner, ok := strings.CutPrefix(value, ":"); ok {
		inner, ok = strings.CutSuffix(inner, ":")
		if !ok {
			return "", false
		}
		return derHash(inner)
	}
	if strings.Contains(value, "%") {
		plain, err := url.PathUnescape(value) // a plus sign is a digit of base64
		if err != nil {
			return "", false
		}
		value = strings.TrimSpace(plain)
	}
	if rest, ok := strings.CutPrefix(value, pemBegin); ok {
		value, _, ok = strings.Cut(rest, pemEnd)
		if !ok {
			return "", false
		}
		return derHash(strings.Join(strings.Fields(value), ""))
	}
	value, _, _ = strings.Cut(value, ",")
	return derHash(value)
}

// derHash hashes what is in base64, if it may be a certificate at all.
func derHash(text string) (string, bool) {
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(der) < 2 || der[0] != 0x30 { // a SEQUENCE: RFC 5280, section 4.1
		return "", false
	}
	return hashOf(der), true
}

// fingerprint reads a SHA-256 in hexadecimal.
func fingerprint(text string) (string, bool) {
	if len(text) == 3*sha256.Size-1 {
		text = strings.ReplaceAll(text, ":", "")
	}
	if len(text) != 2*sha256.Size {
		return "", false
	}
	if _, err := hex.DecodeString(text); err != nil {
		return "", false
	}
	return strings.ToLower(text), true
}

// forwardedHash reads X-Forwarded-Client-Cert. Several elements mean that somebody before
// the proxy wrote one too, and whom to believe can't be told.
// Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
func forwardedHash(value string) (hash string, ok bool) {
	for len(value) > 0 {
		key, rest, found := strings.Cut(value, "=")
		if !found {
			return "", false
		}
		var text string
		if text, value, found = forwardedValue(rest); !found {
			return "", false
		}
		var h string
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "hash":
			h, found = fingerprint(text)
		case "cert":
			h, found = passedHash(text)
		default:
			continue
		}
		if !found || ok && h != hash { // the two must be of one certificate
			return "", false
		}
		hash, ok = h, true
	}
	return hash, ok
}

// forwardedValue takes a value, quoted or not, up to the semicolon behind it. A comma
// begins another element: found is false.
func forwardedValue(s string) (text, rest string, found bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ";,")
		switch {
		case end < 0:
			return s, "", true
		case s[end] == ',':
			return "", "", false
		}
		return s[:end], s[end+1:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
			b.WriteByte(s[i])
		case '"':
			rest, more := strings.CutPrefix(s[i+1:], ";")
			return b.String(), rest, more || rest == ""
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
