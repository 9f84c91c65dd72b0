package android

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/profiles/intent"
)

func TestResolver(t *testing.T) {
	t.Parallel()
	const address = "https://dns.example.org/dns-query"
	set := &privateDNS{PrivateDNSMode: "PRIVATE_DNS_SPECIFIED_HOST", PrivateDNSHost: "dns.example.org"}
	for _, tt := range []struct {
		name      string
		dns       intent.DNS
		enrolment intent.Enrolment
		version   int
		want      *privateDNS
		why       string
		network   string // what is said of blocked names
	}{
		{"fully managed", intent.DNS{Name: "D", ServerURL: address, ServerName: "dns.example.org"}, intent.FullyManaged, 10, set, "at D on every network", "ask D for them"},
		{"Android 9", intent.DNS{Name: "D", ServerName: "dns.example.org"}, intent.FullyManaged, 9, nil, "needs Android 10", "of the network that it is on"},
		{"version unknown", intent.DNS{Name: "D", ServerName: "dns.example.org"}, intent.FullyManaged, 0, nil, "not known yet", "of the network that it is on"},
		{"over HTTPS only", intent.DNS{Name: "D", ServerURL: address}, intent.FullyManaged, 16, nil, "DNS over TLS only", "of the network that it is on"},
		{"for some names", intent.DNS{Name: "D", ServerName: "dns.example.org", Only: []string{"example.org"}}, intent.FullyManaged, 16, nil, "one resolver for all names", "of the network that it is on"},
		{"with a personal side", intent.DNS{Name: "D", ServerName: "dns.example.org"}, intent.CompanyOwned, 16, nil, "choose no resolver", "of the network that it is on"},
		{"personal", intent.DNS{Name: "D", ServerName: "dns.example.org"}, intent.WorkProfile, 16, nil, "choose no resolver", "of the network that it is on"},
	} {
		r := compile(t, intent.Wanted{DNS: tt.dns, Block: intent.Block{Network: []string{"whatsapp.net"}}}, target(tt.enrolment, tt.version))
		doc := document(t, r)
		var got *privateDNS
		if doc.Connectivity != nil {
			got = doc.Connectivity.PrivateDNS
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: privateDnsSettings mismatch (-want +got):\n%s", tt.name, diff)
		}
		for id, why := range map[intent.ID]string{intent.UseDNS: tt.why, intent.BlockNetwork: tt.network} {
			i := slices.IndexFunc(r.Outcomes, func(o intent.Outcome) bool { return o.ID == id })
			if i < 0 || !strings.Contains(r.Outcomes[i].Why, why) || (r.Outcomes[i].Verdict == intent.Enforced) != (id == intent.UseDNS && tt.want != nil) {
				t.Errorf("%s: outcome for %s is %+v, want it because %q", tt.name, id, r.Outcomes[max(i, 0)], why)
			}
		}
		for _, a := range doc.Applications {
			if a.PackageName == chrome && (a.ManagedConfiguration["DnsOverHttpsMode"] == "off") != (tt.want != nil) {
				t.Errorf("%s: Chrome's configuration is %v", tt.name, a.ManagedConfiguration)
			}
		}
	}
}
