package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

// TestBook: what went well, what failed and what broke off stands in the book; being stopped
// is no failure.
func TestBook(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	b := NewBook(func() time.Time { return now })
	boom := errors.New("boom")
	var fail error
	all := b.Watch([]Job{
		{Name: "plan", Every: time.Minute, Do: func(context.Context) error { now = now.Add(2 * time.Second); return fail }},
		{Name: "fault", Every: time.Hour, Do: func(context.Context) error { panic("boom") }},
	})
	began := now
	for range 2 {
		for _, j := range all {
			j.once(t.Context(), zap.NewNop())
		}
		fail = boom
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	fail = context.Canceled
	all[0].once(stopped, zap.NewNop())

	since, states := b.States()
	if !since.Equal(began) {
		t.Errorf("since %s, want %s", since, began)
	}
	want := []State{
		{Name: "plan", Every: time.Minute, Started: began.Add(4 * time.Second), Ended: began.Add(6 * time.Second), Good: began.Add(2 * time.Second), Took: 2 * time.Second, Failed: 1, Err: boom},
		{Name: "fault", Every: time.Hour, Started: began.Add(4 * time.Second), Ended: began.Add(4 * time.Second), Failed: 2, Err: errPanicked},
	}
	if diff := cmp.Diff(want, states, cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) })); diff != "" {
		t.Errorf("States() mismatch (-want +got):\n%s", diff)
	}
	if states[0].Running() {
		t.Error("a job that ended is running")
	}
}
