package ca_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/tpmid/tpmtest"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestCheckKeyPlace(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", ca.KeyInFile: "", "tpmkms:name=ward-issuer;device=/dev/tpmrm0": "",
		"softkms:path=key":                       "Keys can't be kept in",
		"sshagentkms:user@host":                  "Keys can't be kept in",
		"/dev/tpmrm0":                            "This is not the URI of a key",
		"://":                                    "This is not the URI of a key",
		"tpmkms:name=x?pin-value=hunter2":        "holds a PIN",
		"pkcs11:token=t;object=o?pin-value=1234": "holds a PIN",
		"awskms:key-id=1":                        "-tags cloudkms",
		"tpmkms:":                                "It lacks name.",
		"tpmkms:name=":                           "It lacks name.",
		"tpmkms:device=/dev/tpmrm0":              "It lacks name.",
		"tpmkms:ward-issuer":                     "It lacks name.",
		"tpmkms:name=x;devise=/dev/tpmrm0":       "There is no devise in it; there may be name, device, storage-directory.",
		"tpmkms:name=x?devise=/dev/tpmrm0":       "There is no devise in it",
		"tpmkms:name=x;storage-directory=/a":     "",
		"file:/x":                                `write "file" alone`,
	} {
		err := ca.CheckKeyPlace(text)
		if want == "" && err != nil || want != "" && (ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), want)) {
			t.Errorf("CheckKeyPlace(%q) = %v, want %q", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "1234")) {
			t.Errorf("CheckKeyPlace(%q) tells the PIN: %v", text, err)
		}
	}
}

// TestRotateBetweenPlaces: an authority moves from a file into a TPM and back; each issuer
// answers for what it signed.
func TestRotateBetweenPlaces(t *testing.T) {
	t.Parallel()
	chip := tpmtest.Bare(t)
	uri := "tpmkms:name=second;device=" + chip.Socket
	s := &signing{fixture: newFixture(t, storetest.SQLite(t))}
	s.knows = s.listed
	old := s.app(t)
	rotate := func(key string) error {
		_, err := s.Rotate(t.Context(), ca.Rotation{Key: key})
		s.clock.turn(ca.Settle + time.Second)
		return err
	}
	if err := rotate(uri); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Issuer().PublicKey.(*ecdsa.PublicKey); !ok || s.Issuer().KeyUsage&x509.KeyUsageKeyEncipherment != 0 {
		t.Errorf("the issuer in the TPM has a %T and key usage %b", s.Issuer().PublicKey, s.Issuer().KeyUsage)
	}
	if keys, err := ca.ElsewhereKeys(s.o.Dir); err != nil || !slices.Equal(keys, []string{uri}) {
		t.Errorf("ElsewhereKeys = %q, %v", keys, err)
	}
	inTPM := s.app(t)
	s.revokes(t)
	if cert, _ := s.enrol(t, "two"); cert == nil {
		t.Error("SCEP by way of the registration authority was refused")
	}
	// A device that asked for the certificates before the change writes to the first issuer.
	d := plainDevice(t, "one")
	first := s.Issuers()[0]
	if m := d.read(t, content(t, post(t, s.SCEP(), d.message(t, "19", first))), first); m.CertRepMessage == nil || m.CertRepMessage.Certificate == nil {
		t.Error("a request to the issuer before was refused")
	}
	if err := rotate(uri); ward.KindOf(err) != ward.Conflict || !strings.Contains(err.Error(), "--key 'tpmkms:name=second-2;device=") {
		t.Errorf("Rotate to the key of an issuer = %v, want kind conflict with another name", err)
	}
	if err := rotate(ca.KeyInFile); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*x509.Certificate{old, inTPM, s.app(t)} {
		s.good(t, c, "d1", "urn:ward:device:d1", "urn:ward:app:uk.example.chat")
	}
	if len(s.Issuers()) != 3 || s.recipient(t) == nil || !s.recipient(t).Equal(s.Issuer()) {
		t.Error("back in a file, the issuer does not answer SCEP by itself")
	}
	chip.Stop(t)
	_, err := ca.Open(t.Context(), s.o)
	if ward.KindOf(err) != ward.Unavailable || !strings.Contains(err.Error(), uri) || !strings.Contains(err.Error(), "named lost") {
		t.Errorf("Open without the TPM = %v, want kind unavailable with the key's name and what to do if it is gone", err)
	}
	chip.Start(t)
	if _, err := ca.Open(t.Context(), s.o); err != nil {
		t.Errorf("Open when it is back: %v", err)
	}
	chip.Stop(t) // for good
	if err := os.WriteFile(filepath.Join(s.o.Dir, "2", "lost"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.Authority, err = ca.Open(t.Context(), s.o); err != nil {
		t.Fatalf("Open with the key given up: %v", err)
	}
	for _, c := range []*x509.Certificate{inTPM, s.app(t)} {
		s.good(t, c, "d1", "urn:ward:device:d1", "urn:ward:app:uk.example.chat")
	}
	if err := s.RemakeCRL(t.Context()); err != nil {
		t.Errorf("RemakeCRL: %v", err)
	}
}

// TestOnlyKeyLost: with the only key given up nothing is issued, and rotation mends it.
func TestOnlyKeyLost(t *testing.T) {
	t.Parallel()
	s := &signing{fixture: newFixture(t, storetest.SQLite(t))}
	old := s.app(t)
	if err := os.Remove(filepath.Join(s.o.Dir, "1", "issuer.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.o.Dir, "1", "lost"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.Authority, err = ca.Open(t.Context(), s.o); err != nil {
		t.Fatal(err)
	}
	if _, err := s.IssueApp(t.Context(), plainRequest(t, newKey(t)), appGrant, nil); ward.KindOf(err) != ward.Unavailable {
		t.Errorf("IssueApp = %v, want kind unavailable", err)
	}
	d := plainDevice(t, "two")
	if res := post(t, s.SCEP(), d.message(t, "19", s.Issuer())); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("SCEP = %s, want 503", res.Status)
	}
	if res := ask(t, s.SCEP(), http.MethodGet, "operation=GetCACert", nil); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("GetCACert = %s, want 503", res.Status)
	}
	if _, err := s.IssueServer(t.Context(), []string{"mdm.example.org"}, nil); ward.KindOf(err) != ward.Unavailable || !strings.Contains(err.Error(), "ward ca rotate --key file --in 0s") {
		t.Errorf("IssueServer = %v, want kind unavailable with the cure", err)
	}
	s.tells(t, map[string]bool{"issuer": true})
	// One whose time is yet to come signs for the server alone, which starts so.
	later := s.clock.now().Add(time.Hour)
	if _, err := s.Rotate(t.Context(), ca.Rotation{From: later}); err != nil {
		t.Fatal(err)
	}
	if made, err := s.IssueServer(t.Context(), []string{"mdm.example.org"}, nil); err != nil || made.Leaf.CheckSignatureFrom(s.Issuers()[1]) != nil {
		t.Errorf("IssueServer before the time of the second issuer: %v", err)
	}
	if _, err := s.IssueApp(t.Context(), plainRequest(t, newKey(t)), appGrant, nil); ward.KindOf(err) != ward.Unavailable {
		t.Errorf("IssueApp before the time of the second issuer = %v, want kind unavailable", err)
	}
	// Where nothing signs, nothing is gained by waiting.
	if made, err := s.Rotate(t.Context(), ca.Rotation{}); err != nil || made.Number != 3 || made.From.After(s.clock.now()) {
		t.Fatalf("Rotate = %d from %s, %v", made.Number, made.From, err)
	}
	s.tells(t, map[string]bool{"issuer": true, "issuer 2": false, "issuer 3": false})
	if made, err := s.Rotate(t.Context(), ca.Rotation{}); err != nil || made.From.Before(s.clock.now().Add(ca.Settle-time.Second)) {
		t.Errorf("Rotate beside one that signs = from %s, %v", made.From, err)
	}
	for _, c := range []*x509.Certificate{old, s.app(t)} {
		s.good(t, c, "d1", "urn:ward:device:d1", "urn:ward:app:uk.example.chat")
	}
	if cert, _ := s.enrol(t, "two"); cert == nil {
		t.Error("SCEP does not answer")
	}
}

// tells checks which issuers are said to have lost their keys, in what is watched and, since
// the authority was opened, in the log.
func (s *signing) tells(t *testing.T, want map[string]bool) {
	t.Helper()
	all, err := s.Watched(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, lost := map[string]bool{}, 0
	for _, w := range all {
		if strings.HasPrefix(w.Name, "issuer") {
			if got[w.Name] = w.Lost; w.Lost {
				lost++
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lost keys mismatch (-want +got)\n%s", diff)
	}
	if n := s.logs.FilterMessageSnippet("the key of an issuer is lost").Len(); n != lost {
		t.Errorf("the log tells of %d lost keys, want %d", n, lost)
	}
}

// TestRecipientLost: the registration authority is made anew where its folder was removed.
func TestRecipientLost(t *testing.T) {
	t.Parallel()
	s := inTPM(t, storetest.SQLite(t))
	before := s.recipient(t)
	if err := os.RemoveAll(filepath.Join(s.o.Dir, "1", "ra")); err != nil {
		t.Fatal(err)
	}
	a, err := ca.Open(context.WithoutCancel(t.Context()), s.o)
	if err != nil {
		t.Fatal(err)
	}
	s.Authority = a
	if after := s.recipient(t); after.Equal(before) || !after.NotAfter.Equal(s.Issuer().NotAfter) {
		t.Errorf("the recipient is the one before, or ends %s, want %s with its issuer", after.NotAfter, s.Issuer().NotAfter)
	}
	if cert, _ := s.enrol(t, "two"); cert == nil {
		t.Error("it does not answer")
	}
}
