package ca_test

import (
	"crypto/elliptic"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestNames: what an app's certificate may say beside its device and its app.
func TestNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	csr, _ := ecRequest(t, elliptic.P256())
	issue := func(n ca.Names) ([]string, time.Duration, string, error) {
		g := appGrant
		g.Names = n
		chain, err := f.IssueApp(t.Context(), csr, g, nil)
		if err != nil {
			return nil, 0, "", err
		}
		return uris(chain[0]), chain[0].NotAfter.Sub(f.clock.now().Truncate(time.Second)), chain[0].Subject.String(), nil
	}
	own := []string{"urn:ward:device:d1", "urn:ward:app:uk.example.chat"}
	got, life, subject, err := issue(ca.Names{})
	if err != nil || !slices.Equal(got, own) || life != 7*24*time.Hour || subject != "CN=d1,OU=app,O=Example Trust" {
		t.Errorf("no names: %v %s %s, %v", got, life, subject, err)
	}
	more := []string{"urn:example:device:1", "spiffe://example.org/device/1"}
	got, life, subject, err = issue(ca.Names{CommonName: "SN1", OrganizationalUnit: "Chat", Organization: "Trust", URIs: more, Life: 2 * time.Hour})
	if err != nil || !slices.Equal(got, slices.Concat(own, more)) || life != 2*time.Hour || subject != "CN=SN1,OU=Chat,O=Trust" {
		t.Errorf("names: %v %s %s, %v", got, life, subject, err)
	}
	for what, n := range map[string]ca.Names{
		"a name in the name of Ward":   {URIs: []string{"urn:ward:device:dev_2"}},
		"one with capitals":            {URIs: []string{"URN:Ward:device:dev_2"}},
		"a host":                       {URIs: []string{"https://chat.example.org/"}},
		"a mailbox":                    {URIs: []string{"mailto:ada@example.org"}},
		"no URI":                       {URIs: []string{"dev_2"}},
		"a urn without a name":         {URIs: []string{"urn:example"}},
		"a spiffe id with a port":      {URIs: []string{"spiffe://example.org:80/x"}},
		"a spiffe id without a domain": {URIs: []string{"spiffe:///x"}},
		"a long name":                  {URIs: []string{"urn:example:" + strings.Repeat("x", 256)}},
		"too many":                     {URIs: slices.Repeat([]string{"urn:example:x"}, 9)},
		"a long common name":           {CommonName: strings.Repeat("x", 65)},
		"a line break":                 {Organization: "a\nb"},
		"too short a life":             {Life: time.Minute},
		"too long a life":              {Life: 31 * 24 * time.Hour},
	} {
		if got, _, _, err := issue(n); ward.KindOf(err) != ward.Invalid {
			t.Errorf("%s: %v, %v; want an error of kind invalid", what, got, err)
		}
	}
}
