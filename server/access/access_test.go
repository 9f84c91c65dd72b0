package access_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var console = ward.Actor{Name: "root", Via: ward.ViaConsole}

// gate is a Service on a real database with a real audit log and a clock that the
// test moves.
type gate struct {
	*access.Service
	t     testing.TB
	db    *store.DB
	log   *audit.Service
	clock *clock
}

type clock struct{ us atomic.Int64 }

func (c *clock) now() time.Time                     { return time.UnixMicro(c.us.Load()).UTC() }
func (c *clock) advance(d time.Duration)            { c.us.Add(d.Microseconds()) }
func as(t testing.TB, a ward.Actor) context.Context { return ward.WithActor(t.Context(), a) }

func newGate(t testing.TB, db *store.DB) *gate {
	t.Helper()
	c := &clock{}
	c.us.Store(time.Date(2026, 3, 12, 9, 0, 0, 0, time.UTC).UnixMicro())
	k, err := audit.LoadKey(filepath.Join(t.TempDir(), "audit.key"), "ward.example")
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.New(audit.Config{Store: db.Audit(), Master: storetest.Master(), Key: k, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, db: db, log: log, clock: c}
	g.Service = g.another()
	return g
}

// another returns one more copy of the server on the same database.
func (g *gate) another() *access.Service {
	g.t.Helper()
	s, err := access.New(access.Config{Store: g.db.Access(), Audit: g.log, Now: g.clock.now})
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

func (g *gate) person(name string, roles ...ward.Role) access.Person {
	g.t.Helper()
	p, err := g.CreatePerson(as(g.t, console), access.NewPerson{Name: name, Roles: roles})
	if err != nil {
		g.t.Fatal(err)
	}
	return p
}

func (g *gate) token(p access.Person, scopes ...access.Permission) (access.Token, string) {
	g.t.Helper()
	t, secret, err := g.CreateToken(as(g.t, console), access.NewToken{Person: p.ID, Name: "script", Scopes: scopes})
	if err != nil {
		g.t.Fatal(err)
	}
	return t, secret
}

func (g *gate) actor(p access.Person) ward.Actor {
	g.t.Helper()
	a, err := g.Actor(g.t.Context(), p.ID, ward.ViaSession)
	if err != nil {
		g.t.Fatal(err)
	}
	return a
}

// actions returns what the audit log says was done to id, oldest first.
func (g *gate) actions(id ward.PersonID) []string {
	g.t.Helper()
	list, err := g.log.List(g.t.Context(), audit.Filter{Subject: string(id), Oldest: true})
	if err != nil {
		g.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Action)
	}
	return out
}

func wantKind(t *testing.T, what string, err error, want ward.Kind) {
	t.Helper()
	if got := ward.KindOf(err); got != want {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, got, want)
	}
}

func TestPeople(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		ctx := as(t, console)
		maud, err := g.CreatePerson(ctx, access.NewPerson{Name: "  Maud   Ellery ", Email: "maud@trust.example", Roles: []ward.Role{ward.RoleSupport, ward.RoleAdmin, ward.RoleSupport}})
		if err != nil {
			t.Fatal(err)
		}
		want := access.Person{ID: maud.ID, Name: "Maud Ellery", Email: "maud@trust.example", Roles: []ward.Role{ward.RoleAdmin, ward.RoleSupport}, Created: g.clock.now()}
		for _, find := range []func() (access.Person, error){
			func() (access.Person, error) { return g.Person(ctx, maud.ID) },
			func() (access.Person, error) { return g.PersonByName(ctx, "maud ELLERY") },
		} {
			got, err := find()
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("error %v, person mismatch (-want +got)\n%s", err, diff)
			}
		}
		_, err = g.CreatePerson(ctx, access.NewPerson{Name: "MAUD ellery", Roles: []ward.Role{ward.RoleAuditor}})
		wantKind(t, "the same name in another case", err, ward.Conflict)
		_, err = g.Person(ctx, "person-nobody")
		wantKind(t, "an unknown person", err, ward.NotFound)

		_, err = g.CreatePerson(ctx, access.NewPerson{Name: "\x00", Email: "Maud <maud@trust.example>", Roles: []ward.Role{"root"}})
		wantKind(t, "many mistakes", err, ward.Invalid)
		if e, ok := errors.AsType[*ward.Error](err); !ok || len(e.Details) != 3 {
			t.Errorf("many mistakes: %v, want all three", err)
		}

		for _, name := range []string{"B", "C", "D"} {
			g.person(name, ward.RoleAuditor)
		}
		var names []string
		for after := ward.PersonID(""); ; {
			page, err := g.People(ctx, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, p := range page {
				names = append(names, p.Name)
			}
			after = page[len(page)-1].ID
		}
		if diff := cmp.Diff([]string{"Maud Ellery", "B", "C", "D"}, names); diff != "" {
			t.Errorf("People mismatch (-want +got)\n%s", diff)
		}
	})
}

func TestStanding(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		ctx := as(t, console)
		admin, support := g.person("Ada", ward.RoleAdmin), g.person("Sam", ward.RoleSupport)
		wantKind(t, "the only administrator disabled", g.DisablePerson(ctx, admin.ID), ward.Conflict)
		wantKind(t, "the only administrator's role taken", g.SetRoles(ctx, admin.ID, []ward.Role{ward.RoleAuditor}), ward.Conflict)
		wantKind(t, "no role", g.SetRoles(ctx, admin.ID, nil), ward.Invalid)
		wantKind(t, "someone unknown", g.SetRoles(ctx, "person-x", []ward.Role{ward.RoleAuditor}), ward.NotFound)
		wantKind(t, "support giving roles", g.SetRoles(as(t, g.actor(support)), support.ID, []ward.Role{ward.RoleAdmin}), ward.Forbidden)
		wantKind(t, "nobody giving roles", g.SetRoles(t.Context(), support.ID, []ward.Role{ward.RoleAdmin}), ward.Unauthenticated)

		if err := g.SetRoles(as(t, g.actor(admin)), support.ID, []ward.Role{ward.RoleAdmin}); err != nil {
			t.Fatal(err)
		}
		if err := g.DisablePerson(ctx, admin.ID); err != nil {
			t.Fatal(err)
		}
		_, err := g.Actor(ctx, admin.ID, ward.ViaSession)
		wantKind(t, "the session of someone disabled", err, ward.Unauthenticated)
		_, _, err = g.CreateToken(ctx, access.NewToken{Person: admin.ID})
		wantKind(t, "a token for someone disabled", err, ward.Conflict)
		wantKind(t, "the last administrator now", g.DisablePerson(ctx, support.ID), ward.Conflict)
		if err := g.EnablePerson(ctx, admin.ID); err != nil {
			t.Fatal(err)
		}
		if a := g.actor(admin); !access.Allows(a, access.PersonWrite) {
			t.Errorf("enabled again, %+v may not change people", a)
		}
		want := []string{access.ActionPersonCreated, access.ActionPersonDisabled, access.ActionPersonEnabled}
		if diff := cmp.Diff(want, g.actions(admin.ID)); diff != "" {
			t.Errorf("audit mismatch (-want +got)\n%s", diff)
		}
	})
}

// TestLastAdministrators: two administrators who disable each other at once leave one.
func TestLastAdministrators(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		a, b := g.person("A", ward.RoleAdmin), g.person("B", ward.RoleAdmin)
		var wg sync.WaitGroup
		var refused atomic.Int32
		for _, p := range []access.Person{a, b} {
			wg.Go(func() {
				err := g.DisablePerson(as(t, console), p.ID)
				switch ward.KindOf(err) {
				case "":
				case ward.Conflict:
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if refused.Load() != 1 {
			t.Errorf("%d of 2 refused, want 1", refused.Load())
		}
	})
}

func TestFirstAdministrator(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		var secrets []string
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 4 { // copies of the server that start together
			s := g.another()
			wg.Go(func() {
				secret, err := s.EnsureFirstAdministrator(t.Context())
				if err != nil {
					t.Error(err)
				}
				if secret != "" {
					mu.Lock()
					secrets = append(secrets, secret)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(secrets) != 1 {
			t.Fatalf("%d links, want 1", len(secrets))
		}
		p, kind, err := g.Redeem(t.Context(), secrets[0])
		if err != nil || p.Name != access.FirstAdministrator || kind != access.LinkSetup || !slices.Contains(p.Roles, ward.RoleAdmin) {
			t.Fatalf("Redeem = %+v, %q, %v; want the administrator", p, kind, err)
		}
		if secret, err := g.EnsureFirstAdministrator(t.Context()); secret != "" || err != nil {
			t.Errorf("once more: %q, %v; want nothing", secret, err)
		}
		if err := g.SetPassphrase(as(t, g.actor(p)), p.ID, "correct horse battery"); err != nil {
			t.Fatal(err)
		}
		if _, err := g.CheckPassphrase(t.Context(), "administrator", "correct horse battery"); err != nil {
			t.Error(err)
		}
		want := []string{access.ActionPersonCreated, access.ActionLinkCreated, access.ActionLinkUsed, access.ActionPassphraseSet, access.ActionSignedIn}
		if diff := cmp.Diff(want, g.actions(p.ID)); diff != "" {
			t.Errorf("audit mismatch (-want +got)\n%s", diff)
		}
	})
}

func TestLinks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		ctx := t.Context()
		admin, maud := g.person("Ada", ward.RoleAdmin), g.person("Maud", ward.RoleApprover)
		link := func(a ward.Actor, kind access.LinkKind) (string, error) {
			return g.CreateLink(as(t, a), maud.ID, kind, time.Hour)
		}
		first, err := link(g.actor(admin), access.LinkSetup)
		if err != nil {
			t.Fatal(err)
		}
		_, err = link(g.actor(admin), access.LinkSignIn)
		wantKind(t, "an administrator signing in as somebody else", err, ward.Forbidden)
		second, err := link(g.actor(admin), access.LinkSetup)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = g.Redeem(ctx, first)
		wantKind(t, "the link before", err, ward.Unauthenticated)

		var wg sync.WaitGroup
		var taken atomic.Int32
		for range 8 {
			wg.Go(func() {
				p, kind, err := g.Redeem(ctx, second)
				if err == nil && p.ID == maud.ID && kind == access.LinkSetup {
					taken.Add(1)
				} else if ward.KindOf(err) != ward.Unauthenticated {
					t.Errorf("Redeem = %v, %v", p, err)
				}
			})
		}
		wg.Wait()
		if taken.Load() != 1 {
			t.Errorf("redeemed %d times, want once", taken.Load())
		}

		_, err = link(g.actor(admin), access.LinkSetup)
		wantKind(t, "a set-up link for someone who signed in before", err, ward.Forbidden)
		if _, err = link(g.actor(maud), access.LinkSignIn); err != nil {
			t.Errorf("a link for oneself: %v", err)
		}
		late, err := link(console, access.LinkSignIn)
		if err != nil {
			t.Fatal(err)
		}
		g.clock.advance(time.Hour)
		_, _, err = g.Redeem(ctx, late)
		wantKind(t, "an expired link", err, ward.Unauthenticated)
		_, _, err = g.Redeem(ctx, strings.Repeat("x", 1000))
		wantKind(t, "no link", err, ward.Unauthenticated)
		_, err = g.CreateLink(as(t, console), maud.ID, access.LinkSetup, 8*24*time.Hour)
		wantKind(t, "a link for too long", err, ward.Invalid)
		_, err = g.CreateLink(as(t, console), maud.ID, "other", time.Hour)
		wantKind(t, "a link of no kind", err, ward.Invalid)

		gone, err := link(console, access.LinkSignIn)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.DisablePerson(as(t, console), maud.ID); err != nil {
			t.Fatal(err)
		}
		_, _, err = g.Redeem(ctx, gone)
		wantKind(t, "the link of someone disabled", err, ward.Unauthenticated)
		g.clock.advance(2 * time.Hour)
		if err := g.Purge(ctx); err != nil {
			t.Fatal(err)
		}
	})
}
