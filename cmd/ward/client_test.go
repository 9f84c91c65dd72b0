package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newTestClient runs a handler and returns a client of it.
func newTestClient(t *testing.T, h http.HandlerFunc) *client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(base, "ward_secret", nil)
}

func TestClientList(t *testing.T) {
	t.Parallel()
	// Three pages of two, as the server pages: by the key of the last item.
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/things" || r.Header.Get("Authorization") != "Bearer ward_secret" || r.URL.Query().Get("state") != "open" {
			http.Error(w, "asked wrongly: "+r.URL.String(), http.StatusTeapot)
			return
		}
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		next := ""
		if after < 4 {
			next = fmt.Sprintf(`,"next":"%d"`, after+2)
		}
		reply(t, w, fmt.Sprintf(`{"items":[%d,%d]%s}`, after+1, after+2, next))
	})
	for _, tt := range []struct {
		limit int
		want  []int
	}{
		{0, []int{1, 2, 3, 4, 5, 6}},
		{3, []int{1, 2, 3}},
		{6, []int{1, 2, 3, 4, 5, 6}},
		{9, []int{1, 2, 3, 4, 5, 6}},
	} {
		raw, err := c.list(t.Context(), "/things", url.Values{"state": {"open"}}, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Items []int }
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got.Items); diff != "" {
			t.Errorf("list(limit %d) mismatch (-want +got):\n%s", tt.limit, diff)
		}
	}
}

func TestClientListEmpty(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) { reply(t, w, `{"items":[]}`) })
	raw, err := c.list(t.Context(), "/things", nil, 0)
	if err != nil || string(raw) != `{"items":[]}` {
		t.Errorf("list = %s, %v, want an empty list and never null", raw, err)
	}
}

func TestClientErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		want    []string
	}{
		{"every mistake", problem(t, 400, `{"detail":"The policy has mistakes.","details":["line 1","line 9"]}`), []string{"The policy has mistakes.", "\n  - line 1", "\n  - line 9"}},
		{"internal", problem(t, 500, `{"detail":"Something went wrong.","request_id":"r42"}`), []string{"Something went wrong.", "request r42"}},
		{"no problem document", problem(t, 502, `<html>Bad gateway</html>`), []string{"502 Bad Gateway"}},
		{"sent elsewhere", http.RedirectHandler("https://elsewhere.example/", http.StatusFound).ServeHTTP, []string{"https://elsewhere.example/", "WARD_URL"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := newTestClient(t, tt.handler).do(t.Context(), request{method: http.MethodGet, path: "/x"})
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q lacks %q", err, w)
				}
			}
			if got := exitCode(err); got != exitFailed {
				t.Errorf("exit status %d, want %d", got, exitFailed)
			}
		})
	}
}

func problem(t *testing.T, status int, body string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		reply(t, w, body)
	}
}

func reply(t *testing.T, w http.ResponseWriter, body string) {
	t.Helper()
	if _, err := io.WriteString(w, body); err != nil {
		t.Error(err)
	}
}

// A redirect must not carry the token to another server.
func TestClientKeepsToken(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	t.Cleanup(other.Close)
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.do(t.Context(), request{method: http.MethodGet, path: "/x"}); err == nil {
		t.Error("a redirect was taken for an answer")
	}
	if asked.Load() {
		t.Error("the other server was asked")
	}
}

func TestClientLargeAnswer(t *testing.T) {
	t.Parallel()
	c := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) {
		block := []byte(strings.Repeat("x", 1<<20))
		for range maxAnswer>>20 + 1 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	if _, err := c.do(t.Context(), request{method: http.MethodGet, path: "/x"}); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("error %v, want that the answer is too large", err)
	}
}

func TestClientInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := newTestClient(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/x"})
	if got := explain(ctx, err); got != "interrupted" {
		t.Errorf("explain = %q, want interrupted", got)
	}
}
