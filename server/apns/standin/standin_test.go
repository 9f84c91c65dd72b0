package standin_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward/server/apns/standin"
)

const topic = "com.apple.mgmt.Ward.test"

func start(t *testing.T, o standin.Options) *standin.Server {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	s, err := standin.Start(o)
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

// client speaks HTTP/2 to s, with a push certificate for the topic unless it is empty.
func client(t *testing.T, s *standin.Server, topic string) *http.Client {
	t.Helper()
	conf := &tls.Config{RootCAs: s.Pool(), MinVersion: tls.VersionTLS12}
	if topic != "" {
		cert, _, _, err := s.IssueCertificate(topic)
		if err != nil {
			t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return clientWith(t, conf)
}

func clientWith(t *testing.T, conf *tls.Config) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// listener is a device's stream.
type listener struct {
	lines  *bufio.Scanner
	cancel context.CancelFunc
	body   io.Closer
}

func listen(t *testing.T, c *http.Client, s *standin.Server, token string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/device/"+token+"?topic="+topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("stream status = %d, want 200", res.StatusCode)
	}
	l := &listener{lines: bufio.NewScanner(res.Body), cancel: cancel, body: res.Body}
	t.Cleanup(l.close)
	return l
}

func (l *listener) close() {
	l.cancel()
	_ = l.body.Close() // the cancelled request's error
}

// next returns the next push magic, passing over empty lines.
func (l *listener) next() (string, error) {
	for l.lines.Scan() {
		if len(bytes.TrimSpace(l.lines.Bytes())) == 0 {
			continue
		}
		var p struct{ MDM string }
		if err := json.Unmarshal(l.lines.Bytes(), &p); err != nil {
			return "", err
		}
		return p.MDM, nil
	}
	return "", io.EOF
}

// want fails unless the next magics are these.
func (l *listener) want(t *testing.T, magics ...string) {
	t.Helper()
	for _, m := range magics {
		got, err := l.next()
		if err != nil || got != m {
			t.Fatalf("next push = %q, %v; want %q", got, err, m)
		}
	}
}

type answer struct {
	Status    int
	Reason    string
	Timestamp int64
}

type change func(*http.Request)

func post(t *testing.T, c *http.Client, url, body string, changes ...change) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("apns-topic", topic)
	req.Header.Set("apns-push-type", "mdm")
	for _, f := range changes {
		f(req)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{Status: res.StatusCode}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &a); err != nil {
			t.Fatalf("body %q: %v", b, err)
		}
	}
	if res.Header.Get("apns-id") == "" {
		t.Error("the answer has no apns-id")
	}
	return a
}

func header(k, v string) change {
	return func(r *http.Request) {
		if v == "" {
			r.Header.Del(k)
			return
		}
		r.Header.Set(k, v)
	}
}

func method(m string) change { return func(r *http.Request) { r.Method = m } }

func TestAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, standin.Options{})
	other := start(t, standin.Options{})
	foreign, _, _, err := other.IssueCertificate(topic)
	if err != nil {
		t.Fatal(err)
	}
	provider, device := client(t, s, topic), client(t, s, "")
	stranger := clientWith(t, &tls.Config{RootCAs: s.Pool(), Certificates: []tls.Certificate{foreign}, MinVersion: tls.VersionTLS12})
	token := strings.Repeat("ab", 32)
	listen(t, device, s, token)
	good, path := `{"mdm":"magic"}`, "/3/device/"+token

	tests := []struct {
		name    string
		client  *http.Client
		path    string
		body    string
		changes []change
		want    answer
	}{
		{"accepted", provider, path, good, nil, answer{Status: 200}},
		{"upper-case token", provider, "/3/device/" + strings.ToUpper(token), good, nil, answer{Status: 200}},
		{"not POST", provider, path, good, []change{method("PUT")}, answer{Status: 405, Reason: "MethodNotAllowed"}},
		{"no certificate", device, path, good, nil, answer{Status: 403, Reason: "MissingProviderToken"}},
		{"certificate of another authority", stranger, path, good, nil, answer{Status: 403, Reason: "BadCertificate"}},
		{"bad path", provider, "/2/device/" + token, good, nil, answer{Status: 404, Reason: "BadPath"}},
		{"no token", provider, "/3/device/", good, nil, answer{Status: 400, Reason: "MissingDeviceToken"}},
		{"token not hexadecimal", provider, "/3/device/zz", good, nil, answer{Status: 400, Reason: "BadDeviceToken"}},
		{"token unknown", provider, "/3/device/" + strings.Repeat("cd", 32), good, nil, answer{Status: 400, Reason: "BadDeviceToken"}},
		{"no topic", provider, path, good, []change{header("apns-topic", "")}, answer{Status: 400, Reason: "MissingTopic"}},
		{"topic of another", provider, path, good, []change{header("apns-topic", "com.apple.mgmt.Other")}, answer{Status: 400, Reason: "TopicDisallowed"}},
		{"no push type", provider, path, good, []change{header("apns-push-type", "")}, answer{Status: 400, Reason: "InvalidPushType"}},
		{"alert", provider, path, good, []change{header("apns-push-type", "alert")}, answer{Status: 400, Reason: "InvalidPushType"}},
		{"priority", provider, path, good, []change{header("apns-priority", "7")}, answer{Status: 400, Reason: "BadPriority"}},
		{"expiration", provider, path, good, []change{header("apns-expiration", "soon")}, answer{Status: 400, Reason: "BadExpirationDate"}},
		{"empty body", provider, path, "", nil, answer{Status: 400, Reason: "PayloadEmpty"}},
		{"no magic", provider, path, `{"aps":{}}`, nil, answer{Status: 400, Reason: "PayloadEmpty"}},
		{"too large", provider, path, `{"mdm":"` + strings.Repeat("x", 5000) + `"}`, nil, answer{Status: 413, Reason: "PayloadTooLarge"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := post(t, tt.client, s.URL()+tt.path, tt.body, tt.changes...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTopicOfToken(t *testing.T) {
	t.Parallel()
	s := start(t, standin.Options{})
	listen(t, client(t, s, ""), s, "aa")
	got := post(t, client(t, s, "com.apple.mgmt.Other"), s.URL()+"/3/device/aa", `{"mdm":"m"}`, header("apns-topic", "com.apple.mgmt.Other"))
	if want := (answer{Status: 400, Reason: "DeviceTokenNotForTopic"}); got != want {
		t.Errorf("push under another topic = %+v, want %+v", got, want)
	}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	s := start(t, standin.Options{KeepAlive: 5 * time.Millisecond})
	provider, device := client(t, s, topic), client(t, s, "")
	push := func(magic string) {
		t.Helper()
		if got := post(t, provider, s.URL()+"/3/device/aabb", fmt.Sprintf(`{"mdm":%q}`, magic)); got.Status != 200 {
			t.Fatalf("push %s = %+v, want 200", magic, got)
		}
	}
	l := listen(t, device, s, "AABB")
	push("one")
	push("two")
	l.want(t, "one", "two")

	// A second stream takes the place of the first.
	l2 := listen(t, device, s, "aabb")
	if got, err := l.next(); !errors.Is(err, io.EOF) {
		t.Fatalf("replaced stream = %q, %v; want the end", got, err)
	}
	push("three")
	l2.want(t, "three")

	// Of what comes while the device is away, the last is kept.
	l2.close()
	waitStreams(t, s, 0)
	push("four")
	push("five")
	l3 := listen(t, device, s, "aabb")
	push("six")
	l3.want(t, "five", "six")

	want := standin.Stats{Accepted: 6, Delivered: 5, Registered: 1, Streams: 1}
	got := s.Stats()
	if got.Accepted != want.Accepted || got.Registered != want.Registered || got.Streams != want.Streams {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

// waitStreams waits until n streams are open: the server learns of a device that hangs
// up a moment later.
func waitStreams(t *testing.T, s *standin.Server, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.Stats().Streams != n {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("streams = %d, want %d", s.Stats().Streams, n)
		}
	}
}

func TestUnregister(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)
	var mu sync.Mutex
	s := start(t, standin.Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	device := client(t, s, "")
	// The stand-in's certificates are of its own time.
	device.Transport.(*http.Transport).TLSClientConfig.Time = func() time.Time { return now }
	provider := client(t, s, topic)
	provider.Transport.(*http.Transport).TLSClientConfig.Time = func() time.Time { return now }
	l := listen(t, device, s, "aabb")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.URL()+"/device/AABB", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := device.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("unregister status = %d, want 204", res.StatusCode)
	}
	if got, err := l.next(); !errors.Is(err, io.EOF) {
		t.Errorf("stream after unregistering = %q, %v; want the end", got, err)
	}
	got := post(t, provider, s.URL()+"/3/device/aabb", `{"mdm":"m"}`)
	want := answer{Status: 410, Reason: "Unregistered", Timestamp: now.UnixMilli()}
	if got != want {
		t.Errorf("push after unregistering = %+v, want %+v", got, want)
	}
	// A device that comes back gets nothing old and is reachable again.
	l = listen(t, device, s, "aabb")
	if got := post(t, provider, s.URL()+"/3/device/aabb", `{"mdm":"back"}`); got.Status != 200 {
		t.Fatalf("push after registering again = %+v, want 200", got)
	}
	l.want(t, "back")
}

func TestAcceptUnknown(t *testing.T) {
	t.Parallel()
	s := start(t, standin.Options{AcceptUnknown: true})
	if got := post(t, client(t, s, topic), s.URL()+"/3/device/aabb", `{"mdm":"early"}`); got.Status != 200 {
		t.Fatalf("push to an unknown token = %+v, want 200", got)
	}
	listen(t, client(t, s, ""), s, "aabb").want(t, "early")
}

func TestBadStreamRequests(t *testing.T) {
	t.Parallel()
	s := start(t, standin.Options{})
	for _, path := range []string{"/device/zz?topic=t", "/device/aa", "/device/" + strings.Repeat("aa", 101) + "?topic=t"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client(t, s, "").Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("GET %.40s status = %d, want 400", path, res.StatusCode)
		}
	}
}

// TestManyStreams holds 1,000 devices on shared connections and wakes each.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	const n = 1000
	s := start(t, standin.Options{})
	provider, device := client(t, s, topic), client(t, s, "")
	streams := make([]*listener, n)
	token := func(i int) string { return hex.EncodeToString([]byte{byte(i >> 8), byte(i)}) }
	for i := range n {
		streams[i] = listen(t, device, s, token(i))
	}
	for i := range n {
		if got := post(t, provider, s.URL()+"/3/device/"+token(i), fmt.Sprintf(`{"mdm":"magic %d"}`, i)); got.Status != 200 {
			t.Fatalf("push %d = %+v, want 200", i, got)
		}
	}
	for i, l := range streams {
		l.want(t, fmt.Sprintf("magic %d", i))
	}
}
