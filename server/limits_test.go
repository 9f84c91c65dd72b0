package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/httpd"
)

// TestThrottle: sign-in by address, the API by token, pages by address; each apart from the
// others, and each again after a while.
func TestThrottle(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
	th := newThrottle(Limits{SignIn: 10, API: 60, Pages: 300}, func() time.Time { return now }, (&Server{}).remote)
	done := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	api := th.api(done)
	pages := th.people(func(w http.ResponseWriter, _ *http.Request, _ time.Duration) {
		w.WriteHeader(http.StatusTooManyRequests)
	}, done)
	type from struct{ addr, token, cookie string }
	ask := func(h http.Handler, method, path string, f from) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		r.RemoteAddr = f.addr
		for name, v := range map[string]string{"Authorization": f.token, "Cookie": f.cookie} {
			if v != "" {
				r.Header.Set(name, v)
			}
		}
		out := httptest.NewRecorder()
		h.ServeHTTP(out, r)
		return out
	}
	passes := func(h http.Handler, method, path string, f from) (n int) {
		for ; ask(h, method, path, f).Code == http.StatusNoContent; n++ {
			if n > 5000 {
				t.Fatalf("%s %s: no limit", method, path)
			}
		}
		return n
	}
	a, b := from{addr: "192.0.2.1:1"}, from{addr: "192.0.2.2:1"}
	for _, tt := range []struct {
		name, method, path string
		h                  http.Handler
		from               from
		want               int
	}{
		{"signing in", "POST", "/signin", pages, a, 10},
		{"another way to prove it, from there", "POST", "/setup/x", pages, a, 0},
		{"looking at the page of it", "GET", "/signin", pages, a, 300},
		{"another port of the address", "GET", "/staff", pages, from{addr: "192.0.2.1:9"}, 0},
		{"who has a cookie there", "GET", "/devices", pages, from{addr: "192.0.2.1:9", cookie: "x=y"}, 300},
		{"signing in elsewhere", "POST", "/signin", pages, b, 10},
		{"one token", "GET", "/api/v1/devices", api, from{addr: a.addr, token: "Bearer one"}, 60},
		{"the token, from elsewhere", "GET", "/api/v1/devices", api, from{addr: b.addr, token: "Bearer one"}, 0},
		{"another token", "GET", "/api/v1/devices", api, from{addr: a.addr, token: "Bearer two"}, 60},
		{"IPv6", "POST", "/lost", pages, from{addr: "[2001:db8::1]:1"}, 10},
		{"IPv6 of the same network", "POST", "/lost", pages, from{addr: "[2001:db8::ffff]:1"}, 0},
		{"IPv6 of another", "POST", "/lost", pages, from{addr: "[2001:db8:0:1::1]:1"}, 10},
	} {
		if got := passes(tt.h, tt.method, tt.path, tt.from); got != tt.want {
			t.Errorf("%s: %d requests pass, want %d", tt.name, got, tt.want)
		}
	}
	guessed := 0
	for ; guessed < 2000; guessed++ {
		if ask(api, "GET", "/api/v1/me", from{addr: "198.51.100.7:1", token: "Bearer " + strconv.Itoa(guessed)}).Code != http.StatusNoContent {
			break
		}
	}
	if guessed != 600 {
		t.Errorf("%d guessed tokens pass from one address, want 600", guessed)
	}

	out := ask(api, "GET", "/api/v1/devices", from{addr: a.addr, token: "Bearer one"})
	var p httpd.Problem
	if err := json.Unmarshal(out.Body.Bytes(), &p); err != nil || p.Status != 429 || out.Header().Get("Retry-After") != "1" || out.Header().Get("Content-Type") != httpd.ProblemType {
		t.Errorf("a refusal is %d %v %s, want a problem of 429 with Retry-After: 1", out.Code, out.Header(), out.Body)
	}
	now = now.Add(time.Minute)
	if got := passes(pages, "POST", "/signin", a); got != 10 {
		t.Errorf("a minute later %d pass, want 10", got)
	}
}

// TestLimitsOff: 0 bounds nothing, and too few is a mistake.
func TestLimitsOff(t *testing.T) {
	t.Parallel()
	th := newThrottle(Limits{}, func() time.Time { return time.Time{} }, (&Server{}).remote)
	h := th.api(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for range 2000 {
		out := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/me", nil)
		r.Header.Set("Authorization", "Bearer x")
		if h.ServeHTTP(out, r); out.Code != http.StatusNoContent {
			t.Fatalf("%d without a limit", out.Code)
		}
	}
	var said []string
	l := Limits{SignIn: 1, API: 1, Pages: -1}
	l.mistakes(func(field, _ string, _ ...any) { said = append(said, field) })
	if len(said) != 3 {
		t.Errorf("mistakes = %q, want one for each field", said)
	}
	if l = defaultLimits(); l.SignIn == 0 || l.API == 0 || l.Pages == 0 {
		t.Errorf("the defaults bound nothing: %+v", l)
	}
}
