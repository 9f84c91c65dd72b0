package ca_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.uber.org/zap"
)

// TestACME has a client nobody here wrote go all the way, for each kind of certificate and
// each way in which hardware may name itself.
func TestACME(t *testing.T) {
	t.Parallel()
	phone := claim{serial: "C02SERIAL1", udid: "00008101-0001", os: "26.1"}
	network := ca.Grant{Kind: ca.KindNetwork, Device: "d1", Enrolment: "e1", Profile: "p1"}
	app := ca.Grant{Kind: ca.KindApp, Device: "d1", Enrolment: "e1", App: "uk.example.chat"}
	tests := []struct {
		name       string
		grant      ca.Grant
		identifier string
		anonymous  bool
		says       claim
		kind       ca.Kind
		uris       []string
		life       time.Duration
	}{
		{"device by serial", attested("C02SERIAL1"), "C02SERIAL1", false, phone, ca.KindDevice, []string{"urn:ward:invitation:inv-C02SERIAL1"}, 2 * 365 * 24 * time.Hour},
		{"device by UDID", attested("00008101-0001"), "00008101-0001", false, phone, ca.KindDevice, []string{"urn:ward:invitation:inv-00008101-0001"}, 2 * 365 * 24 * time.Hour},
		{"device by invitation", attested("*.inv/42"), "*.inv/42", false, phone, ca.KindDevice, []string{"urn:ward:invitation:inv-%2A.inv%2F42"}, 2 * 365 * 24 * time.Hour},
		{"device without a name", attested("inv42"), "inv42", true, claim{}, ca.KindDevice, []string{"urn:ward:invitation:inv-inv42"}, 2 * 365 * 24 * time.Hour},
		{"network", network, "C02SERIAL1", false, phone, ca.KindNetwork, []string{"urn:ward:device:d1"}, 2 * 365 * 24 * time.Hour},
		{"app", app, "C02SERIAL1", false, phone, ca.KindApp, []string{"urn:ward:device:d1", "urn:ward:app:uk.example.chat"}, 7 * 24 * time.Hour},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newACME(t, db, nil)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				challenge := strings.ReplaceAll("secret "+tt.name, " ", "-")
				tt.grant.Attestation = &ca.Attestation{Format: ca.FormatApple, Identifier: tt.identifier, Anonymous: tt.anonymous}
				f.door.grant(challenge, tt.grant)
				c := f.client(t, challenge)
				chain, err := c.enrol(tt.identifier, tt.says)
				if err != nil {
					t.Fatal(err)
				}
				cert := chain[0]
				if len(chain) != 2 || !chain[1].Equal(f.Issuer()) || !c.key.PublicKey.Equal(cert.PublicKey) {
					t.Error("the chain is not the attested key's and its issuer's")
				}
				if diff := cmp.Diff(tt.uris, uris(cert)); diff != "" || len(cert.DNSNames)+len(cert.EmailAddresses) != 0 {
					t.Errorf("names mismatch (-want +got)\n%s%v", diff, cert.DNSNames)
				}
				if cmp.Diff(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) != "" || cert.KeyUsage != x509.KeyUsageDigitalSignature {
					t.Errorf("purposes %v, %b", cert.ExtKeyUsage, cert.KeyUsage)
				}
				now := f.clock.now().Truncate(time.Second)
				if !cert.NotAfter.Equal(now.Add(tt.life)) || !cert.NotBefore.Equal(now.Add(-10*time.Minute)) {
					t.Errorf("valid from %s until %s, want %s from %s", cert.NotBefore, cert.NotAfter, tt.life, now)
				}
				got, err := f.Check(t.Context(), cert)
				want := ca.Attested{Format: ca.FormatApple, Serial: tt.says.serial, UDID: tt.says.udid, OS: tt.says.os}
				if err != nil || got.Kind != tt.kind || got.Invitation != tt.grant.Invitation || got.Device != tt.grant.Device {
					t.Errorf("Check = %+v, %v", got, err)
				}
				if diff := cmp.Diff(want, got.Attested); diff != "" {
					t.Errorf("attested mismatch (-want +got)\n%s", diff)
				}
				if f.logs.FilterMessage("acme certificate issued").FilterField(zap.String("serial", got.Serial)).Len() != 1 {
					t.Error("no line in the log for the certificate")
				}
			})
		}
		for _, line := range f.logs.All() {
			if text := line.Message + " " + cmp.Diff(nil, line.ContextMap()); strings.Contains(text, "secret") {
				t.Errorf("the log has a challenge: %s", text)
			}
		}
	})
}
