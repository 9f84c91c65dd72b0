package ca_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	stepapi "github.com/smallstep/certificates/api"
	stepauth "github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
	casapi "github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
	stepdb "github.com/smallstep/certificates/db"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.step.sm/crypto/jose"
	"go.step.sm/crypto/x509util"
)

// outsideTemplate is the one of docs/certificates.md, which a test compares.
const outsideTemplate = `{
  "subject": {"commonName": {{ toJson .Token.sub }}},
  "sans": {{ toJson .SANs }},
  "keyUsage": ["digitalSignature"],
  "extKeyUsage": ["clientAuth"]
}`

// stepServer is step-ca itself, its authority and its API, on loopback.
type stepServer struct {
	url, fingerprint string
	key, password    string // files
	root             *x509.Certificate
	auth             atomic.Pointer[stepauth.Authority]
	database         stepdb.AuthDB
	remake           func(t *testing.T, template string, issuer *x509.Certificate, key crypto.Signer)
	anotherIssuer    func(t *testing.T) (*x509.Certificate, crypto.Signer)
	gone             atomic.Bool
}

func newStepServer(t *testing.T, template string) *stepServer {
	t.Helper()
	s := new(stepServer)
	dir := t.TempDir()
	rootKey := newKey(t)
	s.root = signed(t, authorityOf("Outside Root", 1), nil, rootKey.Public(), rootKey)
	s.fingerprint = ca.Hash(s.root)
	s.anotherIssuer = func(t *testing.T) (*x509.Certificate, crypto.Signer) {
		t.Helper()
		key := newKey(t)
		return signed(t, authorityOf("Outside Issuer", 0), s.root, key.Public(), rootKey), key
	}
	jwk, err := jose.GenerateJWK("EC", "P-256", "ES256", "sig", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if jwk.KeyID, err = jose.Thumbprint(jwk); err != nil {
		t.Fatal(err)
	}
	public := jwk.Public()
	s.key, s.password = filepath.Join(dir, "provisioner.jwk"), filepath.Join(dir, "password")
	sealed, err := jose.EncryptJWK(jwk, []byte("a password"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := sealed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]string{s.key: text, s.password: "a password\n"} {
		if err := os.WriteFile(name, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s.database, err = stepdb.New(&stepdb.Config{Type: "bbolt", DataSource: filepath.Join(dir, "step.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.database.Shutdown() }) //nolint:errcheck // a test's database
	s.remake = func(t *testing.T, template string, issuer *x509.Certificate, key crypto.Signer) {
		t.Helper()
		soft, err := softcas.New(t.Context(), casapi.Options{Signer: key, CertificateChain: []*x509.Certificate{issuer}})
		if err != nil {
			t.Fatal(err)
		}
		long := &provisioner.Duration{Duration: 3 * 365 * 24 * time.Hour}
		p := &provisioner.JWK{
			Type: "JWK", Name: "ward", Key: &public, EncryptedKey: text,
			Claims:  &provisioner.Claims{MaxTLSDur: long, DefaultTLSDur: &provisioner.Duration{Duration: 24 * time.Hour}},
			Options: &provisioner.Options{X509: &provisioner.X509Options{Template: template}},
		}
		auth, err := stepauth.NewEmbedded(
			stepauth.WithConfig(&config.Config{
				DNSNames:        []string{"127.0.0.1"},
				AuthorityConfig: &config.AuthConfig{Provisioners: provisioner.List{p}, DisableIssuedAtCheck: true},
			}),
			stepauth.WithX509RootCerts(s.root), stepauth.WithX509IntermediateCerts(issuer), stepauth.WithX509CAService(soft),
			stepauth.WithDatabase(s.database), stepauth.WithQuietInit())
		if err != nil {
			t.Fatal(err)
		}
		s.auth.Store(auth)
	}
	issuer, key := s.anotherIssuer(t)
	s.remake(t, template, issuer, key)
	s.serve(t)
	return s
}

// serve answers with whatever authority there is now, or breaks connections.
func (s *stepServer) serve(t *testing.T) {
	t.Helper()
	mux := chi.NewRouter()
	stepapi.Route(mux)
	srv := httptest.NewUnstartedServer(s.unprefixed(mux))
	cert, err := s.auth.Load().GetTLSCertificate()
	if err != nil {
		t.Fatal(err)
	}
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	s.url = srv.URL
}

// unprefixed serves step-ca's routes at the root and under /1.0, as it does itself.
func (s *stepServer) unprefixed(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.gone.Load() {
			panic(http.ErrAbortHandler)
		}
		ctx := stepdb.NewContext(stepauth.NewContext(r.Context(), s.auth.Load()), s.database)
		r = r.WithContext(ctx)
		if strings.HasPrefix(r.URL.Path, "/1.0/") {
			http.StripPrefix("/1.0", mux).ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func authorityOf(name string, pathLen int) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10-5*(1-pathLen), 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: pathLen, MaxPathLenZero: pathLen == 0, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// signed signs t by parent, or by itself.
func signed(t testing.TB, template, parent *x509.Certificate, key crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = template
	}
	c, err := x509util.CreateCertificate(template, parent, key, signer)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// outside returns how Ward is told of the server.
func (s *stepServer) outside() *ca.Outside {
	return &ca.Outside{URL: s.url, Fingerprint: s.fingerprint, Provisioner: "ward", KeyFile: s.key, PasswordFile: s.password}
}

func (s *stepServer) revoked(t *testing.T, cert *x509.Certificate) bool {
	t.Helper()
	ok, err := s.database.IsRevoked(cert.SerialNumber.String())
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func under(t *testing.T, db *store.DB, s *stepServer) *signing {
	t.Helper()
	f := newFixture(t, db)
	f.o.Outside = s.outside()
	var err error
	if f.Authority, err = ca.Open(t.Context(), f.o); err != nil {
		t.Fatalf("Open: %v", err)
	}
	return &signing{
		fixture: f, knows: s.revoked,
		cut: func(*testing.T) { s.gone.Store(true) }, join: func(*testing.T) { s.gone.Store(false) },
	}
}

func underOutside(t *testing.T, db *store.DB) *signing {
	t.Helper()
	return under(t, db, newStepServer(t, outsideTemplate))
}

// TestOutsideDisobeys: what the outside authority signs otherwise than asked is neither
// recorded nor left valid.
func TestOutsideDisobeys(t *testing.T) {
	t.Parallel()
	for name, template := range map[string]string{
		"no URIs":            `{"subject": {"commonName": {{ toJson .Token.sub }}}, "keyUsage": ["digitalSignature"], "extKeyUsage": ["clientAuth"]}`,
		"another URI":        `{"subject": {"commonName": {{ toJson .Token.sub }}}, "uris": ["urn:ward:device:d2"], "keyUsage": ["digitalSignature"], "extKeyUsage": ["clientAuth"]}`,
		"a host too":         `{"subject": {"commonName": {{ toJson .Token.sub }}}, "sans": {{ toJson .SANs }}, "dnsNames": ["ward.example"], "keyUsage": ["digitalSignature"], "extKeyUsage": ["clientAuth"]}`,
		"a name of no kind":  `{"subject": {"commonName": {{ toJson .Token.sub }}}, "sans": [{"type":"uri","value":"urn:ward:device:d1"},{"type":"uri","value":"urn:ward:app:uk.example.chat"},{"type":"permanentIdentifier","value":"x"}], "keyUsage": ["digitalSignature"], "extKeyUsage": ["clientAuth"]}`,
		"for servers too":    `{"subject": {"commonName": {{ toJson .Token.sub }}}, "sans": {{ toJson .SANs }}, "keyUsage": ["digitalSignature"], "extKeyUsage": ["clientAuth", "serverAuth"]}`,
		"for no clients":     `{"subject": {"commonName": {{ toJson .Token.sub }}}, "sans": {{ toJson .SANs }}, "keyUsage": ["digitalSignature"]}`,
		"another name":       `{"subject": {"commonName": "d2"}, "sans": {{ toJson .SANs }}, "keyUsage": ["digitalSignature"], "extKeyUsage": ["clientAuth"]}`,
		"may sign":           `{"subject": {"commonName": {{ toJson .Token.sub }}}, "sans": {{ toJson .SANs }}, "keyUsage": ["digitalSignature", "certSign"], "extKeyUsage": ["clientAuth"]}`,
		"critical extension": `{"subject": {"commonName": {{ toJson .Token.sub }}}, "sans": {{ toJson .SANs }}, "keyUsage": ["digitalSignature"], "extKeyUsage": ["clientAuth"], "extensions": [{"id": "1.2.3.4", "critical": true, "value": "BQA="}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := newStepServer(t, template)
			s := under(t, storetest.SQLite(t), step)
			chain, err := s.IssueApp(t.Context(), plainRequest(t, newKey(t)), appGrant, nil)
			told, ok := errors.AsType[*ward.Error](err)
			if !ok || told.Kind != ward.Unavailable || len(told.Details) == 0 {
				t.Fatalf("IssueApp = %v, %v; want kind unavailable with what differs", chain, err)
			}
			all, err := s.db.Certificates().CertificatesOfDevice(t.Context(), "d1")
			if err != nil || len(all) > 0 {
				t.Errorf("recorded: %v, %v", all, err)
			}
			if n := s.logs.FilterMessage("a certificate of the outside authority was not taken, and is revoked there").All(); len(n) != 1 {
				t.Fatalf("logged %d times that it is revoked", len(n))
			} else if serial, ok := n[0].ContextMap()["serial"].(string); !ok || !step.revoked(t, &x509.Certificate{SerialNumber: number(t, serial)}) {
				t.Errorf("certificate %v stays valid at the outside authority", serial)
			}
		})
	}
}

func number(t *testing.T, text string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		t.Fatalf("%q is no number", text)
	}
	return n
}

// TestOutsideChangesIssuer: the outside authority signs with another issuer. Ward takes it
// in, and what the old one signed stays valid.
func TestOutsideChangesIssuer(t *testing.T) {
	t.Parallel()
	step := newStepServer(t, outsideTemplate)
	s := under(t, storetest.SQLite(t), step)
	old, before := s.app(t), s.Issuer()
	issuer, key := step.anotherIssuer(t)
	step.remake(t, outsideTemplate, issuer, key)
	if _, err := s.IssueApp(t.Context(), plainRequest(t, newKey(t)), appGrant, nil); ward.KindOf(err) != ward.Unavailable {
		t.Errorf("the first request after it = %v, want kind unavailable", err)
	}
	fresh := s.app(t)
	if fresh.CheckSignatureFrom(issuer) != nil || !s.Issuer().Equal(issuer) || s.Issuer().Equal(before) {
		t.Error("the new issuer does not sign")
	}
	for _, c := range []*x509.Certificate{old, fresh} {
		s.good(t, c, "d1", "urn:ward:device:d1", "urn:ward:app:uk.example.chat")
	}
	row, err := s.Check(t.Context(), fresh)
	if err != nil || row.Issuer != 1002 {
		t.Errorf("recorded with issuer %d, want 1002: %v", row.Issuer, err)
	}
	// Ward's own issuers go on counting where they were.
	if made, err := s.Rotate(t.Context(), ca.Rotation{}); err != nil || made.Number != 2 {
		t.Errorf("Rotate = %d, %v; want issuer 2", made.Number, err)
	}
}

// TestOutsideAway: a server that has met the outside authority starts without it, and
// tells it of revocations when it is back. One that has not does not start.
func TestOutsideAway(t *testing.T) {
	t.Parallel()
	step := newStepServer(t, outsideTemplate)
	s := under(t, storetest.SQLite(t), step)
	cert := s.app(t)
	s.cut(t)
	other, err := ca.Open(t.Context(), s.o)
	if err != nil {
		t.Fatalf("Open without it: %v", err)
	}
	if _, err := other.Check(t.Context(), cert); err != nil {
		t.Errorf("Check without it: %v", err)
	}
	if _, err := other.RevokeApps(t.Context(), "d1", ca.KeyCompromise, "test"); err != nil {
		t.Fatal(err)
	}
	if err := other.RemakeCRL(t.Context()); err != nil {
		t.Errorf("RemakeCRL without it: %v", err)
	}
	if _, err := other.Check(t.Context(), cert); !errors.Is(err, ca.ErrRevoked) {
		t.Errorf("Check = %v, want ErrRevoked at once", err)
	}
	if step.revoked(t, cert) {
		t.Fatal("it was told while it was away")
	}
	s.join(t)
	if err := other.Reload(t.Context()); err != nil { // as the server does every 15 seconds
		t.Fatal(err)
	}
	if !step.revoked(t, cert) {
		t.Error("it was not told when it was back")
	}
	s.cut(t)
	if third, err := ca.Open(t.Context(), s.o); err != nil || third.RemakeCRL(t.Context()) != nil {
		t.Errorf("what was told is not remembered: %v", err)
	}
	if n := s.logs.FilterMessage("the outside authority was not told of every revocation: it will be, in a while").Len(); n != 1 {
		t.Errorf("warned %d times, want once: what was told is told again", n)
	}
	fresh := newFixture(t, storetest.SQLite(t))
	fresh.o.Outside = step.outside()
	if _, err := ca.Open(t.Context(), fresh.o); ward.KindOf(err) != ward.Unavailable {
		t.Errorf("Open of a server that never met it = %v, want kind unavailable", err)
	}
}

// TestOutsideRefuses: wrong fingerprints, keys and provisioners.
func TestOutsideRefuses(t *testing.T) {
	t.Parallel()
	step, other := newStepServer(t, outsideTemplate), newStepServer(t, outsideTemplate)
	tests := []struct {
		name string
		edit func(o *ca.Outside)
		want ward.Kind
	}{
		{"root of another", func(o *ca.Outside) { o.Fingerprint = other.fingerprint }, ward.Unavailable},
		{"wrong password", func(o *ca.Outside) { o.PasswordFile = step.key }, ward.Unavailable},
		{"no key", func(o *ca.Outside) { o.KeyFile = filepath.Join(t.TempDir(), "none") }, ward.Unavailable},
		{"unknown provisioner", func(o *ca.Outside) { o.Provisioner, o.KeyFile = "nobody", "" }, ward.Unavailable},
		{"no URL", func(o *ca.Outside) { o.URL = "http://ca.example" }, ward.Invalid},
		{"no fingerprint", func(o *ca.Outside) { o.Fingerprint = "12" }, ward.Invalid},
		{"neither key nor password", func(o *ca.Outside) { o.KeyFile, o.PasswordFile = "", "" }, ward.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, storetest.SQLite(t))
			f.o.Outside = step.outside()
			tt.edit(f.o.Outside)
			if _, err := ca.Open(t.Context(), f.o); ward.KindOf(err) != tt.want {
				t.Errorf("Open = %v, want kind %s", err, tt.want)
			}
		})
	}
	t.Run("the key of another", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, storetest.SQLite(t))
		f.o.Outside = step.outside()
		f.o.Outside.KeyFile = other.key
		a, err := ca.Open(t.Context(), f.o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.IssueApp(t.Context(), plainRequest(t, newKey(t)), appGrant, nil); ward.KindOf(err) != ward.Unavailable {
			t.Errorf("IssueApp = %v, want kind unavailable", err)
		}
	})
	t.Run("key handed out", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, storetest.SQLite(t))
		f.o.Outside = step.outside()
		f.o.Outside.KeyFile = ""
		a, err := ca.Open(t.Context(), f.o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.IssueApp(t.Context(), plainRequest(t, newKey(t)), appGrant, nil); err != nil {
			t.Errorf("IssueApp = %v", err)
		}
	})
}

// TestOutsideTemplate: the template of the guide is the one that was tested.
func TestOutsideTemplate(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "certificates.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), outsideTemplate) {
		t.Errorf("docs/certificates.md lacks the template\n%s", outsideTemplate)
	}
}
