package applemdm

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/nanolib/log"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/smallstep/pkcs7"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/server/reconcile"
)

// authorityKey makes a root that signs the certificates of a test.
type authorityKey struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

func newAuthorityKey(t *testing.T, name string) authorityKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-9, 0, 0), NotAfter: now.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return authorityKey{c, key}
}

// leaf returns a client's certificate, for the authority's own key, valid until then.
func (a authorityKey) leaf(t *testing.T, until time.Time) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(until.Unix()), Subject: pkix.Name{CommonName: "device"}, NotBefore: until.AddDate(-2, 0, 0), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (a authorityKey) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// TestVerifyLate: of certificates that have ended, those of Ward's own authority are let in
// for as long as the configuration says.
func TestVerifyLate(t *testing.T) {
	t.Parallel()
	own, adopted, stranger := newAuthorityKey(t, "own"), newAuthorityKey(t, "adopted"), newAuthorityKey(t, "stranger")
	roots := own.pool()
	roots.AddCert(adopted.cert)
	const day = 24 * time.Hour
	clock := now
	o := HandlerOptions{Roots: roots, Late: 400 * day, LateRoots: own.pool(), Log: log.NopLogger, Now: func() time.Time { return clock }}
	v := newChainVerifier(o)
	o.Late = 0
	never := newChainVerifier(o)
	for _, tc := range []struct {
		name  string
		by    authorityKey
		until time.Time
		want  bool // with 400 days
		valid bool // with none
	}{
		{"valid", own, now.Add(day), true, true},
		{"in its last second", own, now, true, true},
		{"ended a second ago", own, now.Add(-time.Second), true, false},
		{"ended 399 days ago", own, now.Add(-399 * day), true, false},
		{"ended 400 days ago", own, now.Add(-400 * day), false, false},
		{"ended years ago", own, now.Add(-2000 * day), false, false},
		{"another authority's", adopted, now.Add(day), true, true},
		{"another authority's, ended", adopted, now.Add(-time.Second), false, false},
		{"nobody's, ended", stranger, now.Add(-time.Second), false, false},
		{"not yet valid", own, now.AddDate(2, 0, 1), false, false},
	} {
		c := tc.by.leaf(t, tc.until)
		for range 2 { // the second answer is from memory
			if err := v.Verify(t.Context(), c); (err == nil) != tc.want {
				t.Errorf("%s: Verify() = %v, want it let in: %v", tc.name, err, tc.want)
			}
			if err := never.Verify(t.Context(), c); (err == nil) != tc.valid {
				t.Errorf("%s, none being late: Verify() = %v, want it let in: %v", tc.name, err, tc.valid)
			}
		}
	}
	c := own.leaf(t, now.Add(day))
	for _, tc := range []struct {
		at   time.Time
		want bool
	}{{now, true}, {now.Add(2 * day), true}, {now.Add(400 * day), true}, {now.Add(402 * day), false}, {now, true}} {
		if clock = tc.at; (v.Verify(t.Context(), c) == nil) != tc.want {
			t.Errorf("at %s it is let in: %v, want %v", clock, !tc.want, tc.want)
		}
	}
}

// TestLateSignature: a signature by a certificate that has ended is as good as another, and
// nothing else about it is overlooked.
func TestLateSignature(t *testing.T) {
	t.Parallel()
	a := newAuthorityKey(t, "own")
	sign := func(c *x509.Certificate, key *rsa.PrivateKey, body string) string {
		sd, err := pkcs7.NewSignedData([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := sd.AddSigner(c, key, pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
		sd.Detach()
		der, err := sd.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(der)
	}
	// The library signs with the machine's time.
	ended, valid, young := a.leaf(t, time.Now().AddDate(-1, 0, 0)), a.leaf(t, time.Now().AddDate(1, 0, 0)), a.leaf(t, time.Now().AddDate(3, 0, 0))
	other := newAuthorityKey(t, "other")
	for _, tc := range []struct {
		name, header string
		want         *x509.Certificate
	}{
		{"valid", sign(valid, a.key, "body"), valid},
		{"ended", sign(ended, a.key, "body"), ended},
		{"ended, over something else", sign(ended, a.key, "bodY"), nil},
		{"ended, by another key", sign(ended, other.key, "body"), nil},
		{"not yet valid", sign(young, a.key, "body"), nil},
		{"no signature", "AAAA", nil},
		{"no base64", "*", nil},
	} {
		got, err := verifySignature(tc.header, []byte("body"))
		if (err == nil) != (tc.want != nil) || (tc.want != nil && (!got.Equal(tc.want) || !got.NotAfter.Equal(tc.want.NotAfter))) {
			t.Errorf("%s: verifySignature() = %v, %v; want %v", tc.name, got, err, tc.want)
		}
	}
}

// TestCompileRenewal: the renewal is the installation of the enrolment profile.
func TestCompileRenewal(t *testing.T) {
	t.Parallel()
	tokens := 0
	c := compiler(&tokens)
	c.Renewal = nil
	s := reconcile.Step{Key: "identity", Deed: reconcile.RenewIdentity}
	if _, _, err := c.Compile(t.Context(), s, device, enrol, "UUID-1"); err == nil {
		t.Error("a renewal was made of nothing")
	}
	c.Renewal = func(_ context.Context, d ward.Device, e ward.Enrolment) ([]byte, error) {
		return []byte(managementPayload + string(d.ID) + string(e.ID)), nil
	}
	requestType, body, err := c.Compile(t.Context(), s, device, enrol, "UUID-1")
	if err != nil || requestType != "InstallProfile" {
		t.Fatalf("Compile() = %s, %v", requestType, err)
	}
	cmd := &mdm.Command{CommandUUID: "UUID-1", Raw: body}
	cmd.Command.RequestType = requestType
	signs := &Service{sign: func(_ context.Context, profile []byte) ([]byte, error) {
		return append([]byte("signed "), profile...), nil
	}}
	out, err := signs.signed(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	got, err := agent.ParseCommand(out.Raw)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"RequestType": "InstallProfile", "Payload": []byte("signed " + managementPayload + "d1e1")}
	if diff := cmp.Diff(want, got.Payload); diff != "" || got.UUID != "UUID-1" {
		t.Errorf("the command %s that is delivered (-want +got):\n%s", got.UUID, diff)
	}
	if string(cmd.Raw) != string(body) {
		t.Error("the command in the queue was changed")
	}
}

// TestSigned: only an enrolment profile is signed, and what can't be is an error.
func TestSigned(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	s := &Service{sign: func(context.Context, []byte) ([]byte, error) { return nil, boom }}
	command := func(requestType, payload string) *mdm.Command {
		c := &mdm.Command{CommandUUID: "U", Raw: answerOf(t, map[string]any{"CommandUUID": "U", "Command": map[string]any{"RequestType": requestType, "Payload": []byte(payload)}})}
		c.Command.RequestType = requestType
		return c
	}
	for _, c := range []*mdm.Command{nil, command("InstallProfile", "<string>com.apple.wifi.managed</string>"), command("DeviceLock", managementPayload)} {
		if got, err := s.signed(t.Context(), c); err != nil || got != c {
			t.Errorf("signed(%+v) = %+v, %v; want it as it is", c, got, err)
		}
	}
	erasure := func(back map[string]any) *mdm.Command {
		c := &mdm.Command{CommandUUID: "U", Raw: answerOf(t, map[string]any{"CommandUUID": "U", "Command": map[string]any{"RequestType": "EraseDevice", "ReturnToService": back}})}
		c.Command.RequestType = "EraseDevice"
		return c
	}
	stays := erasure(map[string]any{"Enabled": true})
	if got, err := s.signed(t.Context(), stays); err != nil || got != stays {
		t.Errorf("an erase without a profile: %+v, %v; want it as it is", got, err)
	}
	if _, err := s.signed(t.Context(), erasure(map[string]any{"Enabled": true, "MDMProfileData": []byte(managementPayload)})); !errors.Is(err, boom) {
		t.Errorf("the way back of an erase: %v, want %v", err, boom)
	}
	signs := &Service{sign: func(_ context.Context, profile []byte) ([]byte, error) {
		return append([]byte("signed "), profile...), nil
	}}
	out, err := signs.signed(t.Context(), erasure(map[string]any{"Enabled": true, "MDMProfileData": []byte(managementPayload)}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := agent.ParseCommand(out.Raw)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"RequestType": "EraseDevice", "ReturnToService": map[string]any{"Enabled": true, "MDMProfileData": []byte("signed " + managementPayload)}}
	if diff := cmp.Diff(want, got.Payload); diff != "" {
		t.Errorf("the erase that is delivered mismatch (-want +got):\n%s", diff)
	}
	if _, err := s.signed(t.Context(), command("InstallProfile", managementPayload)); !errors.Is(err, boom) {
		t.Errorf("signed() = %v, want %v", err, boom)
	}
	broken := command("InstallProfile", "")
	broken.Raw = []byte("<plist>")
	if _, err := s.signed(t.Context(), broken); err == nil {
		t.Error("a command that can't be read was delivered")
	}
	if _, err := (&Service{}).signed(t.Context(), command("InstallProfile", managementPayload)); err != nil {
		t.Errorf("without a signer: %v, want it as it is", err)
	}
}
