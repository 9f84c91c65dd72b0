package policy_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// record keeps the audit log in a table of the same database: a setting for each entry.
type record struct {
	db  *store.DB
	err error
}

func (r record) Record(ctx context.Context, action, subject string, _ map[string]string) error {
	if r.err != nil {
		return r.err
	}
	return r.db.SetSetting(ctx, action, subject)
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func person(t *testing.T) context.Context {
	t.Helper()
	return ward.WithActor(t.Context(), ward.Actor{Person: "p1", Via: ward.ViaToken})
}

// current returns the policy in force and the epoch.
func current(ctx context.Context, s *policy.Service) (*profiles.Policy, int64, error) {
	f, err := s.InForce(ctx)
	if err != nil {
		return nil, 0, err
	}
	p, _ := f.Current()
	return p, f.Epoch, nil
}

func TestPublish(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		told := 0
		s := policy.New(db.Policies(), record{db: db}, now, func() { told++ })
		if p, gen, err := current(t.Context(), s); p != nil || gen != 0 || err != nil {
			t.Errorf("Current() before the first = %v, %d, %v; want none", p, gen, err)
		}
		if _, err := s.Published(t.Context()); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Published() before the first = %v, want not found", err)
		}
		v, err := s.Publish(person(t), profiles.ExamplePolicy())
		if err != nil || v.Generation != 1 || v.PublishedBy != "p1" {
			t.Fatalf("Publish() = %+v, %v; want generation 1 by p1", v, err)
		}
		next := strings.Replace(string(profiles.ExamplePolicy()), "First version", "Second version", 1)
		if v, err = s.Publish(person(t), []byte(next)); err != nil || v.Generation != 2 {
			t.Fatalf("Publish() = %+v, %v; want generation 2", v, err)
		}
		got, err := s.Published(t.Context())
		if err != nil || got.Text != next || !got.Published.Equal(v.Published) {
			t.Errorf("Published() = %+v, %v; want what was published", got, err)
		}
		// Another copy of the server sees it, and so does this one after another's.
		other := policy.New(db.Policies(), record{db: db}, now, nil)
		if p, gen, err := current(t.Context(), other); err != nil || gen != 2 || p.Note != "Second version" {
			t.Errorf("another copy's Current() = %d, %v", gen, err)
		}
		if _, err := other.Publish(person(t), profiles.ExamplePolicy()); err != nil {
			t.Fatal(err)
		}
		if p, gen, err := current(t.Context(), s); err != nil || gen != 3 || p.Note != "First version" {
			t.Errorf("Current() after another copy published = %d, %v; want 3", gen, err)
		}
		if subject, err := db.Setting(t.Context(), "policy.published"); err != nil || subject != "3" {
			t.Errorf("the audit log says %q, %v; want 3", subject, err)
		}
		if told != 2 {
			t.Errorf("told %d times of what this copy published, want 2", told)
		}
	})
}

// TestPublishRefuses: a policy with mistakes, or one that can't be audited, is not
// published.
func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	db, boom := storetest.SQLite(t), errors.New("boom")
	told := func() { t.Error("told of a policy that was not published") }
	if _, err := policy.New(db.Policies(), record{db: db}, now, told).Publish(person(t), []byte("name: x\nblock: {mode: none}\n")); ward.KindOf(err) != ward.Invalid {
		t.Errorf("a policy with mistakes: %v, want invalid", err)
	}
	s := policy.New(db.Policies(), record{err: boom}, now, told)
	if _, err := s.Publish(person(t), profiles.ExamplePolicy()); !errors.Is(err, boom) {
		t.Errorf("without an audit log: %v, want %v", err, boom)
	}
	if _, gen, err := current(t.Context(), s); gen != 0 || err != nil {
		t.Errorf("generation %d, %v; want none", gen, err)
	}
}

// TestPublishTogether: of several at once each gets a generation of its own or is told
// of the conflict.
func TestPublishTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := policy.New(db.Policies(), record{db: db}, now, nil)
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[int64]int{}
		for range 8 {
			wg.Go(func() {
				v, err := s.Publish(person(t), profiles.ExamplePolicy())
				if k := ward.KindOf(err); k != "" && k != ward.Conflict {
					t.Errorf("Publish() = %v, want success or a conflict", err)
				}
				if err == nil {
					mu.Lock()
					seen[v.Generation]++
					mu.Unlock()
				}
				if _, _, err := current(t.Context(), s); err != nil {
					t.Errorf("Current() = %v", err)
				}
			})
		}
		wg.Wait()
		_, gen, err := current(t.Context(), s)
		if err != nil || int(gen) != len(seen) {
			t.Errorf("generation %d, %v; %d were published", gen, err, len(seen))
		}
		for g, n := range seen {
			if n != 1 {
				t.Errorf("generation %d was published %d times", g, n)
			}
		}
	})
}
