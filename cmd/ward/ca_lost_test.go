package main

import (
	"strings"
	"testing"

	"github.com/wardmdm/ward/server/api"
)

// TestStatusTellsLostKey: an issuer whose key is lost is not said to sign.
func TestStatusTellsLostKey(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	p := &printer{w: &b}
	printAuthority(p, api.AuthorityStatus{Certificates: []api.AuthorityCertificate{
		{Name: "issuer", DaysLeft: 9, KeyLost: true, Cure: "Make another."}, {Name: "issuer 2", DaysLeft: 3649, Signs: true},
	}})
	for _, want := range []string{"issuer: 9 days left, KEY LOST, signs nothing\n", "Make another.", "issuer 2: 3649 days left, signs new certificates\n"} {
		if !strings.Contains(b.String(), want) || p.err != nil {
			t.Errorf("status lacks %q, %v:\n%s", want, p.err, b.String())
		}
	}
}
