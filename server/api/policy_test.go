package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/reconcile"
)

// send is ok for a JSON body that has to be called so.
func (w *world) send(status int, token, method, path string, body string, v any) {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, api.Prefix+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, r)
	if out.Code != status {
		w.t.Fatalf("%s %s = %d, want %d\n%s", method, path, out.Code, status, out.Body)
	}
	if v != nil {
		if err := json.Unmarshal(out.Body.Bytes(), v); err != nil {
			w.t.Fatal(err)
		}
	}
}

func draft(t *testing.T, d api.PolicyDraft) string {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func noted(note string) string {
	return strings.Replace(string(profiles.ExamplePolicy()), "First version", note, 1)
}

// blocking is the example with named apps for what it blocks.
func blocking(note string, apps ...string) string {
	return strings.Replace(noted(note), "categories: [consumer-messaging]", "apps: ["+strings.Join(apps, ", ")+"]", 1)
}

func TestPolicyLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleGovern)
	_, ben := w.person("Ben", ward.RoleGovern)
	_, sup := w.person("Sup", ward.RoleSupport)
	for i := range 30 {
		e := w.phone(ward.DeviceID(fmt.Sprintf("dev_%02d", i)))
		if err := w.db.Fleet().SetSupervised(t.Context(), e.ID, ward.Supervised); err != nil {
			t.Fatal(err)
		}
	}

	var plan api.PolicyPlan
	w.ok(200, sup, post, "/policy/plan", noted("first"), &plan)
	if plan.Devices != 30 || plan.Changed != 30 || !plan.SecondPerson || plan.Base != 0 || len(plan.Kinds) != 1 || len(plan.Kinds[0].Changes) == 0 {
		t.Fatalf("plan = %d of %d, second person %v, %d kinds", plan.Changed, plan.Devices, plan.SecondPerson, len(plan.Kinds))
	}
	if diff := cmp.Diff([]api.AppCount{{Slug: "whatsapp", Name: "WhatsApp", Devices: 30}}, plan.Vanish); diff != "" {
		t.Errorf("what vanishes mismatch (-want +got)\n%s", diff)
	}

	// All thirty would change: another person has to approve.
	var p api.Policy
	w.send(200, ada, put, "/policy", draft(t, api.PolicyDraft{Text: noted("first"), Reason: "as agreed on Monday"}), &p)
	if p.State != "proposed" || p.Reason != "as agreed on Monday" || p.Author != "Ada" || p.Changed != 30 || len(p.Digest) != 64 {
		t.Fatalf("published = %+v, want a proposal", p.PolicyVersion)
	}
	w.problem(404, ada, get, "/policy", nil)
	w.problem(403, ada, post, "/policy/versions/1/approve", map[string]string{"digest": p.Digest})
	w.problem(403, sup, post, "/policy/versions/1/approve", map[string]string{"digest": p.Digest})
	w.problem(409, ben, post, "/policy/versions/1/approve", map[string]string{"digest": "0"})
	w.ok(200, ben, post, "/policy/versions/1/approve", map[string]string{"digest": p.Digest}, &p)
	if p.State != "current" || p.ApproverName != "Ben" || p.Approved == nil {
		t.Errorf("approved = %+v", p.PolicyVersion)
	}

	// The next one goes by rings.
	w.send(200, ada, put, "/policy", draft(t, api.PolicyDraft{Text: blocking("second", "whatsapp", "signal"), Percent: []int{20}}), &p)
	digest := p.Digest
	w.send(200, ada, put, "/policy", draft(t, api.PolicyDraft{Text: blocking("never", "viber"), Percent: []int{20}}), nil)
	w.ok(200, ben, post, "/policy/versions/2/approve", map[string]string{"digest": digest}, &p)
	if p.State != "rolling" || p.Rings == nil || cmp.Diff(&api.Rings{Canary: []string{}, Percent: []int{20, 100}, Pause: 1800, StopAt: 0.05}, p.Rings) != "" {
		t.Fatalf("approved = %+v, %+v", p.PolicyVersion, p.Rings)
	}
	var r api.PolicyRollout
	w.ok(200, sup, get, "/policy/rollout", nil, &r)
	if len(r.Rings) != 2 || !r.Rings[0].Open || r.Rings[1].Open || r.Rings[0].Waiting == 0 || r.Rings[0].Waiting+r.Rings[1].Devices != 30 || r.Next == nil {
		t.Errorf("rollout = %+v", r)
	}
	w.problem(400, ada, post, "/policy/rollout/stop", map[string]string{"reason": " "})
	var v api.PolicyVersion
	w.ok(200, ada, post, "/policy/rollout/stop", map[string]string{"reason": "complaints"}, &v)
	w.ok(200, ada, get, "/policy/rollout", nil, &r)
	if v.State != "stopped" || r.Reason != "complaints" || r.Stopped == nil {
		t.Errorf("stopped = %s, %+v", v.State, r)
	}
	w.ok(200, ada, post, "/policy/rollout/resume", nil, &v)
	w.problem(409, ada, post, "/policy/rollout/resume", nil)

	var d api.PolicyDiff
	w.ok(200, sup, get, "/policy/versions/2/diff", nil, &d)
	if d.From != 1 || len(d.Words) == 0 || !strings.Contains(d.Unified, "+note: second\n") {
		t.Errorf("diff = %+v", d)
	}
	w.ok(200, sup, get, "/policy/versions/3/diff?from=2", nil, &d)
	w.ok(200, ada, post, "/policy/rollback", map[string]any{"reason": "back to what worked"}, &v)
	w.ok(200, ada, get, "/policy", nil, &p)
	if v.Generation != 4 || p.Generation != 4 || p.Text != noted("first") || p.Reason != "back to what worked" {
		t.Errorf("rolled back = %+v", p.PolicyVersion)
	}
	w.ok(200, ada, post, "/policy/versions/3/withdraw", map[string]string{"reason": "overtaken"}, &v)
	w.problem(409, ada, post, "/policy/versions/3/withdraw", map[string]string{"reason": "again"})

	var all api.List[api.PolicyVersion]
	w.ok(200, sup, get, "/policy/versions?limit=3", nil, &all)
	var states []string
	for _, i := range all.Items {
		states = append(states, fmt.Sprintf("%d %s", i.Generation, i.State))
	}
	if diff := cmp.Diff([]string{"4 current", "3 withdrawn", "2 withdrawn"}, states); diff != "" || all.Next != "2" {
		t.Errorf("next %q, versions mismatch (-want +got)\n%s", all.Next, diff)
	}
	var last api.List[api.PolicyVersion]
	w.ok(200, sup, get, "/policy/versions?after="+all.Next, nil, &last)
	if len(last.Items) != 1 || last.Items[0].State != "superseded" || last.Next != "" {
		t.Errorf("the last page = %+v", last)
	}
	w.problem(404, sup, get, "/policy/versions/9", nil)
	var entries api.List[api.Entry]
	w.ok(200, ada, get, "/audit?subject=2&oldest=true", nil, &entries)
	var actions []string
	for _, e := range entries.Items {
		actions = append(actions, e.Action)
	}
	if diff := cmp.Diff([]string{"policy.proposed", "policy.approved", "policy.stopped", "policy.resumed"}, actions); diff != "" {
		t.Errorf("audit of generation 2 mismatch (-want +got)\n%s", diff)
	}
}

// TestPlanLater: what an exception changes next month is told with its day, and a
// version that goes further back than the newest is proposed where it changes much.
func TestPlanLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleGovern)
	_, ben := w.person("Ben", ward.RoleGovern)
	for i := range 30 {
		e := w.phone(ward.DeviceID(fmt.Sprintf("dev_%02d", i)))
		if err := w.db.Fleet().SetSupervised(t.Context(), e.ID, ward.Supervised); err != nil {
			t.Fatal(err)
		}
	}
	for i, apps := range [][]string{{"whatsapp"}, {"whatsapp", "signal"}, {"viber"}} {
		var p api.Policy
		w.send(200, ada, put, "/policy", draft(t, api.PolicyDraft{Text: blocking(fmt.Sprint("number ", i), apps...)}), &p)
		w.ok(200, ben, post, fmt.Sprintf("/policy/versions/%d/approve", i+1), map[string]string{"digest": p.Digest}, nil)
	}
	begins := start.Truncate(24*time.Hour).AddDate(0, 1, 0)
	text := blocking("later", "viber") + fmt.Sprintf("\nexceptions:\n  - {id: E, app: viber, for: {device: dev_03}, who: a, reason: b, approver: c, from: %s, expires: %s, review: d}\n",
		begins.Format(time.DateOnly), begins.AddDate(0, 0, 3).Format(time.DateOnly))
	var plan api.PolicyPlan
	w.ok(200, ada, post, "/policy/plan", text, &plan)
	if diff := cmp.Diff([]api.Later{{At: begins, Devices: 1}}, plan.Later); diff != "" || plan.Changed != 1 || plan.Together != 1 || plan.SecondPerson {
		t.Errorf("plan = %d changed, %d together, second person %v, later mismatch (-want +got)\n%s", plan.Changed, plan.Together, plan.SecondPerson, diff)
	}
	var v api.PolicyVersion
	w.ok(200, ada, post, "/policy/rollback", map[string]any{"reason": "all was wrong", "generation": 1}, &v)
	if v.State != "proposed" || v.Changed != 30 || v.Together != 30 || v.Base != 3 {
		t.Errorf("further back = %+v, want a proposal", v)
	}
	w.ok(200, ada, post, "/policy/rollback", map[string]any{"reason": "the last was wrong"}, &v)
	if v.State != "current" || v.Changed != 30 {
		t.Errorf("straight back = %+v, want it in force", v)
	}
}

// TestPolicyBody: what can't be read is refused as a whole, and never repeated.
func TestPolicyBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, gov := w.person("Gov", ward.RoleGovern)
	for name, body := range map[string]string{
		"no JSON": `{`, "an unknown field": `{"text":"x","ring":[1]}`, "another type": `{"text":1}`, "no base64": `{"text":"x","files":{"a":"*secret*"}}`,
		"the zero character": `{"text":"a\u0000b"}`, "a pause of years": `{"text":"x","rings":[],"pause_seconds":99999999999}`,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, api.Prefix+"/policy", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+gov)
		r.Header.Set("Content-Type", "application/json")
		out := httptest.NewRecorder()
		w.handler.ServeHTTP(out, r)
		if out.Code != 400 || strings.Contains(out.Body.String(), "secret") {
			t.Errorf("%s: %d %s", name, out.Code, out.Body)
		}
	}
	if p := w.problem(400, gov, put, "/policy", "nonsense: true\nblocks: {}\n"); len(p.Details) < 2 {
		t.Errorf("details = %q, want every mistake", p.Details)
	}
}

// TestExplainDevice: the answer tells the version that holds for the device, and the line
// of each setting. The files that a policy names come back with it.
func TestExplainDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, gov := w.person("Gov", ward.RoleGovern, ward.RoleSupport)
	w.phone("dev_1")
	w.problem(404, gov, get, "/devices/dev_1/policy", nil)
	site := "- slug: ward-gossip\n  name: Ward Gossip\n  category: consumer-messaging\n  status: active\n  ios:\n    - {id: org.example.gossip, source: our own inventory}\n"
	text := blocking("first", "whatsapp", "ward-gossip") + "\ncatalogue: site.yaml\n"
	if p := w.problem(400, gov, put, "/policy", text); !strings.Contains(strings.Join(p.Details, " "), "site.yaml") {
		t.Errorf("without its file: %q, want it named", p.Details)
	}
	var p api.Policy
	w.send(200, gov, put, "/policy", draft(t, api.PolicyDraft{Text: text, Files: map[string][]byte{"site.yaml": []byte(site)}}), nil)
	w.ok(200, gov, get, "/policy/versions/1", nil, &p)
	if string(p.Files["site.yaml"]) != site || !slices.ContainsFunc(p.Summary.Blocked, func(b api.Blocked) bool { return b.Slug == "ward-gossip" }) {
		t.Errorf("version = %+v, want its file, read", p.Files)
	}
	var x api.PolicyExplanation
	w.ok(200, gov, get, "/devices/S-dev_1/policy", nil, &x)
	at := slices.IndexFunc(x.Origins, func(o api.Origin) bool { return o.Path == "containment.no_backup" })
	if x.Device != "dev_1" || x.Generation != 1 || x.Kind == "" || len(x.Limits) == 0 || at < 0 || x.Origins[at].Line == 0 || x.Origins[at].Layer != "the policy" {
		t.Errorf("explanation = %+v", x)
	}
	w.ok(204, gov, put, "/devices/dev_1/group", map[string]string{"site": "North", "role": "nurse"}, nil)
	var d api.DeviceDetail
	w.ok(200, gov, get, "/devices/dev_1", nil, &d)
	if d.Site != "North" || d.Role != "nurse" || d.Group != "" {
		t.Errorf("device is at %q, %q, %q", d.Site, d.Role, d.Group)
	}
	w.problem(400, gov, put, "/devices/dev_1/group", map[string]string{})
	w.problem(400, gov, put, "/devices/dev_1/group", map[string]string{"role": strings.Repeat("x", 101)})
}

func TestDrift(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, sup := w.person("Sup", ward.RoleSupport)
	w.phone("dev_1")
	w.phone("dev_2")
	gone := reconcile.Deviation{Kind: reconcile.DriftedProfile, Subject: "org.wardmdm.policy.messaging"}
	back := reconcile.Deviation{Kind: reconcile.BlockedApp, Subject: "whatsapp"}
	for _, step := range []struct {
		id   ward.DeviceID
		all  []reconcile.Deviation
		when time.Duration
	}{{"dev_1", []reconcile.Deviation{gone, back}, 0}, {"dev_2", []reconcile.Deviation{back}, time.Minute}, {"dev_1", []reconcile.Deviation{back}, time.Hour}} {
		if err := w.db.Drift().Settle(t.Context(), step.id, step.all, start.Add(step.when)); err != nil {
			t.Fatal(err)
		}
	}
	var list api.List[api.Drift]
	w.ok(200, sup, get, "/policy/drift?open=true", nil, &list)
	if len(list.Items) != 2 || list.Items[0].Device != "dev_2" || list.Items[0].Kind != "blocked-app" || list.Items[0].Subject != "whatsapp" {
		t.Errorf("open = %+v", list.Items)
	}
	w.ok(200, sup, get, "/policy/drift?device=dev_1&kind=profile", nil, &list)
	if len(list.Items) != 1 || list.Items[0].Righted == nil || !list.Items[0].Righted.Equal(start.Add(time.Hour)) {
		t.Errorf("of one device = %+v, want what was put right", list.Items)
	}
	w.ok(200, sup, get, "/policy/drift?limit=1", nil, &list)
	w.ok(200, sup, get, "/policy/drift?limit=2&after="+list.Next, nil, &list)
	if len(list.Items) != 2 {
		t.Errorf("the second page = %+v", list.Items)
	}
	var counts api.DriftCounts
	w.ok(200, sup, get, "/policy/drift/counts", nil, &counts)
	want := []api.DriftCount{{Kind: "blocked-app", Open: 2, Devices: 2, Found: 2}, {Kind: "profile", Found: 1, Righted: 1}}
	if diff := cmp.Diff(want, counts.Items); diff != "" {
		t.Errorf("counts mismatch (-want +got)\n%s", diff)
	}
	w.problem(404, sup, get, "/policy/drift?device=nobody", nil)
	w.problem(400, sup, get, "/policy/drift?after=x", nil)
}
