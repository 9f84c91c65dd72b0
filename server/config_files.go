package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/wardmdm/ward/server/web"
)

// mostLate is the largest number of days for which an identity that has ended may be let in.
const mostLate = 3650

func (m MDM) mistakes(bad func(field, format string, args ...any)) {
	if (m.ProxyHeader == "") != (len(m.TrustedProxies) == 0) {
		bad("mdm.proxy_certificate_header", "it and mdm.trusted_proxies need each other")
	}
	networkMistakes("mdm.trusted_proxies", m.TrustedProxies, bad)
	if m.LateDays < 0 || m.LateDays > mostLate {
		bad("mdm.late_days", "%d is not a number of days from 0 to %d", m.LateDays, mostLate)
	}
}

// networkMistakes reports each text of a field that is no network.
func networkMistakes(field string, texts []string, bad func(field, format string, args ...any)) {
	for i, t := range texts {
		if _, err := netip.ParsePrefix(t); err != nil {
			bad(fmt.Sprintf("%s[%d]", field, i), "%q is not a network such as 10.1.2.3/32", t)
		}
	}
}

// fileMistakes reports each file that a server would read when it starts, and could not. It
// changes nothing.
func (c *Config) fileMistakes(bad func(field, format string, args ...any)) {
	authorityMistakes("enrolment.attestation_roots", c.Enrolment.AttestationRoots, bad)
	authorityMistakes("mdm.device_authorities", c.MDM.DeviceAuthorities, bad)
	if b, err := c.logo(); err != nil {
		bad("logo", "%s", without("logo", err))
	} else if err := web.CheckLogo(b); err != nil {
		bad("logo", "%s", without("logo", err))
	}
	if _, err := c.Authorize.secret(); err != nil {
		bad("authorize.secret_file", "%s", without("authorize.secret_file", err))
	}
	if where, err := c.database(); err != nil {
		bad("database_url_file", "%s", without("database_url_file", err))
	} else if where == "" {
		bad("database_url_file", "%s is empty", c.DatabaseFile)
	}
	if c.APNs.CA != "" {
		b, err := os.ReadFile(c.APNs.CA) //nolint:gosec // the operator names it in the configuration
		switch {
		case err != nil:
			bad("apns.ca", "it can't be read: %v", err)
		case !x509.NewCertPool().AppendCertsFromPEM(b):
			bad("apns.ca", "%s holds no certificate in PEM", c.APNs.CA)
		}
	}
	if c.TLS.Mode == TLSFiles && c.TLS.Certificate != "" && c.TLS.Key != "" {
		c.pairMistakes(bad)
	}
}

// pairMistakes reports what is wrong with the files of the TLS certificate.
func (c *Config) pairMistakes(bad func(field, format string, args ...any)) {
	readable := true
	for field, path := range map[string]string{"tls.certificate": c.TLS.Certificate, "tls.key": c.TLS.Key} {
		if _, err := os.ReadFile(path); err != nil {
			bad(field, "it can't be read: %v", err)
			readable = false
		}
	}
	if !readable {
		return
	}
	if _, err := tls.LoadX509KeyPair(c.TLS.Certificate, c.TLS.Key); err != nil {
		bad("tls.certificate", "it and tls.key are no pair: %v", err)
	}
}

// authorityMistakes reports each file of a field that holds no authorities, and returns those
// of the others.
func authorityMistakes(field string, paths []string, bad func(field, format string, args ...any)) (all []*x509.Certificate) {
	for _, path := range paths {
		found, err := readAuthorities(field, []string{path})
		if err != nil {
			bad(field, "%s", without(field, err))
		}
		all = append(all, found...)
	}
	return all
}

// without is an error's text without the field that it is told of, and without its full stop.
func without(field string, err error) string {
	text := strings.TrimPrefix(err.Error(), field)
	return strings.TrimSuffix(strings.TrimLeft(text, ": "), ".")
}
