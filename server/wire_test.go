package server

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"maps"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/micromdm/plist"
	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	scepx509 "github.com/smallstep/scep/x509util"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/enrollment"
)

const (
	checkinMIME = "application/x-apple-aspen-mdm-checkin"
	commandMIME = "application/x-apple-aspen-mdm; charset=UTF-8"
)

// wire speaks Apple's protocol message by message, as no well-behaved device would.
type wire struct {
	w    *world
	udid string
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// sign returns the value of the Mdm-Signature header.
func sign(t testing.TB, body []byte, cert *x509.Certificate, key *rsa.PrivateKey) string {
	t.Helper()
	sd, err := pkcs7.NewSignedData(body)
	if err != nil {
		t.Fatal(err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(cert, key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	sd.Detach()
	der, err := sd.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// said is one answer of the server.
type said struct {
	status  int
	body    []byte
	request string // its id
}

// send sends a body as it is, with these headers.
func (w *world) send(t testing.TB, client *http.Client, body []byte, h http.Header) said {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, w.URL()+"/mdm", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return said{res.StatusCode, b, res.Header.Get("X-Request-Id")}
}

// raw sends a signed body.
func (d wire) raw(t testing.TB, mime string, body []byte) said {
	t.Helper()
	return d.w.send(t, d.w.people, body, http.Header{"Content-Type": {mime}, "Mdm-Signature": {sign(t, body, d.cert, d.key)}})
}

func encode(t testing.TB, m map[string]any) []byte {
	t.Helper()
	b, err := plist.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (d wire) checkin(t testing.TB, kind string, more map[string]any) said {
	t.Helper()
	m := map[string]any{"MessageType": kind, "UDID": d.udid, "Topic": d.topic(t)}
	maps.Copy(m, more)
	return d.raw(t, checkinMIME, encode(t, m))
}

func (d wire) topic(t testing.TB) string {
	t.Helper()
	topic, err := d.w.topic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func (d wire) authenticate(t testing.TB, serial string) said {
	t.Helper()
	return d.checkin(t, "Authenticate", map[string]any{"SerialNumber": serial, "ProductName": "iPhone15,4", "OSVersion": "18.6"})
}

func (d wire) tokenUpdate(t testing.TB) said {
	t.Helper()
	return d.checkin(t, "TokenUpdate", map[string]any{"Token": bytes.Repeat([]byte{7}, 32), "PushMagic": "magic"})
}

func (d wire) checkOut(t testing.TB) said {
	t.Helper()
	return d.checkin(t, "CheckOut", nil)
}

// report sends a status with these keys.
func (d wire) report(t testing.TB, status, uuid string, more map[string]any) said {
	t.Helper()
	m := map[string]any{"UDID": d.udid, "Status": status}
	if uuid != "" {
		m["CommandUUID"] = uuid
	}
	maps.Copy(m, more)
	return d.raw(t, commandMIME, encode(t, m))
}

func (d wire) idle(t testing.TB) said {
	t.Helper()
	return d.report(t, "Idle", "", nil)
}

// command reads the command that the server answered with; the zero one for none.
func (s said) command(t testing.TB) agent.Command {
	t.Helper()
	if len(s.body) == 0 {
		return agent.Command{}
	}
	c, err := agent.ParseCommand(s.body)
	if err != nil {
		t.Fatalf("answer %d %q: %v", s.status, s.body, err)
	}
	return c
}

// drain acknowledges what waits, with as little as a device may say, until nothing does.
func (d wire) drain(t testing.TB) (types []string) {
	t.Helper()
	c := d.idle(t).command(t)
	for c.UUID != "" {
		types = append(types, c.RequestType)
		c = d.report(t, "Acknowledged", c.UUID, nil).command(t)
	}
	return types
}

// scepOf asks the authority for an identity by a challenge. A refusal gives the fail
// info and no certificate.
func (w *world) scepOf(t testing.TB, challenge string) (*x509.Certificate, scep.FailInfo) {
	t.Helper()
	key := sharedKey(t)
	der, err := scepx509.CreateCertificateRequest(rand.Reader, &scepx509.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: "device"}}, ChallengePassword: challenge,
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	self := selfSigned(t, key)
	m, err := scep.NewCSRRequest(csr, &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: []*x509.Certificate{w.Authority.Issuer()}, SignerKey: key, SignerCert: self})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL()+"/scep?operation=PKIOperation", bytes.NewReader(m.Raw))
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.people.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := scep.ParsePKIMessage(answer, scep.WithCACerts([]*x509.Certificate{w.Authority.Issuer()}))
	if err != nil {
		t.Fatalf("answer %d %q: %v", res.StatusCode, answer, err)
	}
	if got.PKIStatus != scep.SUCCESS {
		return nil, got.FailInfo
	}
	if err := got.DecryptPKIEnvelope(self, key); err != nil {
		t.Fatal(err)
	}
	return got.CertRepMessage.Certificate, ""
}

func selfSigned(t testing.TB, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "device"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// challenge opens an invitation's link and takes the challenge out of its profile.
func (w *world) challenge(t testing.TB, token string) string {
	t.Helper()
	_, profile, err := w.Enrolment.Open(w.ctx, token, enrollment.SCEP)
	if err != nil {
		t.Fatal(err)
	}
	p, err := agent.ParseProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	_, q, err := p.MDM()
	if err != nil {
		t.Fatal(err)
	}
	s, err := agent.ParseSCEP(q)
	if err != nil {
		t.Fatal(err)
	}
	return s.Challenge
}

// identity gets a device identity by an invitation and no more.
func (w *world) identity(t testing.TB, token, udid string) wire {
	t.Helper()
	cert, fail := w.scepOf(t, w.challenge(t, token))
	if cert == nil {
		t.Fatalf("the authority refuses: %s", fail)
	}
	return wire{w, udid, cert, sharedKey(t)}
}

// mutual returns a client that shows a certificate in TLS.
func (w *world) mutual(t testing.TB, cert *x509.Certificate, key crypto.Signer) *http.Client {
	t.Helper()
	rt := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		RootCAs: w.Authority.Pool(), Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}},
	}}
	t.Cleanup(rt.CloseIdleConnections)
	return &http.Client{Transport: rt, Timeout: 30 * time.Second}
}
