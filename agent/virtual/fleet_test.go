package virtual_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

func TestFleet(t *testing.T) {
	t.Parallel()
	const n = 30
	s := trialserver.New(t)
	base := options(t, s)
	var all []virtual.Options
	for i := range n {
		o := base
		o.UDID, o.Serial = fmt.Sprintf("UDID-%d", i), fmt.Sprintf("SN%d", i)
		all = append(all, o)
	}
	f, err := virtual.NewFleet(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Each(t.Context(), 8, func(ctx context.Context, _ int, p *virtual.Phone) error { return p.Enrol(ctx, s.URL+"/enrol") }); err != nil {
		t.Fatal(err)
	}
	f.Start(t.Context())
	for _, p := range f.Phones() {
		s.AwaitListening(t, p.UDID())
	}
	var ids []string
	for _, p := range f.Phones() {
		ids = append(ids, s.Enqueue(t, p.UDID(), "ProfileList", nil))
	}
	for i, p := range f.Phones() {
		if got := s.Answer(t, p.UDID(), ids[i])["Status"]; got != "Acknowledged" {
			t.Errorf("%s answered %v, want Acknowledged", p.UDID(), got)
		}
		if got := s.Idles(p.UDID()); got != 1 {
			t.Errorf("%s asked %d times, want once: nothing polls", p.UDID(), got)
		}
	}
	replace(t, s, f)
	if err := f.Stop(); err != nil {
		t.Errorf("Stop() = %v, want nil", err)
	}
}

// replace erases the first phone of a fleet and enrols it afresh.
func replace(t *testing.T, s *trialserver.Server, f *virtual.Fleet) {
	t.Helper()
	old := f.Phones()[0]
	s.Do(t, old.UDID(), "EraseDevice", nil)
	if err := old.Await(t.Context(), (*virtual.Phone).Erased); err != nil {
		t.Fatal(err)
	}
	next, err := old.Reset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !f.Replace(old, next) || f.Phones()[0] != next {
		t.Error("Replace() did not put the fresh phone in place of the old one")
	}
	if err := next.Enrol(t.Context(), s.URL+"/enrol"); err != nil {
		t.Fatal(err)
	}
	f.Run(t.Context(), next)
	s.AwaitListening(t, next.UDID())
	if got := s.Do(t, next.UDID(), "ProfileList", nil)["Status"]; got != "Acknowledged" {
		t.Errorf("the fresh phone answered %v, want Acknowledged", got)
	}
}
