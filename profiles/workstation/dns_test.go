package workstation

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// TestResolver: browsers ask the organisation's resolver where they can, and otherwise
// the system, and nobody can choose another one.
func TestResolver(t *testing.T) {
	t.Parallel()
	const address = "https://dns.example.org/dns-query"
	system := map[string]any{"Enabled": false, "Locked": true}
	for _, tt := range []struct {
		name            string
		dns             intent.DNS
		mode, templates any
		firefox         map[string]any
		why             string
	}{
		{
			"over HTTPS",
			intent.DNS{Name: "D", ServerURL: address, ServerName: "dns.example.org"},
			"secure", address,
			map[string]any{"Enabled": true, "Locked": true, "Fallback": false, "ProviderURL": address},
			"Chrome, Edge and Firefox ask D for all names.",
		},
		{"over TLS", intent.DNS{Name: "D", ServerName: "dns.example.org"}, "off", nil, system, "never a resolver of their own"},
		{"for some names", intent.DNS{Name: "D", ServerURL: address, Only: []string{"example.org"}}, "off", nil, system, "never a resolver of their own"},
	} {
		r := compile(t, intent.Wanted{DNS: tt.dns}, target(ward.Windows, ward.Corporate))
		docs := map[string]map[string]any{}
		for _, d := range r.Documents {
			var doc map[string]any
			if err := json.Unmarshal(d.Data, &doc); err != nil {
				t.Fatal(err)
			}
			docs[d.Name] = doc
		}
		for _, name := range []string{ChromeDocument, EdgeDocument} {
			if got := docs[name]; got["DnsOverHttpsMode"] != tt.mode || got["DnsOverHttpsTemplates"] != tt.templates {
				t.Errorf("%s: %s is %v", tt.name, name, got)
			}
		}
		want := map[string]any{"policies": map[string]any{"DNSOverHTTPS": tt.firefox}}
		if diff := cmp.Diff(want, docs[FirefoxDocument]); diff != "" {
			t.Errorf("%s: Firefox mismatch (-want +got):\n%s", tt.name, diff)
		}
		agent := agentPolicy(t, r)
		wanted := &Resolver{Name: "D", ServerURL: tt.dns.ServerURL, ServerName: tt.dns.ServerName, Only: tt.dns.Only}
		if diff := cmp.Diff(wanted, agent.Resolver); diff != "" || !slices.Contains(agent.Questions, NameServers) || !slices.IsSorted(agent.Questions) {
			t.Errorf("%s: the agent is asked %v, and its resolver mismatches (-want +got):\n%s", tt.name, agent.Questions, diff)
		}
		if o := r.Outcomes[len(r.Outcomes)-1]; o.ID != intent.UseDNS || o.Verdict != intent.Partly || !strings.Contains(o.Why, tt.why) {
			t.Errorf("%s: outcome %+v, want partly because %q", tt.name, o, tt.why)
		}
	}
}
