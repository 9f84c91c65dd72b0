package httpd_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/httpd"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
	l := httpd.NewLimiter(httpd.Rate{PerMinute: 60, Burst: 3}, func() time.Time { return now })
	for i := range 3 {
		if wait := l.Take("a"); wait != 0 {
			t.Fatalf("request %d waits %s, want the burst to pass", i+1, wait)
		}
	}
	for range 5 { // who asks in vain does not wait longer for it
		if wait := l.Take("a"); wait != time.Second {
			t.Fatalf("beyond the burst: %s, want a second", wait)
		}
	}
	if wait := l.Take("b"); wait != 0 {
		t.Errorf("another caller waits %s", wait)
	}
	now = now.Add(time.Second)
	if wait := l.Take("a"); wait != 0 {
		t.Errorf("a second later: %s, want it to pass", wait)
	}
	if wait := l.Take("a"); wait != time.Second {
		t.Errorf("and again at once: %s, want a second", wait)
	}
	now = now.Add(time.Hour)
	for i := range 4 {
		if wait := l.Take("a"); (wait > 0) != (i == 3) {
			t.Errorf("an hour later, request %d: %s, want a burst of 3 and no more", i+1, wait)
		}
	}
}

// TestLimiterForgets: callers without number take no memory without bound, and one that goes
// on asking is not forgotten among them.
func TestLimiterForgets(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
	l := httpd.NewLimiter(httpd.Rate{PerMinute: 1}, func() time.Time { return now })
	l.Take("thief")
	for i := range 50_000 {
		l.Take(fmt.Sprint(i))
		if i%5000 == 0 {
			if wait := l.Take("thief"); wait == 0 {
				t.Fatalf("after %d others the thief may begin anew", i)
			}
		}
	}
	if n := l.Callers(); n > 20_000 {
		t.Errorf("%d callers are remembered, want 20,000 at most", n)
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	l := httpd.NewLimiter(httpd.Rate{}, func() time.Time { return time.Time{} })
	for range 1000 {
		if wait := l.Take("a"); wait != 0 {
			t.Fatalf("no limit waits %s", wait)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	left := time.Duration(0)
	h := httpd.Limit(func(*http.Request) time.Duration { return left }, func(w http.ResponseWriter, _ *http.Request, _ time.Duration) {
		w.WriteHeader(http.StatusTooManyRequests)
	}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for _, tt := range []struct {
		left  time.Duration
		code  int
		retry string
	}{{0, 204, ""}, {time.Millisecond, 429, "1"}, {1500 * time.Millisecond, 429, "2"}} {
		left = tt.left
		out := httptest.NewRecorder()
		h.ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		if got := out.Header().Get("Retry-After"); out.Code != tt.code || got != tt.retry {
			t.Errorf("with %s left: %d, Retry-After %q; want %d, %q", tt.left, out.Code, got, tt.code, tt.retry)
		}
	}
}
