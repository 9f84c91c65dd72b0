package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/order"
)

// A server that shows one order under the hash of another gets no approval, whatever
// hash the person names.
func TestApproveShownOrder(t *testing.T) {
	good := api.Order{
		ID: "order-1", Kind: order.Erase, State: order.Requested, Reason: "lost", RequestedBy: api.Someone{ID: "person-1", Name: "Alex"},
		Targets: []api.Target{{Device: "dev-1", Enrolment: "enr-1", Name: "Phone 1"}},
	}
	hash, err := digest(good)
	if err != nil {
		t.Fatal(err)
	}
	good.Hash = hash
	swapped := good
	swapped.Targets = []api.Target{{Device: "dev-2", Enrolment: "enr-2", Name: "Phone 1"}}
	for _, tt := range []struct {
		name     string
		shown    api.Order
		approved bool
		stderr   string
	}{
		{"as it is", good, true, ""},
		{"another device behind the name", swapped, false, "nothing was approved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var approved atomic.Bool
			c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/approve") {
					body, _ := io.ReadAll(r.Body)
					approved.Store(strings.Contains(string(body), hash))
				}
				if err := json.NewEncoder(w).Encode(tt.shown); err != nil {
					t.Error(err)
				}
			})
			t.Setenv("WARD_TOKEN", "ward_secret")
			var stdout, stderr bytes.Buffer
			status := run([]string{"ward", "order", "approve", "order-1", "--hash", hash, "--url", c.base.String()}, strings.NewReader(""), &stdout, &stderr)
			if approved.Load() != tt.approved || (status == exitDone) != tt.approved || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("approved %v with status %d, want approved %v and %q; stderr %q", approved.Load(), status, tt.approved, tt.stderr, stderr.String())
			}
		})
	}
}
