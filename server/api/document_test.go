package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
)

var update = flag.Bool("update", false, "write openapi.json anew")

type operation struct {
	ID         string                `json:"operationId"`
	Permission access.Permission     `json:"x-ward-permission"`
	Security   []map[string][]string `json:"security"`
}

// document fetches the description of the API as anybody may.
func (w *world) document() ([]byte, map[string]map[string]operation) {
	w.t.Helper()
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, httptest.NewRequestWithContext(w.t.Context(), get, api.DocumentPath, nil))
	var doc struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal(out.Body.Bytes(), &doc); out.Code != http.StatusOK || err != nil {
		w.t.Fatalf("GET %s = %d, %v", api.DocumentPath, out.Code, err)
	}
	return out.Body.Bytes(), doc.Paths
}

func TestDocument(t *testing.T) {
	t.Parallel()
	got, _ := newWorld(t).document()
	if *update {
		if err := os.WriteFile("openapi.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("openapi.json mismatch (-want +got), go test ./server/api -update writes it anew:\n%s", diff)
	}
}

// aboutOneself are the operations that any token will do for, because the rule is about
// whom they concern: what is somebody else's takes a permission, which package access asks for.
var aboutOneself = []string{"end-session", "end-sessions", "list-sessions", "list-tokens", "make-link", "make-token", "me", "revoke-token"}

func TestEveryOperationDeclaresItsPermission(t *testing.T) {
	t.Parallel()
	_, paths := newWorld(t).document()
	var signedIn []string
	for path, methods := range paths {
		for method, op := range methods {
			switch {
			case op.Permission == "signed-in":
				signedIn = append(signedIn, op.ID)
			case !op.Permission.Valid():
				t.Errorf("%s %s declares the permission %q, which does not exist", method, path, op.Permission)
			}
			if len(op.Security) != 1 || op.Security[0]["bearer"] == nil {
				t.Errorf("%s %s can be asked without a token", method, path)
			}
		}
	}
	slices.Sort(signedIn)
	if diff := cmp.Diff(aboutOneself, signedIn); diff != "" {
		t.Errorf("operations without a permission mismatch (-want +got):\n%s", diff)
	}
}

// TestWordsOfTheDocument: the words that the description lists are those that the parts of
// the server know, also after one of them learned another.
func TestWordsOfTheDocument(t *testing.T) {
	t.Parallel()
	raw, _ := newWorld(t).document()
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Enum []any }
			}
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	topics := make([]string, 0, len(notify.Topics()))
	for _, topic := range notify.Topics() {
		topics = append(topics, string(topic))
	}
	for _, tt := range []struct {
		schema, property string
		want             []string
	}{
		{"Order", "kind", strs(order.Kinds)},
		{"OrderRequest", "kind", strs(order.Kinds)},
		{"OrderOptions", "obliteration", order.Obliterations},
		{"OrderChoice", "obliteration", order.Obliterations},
		{"BrakeTurn", "kind", strs(brake.Kinds)},
		{"BrakeWindow", "kind", strs(brake.Kinds)},
		{"BrakeHold", "kind", strs(brake.Kinds)},
		{"BrakeLift", "kind", strs(brake.Kinds)},
		{"Notification", "topic", topics},
	} {
		var got []string
		for _, v := range doc.Components.Schemas[tt.schema].Properties[tt.property].Enum {
			got = append(got, fmt.Sprint(v))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s.%s mismatch (-want +got):\n%s", tt.schema, tt.property, diff)
		}
	}
}

func strs[T ~string](all []T) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = string(v)
	}
	return out
}

// TestWhoMayWhat: the permission of each operation that the orders and cases brought, as it
// was decided. A change is to be meant.
func TestWhoMayWhat(t *testing.T) {
	t.Parallel()
	_, paths := newWorld(t).document()
	for _, tt := range []struct {
		method, path string
		want         access.Permission
	}{
		{get, "/orders", access.OrderRead},
		{post, "/orders", access.OrderRequest},
		{post, "/orders/{id}/refuse", access.OrderRefuse},
		{post, "/orders/{id}/cancel", access.OrderRequest},
		{post, "/orders/{id}/break-glass", access.OrderRequest},
		{post, "/orders/cancel-all", access.OrderCancelAll},
		{get, "/orders/{id}/file", access.AuditRead},
		{get, "/brake", access.OrderRead},
		{get, "/approvers", access.ApproverRead},
		{post, "/approvers/invitations", access.ApproverInvite},
		{post, "/devices/{id}/wipe", access.OrderRequest},
		{post, "/devices/{id}/restart", access.DeviceLock},
		{post, "/devices/{id}/recovery-code", access.DeviceLost},
		{get, "/devices/{id}/pin", access.PINRead},
		{post, "/cases", access.DeviceLost},
		{post, "/cases/{id}/sound", access.DeviceLost},
		{post, "/cases/{id}/locate", access.LocationRead},
		{get, "/cases/{id}/location", access.LocationRead},
		{get, "/cases/{id}/pin", access.PINRead},
		{get, "/cases/{id}/assessment", access.DeviceRead},
		{post, "/cases/{id}/decisions", access.CaseDecide},
		{put, "/cases/{id}/aware", access.CaseDecide},
		{get, "/cases/{id}/file.zip", access.DeviceRead},
		{get, "/drills", access.DeviceRead},
		{get, "/notifications", access.NotifyRead},
		{post, "/notifications/test", access.NotifyWrite},
		{post, "/notifications/{id}/replay", access.NotifyWrite},
	} {
		if got := paths[api.Prefix+tt.path][strings.ToLower(tt.method)].Permission; got != tt.want {
			t.Errorf("%s %s takes %q, want %s", tt.method, tt.path, got, tt.want)
		}
	}
	for path, methods := range paths {
		for method, op := range methods {
			if op.Permission == access.OrderApprove {
				t.Errorf("%s %s takes what no token has", method, path)
			}
		}
	}
}

var parameter = regexp.MustCompile(`\{[a-z]+\}`)

func TestEveryOperationIsGuardedAndReachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, all := w.person("All", ward.Roles...)
	p, own := w.person("Own", ward.Roles...)
	_, paths := w.document()
	ctx := ward.WithActor(t.Context(), ward.Actor{Name: "operator", Via: ward.ViaConsole})
	_, narrow, err := w.access.CreateToken(ctx, access.NewToken{Person: p.ID, Scopes: []access.Permission{access.MetricsRead}})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 40 {
		t.Fatalf("the document has %d paths, want all", len(paths))
	}
	for path, methods := range paths {
		for method, op := range methods {
			method, path := strings.ToUpper(method), strings.TrimPrefix(parameter.ReplaceAllString(path, "x"), api.Prefix)
			w.problem(401, "", method, path, nil)
			w.problem(401, access.TokenPrefix+"guessed", method, path, nil)
			if op.Permission != "signed-in" {
				w.problem(403, narrow, method, path, nil)
			}
			for _, token := range []string{all, own} {
				out := w.do(token, method, path, map[string]any{})
				if out.Code == 401 || out.Code == 403 && op.Permission != "signed-in" || out.Code == 405 || out.Code >= 500 || strings.Contains(out.Body.String(), "no such address") {
					t.Errorf("%s %s = %d, want it to reach its operation\n%s", method, path, out.Code, out.Body)
				}
			}
		}
	}
}
