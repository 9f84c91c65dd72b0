package virtual_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/agent/virtual"
)

func TestResolver(t *testing.T) {
	t.Parallel()
	const address = "https://dns.example.org/dns-query"
	overHTTPS := dict{"DNSProtocol": "HTTPS", "ServerURL": address, "ServerAddresses": []any{"192.0.2.53"}}
	overTLS := dict{"DNSProtocol": "TLS", "ServerName": "dns.example.org", "SupplementalMatchDomains": []any{"b.example.org", "a.example.org"}}
	for _, tc := range []struct {
		name              string
		device            *virtual.Judge
		profile, declared dict
		want              virtual.Resolver
	}{
		{
			"supervised", phoneOf("18.6", true),
			dict{"DNSSettings": overHTTPS, "ProhibitDisablement": true},
			nil,
			virtual.Resolver{Server: address, Addresses: []string{"192.0.2.53"}},
		},
		{
			"supervised, free to switch off", phoneOf("18.6", true),
			dict{"DNSSettings": overTLS},
			nil,
			virtual.Resolver{Server: "dns.example.org", Domains: []string{"a.example.org", "b.example.org"}, MaySwitchOff: true},
		},
		{
			"unsupervised: the key does nothing", phoneOf("18.6", false),
			dict{"DNSSettings": overHTTPS, "ProhibitDisablement": true},
			nil,
			virtual.Resolver{Server: address, Addresses: []string{"192.0.2.53"}, MaySwitchOff: true},
		},
		{
			"a Mac", macOf("15.6", false),
			dict{"DNSSettings": overHTTPS, "ProhibitDisablement": true},
			nil,
			virtual.Resolver{Server: address, Addresses: []string{"192.0.2.53"}},
		},
		{"before iOS 14", phoneOf("13.7", true), dict{"DNSSettings": overHTTPS}, nil, virtual.Resolver{}},
		{"a Mac's user enrolment", macOf("15.6", true), dict{"DNSSettings": overHTTPS}, nil, virtual.Resolver{}},
		{"none", phoneOf("18.6", true), nil, nil, virtual.Resolver{}},
		{
			"declared", phoneOf("27.0", true), nil,
			dict{"VisibleName": "Trust", "DNSSettings": overHTTPS, "ProhibitDisablement": true},
			virtual.Resolver{Name: "Trust", Server: address, Addresses: []string{"192.0.2.53"}, Everywhere: true},
		},
		{
			"declared, unsupervised", phoneOf("27.0", false), nil,
			dict{"VisibleName": "Trust", "DNSSettings": overHTTPS},
			virtual.Resolver{Name: "Trust", Server: address, Addresses: []string{"192.0.2.53"}, MaySwitchOff: true},
		},
		{"declared, unsupervised, with a key for supervision", phoneOf("27.0", false), nil, dict{"VisibleName": "Trust", "DNSSettings": overHTTPS, "ProhibitDisablement": true}, virtual.Resolver{}},
		{"declared before iOS 27", phoneOf("26.4", true), nil, dict{"VisibleName": "Trust", "DNSSettings": overHTTPS}, virtual.Resolver{}},
		{"declared in user enrolment", byodOf("27.0"), nil, dict{"VisibleName": "Trust", "DNSSettings": overHTTPS}, virtual.Resolver{}},
		{"declared without a name", phoneOf("27.0", true), nil, dict{"DNSSettings": overHTTPS}, virtual.Resolver{}},
		{"declared, HTTPS without an address", phoneOf("27.0", true), nil, dict{"VisibleName": "Trust", "DNSSettings": dict{"DNSProtocol": "HTTPS", "ServerName": "x"}}, virtual.Resolver{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.profile != nil {
				give(t, tc.device, "p", "com.apple.dnsSettings.managed", tc.profile)
			}
			if tc.declared != nil {
				tc.device.ApplyDeclarations(activated(t, "network.dns-settings", tc.declared), nil)
			}
			got, ok := tc.device.Resolver()
			if tc.profile != nil {
				got.Name = "" // that of the payload, which every profile of these tests has
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Resolver() mismatch (-want +got):\n%s", diff)
			}
			if ok != (tc.want.Server != "") {
				t.Errorf("Resolver() is there: %t", ok)
			}
		})
	}
}

func TestResolverThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		device *virtual.Judge
		server dict
	}{
		{"user enrolment", byodOf("18.6"), dict{"DNSProtocol": "TLS", "ServerName": "dns.example.org"}},
		{"no protocol", phoneOf("18.6", true), dict{"ServerName": "dns.example.org"}},
		{"TLS without a name", phoneOf("18.6", true), dict{"DNSProtocol": "TLS", "ServerURL": "https://dns.example.org"}},
		{"HTTPS without TLS", phoneOf("18.6", true), dict{"DNSProtocol": "HTTPS", "ServerURL": "http://dns.example.org"}},
		{"HTTPS with a name", phoneOf("18.6", true), dict{"DNSProtocol": "HTTPS", "ServerURL": "https://dns.example.org", "ServerName": "dns.example.org"}},
	} {
		if err := tc.device.InstallProfile(mobileconfig(t, "p", "com.apple.dnsSettings.managed", dict{"DNSSettings": tc.server})); err == nil {
			t.Errorf("%s: the device took it", tc.name)
		}
	}
}
