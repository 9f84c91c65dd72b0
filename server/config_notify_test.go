package server

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// TestConfigNotify: each mistake names its field, all at once, and tells no secret; what has
// none makes senders.
func TestConfigNotify(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, []byte(text))
		return path
	}
	root := pemFile(t, rootOf(t, true))
	password, two := file("password", "hunter2\n"), file("two", "hunter2\nhunter3\n")
	key := file("key", "whsec_"+base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))+"\n")
	link, bare := file("link", "https://hooks.example/hunter2\n"), file("bare", "http://hooks.example/hunter2\n")
	const mail = "host: relay.example, from: Ward <ward@example.org>, to: [a@example.org]"
	for _, tt := range []struct {
		name, text   string
		want         []string // fields after notify.
		email, hooks int      // senders
	}{
		{name: "nothing", text: "{}"},
		{name: "e-mail", text: "{email: {" + mail + "}}", email: 1},
		{name: "all of e-mail", text: "{email: {" + mail + ", port: 465, tls: tls, ca: " + root + ", username: ward, password_file: " + password + "}}", email: 1},
		{name: "a relay here", text: "{email: {host: '::1', tls: none, from: a@b.c, to: [a@b.c]}}", email: 1},
		{name: "no relay", text: "{email: {to: [a@example.org]}}", want: []string{"email.host"}},
		{
			name: "everything wrong with e-mail", text: "{email: {host: 'relay:25', port: 70000, tls: maybe, ca: " + password + ", username: u, password_file: " + two + ", from: 'a@b.c, d@e.f', to: ['Ann <a@b.c>']}}",
			want: []string{"email.host", "email.port", "email.tls", "email.password_file", "email.ca", "email.from", "email.to[0]"},
		},
		{name: "nobody on call", text: "{email: {host: h, from: a@b.c}}", want: []string{"email.to"}},
		{name: "no TLS over the network", text: "{email: {" + mail + ", tls: none}}", want: []string{"email.tls"}},
		{name: "a password without TLS", text: "{email: {host: localhost, tls: none, username: u, password_file: " + password + ", from: a@b.c, to: [a@b.c]}}", want: []string{"email.username"}},
		{name: "a user without a password", text: "{email: {" + mail + ", username: u}}", want: []string{"email.password_file"}},
		{
			name: "webhooks", text: "{webhooks: [{name: duty, url: 'https://duty.example/w', secret_file: " + key + ", topics: [brake.held], ca: " + root + "}, {name: slack, url_file: " + link + ", format: slack}, {name: teams, url_file: " + link + ", format: teams}]}",
			hooks: 3,
		},
		{
			name: "everything wrong with webhooks", text: "{webhooks: [{name: A B, url_file: " + bare + ", secret_file: " + password + ", format: x, topics: [brake.held, nothing], ca: /nowhere}, {name: b, url: 'https://h', url_file: " + link + "}, {name: b, url_file: /nowhere, format: slack}]}",
			want: []string{
				"webhooks[0].name", "webhooks[0].url_file", "webhooks[0].format", "webhooks[0].secret_file", "webhooks[0].topics[1]", "webhooks[0].ca",
				"webhooks[1].url", "webhooks[1].secret_file", "webhooks[2].name", "webhooks[2].url_file",
			},
		},
		{name: "no address", text: "{webhooks: [{name: b, format: teams}]}", want: []string{"webhooks[0].url"}},
	} {
		var n Notify
		d := yaml.NewDecoder(strings.NewReader(tt.text))
		d.KnownFields(true)
		if err := d.Decode(&n); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var got []string
		n.mistakes(func(field, format string, args ...any) {
			got = append(got, strings.TrimPrefix(field, "notify."))
			if text := fmt.Sprintf(format, args...); strings.Contains(text, "hunter") {
				t.Errorf("%s: a secret is told: %s: %s", tt.name, field, text)
			}
		})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: fields mismatch (-want +got):\n%s", tt.name, diff)
		}
		email, hooks, err := n.senders("https://mdm.example.org", time.Now)
		if len(tt.want) > 0 {
			continue
		}
		if err != nil || (email != nil) != (tt.email > 0) || len(hooks) != tt.hooks {
			t.Errorf("%s: senders() = %v, %d webhooks, %v", tt.name, email, len(hooks), err)
		}
	}
}
