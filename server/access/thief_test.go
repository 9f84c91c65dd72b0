package access_test

import (
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// signIn is signing in on the gate, with groups that are roles.
func (g *gate) signIn() *access.SignIn {
	g.t.Helper()
	s, err := access.NewSignIn(access.SignInConfig{
		Access: g.Service, Store: g.db.SignIn(), RPID: "ward.example", Origin: "https://ward.example", Provided: true,
		Grant: func(_ string, groups []string) (out []ward.Role, _ ward.Scope) {
			for _, r := range groups {
				out = append(out, ward.Role(r))
			}
			return out, ward.Scope{}
		},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

// TestErasedSignsInNoMore: of somebody who is erased nothing is left to sign in with, and
// their provider can't write them back: who comes again is somebody new.
func TestErasedSignsInNoMore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		var err error
		if g.Service, err = access.New(access.Config{Store: db.Access(), Audit: g.log, Now: g.clock.now, Forget: g.log.ForgetPerson, Erased: db.SignIn().Forget}); err != nil {
			t.Fatal(err)
		}
		in, ctx := g.signIn(), t.Context()
		g.person("Root", ward.RoleAdmin)
		u, err := in.PutUser(ctx, access.DirectoryUser{Provider: "Trust", UserName: "priya@trust.example", External: "ext-1", Active: true, Data: `{"displayName":"Priya Shah"}`})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.PutGroup(ctx, access.DirectoryGroup{Provider: "Trust", Name: "support", Members: []string{u.ID}}); err != nil {
			t.Fatal(err)
		}
		comes := access.Arrival{Provider: "Trust", Issuer: "https://id.trust.example", Subject: "sub-1", External: "ext-1", Name: "Priya Shah", Email: "priya@trust.example"}
		p, err := in.Arrive(ctx, comes)
		if err != nil {
			t.Fatal(err)
		}
		rows := db.SignIn()
		for _, err := range []error{
			rows.SetFactor(ctx, p.ID, access.Factor{Secret: "JBSWY3DPEHPK3PXP", Confirmed: g.clock.now()}), rows.SetRecovery(ctx, p.ID, []string{"hash"}),
			rows.AddPasskey(ctx, access.Passkey{ID: "key-1", Person: p.ID, Name: "Priya’s phone", Public: []byte{1}}), rows.SignedIn(ctx, p.ID, g.clock.now(), "passkey"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := g.ErasePerson(as(t, console), p.ID); err != nil {
			t.Fatal(err)
		}

		if a, err := in.Account(ctx, p.ID); err != nil || a.App || a.Passkeys+a.Recovery+len(a.Providers) > 0 || !a.Last.IsZero() {
			t.Errorf("the account of who was erased = %+v, %v; want nothing", a, err)
		}
		if _, err := in.DirectoryUser(ctx, "Trust", u.ID); ward.KindOf(err) != ward.NotFound {
			t.Errorf("what the directory said of who was erased: %v, want it gone", err)
		}
		again, err := in.Arrive(ctx, access.Arrival{Provider: "Trust", Issuer: comes.Issuer, Subject: "sub-1", External: "ext-1", Name: "Priya Shah", Email: "priya@trust.example", Groups: []string{"support"}, Grouped: true})
		if err != nil || again.ID == p.ID {
			t.Errorf("who comes again is %+v, %v; want somebody new", again, err)
		}
		if was, err := g.Person(ctx, p.ID); err != nil || was.Email != "" || was.Name != access.ErasedName || len(was.Roles) > 0 {
			t.Errorf("who was erased is %+v, %v", was, err)
		}
	})
}

// TestTokenOpensNoBrowser: whoever finds a token has no session by it, in which they could
// make it last: no link, and no token that lives longer.
func TestTokenOpensNoBrowser(t *testing.T) {
	t.Parallel()
	g := newGate(t, storetest.SQLite(t))
	maud := g.person("Maud", ward.RoleSupport)
	ends := g.clock.now().Add(time.Hour)
	_, secret, err := g.CreateToken(as(t, console), access.NewToken{Person: maud.ID, Name: "script", Expires: ends})
	if err != nil {
		t.Fatal(err)
	}
	a, err := g.Authenticate(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []access.LinkKind{access.LinkSignIn, access.LinkSetup} {
		_, err = g.CreateLink(as(t, a), maud.ID, kind, time.Hour)
		wantKind(t, "a link by a token", err, ward.Forbidden)
	}
	wantKind(t, "a passphrase by a token", g.SetPassphrase(as(t, a), maud.ID, "otter lamp granite seven"), ward.Forbidden)
	for _, want := range []struct{ asked, got time.Time }{{time.Time{}, ends}, {ends.Add(time.Hour), ends}, {ends.Add(-time.Minute), ends.Add(-time.Minute)}} {
		made, _, err := g.CreateToken(as(t, a), access.NewToken{Person: maud.ID, Name: "child", Expires: want.asked})
		if err != nil || !made.Expires.Equal(want.got) {
			t.Errorf("a token made by one that ends at %v, asked for until %v, ends at %v, %v; want %v", ends, want.asked, made.Expires, err, want.got)
		}
	}
}
