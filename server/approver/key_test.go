package approver_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/descope/virtualwebauthn"
	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
)

func TestSubject(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", " \t\n": "", "Staff 1": "staff 1", "  STAFF\u00a0 1 ": "staff 1", "ADA@H.Example": "ada@h.example",
		"Ｓｔａｆｆ １": "staff 1", "Straße": "strasse", "STRASSE": "strasse", "e\u0301": "é", "É": "é",
	} {
		got := approver.Subject(in)
		if got != want {
			t.Errorf("Subject(%q) = %q, want %q", in, got, want)
		}
		if again := approver.Subject(got); again != got {
			t.Errorf("Subject(%q) = %q: it folds what is folded", got, again)
		}
	}
}

// TestStatement: the form is what approvers signed, so it may never change.
func TestStatement(t *testing.T) {
	t.Parallel()
	a := approver.Approver{
		ID: "apr-1", Person: "person-1", Subject: "staff 1", Name: `Ada "A" <x>`, Outside: true,
		Key: approver.Key{ID: []byte{1, 2}, Public: []byte{3}, Counter: 7}, At: start,
	}
	want := `{"id":"apr-1","person":"person-1","subject":"staff 1","name":"Ada \"A\" \u003cx\u003e","outside":true,"key_id":"AQI=","public_key":"Aw==","counter":7,"at":1793674800000000}`
	if diff := cmp.Diff(want, string(approver.Statement(a))); diff != "" {
		t.Errorf("Statement() mismatch (-want +got):\n%s", diff)
	}
	later := a
	later.Ended, later.EndedBy, later.Founder, later.Vouches = start, "x", true, []approver.Assertion{{}}
	if !bytes.Equal(approver.Statement(a), approver.Statement(later)) {
		t.Error("what changes later changes the statement")
	}
}

// TestChallenge: no two questions have one challenge, and its form may never change.
func TestChallenge(t *testing.T) {
	t.Parallel()
	if got, want := fmt.Sprintf("%x", approver.Challenge(approver.ForOrder, hash, []byte{1})), "9cc8a67a22e41349f38bd22604434bf06e11931b5b34bcc0c8d9e24ad4115caf"; got != want {
		t.Errorf("Challenge() = %s, want %s", got, want)
	}
	seen := map[string]string{}
	for _, c := range []struct {
		p     approver.Purpose
		hash  string
		nonce string
	}{
		{"order", "ab", "c"}, {"order", "a", "bc"}, {"ordera", "b", "c"}, {"order", "abc", ""}, {"", "orderabc", ""}, {"", "", "orderabc"}, {"approver", "ab", "c"},
	} {
		got := string(approver.Challenge(c.p, c.hash, []byte(c.nonce)))
		if was, ok := seen[got]; ok {
			t.Errorf("%+v has the challenge of %s", c, was)
		}
		seen[got] = fmt.Sprintf("%+v", c)
	}
}

func TestRelyingParty(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{
		"https://Ward.Example/":         {"ward.example", "https://ward.example"},
		"https://ward.example:443":      {"ward.example", "https://ward.example"},
		"https://ward.example:8443/a/b": {"ward.example", "https://ward.example:8443"},
		"http://localhost:80":           {"localhost", "http://localhost"},
		"http://localhost:8080":         {"localhost", "http://localhost:8080"},
		"https://[::1]:8443":            {"::1", "https://[::1]:8443"},
		"ward.example":                  {}, "ftp://ward.example": {}, "https://": {}, "": {}, "https://a b": {},
	} {
		id, origin, err := approver.RelyingParty(in)
		if (err != nil) != (want[0] == "") || id != want[0] || origin != want[1] {
			t.Errorf("RelyingParty(%q) = %q, %q, %v; want %q", in, id, origin, err, want)
		}
	}
	w := newFileWorld(t)
	for _, c := range []struct {
		rpID, origin string
		ok           bool
	}{
		{"ward.example", "https://ward.example", true},
		{"example", "https://ward.example:8443/", true},
		{"rd.example", "https://ward.example", false},
		{"other.example", "https://ward.example", false},
		{"", "https://ward.example", false},
		{"ward.example", "", false},
	} {
		_, err := approver.New(approver.Config{Store: w.db.Approvers(), Root: w.root, Audit: w.audit, Now: w.Now, RPID: c.rpID, Origin: c.origin})
		if (err == nil) != c.ok {
			t.Errorf("New() with %q at %q: %v", c.rpID, c.origin, err)
		}
	}
	if _, err := approver.New(approver.Config{RPID: rpID, Origin: origin}); err == nil {
		t.Error("New() without a store succeeded")
	}
}

// cose writes a COSE_Key in any order of its members.
func cose(t *testing.T, members ...any) []byte {
	t.Helper()
	out := []byte{0xa0 | byte(len(members)/2)}
	for _, m := range members {
		b, err := cbor.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

// TestCanonicalKey: one key has one spelling, and only the algorithms asked for are taken.
func TestCanonicalKey(t *testing.T) {
	t.Parallel()
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := bytes.Repeat([]byte{0xc5}, 256)
	for name, c := range map[string]struct {
		in, same []byte
		refused  bool
	}{
		"EdDSA":             {in: cose(t, 1, 1, 3, -8, -1, 6, -2, []byte(ed)), same: cose(t, -2, []byte(ed), -1, 6, 3, -8, 1, 1)},
		"EdDSA, more in it": {in: cose(t, 1, 1, 3, -8, -1, 6, -2, []byte(ed)), same: cose(t, 1, 1, 3, -8, -1, 6, -2, []byte(ed), 2, []byte("x"))},
		"RSA":               {in: cose(t, 1, 3, 3, -257, -1, n, -2, []byte{1, 0, 1}), same: cose(t, 1, 3, 3, -257, -1, append([]byte{0}, n...), -2, []byte{0, 1, 0, 1})},
		"RSA, short":        {in: cose(t, 1, 3, 3, -257, -1, n[:128], -2, []byte{1, 0, 1}), refused: true},
		"RSA, huge":         {in: cose(t, 1, 3, 3, -257, -1, bytes.Repeat(n, 5), -2, []byte{1, 0, 1}), refused: true},
		"RS1":               {in: cose(t, 1, 3, 3, -65535, -1, n, -2, []byte{1, 0, 1}), refused: true},
		"Ed25519, fully":    {in: cose(t, 1, 1, 3, -19, -1, 6, -2, []byte(ed)), refused: true},
		"off the curve":     {in: cose(t, 1, 2, 3, -7, -1, 1, -2, make([]byte, 32), -3, make([]byte, 32)), refused: true},
		"nothing":           {refused: true},
		"no key":            {in: []byte{0xa0}, refused: true},
	} {
		got, err := approver.CanonicalKey(c.in)
		if (err != nil) != c.refused {
			t.Errorf("%s: CanonicalKey() = %v, refused %t", name, err, c.refused)
		}
		if c.same == nil {
			continue
		}
		if same, err := approver.CanonicalKey(c.same); err != nil || !bytes.Equal(got, same) {
			t.Errorf("%s: another spelling is %x, %v; want %x", name, same, err, got)
		}
	}
}

// signer is an authenticator of one algorithm.
type signer struct {
	public []byte
	sign   func([]byte) []byte
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func clientData(t *testing.T, kind string, challenge []byte) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": b64(challenge), "origin": origin, "crossOrigin": false})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s signer) create(t *testing.T, options []byte, id []byte) []byte {
	t.Helper()
	party := sha256.Sum256([]byte(rpID))
	data := slices.Concat(party[:], []byte{0x45, 0, 0, 0, 0}, make([]byte, 16), binary.BigEndian.AppendUint16(nil, uint16(len(id))), id, s.public)
	object, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"type":"public-key","id":%q,"rawId":%q,"response":{"clientDataJSON":%q,"attestationObject":%q}}`,
		b64(id), b64(id), b64(clientData(t, "webauthn.create", challengeOf(t, options))), b64(object))
}

func (s signer) answer(t *testing.T, options []byte, id []byte) []byte {
	t.Helper()
	party := sha256.Sum256([]byte(rpID))
	data := slices.Concat(party[:], []byte{0x05, 0, 0, 0, 0})
	client := clientData(t, "webauthn.get", challengeOf(t, options))
	sum := sha256.Sum256(client)
	return fmt.Appendf(nil, `{"type":"public-key","id":%q,"rawId":%q,"response":{"clientDataJSON":%q,"authenticatorData":%q,"signature":%q,"userHandle":null}}`,
		b64(id), b64(id), b64(client), b64(data), b64(s.sign(slices.Concat(data, sum[:]))))
}

// TestAlgorithms: passkeys that sign by EdDSA and RS256 are good too, with no attestation.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeRSA).Key
	signers := map[ward.PersonID]signer{
		"ada": {cose(t, 1, 1, 3, -8, -1, 6, -2, []byte(edPublic)), func(b []byte) []byte { return ed25519.Sign(edPrivate, b) }},
		"bob": {rsa.AttestationData(), func(b []byte) []byte {
			sum := sha256.Sum256(b)
			sig, err := rsa.Sign(sum[:])
			if err != nil {
				t.Error(err)
			}
			return sig
		}},
	}
	ids := map[ward.PersonID]string{}
	as := func(p ward.PersonID) ward.Actor { return ward.Actor{Person: p, Name: string(p), Via: ward.ViaSession} }
	for p, s := range signers {
		secret, err := w.Invite(w.console(), p, string(p), false)
		if err != nil {
			t.Fatal(err)
		}
		ctx := ward.WithActor(t.Context(), as(p))
		options, err := w.BeginRegister(ctx, secret)
		if err != nil {
			t.Fatal(err)
		}
		a, err := w.FinishRegister(ctx, secret, s.create(t, options, []byte("key of "+p)))
		if err != nil {
			t.Fatal(err)
		}
		ids[p] = a.ID
	}
	if err := w.Trust(w.console(), ids["ada"], ids["bob"]); err != nil {
		t.Fatal(err)
	}
	for p, s := range signers {
		ctx := ward.WithActor(t.Context(), as(p))
		options, err := w.Begin(ctx, approver.ForOrder, hash)
		if err != nil {
			t.Fatal(err)
		}
		_, a, err := w.Finish(ctx, approver.ForOrder, hash, s.answer(t, options, []byte("key of "+p)))
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if _, err := w.copy(w.root).Verify(t.Context(), a, approver.ForOrder, hash); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		a.Signature = flipped(a.Signature, 9)
		_, err = w.Verify(t.Context(), a, approver.ForOrder, hash)
		wantKind(t, string(p)+", altered", err, ward.Forbidden)
	}
}

// TestErrorsAreForPeople shows that errors for people hold nothing of the library's own words.
func TestErrorsAreForPeople(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, _, _ := w.seed()
	a := w.assert(ada, approver.ForOrder, hash)
	a.Signature = nil
	_, err := w.Verify(t.Context(), a, approver.ForOrder, hash)
	if e, ok := err.(*ward.Error); !ok || e.Err == nil || strings.Contains(e.Message, "assertion") { //nolint:errorlint // the error itself
		t.Errorf("Verify() = %#v", err)
	}
}
