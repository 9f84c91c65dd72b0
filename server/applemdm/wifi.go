package applemdm

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
)

// The payloads that the Wi-Fi profile of the way back may hold: networks, and the
// certificates by which a device gets into them.
// Source: Apple's schema, mdm/profiles/com.apple.wifi.managed.yaml and those named here.
const (
	typeWiFi   = "com.apple.wifi.managed"
	typePKCS1  = "com.apple.security.pkcs1"
	typeRoot   = "com.apple.security.root"
	typePEM    = "com.apple.security.pem"
	typePKCS12 = "com.apple.security.pkcs12"
	typeSCEP   = "com.apple.security.scep"
)

var wifiTypes = []string{typeWiFi, typePKCS1, typeRoot, typePEM, typePKCS12, typeSCEP}

// WiFiWords says what a Wi-Fi profile for the way back would do to a device, for those who
// approve it: a line for each payload, with its type, the network's name or the
// certificate's subject. Nothing in it is secret. It is a *ward.Error of kind Invalid that
// names what is wrong if such a profile may not be used: one that holds anything but Wi-Fi
// networks and certificates for them, no network, or something that can't be read.
func WiFiWords(profile []byte) ([]string, error) {
	wrong := func(format string, args ...any) *ward.Error {
		return ward.Errorf(ward.Invalid, "The Wi-Fi profile for the way back can't be used: %s.", fmt.Sprintf(format, args...))
	}
	top, err := openDict(profile)
	if err != nil {
		return nil, wrong("it must be an unsigned configuration profile").Because(err)
	}
	if why := worst(top, false); why != "" {
		return nil, wrong("it holds %s, and may neither manage nor wipe a device", why)
	}
	if t := top["PayloadType"]; t != "Configuration" {
		return nil, wrong("it is no configuration profile")
	}
	if _, ok := top["EncryptedPayloadContent"]; ok {
		return nil, wrong("it is encrypted")
	}
	content, ok := top["PayloadContent"].([]any)
	if !ok {
		return nil, wrong("it holds no payloads")
	}
	var words []string
	network := false
	for _, x := range content {
		p, ok := x.(map[string]any)
		if !ok {
			return nil, wrong("one of its payloads is none")
		}
		line, why := wifiWord(p)
		if why != "" {
			return nil, wrong("%s", why)
		}
		words, network = append(words, line...), network || p["PayloadType"] == typeWiFi
	}
	if !network {
		return nil, wrong("it holds no Wi-Fi network")
	}
	return words, nil
}

// wifiWord tells of one payload, or says why it may not be there.
func wifiWord(p map[string]any) (words []string, why string) {
	t, _ := p["PayloadType"].(string)
	if !slices.Contains(wifiTypes, t) {
		return nil, fmt.Sprintf("it holds a payload of the type %s, and may hold %s and %s only", quoted(t), strings.Join(wifiTypes[:len(wifiTypes)-1], ", "), wifiTypes[len(wifiTypes)-1])
	}
	for key, inner := range p {
		if other, nested := payloadIn(inner); nested {
			return nil, fmt.Sprintf("its payload %s holds another in %s, of the type %s", t, quoted(key), quoted(other))
		}
	}
	switch t {
	case typeWiFi:
		return network(p)
	case typePKCS12:
		return []string{fmt.Sprintf("An identity called %s, whose certificate only its password shows (%s)", called(p), t)}, ""
	case typeSCEP:
		return scep(p)
	}
	return trusted(p, t)
}

// payloadIn returns the type of a payload within a payload's values, at any depth.
func payloadIn(v any) (t string, found bool) {
	switch v := v.(type) {
	case map[string]any:
		if t, ok := v["PayloadType"]; ok {
			return fmt.Sprint(t), true
		}
		for _, inner := range v {
			if t, ok := payloadIn(inner); ok {
				return t, true
			}
		}
	case []any:
		for _, inner := range v {
			if t, ok := payloadIn(inner); ok {
				return t, true
			}
		}
	}
	return "", false
}

// network tells of a Wi-Fi network, and of a proxy, by which whoever runs it sees what the
// device does there.
func network(p map[string]any) (words []string, why string) {
	name := textOf(p, "SSID_STR")
	if name == "" {
		name = textOf(p, "DomainName") // of a Passpoint network
	}
	if name == "" {
		return nil, "one of its networks has no name"
	}
	line := "The Wi-Fi network " + quoted(name)
	if e := textOf(p, "EncryptionType"); e != "" {
		line += ", encryption " + quoted(e)
	}
	if host := textOf(p, "ProxyServer"); host != "" {
		line += ", by the proxy " + quoted(host)
	}
	if url := textOf(p, "ProxyPACURL"); url != "" {
		line += ", by the proxy that " + quoted(url) + " names"
	}
	if kind := textOf(p, "ProxyType"); kind == "Auto" && textOf(p, "ProxyPACURL") == "" {
		line += ", by the proxy that the network names"
	}
	return []string{line + " (" + typeWiFi + ")"}, ""
}

// scep tells of a certificate that the device is to ask for.
func scep(p map[string]any) (words []string, why string) {
	inner, ok := p["PayloadContent"].(map[string]any)
	if !ok || textOf(inner, "URL") == "" {
		return nil, "its payload " + typeSCEP + " names no server"
	}
	var subject []string
	names, _ := inner["Subject"].([]any)
	for _, n := range flat(names) {
		if s, ok := n.(string); ok {
			subject = append(subject, s)
		}
	}
	return []string{fmt.Sprintf("A certificate for %s from %s (%s)", quoted(strings.Join(subject, " ")), quoted(textOf(inner, "URL")), typeSCEP)}, ""
}

// flat takes lists out of lists.
func flat(all []any) (out []any) {
	for _, v := range all {
		if list, ok := v.([]any); ok {
			out = append(out, flat(list)...)
			continue
		}
		out = append(out, v)
	}
	return out
}

// trusted tells of the certificates in a payload. One that nobody can read could be anything,
// so it may not be there.
func trusted(p map[string]any, t string) (words []string, why string) {
	data, _ := p["PayloadContent"].([]byte)
	certs, err := certificatesIn(data)
	if err != nil || len(certs) == 0 {
		return nil, fmt.Sprintf("the certificate called %s in it can't be read", called(p))
	}
	for _, c := range certs {
		what := "The certificate of "
		if c.IsCA {
			what = "The certification authority "
		}
		words = append(words, fmt.Sprintf("%s%s, until %s, SHA-256 %x (%s)", what, quoted(c.Subject.String()), c.NotAfter.UTC().Format("2 January 2006"), sha256.Sum256(c.Raw), t))
	}
	return words, ""
}

func certificatesIn(data []byte) (out []*x509.Certificate, err error) {
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		return x509.ParseCertificates(data)
	}
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			if len(bytes.TrimSpace(rest)) > 0 {
				return nil, fmt.Errorf("%d bytes that are no PEM", len(rest))
			}
			return out, nil
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out, data = append(out, c), rest
	}
}

func textOf(p map[string]any, key string) string { s, _ := p[key].(string); return s }

// called is the name that a payload goes by, for want of a better one.
func called(p map[string]any) string {
	for _, key := range []string{"PayloadCertificateFileName", "PayloadDisplayName"} {
		if s := textOf(p, key); s != "" {
			return quoted(s)
		}
	}
	return quoted("")
}

// maxQuoted is how many characters of a name from outside are shown.
const maxQuoted = 200

// quoted shows a name from outside so that it can't pass for the words around it.
func quoted(s string) string {
	if r := []rune(s); len(r) > maxQuoted {
		s = string(r[:maxQuoted]) + "…"
	}
	return strconv.Quote(s)
}
