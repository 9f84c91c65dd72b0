package httpd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/logkey"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func now() time.Time { return time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC) }

func TestStatus(t *testing.T) {
	t.Parallel()
	want := map[ward.Kind]int{
		"": 200, ward.Invalid: 400, ward.Unauthenticated: 401, ward.Forbidden: 403, ward.NotFound: 404,
		ward.Conflict: 409, ward.Internal: 500, ward.Unavailable: 503, "unheard of": 500,
	}
	got := map[ward.Kind]int{}
	for k, status := range want {
		got[k] = httpd.Status(k)
		if k != "" && k != "unheard of" && httpd.KindOf(status) != k {
			t.Errorf("KindOf(%d) = %s, want %s", status, httpd.KindOf(status), k)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Status mismatch (-want +got):\n%s", diff)
	}
	if httpd.KindOf(413) != ward.Invalid || httpd.KindOf(502) != ward.Internal {
		t.Error("statuses that are in no line of the table are not Invalid and Internal")
	}
}

func TestProblemOf(t *testing.T) {
	t.Parallel()
	ctx := ward.WithRequestID(t.Context(), "r1")
	const wrong = "Something went wrong. The log says more under the request id r1."
	for _, tt := range []struct {
		name string
		err  error
		want httpd.Problem
	}{
		{
			"for people", fmt.Errorf("lock: %w", (&ward.Error{Kind: ward.Invalid, Message: "No.", Details: []string{"a", "b"}}).Because(io.EOF)),
			httpd.Problem{Title: "Bad Request", Status: 400, Kind: ward.Invalid, Detail: "No.", Details: []string{"a", "b"}},
		},
		{"internal", errors.New("dial 10.0.0.1"), httpd.Problem{Title: "Internal Server Error", Status: 500, Kind: ward.Internal, Detail: wrong}},
		{"internal with words", ward.Errorf(ward.Internal, "The key is 1234."), httpd.Problem{Title: "Internal Server Error", Status: 500, Kind: ward.Internal, Detail: wrong}},
		{
			"too large", fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 7}),
			httpd.Problem{Title: "Request Entity Too Large", Status: 413, Kind: ward.Invalid, Detail: "The request is too large: 7 bytes are the most that is read."},
		},
		{
			"too slow", fmt.Errorf("query: %w", context.DeadlineExceeded),
			httpd.Problem{Title: "Service Unavailable", Status: 503, Kind: ward.Unavailable, Detail: "The answer took too long. Try again."},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.want.RequestID = "r1"
			if diff := cmp.Diff(&tt.want, httpd.ProblemOf(ctx, tt.err)); diff != "" {
				t.Errorf("ProblemOf(%v) mismatch (-want +got):\n%s", tt.err, diff)
			}
		})
	}
}

// serve sends one request through everything and returns the answer and the log.
func serve(t *testing.T, h http.HandlerFunc) (*httptest.ResponseRecorder, []observer.LoggedEntry) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("GET /enrol/{token}", h)
	core, logs := observer.New(zapcore.DebugLevel)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/enrol/s3cret?key=s3cret", nil)
	r.Header.Set("X-Request-Id", "forged")
	w := httptest.NewRecorder()
	httpd.Wrap(httpd.Options{Log: zap.New(core), Now: now}, mux).ServeHTTP(w, r)
	return w, logs.All()
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		status  int
		level   zapcore.Level
		kind    any
		says    string // in the logged error
	}{
		{"answered", func(w http.ResponseWriter, r *http.Request) {
			httpd.NoteActor(r.Context(), ward.Actor{Person: "person-1", Name: "Ada"})
			_, _ = w.Write([]byte("hello"))
		}, 200, zapcore.InfoLevel, nil, ""},
		{"caller's fault", func(w http.ResponseWriter, r *http.Request) {
			httpd.WriteError(w, r, ward.Errorf(ward.NotFound, "There is no s3cret."))
		}, 404, zapcore.WarnLevel, "not_found", ""},
		{"ours", func(w http.ResponseWriter, r *http.Request) {
			httpd.WriteError(w, r, errors.New("with ward_AAAAAAAAAAAAAAAAAAAAAAAA the disk is full"))
		}, 500, zapcore.ErrorLevel, "internal", "with ward_… the disk is full"},
		{"busy", func(w http.ResponseWriter, r *http.Request) {
			httpd.WriteError(w, r, ward.Errorf(ward.Unavailable, "Busy.").Because(errors.New("no slot")))
		}, 503, zapcore.WarnLevel, "unavailable", "Busy.: no slot"},
		{"panic", func(http.ResponseWriter, *http.Request) { panic("oh") }, 500, zapcore.ErrorLevel, "internal", "panic: oh"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, logs := serve(t, tt.handler)
			if w.Code != tt.status || len(logs) != 1 {
				t.Fatalf("status %d, %d log lines; want %d and one", w.Code, len(logs), tt.status)
			}
			id := w.Header().Get("X-Request-Id")
			got := logs[0].ContextMap()
			if logs[0].Level != tt.level || got[logkey.Route] != "GET /enrol/{token}" || got[logkey.Status] != int64(tt.status) || got[logkey.Kind] != tt.kind ||
				got[logkey.RequestID] != id || id == "" || id == "forged" || got[logkey.Bytes] != int64(w.Body.Len()) {
				t.Errorf("log line %s %v; want level %s, the route, status %d, kind %v, the size and the request's own id", logs[0].Level, got, tt.level, tt.status, tt.kind)
			}
			if text, _ := got["error"].(string); !strings.HasPrefix(text, tt.says) || tt.says == "" && text != "" {
				t.Errorf("logged error = %q, want %q", text, tt.says)
			}
			if all := fmt.Sprint(got); strings.Contains(all, "s3cret") || strings.Contains(all, "AAAA") {
				t.Errorf("the log holds a secret: %s", all)
			}
			for _, name := range []string{"X-Content-Type-Options", "Referrer-Policy", "Content-Security-Policy"} {
				if w.Header().Get(name) == "" {
					t.Errorf("the answer has no %s", name)
				}
			}
			if tt.status >= 400 {
				var p httpd.Problem
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.RequestID != id {
					t.Errorf("problem %s, %v; want one with the request's id", w.Body, err)
				}
			}
		})
	}
}

func TestPanicInTheMiddleCutsTheConnection(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	s := httptest.NewServer(httpd.Wrap(httpd.Options{Log: zap.New(core), Now: now}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half of it"))
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		panic("oh")
	})))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("half an answer looks whole")
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	s.Close() // waits for the handler
	if all := logs.FilterLevelExact(zapcore.ErrorLevel).All(); len(all) != 1 || !strings.HasPrefix(fmt.Sprint(all[0].ContextMap()["error"]), "panic: oh") {
		t.Errorf("log = %v, want one error with the panic", logs.All())
	}
}

func ExampleWriteError() {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	httpd.WriteError(w, r, ward.Errorf(ward.Conflict, "The device is lost already."))
	fmt.Print(w.Body)
	// Output: {"title":"Conflict","status":409,"kind":"conflict","detail":"The device is lost already."}
}
