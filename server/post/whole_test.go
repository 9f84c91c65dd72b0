package post

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.uber.org/zap"
)

type nobodyElse struct{}

func (nobodyElse) Emails(context.Context) ([]string, error) { return nil, nil }

func (nobodyElse) Record(context.Context, string, string, map[string]string) error { return nil }

// TestDownThenUp: a relay and a webhook that are down when something happens get the message
// once they are up; an address that the relay refuses stops no other, and is given up after
// a day.
func TestDownThenUp(t *testing.T) {
	t.Parallel()
	relay := newRelay(t, StartTLS)
	relay.serve(t)() // it has an address now, and is down
	var up atomic.Bool
	s, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
		}
	})
	var clock atomic.Int64 // only the test moves it
	now := func() time.Time { return happened.Add(time.Duration(clock.Load())) }
	service, err := notify.New(notify.Config{
		Store: storetest.SQLite(t).Notifications(), People: nobodyElse{}, Audit: nobodyElse{}, Now: now, Logger: zap.NewNop(), PublicURL: "https://mdm.example.org",
		Email: relay.mail(t, nil), To: []string{"bad@example.org", "oncall@example.org"},
		Webhooks: []notify.Webhook{{Name: "duty", Sender: hook(t, s, nil)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	step := func(d time.Duration) map[string]notify.State {
		t.Helper()
		clock.Add(int64(d))
		if err := service.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := service.Log(ward.WithActor(t.Context(), ward.System), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]notify.State{}
		for _, d := range all {
			states[d.To] = d.State()
			if d.State() == notify.Waiting && d.Error == "" {
				t.Errorf("%s waits without a reason", d.To)
			}
		}
		return states
	}
	m := aMessage().Message
	m.Link = "/brake"
	if err := service.Tell(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		wait time.Duration
		do   func()
		want map[string]notify.State
	}{
		{"down", 0, nil, map[string]notify.State{"bad@example.org": notify.Waiting, "oncall@example.org": notify.Waiting, "duty": notify.Waiting}},
		{"up, and not due yet", 9 * time.Second, func() { relay.serve(t); up.Store(true) }, map[string]notify.State{"bad@example.org": notify.Waiting, "oncall@example.org": notify.Waiting, "duty": notify.Waiting}},
		{"due", time.Second, nil, map[string]notify.State{"bad@example.org": notify.Waiting, "oncall@example.org": notify.Delivered, "duty": notify.Delivered}},
		{"a day later", notify.Life, nil, map[string]notify.State{"bad@example.org": notify.GivenUp, "oncall@example.org": notify.Delivered, "duty": notify.Delivered}},
	} {
		if tt.do != nil {
			tt.do()
		}
		if diff := cmp.Diff(tt.want, step(tt.wait)); diff != "" {
			t.Errorf("%s: states mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
	if got := relay.took(); len(got) != 1 || !slices.ContainsFunc(got, func(l letter) bool { return l.to == "oncall@example.org" }) {
		t.Errorf("the relay took %+v, want one letter", got)
	}
}
