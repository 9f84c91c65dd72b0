package jobs

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		wake := make(chan struct{})
		var at []time.Duration
		start := time.Now()
		done := make(chan error)
		go func() {
			done <- Run(ctx, zap.NewNop(), time.Second, Job{Name: "j", Every: time.Minute, Wake: wake, Settle: time.Second, Do: func(context.Context) error {
				at = append(at, time.Since(start))
				return errors.New("a failure does not end it")
			}})
		}()
		time.Sleep(90 * time.Second) //nolint:forbidigo // the bubble's clock moves, nobody waits
		wake <- struct{}{}
		time.Sleep(2 * time.Second) //nolint:forbidigo // likewise
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []time.Duration{0, time.Minute, 91 * time.Second, 92 * time.Second}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("ran mismatch (-want +got):\n%s", diff)
		}
	})
}

// TestPanicEndsNoServer: a fault in one job is logged, and the job is done again.
func TestPanicEndsNoServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		core, logs := observer.New(zap.ErrorLevel)
		n := 0
		done := make(chan error)
		go func() {
			done <- Run(ctx, zap.New(core), time.Second, Job{Name: "j", Every: time.Minute, Do: func(context.Context) error {
				if n++; n == 1 {
					panic("boom")
				}
				return nil
			}})
		}()
		time.Sleep(90 * time.Second) //nolint:forbidigo // the bubble's clock moves, nobody waits
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n != 3 || logs.FilterMessage("job panicked").Len() != 1 {
			t.Errorf("it ran %d times and %d panics are logged, want 3 and 1", n, logs.FilterMessage("job panicked").Len())
		}
	})
}

type outbox struct {
	due  []Push
	did  map[string]time.Duration
	from time.Time
}

func (o *outbox) Lease(context.Context, time.Time, time.Duration, int) ([]Push, error) {
	d := o.due
	o.due = nil
	return d, nil
}

func (o *outbox) Sent(_ context.Context, id ward.EnrolmentID, at time.Time) error {
	o.did["sent "+string(id)] = at.Sub(o.from)
	return nil
}

func (o *outbox) Failed(_ context.Context, id ward.EnrolmentID, at time.Time) error {
	o.did["failed "+string(id)] = at.Sub(o.from)
	return nil
}

func (o *outbox) Dead(_ context.Context, id ward.EnrolmentID, at time.Time) error {
	o.did["dead "+string(id)] = at.Sub(o.from)
	return nil
}

type sender struct{}

func (sender) Send(_ context.Context, topic string, _ []byte, _ string) (bool, time.Duration, error) {
	switch topic {
	case "dead":
		return true, 0, errors.New("410")
	case "slow":
		return false, 5 * time.Minute, errors.New("429")
	case "down":
		return false, 0, errors.New("503")
	}
	return false, 0, nil
}

func TestPusher(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	o := &outbox{did: map[string]time.Duration{}, from: now, due: []Push{
		{Enrolment: "ok", Token: "00", Attempts: 1},
		{Enrolment: "again", Token: "00", Attempts: 3},
		{Enrolment: "gone", Topic: "dead", Token: "00", Attempts: 1},
		{Enrolment: "busy", Topic: "slow", Token: "00", Attempts: 1},
		{Enrolment: "down", Topic: "down", Token: "00", Attempts: 4},
		{Enrolment: "broken", Token: "zz", Attempts: 1},
	}}
	p := &Pusher{Outbox: o, Sender: sender{}, Workers: 1, Now: func() time.Time { return now }, Log: zap.NewNop()}
	if err := p.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]time.Duration{
		"sent ok": again, "sent again": 4 * again, "dead gone": 0, "failed busy": 5 * time.Minute, "failed down": 80 * time.Second, "dead broken": 0,
	}
	if diff := cmp.Diff(want, o.did); diff != "" {
		t.Errorf("pushes mismatch (-want +got):\n%s", diff)
	}
}
