package enrollment_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jessepeterson/cfgprofiles"
	"github.com/micromdm/plist"
	"github.com/smallstep/pkcs7"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

var update = flag.Bool("update", false, "write the golden files")

func topicOf(topic string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return topic, nil }
}

func testRoot(t *testing.T) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile("testdata/root.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProfileGolden(t *testing.T) {
	t.Parallel()
	root := testRoot(t)
	tests := []struct {
		name       string
		inv        enrollment.Invitation
		identifier string
		roots      []*x509.Certificate
	}{
		{"corporate_supervised", enrollment.Invitation{ID: "06inv1", Name: "Ada", Platform: ward.IOS, Ownership: ward.Corporate, Supervised: true}, "", nil},
		{"corporate_trial", enrollment.Invitation{ID: "06inv2", Name: "Ada", Platform: ward.IOS, Ownership: ward.Corporate}, "", []*x509.Certificate{root}},
		{"personal", enrollment.Invitation{ID: "06inv3", Name: "Ada", Platform: ward.IOS, Ownership: ward.Personal}, "", nil},
		{"mac", enrollment.Invitation{ID: "06inv4", Name: "Ada", Platform: ward.MacOS, Ownership: ward.Corporate}, "", nil},
		{"attested", enrollment.Invitation{ID: "06inv1", Name: "Ada", Platform: ward.IOS, Ownership: ward.Corporate, Supervised: true}, "C39ABCDEFG", nil},
		{"attested_mac", enrollment.Invitation{ID: "06inv4", Name: "Ada", Platform: ward.MacOS, Ownership: ward.Corporate}, "06inv4", []*x509.Certificate{root}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := enrollment.NewProfiles("St <Mary> & Co", "https://mdm.hospital.example:8443/", topicOf("com.apple.mgmt.External.1"), tt.roots...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := b.Profile(t.Context(), tt.inv, enrollment.Ticket{Challenge: "onetimechallenge", Identifier: tt.identifier})
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", tt.name+".golden")
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("profile mismatch (-want +got); -update writes it:\n%s", diff)
			}
			checkProfile(t, got, tt.inv, tt.identifier)
		})
	}
}

// checkProfile reads a profile back and checks what a device would insist on.
func checkProfile(t *testing.T, xml []byte, inv enrollment.Invitation, identifier string) {
	t.Helper()
	var p cfgprofiles.Profile
	if err := plist.Unmarshal(xml, &p); err != nil {
		t.Fatal(err)
	}
	mdm, scep, acme := p.MDMPayloads(), p.SCEPPayloads(), p.ACMECertificatePayloads()
	if len(mdm) != 1 || len(scep)+len(acme) != 1 || (len(acme) == 1) != (identifier != "") {
		t.Fatalf("payloads = %d MDM, %d SCEP, %d ACME; want one MDM and one identity", len(mdm), len(scep), len(acme))
	}
	var identity cfgprofiles.Payload
	if identifier == "" {
		identity = scep[0].Payload
	} else {
		identity = acme[0].Payload
		if got, want := acme[0].DirectoryURL, "https://mdm.hospital.example:8443/acme/onetimechallenge/apple/directory"; got != want {
			t.Errorf("DirectoryURL = %s, want %s", got, want)
		}
		if a := acme[0]; a.ClientIdentifier != identifier || !a.Attest || !a.HardwareBound || a.KeyType != "ECSECPrimeRandom" || a.KeySize != 256 {
			t.Errorf("ACME payload = %+v, want an attested key for %s", a, identifier)
		}
	}
	if mdm[0].IdentityCertificateUUID != identity.PayloadUUID {
		t.Errorf("identity = %s, want the payload %s", mdm[0].IdentityCertificateUUID, identity.PayloadUUID)
	}
	if got, want := ward.AccessRights(mdm[0].AccessRights), ward.RightsFor(inv.Ownership); got != want {
		t.Errorf("AccessRights = %d, want %d", got, want)
	}
	seen := map[string]bool{}
	for _, id := range []string{p.PayloadUUID, mdm[0].PayloadUUID, identity.PayloadUUID, p.PayloadIdentifier, mdm[0].PayloadIdentifier, identity.PayloadIdentifier} {
		if id == "" || seen[id] {
			t.Errorf("identifier %q is empty or not unique", id)
		}
		seen[id] = true
	}
}

// elsewhere is a source of identities that is not Ward, or none that can be reached.
type elsewhere struct{ err error }

func (e elsewhere) Ask(_ context.Context, i enrollment.Invitation, ticket string) (enrollment.Question, error) {
	return enrollment.Question{URL: "https://ca.example/scep", Name: "theirs", Challenge: "c", Subject: [][][]string{{{"CN", i.ID + " " + ticket}}}}, e.err
}

// TestProfileFromElsewhere: a device asks whom the source says, unless it attests its key.
func TestProfileFromElsewhere(t *testing.T) {
	t.Parallel()
	b, err := enrollment.NewProfiles("Org", "https://mdm.hospital.example:8443", topicOf("com.apple.mgmt.External.1"))
	if err != nil {
		t.Fatal(err)
	}
	inv := enrollment.Invitation{ID: "06inv1", Platform: ward.IOS, Ownership: ward.Corporate}
	b.From(elsewhere{})
	xml, err := b.Profile(t.Context(), inv, enrollment.Ticket{Challenge: "ticket"})
	if err != nil {
		t.Fatal(err)
	}
	checkProfile(t, xml, inv, "")
	var p cfgprofiles.Profile
	if err := plist.Unmarshal(xml, &p); err != nil {
		t.Fatal(err)
	}
	c := p.SCEPPayloads()[0].PayloadContent
	got := enrollment.Question{URL: c.URL, Name: c.Name, Challenge: c.Challenge, Subject: c.Subject}
	want := enrollment.Question{URL: "https://ca.example/scep", Name: "theirs", Challenge: "c", Subject: [][][]string{{{"CN", "06inv1 ticket"}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the profile's question mismatch (-want +got):\n%s", diff)
	}
	boom := errors.New("boom")
	b.From(elsewhere{boom})
	if _, err := b.Profile(t.Context(), inv, enrollment.Ticket{Challenge: "ticket"}); !errors.Is(err, boom) {
		t.Errorf("Profile() = %v, want the source's error", err)
	}
	xml, err = b.Profile(t.Context(), inv, enrollment.Ticket{Challenge: "onetimechallenge", Identifier: "C39ABCDEFG"})
	if err != nil {
		t.Fatalf("an attested identity needs no other source: %v", err)
	}
	checkProfile(t, xml, inv, "C39ABCDEFG")
}

func TestProfileWithoutPushCertificate(t *testing.T) {
	t.Parallel()
	b, err := enrollment.NewProfiles("Org", "https://h", topicOf(""))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Profile(t.Context(), enrollment.Invitation{ID: "1"}, enrollment.Ticket{Challenge: "c"})
	if ward.KindOf(err) != ward.Unavailable || !strings.Contains(err.Error(), "ward apns import") {
		t.Errorf("Profile() = %v, want unavailable with the cure", err)
	}
	boom := errors.New("boom")
	b, err = enrollment.NewProfiles("Org", "https://h", func(context.Context) (string, error) { return "", boom })
	if err != nil {
		t.Fatal(err)
	}
	if _, err = b.Profile(t.Context(), enrollment.Invitation{ID: "1"}, enrollment.Ticket{Challenge: "c"}); !errors.Is(err, boom) {
		t.Errorf("Profile() = %v, want %v", err, boom)
	}
}

func TestNewProfilesRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "http://h", "https://", "https://h/path", "https://h?q", ":"} {
		if _, err := enrollment.NewProfiles("Org", url, topicOf("t")); err == nil {
			t.Errorf("NewProfiles(%q) = nil, want an error", url)
		}
	}
	if _, err := enrollment.NewProfiles("", "https://h", topicOf("t")); err == nil {
		t.Error("NewProfiles() without an organisation = nil, want an error")
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	ec := func() crypto.Signer {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	caKey := ec()
	ca := certificate(t, "CA", nil, caKey.Public(), caKey)
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	profile := []byte("<plist>profile</plist>")
	for name, key := range map[string]crypto.Signer{"rsa": rsaKey, "ec": ec()} {
		leaf := certificate(t, "signer", ca, key.Public(), caKey)
		signed, err := enrollment.Sign(profile, leaf, []*x509.Certificate{ca}, key)
		if err != nil {
			t.Fatal(err)
		}
		p7, err := pkcs7.Parse(signed)
		if err != nil {
			t.Fatal(err)
		}
		if err := p7.VerifyWithChain(roots); err != nil {
			t.Errorf("%s: verify: %v", name, err)
		}
		if !bytes.Equal(p7.Content, profile) || len(p7.Certificates) != 2 {
			t.Errorf("%s: content %q with %d certificates, want the profile with 2", name, p7.Content, len(p7.Certificates))
		}
		if got := p7.Signers[0].DigestAlgorithm.Algorithm; !got.Equal(pkcs7.OIDDigestAlgorithmSHA256) {
			t.Errorf("%s: digest %s, want SHA-256", name, got)
		}
	}
	if _, err := enrollment.Sign(profile, nil, nil, nil); err == nil {
		t.Error("Sign() without a key = nil, want an error")
	}
}

func certificate(t *testing.T, name string, parent *x509.Certificate, pub crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if parent == nil {
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
