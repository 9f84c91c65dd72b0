package agent_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
)

func TestDeclare(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		sign bool
	}{{"signed messages", true}, {"TLS certificate", false}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			s.SignMessage = tc.sign
			c := newClient(t, s, nil)
			if _, err := c.Declare(t.Context(), "tokens", nil); !errors.Is(err, agent.ErrNotEnrolled) {
				t.Errorf("Declare() before enrolment = %v, want ErrNotEnrolled", err)
			}
			enrol(t, s, c)
			got, err := c.Declare(t.Context(), "tokens", nil)
			if err != nil || !strings.Contains(string(got), "DeclarationsToken") {
				t.Errorf("Declare(tokens) = %s, %v", got, err)
			}
			if _, err := c.Declare(t.Context(), "status", []byte(`{"StatusItems":{},"Errors":[]}`)); err != nil || len(s.Statuses(udid)) != 1 {
				t.Errorf("Declare(status) = %v with %d reports, want one", err, len(s.Statuses(udid)))
			}
			_, err = c.Declare(t.Context(), "declaration/configuration/none", nil)
			if se, ok := errors.AsType[*agent.StatusError](err); !ok || se.Status != http.StatusNotFound {
				t.Errorf("Declare(none) = %v, want 404", err)
			}
		})
	}
}

func TestFetchProvesTheDevice(t *testing.T) {
	t.Parallel()
	for _, sign := range []bool{true, false} {
		s := trialserver.New(t)
		s.SignMessage = sign
		type proof struct{ shown, signed bool }
		proven := make(chan proof, 1)
		s.Handle("GET /asset", func(w http.ResponseWriter, r *http.Request) {
			proven <- proof{len(r.TLS.PeerCertificates) > 0, r.Header.Get("Mdm-Signature") != ""}
			_, _ = w.Write([]byte("asset")) // the device may have gone
		})
		c := newClient(t, s, nil)
		enrol(t, s, c)
		for _, prove := range []bool{true, false} {
			got, err := c.Fetch(t.Context(), s.URL+"/asset", prove)
			if err != nil || string(got) != "asset" {
				t.Fatalf("Fetch() = %s, %v", got, err)
			}
			want := proof{prove && !sign, prove && sign}
			if p := <-proven; p != want {
				t.Errorf("Fetch(prove %v) where messages are signed: %v, showed %+v, want %+v", prove, sign, p, want)
			}
		}
		if _, err := c.Fetch(t.Context(), "http://127.0.0.1/asset", true); err == nil {
			t.Error("Fetch() without TLS worked")
		}
	}
}

func TestWhatFollowsAnAnswer(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	var c *agent.Client
	failures := atomic.Int32{}
	c = newClient(t, s, func(cfg *agent.Config) {
		cfg.Handler = agent.HandlerFunc(func(_ context.Context, cmd agent.Command) agent.Response {
			note(cmd.RequestType)
			r := agent.Response{Status: agent.Acknowledged}
			if cmd.RequestType == "DeclarativeManagement" {
				r.After = func(ctx context.Context) error {
					if _, err := c.Declare(ctx, "tokens", nil); err != nil {
						return err
					}
					note("after")
					return nil
				}
			}
			return r
		})
	})
	s.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		both := len(order) == 2
		mu.Unlock()
		if r.URL.Path != "/checkin" || !both || failures.Add(1) > 1 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	enrol(t, s, c)
	first := s.Enqueue(t, udid, "DeclarativeManagement", nil)
	second := s.Enqueue(t, udid, "ProfileList", nil)
	if err := c.CheckIn(t.Context()); !agent.Transient(err) {
		t.Errorf("CheckIn() = %v, want the passing failure of what follows", err)
	}
	s.Answer(t, udid, first)
	s.Answer(t, udid, second)
	run(t, c)
	later := make(chan struct{})
	c.Later(func(context.Context) error {
		close(later)
		return nil
	})
	<-later
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"DeclarativeManagement", "ProfileList", "after"}, order); diff != "" {
		t.Errorf("order mismatch (-want +got):\n%s", diff)
	}
}

func TestEnrollmentIDTakesTheUDIDsPlace(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	keeper := &agent.MemoryKeeper{}
	c := newClient(t, s, func(cfg *agent.Config) { cfg.Facts.EnrollmentID, cfg.Keeper = "E-1", keeper })
	enrol(t, s, c)
	for _, kind := range []string{"Authenticate", "TokenUpdate"} {
		m := s.Checkin("E-1", kind)
		if m == nil || m["UDID"] != nil || m["SerialNumber"] != nil || m["UnlockToken"] != nil || m["EnrollmentID"] != "E-1" {
			t.Errorf("%s = %v, want an EnrollmentID and nothing that names the device", kind, m)
		}
	}
	s.Enqueue(t, "E-1", "ProfileList", nil)
	if err := c.CheckIn(t.Context()); err != nil || len(s.Reports("E-1")) != 1 || s.Reports("E-1")[0]["UDID"] != nil {
		t.Errorf("CheckIn() = %v with reports %v, want one without UDID", err, s.Reports("E-1"))
	}
	if e, err := keeper.Load(t.Context()); err != nil || e.EnrollmentID != "E-1" {
		t.Errorf("kept enrolment = %v, %v, want E-1", e, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
