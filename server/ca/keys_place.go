package ca

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	kmsapi "go.step.sm/crypto/kms/apiv1"
	"go.step.sm/crypto/kms/uri"
)

// attributes are what the URI of a key may say and must, for step's library takes no
// notice of what it does not know, and finds out what is missing only when it signs.
type attributes struct {
	known []string
	need  [][]string // of each, one
}

// attributesOf returns those of a kind of place (RFC 7512 section 2.3 for PKCS #11, whose
// tools print more than the library looks at).
func attributesOf(kind kmsapi.Type) attributes {
	switch kind {
	case kmsapi.TPMKMS:
		return attributes{[]string{"name", "device", "storage-directory"}, [][]string{{"name"}}}
	case kmsapi.PKCS11:
		return attributes{
			[]string{"module-path", "token", "serial", "slot-id", "id", "object", "max-sessions", "pin-source", "type", "manufacturer", "model"},
			[][]string{{"module-path"}, {"token", "serial", "slot-id"}, {"id", "object"}},
		}
	case kmsapi.AmazonKMS:
		return attributes{[]string{"key-id", "region", "profile", "credentials-file"}, [][]string{{"key-id"}}}
	case kmsapi.AzureKMS:
		return attributes{[]string{"vault", "name", "version", "hsm", "environment", "aad-endpoint", "tenant-id"}, [][]string{{"vault"}, {"name"}}}
	default:
		return attributes{[]string{"resource", "credentials-file"}, [][]string{{"resource"}}}
	}
}

// checkAttributes says which words of a URI are not known and which are missing. It never
// repeats what stands after them.
func checkAttributes(p place, u *uri.URI) error {
	said := url.Values{}
	for _, some := range []url.Values{u.Values, u.Query()} {
		for k, v := range some {
			said[k] = append(said[k], v...)
		}
	}
	if p.kind == kmsapi.CloudKMS && strings.HasPrefix(u.Opaque, "projects/") {
		said = url.Values{"resource": {u.Opaque}}
		maps.Copy(said, u.Query())
	}
	a := attributesOf(p.kind)
	var wrong []string
	for k := range said {
		if !slices.Contains(a.known, k) {
			wrong = append(wrong, "There is no "+strings.ToValidUTF8(k, "?")+" in it; there may be "+strings.Join(a.known, ", ")+".")
		}
	}
	slices.Sort(wrong)
	for _, of := range a.need {
		if !slices.ContainsFunc(of, func(k string) bool { return said.Get(k) != "" }) {
			wrong = append(wrong, "It lacks "+strings.Join(of, " or ")+".")
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return ward.Errorf(ward.Invalid, "The URI of a key in %s is not right, such as %s is. %s", p.kind, p.example, strings.Join(wrong, " "))
}

// anotherName proposes where the key of the issuer after one at a place may be.
func anotherName(at string) string {
	p, u, err := parsePlace(at)
	name := ""
	if err == nil {
		name = u.Get("name")
	}
	if name == "" || p.kind != kmsapi.TPMKMS {
		return "Name another by --key or ca.issuer_key."
	}
	return "Name another, such as --key '" + strings.Replace(at, "name="+name, "name="+name+"-2", 1) + "'."
}
