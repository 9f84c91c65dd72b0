package main

import (
	"testing"

	"github.com/wardmdm/ward/server/api"
)

// TestAttested: by whose word a key is in hardware, in words.
func TestAttested(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]*api.Attestation{
		"not attested":                         nil,
		"attested by Apple: serial C39ABCDEFG": {By: "apple", Serial: "C39ABCDEFG"},
		"attested by Apple":                    {By: "apple"},
		"attested by a TPM: serial ek:00ff":    {By: "tpm", Serial: "ek:00ff"},
	} {
		if got := attested(api.IssuedCertificate{Attestation: a}); got != want {
			t.Errorf("attested(%+v) = %q, want %q", a, got, want)
		}
	}
}
