package server

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/wardmdm/ward"
	"go.yaml.in/yaml/v3"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ward.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExampleConfig: the example is what holds without a file, but for the address, and
// explains every field there is.
func TestExampleConfig(t *testing.T) {
	t.Parallel()
	got, err := LoadConfig(writeConfig(t, string(ExampleConfig())))
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.PublicURL = "https://mdm.example.org"
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the example is not the default (-default +example):\n%s", diff)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(ExampleConfig(), &doc); err != nil {
		t.Fatal(err)
	}
	var paths []string
	explained(t, doc.Content[0], "", "", &paths)
	if diff := cmp.Diff(fields(reflect.TypeFor[Config](), ""), paths, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("fields mismatch (-Config +example):\n%s", diff)
	}
}

// explained gathers the fields of a mapping, and fails for one that neither a comment of
// its own nor one of its section, above or beside it, explains.
func explained(t *testing.T, n *yaml.Node, prefix, above string, paths *[]string) {
	t.Helper()
	comment := above
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if c := key.HeadComment + value.LineComment; c != "" {
			comment = c
		}
		if comment == "" {
			t.Errorf("%s%s has no comment", prefix, key.Value)
		}
		if value.Kind == yaml.MappingNode {
			explained(t, value, prefix+key.Value+".", key.HeadComment, paths)
			continue
		}
		*paths = append(*paths, prefix+key.Value)
	}
}

// fields lists the fields of a configuration as a file names them.
func fields(typ reflect.Type, prefix string) (out []string) {
	for f := range typ.Fields() {
		switch name := f.Tag.Get("yaml"); {
		case !f.IsExported() || name == "-":
		case f.Type.Kind() == reflect.Struct:
			out = append(out, fields(f.Type, prefix+name+".")...)
		default:
			out = append(out, prefix+name)
		}
	}
	return out
}

// TestConfigMistakes: every mistake is reported at once.
func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       []string // fields that must be named, all at once
	}{
		{"nothing said", "", []string{"public_url", "tls"}},
		{"unknown and mistyped fields", "data: [a]\nlissten: x\nbrake:\n  per_person_an_hour: many\n", []string{"lissten", "public_url", "many"}},
		{
			"bad values", "data: ''\nlisten: here\npublic_url: http://h\norganisation: ' '\ntls: {mode: magic}\nca: {status_url: ftp://h}\napns: {url: 'http://x'}\nbrake: {per_person_an_hour: 0, installation_an_hour: -1}\nretention: {command_days: 0, location_days: 0, posture_days: -1}\nlog: {level: loud, format: prose}\nmdm: {proxy_certificate_header: X, trusted_proxies: []}\nenrolment: {attestation: maybe, allow_unlisted: true}\n",
			[]string{"data", "listen", "public_url", "organisation", "tls.mode", "ca.status_url", "apns.url", "brake.per_person_an_hour", "brake.installation_an_hour", "retention.command_days", "retention.location_days", "retention.posture_days", "log.level", "log.format", "mdm.proxy_certificate_header", "enrolment.attestation", "enrolment.allow_unlisted"},
		},
		{"a proxy that anybody reaches", "public_url: https://h\nlisten: 0.0.0.0:80\ntls: {mode: proxy}\nmdm: {proxy_certificate_header: X, trusted_proxies: [10.0.0.1]}\n", []string{"tls.mode", "mdm.trusted_proxies[0]"}},
		{"a URL with a path", "public_url: https://h/mdm\ntls: {mode: self-made}\n", []string{"public_url"}},
		{"no YAML", "a: b: c", []string{"YAML"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := LoadConfig(writeConfig(t, tc.text))
			if err == nil {
				err = c.Check()
			}
			e, ok := errors.AsType[*ward.Error](err)
			if !ok || e.Kind != ward.Invalid {
				t.Fatalf("error %v, want invalid", err)
			}
			for _, field := range tc.want {
				if !strings.Contains(e.Error(), field) {
					t.Errorf("%q does not name %s", e.Error(), field)
				}
			}
			if len(tc.want) > 1 && len(e.Details) != len(tc.want) && tc.name == "bad values" {
				t.Errorf("%d mistakes, want %d: %q", len(e.Details), len(tc.want), e.Details)
			}
		})
	}
	if _, err := LoadConfig(filepath.Join(t.TempDir(), "missing.yaml")); ward.KindOf(err) != ward.Invalid {
		t.Errorf("a missing file: %v, want invalid", err)
	}
}

// TestPublicURLIsForLife: the address can be changed until a device knows it.
func TestPublicURLIsForLife(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		l := listen(t)
		c := trialConfig(t, l, url)
		open := func(address string) error {
			c.PublicURL = address
			s, err := New(t.Context(), c)
			if err != nil {
				return err
			}
			return s.Close()
		}
		if err := firstOf(open("https://first.example"), open("https://second.example")); err != nil {
			t.Fatal(err)
		}
		c.PublicURL = "https://" + l.Addr().String()
		w := run(t, l, c)
		d := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-1")
		enrolWire(t, d, "SN1")
		w.stop()
		err := open("https://third.example")
		if ward.KindOf(err) != ward.Conflict || !strings.Contains(err.Error(), l.Addr().String()) {
			t.Errorf("another address with a device: %v, want a conflict that names the old one", err)
		}
		if err := open("https://" + l.Addr().String() + "/"); err != nil {
			t.Errorf("the same address: %v", err)
		}
	})
}
