package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestTellEnded: an exception that ends by itself is told of in the audit log, once.
func TestTellEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	first := now().Truncate(24*time.Hour).AddDate(0, 0, -5)
	last := first.AddDate(0, 0, 10)
	text := string(profiles.ExamplePolicy()) + fmt.Sprintf("\nexceptions:\n  - {id: EX-1, app: whatsapp, for: {ward: Ward 1}, who: a, reason: b, approver: c, from: %s, expires: %s, review: d}\n", first.Format(time.DateOnly), last.Format(time.DateOnly))
	if _, err := w.Publish(w.as("ada", "t1"), []byte(text)); err != nil {
		t.Fatal(err)
	}
	tell := func(at time.Time, want int) {
		t.Helper()
		if err := w.TellEnded(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		if got := w.audit.count(policy.ActionExceptionEnded); got != want {
			t.Errorf("at %s %d ends are told of, want %d", at.Format(time.RFC3339), got, want)
		}
	}
	tell(now(), 0)
	over := last.AddDate(0, 0, 1)
	tell(over.Add(-time.Microsecond), 0)
	tell(over, 1)
	tell(over.Add(time.Hour), 1)
	again := strings.Replace(text, "First version", "Second version", 1)
	if _, err := w.Publish(w.as("ada", "t1"), []byte(again)); err != nil {
		t.Fatal(err)
	}
	tell(over.Add(2*time.Hour), 1)
}
