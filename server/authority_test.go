package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/ca"
	"golang.org/x/crypto/ocsp"
)

// fetch gets a path of the server as a stranger.
func (w *world) fetch(t *testing.T, path string) ([]byte, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.people.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %s, %v", path, res.Status, err)
	}
	return b, res.Header
}

// status asks the responder that a certificate names for its status.
func (w *world) status(t *testing.T, cert, issuer *x509.Certificate) int {
	t.Helper()
	q, err := ocsp.CreateRequest(cert, issuer, &ocsp.RequestOptions{Hash: crypto.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(cert.OCSPServer[0], w.URL()) + "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(q))
	b, h := w.fetch(t, path)
	got, err := ocsp.ParseResponseForCert(b, cert, issuer)
	if err != nil || h.Get("Content-Type") != "application/ocsp-response" {
		t.Fatalf("the responder said %v, %v", err, h)
	}
	return got.Status
}

// certificates lists a device's certificates as the API does.
func (w *world) certificates(t *testing.T, query string) []api.IssuedCertificate {
	t.Helper()
	var l api.List[api.IssuedCertificate]
	if code := w.call(t, http.MethodGet, "/ca/certificates?"+query, nil, &l); code != http.StatusOK {
		t.Fatalf("list of certificates = %d", code)
	}
	return l.Items
}

// TestRotateWhileRunning: a phone enrolled before the authority has a new issuer and one
// enrolled after it are both managed, by what different issuers signed.
func TestRotateWhileRunning(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	before := w.phone(t, "BEFORE", nil)
	first := w.enrol(t, before, ward.Corporate)
	old := w.Authority.Issuer()

	k, err := OpenConsole(t.Context(), w.config.Data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	made, err := k.Rotate(k.Context(t.Context()), ca.Rotation{From: w.now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Authority.Reload(t.Context()); err != nil { // as the server does every 15 seconds
		t.Fatal(err)
	}
	if now := w.Authority.Issuer(); now.Equal(old) || !now.Equal(made.Certificate) || now.Subject.Organization[0] != "Test Hospital" {
		t.Fatalf("the running server signs by %s", now.Subject)
	}
	after := w.phone(t, "AFTER", nil)
	second := w.enrol(t, after, ward.Corporate)
	w.on(t, before)
	w.on(t, after)
	for id, issuer := range map[ward.DeviceID]*x509.Certificate{first: old, second: made.Certificate} {
		if err := w.Devices.Refresh(w.ctx, id); err != nil {
			t.Fatal(err)
		}
		all := w.certificates(t, "kind=device&device="+string(id))
		if len(all) != 1 || all[0].Issuer != issuer.Subject.String() || !all[0].Manages || all[0].RevokedAt != nil {
			t.Errorf("certificates of %s = %+v, want one from %s that manages it", id, all, issuer.Subject)
		}
	}
	if n := w.audited(t, ca.ActionRotated); n != 1 {
		t.Errorf("the new issuer stands in the audit log %d times", n)
	}
	var v api.AuthorityStatus
	if code := w.call(t, http.MethodGet, "/ca", nil, &v); code != http.StatusOK || len(v.Lists) != 2 {
		t.Fatalf("status = %d, %+v", code, v)
	}
	names := map[string]bool{}
	for _, c := range v.Certificates {
		names[c.Name] = c.Signs
	}
	if signs, ok := names["issuer 2"]; !ok || !signs || names["issuer"] || len(names) != 6 {
		t.Errorf("watched = %v, want root, two issuers of which the second signs, server, device and push topic", names)
	}
	if l, h := w.fetch(t, ca.CRLPath+"/2"); len(l) == 0 || h.Get("Content-Type") != "application/pkix-crl" {
		t.Errorf("the list of the second issuer: %d bytes, %v", len(l), h)
	}
}

// TestRevokeByOperator: an app's certificate is refused at once, the responder and the
// list say so; what a device is managed by is revoked only with the device.
func TestRevokeByOperator(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	d := w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-9")
	enrolWire(t, d, "SN9")
	id := w.show(t, "SN9").Device.ID
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := w.Authority.IssueApp(w.ctx, csr, ca.AppGrant{Device: id, Enrolment: w.show(t, "SN9").Enrolment.ID, App: "uk.example.chat"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	app, issuer := chain[0], chain[1]
	if got := w.status(t, app, issuer); got != ocsp.Good {
		t.Errorf("status of the new certificate = %d", got)
	}
	revoke := func(serial string, r api.CertificateRevocation) error {
		r.Serial = serial
		_, err := authority{w.Server}.Revoke(w.ctx, r)
		return err
	}
	if err := revoke(app.SerialNumber.String(), api.CertificateRevocation{Reason: "key-compromise"}); err != nil {
		t.Fatal(err)
	}
	if got := w.status(t, app, issuer); got != ocsp.Revoked {
		t.Errorf("status of the revoked certificate = %d", got)
	}
	if _, err := w.Authority.Check(w.ctx, app); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Check of it = %v", err)
	}
	identity := d.cert.SerialNumber.String()
	if err := revoke(identity, api.CertificateRevocation{Reason: "ceased", Why: "tidy up"}); ward.KindOf(err) != ward.Conflict {
		t.Errorf("revoking what the device is managed by = %v, want a Conflict", err)
	}
	if got := d.idle(t); got.status != http.StatusOK {
		t.Errorf("the device is answered %d after a refused revocation", got.status)
	}
	if err := revoke(identity, api.CertificateRevocation{Reason: "ceased", Retire: true, Why: "crushed by a bed"}); err != nil {
		t.Fatal(err)
	}
	if got := d.idle(t); got.status == http.StatusOK {
		t.Error("a retired device is still answered")
	}
	v := w.show(t, "SN9")
	if v.Device.State != ward.Unenrolled || v.Enrolment.EndReason != "retired: crushed by a bed" {
		t.Errorf("the retired device is %s, its enrolment ended: %q", v.Device.State, v.Enrolment.EndReason)
	}
	for action, want := range map[string]int{ca.ActionRevoked: 2, ca.ActionRetired: 1} {
		if n := w.audited(t, action); n != want {
			t.Errorf("%s stands in the audit log %d times, want %d", action, n, want)
		}
	}
	lists, err := authority{w.Server}.RemakeLists(w.ctx)
	if err != nil || len(lists) != 1 || lists[0].Entries != 2 {
		t.Errorf("lists = %+v, %v", lists, err)
	}
}

// TestOCSPSlashes: base64 may have two slashes in a row, and not every client escapes them.
func TestOCSPSlashes(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	issuer := w.Authority.Issuer()
	for serial := int64(1); ; serial++ {
		q, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: big.NewInt(serial<<40 | 0xfffff<<8)}, issuer, &ocsp.RequestOptions{Hash: crypto.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		text := base64.StdEncoding.EncodeToString(q)
		if !strings.Contains(text, "//") {
			continue
		}
		b, _ := w.fetch(t, "/ca/ocsp/"+text)
		got, err := ocsp.ParseResponse(b, issuer)
		if err != nil || got.Status != ocsp.Unknown {
			t.Errorf("OCSP by GET of %s = %+v, %v; want an answer that it is not known", text, got, err)
		}
		return
	}
}
