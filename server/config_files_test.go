package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/wardmdm/ward"
)

// TestConfigFiles: a check reads the files that the server would read, tells every mistake
// at once, and makes nothing.
func TestConfigFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	writeFile(t, text, []byte("hello\n"))
	empty := filepath.Join(dir, "empty")
	writeFile(t, empty, []byte("\n"))
	root := pemFile(t, rootOf(t, true))
	data := filepath.Join(dir, "data")
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"right", "enrolment: {attestation_roots: [" + root + "]}\nmdm: {device_authorities: [" + root + "], late_days: 3650}\napns: {ca: " + root + "}", nil},
		{"nowhere", "database_url_file: /nowhere\nenrolment: {attestation_roots: [/nowhere, /elsewhere]}\nmdm: {device_authorities: [/nowhere]}\nauthorize: {secret_file: /nowhere, trusted_proxies: [10.1.2.3, foo, 10.0.0.0/8]}\napns: {ca: /nowhere}\n", []string{
			"database_url_file", "enrolment.attestation_roots", "enrolment.attestation_roots", "mdm.device_authorities", "authorize.secret_file", "authorize.trusted_proxies[0]", "authorize.trusted_proxies[1]", "apns.ca",
		}},
		{"no certificates", "database_url_file: " + empty + "\nenrolment: {attestation_roots: [" + text + "]}\nauthorize: {secret_file: " + text + "}\napns: {ca: " + text + "}", []string{"database_url_file", "enrolment.attestation_roots", "authorize.secret_file", "apns.ca"}},
		{"no pair", "tls: {mode: files, certificate: " + root + ", key: " + text + "}", []string{"tls.certificate"}},
		{"no files", "tls: {mode: files, certificate: /nowhere, key: /nowhere}", []string{"tls.certificate", "tls.key"}},
		{"a long time", "mdm: {late_days: 99999}", []string{"mdm.late_days"}},
	} {
		config := fmt.Sprintf("public_url: https://mdm.example.org\ndata: %s\n%s\n", data, tt.text)
		if !strings.Contains(tt.text, "tls:") {
			config += "tls: {mode: self-made}\n"
		}
		c, err := LoadConfig(writeConfig(t, config))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var got []string
		if e, ok := errors.AsType[*ward.Error](c.Check()); ok {
			for _, d := range e.Details {
				field, _, _ := strings.Cut(d, ": ")
				got = append(got, field)
			}
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s: fields mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the check made %s: %v", data, err)
	}
}
