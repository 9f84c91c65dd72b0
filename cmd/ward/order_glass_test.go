package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/order"
)

// glassOrder is an order as an honest server shows it.
func glassOrder(t *testing.T, change func(*order.Order)) api.Order {
	t.Helper()
	o := order.Order{
		ID: "order-1", Kind: order.Erase, Reason: "stolen", RequestedBy: "person-1", Options: order.Options{PreserveDataPlan: true},
		Targets: []order.Target{{Device: "dev-1", Enrolment: "enr-1", Name: "Phone 1"}},
	}
	if change != nil {
		change(&o)
	}
	text, err := o.Statement()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := o.Digest()
	if err != nil {
		t.Fatal(err)
	}
	out := api.Order{
		ID: "order-1", Kind: order.Erase, State: order.Requested, Reason: "stolen", Needs: 2, Hash: hash, Statement: string(text), Expires: time.Unix(1<<31, 0),
		RequestedBy: api.Someone{ID: "person-1", Name: "Alex"}, Targets: []api.Target{{Device: "dev-1", Enrolment: "enr-1", Name: "Phone 1"}},
	}
	return out
}

// The sealed key signs what was shown, and what is shown is what the hash is of, whatever
// the server tells beside it.
func TestBreakGlassShown(t *testing.T) {
	dir := t.TempDir()
	parts, _, err := approver.NewGlass()
	if err != nil {
		t.Fatal(err)
	}
	paths := make([]string, len(parts))
	for i, p := range parts {
		paths[i] = filepath.Join(dir, string(rune('1'+i)))
		if err := os.WriteFile(paths[i], []byte(p+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := glassOrder(t, nil)
	// A server that has one order shown and another one signed.
	behind := glassOrder(t, func(o *order.Order) { o.Targets[0].Device, o.Targets[0].Name = "dev-2", "Chief executive's phone" })
	twin := glassOrder(t, func(o *order.Order) { o.ID = "order-2" })
	other := good
	other.Hash = behind.Hash
	silent := good
	silent.Statement = ""
	doubled := good
	doubled.Statement = strings.Replace(good.Statement, `"reason":"stolen"`, `"reason":"other","reason":"stolen"`, 1)
	ended := good
	ended.State = order.Cancelled
	for _, tt := range []struct {
		name   string
		served api.Order
		sent   bool
		stderr string
	}{
		{"as it is", good, true, "Phone 1"},
		{"another device behind the name", behind, true, "Chief executive's phone"}, // shown, for it is what is signed
		{"another order's statement", twin, false, "nothing was signed"},
		{"another order's hash", other, false, "nothing was signed"},
		{"a statement that says it twice", doubled, false, "nothing was signed"},
		{"no statement", silent, false, "signs nothing that was not read"},
		{"an order that ended", ended, false, "it waits for no signature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sent atomic.Bool
			c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/break-glass") {
					var body struct {
						Hash      string
						Signature []byte
					}
					raw, err := io.ReadAll(r.Body)
					if err != nil || json.Unmarshal(raw, &body) != nil {
						t.Errorf("the signature can't be read: %s", raw)
					}
					for _, p := range parts {
						if bytes.Contains(raw, []byte(p)) {
							t.Error("a part of the sealed key was sent")
						}
					}
					sent.Store(body.Hash == tt.served.Hash && len(body.Signature) > 0)
				}
				if err := json.NewEncoder(w).Encode(tt.served); err != nil {
					t.Error(err)
				}
			})
			t.Setenv("WARD_TOKEN", "ward_secret")
			var stdout, stderr bytes.Buffer
			status := run([]string{"ward", "order", "break-glass", "order-1", "--yes", "--part-1", paths[0], "--part-2", paths[1], "--url", c.base.String()}, strings.NewReader(""), &stdout, &stderr)
			if sent.Load() != tt.sent || (status == exitDone) != tt.sent || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("sent %v with status %d, want %v and %q; stderr %q", sent.Load(), status, tt.sent, tt.stderr, stderr.String())
			}
		})
	}
}
