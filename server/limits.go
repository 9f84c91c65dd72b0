package server

import (
	"crypto/sha256"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/httpd"
)

// Limits say how often in a minute one caller may ask; 0 bounds nothing. What devices ask by
// themselves is never bounded: it comes with an identity of Ward's own, and a hospital's
// phones share one address.
type Limits struct {
	SignIn int `yaml:"sign_in_per_minute"`
	API    int `yaml:"api_per_minute"`
	Pages  int `yaml:"pages_per_minute"`
}

func defaultLimits() Limits { return Limits{SignIn: 120, API: 1200, Pages: 6000} }

func (l *Limits) mistakes(bad func(field, format string, args ...any)) {
	for _, f := range []struct {
		field string
		n     int
		least int
	}{{"limits.sign_in_per_minute", l.SignIn, 10}, {"limits.api_per_minute", l.API, 60}, {"limits.pages_per_minute", l.Pages, 300}} {
		if f.n != 0 && f.n < f.least {
			bad(f.field, "%d is fewer than %d, which people need; 0 bounds nothing", f.n, f.least)
		}
	}
}

// apiShare is how many tokens' worth of requests one address may send.
const apiShare = 10

// throttle bounds what people and programs ask.
type throttle struct {
	remote               func(*http.Request) string
	signIn, pages        *httpd.Limiter
	byToken, byAddressOf *httpd.Limiter
}

func newThrottle(l Limits, now func() time.Time, remote func(*http.Request) string) *throttle {
	return &throttle{
		remote: remote,
		signIn: httpd.NewLimiter(httpd.Rate{PerMinute: l.SignIn}, now), pages: httpd.NewLimiter(httpd.Rate{PerMinute: l.Pages}, now),
		byToken: httpd.NewLimiter(httpd.Rate{PerMinute: l.API}, now), byAddressOf: httpd.NewLimiter(httpd.Rate{PerMinute: apiShare * l.API}, now),
	}
}

// api bounds a token, and an address with all of its tokens, also those that are guessed.
func (t *throttle) api(next http.Handler) http.Handler {
	return httpd.Limit(func(r *http.Request) time.Duration {
		if wait := t.byAddressOf.Take(t.address(r)); wait > 0 {
			return wait
		}
		proof := r.Header.Get("Authorization")
		if proof == "" {
			return 0
		}
		h := sha256.Sum256([]byte(proof)) // no secret is kept, not even in memory
		return t.byToken.Take(string(h[:]))
	}, func(w http.ResponseWriter, r *http.Request, wait time.Duration) {
		err := ward.Errorf(ward.Unavailable, "Too many requests. Try again in %d s; Retry-After says the same to programs.", httpd.Seconds(wait))
		httpd.Note(r.Context(), err)
		p := httpd.ProblemOf(r.Context(), err)
		p.Status, p.Title = http.StatusTooManyRequests, http.StatusText(http.StatusTooManyRequests)
		httpd.WriteProblem(w, p)
	}, next)
}

// proving are the beginnings of the addresses at which somebody proves who they are.
var proving = []string{"/signin", "/confirm", "/setup/", "/passphrase", "/lost", "/recovery/"}

// people bounds the pages. Visitors and those who have a cookie of Ward's are counted apart,
// so that a flood from one address does not sign out who works there.
func (t *throttle) people(refuse func(http.ResponseWriter, *http.Request, time.Duration), next http.Handler) http.Handler {
	return httpd.Limit(func(r *http.Request) time.Duration {
		from := t.address(r)
		if r.Method == http.MethodPost {
			for _, p := range proving {
				if strings.HasPrefix(r.URL.Path, p) {
					return t.signIn.Take(from)
				}
			}
		}
		if r.Header.Get("Cookie") != "" {
			from += " with a cookie"
		}
		return t.pages.Take(from)
	}, refuse, next)
}

// address is whom a request is counted for: an IPv4 address, or the network of an IPv6 one, of
// which whoever has one has all.
func (t *throttle) address(r *http.Request) string {
	host := t.remote(r)
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	net, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return net.String()
}
