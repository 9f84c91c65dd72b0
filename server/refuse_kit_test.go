package server

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/scep"
	scepx509 "github.com/smallstep/scep/x509util"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/ca"
	"golang.org/x/crypto/acme"
)

// issued counts all certificates that were ever issued to clients.
func (w *world) issued(t *testing.T) (n int) {
	t.Helper()
	counts, err := w.db.Certificates().CountCertificates(t.Context(), w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		if c.Kind != ca.KindServer {
			n += c.Valid + c.Expired + c.Revoked
		}
	}
	return n
}

// repels checks that a deed is answered by what its protocol says, gets no certificate, and
// leaves these entries about the device in the audit log, however often it is repeated.
func (w *world) repels(t *testing.T, name, subject, want string, audited []string, deed func() string) {
	t.Helper()
	before, had := w.issued(t), w.refusals(t, subject)
	for range 3 {
		if got := deed(); got != want {
			t.Errorf("%s: answered %q, want %q", name, got, want)
		}
	}
	if n := w.issued(t); n != before {
		t.Errorf("%s: %d certificates were issued", name, n-before)
	}
	all := append(had, audited...)
	slices.Sort(all)
	if diff := cmp.Diff(all, w.refusals(t, subject)); diff != "" {
		t.Errorf("%s: audit mismatch (-want +got):\n%s", name, diff)
	}
}

// anyhow is a client that trusts whatever server it finds, whatever the time is there.
func (w *world) anyhow(t *testing.T) *http.Client {
	t.Helper()
	rt := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(rt.CloseIdleConnections)
	return &http.Client{Transport: rt, Timeout: time.Minute}
}

// sends posts a body and returns the status and what was answered.
func sends(t *testing.T, client *http.Client, url, mime string, body []byte) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mime)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, b
}

// bySCEP asks for a certificate by SCEP and returns the fail info, or "issued".
func (w *world) bySCEP(t *testing.T, client *http.Client, challenge string, key *rsa.PrivateKey) string {
	t.Helper()
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
	m, err := scep.NewCSRRequest(csr, &scep.PKIMessage{
		MessageType: scep.PKCSReq, Recipients: []*x509.Certificate{w.Authority.Issuer()}, SignerKey: sharedKey(t), SignerCert: selfSigned(t, sharedKey(t)),
	})
	if err != nil {
		t.Fatal(err)
	}
	status, b := sends(t, client, w.URL()+"/scep?operation=PKIOperation", "application/x-pki-message", m.Raw)
	got, err := scep.ParsePKIMessage(b, scep.WithCACerts([]*x509.Certificate{w.Authority.Issuer()}))
	if err != nil {
		t.Fatalf("answer %d %q: %v", status, b, err)
	}
	if got.PKIStatus == scep.SUCCESS {
		return "issued"
	}
	return got.FailInfo.String()
}

// byToken exchanges an app's token and returns the status.
func (w *world) byToken(t *testing.T, client *http.Client, token string, key crypto.Signer) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{"token": token, "csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))})
	if err != nil {
		t.Fatal(err)
	}
	status, _ := sends(t, client, w.URL()+"/app/v1/certificate", "application/json", body)
	return fmt.Sprint(status)
}

// acmeClient is a client of the directory of a challenge.
func (w *world) acmeClient(t *testing.T, client *http.Client, challenge string) *acme.Client {
	t.Helper()
	return &acme.Client{
		Key: ecdsaKey(t), DirectoryURL: w.Authority.DirectoryURL(challenge, ca.FormatApple), HTTPClient: client,
		RetryBackoff: func(int, *http.Request, *http.Response) time.Duration { return -1 },
	}
}

// byACME opens an account by ACME, and returns the problem.
func (w *world) byACME(t *testing.T, client *http.Client, challenge string) string {
	t.Helper()
	_, err := w.acmeClient(t, client, challenge).Register(t.Context(), new(acme.Account), acme.AcceptTOS)
	return acmeProblem(err)
}

// acmeProblem returns the last part of the problem that an ACME server named.
func acmeProblem(err error) string {
	if e, ok := errors.AsType[*acme.AuthorizationError](err); ok && len(e.Errors) > 0 {
		err = e.Errors[0]
	}
	if e, ok := errors.AsType[*acme.OrderError](err); ok && e.Problem != nil {
		err = e.Problem
	}
	if e, ok := errors.AsType[*acme.Error](err); ok {
		return e.ProblemType[strings.LastIndexByte(e.ProblemType, ':')+1:]
	}
	return fmt.Sprint(err)
}

func ecdsaKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func weakKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // the server must refuse it
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// attestsNow orders and answers with an attestation that is valid for an hour by the real
// clock, and returns the problem.
func attestsNow(t *testing.T, c *acme.Client, f foundry, serial string) string {
	t.Helper()
	if _, err := c.Register(t.Context(), new(acme.Account), acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	o, err := c.AuthorizeOrder(t.Context(), []acme.AuthzID{{Type: "permanent-identifier", Value: serial}})
	if err != nil {
		t.Fatal(err)
	}
	az, err := c.GetAuthorization(t.Context(), o.AuthzURLs[0])
	if err != nil {
		t.Fatal(err)
	}
	ch := az.Challenges[0]
	e := f.Enclave()
	key, err := e.NewKey(256)
	if err != nil {
		t.Fatal(err)
	}
	nonce := sha256.Sum256([]byte(ch.Token))
	object, err := e.Attest(key, virtual.Claims{Serial: serial, UDID: "U", OSVersion: "26.1", Nonce: nonce[:], NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if ch.Payload, err = json.Marshal(map[string]string{"attObj": base64.RawURLEncoding.EncodeToString(object)}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Accept(t.Context(), ch)
	if err == nil {
		err = got.Error
	}
	return acmeProblem(err)
}
