package ca_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/go-attestation/attest"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/tpmid"
	"github.com/wardmdm/ward/agent/tpmid/tpmtest"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.step.sm/crypto/x509util"
)

// publicURL is the address in options.
const publicURL = "https://ward.example:8443"

// serveTLS serves h under publicURL, with the authority's own certificate, and returns a
// client that finds it.
func (o *tpmDesk) serveTLS(t *testing.T, h http.Handler) *http.Client {
	t.Helper()
	choose, err := o.ServerTLS(t.Context(), []string{"ward.example"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener = tls.NewListener(srv.Listener, &tls.Config{GetCertificate: choose, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: o.Pool()})
	srv.Start()
	t.Cleanup(srv.Close)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: rootOnly(o.fixture)},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// handler is what a workstation reaches, and a page that says whose certificate it sees.
func (o *tpmDesk) handler(attestation http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(ca.TPMPath+"/", attestation)
	mux.Handle(ca.ACMEPath+"/", o.ACME())
	mux.HandleFunc("GET /whoami", func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			http.Error(w, "nobody", http.StatusUnauthorized)
			return
		}
		c, err := o.Check(r.Context(), r.TLS.PeerCertificates[0])
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		json.NewEncoder(w).Encode(c) //nolint:errcheck // the client sees it
	})
	return mux
}

// whoami shows the identity to the server and returns whom it sees.
func whoami(t *testing.T, client *http.Client, id *tls.Certificate) (c ca.Certificate, status int) {
	t.Helper()
	transport := client.Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{*id}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(publicURL + "/whoami")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(&c); err != nil {
			t.Fatal(err)
		}
	}
	return c, resp.StatusCode
}

func workstation(t *testing.T, p *tpmtest.TPM, dir string, client *http.Client) *tpmid.TPM {
	t.Helper()
	w, err := tpmid.Open(t.Context(), tpmid.Options{Device: p.Socket, Dir: dir, HTTP: client})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return w
}

// TestWorkstation: a workstation gets an identity whose key is in its TPM, shows it after
// everything was switched off, gets another one in its place, and is refused when the
// first is revoked.
func TestWorkstation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := newTPMDesk(t, db, ca.TPMOptions{})
		client := o.serveTLS(t, o.handler(o.tpms.Handler()))
		p, dir := tpmtest.Bare(t), t.TempDir()
		w := workstation(t, p, dir, client)
		ek, err := w.EK(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		o.counter.allow("one", ca.FormatTPM, ek)
		o.counter.allow("two", ca.FormatTPM, ek)
		first, err := w.Enrol(t.Context(), tpmid.Order{Server: publicURL, Challenge: "one"})
		if err != nil {
			t.Fatalf("Enrol: %v", err)
		}
		c, status := whoami(t, client, first)
		want := ca.Attested{Format: ca.FormatTPM, Serial: ek}
		if diff := cmp.Diff(want, c.Attested); diff != "" || status != http.StatusOK || c.Kind != ca.KindDevice || c.Invitation != "inv-one" {
			t.Errorf("whoami = %d, %+v; attested mismatch (-want +got):\n%s", status, c, diff)
		}
		if _, err := w.Enrol(t.Context(), tpmid.Order{Server: publicURL, Challenge: "one"}); ward.KindOf(err) != ward.Forbidden {
			t.Errorf("Enrol with a used challenge: %v, want Forbidden", err)
		}
		p.Stop(t)
		p.Start(t)
		w = workstation(t, p, dir, client)
		kept, err := w.Identity(t.Context())
		if err != nil || !kept.Leaf.Equal(first.Leaf) {
			t.Fatalf("Identity() after a restart: %v", err)
		}
		second, err := w.Enrol(t.Context(), tpmid.Order{Server: publicURL, Challenge: "two"})
		if err != nil || second.Leaf.Equal(first.Leaf) {
			t.Fatalf("Enrol anew: %v", err)
		}
		if c, status := whoami(t, client, second); status != http.StatusOK || c.Invitation != "inv-two" {
			t.Errorf("whoami with the second = %d, %+v", status, c)
		}
		if ok, err := o.Revoke(t.Context(), second.Leaf.SerialNumber.String(), ca.KeyCompromise, "test"); !ok || err != nil {
			t.Fatalf("Revoke: %v, %v", ok, err)
		}
		if _, status := whoami(t, client, second); status != http.StatusForbidden {
			t.Errorf("whoami with a revoked identity = %d", status)
		}
	})
}

// TestWorkstationOfAManufacturer: a challenge that names no TPM is good for one with a
// manufacturer's certificate, to which it is bound by Permit.
func TestWorkstationOfAManufacturer(t *testing.T) {
	t.Parallel()
	v := tpmtest.NewVendor(t)
	p := v.TPM(t)
	o := newTPMDesk(t, storetest.SQLite(t), ca.TPMOptions{Roots: []*x509.Certificate{v.Root(t), v.Issuer(t)}})
	client := o.serveTLS(t, o.handler(o.tpms.Handler()))
	o.counter.allow("free", ca.FormatTPM, "inv-free")
	w := workstation(t, p, t.TempDir(), client)
	order := tpmid.Order{Server: publicURL, Challenge: "free", Identifier: "inv-free"}
	o.counter.permit = func(ca.Attested) error { return ward.Errorf(ward.Forbidden, "Not this one.") }
	if _, err := w.Enrol(t.Context(), order); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Enrol() that is not permitted: %v, want Forbidden", err)
	}
	var seen []string
	o.counter.permit = func(by ca.Attested) error {
		seen = append(seen, by.Serial)
		return nil
	}
	if _, err := w.Enrol(t.Context(), order); err != nil {
		t.Fatalf("Enrol: %v", err)
	}
	ek, err := w.EK(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range seen {
		if s != ek {
			t.Errorf("permission was asked for %s, want %s", s, ek)
		}
	}
	if _, err := workstation(t, tpmtest.Bare(t), t.TempDir(), client).Enrol(t.Context(), order); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Enrol() with a TPM that nothing vouches for: %v, want Forbidden", err)
	}
}

// forger is an attestation authority of a test, which certifies whatever a test wants.
type forger struct {
	tpmSigner
	names  []x509util.SubjectAlternativeName
	tmpl   x509.Certificate
	secret []byte
	ak     attest.AttestationParameters
}

func (f *forger) handler(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /tpm/{challenge}/attest", func(w http.ResponseWriter, r *http.Request) {
		var in tpmClaim
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
			return
		}
		ek, err := x509.ParsePKIXPublicKey(in.EK)
		if err != nil {
			t.Error(err)
			return
		}
		f.ak = attest.AttestationParameters{
			Public: in.Params.Public, CreateData: in.Params.CreateData, CreateAttestation: in.Params.CreateAttestation, CreateSignature: in.Params.CreateSignature,
		}
		p := attest.ActivationParameters{TPMVersion: attest.TPMVersion20, EK: ek, AK: f.ak}
		secret, sealed, err := p.Generate()
		if err != nil {
			t.Error(err)
			return
		}
		f.secret = secret
		json.NewEncoder(w).Encode(tpmQuestion{sealed.Credential, sealed.Secret}) //nolint:errcheck,gosec // the client sees it
	})
	mux.HandleFunc("POST /tpm/{challenge}/secret", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(tpmChain{[][]byte{f.certify(t).Raw}}) //nolint:errcheck // the client sees it
	})
	return mux
}

func (f *forger) certify(t *testing.T) *x509.Certificate {
	t.Helper()
	public, err := attest.ParseAKPublic(attest.TPMVersion20, f.ak.Public)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := f.tmpl
	var raw []asn1.RawValue
	for _, n := range f.names {
		v, err := n.RawValue()
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, v)
	}
	der, err := asn1.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: der}}
	return f.sign(t, tmpl, public.Public)
}

// TestForgedAttestationKeys: what the certificate of an attestation key lacks, or has too
// much of, keeps its keys from being certified.
func TestForgedAttestationKeys(t *testing.T) {
	t.Parallel()
	p := tpmtest.Bare(t)
	o := newTPMDesk(t, storetest.SQLite(t), ca.TPMOptions{})
	trusted := newTPMSigner(t, "Test Attestation CA")
	o.o.TPMRoots = []*x509.Certificate{trusted.cert}
	var err error
	if o.Authority, err = ca.Open(t.Context(), o.o); err != nil {
		t.Fatal(err)
	}
	f := new(forger)
	client := o.serveTLS(t, o.handler(f.handler(t)))
	w := workstation(t, p, t.TempDir(), client)
	ek, err := w.EK(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.counter.permit = func(by ca.Attested) error {
		if by.Serial != ek {
			return ward.Errorf(ward.Forbidden, "This challenge is for another workstation.")
		}
		return nil
	}
	named := func(id string) x509util.SubjectAlternativeName {
		return x509util.SubjectAlternativeName{Type: x509util.PermanentIdentifierType, Value: id}
	}
	hardware := x509util.SubjectAlternativeName{Type: x509util.DirectoryNameType, ASN1Value: []byte(
		`{"extraNames":[{"type":"2.23.133.2.1","value":"id:00001014"},{"type":"2.23.133.2.2","value":"swtpm"},{"type":"2.23.133.2.3","value":"1"}]}`)}
	now := o.clock.now()
	good := x509.Certificate{
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true,
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}},
	}
	with := func(change func(c *x509.Certificate)) x509.Certificate {
		c := good
		change(&c)
		return c
	}
	for i, c := range []struct {
		name  string
		by    tpmSigner
		names []x509util.SubjectAlternativeName
		tmpl  x509.Certificate
		ok    bool
	}{
		{"as it should be", trusted, []x509util.SubjectAlternativeName{named(ek), hardware}, good, true},
		{"no permanent identifier", trusted, []x509util.SubjectAlternativeName{hardware}, good, false},
		{"an empty one", trusted, []x509util.SubjectAlternativeName{named(""), hardware}, good, false},
		{"another TPM's", trusted, []x509util.SubjectAlternativeName{named("ek:00"), hardware}, good, false},
		{"two of them", trusted, []x509util.SubjectAlternativeName{named(ek), named("ek:00"), hardware}, good, false},
		{"no hardware", trusted, []x509util.SubjectAlternativeName{named(ek)}, good, false},
		{
			"another purpose", trusted,
			[]x509util.SubjectAlternativeName{named(ek), hardware},
			with(func(c *x509.Certificate) {
				c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			}), false,
		},
		{
			"expired", trusted,
			[]x509util.SubjectAlternativeName{named(ek), hardware},
			with(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), false,
		},
		{"an authority that nobody trusts", newTPMSigner(t, "Other CA"), []x509util.SubjectAlternativeName{named(ek), hardware}, good, false},
	} {
		f.tpmSigner, f.names, f.tmpl = c.by, c.names, c.tmpl
		challenge := "forged-" + string(rune('a'+i))
		o.counter.allow(challenge, ca.FormatTPM, ek)
		_, err := w.Enrol(t.Context(), tpmid.Order{Server: publicURL, Challenge: challenge})
		if c.ok {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		certs, listErr := o.db.Certificates().CertificatesOfInvitation(t.Context(), "inv-"+challenge)
		if ward.KindOf(err) != ward.Forbidden || listErr != nil || len(certs) > 0 {
			t.Errorf("%s: %v, %d certificates, %v; want Forbidden and none", c.name, err, len(certs), listErr)
		}
	}
}
