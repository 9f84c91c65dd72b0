package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// brakeLimits hold erasures, and nothing else.
var brakeLimits = map[brake.Kind][]brake.Limit{brake.Erase: {{Window: time.Hour, Most: 3}}}

// copyOf starts the brake of a copy of the server over db, with the anchor at path.
func copyOf(t *testing.T, db *store.DB, path string, held func(context.Context, brake.Hold) error) *brake.Service {
	t.Helper()
	s, err := brake.New(brake.Config{
		Journal: db.Journal(), Fleet: db.Journal(), Anchor: brake.FileAnchor(path), Key: storetest.Master().Derive("brake"), Limits: brakeLimits,
		Now: func() time.Time { return time.Now().UTC() }, OnHeld: held, OnUnsaved: func(err error) { t.Errorf("save the anchor: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func deliver(n int) brake.Entry {
	return brake.Entry{Event: brake.Delivered, Kind: brake.Erase, Order: ward.OrderID(fmt.Sprint("o", n)), Enrolment: "e", Person: "via device"}
}

// TestJournalRows: an entry comes back as it was kept, or its MAC would be another's.
func TestJournalRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, j, at := t.Context(), db.Journal(), time.Date(2026, 11, 3, 3, 0, 0, 123456000, time.UTC)
		want := []brake.Entry{
			{
				Seq: 1, Event: brake.Lifted, Kind: brake.Erase, At: at, Order: "o", Device: "d", Enrolment: "e", Site: "Łódź", Person: "p", Campaign: true, Hash: "h",
				Until: at.Add(time.Hour), Note: "line\nand 'quote'", MAC: []byte{0, 1, 255},
			},
			{Seq: 2, Event: brake.Reset, MAC: []byte{2}},
			{Seq: 1 << 40, Event: brake.Used, Kind: brake.Lock, At: at, MAC: []byte{3}},
		}
		err := j.Do(ctx, func(ctx context.Context) error {
			for _, e := range want {
				if err := j.Append(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			seq   int64
			limit int
			want  []brake.Entry
		}{{0, 9, want}, {0, 2, want[:2]}, {1, 1, want[1:2]}, {2, 9, want[2:]}, {1 << 40, 9, nil}} {
			got, err := j.Since(ctx, tt.seq, tt.limit)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("Since(%d, %d) mismatch, %v (-want +got):\n%s", tt.seq, tt.limit, err, diff)
			}
		}
		if err := j.Do(ctx, func(ctx context.Context) error { return j.Append(ctx, want[0]) }); err == nil {
			t.Error("an entry was kept twice")
		}
	})
}

// TestJournalTampering: what a thief with SQL does to the journal is found on the real
// databases, by a server that runs and by one that starts; nothing is taken then, until the
// operator begins anew.
func TestJournalTampering(t *testing.T) {
	t.Parallel()
	const last = `(SELECT MAX(seq) FROM brake_journal)`
	spoils := []struct{ name, sql string }{
		{"the last row deleted", `DELETE FROM brake_journal WHERE seq = ` + last},
		{"a middle row deleted", `DELETE FROM brake_journal WHERE seq = ` + last + ` - 2`},
		{"a field changed", `UPDATE brake_journal SET hash = 'other' WHERE seq = ` + last + ` - 3`},
		{"the last one changed", `UPDATE brake_journal SET at = at - 86400000000 WHERE seq = ` + last},
		{"a forged row", `INSERT INTO brake_journal SELECT seq + 1, 'released', kind, at, order_id, device_id, enrolment_id, site, person, campaign, hash, until_at, note, mac FROM brake_journal WHERE seq = ` + last},
		{"rows renumbered", `UPDATE brake_journal SET seq = seq + 1000`},
		{"an older copy, with less", `DELETE FROM brake_journal WHERE seq > ` + last + ` - 3`},
		{"all rows deleted", `DELETE FROM brake_journal`},
		{"the gate deleted", `DELETE FROM brake_gate`},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, path := t.Context(), filepath.Join(t.TempDir(), "brake.head")
		running := copyOf(t, db, path, nil)
		for _, spoil := range spoils {
			for n := range 3 {
				if err := running.Record(ctx, brake.Entry{Event: brake.Requested, Kind: brake.Erase, Order: ward.OrderID(fmt.Sprint(n)), Hash: "h"}); err != nil {
					t.Fatalf("%s: %v", spoil.name, err)
				}
			}
			for range 2 {
				if h, err := running.Take(ctx, brake.Entry{Event: brake.Used, Kind: brake.Lock, Person: "ada"}); h != nil || err != nil {
					t.Fatalf("%s: Take = %v, %v", spoil.name, h, err)
				}
			}
			if err := db.Tamper(ctx, spoil.sql); err != nil {
				t.Fatalf("%s: %v", spoil.name, err)
			}
			starting, err := brake.New(brake.Config{Journal: db.Journal(), Fleet: db.Journal(), Anchor: brake.FileAnchor(path), Key: storetest.Master().Derive("brake"), Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			servers := map[string]*brake.Service{"that runs": running, "that starts": starting}
			for which, s := range servers {
				if err := s.Check(ctx); !errors.Is(err, brake.ErrTampered) {
					t.Errorf("%s: Check of a server %s = %v", spoil.name, which, err)
				}
				if h, err := s.Take(ctx, deliver(9)); h != nil || !errors.Is(err, brake.ErrTampered) {
					t.Errorf("%s: Take of a server %s = %v, %v", spoil.name, which, h, err)
				}
			}
			err = running.Reanchor(ward.WithActor(ctx, ward.Actor{Via: ward.ViaConsole}), "it is known why")
			if spoil.name == "the gate deleted" {
				if err == nil || !strings.Contains(err.Error(), "brake_gate") {
					t.Errorf("%s: Reanchor = %v, want it to name what is missing", spoil.name, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", spoil.name, err)
			}
			for which, s := range servers {
				if err := s.Check(ctx); err != nil {
					t.Fatalf("%s: after the operator began anew, Check of a server %s = %v", spoil.name, which, err)
				}
			}
		}
	})
}

// TestJournalUnreadable: SQLite keeps a text where a number belongs.
func TestJournalUnreadable(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	s := copyOf(t, db, filepath.Join(t.TempDir(), "brake.head"), nil)
	if _, err := s.Take(t.Context(), deliver(1)); err != nil {
		t.Fatal(err)
	}
	if err := db.Tamper(t.Context(), `UPDATE brake_journal SET at = 'never'`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Take(t.Context(), deliver(2)); !errors.Is(err, brake.ErrTampered) {
		t.Errorf("Take = %v", err)
	}
}

// TestJournalRollback: a unit of work that fails leaves neither entry nor count, also where
// others share its commit.
func TestJournalRollback(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, boom := t.Context(), errors.New("boom")
		s := copyOf(t, db, filepath.Join(t.TempDir(), "brake.head"), nil)
		var wg sync.WaitGroup
		var mu sync.Mutex
		passed := 0
		for n := range 60 {
			wg.Go(func() {
				fails := n%3 > 0
				err := db.Do(ctx, func(ctx context.Context) error {
					h, err := s.Take(ctx, deliver(n))
					if err != nil || fails {
						return errors.Join(err, boom)
					}
					if h == nil {
						mu.Lock()
						defer mu.Unlock()
						passed++
					}
					return nil
				})
				if fails != errors.Is(err, boom) || errors.Is(err, brake.ErrTampered) || !fails && err != nil {
					t.Errorf("unit of work %d = %v", n, err)
				}
			})
		}
		wg.Wait()
		if err := s.Check(ctx); err != nil {
			t.Error(err)
		}
		if passed != 3 {
			t.Errorf("%d passed, want 3", passed)
		}
		if rows, err := db.Journal().Since(ctx, 0, 100); len(rows) != 4 || err != nil {
			t.Errorf("the journal has %d entries, %v; want three deliveries and the hold", len(rows), err)
		}
	})
}

// TestJournalCopies: two copies of the server, each with a memory and an anchor of its own,
// hand out at once: no more than the window takes passes, and one hold is told.
func TestJournalCopies(t *testing.T) {
	t.Parallel()
	url := storetest.PostgresURL(t)
	var mu sync.Mutex
	holds, passed := 0, 0
	told := func(context.Context, brake.Hold) error {
		mu.Lock()
		defer mu.Unlock()
		holds++
		return nil
	}
	var copies []*brake.Service
	var anchors []string
	for i := range 2 {
		db, err := store.Open(t.Context(), store.Options{URL: url, Master: storetest.Master(), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		anchors = append(anchors, filepath.Join(t.TempDir(), fmt.Sprint(i)))
		copies = append(copies, copyOf(t, db, anchors[i], told))
	}
	var wg sync.WaitGroup
	for n := range 80 {
		wg.Go(func() {
			s := copies[n%2]
			if n%5 == 0 { // a look from outside must wait for nobody
				if _, err := s.Ledger(t.Context()); err != nil {
					t.Error(err)
				}
			}
			h, err := s.Take(t.Context(), deliver(n/2)) // both copies are asked for the same
			if err != nil {
				t.Error(err)
			}
			if h == nil {
				mu.Lock()
				defer mu.Unlock()
				passed++
			}
		})
	}
	wg.Wait()
	if holds != 1 || passed < 3 || passed > 6 {
		t.Errorf("%d passed and %d holds were told; want three orders, each once or twice, and one", passed, holds)
	}
	for i, s := range copies {
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if seq, _, err := brake.FileAnchor(anchors[i]).Load(); seq != 4 || err != nil {
			t.Errorf("copy %d is anchored at %d, %v; want 4", i, seq, err)
		}
	}
}

// TestFleetCount: what limits are shares of are the devices that are managed or lost.
func TestFleetCount(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for i, d := range []struct{ state, site string }{{"managed", "north"}, {"managed", ""}, {"lost", "north"}, {"invited", "north"}, {"unenrolled", ""}, {"erased", "north"}} {
			err := db.Tamper(t.Context(), `INSERT INTO device (id, serial, name, platform, model, os_version, ownership, grp, owner, email, state, site, reenrol, generation, check_at, created_at)
				VALUES ($1, '', '', 'ios', '', '', 'corporate', '', '', '', $2, $3, FALSE, 0, 0, 0)`, fmt.Sprint("d", i), d.state, d.site)
			if err != nil {
				t.Fatal(err)
			}
		}
		for site, want := range map[string]int{"": 3, "north": 2, "south": 0} {
			if n, err := db.Journal().Count(t.Context(), site); n != want || err != nil {
				t.Errorf("Count(%q) = %d, %v; want %d", site, n, err, want)
			}
		}
	})
}
