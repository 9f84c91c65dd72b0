package approver_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// fuzzed is a service with two founders for a fuzz test.
func fuzzed(f *testing.F) (*approver.Service, *approvertest.Person) {
	f.Helper()
	now := func() time.Time { return start }
	db, err := store.Open(f.Context(), store.Options{URL: filepath.Join(f.TempDir(), "ward.db"), Master: storetest.Master(), Now: now})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := db.Close(); err != nil {
			f.Error(err)
		}
	})
	s, err := approver.New(approver.Config{Store: db.Approvers(), Root: &approvertest.Root{}, Audit: &journal{}, Now: now, RPID: rpID, Origin: origin})
	if err != nil {
		f.Fatal(err)
	}
	out, err := approvertest.Seed(f.Context(), s, people[:2]...)
	if err != nil {
		f.Fatal(err)
	}
	return s, out[0]
}

// FuzzFinish: whatever a browser sends, nothing but the answer to an open question by the
// right passkey is taken, and nothing ends the server.
func FuzzFinish(f *testing.F) {
	s, ada := fuzzed(f)
	good, err := ada.Sign(f.Context(), s, approver.ForOrder, hash)
	if err != nil {
		f.Fatal(err)
	}
	if _, _, err := s.Finish(ada.As(f.Context()), approver.ForOrder, hash, good); err != nil { // spent from here on
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(ada.Passkey.SignChallenge(make([]byte, 32)))
	f.Add([]byte(`{"type":"public-key","id":"AA","rawId":"AA","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":""}}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, response []byte) {
		_, _, err := s.Finish(ada.As(t.Context()), approver.ForOrder, hash, response)
		if k := ward.KindOf(err); k != ward.Invalid && k != ward.Forbidden {
			t.Errorf("Finish(%q) = %v", response, err)
		}
	})
}

// FuzzFinishRegister: the same of what registers a passkey.
func FuzzFinishRegister(f *testing.F) {
	s, ada := fuzzed(f)
	secret, err := s.Invite(ada.As(f.Context()), "ada", "staff 1", false)
	if err != nil {
		f.Fatal(err)
	}
	options, err := s.BeginRegister(ada.As(f.Context()), secret)
	if err != nil {
		f.Fatal(err)
	}
	key, err := approvertest.New(rpID, "https://evil.example")
	if err != nil {
		f.Fatal(err)
	}
	response, err := key.Create(options)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(response)
	f.Add([]byte(`{"type":"public-key","id":"AA","rawId":"AA","response":{"clientDataJSON":"e30","attestationObject":"oA"}}`))
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, response []byte) {
		_, err := s.FinishRegister(ada.As(t.Context()), secret, response)
		if k := ward.KindOf(err); k != ward.Invalid && k != ward.Forbidden {
			t.Errorf("FinishRegister(%q) = %v", response, err)
		}
	})
}

// FuzzVerify: whatever stands in the database, an assertion is proven only as it was made.
func FuzzVerify(f *testing.F) {
	s, ada := fuzzed(f)
	good, err := ada.Assert(f.Context(), s, approver.ForOrder, hash)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Nonce, good.ClientData, good.AuthenticatorData, good.Signature[:8])
	f.Add(good.Nonce, []byte("{}"), good.AuthenticatorData, good.Signature)
	f.Add([]byte{}, good.ClientData, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, nonce, clientData, authenticatorData, signature []byte) {
		a := good
		a.Nonce, a.ClientData, a.AuthenticatorData, a.Signature = nonce, clientData, authenticatorData, signature
		_, err := s.Verify(t.Context(), a, approver.ForOrder, hash)
		same := string(nonce) == string(good.Nonce) && string(clientData) == string(good.ClientData) &&
			string(authenticatorData) == string(good.AuthenticatorData) && string(signature) == string(good.Signature)
		if err == nil && !same {
			t.Errorf("Verify(%+v) succeeded", a)
		}
		if err != nil && ward.KindOf(err) != ward.Forbidden {
			t.Errorf("Verify(%+v) = %v", a, err)
		}
	})
}

// FuzzParseRoot: what is read of the file is written again as the same.
func FuzzParseRoot(f *testing.F) {
	b, err := approver.FormatRoot(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"founders":[]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		tr, err := approver.ParseRoot(in)
		if err != nil {
			return
		}
		out, err := approver.FormatRoot(tr)
		if err != nil {
			t.Fatalf("FormatRoot(%+v) = %v", tr, err)
		}
		if _, err := approver.ParseRoot(out); err != nil {
			t.Errorf("ParseRoot(%s) = %v", out, err)
		}
	})
}
