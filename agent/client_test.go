package agent_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
)

const udid = "UDID-1"

// keys makes one key for all tests: making keys is not what they test.
var keys = sync.OnceValues(func() (*rsa.PrivateKey, error) { return agent.NewKey(context.Background()) })

func oneKey(context.Context) (*rsa.PrivateKey, error) { return keys() }

// acknowledge answers every command with success.
func acknowledge(context.Context, agent.Command) agent.Response {
	return agent.Response{Status: agent.Acknowledged}
}

func newClient(t *testing.T, s *trialserver.Server, change func(*agent.Config)) *agent.Client {
	t.Helper()
	tr := agent.NewTransport(s.Roots)
	t.Cleanup(tr.Close)
	cfg := agent.Config{
		Facts: agent.Facts{UDID: udid, SerialNumber: "SN1", ProductName: "iPhone15,4"}, Handler: agent.HandlerFunc(acknowledge),
		Transport: tr, Keys: oneKey, PushURL: s.URL, Now: time.Now, UnlockToken: []byte("unlock"),
		RetryMin: time.Millisecond, RetryMax: 20 * time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	c, err := agent.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func enrol(t *testing.T, s *trialserver.Server, c *agent.Client) {
	t.Helper()
	if err := c.Enrol(t.Context(), s.URL+"/enrol"); err != nil {
		t.Fatal(err)
	}
}

// run keeps c running until the test ends and fails it if Run does.
func run(t *testing.T, c *agent.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-end; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
}

func TestEnrolAndObey(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		sign   bool
		always bool
	}{{"signed messages", true, false}, {"TLS certificate", false, false}, {"both", true, true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			s.SignMessage = tc.sign
			c := newClient(t, s, func(cfg *agent.Config) { cfg.ClientCertificate = tc.always })
			enrol(t, s, c)
			if got := s.AwaitCheckins(t, udid, 2); !cmp.Equal(got, []string{"Authenticate", "TokenUpdate"}) {
				t.Errorf("check-ins = %v, want Authenticate, TokenUpdate", got)
			}
			if got := s.Checkin(udid, "TokenUpdate")["UnlockToken"]; !cmp.Equal(got, any([]byte("unlock"))) {
				t.Errorf("UnlockToken = %v, want it", got)
			}
			run(t, c)
			s.AwaitListening(t, udid)
			for range 3 {
				if got := s.Do(t, udid, "ProfileList", nil)["Status"]; got != "Acknowledged" {
					t.Errorf("status = %v, want Acknowledged", got)
				}
			}
		})
	}
}

func TestPushForAnotherEnrolmentIsIgnored(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	c := newClient(t, s, nil)
	enrol(t, s, c)
	run(t, c)
	s.AwaitListening(t, udid)
	s.Push(udid, "not-ours")
	s.Push(udid, "")
	s.Do(t, udid, "ProfileList", nil)
	if got := s.Idles(udid); got != 1 {
		t.Errorf("the device asked %d times, want once, for the push that was its own", got)
	}
}

func TestNotNowEndsTheSession(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	c := newClient(t, s, func(cfg *agent.Config) {
		cfg.Handler = agent.HandlerFunc(func(context.Context, agent.Command) agent.Response { return agent.Response{Status: agent.NotNow} })
	})
	enrol(t, s, c)
	s.Enqueue(t, udid, "InstallProfile", nil)
	s.Enqueue(t, udid, "Settings", nil)
	if err := c.CheckIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(s.Reports(udid)); got != 2 {
		t.Errorf("%d reports, want 2: each command refused once", got)
	}
}

func TestCommandFormatError(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	c := newClient(t, s, nil)
	enrol(t, s, c)
	raw, err := agent.EncodePlist(map[string]any{"CommandUUID": "C-1", "Command": "not a dictionary"})
	if err != nil {
		t.Fatal(err)
	}
	s.EnqueueRaw(udid, raw)
	if err := c.CheckIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.Answer(t, udid, "C-1")["Status"]; got != "CommandFormatError" {
		t.Errorf("status = %v, want CommandFormatError", got)
	}
	s.EnqueueRaw(udid, []byte("bplist00 and so on"))
	if err := c.CheckIn(t.Context()); !errors.Is(err, agent.ErrNotCommand) {
		t.Errorf("CheckIn() = %v, want ErrNotCommand", err)
	}
}

func TestReportSurvivesABrokenServer(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	var mu sync.Mutex
	failures, handled := 3, 0
	c := newClient(t, s, func(cfg *agent.Config) {
		cfg.Handler = agent.HandlerFunc(func(context.Context, agent.Command) agent.Response {
			mu.Lock()
			defer mu.Unlock()
			handled++
			return agent.Response{Status: agent.Acknowledged}
		})
	})
	s.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/mdm" || handled == 0 || failures == 0 {
			return false
		}
		failures--
		w.WriteHeader(http.StatusBadGateway)
		return true
	}
	enrol(t, s, c)
	run(t, c)
	s.AwaitListening(t, udid)
	s.Do(t, udid, "ProfileList", nil)
	mu.Lock()
	defer mu.Unlock()
	if handled != 1 || failures != 0 {
		t.Errorf("handled %d times with %d failures left, want once and 0", handled, failures)
	}
}

func TestServerThatForgotTheDevice(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   agent.Cause // empty: management goes on
	}{
		{"unauthorised", http.StatusUnauthorized, "", agent.Refused},
		{"unrecognised", http.StatusForbidden, `{"code":"com.apple.unrecognized.device"}`, agent.Refused},
		{"forbidden for another reason", http.StatusForbidden, `{"code":"x"}`, ""},
		{"bad request", http.StatusBadRequest, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			var got agent.Cause
			c := newClient(t, s, func(cfg *agent.Config) { cfg.OnRelease = func(why agent.Cause) { got = why } })
			enrol(t, s, c)
			s.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/mdm" {
					return false
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body)) // the device may have gone
				return true
			}
			err := c.CheckIn(t.Context())
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("CheckIn() = %v with cause %q, want cause %q", err, got, tc.want)
			}
		})
	}
}

func TestLeave(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		stay bool
		want []string
	}{
		{"checks out", false, []string{"Authenticate", "TokenUpdate", "CheckOut"}},
		{"goes silently", true, []string{"Authenticate", "TokenUpdate"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			s.StayWhenRemoved = tc.stay
			c := newClient(t, s, nil)
			enrol(t, s, c)
			if err := c.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := s.AwaitCheckins(t, udid, len(tc.want)); !cmp.Equal(got, tc.want) {
				t.Errorf("check-ins = %v, want %v", got, tc.want)
			}
			if !s.TokenDead(udid) {
				t.Error("the push token is still registered")
			}
			if err := c.CheckIn(t.Context()); !errors.Is(err, agent.ErrNotEnrolled) {
				t.Errorf("CheckIn() = %v, want ErrNotEnrolled", err)
			}
			enrol(t, s, c) // and it can come back
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFileKeeperContinuesAfterRestart(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	dir := filepath.Join(t.TempDir(), "state")
	k, err := agent.NewFileKeeper(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, s, func(cfg *agent.Config) { cfg.Keeper = k })
	enrol(t, s, c)
	s.Rights = ward.RightsPersonal
	replaceProfile(t, s, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := newClient(t, s, func(cfg *agent.Config) { cfg.Keeper = k })
	e, err := again.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	if e.MDM.AccessRights != ward.RightsPersonal {
		t.Errorf("rights = %d, want %d", e.MDM.AccessRights, ward.RightsPersonal)
	}
	s.Enqueue(t, udid, "ProfileList", nil)
	run(t, again) // nobody pushes: it asks because its stream was closed meanwhile
	s.AwaitListening(t, udid)
	s.Do(t, udid, "ProfileList", nil)
	if err := again.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Load(t.Context()); !errors.Is(err, agent.ErrNotEnrolled) {
		t.Errorf("Load() after Leave = %v, want ErrNotEnrolled", err)
	}
}

// replaceProfile puts the profile that s has now in the place of the one of c.
func replaceProfile(t *testing.T, s *trialserver.Server, c *agent.Client) {
	t.Helper()
	raw, err := agent.EncodePlist(s.Profile())
	if err != nil {
		t.Fatal(err)
	}
	p, err := agent.ParseProfile(raw)
	if err != nil {
		t.Fatal(err)
	}
	_, q, err := p.MDM()
	if err != nil {
		t.Fatal(err)
	}
	i, err := c.Identity(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Replace(t.Context(), p, i, true); err != nil {
		t.Fatal(err)
	}
}

func TestTokenUpdateAgain(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	c := newClient(t, s, nil)
	enrol(t, s, c)
	if err := c.TokenUpdate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(s.AwaitCheckins(t, udid, 3)); got != 3 {
		t.Errorf("%d check-ins, want 3", got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
