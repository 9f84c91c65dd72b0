package access_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

const good = "three unrelated words"

func TestSetPassphrase(t *testing.T) {
	t.Parallel()
	g := newGate(t, storetest.SQLite(t))
	maud, ada := g.person("Maud Ellery-Jones", ward.RoleSupport), g.person("Ada", ward.RoleAdmin)
	for _, tt := range []struct {
		name       string
		actor      ward.Actor
		passphrase string
		want       ward.Kind
	}{
		{"eleven characters", g.actor(maud), "elevenchars", ward.Invalid},
		{"eleven characters in many bytes", g.actor(maud), strings.Repeat("é", 11), ward.Invalid},
		{"too long", g.actor(maud), strings.Repeat("ab", 513), ward.Invalid},
		{"the name", g.actor(maud), "maud ellery-JONES", ward.Invalid},
		{"one character", g.actor(maud), strings.Repeat("x", 20), ward.Invalid},
		{"not text", g.actor(maud), strings.Repeat("\xff", 20), ward.Invalid},
		{"by an administrator", g.actor(ada), good, ward.Forbidden},
		{"by nobody", ward.Actor{}, good, ward.Unauthenticated},
		{"by oneself", g.actor(maud), good, ""},
		{"by the operator", console, good + " again", ""},
	} {
		wantKind(t, tt.name, g.SetPassphrase(as(t, tt.actor), maud.ID, tt.passphrase), tt.want)
	}
	wantKind(t, "for nobody", g.SetPassphrase(as(t, console), "person-x", good), ward.NotFound)
}

func TestCheckPassphrase(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		maud := g.person("Maud", ward.RoleSupport)
		if err := g.SetPassphrase(as(t, g.actor(maud)), maud.ID, good); err != nil {
			t.Fatal(err)
		}
		g.person("Ben", ward.RoleAdmin) // without a passphrase
		try := func(s *access.Service, name, passphrase string) error {
			_, err := s.CheckPassphrase(t.Context(), name, passphrase)
			return err
		}
		wantKind(t, "right", try(g.Service, " MAUD ", good), "")
		wantKind(t, "wrong", try(g.Service, "Maud", good+"!"), ward.Unauthenticated)
		wantKind(t, "no passphrase set", try(g.Service, "Ben", ""), ward.Unauthenticated)
		wantKind(t, "unknown name", try(g.Service, "Nobody", good), ward.Unauthenticated)
		wantKind(t, "far too long", try(g.Service, "Maud", strings.Repeat("x", 1<<20)), ward.Unauthenticated)
		wantKind(t, "right again", try(g.Service, "Maud", good), "")

		other := g.another()
		for range 5 { // counted over all copies of the server
			wantKind(t, "wrong", try(other, "Maud", "wrong"), ward.Unauthenticated)
		}
		wantKind(t, "the sixth, though right", try(g.Service, "maud", good), ward.Forbidden)
		g.clock.advance(29 * time.Second)
		wantKind(t, "too early", try(g.Service, "Maud", good), ward.Forbidden)
		g.clock.advance(time.Second)
		wantKind(t, "after the wait, wrong", try(g.Service, "Maud", "wrong"), ward.Unauthenticated)
		g.clock.advance(59 * time.Second)
		wantKind(t, "the wait has doubled", try(g.Service, "Maud", good), ward.Forbidden)
		g.clock.advance(time.Second)
		wantKind(t, "after the second wait", try(g.Service, "Maud", good), "")
		wantKind(t, "it starts afresh", try(g.Service, "Maud", "wrong"), ward.Unauthenticated)

		if err := g.DisablePerson(as(t, console), maud.ID); err != nil {
			t.Fatal(err)
		}
		wantKind(t, "disabled", try(g.Service, "Maud", good), ward.Unauthenticated)
		failed := 0
		for _, a := range g.actions(maud.ID) {
			if a == access.ActionSignInFailed {
				failed++
			}
		}
		if failed != 10 {
			t.Errorf("%d failures audited, want 10", failed)
		}
	})
}

// TestManyGuessesAtOnce: guesses that arrive together do not all pass the limit.
func TestManyGuessesAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		g := newGate(t, db)
		var wg sync.WaitGroup
		var looked atomic.Int32
		for range 20 {
			wg.Go(func() {
				_, err := g.CheckPassphrase(t.Context(), "Maud", "a guess")
				switch ward.KindOf(err) {
				case ward.Unauthenticated:
					looked.Add(1)
				case ward.Forbidden:
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if looked.Load() != 5 {
			t.Errorf("%d guesses were looked at, want 5", looked.Load())
		}
		g.clock.advance(25 * time.Hour)
		if err := g.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			_, err := g.CheckPassphrase(t.Context(), "Maud", "a guess")
			wantKind(t, "a day later", err, ward.Unauthenticated)
		}
	})
}
