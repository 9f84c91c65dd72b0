package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		ctx := t.Context()
		maud := g.person("Maud", ward.RoleSupport, ward.RoleApprover)
		token, secret := g.token(maud)
		second, secret2 := g.token(maud)
		if !strings.HasPrefix(secret, access.TokenPrefix) || len(secret) != len(access.TokenPrefix)+43 {
			t.Errorf("secret %q, want %s and 32 bytes", secret, access.TokenPrefix)
		}
		a, err := g.Authenticate(ctx, secret)
		want := ward.Actor{Person: maud.ID, Name: "Maud", Via: ward.ViaToken, Token: token.ID, Roles: []ward.Role{ward.RoleSupport, ward.RoleApprover}}
		if diff := cmp.Diff(want, a); err != nil || diff != "" {
			t.Errorf("Authenticate: error %v, actor mismatch (-want +got)\n%s", err, diff)
		}
		b, err := g.Authenticate(ctx, secret2)
		if err != nil || b.Person != a.Person || b.Token != second.ID {
			t.Errorf("the second token gives %+v, %v; want the same person", b, err)
		}
		for _, bad := range []string{"", "ward_", secret[:len(secret)-1], strings.ToUpper(secret), "Bearer " + secret, access.TokenPrefix + strings.Repeat("x", 5000)} {
			_, err := g.Authenticate(ctx, bad)
			wantKind(t, "a wrong token", err, ward.Unauthenticated)
		}

		g.clock.advance(time.Minute)
		if _, err := g.Authenticate(ctx, secret); err != nil {
			t.Fatal(err)
		}
		used := g.clock.now()
		for range 2 { // the second has nothing to write
			if err := g.Flush(ctx); err != nil {
				t.Fatal(err)
			}
		}
		list, err := g.Tokens(ctx, maud.ID)
		if err != nil || len(list) != 2 || !list[0].LastUsed.Equal(used) || list[1].LastUsed.IsZero() {
			t.Errorf("Tokens = %+v, %v; want two, the first used at %v", list, err, used)
		}

		wantKind(t, "a stranger revoking", g.RevokeToken(as(t, g.actor(g.person("Eve", ward.RoleSupport))), token.ID), ward.Forbidden)
		copyOf := g.another()
		if _, err := copyOf.Authenticate(ctx, secret); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := g.RevokeToken(as(t, g.actor(maud)), token.ID); err != nil {
				t.Fatal(err)
			}
		}
		_, err = g.Authenticate(ctx, secret)
		wantKind(t, "a revoked token here", err, ward.Unauthenticated)
		g.clock.advance(3 * time.Second)
		_, err = copyOf.Authenticate(ctx, secret)
		wantKind(t, "a revoked token at another copy after 3 s", err, ward.Unauthenticated)

		if _, err := g.Authenticate(ctx, secret2); err != nil {
			t.Errorf("the other token: %v", err)
		}
		if err := g.DisablePerson(as(t, console), maud.ID); err != nil {
			t.Fatal(err)
		}
		_, err = g.Authenticate(ctx, secret2)
		wantKind(t, "the token of someone disabled", err, ward.Unauthenticated)
		wantActions := []string{access.ActionPersonCreated, access.ActionTokenCreated, access.ActionTokenCreated, access.ActionTokenRevoked, access.ActionPersonDisabled}
		if diff := cmp.Diff(wantActions, g.actions(maud.ID)); diff != "" {
			t.Errorf("audit mismatch (-want +got)\n%s", diff)
		}
	})
}

func TestTokenRoles(t *testing.T) {
	t.Parallel()
	g := newGate(t, storetest.SQLite(t))
	maud := g.person("Maud", ward.RoleSupport)
	_, secret := g.token(maud)
	if _, err := g.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if err := g.SetRoles(as(t, console), maud.ID, []ward.Role{ward.RoleAuditor}); err != nil {
		t.Fatal(err)
	}
	a, err := g.Authenticate(t.Context(), secret)
	if err != nil || access.Allows(a, access.DeviceLock) || !access.Allows(a, access.AuditRead) {
		t.Errorf("after the roles changed: %+v, %v; want an auditor", a, err)
	}
}

func TestTokenExpiry(t *testing.T) {
	t.Parallel()
	g := newGate(t, storetest.SQLite(t))
	maud := g.person("Maud", ward.RoleSupport)
	ctx := as(t, console)
	_, secret, err := g.CreateToken(ctx, access.NewToken{Person: maud.ID, Expires: g.clock.now().Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Authenticate(ctx, secret); err != nil {
		t.Fatal(err)
	}
	g.clock.advance(time.Second) // still remembered
	_, err = g.Authenticate(ctx, secret)
	wantKind(t, "an expired token", err, ward.Unauthenticated)
	_, _, err = g.CreateToken(ctx, access.NewToken{Person: maud.ID, Expires: g.clock.now(), Scopes: []access.Permission{"root"}, Name: strings.Repeat("x", 101)})
	wantKind(t, "a token with mistakes", err, ward.Invalid)
}

func TestTokenForWhom(t *testing.T) {
	t.Parallel()
	g := newGate(t, storetest.SQLite(t))
	ada, maud := g.person("Ada", ward.RoleAdmin), g.person("Maud", ward.RoleApprover)
	_, whole := g.token(ada)
	_, part := g.token(ada, access.PersonWrite, access.DeviceRead)
	byToken := func(secret string) ward.Actor {
		a, err := g.Authenticate(t.Context(), secret)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, tt := range []struct {
		name  string
		actor ward.Actor
		for_  access.Person
		want  ward.Kind
	}{
		{"oneself by session", g.actor(ada), ada, ""},
		{"oneself by token", byToken(whole), ada, ""},
		{"oneself by a narrowed token", byToken(part), ada, ward.Forbidden},
		{"an administrator for an approver", g.actor(ada), maud, ward.Forbidden},
		{"the operator", console, maud, ""},
		{"a device", ward.Actor{Via: ward.ViaDevice, Device: "device-1"}, maud, ward.Forbidden},
		{"nobody", ward.Actor{}, maud, ward.Unauthenticated},
	} {
		_, _, err := g.CreateToken(as(t, tt.actor), access.NewToken{Person: tt.for_.ID})
		wantKind(t, tt.name, err, tt.want)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	g := newGate(t, storetest.SQLite(t))
	maud := g.person("Maud", ward.RoleSupport, ward.RoleApprover)
	_, secret := g.token(maud, access.DeviceRead, access.PolicyPublish)
	a, err := g.Authenticate(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range access.Permissions() {
		if got, want := access.Allows(a, p), p == access.DeviceRead; got != want {
			t.Errorf("a token narrowed to device:read and policy:publish, of a supporter: Allows(%s) = %v, want %v", p, got, want)
		}
	}
	for _, r := range a.Roles {
		for _, known := range ward.Roles {
			if r == known {
				t.Errorf("a narrowed token still has the role %s", r)
			}
		}
	}
	err = access.Check(as(t, a), access.OrderApprove)
	if err == nil || !strings.Contains(err.Error(), "narrowed") {
		t.Errorf("Check = %v, want it to say that the token is narrowed", err)
	}
}

// BenchmarkAuthenticate is what a token costs each request.
func BenchmarkAuthenticate(b *testing.B) {
	g := newGate(b, storetest.SQLite(b))
	_, secret := g.token(g.person("Maud", ward.RoleSupport))
	for b.Loop() {
		if _, err := g.Authenticate(b.Context(), secret); err != nil {
			b.Fatal(err)
		}
	}
}
