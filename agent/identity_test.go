package agent_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/pkcs7"

	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
)

// selfMade is a certificate for a key, valid for an hour around a time.
func selfMade(t *testing.T, key crypto.Signer, at time.Time) agent.Identity {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return agent.Identity{Certificate: c, Key: key}
}

// TestMessagesAreSignedByTheDevicesClock looks at the signatures of a device whose clock is
// a year ahead and whose identity is of every kind, in time and past its end.
func TestMessagesAreSignedByTheDevicesClock(t *testing.T) {
	t.Parallel()
	now := time.Now().Add(365 * 24 * time.Hour)
	rsaKey, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"RSA": rsaKey, "P-256": ecKey(t, elliptic.P256()), "P-384": ecKey(t, elliptic.P384())} {
		for _, expired := range []bool{false, true} {
			s := trialserver.New(t)
			var body, sent []byte
			s.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/mdm" {
					return false
				}
				sent, _ = base64.StdEncoding.DecodeString(r.Header.Get("Mdm-Signature"))
				body, _ = io.ReadAll(r.Body)
				w.WriteHeader(http.StatusOK)
				return true
			}
			clock := time.Now()
			c := newClient(t, s, func(cfg *agent.Config) { cfg.Now = func() time.Time { return clock } })
			enrol(t, s, c)
			at := now
			if expired {
				at = now.Add(-90 * time.Minute)
			}
			e, err := c.Enrolment()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Replace(t.Context(), e.Profile, selfMade(t, key, at), false); err != nil {
				t.Fatal(err)
			}
			clock = now
			if err := c.CheckIn(t.Context()); err != nil {
				t.Fatalf("%s, expired %v: CheckIn() = %v, want nil: the device does not judge its own identity", name, expired, err)
			}
			p7, err := pkcs7.Parse(sent)
			if err != nil {
				t.Fatal(err)
			}
			p7.Content = body
			_, late := errors.AsType[*pkcs7.SigningTimeNotValidError](p7.Verify())
			if late != expired {
				t.Errorf("%s, expired %v: Verify() = %v", name, expired, p7.Verify())
			}
			if signer := p7.GetOnlySigner(); signer == nil || signer.SerialNumber.Int64() != 7 {
				t.Errorf("%s: signer = %v, want the identity", name, signer)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func ecKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestExpiredIdentityIsShownInTLS has a device come back after its certificate ended.
func TestExpiredIdentityIsShownInTLS(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	s.SignMessage = false
	shown := make(chan *x509.Certificate, 1)
	s.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/mdm" {
			return false
		}
		shown <- r.TLS.PeerCertificates[0]
		w.WriteHeader(http.StatusOK)
		return true
	}
	c := newClient(t, s, nil)
	enrol(t, s, c)
	e, err := c.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	old := selfMade(t, ecKey(t, elliptic.P384()), time.Now().Add(-48*time.Hour))
	if err := c.Replace(t.Context(), e.Profile, old, false); err != nil {
		t.Fatal(err)
	}
	if err := c.CheckIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-shown; !got.Equal(old.Certificate) {
		t.Errorf("certificate shown ends %v, want the expired one", got.NotAfter)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestFileKeeperKeepsEveryKindOfKey(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	k, err := agent.NewFileKeeper(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, s, func(cfg *agent.Config) { cfg.Keeper = k })
	enrol(t, s, c)
	e, err := c.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	next := selfMade(t, ecKey(t, elliptic.P521()), time.Now())
	if err := c.Replace(t.Context(), e.Profile, next, false); err != nil {
		t.Fatal(err)
	}
	got, err := k.Load(t.Context())
	if err != nil || !got.Certificate.Equal(next.Certificate) || !next.Key.Public().(*ecdsa.PublicKey).Equal(got.Key.Public()) {
		t.Errorf("Load() = %v, want the identity that replaced the first", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestParseACME(t *testing.T) {
	t.Parallel()
	content := map[string]any{
		"DirectoryURL": "https://x/d", "ClientIdentifier": "SN1", "KeyType": "ECSECPrimeRandom", "KeySize": uint64(256), "HardwareBound": true, "Attest": true,
		"Subject": []any{[]any{[]any{"O", "x"}, []any{"1.2.5.3", "y"}}}, "UsageFlags": uint64(5), "ExtendedKeyUsage": []any{"1.3.6.1.5.5.7.3.2"},
		"SubjectAltName": map[string]any{"dNSName": "a.example"},
	}
	got, err := agent.ParseACME(agent.Payload{Content: content})
	if err != nil {
		t.Fatal(err)
	}
	want := agent.ACME{
		DirectoryURL: "https://x/d", ClientIdentifier: "SN1", KeyType: agent.KeyEC, KeySize: 256, HardwareBound: true, Attest: true,
		Subject: [][][]string{{{"O", "x"}, {"1.2.5.3", "y"}}}, UsageFlags: 5, ExtendedKeyUsage: []string{"1.3.6.1.5.5.7.3.2"},
		AltName: map[string]string{"dNSName": "a.example"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseACME() mismatch (-want +got):\n%s", diff)
	}
}

func FuzzParseACME(f *testing.F) {
	f.Add([]byte(`<plist><dict><key>DirectoryURL</key><string>https://x</string><key>ClientIdentifier</key><string>a</string><key>KeyType</key><string>RSA</string>` +
		`<key>KeySize</key><integer>2048</integer><key>HardwareBound</key><false/><key>Subject</key><array><array><array><string>CN</string><string>x</string></array></array></array></dict></plist>`))
	f.Add([]byte(`<plist><dict><key>Subject</key><array><array><array/></array></array><key>KeySize</key><integer>-1</integer></dict></plist>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m map[string]any
		if err := agent.DecodePlist(data, 1<<16, &m); err != nil {
			return
		}
		a, err := agent.ParseACME(agent.Payload{Content: m})
		if _, ok := errors.AsType[*agent.ProfileError](err); err != nil && !ok {
			t.Errorf("ParseACME() = %v, want a *ProfileError", err)
		}
		if err == nil && (a.DirectoryURL == "" || a.ClientIdentifier == "" || a.KeySize < 192) {
			t.Errorf("ParseACME() = %+v, which no device can use", a)
		}
	})
}
