package api_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/api"
)

func TestNewReportsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := api.New(api.Options{PublicURL: "ward"})
	for _, want := range []string{"PublicURL", "Unit", "Access", "Approvers", "Brake", "Notify", "CaseFile", "OrderFile", "MacPIN", "Backups", "Now"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want %s among the mistakes", err, want)
		}
	}
}

// eraseWith is a request to erase with options.
func eraseWith(options map[string]any) map[string]any {
	r := erase("dev_1")
	r["options"] = options
	return r
}

func TestWrongRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.Roles...)
	w.phone("dev_1")
	for _, tt := range []struct {
		name, method, path string
		body               any
		status             int
		kind               ward.Kind
		says               string
	}{
		{"no such address", get, "/nowhere", nil, 404, ward.NotFound, "no such address"},
		{"method", remove, "/devices", nil, 405, ward.Invalid, "only GET, HEAD"},
		{"unknown device", get, "/devices/nobody", nil, 404, ward.NotFound, `"nobody"`},
		{"unknown query", get, "/devices?colour=red", nil, 400, ward.Invalid, "query.colour: unknown query parameter"},
		{"limit", get, "/devices?limit=501", nil, 400, ward.Invalid, "query.limit: expected number <= 500"},
		{"limit of words", get, "/devices?limit=ten", nil, 400, ward.Invalid, "query.limit: invalid integer"},
		{"no JSON", post, "/people", "{", 400, ward.Invalid, "body: unexpected end of JSON input"},
		{"no body", post, "/people", nil, 400, ward.Invalid, "request body is required"},
		{"unknown property", post, "/people", map[string]any{"name": "B", "roles": []string{"support"}, "root": true}, 400, ward.Invalid, "body.root: unexpected property"},
		{"missing properties", post, "/people", map[string]any{}, 400, ward.Invalid, "body: expected required property roles to be present"},
		{"wrong word", post, "/devices/dev_1/lost", map[string]any{"kind": "eaten"}, 400, ward.Invalid, "body.kind: "},
		{"too large", post, "/people", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, ward.Invalid, "too large"},
		{"table too large", post, "/invitations/csv", strings.Repeat("x", 8<<20), 413, ward.Invalid, "too large"},
		{"huge", post, "/people", strings.Repeat("x", 9<<20), 413, ward.Invalid, "too large"},
		{"zero character in a path", get, "/devices/%00", nil, 400, ward.Invalid, "no text"},
		{"zero character in a query", get, "/audit?subject=%00", nil, 400, ward.Invalid, "no text"},
		{"no UTF-8", get, "/devices/%ff", nil, 400, ward.Invalid, "no text"},
		{"zero character in a body", post, "/devices/dev_1/lost", `{"note":"a\u0000b"}`, 400, ward.Invalid, "zero character"},
		{"unknown drill", post, "/devices/dev_1/lost", map[string]any{"drill": "wet", "data_open": "maybe"}, 400, ward.Invalid, "body.drill: "},
		{"unknown answer", post, "/devices/dev_1/lost", map[string]any{"drill": "wet", "data_open": "maybe"}, 400, ward.Invalid, "body.data_open: "},
		{"kind of order", post, "/orders", map[string]any{"kind": "explode", "reason": "x"}, 400, ward.Invalid, "body.kind: "},
		{"options beside their place", post, "/orders", map[string]any{"kind": "erase", "reason": "x", "devices": []string{"dev_1"}, "preserve_data_plan": true}, 400, ward.Invalid, "body.preserve_data_plan: unexpected property"},
		{"option", post, "/orders", eraseWith(map[string]any{"obliteration": "Gently"}), 400, ward.Invalid, "body.options.obliteration: "},
		{"profile", post, "/orders", eraseWith(map[string]any{"return_to_service": map[string]any{"wifi_profile": "<plist>"}}), 400, ward.Invalid, "body.options.return_to_service.wifi_profile: "},
		{"campaign without a start", post, "/orders", eraseWith(map[string]any{"campaign": map[string]any{"per_hour": 0}}), 400, ward.Invalid, "body.options.campaign: expected required property start"},
		{"campaign of none", post, "/orders", eraseWith(map[string]any{"campaign": map[string]any{"per_hour": 0}}), 400, ward.Invalid, "body.options.campaign.per_hour: "},
		{"hours of the brake", post, "/orders", eraseWith(map[string]any{"brake": map[string]any{"kind": "erase", "hours": 25}}), 400, ward.Invalid, "body.options.brake.hours: "},
		{"kind of the brake", post, "/orders", eraseWith(map[string]any{"brake": map[string]any{"kind": "foot"}}), 400, ward.Invalid, "body.options.brake.kind: "},
		{"options that don't fit", post, "/orders", map[string]any{"kind": "clear_passcode", "devices": []string{"dev_1"}, "reason": " ", "options": map[string]any{"preserve_data_plan": true, "message": "x"}}, 400, ward.Invalid, "an order needs a reason"},
		{"no device", post, "/orders", map[string]any{"kind": "erase", "reason": "x"}, 400, ward.Invalid, "at least one device"},
		{"unknown devices", post, "/orders", map[string]any{"kind": "erase", "reason": "x", "devices": []string{"dev_1", "nobody"}}, 404, ward.NotFound, `"nobody"`},
		{"cancel all without a reason", post, "/orders/cancel-all", map[string]any{}, 400, ward.Invalid, "expected required property reason"},
		{"break glass without anything", post, "/orders/x/break-glass", map[string]any{"hash": "abc"}, 400, ward.Invalid, "body.hash: "},
		{"break glass without a signature", post, "/orders/x/break-glass", map[string]any{"hash": "abc"}, 400, ward.Invalid, "expected required property signature"},
		{"approver without a subject", post, "/approvers/invitations", map[string]any{"person": ""}, 400, ward.Invalid, "expected required property subject"},
		{"approver without a person", post, "/approvers/invitations", map[string]any{"person": ""}, 400, ward.Invalid, "body.person: "},
		{"decision without one", post, "/cases/x/decisions", map[string]any{"reasoning": "x"}, 400, ward.Invalid, "expected required property reportable"},
		{"awareness without a time", put, "/cases/x/aware", map[string]any{"at": "yesterday", "reason": "x"}, 400, ward.Invalid, "body.at: "},
		{"location without a purpose", get, "/cases/x/location", nil, 400, ward.Invalid, "query.purpose: required query parameter is missing"},
		{"expiry", put, "/enqueue/a?expires_at=soon", emptyCommand, 400, ward.Invalid, "query.expires_at: "},
		{"expiry that is over", put, "/enqueue/a?expires_at=2026-11-03T03:00:00Z", emptyCommand, 400, ward.Invalid, "expires_at is over"},
		{"two mistakes of the business", post, "/invitations", map[string]any{"name": "", "ownership": "ours"}, 400, ward.Invalid, "ownership"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := w.problem(tt.status, ada, tt.method, tt.path, tt.body)
			if all := p.Detail + "\n" + strings.Join(p.Details, "\n"); p.Kind != tt.kind || !strings.Contains(all, tt.says) {
				t.Errorf("problem = %s: %s\nwant %s: …%s…", p.Kind, all, tt.kind, tt.says)
			}
		})
	}
}

// TestWordsOfAnEscape: a text that talks of the zero character holds none.
func TestWordsOfAnEscape(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleAdmin)
	w.phone("dev_1")
	var c api.Case
	w.ok(201, ada, post, "/devices/dev_1/lost", `{"note":"it showed \\u0000"}`, &c)
	if c.Note != `it showed \u0000` {
		t.Errorf("note = %q, want it as it was sent", c.Note)
	}
}

func TestWhoMayNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, aud := w.person("Aud", ward.RoleAuditor)
	w.phone("dev_1")
	if p := w.problem(401, "", get, "/devices", nil); !strings.Contains(p.Detail, "ward token create") {
		t.Errorf("detail = %q, want the cure", p.Detail)
	}
	if p := w.problem(403, aud, post, "/devices/dev_1/lock", nil); !strings.Contains(p.Detail, "device:lock") {
		t.Errorf("detail = %q, want the permission that is missing", p.Detail)
	}
	w.problem(403, aud, get, "/cases/x/location", nil)
	if out := w.do("", get, "/devices", nil); out.Header().Get("WWW-Authenticate") == "" {
		t.Error("a 401 does not say how to prove oneself")
	}
	cs, err := w.db.Commands().List(t.Context(), must(w.db.Fleet().Current(t.Context(), "dev_1"))(t).ID, 0, 10)
	if err != nil || len(cs) != 0 {
		t.Errorf("commands = %v, %v; want none, for nobody was allowed any", cs, err)
	}
}

func TestBackupThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, root := w.person("Root", ward.RoleAdmin)
	broken := errors.New("the disk is full")
	w.outside.backup = func(io.Writer) error { return broken }
	if p := w.problem(500, root, get, "/backup", nil); strings.Contains(p.Detail, "disk") || !strings.Contains(p.Detail, p.RequestID) {
		t.Errorf("detail = %q, want the request's id and nothing of the cause", p.Detail)
	}
	if !strings.Contains(w.log.String(), "the disk is full") {
		t.Errorf("log = %s, want the cause", w.log)
	}

	w.outside.backup = func(out io.Writer) error { return errors.Join(second(out.Write(make([]byte, 1<<20))), broken) }
	s := httptest.NewServer(w.handler)
	defer s.Close()
	r, err := http.NewRequestWithContext(t.Context(), get, s.URL+api.Prefix+"/backup", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+root)
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("half a backup of %d bytes looks whole", n)
	}
}

func second(_ int, err error) error { return err }

// TestSecretsStayOutOfTheLog sends a secret of each sort wherever a request has room,
// to every operation, and looks for it in the log.
func TestSecretsStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, token := w.person("All", ward.Roles...)
	w.phone("dev_1")
	w.ok(200, token, put, "/policy", string(profiles.ExamplePolicy()), nil)
	canaries := []string{"whsec_Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5", "ward_Canary0Canary0Canary0Canary0Canary0Canary0a", "correct-horse-battery-staple", "VW5sb2NrVG9rZW5DYW5hcnk"}
	_, paths := w.document()
	lines := 0
	for _, canary := range canaries {
		for path, methods := range paths {
			for method := range methods {
				method := strings.ToUpper(method)
				for _, in := range []string{canary, "dev_1"} {
					at := strings.TrimPrefix(parameter.ReplaceAllString(path, in), api.Prefix)
					w.do(token, method, at+"?after="+canary, nil)
					w.do(token, method, at+"?purpose="+canary, nil)
					w.do(token, method, at, canary)
					w.do(token, method, at, map[string]any{
						"name": canary, "message": canary, "reason": canary, "hash": canary, "key": canary, "certificate": canary, "note": canary,
						"roles": []string{canary}, "devices": []string{canary}, "kind": canary, "ownership": canary, "organisation": canary, "email": canary, canary: canary,
						"purpose": canary, "identified": canary, "subject": canary, "person": canary, "signature": canary, "reasoning": canary, "link": canary, "where": canary,
					})
					w.do(canary, method, at, nil)
					lines += 5
				}
			}
		}
	}
	w.do(token, get, "/"+canaries[0], nil)
	var made api.NewToken
	w.ok(201, token, post, "/people/All/tokens", map[string]any{"name": "x"}, &made)
	var link api.Link
	w.ok(201, token, post, "/people", map[string]any{"name": "Fresh", "roles": []string{"support"}}, nil)
	w.ok(201, token, post, "/people/Fresh/link", nil, &link)
	var i api.Invitation
	w.ok(201, token, post, "/invitations", map[string]any{"name": "Sam", "ownership": "personal"}, &i)
	var approver api.ApproverInvitation
	w.ok(201, token, post, "/approvers/invitations", map[string]any{"person": "All", "subject": "all@trust.example"}, &approver)
	var code api.RecoveryCode
	w.ok(201, token, post, "/devices/dev_1/recovery-code", nil, &code)
	w.engine.pins["dev_1"] = map[string]string{"lock order": "739154"}
	w.ok(200, token, get, "/devices/dev_1/pin", nil, nil)
	log := w.log.String()
	if got := strings.Count(log, "\n"); got < lines {
		t.Fatalf("the log has %d lines for %d requests", got, lines)
	}
	secrets := slices.Concat(canaries, []string{token, made.Secret, lastOf(link.URL), lastOf(i.URL), lastOf(approver.URL), code.Code, "739154"})
	var found []string
	for _, s := range secrets {
		if strings.Contains(log, s) {
			found = append(found, s)
		}
	}
	if diff := cmp.Diff([]string(nil), found); diff != "" {
		t.Errorf("secrets in the log (-want +got):\n%s", diff)
	}
}

func lastOf(url string) string { return url[strings.LastIndex(url, "/")+1:] }
