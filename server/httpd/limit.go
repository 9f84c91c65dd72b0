package httpd

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often one caller may ask: so often in a minute over time, and Burst at once.
// The zero Rate bounds nothing.
type Rate struct {
	PerMinute int
	Burst     int // PerMinute if 0
}

// maxCallers bounds the callers that are remembered, twice: the newest, and those before.
const maxCallers = 10_000

// Limiter counts what each caller asks. It may be used by several goroutines. Each copy of
// the server counts for itself.
type Limiter struct {
	rate Rate
	now  func() time.Time

	mu     sync.Mutex
	recent map[string]*rate.Limiter
	before map[string]*rate.Limiter
}

// NewLimiter returns a Limiter.
func NewLimiter(r Rate, now func() time.Time) *Limiter {
	if r.Burst <= 0 {
		r.Burst = r.PerMinute
	}
	return &Limiter{rate: r, now: now, recent: map[string]*rate.Limiter{}}
}

// Take counts one request of a caller. It returns 0 if that may go on, else for how long the
// caller has to wait; then it is not counted.
func (l *Limiter) Take(caller string) time.Duration {
	if l.rate.PerMinute <= 0 {
		return 0
	}
	now := l.now()
	r := l.of(caller).ReserveN(now, 1)
	if !r.OK() {
		return time.Minute
	}
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// of returns the count of a caller. When there are too many callers those that have not asked
// for longest are forgotten, which lets them begin anew.
func (l *Limiter) of(caller string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one, ok := l.recent[caller]; ok {
		return one
	}
	one, ok := l.before[caller]
	if !ok {
		one = rate.NewLimiter(rate.Limit(float64(l.rate.PerMinute)/60), l.rate.Burst)
	}
	if len(l.recent) >= maxCallers {
		l.before, l.recent = l.recent, map[string]*rate.Limiter{}
	}
	l.recent[caller] = one
	return one
}

// Limit asks wait of each request for how long it has to wait, and answers one that has to
// with Retry-After and what refuse writes, which is to be a 429.
func Limit(wait func(r *http.Request) time.Duration, refuse func(w http.ResponseWriter, r *http.Request, wait time.Duration), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		left := wait(r)
		if left <= 0 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Retry-After", strconv.Itoa(Seconds(left))) // RFC 9110, section 10.2.3
		refuse(w, r, left)
	})
}

// Seconds is a time in whole seconds, one at least: who comes back after them is not too
// early.
func Seconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }
