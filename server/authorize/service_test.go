package authorize_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/compliance"
)

// record is a small working store.
type record struct {
	mu       sync.Mutex
	subjects map[string]authorize.Subject
	reads    atomic.Int64
	during   func() // while a read is on its way
	fail     error
	units    int
	checks   []ward.DeviceID
	audited  []string
	used     map[string]authorize.Use
}

func (r *record) Do(ctx context.Context, fn func(context.Context) error) error {
	r.units++
	return fn(ctx)
}

func (r *record) Subject(_ context.Context, hash string) (authorize.Subject, error) {
	r.reads.Add(1)
	r.mu.Lock()
	s, ok := r.subjects[hash]
	err := r.fail
	r.mu.Unlock()
	if r.during != nil {
		r.during()
	}
	if !ok && err == nil {
		err = ward.Errorf(ward.NotFound, "none")
	}
	return s, err
}

func (r *record) SaveVerdict(context.Context, authorize.Verdict) error { return r.fail }

func (r *record) SaveUse(_ context.Context, u authorize.Use) (bool, error) {
	if r.fail != nil {
		return false, r.fail
	}
	changed := u.Reason != authorize.Allowed && r.used[u.Serial].Reason != u.Reason
	r.used[u.Serial] = u
	return changed, nil
}

func (r *record) SaveAllowed(_ context.Context, all []authorize.Use) error {
	if r.fail != nil {
		return r.fail
	}
	for _, u := range all {
		r.used[u.Serial] = u
	}
	return nil
}

func (r *record) CheckSoon(_ context.Context, id ward.DeviceID, _ time.Time) error {
	r.checks = append(r.checks, id)
	return r.fail
}

func (r *record) Record(_ context.Context, action, subject string, detail map[string]string) error {
	r.audited = append(r.audited, action+" "+subject+" "+detail["serial"]+" "+detail["app"]+" "+detail["reason"])
	return nil
}

func (r *record) set(hash string, change func(*authorize.Subject)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.subjects[hash]
	change(&s)
	r.subjects[hash] = s
}

var app = authorize.Want{Kind: authorize.App}

func newService(t *testing.T) (*authorize.Service, *record) {
	t.Helper()
	s := compliant()
	now := time.Now()
	s.NotBefore, s.NotAfter, s.Verdict.Until = now.Add(-time.Hour), now.Add(24*time.Hour), now.Add(24*time.Hour)
	r := &record{subjects: map[string]authorize.Subject{"h": s}, used: map[string]authorize.Use{}}
	v, err := authorize.New(authorize.Options{Store: r, Planner: r, Audit: r, Now: time.Now, Steady: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return v, r
}

func asks(t *testing.T, s *authorize.Service, hash string, want authorize.Reason) {
	t.Helper()
	d, err := s.Ask(t.Context(), hash, app)
	if err != nil || d.Reason != want {
		t.Errorf("Ask(%s) = %s, %v; want %s", hash, d.Reason, err, want)
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := authorize.New(authorize.Options{}); err == nil {
		t.Error("New() of nothing succeeds")
	}
}

// TestWhatIsRemembered: the record is asked at most so often about one certificate, and
// what it said counts no longer than that.
func TestWhatIsRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newService(t)
		for range 20 {
			asks(t, s, "h", authorize.Allowed)
		}
		if n := r.reads.Load(); n != 1 {
			t.Errorf("20 questions read %d times, want once", n)
		}
		r.set("h", func(x *authorize.Subject) { x.State = ward.Lost })
		time.Sleep(authorize.Remember - 1) //nolint:forbidigo // synctest's clock
		asks(t, s, "h", authorize.Allowed)
		time.Sleep(time.Nanosecond) //nolint:forbidigo // synctest's clock
		asks(t, s, "h", authorize.Lost)

		r.set("h", func(x *authorize.Subject) { x.State = ward.Managed })
		s.Forget()
		asks(t, s, "h", authorize.Allowed)
		asks(t, s, "none", authorize.Unknown)
		before := r.reads.Load()
		asks(t, s, "none", authorize.Unknown)
		if n := r.reads.Load(); n != before {
			t.Error("an unknown certificate is looked up each time")
		}
	})
}

// TestForgottenWhileRead: what was read before a commit is not remembered after it.
func TestForgottenWhileRead(t *testing.T) {
	t.Parallel()
	s, r := newService(t)
	r.during = func() {
		r.during = nil
		r.set("h", func(x *authorize.Subject) { x.State = ward.Lost }) // a report commits between the read and its answer
		s.Forget()
	}
	asks(t, s, "h", authorize.Allowed) // this question was put before the report
	asks(t, s, "h", authorize.Lost)
}

// TestManyStrangers: certificates that are made up do not fill the memory.
func TestManyStrangers(t *testing.T) {
	t.Parallel()
	s, r := newService(t)
	for i := range 20_000 {
		if d, err := s.Ask(t.Context(), fmt.Sprint("stranger ", i), app); err != nil || d.Reason != authorize.Unknown {
			t.Fatalf("Ask() = %v, %v", d, err)
		}
	}
	asks(t, s, "h", authorize.Allowed)
	if n := r.reads.Load(); n != 20_001 {
		t.Errorf("%d reads", n)
	}
}

func TestNoRecordNoEntry(t *testing.T) {
	t.Parallel()
	s, r := newService(t)
	r.fail = errors.New("down")
	d, err := s.Ask(t.Context(), "h", app)
	if !errors.Is(err, r.fail) || d.Reason != authorize.Failed || d.Device != "" {
		t.Errorf("Ask() = %+v, %v; want failed, with the reason", d, err)
	}
	r.fail = nil
	asks(t, s, "h", authorize.Allowed) // the failure is not remembered
}

// TestUse: a use is written once a minute at most, a refusal is audited once until its
// reason changes, and what can't be written is kept.
func TestUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r := newService(t)
		flush := func() {
			t.Helper()
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Forget()
		}
		use := func() authorize.Use { return r.used["7"] }
		asks(t, s, "h", authorize.Allowed)
		first := time.Now()
		r.fail = errors.New("down")
		if err := s.Flush(t.Context()); !errors.Is(err, r.fail) {
			t.Fatalf("Flush() = %v, want the database's error", err)
		}
		r.fail = nil
		flush()
		if diff := cmp.Diff(authorize.Use{Serial: "7", Used: first, Reason: authorize.Allowed}, use()); diff != "" {
			t.Errorf("use mismatch (-want +got)\n%s", diff)
		}
		before := r.units
		time.Sleep(authorize.Coarse - time.Second) //nolint:forbidigo // synctest's clock
		asks(t, s, "h", authorize.Allowed)
		flush()
		if r.units != before {
			t.Error("a use within the same minute is written")
		}
		r.set("h", func(x *authorize.Subject) { x.Revoked = time.Now() })
		for range 3 {
			asks(t, s, "h", authorize.Revoked)
			flush()
			time.Sleep(2 * authorize.Coarse) //nolint:forbidigo // synctest's clock
		}
		r.set("h", func(x *authorize.Subject) { x.State = ward.Lost })
		asks(t, s, "h", authorize.Lost)
		flush()
		want := []string{"certificate.refused d1 7 org.example.chat revoked", "certificate.refused d1 7 org.example.chat lost"}
		if diff := cmp.Diff(want, r.audited); diff != "" {
			t.Errorf("audited mismatch (-want +got)\n%s", diff)
		}
		if u := use(); !u.Refused.Equal(time.Now()) {
			t.Errorf("last refused %s, want now", u.Refused)
		}
	})
}

// TestLateVerdicts: a device that nobody has judged in time is made due for it.
func TestLateVerdicts(t *testing.T) {
	t.Parallel()
	s, r := newService(t)
	soon := 0
	s.Soon = func() { soon++ }
	r.set("h", func(x *authorize.Subject) { x.Verdict = authorize.Verdict{} })
	asks(t, s, "h", authorize.Stale)
	<-s.Wanted()
	if err := s.Flush(t.Context()); err != nil || len(r.checks) != 1 || r.checks[0] != "d1" || soon != 1 {
		t.Errorf("Flush() = %v; due are %v, told %d times; want d1, once", err, r.checks, soon)
	}
	s.Forget()
	r.set("h", func(x *authorize.Subject) {
		x.Verdict = authorize.Verdict{State: compliance.NonCompliant, Until: time.Now().Add(time.Hour)}
	})
	asks(t, s, "h", authorize.NonCompliant)
	if err := s.Flush(t.Context()); err != nil || len(r.checks) != 1 {
		t.Errorf("Flush() = %v; due are %v: one that was judged is due again", err, r.checks)
	}
}

// TestWholeFleetComesIn: when very many come in at once, what is written of it waits its
// turn, and refusals do not wait behind it.
func TestWholeFleetComesIn(t *testing.T) {
	t.Parallel()
	s, r := newService(t)
	const fleet = 4500
	for i := range fleet {
		subject := r.subjects["h"]
		subject.Serial = fmt.Sprint("s", i)
		r.subjects[fmt.Sprint("h", i)] = subject
		asks(t, s, fmt.Sprint("h", i), authorize.Allowed)
	}
	r.set("h", func(x *authorize.Subject) { x.Revoked = x.NotBefore })
	asks(t, s, "h", authorize.Revoked)
	var written []int
	for range 4 {
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		written = append(written, len(r.used))
	}
	if diff := cmp.Diff([]int{2001, 4001, fleet + 1, fleet + 1}, written); diff != "" || len(r.audited) != 1 {
		t.Errorf("written after each Flush, with %d refusals (-want +got)\n%s", len(r.audited), diff)
	}
}
