package ca_test

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/scep"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
)

const profileHash = "00ff"

// networkFixture knows the network challenges n1 and n2 of the device d1.
func networkFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, storetest.SQLite(t))
	grants := f.o.Challenges.(gate).grants
	for _, c := range []string{"n1", "n2"} {
		grants[c] = ca.Grant{Kind: ca.KindNetwork, Device: "d1", Enrolment: "e1", Profile: profileHash}
	}
	return f
}

// ask exchanges a challenge; the certificate is nil where it was refused.
func (f *fixture) ask(t *testing.T, d *device, kind scep.MessageType) *x509.Certificate {
	t.Helper()
	m := d.read(t, content(t, post(t, f.SCEP(), d.message(t, kind, f.Issuer()))), f.Issuer())
	if m.PKIStatus != scep.SUCCESS {
		return nil
	}
	return m.CertRepMessage.Certificate
}

// TestNetwork: a network challenge gets a certificate for the device, of the phone's own
// key, that proves it to networks and to nothing of the authority's other kinds.
func TestNetwork(t *testing.T) {
	t.Parallel()
	f := networkFixture(t)
	d := newDevice(t, rsaKey(), "n1")
	cert := f.ask(t, d, scep.PKCSReq)
	if cert == nil {
		t.Fatal("the challenge was refused")
	}
	if diff := cmp.Diff([]string{"urn:ward:device:d1"}, uris(cert)); diff != "" || ca.Invitation(cert) != "" {
		t.Errorf("names mismatch (-want +got)\n%s; invitation %q", diff, ca.Invitation(cert))
	}
	if cert.Subject.String() != "CN=d1,OU=network,O=Example Trust" || len(cert.DNSNames)+len(cert.EmailAddresses) != 0 || !d.key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("subject %s, hosts %v, mail %v, or another key", cert.Subject, cert.DNSNames, cert.EmailAddresses)
	}
	if diff := cmp.Diff([]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, cert.ExtKeyUsage); diff != "" || len(cert.UnknownExtKeyUsage) > 0 {
		t.Errorf("purposes mismatch (-want +got)\n%s", diff)
	}
	if want := f.clock.now().Truncate(time.Second).Add(2 * 365 * 24 * time.Hour); !cert.NotAfter.Equal(want) {
		t.Errorf("valid until %s, want %s: as long as an identity", cert.NotAfter, want)
	}
	if diff := cmp.Diff([]string{"https://ward.example:8443/ca/crl"}, cert.CRLDistributionPoints); diff != "" {
		t.Errorf("CRL distribution point mismatch (-want +got)\n%s", diff)
	}
	got, err := f.Check(t.Context(), cert)
	if err != nil || got.Kind != ca.KindNetwork || got.Device != "d1" || got.Enrolment != "e1" || got.App != profileHash || got.Invitation != "" {
		t.Errorf("Check = %+v, %v", got, err)
	}
	if f.ask(t, newDevice(t, rsaKey(), "n1"), scep.PKCSReq) != nil {
		t.Error("a challenge got two certificates")
	}
}

func TestNetworkLife(t *testing.T) {
	t.Parallel()
	f := networkFixture(t)
	o := f.o
	o.NetworkLife = 30 * 24 * time.Hour
	var err error
	if f.Authority, err = ca.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	cert := f.ask(t, newDevice(t, rsaKey(), "n1"), scep.PKCSReq)
	if want := f.clock.now().Truncate(time.Second).Add(o.NetworkLife); cert == nil || !cert.NotAfter.Equal(want) {
		t.Errorf("certificate %v, want one valid until %s", cert, want)
	}
}

// TestNetworkRenewal: a network certificate gets no other one, whichever way a client
// asks to renew it.
func TestNetworkRenewal(t *testing.T) {
	t.Parallel()
	f := networkFixture(t)
	cert := f.ask(t, newDevice(t, rsaKey(), "n1"), scep.PKCSReq)
	if cert == nil {
		t.Fatal("the challenge was refused")
	}
	for name, ask := range map[string]struct {
		kind      scep.MessageType
		challenge string
	}{
		"renewal":                        {scep.RenewalReq, ""},
		"renewal with a challenge":       {scep.RenewalReq, "n2"},
		"update":                         {scep.UpdateReq, ""},
		"a request signed with it":       {scep.PKCSReq, ""},
		"the challenge it was bought by": {scep.PKCSReq, "n1"},
	} {
		d := newDevice(t, rsaKey(), ask.challenge)
		d.self = cert // the message is signed with the certificate, as RFC 8894 has it for renewals
		if f.ask(t, d, ask.kind) != nil {
			t.Errorf("%s: a certificate was issued", name)
		}
	}
}

// TestNetworkRevoked: what revokes a lost device's app certificates revokes its network
// certificates, networks learn of it from the list, and the identity stays.
func TestNetworkRevoked(t *testing.T) {
	t.Parallel()
	f := networkFixture(t)
	app := issueApp(t, f, appGrant)
	network, identity := f.ask(t, newDevice(t, rsaKey(), "n1"), scep.PKCSReq), f.ask(t, newDevice(t, rsaKey(), "one"), scep.PKCSReq)
	if network == nil || identity == nil {
		t.Fatal("a challenge was refused")
	}
	serials, err := f.RevokeApps(t.Context(), "d1", ca.KeyCompromise, "case 1")
	if err != nil || len(serials) != 2 {
		t.Fatalf("RevokeApps = %v, %v; want two", serials, err)
	}
	for name, tt := range map[string]struct {
		cert *x509.Certificate
		want error
	}{"app": {app, ca.ErrRevoked}, "network": {network, ca.ErrRevoked}, "identity": {identity, nil}} {
		if _, err := f.Check(t.Context(), tt.cert); !errors.Is(err, tt.want) {
			t.Errorf("%s: Check = %v, want %v", name, err, tt.want)
		}
	}
	if err := f.RemakeCRL(t.Context()); err != nil {
		t.Fatal(err)
	}
	crl, err := f.o.Store.CRL(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(crl.DER)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, e := range list.RevokedCertificateEntries {
		listed[e.SerialNumber.String()] = true
	}
	if diff := cmp.Diff(map[string]bool{app.SerialNumber.String(): true, network.SerialNumber.String(): true}, listed); diff != "" {
		t.Errorf("revocation list mismatch (-want +got)\n%s", diff)
	}
}

// TestGrantIncomplete: a grant that lacks something of its kind, or mixes kinds, buys
// nothing and is told as a fault of the server's own.
func TestGrantIncomplete(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	grants := f.o.Challenges.(gate).grants
	for name, g := range map[string]ca.Grant{
		"nothing":                          {},
		"identity without invitation":      {CommonName: "phone"},
		"identity without a name":          {Invitation: "i"},
		"identity with a profile":          {Invitation: "i", CommonName: "phone", Profile: profileHash},
		"identity with an enrolment":       {Invitation: "i", CommonName: "phone", Enrolment: "e1"},
		"network without device":           {Kind: ca.KindNetwork, Enrolment: "e1"},
		"network without enrolment":        {Kind: ca.KindNetwork, Device: "d1"},
		"network with an invitation":       {Kind: ca.KindNetwork, Device: "d1", Enrolment: "e1", Invitation: "i"},
		"a kind that challenges don't buy": {Kind: ca.KindApp, Device: "d1", Enrolment: "e1"},
	} {
		grants["odd"] = g
		d := newDevice(t, rsaKey(), "odd")
		if res := post(t, f.SCEP(), d.message(t, scep.PKCSReq, f.Issuer())); res.StatusCode != 503 {
			t.Errorf("%s: %s, want 503", name, res.Status)
		}
	}
	for _, d := range []ward.DeviceID{"d1", ""} {
		if got, err := f.o.Store.CertificatesOfDevice(t.Context(), d); err != nil || len(got) != 0 {
			t.Errorf("the record has %d certificates (%v), want none", len(got), err)
		}
	}
}
