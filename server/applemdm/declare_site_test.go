package applemdm_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/micromdm/nanolib/log"
	"github.com/micromdm/plist"
	"github.com/smallstep/pkcs7"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// site is a server of the protocol on a real database, with an authority of its own.
type site struct {
	db     *store.DB
	url    string
	client *http.Client
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey

	mu       sync.Mutex
	set      declare.Set
	profiles map[string][]byte
	wrong    error // what the parts behind fail with
	replans  int
}

// The site is every small part behind the protocol.

func (s *site) Wanted(context.Context, ward.EnrolmentID) (declare.Set, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set, s.wrong
}

func (s *site) Profile(_ context.Context, _ ward.EnrolmentID, hash string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.profiles[hash]; ok || s.wrong != nil {
		return p, s.wrong
	}
	return nil, ward.Errorf(ward.NotFound, "No such profile.")
}

func (s *site) Bind(ctx context.Context, d ward.Device, e ward.Enrolment, raw []byte) ([]byte, error) {
	if ward.ActorFrom(ctx).Device != d.ID {
		return nil, errors.New("somebody else acts")
	}
	return bytes.ReplaceAll(raw, []byte("{{device.id}}"), []byte(string(d.ID)+" by "+e.Channel)), nil
}

func (s *site) Use(_ context.Context, id, _ string) (fleet.Invitation, error) {
	return fleet.Invitation{ID: id, Rights: ward.RightsFor(ward.Corporate)}, nil
}

func (s *site) Invitation(_ context.Context, cert *x509.Certificate) (string, error) {
	return "inv-" + applemdm.Hash(cert), nil
}
func (s *site) Enrolled(context.Context, ward.Enrolment) error   { return nil }
func (s *site) CheckedOut(context.Context, ward.Enrolment) error { return nil }
func (s *site) Answered(context.Context, ward.Enrolment, command.Record, bool, reconcile.Told) error {
	return nil
}

func (s *site) Attested(context.Context, string) (fleet.Attested, error) {
	return fleet.Attested{}, nil
}

type binding struct{ *site }

func (binding) Bind(context.Context, string, ward.DeviceID, ward.EnrolmentID) error { return nil }

func (s *site) want(items ...declare.Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = declare.Set{Items: items}
}

func (s *site) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = err
}

func (s *site) replanned() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replans
}

func open(t *testing.T, db *store.DB, offered bool) *site {
	t.Helper()
	s := &site{db: db, profiles: map[string][]byte{}}
	ts := httptest.NewUnstartedServer(nil)
	s.url = "https://" + ts.Listener.Addr().String()
	now := func() time.Time { return time.Now().UTC() }
	n := 0
	o := applemdm.Options{
		Store: db.Fleet(), Storage: db.MDM(), Certificates: binding{s}, Events: s, Now: now,
		Admitter: &fleet.Admitter{Store: db.Fleet(), Invitations: s, Now: now, NewDevice: func() ward.DeviceID { n++; return ward.DeviceID(fmt.Sprint("dev_", n)) }},
		Replan:   func(context.Context, ward.DeviceID) error { return nil },
	}
	if offered {
		var err error
		o.Declarations, err = declare.New(declare.Options{
			Wanted: s, Binder: s, Fleet: db.Fleet(), Reports: db.Declarations(), ServerURL: s.url, Key: bytes.Repeat([]byte{9}, 32), Now: now,
			Replan: func(context.Context, ward.DeviceID) error {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.replans++
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.authority(t)
	roots := x509.NewCertPool()
	roots.AddCert(s.ca)
	svc := applemdm.New(o)
	mux := http.NewServeMux()
	mux.Handle("/mdm", svc.Handler(applemdm.HandlerOptions{Roots: roots, Log: log.NopLogger, Now: now}))
	mux.Handle(applemdm.DeclaredPattern, svc.Declared(log.NopLogger))
	ts.Config.Handler = mux
	ts.StartTLS()
	t.Cleanup(ts.Close)
	s.client = ts.Client()
	return s
}

func (s *site) authority(t *testing.T) {
	t.Helper()
	var err error
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	s.ca = s.sign(t, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, &s.key.PublicKey)
}

func (s *site) sign(t *testing.T, c *x509.Certificate, key *ecdsa.PublicKey) *x509.Certificate {
	t.Helper()
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := s.ca
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, s.key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// device speaks the protocol message by message, each one signed.
type device struct {
	s    *site
	udid string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (s *site) device(t *testing.T, udid string) device {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := s.sign(t, &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: udid}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, &key.PublicKey)
	return device{s, udid, c, key}
}

// enrolled returns a device that is.
func (s *site) enrolled(t *testing.T, udid string) (device, ward.Enrolment) {
	t.Helper()
	d := s.device(t, udid)
	d.authenticate(t)
	if code, _ := d.checkin(t, "TokenUpdate", map[string]any{"Token": bytes.Repeat([]byte{7}, 32), "PushMagic": "magic"}); code != http.StatusOK {
		t.Fatalf("TokenUpdate was answered %d", code)
	}
	e, err := s.db.Fleet().Latest(t.Context(), udid)
	if err != nil {
		t.Fatal(err)
	}
	return d, e
}

func (d device) authenticate(t *testing.T) {
	t.Helper()
	if code, _ := d.checkin(t, "Authenticate", map[string]any{"SerialNumber": "SN-" + d.udid, "ProductName": "iPhone15,4", "OSVersion": "18.6"}); code != http.StatusOK {
		t.Fatalf("Authenticate was answered %d", code)
	}
}

func (d device) checkin(t *testing.T, kind string, more map[string]any) (int, []byte) {
	t.Helper()
	m := map[string]any{"MessageType": kind, "UDID": d.udid, "Topic": "com.apple.mgmt.test"}
	maps.Copy(m, more)
	body, err := plist.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	sd, err := pkcs7.NewSignedData(body)
	if err != nil {
		t.Fatal(err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(d.cert, d.key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	sd.Detach()
	der, err := sd.Finish()
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, d.s.url+"/mdm", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-apple-aspen-mdm-checkin")
	req.Header.Set("Mdm-Signature", base64.StdEncoding.EncodeToString(der))
	code, _, answer := d.s.do(t, req)
	return code, answer
}

func (s *site) do(t *testing.T, req *http.Request) (int, http.Header, []byte) {
	t.Helper()
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, b
}

// ask asks an endpoint of declarative management.
func (d device) ask(t *testing.T, endpoint string, data []byte) (int, []byte) {
	t.Helper()
	m := map[string]any{"Endpoint": endpoint}
	if data != nil {
		m["Data"] = data
	}
	return d.checkin(t, "DeclarativeManagement", m)
}

// read asks and decodes the answer.
func (d device) read(t *testing.T, endpoint string) (v map[string]any) {
	t.Helper()
	code, b := d.ask(t, endpoint, nil)
	if code != http.StatusOK {
		t.Fatalf("%s was answered %d %s", endpoint, code, b)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s was answered %s: %v", endpoint, b, err)
	}
	return v
}
