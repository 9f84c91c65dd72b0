package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"github.com/wardmdm/ward/server/unit"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func TestUnitOfWork(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		boom := errors.New("boom")
		tests := []struct {
			name string
			fn   func(ctx context.Context) error
			want error
			kept bool
		}{
			{"kept", func(ctx context.Context) error { return db.SetSetting(ctx, "kept", "1") }, nil, true},
			{"rolled back", func(ctx context.Context) error { return errors.Join(db.SetSetting(ctx, "rolled back", "1"), boom) }, boom, false},
			{"nested joins", func(ctx context.Context) error {
				if err := db.Do(ctx, func(ctx context.Context) error { return db.SetSetting(ctx, "nested joins", "1") }); err != nil {
					return err
				}
				return boom
			}, boom, false},
		}
		for _, tt := range tests {
			ran := false
			err := db.Do(ctx, func(ctx context.Context) error {
				unit.AfterCommit(ctx, func() { ran = true })
				return tt.fn(ctx)
			})
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: Do = %v, want %v", tt.name, err, tt.want)
			}
			got, err := db.Setting(ctx, tt.name)
			if err != nil {
				t.Fatal(err)
			}
			if (got == "1") != tt.kept || ran != tt.kept {
				t.Errorf("%s: written %v, hook ran %v, want both %v", tt.name, got == "1", ran, tt.kept)
			}
		}
	})
}

// TestNeighbours: in a shared commit one member's failure, panic or cancelled caller
// must not touch the others.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	ctx := t.Context()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			caller, cancel := context.WithCancel(ctx)
			defer cancel()
			err := db.Do(caller, func(ctx context.Context) error {
				if err := db.SetSetting(ctx, fmt.Sprint("n", i), "1"); err != nil {
					return err
				}
				switch i % 4 {
				case 1:
					return errors.New("fails")
				case 2:
					panic("panics")
				case 3:
					cancel()
				}
				return nil
			})
			if failed := i%4 == 1 || i%4 == 2; (err != nil) != failed {
				t.Errorf("member %d: error %v", i, err)
			}
		})
	}
	wg.Wait()
	for i := range 200 {
		got, err := db.Setting(ctx, fmt.Sprint("n", i))
		if err != nil {
			t.Fatal(err)
		}
		if want := i%4 == 0 || i%4 == 3; (got == "1") != want {
			t.Errorf("member %d: written %v, want %v", i, got == "1", want)
		}
	}
}
