package virtual_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

// attestationRoot makes one that ends with the test.
func attestationRoot(t *testing.T) *virtual.AttestationRoot {
	t.Helper()
	r, err := virtual.NewAttestationRoot()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// acmePayload is an ACME payload of a server.
func acmePayload(s *trialserver.Server) dict {
	return dict{
		"PayloadType": "com.apple.security.acme", "PayloadVersion": 1, "PayloadIdentifier": "test.acme", "PayloadUUID": "U-2",
		"DirectoryURL": s.DirectoryURL(), "ClientIdentifier": "SN1", "KeyType": "ECSECPrimeRandom", "KeySize": 384, "HardwareBound": true, "Attest": true,
		"Subject": []any{[]any{[]any{"CN", "device"}}}, "UsageFlags": 1, "ExtendedKeyUsage": []any{"1.3.6.1.5.5.7.3.2"},
		"SubjectAltName": dict{"uniformResourceIdentifier": "urn:x:1", "ntPrincipalName": "nurse@example.org"},
	}
}

// byACME has s give its enrolments an identity by ACME; edit may change the payload.
func byACME(s *trialserver.Server, edit func(payload dict)) {
	s.Edit = func(p map[string]any) {
		q := acmePayload(s)
		if edit != nil {
			edit(q)
		}
		p["PayloadContent"].([]any)[1] = q
	}
}

// claims reads an attestation object as a server does, by the chain to root at now.
func claims(t *testing.T, object []byte, root *x509.Certificate, now time.Time) (leaf *x509.Certificate, said map[string]string) {
	t.Helper()
	var o struct {
		Format    string `cbor:"fmt"`
		Statement struct {
			Chain [][]byte `cbor:"x5c"`
		} `cbor:"attStmt"`
	}
	if err := cbor.Unmarshal(object, &o); err != nil {
		t.Fatal(err)
	}
	if o.Format != "apple" || len(o.Statement.Chain) != 2 {
		t.Fatalf("attestation of format %q with %d certificates, want apple with 2", o.Format, len(o.Statement.Chain))
	}
	leaf, err := x509.ParseCertificate(o.Statement.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(o.Statement.Chain[1])
	if err != nil {
		t.Fatal(err)
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	opts.Roots.AddCert(root)
	opts.Intermediates.AddCert(issuer)
	if _, err := leaf.Verify(opts); err != nil {
		t.Fatal(err)
	}
	said = map[string]string{}
	for _, x := range leaf.Extensions {
		if id := x.Id.String(); len(id) > 22 && id[:22] == "1.2.840.113635.100.8.9" || len(id) > 22 && id[:21] == "1.2.840.113635.100.8." {
			said[id[21:]] = string(x.Value)
		}
	}
	return leaf, said
}

func TestEnrolsByACME(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*virtual.Options)
		want   map[string]string // nil: no attestation
	}{
		{"phone", nil, map[string]string{"9.1": "SN1", "9.2": udid, "10.1": "18.6", "10.2": "18.6"}},
		{"before iOS 17.2", func(o *virtual.Options) { o.OSVersion = "16.4" }, map[string]string{"9.1": "SN1", "9.2": udid, "10.2": "16.4"}},
		{"user enrolment", func(o *virtual.Options) { o.UserEnrolment = true }, map[string]string{"10.1": "18.6", "10.2": "18.6"}},
		{"A10", func(o *virtual.Options) { o.Model = "iPhone9,1" }, nil},
		{"A10X", func(o *virtual.Options) { o.Model = "iPad7,3" }, nil},
		{"A12", func(o *virtual.Options) { o.Model = "iPad11,6" }, map[string]string{"9.1": "SN1", "9.2": udid, "10.1": "18.6", "10.2": "18.6"}},
		{"Mac", func(o *virtual.Options) { o.Platform = ward.MacOS }, map[string]string{"9.1": "SN1", "10.1": "15.6", "10.2": "15.6"}},
		{"T2", func(o *virtual.Options) { o.Platform, o.Model = ward.MacOS, "MacBookPro16,1" }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			byACME(s, nil)
			root := attestationRoot(t)
			p := enrolled(t, s, func(o *virtual.Options) {
				o.Enclave = root.Enclave()
				if tc.change != nil {
					tc.change(o)
				}
			})
			var a trialserver.Answer
			s.SawACME(func(x *trialserver.ACME) { a = x.Answers[0] })
			i, err := p.ManagementIdentity()
			if err != nil {
				t.Fatal(err)
			}
			key, ok := i.Leaf.PublicKey.(*ecdsa.PublicKey)
			if !ok || key.Params().BitSize != 384 || a.Identifier != "SN1" {
				t.Errorf("identity has a %T for %s, want P-384 for SN1", i.Leaf.PublicKey, a.Identifier)
			}
			if _, err := x509.MarshalPKCS8PrivateKey(i.PrivateKey); err == nil {
				t.Error("the key of the enclave was exported")
			}
			if tc.want == nil {
				if string(a.Object) != "{}" {
					t.Errorf("attestation = %q, want none", a.Object)
				}
				return
			}
			leaf, said := claims(t, a.Object, root.Certificate(), time.Now())
			nonce := sha256.Sum256([]byte(a.Token))
			if said["11.1"] != string(nonce[:]) || !key.Equal(leaf.PublicKey) {
				t.Errorf("attestation has nonce %x for a key of its own %v, want %x for the key of the identity", said["11.1"], leaf.PublicKey, nonce)
			}
			delete(said, "11.1")
			if p.Platform() == ward.MacOS {
				if said["9.2"] == "" || said["9.2"] == udid {
					t.Errorf("UDID of a Mac = %q, want its provisioning UDID", said["9.2"])
				}
				delete(said, "9.2")
			}
			if diff := cmp.Diff(tc.want, said); diff != "" {
				t.Errorf("claims mismatch (-want +got):\n%s", diff)
			}
			if got := verdict(s.Do(t, channelOf(p), "ProfileList", nil)); got != "Acknowledged" {
				t.Errorf("a command under the new identity = %v, want Acknowledged", got)
			}
		})
	}
}

func TestACMERequestHasWhatThePayloadAsksFor(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	byACME(s, nil)
	enrolled(t, s, nil)
	var csr *x509.CertificateRequest
	s.SawACME(func(x *trialserver.ACME) { csr = x.Requests[0] })
	if csr.Subject.CommonName != "device" || len(csr.URIs) != 1 || csr.URIs[0].String() != "urn:x:1" {
		t.Errorf("request for %v and %v, want CN=device and urn:x:1", csr.Subject, csr.URIs)
	}
	got := map[string][]byte{}
	for _, x := range csr.Extensions {
		got[x.Id.String()] = x.Value
	}
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 2}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got["2.5.29.15"], []byte{3, 2, 7, 0x80}) || !bytes.Equal(got["2.5.29.37"], usage) || !bytes.Contains(got["2.5.29.17"], []byte("nurse@example.org")) {
		t.Errorf("extensions = %x, want digitalSignature, clientAuth and the principal name", got)
	}
}

func TestACMEKeysOutsideTheEnclave(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind string
		size int
	}{{agent.KeyRSA, 2048}, {agent.KeyRSA, 3072}, {agent.KeyEC, 256}, {agent.KeyEC, 521}} {
		s := trialserver.New(t)
		byACME(s, func(p dict) {
			p["HardwareBound"], p["Attest"], p["KeyType"], p["KeySize"] = false, false, tc.kind, tc.size
		})
		p := enrolled(t, s, nil)
		i, err := p.ManagementIdentity()
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		switch k := i.Leaf.PublicKey.(type) {
		case *rsa.PublicKey:
			size = k.N.BitLen()
		case *ecdsa.PublicKey:
			size = k.Params().BitSize
		}
		if _, isRSA := i.Leaf.PublicKey.(*rsa.PublicKey); size != tc.size || isRSA != (tc.kind == agent.KeyRSA) {
			t.Errorf("key = %T of %d bits, want %s of %d", i.Leaf.PublicKey, size, tc.kind, tc.size)
		}
		s.SawACME(func(x *trialserver.ACME) {
			if string(x.Answers[0].Object) != "{}" {
				t.Errorf("attestation = %q, want none: nothing asked for it", x.Answers[0].Object)
			}
		})
	}
}

func TestACMERefusedByTheDevice(t *testing.T) {
	t.Parallel()
	old := func(version string) func(*virtual.Options) {
		return func(o *virtual.Options) { o.OSVersion = version }
	}
	mac := func(version, model string) func(*virtual.Options) {
		return func(o *virtual.Options) { o.Platform, o.OSVersion, o.Model = ward.MacOS, version, model }
	}
	for _, tc := range []struct {
		name   string
		change func(*virtual.Options)
		edit   func(dict)
		code   int
	}{
		{"iOS 15", old("15.8"), nil, 2003},
		{"macOS 13.0", mac("13.0", ""), nil, 2003},
		{"hardware before macOS 14", mac("13.6", ""), nil, 2004},
		{"a Mac without T2", mac("14.0", "MacBookPro14,1"), nil, 2004},
		{"no directory", nil, func(p dict) { delete(p, "DirectoryURL") }, 2002},
		{"directory without TLS", nil, func(p dict) { p["DirectoryURL"] = "http://127.0.0.1/" }, 2004},
		{"Attest without HardwareBound", nil, func(p dict) { p["HardwareBound"] = false }, 2004},
		{"RSA in hardware", nil, func(p dict) { p["KeyType"], p["KeySize"] = "RSA", 2048 }, 2004},
		{"P-521 in hardware", nil, func(p dict) { p["KeySize"] = 521 }, 2004},
		{"RSA of 1023 bits", nil, func(p dict) {
			p["KeyType"], p["KeySize"], p["HardwareBound"], p["Attest"] = "RSA", 1023, false, false
		}, 2004},
		{"unknown kind of key", nil, func(p dict) { p["KeyType"] = "DSA" }, 2004},
		{"KeySize as text", nil, func(p dict) { p["KeySize"] = "384" }, 2003},
		{"no subject", nil, func(p dict) { delete(p, "Subject") }, 2002},
		{"usage that is no OID", nil, func(p dict) { p["ExtendedKeyUsage"] = []any{"clientAuth"} }, 2004},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			byACME(s, tc.edit)
			o := options(t, s)
			if tc.change != nil {
				tc.change(&o)
			}
			p, err := virtual.New(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			err = p.Enrol(t.Context(), s.URL+"/enrol")
			if pe, ok := errors.AsType[*agent.ProfileError](err); !ok || pe.Code != tc.code || pe.Domain != agent.PayloadErrorDomain {
				t.Errorf("Enrol() = %v, want %d of payloads", err, tc.code)
			}
		})
	}
}

func TestACMERefusedByTheServer(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	byACME(s, nil)
	s.SawACME(func(x *trialserver.ACME) {
		x.Refuse = func(trialserver.Answer) error { return errors.New("the device is not on the list") }
	})
	p, err := virtual.New(t.Context(), options(t, s))
	if err != nil {
		t.Fatal(err)
	}
	err = p.Enrol(t.Context(), s.URL+"/enrol")
	if e, ok := errors.AsType[*ward.Error](err); !ok || e.Kind != ward.Forbidden || e.Message != "the device is not on the list" || agent.Transient(err) {
		t.Errorf("Enrol() = %v, want the server's refusal", err)
	}
	s.SawACME(func(x *trialserver.ACME) { x.Refuse, x.NoChallenge = nil, true })
	if err := p.Enrol(t.Context(), s.URL+"/enrol"); err == nil || p.Enrolled() {
		t.Errorf("Enrol() without device-attest-01 = %v, want an error", err)
	}
	s.SawACME(func(x *trialserver.ACME) { x.NoChallenge = false })
	if err := p.Enrol(t.Context(), s.URL+"/enrol"); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestEnclaveLies(t *testing.T) {
	t.Parallel()
	root := attestationRoot(t)
	e := root.Enclave()
	key, err := e.NewKey(256)
	if err != nil {
		t.Fatal(err)
	}
	truth := virtual.Claims{Serial: "SN1", Nonce: []byte("n"), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	e.Lie(func(c *virtual.Claims) { c.Serial, c.Nonce = "SN2", []byte("m") })
	object, err := e.Attest(key, truth)
	if err != nil {
		t.Fatal(err)
	}
	if _, said := claims(t, object, root.Certificate(), time.Now()); said["9.1"] != "SN2" || said["11.1"] != "m" {
		t.Errorf("claims = %v, want those of the lie", said)
	}
	e.Lie(func(c *virtual.Claims) { c.Withhold = true })
	if object, err := e.Attest(key, truth); err != nil || len(object) != 0 {
		t.Errorf("Attest() = %x, %v, want nothing", object, err)
	}
	e.Lie(nil)
	if _, err := root.Enclave().Attest(key, truth); err == nil {
		t.Error("an enclave attested the key of another")
	}
	for _, bits := range []int{192, 521, 2048} {
		if _, err := e.NewKey(bits); err == nil {
			t.Errorf("NewKey(%d) worked, want 256 and 384 alone", bits)
		}
	}
	wrapped, err := key.(agent.HardwareKey).Wrapped()
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.Unwrap(wrapped)
	if err != nil || !key.Public().(*ecdsa.PublicKey).Equal(again.Public()) {
		t.Errorf("Unwrap() = %v, want the key", err)
	}
	if _, err := root.Enclave().Unwrap(wrapped); err == nil {
		t.Error("an enclave opened the key of another")
	}
	if _, err := e.Unwrap(slices.Clone(wrapped[:5])); err == nil {
		t.Error("Unwrap() of a piece worked")
	}
}

func TestKeptHardwareIdentity(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	byACME(s, nil)
	k, err := agent.NewFileKeeper(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := attestationRoot(t).Enclave()
	o := options(t, s)
	o.Enclave, o.Keeper = e, k
	p, err := virtual.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Enrol(t.Context(), s.URL+"/enrol"); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := virtual.New(t.Context(), o); err == nil {
		t.Error("an identity in hardware was loaded without its hardware")
	}
	k.Unwrap = e.Unwrap
	again, err := virtual.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.CheckIn(t.Context()); err != nil || s.Idles(udid) != 1 {
		t.Errorf("CheckIn() after a restart = %v with %d requests, want one", err, s.Idles(udid))
	}
}
