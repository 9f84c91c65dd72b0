package server

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
)

// rootOf makes a self-signed certificate, of an authority or not.
func rootOf(t *testing.T, authority bool) *x509.Certificate {
	t.Helper()
	key := sharedKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Hospital CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		BasicConstraintsValid: true, IsCA: authority, KeyUsage: x509.KeyUsageCertSign,
	}
	if !authority {
		tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestConfigOutsideSCEP: each mistake names its field, all at once, and tells no secret.
func TestConfigOutsideSCEP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, []byte(text))
		return path
	}
	root, leaf := pemFile(t, rootOf(t, true)), pemFile(t, rootOf(t, false))
	challenge, two, empty := file("challenge", "hunter2\n"), file("two", "hunter2\nhunter3\n"), file("empty", "\n")
	header, naked := file("header", "Authorization: Bearer hunter2\n"), file("naked", "hunter2\n")
	const good = "url: 'https://ca.example/scep', "
	for _, tt := range []struct {
		name, text, more string
		want             []string // fields after ca.outside_scep.
	}{
		{name: "nothing"},
		{name: "whole", text: good + "name: a, for: [identity, networks], challenge_file: " + challenge + ", roots: [" + root + "]"},
		{name: "a service", text: good + "for: [identity], challenge_url: 'https://ca.example/c', challenge_header_file: " + header + ", roots: [" + root + "]"},
		{name: "networks alone", text: good + "for: [networks], challenge_file: " + challenge},
		{name: "left", text: "roots: [" + root + "], intermediates: [" + root + "]"},
		{name: "no address", text: "for: [identity], roots: [" + root + "]", want: []string{"url"}},
		{
			name: "everything wrong", text: "url: 'http://ca.example', for: [apps], challenge_file: " + two + ", challenge_url: 'http://x', challenge_header_file: " + naked + ", roots: [" + leaf + "], intermediates: [/nowhere]",
			want: []string{"roots", "intermediates", "url", "for[0]", "challenge_file", "challenge_url", "challenge_header_file"},
		},
		{name: "nothing said", text: good + "name: a", want: []string{"for", "challenge_file"}},
		{name: "no roots", text: good + "for: [identity], challenge_file: " + challenge, want: []string{"roots"}},
		{name: "an empty challenge", text: good + "for: [networks], challenge_file: " + empty, want: []string{"challenge_file"}},
		{name: "no file", text: good + "for: [networks], challenge_file: /nowhere", want: []string{"challenge_file"}},
		{name: "a header for nothing", text: good + "for: [networks], challenge_file: " + challenge + ", challenge_header_file: " + header, want: []string{"challenge_header_file"}},
		{name: "networks by a service", text: good + "for: [networks], challenge_url: 'https://ca.example/c'", want: []string{"for"}},
		{name: "no certificate", text: good + "for: [networks], challenge_file: " + challenge + ", roots: [" + naked + "]", want: []string{"roots"}},
		{name: "attestation required", text: good + "for: [identity], challenge_file: " + challenge + ", roots: [" + root + "]", more: "enrolment: {attestation: required}", want: []string{"for"}},
		{name: "required, and networks only", text: good + "for: [networks], challenge_file: " + challenge, more: "enrolment: {attestation: required}"},
		{name: "adopting too", text: good + "for: [identity], challenge_file: " + challenge + ", roots: [" + root + "]", more: "mdm: {device_authorities: [" + root + "]}", want: []string{"roots"}},
	} {
		c, err := LoadConfig(writeConfig(t, fmt.Sprintf("public_url: https://mdm.example.org\ntls: {mode: self-made}\nca: {outside_scep: {%s}}\n%s\n", tt.text, tt.more)))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var got []string
		if e, ok := errors.AsType[*ward.Error](c.Check()); ok {
			for _, d := range e.Details {
				field, _, _ := strings.Cut(d, ": ")
				got = append(got, strings.TrimPrefix(field, "ca.outside_scep."))
				if strings.Contains(d, "hunter2") {
					t.Errorf("%s: a secret is told: %s", tt.name, d)
				}
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: fields mismatch (-want +got)\n%s", tt.name, diff)
		}
	}
}
