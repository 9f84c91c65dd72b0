package approver_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestStory: two founders, a third by their vouches, and what each signs can be proven.
func TestStory(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ada, bob, cy := w.seed()
		if diff := cmp.Diff(map[string]string{"ada": "standing", "bob": "standing", "cy": "standing"}, w.states()); diff != "" {
			t.Errorf("states mismatch (-want +got):\n%s", diff)
		}
		if !ada.Founder || cy.Founder || !cy.Outside || cy.Subject != "cy@care.example" || ada.Subject != "staff 1" || len(cy.Vouches) != 2 {
			t.Errorf("records: %+v, %+v", ada.Approver, cy.Approver)
		}
		for _, p := range []*approvertest.Person{ada, bob, cy} {
			a := w.assert(p, approver.ForOrder, hash)
			w.pass(time.Hour)
			for _, s := range []*approver.Service{w.Service, w.copy(w.root)} { // with and without a memory of it
				got, err := s.Verify(t.Context(), a, approver.ForOrder, hash)
				if err != nil || got.ID != p.ID || got.Person != p.Person {
					t.Errorf("Verify() = %s, %v; want %s", got.ID, err, p.ID)
				}
			}
		}
		if diff := cmp.Diff([]string{"ada", "bob", "cy"}, w.added); diff != "" {
			t.Errorf("told of mismatch (-want +got):\n%s", diff)
		}
		for action, want := range map[string]int{
			approver.ActionInvited: 3, approver.ActionRegistered: 3, approver.ActionTrusted: 2, approver.ActionVouched: 2, approver.ActionEnded: 0,
		} {
			if got := w.audit.count(action); got != want {
				t.Errorf("%s stands in the audit log %d times, want %d", action, got, want)
			}
		}
	})
}

// TestVerifyRefuses: an assertion is good for what was signed and for nothing else.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, bob, _ := w.seed()
	good := w.assert(ada, approver.ForOrder, hash)
	clientData := func(change func(map[string]any)) []byte { return edit(t, good.ClientData, change) }
	for _, c := range []struct {
		name    string
		change  func(*approver.Assertion)
		purpose approver.Purpose
		hash    string
	}{
		{name: "another hash", hash: other},
		{name: "another hash, row altered to it", hash: other, change: func(a *approver.Assertion) { a.Hash = other }},
		{name: "another purpose", purpose: approver.ForApprover},
		{name: "another purpose, row altered to it", purpose: approver.ForApprover, change: func(a *approver.Assertion) { a.Purpose = approver.ForApprover }},
		{name: "another approver", change: func(a *approver.Assertion) { a.Approver = bob.ID }},
		{name: "no approver", change: func(a *approver.Assertion) { a.Approver = "apr-none" }},
		{name: "the nonce's random part", change: func(a *approver.Assertion) { a.Nonce = flipped(a.Nonce, 0) }},
		{name: "the nonce's time", change: func(a *approver.Assertion) { a.Nonce = flipped(a.Nonce, 23) }},
		{name: "the nonce's tag", change: func(a *approver.Assertion) { a.Nonce = flipped(a.Nonce, 39) }},
		{name: "no nonce", change: func(a *approver.Assertion) { a.Nonce = nil }},
		{name: "an earlier time", change: func(a *approver.Assertion) { a.At = a.At.Add(-time.Microsecond) }},
		{name: "a later time", change: func(a *approver.Assertion) { a.At = a.At.Add(6 * time.Minute) }},
		{name: "no time", change: func(a *approver.Assertion) { a.At = time.Time{} }},
		{name: "the signature", change: func(a *approver.Assertion) { a.Signature = flipped(a.Signature, len(a.Signature)-1) }},
		{name: "no signature", change: func(a *approver.Assertion) { a.Signature = nil }},
		{name: "the authenticator's relying party", change: func(a *approver.Assertion) { a.AuthenticatorData = flipped(a.AuthenticatorData, 0) }},
		{name: "the authenticator's flags", change: func(a *approver.Assertion) { a.AuthenticatorData = flipped(a.AuthenticatorData, 32) }},
		{name: "no authenticator data", change: func(a *approver.Assertion) { a.AuthenticatorData = nil }},
		{name: "the origin", change: func(a *approver.Assertion) {
			a.ClientData = clientData(func(m map[string]any) { m["origin"] = "https://evil.example" })
		}},
		{name: "across origins", change: func(a *approver.Assertion) {
			a.ClientData = clientData(func(m map[string]any) { m["crossOrigin"] = true })
		}},
		{name: "the challenge", change: func(a *approver.Assertion) {
			a.ClientData = clientData(func(m map[string]any) { m["challenge"] = "AAAA" })
		}},
		{name: "of another ceremony", change: func(a *approver.Assertion) {
			a.ClientData = clientData(func(m map[string]any) { m["type"] = "webauthn.create" })
		}},
		{name: "white space", change: func(a *approver.Assertion) { a.ClientData = append(slices.Clone(a.ClientData), ' ') }},
		{name: "no JSON", change: func(a *approver.Assertion) { a.ClientData = []byte("{") }},
		{name: "too large", change: func(a *approver.Assertion) {
			a.ClientData = append(slices.Clone(a.ClientData), make([]byte, 64<<10)...)
		}},
	} {
		a, p, h := good, approver.ForOrder, hash
		if c.change != nil {
			c.change(&a)
		}
		if c.purpose != "" {
			p = c.purpose
		}
		if c.hash != "" {
			h = c.hash
		}
		_, err := w.Verify(t.Context(), a, p, h)
		wantKind(t, c.name, err, ward.Forbidden)
	}
	if _, err := w.Verify(t.Context(), good, approver.ForOrder, hash); err != nil {
		t.Errorf("the assertion as it was: %v", err)
	}
	elsewhere, err := approver.New(approver.Config{Store: w.db.Approvers(), Root: w.root, Audit: w.audit, Now: w.Now, RPID: "ward.test", Origin: "https://ward.test"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = elsewhere.Verify(t.Context(), good, approver.ForOrder, hash)
	wantKind(t, "at another host", err, ward.Forbidden)
}

// TestFinishRefuses: an answer is taken once, from the person who was asked, for what was
// asked, by a passkey that knew who touched it.
func TestFinishRefuses(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, bob, _ := w.seed()
	stranger := w.register(approvertest.Who{Person: "dee"})
	token := ada.Actor
	token.Via = ward.ViaToken
	operator := ada.Actor
	operator.Via = ward.ViaConsole
	for _, c := range []struct {
		name    string
		passkey func(*approvertest.Passkey)
		answer  func([]byte) []byte
		wait    time.Duration
		as      *ward.Actor
		purpose approver.Purpose
		hash    string
		want    ward.Kind
	}{
		{name: "as it should be"},
		{name: "just in time", wait: 5*time.Minute - time.Microsecond},
		{name: "too late", wait: 5 * time.Minute, want: ward.Forbidden},
		{name: "not verified", passkey: func(p *approvertest.Passkey) { p.Unverified = true }, want: ward.Forbidden},
		{name: "not present", passkey: func(p *approvertest.Passkey) { p.Absent = true }, want: ward.Forbidden},
		{name: "another origin", passkey: func(p *approvertest.Passkey) { p.Origin = "https://ward.example.evil.test" }, want: ward.Forbidden},
		{name: "another port", passkey: func(p *approvertest.Passkey) { p.Origin = "https://ward.example:8443" }, want: ward.Forbidden},
		{name: "another relying party", passkey: func(p *approvertest.Passkey) { p.RPID = "example" }, want: ward.Forbidden},
		{name: "another hash", hash: other, want: ward.Forbidden},
		{name: "another purpose", purpose: approver.ForApprover, want: ward.Forbidden},
		{name: "another approver's session", as: &bob.Actor, want: ward.Forbidden},
		{name: "a pending approver's session", as: &stranger.Actor, want: ward.Forbidden},
		{name: "a token", as: &token, want: ward.Forbidden},
		{name: "the console", as: &operator, want: ward.Forbidden},
		{name: "nobody", as: &ward.Actor{}, want: ward.Forbidden},
		{name: "no answer", answer: func([]byte) []byte { return nil }, want: ward.Invalid},
		{name: "no JSON", answer: func([]byte) []byte { return []byte("{") }, want: ward.Invalid},
		{name: "too large", answer: func(b []byte) []byte { return append(b, make([]byte, 64<<10)...) }, want: ward.Invalid},
		{name: "a challenge that nobody asked", answer: func([]byte) []byte { return ada.Passkey.SignChallenge(make([]byte, 32)) }, want: ward.Forbidden},
		{name: "a challenge that is none", answer: func([]byte) []byte { return ada.Passkey.SignChallenge([]byte("x")) }, want: ward.Forbidden},
	} {
		options, err := w.Begin(ada.As(t.Context()), approver.ForOrder, hash)
		if err != nil {
			t.Fatal(err)
		}
		key := *ada.Passkey
		if c.passkey != nil {
			c.passkey(&key)
		}
		response, err := key.Sign(options)
		if err != nil {
			t.Fatal(err)
		}
		if c.answer != nil {
			response = c.answer(response)
		}
		w.pass(c.wait)
		who, p, h := ada.Actor, approver.ForOrder, hash
		if c.as != nil {
			who = *c.as
		}
		if c.purpose != "" {
			p = c.purpose
		}
		if c.hash != "" {
			h = c.hash
		}
		ctx := ward.WithActor(t.Context(), who)
		_, _, err = w.Finish(ctx, p, h, response)
		wantKind(t, c.name, err, c.want)
		if err == nil {
			_, _, err = w.Finish(ctx, p, h, response)
			wantKind(t, c.name+", again", err, ward.Forbidden)
		}
	}
}

// TestAnotherPasskey: the passkey of another, and one that was never registered, sign for
// nobody but themselves.
func TestAnotherPasskey(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, bob, _ := w.seed()
	loose, err := approvertest.New(rpID, origin)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]*approvertest.Passkey{"another's": bob.Passkey, "a loose one": loose} {
		options, err := w.Begin(ada.As(t.Context()), approver.ForOrder, hash)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key.Sign(options); err == nil {
			t.Errorf("%s passkey is asked for", name)
		}
		response := key.SignChallenge(challengeOf(t, options))
		_, _, err = w.Finish(ada.As(t.Context()), approver.ForOrder, hash, response)
		wantKind(t, name, err, ward.Forbidden)
		// The same under the id of the right one, as a browser that lies would send it.
		if options, err = w.Begin(ada.As(t.Context()), approver.ForOrder, hash); err != nil {
			t.Fatal(err)
		}
		id := base64.RawURLEncoding.EncodeToString(ada.Passkey.ID())
		response = edit(t, key.SignChallenge(challengeOf(t, options)), func(m map[string]any) { m["id"], m["rawId"] = id, id })
		_, _, err = w.Finish(ada.As(t.Context()), approver.ForOrder, hash, response)
		wantKind(t, name+" under the right id", err, ward.Forbidden)
	}
}

func challengeOf(t *testing.T, options []byte) []byte {
	t.Helper()
	var o struct {
		PublicKey struct {
			Challenge string `json:"challenge"`
		} `json:"publicKey"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	b, err := base64.RawURLEncoding.DecodeString(o.PublicKey.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOptions: what browsers are given asks for what it should.
func TestOptions(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada, _, _ := w.seed()
	options, err := w.Begin(ada.As(t.Context()), approver.ForOrder, hash)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"userVerification":"required"`, `"rpId":"ward.example"`, `"id":"` + base64.RawURLEncoding.EncodeToString(ada.Passkey.ID()) + `"`} {
		if !strings.Contains(string(options), want) {
			t.Errorf("Begin() = %s, want it to hold %s", options, want)
		}
	}
	secret, err := w.Invite(w.console(), "ada", "staff 1", false)
	if err != nil {
		t.Fatal(err)
	}
	if options, err = w.BeginRegister(ada.As(t.Context()), secret); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"userVerification":"required"`, `"residentKey":"preferred"`, `"attestation":"none"`, `"name":"Example Trust"`, `"id":"ward.example"`,
		`"alg":-7`, `"alg":-8`, `"alg":-257`, `"excludeCredentials":[{"type":"public-key","id":"` + base64.RawURLEncoding.EncodeToString(ada.Passkey.ID()),
	} {
		if !strings.Contains(string(options), want) {
			t.Errorf("BeginRegister() = %s, want it to hold %s", options, want)
		}
	}
	for _, c := range []struct {
		p    approver.Purpose
		hash string
	}{{"register", hash}, {"", hash}, {approver.ForOrder, ""}, {approver.ForOrder, strings.ToUpper(hash)}, {approver.ForOrder, hash + "00"}} {
		_, err := w.Begin(ada.As(t.Context()), c.p, c.hash)
		wantKind(t, "Begin("+string(c.p)+", "+c.hash+")", err, ward.Invalid)
	}
}

// TestAnswerIsTakenOnce: of the same answer sent to two copies of the server at once, one
// is taken.
func TestAnswerIsTakenOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ada, _, _ := w.seed()
		response, err := ada.Sign(t.Context(), w.Service, approver.ForOrder, hash)
		if err != nil {
			t.Fatal(err)
		}
		copies := []*approver.Service{w.Service, w.copy(w.root)}
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				switch _, _, err := copies[i%2].Finish(ada.As(t.Context()), approver.ForOrder, hash, response); ward.KindOf(err) {
				case "":
					won.Add(1)
				case ward.Forbidden:
				default:
					t.Errorf("Finish(): %v, want success or forbidden", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("16 at once: %d were taken, want 1", won.Load())
		}
	})
}

// TestCounter: an authenticator that counts must count on.
func TestCounter(t *testing.T) {
	t.Parallel()
	w := newFileWorld(t)
	ada := w.register(approvertest.Who{Person: "ada"})
	secret, err := w.Invite(w.console(), "bob", "bob", false)
	if err != nil {
		t.Fatal(err)
	}
	bob := &approvertest.Person{Actor: ward.Actor{Person: "bob", Name: "bob", Via: ward.ViaSession}}
	if bob.Passkey, err = approvertest.New(rpID, origin); err != nil {
		t.Fatal(err)
	}
	bob.Passkey.Counter = 5
	options, err := w.BeginRegister(bob.As(t.Context()), secret)
	if err != nil {
		t.Fatal(err)
	}
	response, err := bob.Passkey.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	if bob.Approver, err = w.FinishRegister(bob.As(t.Context()), secret, response); err != nil {
		t.Fatal(err)
	}
	if err := w.Trust(w.console(), ada.ID, bob.ID); err != nil {
		t.Fatal(err)
	}
	for counter, want := range map[uint32]ward.Kind{0: ward.Forbidden, 5: ward.Forbidden, 6: "", 900: ""} {
		bob.Passkey.Counter = counter
		_, err := bob.Assert(t.Context(), w.Service, approver.ForOrder, hash)
		wantKind(t, "counter", err, want)
	}
}
