package ca_test

import (
	"context"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/jobs"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// diary is an audit log and a memory for warnings, without a database.
type diary struct {
	mu    sync.Mutex
	now   func() time.Time
	used  map[string]bool
	lines []string
	fails error
}

func (d *diary) Do(ctx context.Context, fn func(ctx context.Context) error) error { return fn(ctx) }

func (d *diary) UseOnce(_ context.Context, bucket, key string, _ []byte, _ time.Time) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails != nil {
		return false, d.fails
	}
	fresh := !d.used[bucket+key]
	d.used[bucket+key] = true
	return fresh, nil
}

func (d *diary) PurgeOnce(context.Context, time.Time) (int64, error) { return 0, nil }

func (d *diary) Record(_ context.Context, action, subject string, detail map[string]string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%s %s %s: %s, %s days left", d.now().Format("01-02"), action, subject, detail["warning"], detail["days_left"]))
	return nil
}

// TestWatch: over the last ten weeks of two certificates each warning comes once, on its
// day; of those that were missed while the server stood still only the latest comes.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now() // the bubble's: midnight, 1 January 2000
		d := &diary{now: time.Now, used: map[string]bool{}}
		cert := func(n int64, end time.Time) *x509.Certificate {
			return &x509.Certificate{Raw: []byte{byte(n)}, SerialNumber: big.NewInt(n), NotAfter: end}
		}
		core, logs := observer.New(zap.WarnLevel)
		self := ca.WatchedOf("server", cert(3, start.AddDate(0, 0, 20)), "")
		self.Renews = true
		w := &ca.Watch{
			Sources: []func(context.Context) ([]ca.Watched, error){
				func(context.Context) ([]ca.Watched, error) {
					return []ca.Watched{ca.WatchedOf("issuer", cert(1, start.AddDate(0, 0, 70)), "ward ca rotate")}, nil
				},
				func(context.Context) ([]ca.Watched, error) { return nil, errors.New("the database is away") },
				func(context.Context) ([]ca.Watched, error) {
					return []ca.Watched{ca.WatchedOf("push", cert(2, start.AddDate(0, 0, 10)), "renew it"), self}, nil
				},
			},
			Unit: d, Once: d, Audit: d, Now: time.Now, Log: zap.New(core),
		}
		ctx, cancel := context.WithTimeout(t.Context(), 72*24*time.Hour)
		defer cancel()
		job := jobs.Job{Name: "expiry", Every: time.Hour, Do: w.Do}
		if err := jobs.Run(ctx, zap.NewNop(), time.Second, job); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		want := []string{
			"01-01 certificate.expiring push: 14, 10 days left",
			"01-04 certificate.expiring push: 7, 7 days left",
			"01-10 certificate.expiring push: 1, 1 days left",
			"01-11 certificate.expiring issuer: 60, 60 days left",
			"01-11 certificate.expiring push: 0, 0 days left",
			"01-14 certificate.expiring server: 7, 7 days left",
			"01-20 certificate.expiring server: 1, 1 days left",
			"01-21 certificate.expiring server: 0, 0 days left",
			"02-10 certificate.expiring issuer: 30, 30 days left",
			"02-26 certificate.expiring issuer: 14, 14 days left",
			"03-04 certificate.expiring issuer: 7, 7 days left",
			"03-10 certificate.expiring issuer: 1, 1 days left",
			"03-11 certificate.expiring issuer: 0, 0 days left",
		}
		if diff := cmp.Diff(want, d.lines); diff != "" {
			t.Errorf("warnings mismatch (-want +got)\n%s", diff)
		}
		if n := logs.FilterMessage("certificate expires").Len(); n != len(want) {
			t.Errorf("the log has %d warnings, want %d", n, len(want))
		}
	})
}

// TestWatchFails: a warning that could not be recorded is given later.
func TestWatchFails(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	d := &diary{now: func() time.Time { return now }, used: map[string]bool{}, fails: errors.New("the database is away")}
	c := ca.WatchedOf("issuer", &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: now.Add(time.Hour)}, "")
	w := &ca.Watch{Sources: []func(context.Context) ([]ca.Watched, error){func(context.Context) ([]ca.Watched, error) { return []ca.Watched{c}, nil }}, Unit: d, Once: d, Audit: d, Now: d.now, Log: zap.NewNop()}
	if err := w.Do(t.Context()); !errors.Is(err, d.fails) || len(d.lines) != 0 {
		t.Errorf("Do = %v, with %v", err, d.lines)
	}
	d.fails = nil
	var told []int
	w.Tell = func(_ context.Context, _ ca.Watched, daysLeft int) error {
		told = append(told, daysLeft)
		return nil
	}
	if err := errors.Join(w.Do(t.Context()), w.Do(t.Context())); err != nil || len(d.lines) != 1 || !slices.Equal(told, []int{0}) {
		t.Errorf("Do twice = %v, with %v, told %v; want one warning, told once", err, d.lines, told)
	}
}

func TestDaysLeft(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		left time.Duration
		want int
	}{{0, 0}, {time.Hour, 0}, {24 * time.Hour, 1}, {47 * time.Hour, 1}, {-time.Second, -1}, {-25 * time.Hour, -2}} {
		if got := (ca.Watched{NotAfter: now.Add(tt.left)}).DaysLeft(now); got != tt.want {
			t.Errorf("DaysLeft(%s) = %d, want %d", tt.left, got, tt.want)
		}
	}
}

// TestWatchTogether: several copies of the server on one database warn once together,
// and devices that enrolled in one week are warned of together.
func TestWatchTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		d := &diary{now: f.clock.now}
		watch := func() *ca.Watch {
			return &ca.Watch{Sources: []func(context.Context) ([]ca.Watched, error){f.Watched}, Unit: db, Once: db.Certificates(), Audit: d, Now: f.clock.now, Log: zap.NewNop()}
		}
		f.clock.turn(time.Until(f.Issuer().NotAfter.Add(-20 * 24 * time.Hour)))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := watch().Do(t.Context()); err != nil {
					t.Errorf("Do: %v", err)
				}
			})
		}
		wg.Wait()
		if len(d.lines) != 1 {
			t.Errorf("four copies warned %d times: %v", len(d.lines), d.lines)
		}
	})
}

// TestWatchedIdentities: a device that no longer proves itself by a certificate is not
// warned of, the one that still does is.
func TestWatchedIdentities(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	all, err := f.Watched(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "root" || all[1].Name != "issuer" {
		t.Fatalf("Watched = %+v, %v; want root and issuer alone", all, err)
	}
	csr, _ := ecRequest(t, elliptic.P256())
	if _, err := f.IssueApp(t.Context(), csr, appGrant, nil); err != nil {
		t.Fatal(err)
	}
	if all, err = f.Watched(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("an app's certificate is watched as an identity: %+v, %v", all, err)
	}
}

// TestWatchOutside: of an outside authority's issuer nobody is told to make another here.
func TestWatchOutside(t *testing.T) {
	t.Parallel()
	s := underOutside(t, storetest.SQLite(t))
	all, err := s.Watched(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cures := map[string]bool{}
	for _, w := range all {
		cures[w.Name] = strings.Contains(w.Cure, "ward ca rotate")
	}
	if diff := cmp.Diff(map[string]bool{"root": false, "issuer": true, "issuer 1001": false}, cures); diff != "" {
		t.Errorf("told to rotate mismatch (-want +got)\n%s", diff)
	}
}
