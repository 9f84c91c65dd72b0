package post

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward/server/notify"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func clock() time.Time { return happened }

const secretPath = "/services/T000/s3cretpath"

// request is what a receiver got.
type request struct {
	header http.Header
	body   string
}

// receiver is a program that is told, over TLS.
func receiver(t *testing.T, answer http.HandlerFunc) (*httptest.Server, <-chan request) {
	t.Helper()
	got := make(chan request, 10)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost {
			t.Errorf("%s: %v", r.Method, err)
		}
		got <- request{r.Header, string(b)}
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s, got
}

func hook(t *testing.T, s *httptest.Server, change func(*HookConfig)) *Hook {
	t.Helper()
	keys, err := ParseKeys(aSecret)
	if err != nil {
		t.Fatal(err)
	}
	c := HookConfig{URL: s.URL + secretPath, Keys: keys, Roots: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, Now: clock}
	if change != nil {
		change(&c)
	}
	h, err := NewHook(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var (
	aSecret  = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	twoKeys  = aSecret + "\n" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("n", 24))) + "\n"
	tooShort = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 23)))
)

func TestHookFormats(t *testing.T) {
	t.Parallel()
	for _, f := range []Format{FormatWard, FormatSlack, FormatTeams} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			s, got := receiver(t, nil)
			d := aMessage()
			d.Message.Subject = "Erase of <!channel> & [Mac](https://evil.example)"
			if err := hook(t, s, func(c *HookConfig) { c.Format = f }).Send(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			r := <-got
			if !json.Valid([]byte(r.body)) || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("it is no JSON: %s", r.body)
			}
			golden := filepath.Join("testdata", string(f)+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(r.body+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), r.body+"\n"); diff != "" {
				t.Errorf("body mismatch (-want +got):\n%s", diff)
			}
			if r.header.Get("Webhook-Id") != "msg-1" || r.header.Get("Webhook-Timestamp") != "1772334000" || !strings.HasPrefix(r.header.Get("Webhook-Signature"), "v1,") {
				t.Errorf("headers %v", r.header)
			}
		})
	}
}

// TestHookSignature holds the signature to the example of the specification's own library.
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/go/webhook_test.go
func TestHookSignature(t *testing.T) {
	t.Parallel()
	keys, err := ParseKeys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h := &Hook{c: HookConfig{Keys: keys, Now: func() time.Time { return time.Unix(1614265330, 0) }}}
	to := http.Header{}
	h.sign(to, "msg_p5jXN8AQM9LWM0D4loKWxJek", []byte(`{"test": 2432232314}`))
	if got, want := to.Get("Webhook-Signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
}

func TestHookFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want string
		answer     http.HandlerFunc
		change     func(*HookConfig)
	}{
		{"an error", "answered 500", func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.URL.Path, http.StatusInternalServerError)
		}, nil},
		{"a redirect", "redirects are not followed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", secretPath)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, nil},
		{"a stranger's certificate", "certificate", nil, func(c *HookConfig) { c.Roots = nil }},
		{"nobody there", "refused", nil, func(c *HookConfig) { c.URL = "https://127.0.0.1:1" + secretPath }},
		{"no HTTP", "", func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = c.Close()
			}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, got := receiver(t, tt.answer)
			err := hook(t, s, tt.change).Send(t.Context(), aMessage())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Send() = %v, want an error with %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells the address: %v", err)
			}
			if len(got) > 1 {
				t.Errorf("it was posted %d times, want once", len(got))
			}
		})
	}
}

// TestHookLongAnswer: an answer without end neither fills the memory nor holds up.
func TestHookLongAnswer(t *testing.T) {
	t.Parallel()
	s, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := hook(t, s, nil).Send(ctx, aMessage()); err != nil || ctx.Err() != nil {
		t.Errorf("Send() = %v, %v", err, ctx.Err())
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"https://hooks.example/a?b=c": true, "http://127.0.0.1:8080/x": true, "http://localhost/x": true, "http://[::1]/x": true,
		"http://hooks.example/s3cret": false, "https://u:s3cret@hooks.example": false, "https://hooks.example/#s3cret": false, "hooks.example/s3cret": false, "": false,
		"ftp://hooks.example": false, "https://": false, "https://hooks.example/%s3cret": false, "http://127.0.0.1.evil.example/": false,
	} {
		err := CheckURL(text)
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("CheckURL(%q) = %v", text, err)
		}
	}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{aSecret: 1, twoKeys: 2, tooShort: 0, "": 0, "\n": 0, "hunter2": 0, aSecret + " x": 0} {
		keys, err := ParseKeys(text)
		if len(keys) != want || (err == nil) != (want > 0) {
			t.Errorf("ParseKeys(%q) = %d keys, %v; want %d", text, len(keys), err, want)
		}
	}
}

func TestNewHookRefuses(t *testing.T) {
	t.Parallel()
	keys, err := ParseKeys(aSecret)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]HookConfig{
		"no key": {URL: "https://h", Now: clock}, "no clock": {URL: "https://h", Keys: keys}, "no format": {URL: "https://h", Keys: keys, Format: "x", Now: clock}, "http": {URL: "http://h", Keys: keys, Now: clock},
	} {
		if _, err := NewHook(c); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	if _, err := NewHook(HookConfig{URL: "https://h", Format: FormatSlack, Now: clock}); err != nil {
		t.Errorf("Slack needs no key: %v", err)
	}
	if _, err := Format("x").body(notify.Message{}); err == nil {
		t.Error("a format that does not exist made a body")
	}
}
