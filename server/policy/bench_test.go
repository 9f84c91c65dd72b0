package policy_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

const fleetSize = 100_000

// BenchmarkPlan plans a change against 100,000 enrolled devices of some forty kinds in
// SQLite, each of which has told its apps.
func BenchmarkPlan(b *testing.B) {
	if testing.Short() {
		b.Skip("it makes a large database")
	}
	s := largeFleet(b)
	b.ResetTimer()
	for b.Loop() {
		p, err := s.Plan(b.Context(), version("second"), nil)
		if err != nil || p.Devices != fleetSize || p.Changed == 0 || len(p.Vanish)+len(p.Breach) == 0 {
			b.Fatalf("Plan() = %d of %d, %v", p.Changed, p.Devices, err)
		}
	}
}

// BenchmarkProgress counts how far a rollout over 100,000 devices is.
func BenchmarkProgress(b *testing.B) {
	if testing.Short() {
		b.Skip("it makes a large database")
	}
	s := largeFleet(b)
	if _, err := s.Submit(b.Context(), policy.Draft{Text: version("second"), Rings: policy.Rings{Percent: []int{50, 100}}}); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		if p, err := s.Rollout(b.Context()); err != nil || p.Rings[0].Waiting == 0 {
			b.Fatalf("Rollout() = %+v, %v", p.Rings, err)
		}
	}
}

// largeFleet returns the service on a database with the devices and one policy in force.
func largeFleet(b *testing.B) *policy.Service {
	b.Helper()
	path := filepath.Join(b.TempDir(), "ward.db")
	db, err := store.Open(b.Context(), store.Options{URL: path, Master: storetest.Master(), Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := seed(b.Context(), path); err != nil {
		b.Fatal(err)
	}
	s := policy.New(db.Policies(), &journal{}, now, nil)
	s.Rule = policy.Rule{Above: 1}
	if _, err := s.Publish(b.Context(), version("first", "signal")); err != nil {
		b.Fatal(err)
	}
	return s
}

// seed fills the tables as enrolments do.
func seed(ctx context.Context, path string) error {
	raw, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer raw.Close()
	tx, err := raw.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it was committed, or the error is told
	device, err := tx.PrepareContext(ctx, `INSERT INTO device (id, serial, name, platform, model, os_version, ownership, grp, owner, email, state, reenrol, generation, check_at, created_at, site, role)
		VALUES ($1, $1, 'Phone', $2, 'iPhone15,4', $3, $4, $5, 'Ada', 'ada@hospital.example', 'managed', FALSE, 0, 0, 1, $6, $7)`)
	if err != nil {
		return err
	}
	defer device.Close()
	enrolment, err := tx.PrepareContext(ctx, `INSERT INTO enrolment (id, channel, parent, kind, epoch, latest, device_id, state, serial, supervised, rights, invitation, topic, push_token, push_magic, push_dead_at, tally, created_at, enrolled_at, ended_at, end_reason)
		VALUES ($1, $1, '', $2, 1, TRUE, $1, 'active', $1, $3, 8191, '', 't', '', '', 0, 1, 1, 1, 0, '')`)
	if err != nil {
		return err
	}
	defer enrolment.Close()
	fact, err := tx.PrepareContext(ctx, `INSERT INTO fact (enrolment_id, kind, value, observed_at) VALUES ($1, 'installed_apps', $2, 1)`)
	if err != nil {
		return err
	}
	defer fact.Close()
	attempt, err := tx.PrepareContext(ctx, `INSERT INTO attempt (enrolment_id, step_key, uuid, state, tries, queued_at, answered_at, error) VALUES ($1, $2, '', 'accepted', 0, 1, 2, '')`)
	if err != nil {
		return err
	}
	defer attempt.Close()
	for i := range fleetSize {
		id := fmt.Sprintf("dev_%06d", i)
		platform, os, ownership, kind, supervised := "ios", fmt.Sprintf("%d.%d", 15+i%12, i%7), "corporate", "Device", "supervised"
		switch i % 10 {
		case 7:
			supervised = "unsupervised"
		case 8:
			ownership, supervised, kind = "personal", "unsupervised", "User Enrollment (Device)"
		case 9:
			platform, os = "macos", fmt.Sprint(13+i%4)
		}
		apps := []string{"[]", hasWhatsApp, hasBoth}[i%3]
		if _, err := device.ExecContext(ctx, id, platform, os, ownership, fmt.Sprint("Ward ", i%50), []string{"North", "South"}[i%2], []string{"nurse", "doctor"}[i/2%2]); err != nil {
			return err
		}
		if _, err := enrolment.ExecContext(ctx, id, kind, supervised); err != nil {
			return err
		}
		if _, err := fact.ExecContext(ctx, id, apps); err != nil {
			return err
		}
		for _, key := range []string{"profile:org.wardmdm.policy.messaging:1", "app:org.example.wardmessenger:1"} {
			if _, err := attempt.ExecContext(ctx, id, key); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}
