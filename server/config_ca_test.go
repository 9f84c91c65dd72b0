package server

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
)

// TestConfigCA: what is wrong with the authority's keys names its field, and never a PIN.
func TestConfigCA(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []string // fields
	}{
		{"nothing", "", nil},
		{"a TPM", "ca: {issuer_key: 'tpmkms:name=a'}", nil},
		{"no name", "ca: {issuer_key: 'tpmkms:'}", []string{"ca.issuer_key"}},
		{"a misspelt word", "ca: {issuer_key: 'tpmkms:name=x;devise=y'}", []string{"ca.issuer_key"}},
		{"a path", "ca: {issuer_key: 'file:/x'}", []string{"ca.issuer_key"}},
		{"a PIN", "ca: {issuer_key: 'pkcs11:token=t?pin-value=hunter2'}", []string{"ca.issuer_key"}},
		{"outside, all wrong", "ca: {outside: {url: 'http://x', fingerprint: 'y'}}", []string{"ca.outside.url", "ca.outside.fingerprint", "ca.outside.provisioner", "ca.outside.password_file"}},
		{"outside without a URL", "ca: {outside: {provisioner: ward}}", []string{"ca.outside.url"}},
		{"outside", "ca: {outside: {url: 'https://ca.example', provisioner: ward, key_file: k, fingerprint: '" + strings.Repeat("0a", 32) + "'}}", nil},
	}
	for _, tt := range tests {
		c, err := LoadConfig(writeConfig(t, "public_url: https://mdm.example.org\ntls: {mode: self-made}\n"+tt.text))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var got []string
		if e, ok := errors.AsType[*ward.Error](c.Check()); ok {
			for _, d := range e.Details {
				field, _, _ := strings.Cut(d, ": ")
				got = append(got, field)
				if strings.Contains(d, "hunter2") {
					t.Errorf("%s: the PIN is told: %s", tt.name, d)
				}
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: fields mismatch (-want +got)\n%s", tt.name, diff)
		}
	}
}
