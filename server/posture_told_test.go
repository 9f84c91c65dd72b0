package server

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/notify"
)

// TestPostureTold has a program that asked for it told when a device stops to comply and when it
// complies again, once each, and nothing else.
func TestPostureTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var m struct {
			Topic   notify.Topic `json:"topic"`
			Type    string       `json:"type"`
			Subject string       `json:"subject"`
		}
		if err = errors.Join(err, json.Unmarshal(b, &m)); err != nil {
			t.Errorf("webhook: %v in %s", err, b)
		}
		mu.Lock()
		got = append(got, string(b))
		mu.Unlock()
	}))
	t.Cleanup(hook.Close)
	key := make([]byte, 32)
	rand.Read(key)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("whsec_"+base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, "", func(c *Config) {
		c.Notify.Webhooks = []NotifyWebhook{{Name: "soc", URL: hook.URL, SecretFile: secret, Topics: []notify.Topic{notify.NonCompliant, notify.Compliant}}}
	})
	is := func(s compliance.State) *estate.Device {
		d := &estate.Device{ID: "dev_1", Name: "Ward 7 iPad", State: s}
		if s != compliance.Compliant {
			d.Findings = []estate.Finding{{State: s, Code: "no-passcode", Text: "It has no passcode."}}
		}
		return d
	}
	var was *estate.Device
	for _, s := range []compliance.State{compliance.Pending, compliance.Compliant, compliance.InGrace, compliance.NonCompliant, compliance.NonCompliant, compliance.Unknown, compliance.NonCompliant, compliance.Compliant, compliance.Lost} {
		now := is(s)
		if err := w.postureChanged(w.ctx, was, *now); err != nil {
			t.Fatal(err)
		}
		was = now
	}
	if err := w.Notify.Do(w.ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program to be told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) == 3
	})
	all := strings.Join(got, "\n")
	if n := strings.Count(all, "does not comply"); n != 2 || !strings.Contains(all, "complies again") || !strings.Contains(all, "It has no passcode.") || !strings.Contains(all, string(notify.NonCompliant)) {
		t.Errorf("told:\n%s", all)
	}
}
