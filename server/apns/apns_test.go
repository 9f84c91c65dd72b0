package apns_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward/server/apns"
	"github.com/wardmdm/ward/server/apns/standin"
)

const topic = "com.apple.mgmt.Ward.test"

// keyring holds push certificates by topic.
type keyring struct {
	mu    sync.Mutex
	certs map[string]*tls.Certificate
	gen   int
}

func (k *keyring) PushCertificate(_ context.Context, topic string) (*tls.Certificate, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.certs[topic]
	if c == nil {
		return nil, "", fmt.Errorf("no certificate for %s", topic)
	}
	return c, fmt.Sprint(k.gen), nil
}

func (k *keyring) set(topic string, c tls.Certificate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gen++
	k.certs[topic] = &c
}

func startStandin(t *testing.T) *standin.Server {
	t.Helper()
	s, err := standin.Start(standin.Options{Now: time.Now, AcceptUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func newClient(t *testing.T, s *standin.Server, o apns.Options) *apns.Client {
	t.Helper()
	cert, _, _, err := s.IssueCertificate(topic)
	if err != nil {
		t.Fatal(err)
	}
	k := &keyring{certs: map[string]*tls.Certificate{topic: &cert}}
	if o.Certificates == nil {
		o.Certificates = k
	}
	o.BaseURL, o.RootCAs, o.Now = s.URL(), s.Pool(), time.Now
	if o.Backoff == 0 {
		o.Backoff = time.Millisecond
	}
	c, err := apns.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func target(i int) apns.Target {
	return apns.Target{Topic: topic, Token: []byte{0xaa, byte(i >> 8), byte(i)}, Magic: fmt.Sprintf("magic %d", i)}
}

func TestSendReachesDevice(t *testing.T) {
	t.Parallel()
	s := startStandin(t)
	c := newClient(t, s, apns.Options{})
	tgt := apns.Target{Topic: topic, Token: []byte{0xab, 0xcd}, Magic: `quote " and <angle>`}
	if err := c.Send(t.Context(), tgt); err != nil {
		t.Fatal(err)
	}
	device := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Pool(), MinVersion: tls.VersionTLS12}}}
	defer device.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/device/abcd?topic="+topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := device.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	line, err := bufio.NewReader(res.Body).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ MDM string }
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if got.MDM != tgt.Magic {
		t.Errorf("magic = %q, want %q", got.MDM, tgt.Magic)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	gone := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	tests := []struct {
		fault           standin.Fault
		want            apns.Error
		dead, temporary bool
		tries           int
	}{
		{standin.Fault{Status: 400, Reason: "BadDeviceToken"}, apns.Error{Status: 400, Reason: "BadDeviceToken"}, true, false, 1},
		{standin.Fault{Status: 400, Reason: "DeviceTokenNotForTopic"}, apns.Error{Status: 400, Reason: "DeviceTokenNotForTopic"}, true, false, 1},
		{standin.Fault{Status: 400, Reason: "PayloadEmpty"}, apns.Error{Status: 400, Reason: "PayloadEmpty"}, false, false, 1},
		{standin.Fault{Status: 400, Reason: "IdleTimeout"}, apns.Error{Status: 400, Reason: "IdleTimeout"}, false, true, 3},
		{standin.Fault{Status: 403, Reason: "BadCertificate"}, apns.Error{Status: 403, Reason: "BadCertificate"}, false, false, 1},
		{standin.Fault{Status: 405, Reason: "MethodNotAllowed"}, apns.Error{Status: 405, Reason: "MethodNotAllowed"}, false, false, 1},
		{standin.Fault{Status: 410, Reason: "Unregistered", Timestamp: gone}, apns.Error{Status: 410, Reason: "Unregistered", Timestamp: gone}, true, false, 1},
		{standin.Fault{Status: 413, Reason: "PayloadTooLarge"}, apns.Error{Status: 413, Reason: "PayloadTooLarge"}, false, false, 1},
		{standin.Fault{Status: 429, Reason: "TooManyRequests"}, apns.Error{Status: 429, Reason: "TooManyRequests"}, false, true, 3},
		{standin.Fault{Status: 429, Reason: "TooManyRequests", RetryAfter: time.Minute}, apns.Error{Status: 429, Reason: "TooManyRequests", RetryAfter: time.Minute}, false, true, 1},
		{standin.Fault{Status: 500, Reason: "InternalServerError"}, apns.Error{Status: 500, Reason: "InternalServerError"}, false, true, 3},
		{standin.Fault{Status: 503, Reason: "Shutdown"}, apns.Error{Status: 503, Reason: "Shutdown"}, false, true, 3},
		{standin.Fault{GoAway: true, Reason: "Shutdown"}, apns.Error{}, false, true, 3},
		{standin.Fault{Drop: true}, apns.Error{}, false, true, 3},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d %s %v", tt.fault.Status, tt.fault.Reason, tt.fault.RetryAfter), func(t *testing.T) {
			t.Parallel()
			s := startStandin(t)
			var tries, results atomic.Int32
			s.Script(func(string) standin.Fault { tries.Add(1); return tt.fault })
			c := newClient(t, s, apns.Options{Tries: 3, OnResult: func(err error) {
				if err != nil {
					results.Add(1)
				}
			}})
			err := c.Send(t.Context(), target(1))
			got, ok := errors.AsType[*apns.Error](err)
			if !ok {
				t.Fatalf("Send() = %v, want an *apns.Error", err)
			}
			if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreFields(apns.Error{}, "Err")); diff != "" {
				t.Errorf("error mismatch (-want +got):\n%s", diff)
			}
			if got.Dead() != tt.dead || apns.Dead(err) != tt.dead || got.Temporary() != tt.temporary {
				t.Errorf("Dead() = %v, Temporary() = %v; want %v, %v", got.Dead(), got.Temporary(), tt.dead, tt.temporary)
			}
			// Go itself repeats a request once whose connection it finds closed, so a lost
			// connection may cost more requests than tries.
			if n := int(tries.Load()); n < tt.tries || (tt.fault.Status != 0 && n != tt.tries) {
				t.Errorf("requests = %d, want %d", n, tt.tries)
			}
			if results.Load() != 1 {
				t.Errorf("OnResult was called %d times with an error, want once", results.Load())
			}
			if strings.Contains(err.Error(), "/3/device/") {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

// TestRecovers sends while APNs ends connections and asks for patience, and expects
// every push to arrive in the end.
func TestRecovers(t *testing.T) {
	t.Parallel()
	s := startStandin(t)
	var seen sync.Map
	s.Script(func(token string) standin.Fault {
		n, _ := seen.LoadOrStore(token, new(atomic.Int32))
		raw, err := hex.DecodeString(token)
		if err != nil || n.(*atomic.Int32).Add(1) > 1 {
			return standin.Fault{}
		}
		switch raw[2] % 20 {
		case 0:
			return standin.Fault{GoAway: true, Reason: "Shutdown"}
		case 1:
			return standin.Fault{Drop: true}
		case 2:
			return standin.Fault{Status: 503, Reason: "ServiceUnavailable"}
		case 10:
			return standin.Fault{Status: 429, Reason: "TooManyRequests", RetryAfter: time.Second}
		}
		return standin.Fault{}
	})
	c := newClient(t, s, apns.Options{Tries: 20})
	targets := make([]apns.Target, 100)
	for i := range targets {
		targets[i] = target(i)
	}
	var done int
	c.SendAll(t.Context(), targets, func(i int, err error) {
		done++
		if err != nil {
			t.Errorf("push %d: %v", i, err)
		}
	})
	if done != len(targets) {
		t.Errorf("results = %d, want %d", done, len(targets))
	}
	if st := s.Stats(); st.Refused["GoAway"] == 0 || st.Accepted < len(targets) {
		t.Errorf("Stats() = %+v, want GOAWAYs and every push accepted", st)
	}
}

func TestWorkersAreBounded(t *testing.T) {
	t.Parallel()
	const workers = 16
	s := startStandin(t)
	arrived, release := make(chan struct{}, 200), make(chan struct{})
	s.Script(func(string) standin.Fault {
		arrived <- struct{}{}
		<-release
		return standin.Fault{}
	})
	c := newClient(t, s, apns.Options{Workers: workers})
	pushes := make([]*mdm.Push, 0, 101)
	for i := range 100 {
		tgt := target(i)
		pushes = append(pushes, &mdm.Push{Topic: tgt.Topic, Token: tgt.Token, PushMagic: tgt.Magic})
	}
	pushes = append(pushes, nil)
	type result struct {
		n   int
		err error
	}
	out := make(chan result)
	// Two calls at once share the bound.
	for _, part := range [][]*mdm.Push{pushes[:50], pushes[50:]} {
		go func() {
			res, err := c.Push(t.Context(), part)
			for token, r := range res {
				if r.Err != nil || r.Id == "" {
					err = errors.Join(err, fmt.Errorf("%s: id %q: %w", token, r.Id, r.Err))
				}
			}
			out <- result{len(res), err}
		}()
	}
	for range workers {
		<-arrived
	}
	close(release)
	for range 2 {
		if r := <-out; r.err != nil || r.n != 50 {
			t.Errorf("Push() = %d results, %v; want 50, nil", r.n, r.err)
		}
	}
	if got := s.Stats().MaxAtOnce; got > workers {
		t.Errorf("requests at once = %d, want at most %d", got, workers)
	}
}

func TestCertificateRotation(t *testing.T) {
	t.Parallel()
	s := startStandin(t)
	other := startStandin(t)
	expired, _, _, err := other.IssueCertificate(topic) // another authority's: refused
	if err != nil {
		t.Fatal(err)
	}
	k := &keyring{certs: map[string]*tls.Certificate{topic: &expired}}
	c := newClient(t, s, apns.Options{Certificates: k})
	if e, ok := errors.AsType[*apns.Error](c.Send(t.Context(), target(1))); !ok || e.Status != 403 {
		t.Fatalf("Send() with the wrong certificate = %v, want 403", e)
	}
	good, _, _, err := s.IssueCertificate(topic)
	if err != nil {
		t.Fatal(err)
	}
	k.set(topic, good)
	if err := c.Send(t.Context(), target(1)); err != nil {
		t.Errorf("Send() after rotation: %v", err)
	}
	if err := c.Send(t.Context(), apns.Target{Topic: "com.apple.mgmt.none", Token: []byte{1}, Magic: "m"}); err == nil ||
		!strings.Contains(err.Error(), "no certificate for com.apple.mgmt.none") {
		t.Errorf("Send() without a certificate = %v, want the reason", err)
	}
}

func TestContextEndsRetries(t *testing.T) {
	t.Parallel()
	s := startStandin(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("shutting down")
	s.Script(func(string) standin.Fault { cancel(why); return standin.Fault{Status: 503, Reason: "Shutdown"} })
	c := newClient(t, s, apns.Options{Backoff: time.Hour, MaxWait: time.Hour})
	if err := c.Send(ctx, target(1)); !errors.Is(err, why) {
		t.Errorf("Send() = %v, want %v", err, why)
	}
	if err := c.Send(ctx, target(1)); !errors.Is(err, why) {
		t.Errorf("Send() with a finished context = %v, want %v", err, why)
	}
}

func TestSendRefusesHalfATarget(t *testing.T) {
	t.Parallel()
	c := newClient(t, startStandin(t), apns.Options{})
	for _, tgt := range []apns.Target{{}, {Topic: topic}, {Topic: topic, Token: []byte{1}}, {Token: []byte{1}, Magic: "m"}} {
		if err := c.Send(t.Context(), tgt); err == nil {
			t.Errorf("Send(%+v) = nil, want an error", tgt)
		}
	}
	if _, err := c.Push(t.Context(), []*mdm.Push{nil}); err == nil {
		t.Error("Push() of nothing = nil, want an error")
	}
}

// TestRetryAfterIsHonoured: what APNs asks for counts, not the back-off of 1 ms.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	s := startStandin(t)
	var times [2]time.Time
	var n atomic.Int32
	s.Script(func(string) standin.Fault {
		i := n.Add(1)
		times[min(i, 2)-1] = time.Now()
		if i == 1 {
			return standin.Fault{Status: 429, Reason: "TooManyRequests", RetryAfter: time.Second}
		}
		return standin.Fault{}
	})
	if err := newClient(t, s, apns.Options{}).Send(t.Context(), target(1)); err != nil {
		t.Fatal(err)
	}
	if waited := times[1].Sub(times[0]); n.Load() != 2 || waited < time.Second {
		t.Errorf("%d requests, the second after %s; want 2, after 1s or more", n.Load(), waited)
	}
}
