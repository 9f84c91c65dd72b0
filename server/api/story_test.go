package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/reconcile"
)

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	remove = http.MethodDelete
)

func TestDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, token := w.person("Ada", ward.RoleAdmin)
	e := w.phone("dev_1")
	w.phone("dev_2")

	var first, second api.List[api.Device]
	w.ok(200, token, get, "/devices?limit=1", nil, &first)
	w.ok(200, token, get, "/devices?limit=1&after="+first.Next, nil, &second)
	if len(first.Items) != 1 || first.Items[0].ID != "dev_1" || len(second.Items) != 1 || second.Items[0].ID != "dev_2" {
		t.Errorf("pages = %+v, %+v; want dev_1, then dev_2", first, second)
	}

	w.ok(200, token, put, "/policy", string(profiles.ExamplePolicy()), nil)
	var d api.DeviceDetail
	w.ok(200, token, get, "/devices/S-dev_1", nil, &d)
	if d.State != "non-compliant" || d.Reason == "" || len(d.Findings) == 0 || d.Supervised == nil || !*d.Supervised || d.Epoch != 1 {
		t.Errorf("device = %+v, want a supervised one that does not comply, and why", d.Device)
	}
	if len(d.Limits) == 0 || len(d.Enrolments) != 1 || !d.Enrolments[0].MayErase || d.Facts.Information.Battery != 0.8 {
		t.Errorf("detail = %+v, want limits, the enrolment and the facts", d)
	}
	no, yes := false, true
	wantProfiles := []api.Profile{
		{Identifier: profiles.MessagingProfile, Name: d.Profiles[0].Name, Wanted: true, Installed: &no},
		{Identifier: profiles.ProfilePrefix + "web", Name: d.Profiles[1].Name, Wanted: true, Installed: &no},
		{Identifier: "com.example.wifi", Name: "Wi-Fi", Installed: &yes, Managed: true},
	}
	if diff := cmp.Diff(wantProfiles, d.Profiles); diff != "" {
		t.Errorf("profiles mismatch (-want +got):\n%s", diff)
	}
	if a := d.Apps[len(d.Apps)-1]; a.BundleID != "net.whatsapp.WhatsApp" || a.Wanted || a.Installed == nil || !*a.Installed {
		t.Errorf("last app = %+v, want WhatsApp, installed and not wanted", a)
	}

	w.ok(204, token, post, "/devices/dev_1/refresh", nil, nil)
	w.ok(204, token, post, "/devices/dev_1/release", nil, nil)
	var locked api.Queued
	w.ok(202, token, post, "/devices/dev_1/lock", nil, &locked)
	w.ok(202, token, post, "/devices/dev_1/lock", map[string]string{"message": "Call IT"}, &locked)
	var cs api.List[api.Command]
	w.ok(200, token, get, "/devices/dev_1/commands?limit=1", nil, &cs)
	if len(cs.Items) != 1 || cs.Items[0].UUID != locked.Command || cs.Items[0].State != "waiting" || cs.Items[0].Words == "" || cs.Next == "" {
		t.Errorf("commands = %+v, want the lock that waits, and a next page", cs)
	}
	w.ok(204, token, remove, "/devices/dev_1/commands/"+locked.Command, nil, nil)
	w.problem(404, token, remove, "/devices/dev_1/commands/"+locked.Command, nil)
	w.accept(e, string(reconcile.AskInformation))
	w.ok(200, token, get, "/devices/dev_1/commands", nil, &cs)
	if states := cs.Items[0].State + " " + cs.Items[len(cs.Items)-1].State; states == "waiting waiting" {
		t.Errorf("states = %q, want what truly happened", states)
	}
}

func TestLostAndWiped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	people, _ := w.signers("Ben", "Cyd")
	e := w.phone("dev_1")

	var c api.Case
	w.ok(201, ada, post, "/devices/dev_1/lost", map[string]any{"kind": "stolen", "where": "bus 36", "when": "2026-11-03T02:00:00Z", "unlocked": "no", "note": "black case"}, &c)
	if c.State != "open" || c.Kind != "stolen" || c.Where != "bus 36" || c.When == nil || c.Unlocked != "no" || c.ReportedBy.Name != "Ada" {
		t.Errorf("case = %+v, want what was reported", c)
	}
	var d api.DeviceDetail
	w.ok(200, ada, get, "/devices/dev_1", nil, &d)
	if d.State != "lost" || d.Case == nil || d.Case.ID != c.ID {
		t.Errorf("device = %s, case %+v; want lost, with the case", d.State, d.Case)
	}

	var o api.Order
	w.ok(202, ada, post, "/devices/dev_1/wipe", map[string]any{"reason": "it was seen for sale"}, &o)
	if o.State != "requested" || o.Case != c.ID || o.Needs != 2 || o.RequestedBy.Name != "Ada" || !o.Options.PreserveDataPlan {
		t.Errorf("order = %+v, want one of the case that waits for two and keeps the data plan", o)
	}
	w.sign(o, people...)
	w.ok(200, ada, get, "/orders/"+string(o.ID), nil, &o)
	if o.State != "issued" || len(o.Approvals) != 2 || o.Approvals[0].Subject != "ben@trust.example" || o.Approvals[1].Approver != people[1].ID || o.Needs != 0 || o.ApproveAt != "" {
		t.Errorf("order = %+v, want it issued by Ben and Cyd", o)
	}
	_, admin := w.person("Root", ward.RoleAdmin)
	w.problem(409, admin, remove, "/devices/dev_1/commands/"+o.Targets[0].Command, nil)
	w.accept(e, "EraseDevice")
	w.ok(200, ada, get, "/orders/"+string(o.ID), nil, &o)

	var open api.List[api.Case]
	w.ok(200, ada, get, "/cases?state=open&device=dev_1", nil, &open)
	if len(open.Items) != 1 {
		t.Errorf("open cases = %+v, want one", open)
	}
	var detail api.CaseDetail
	w.ok(200, ada, get, "/cases/"+string(c.ID), nil, &detail)
	if len(detail.Timeline) == 0 {
		t.Error("the case has no timeline")
	}
	w.problem(404, ada, get, "/cases/"+string(c.ID)+"/location?purpose=to+fetch+it", nil)
	w.ok(200, ada, post, "/cases/"+string(c.ID)+"/found", map[string]string{"note": "under the seat"}, &c)
	_, gov := w.person("Gov", ward.RoleGovern)
	w.problem(409, ada, post, "/cases/"+string(c.ID)+"/close", map[string]string{"note": "back in use"})
	w.ok(201, gov, post, "/cases/"+string(c.ID)+"/decisions", map[string]any{"reportable": false, "reasoning": "It was encrypted and locked."}, nil)
	w.ok(200, ada, post, "/cases/"+string(c.ID)+"/close", map[string]string{"note": "back in use"}, &c)
	if c.State != "closed" {
		t.Errorf("case = %s, want closed", c.State)
	}
}

func TestReportOfSeveral(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	w.phone("dev_2")
	w.phone("dev_3")
	var several api.CasesReported
	w.ok(201, ada, post, "/cases", map[string]any{"devices": []string{"dev_2", "S-dev_3"}, "note": "a bag with two"}, &several)
	if len(several.Cases) != 2 {
		t.Errorf("cases = %+v, want two", several)
	}
	if p := w.problem(404, ada, post, "/cases", map[string]any{"devices": []string{"dev_2", "nobody's", "nothing"}}); len(p.Details) != 2 {
		t.Errorf("details = %q, want both devices that are not known", p.Details)
	}
	w.ok(200, ada, post, "/devices/dev_2/found", nil, nil)
	w.problem(409, ada, post, "/devices/dev_2/found", nil)
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	w.phone("dev_1")
	var i api.Invitation
	w.ok(201, ada, post, "/invitations", map[string]any{"name": "Sam Nurse", "ownership": "personal", "group": "Ward 7"}, &i)
	if !strings.HasPrefix(i.URL, "https://ward.example/enrol/") || i.State != "open" || i.CreatedBy != "Ada" || i.Device == "" {
		t.Errorf("invitation = %+v, want an open one with its link", i)
	}
	w.ok(201, ada, post, "/invitations", map[string]any{"name": "Sam Nurse", "ownership": "corporate", "device": "S-dev_1", "hours": 1}, &i)
	if i.Device != "dev_1" || i.Serial != "S-dev_1" {
		t.Errorf("device = %s with the serial number %s, want dev_1 with its own", i.Device, i.Serial)
	}
	var one api.Invitation
	w.ok(201, ada, post, "/invitations", map[string]any{"name": "Kim Reid", "ownership": "corporate", "serial": " c39abcdefg", "identity": "scep"}, &one)
	if one.Serial != "C39ABCDEFG" || one.Identity != "scep" {
		t.Errorf("invitation = %+v, want it for one serial number, by SCEP", one)
	}
	if p := w.problem(400, ada, post, "/invitations", map[string]any{"name": "Kim", "ownership": "corporate", "serial": "12", "identity": "tpm"}); len(p.Details) != 2 {
		t.Errorf("details = %q, want both mistakes", p.Details)
	}
	if p := w.problem(400, ada, post, "/invitations", map[string]any{"name": "Kim", "ownership": "corporate", "identity": "attested"}); !strings.Contains(strings.Join(p.Details, " "), "attestation is off") {
		t.Errorf("details = %q, want the reason", p.Details)
	}
	var made api.Invitations
	w.ok(201, ada, post, "/invitations/csv", "name,ownership\nA,corporate\nB,personal\n", &made)
	if len(made.Items) != 2 || made.Items[1].URL == "" {
		t.Errorf("invitations = %+v, want two with links", made)
	}
	if p := w.problem(400, ada, post, "/invitations/csv", "name,ownership\n,corporate\nB,none\n"); len(p.Details) < 2 {
		t.Errorf("details = %q, want the mistakes of both lines", p.Details)
	}
	var l api.List[api.Invitation]
	body := w.ok(200, ada, get, "/invitations?limit=3", nil, &l)
	if len(l.Items) != 3 || l.Next == "" || strings.Contains(body, "/enrol/") {
		t.Errorf("invitations = %s, want three of five, without links", body)
	}
	w.ok(204, ada, remove, "/invitations/"+i.ID, nil, nil)
	w.ok(200, ada, get, "/invitations/"+i.ID, nil, &i)
	if i.State != "revoked" || i.Revoked == nil {
		t.Errorf("invitation = %+v, want it revoked", i)
	}
	_, gov := w.person("Gov", ward.RoleGovern)
	var entries api.List[api.Entry]
	w.ok(200, gov, get, "/audit?subject="+i.ID, nil, &entries)
	if len(entries.Items) != 2 || entries.Items[0].Action != "invitation.revoked" || entries.Items[1].Action != "invitation.created" {
		t.Errorf("audit = %+v, want the invitation made and taken back", entries.Items)
	}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, gov := w.person("Gov", ward.RoleGovern)
	w.phone("dev_1")
	w.problem(404, gov, get, "/policy", nil)
	var v api.Preview
	w.ok(200, gov, post, "/policy/validate", string(profiles.ExamplePolicy()), &v)
	if v.Devices != 1 || v.Changed != 1 || len(v.Lines) != 1 || len(v.Lines[0].Limits) == 0 || v.Summary.Name == "" {
		t.Errorf("preview = %+v, want one device that changes, and what is enforced there", v)
	}
	var p api.Policy
	w.ok(200, gov, put, "/policy", string(profiles.ExamplePolicy()), &p)
	w.ok(200, gov, get, "/policy", nil, &p)
	if p.Generation != 1 || p.Text != string(profiles.ExamplePolicy()) || len(p.Summary.Blocked) == 0 {
		t.Errorf("policy = %d, %d blocked; want the first, as it was sent", p.Generation, len(p.Summary.Blocked))
	}
	w.ok(200, gov, post, "/policy/validate", string(profiles.ExamplePolicy()), &v)
	if v.Changed != 0 {
		t.Errorf("the policy that is published would change %d devices", v.Changed)
	}
	if p := w.problem(400, gov, put, "/policy", "nonsense: true\nblocks: {}\n"); len(p.Details) < 2 {
		t.Errorf("details = %q, want every mistake", p.Details)
	}
}

func TestPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, root := w.person("Root", ward.RoleAdmin)
	_, aud := w.person("Aud", ward.RoleAuditor)
	var p api.Person
	w.ok(201, root, post, "/people", map[string]any{"name": "Cleo", "roles": []string{"support"}}, &p)
	w.problem(409, root, post, "/people", map[string]any{"name": "cleo", "roles": []string{"support"}})
	var link api.Link
	w.ok(201, root, post, "/people/Cleo/link", nil, &link)
	if link.Kind != "setup" || !strings.HasPrefix(link.URL, "https://ward.example/setup/") {
		t.Errorf("link = %+v, want one to set up with", link)
	}
	w.ok(200, root, put, "/people/"+string(p.ID)+"/roles", map[string]any{"roles": []string{"support", "auditor"}}, &p)
	w.ok(200, root, post, "/people/"+string(p.ID)+"/disable", nil, &p)
	if p.Disabled == nil || len(p.Roles) != 2 {
		t.Errorf("person = %+v, want two roles, disabled", p)
	}
	w.ok(200, root, post, "/people/"+string(p.ID)+"/enable", nil, &p)
	w.ok(200, aud, get, "/people/cleo", nil, &p)
	var l api.List[api.Person]
	w.ok(200, aud, get, "/people?limit=2", nil, &l)
	if len(l.Items) != 2 || l.Next == "" {
		t.Errorf("people = %+v, want two and a next page", l)
	}

	var me api.Me
	w.ok(200, aud, get, "/me", nil, &me)
	if me.Person.Name != "Aud" || len(me.Permissions) == 0 {
		t.Errorf("me = %+v, want Aud and what Aud may do", me)
	}
	var made api.NewToken
	w.ok(201, aud, post, "/people/Aud/tokens", map[string]any{"name": "script", "scopes": []string{"audit:read"}}, &made)
	w.ok(200, made.Secret, get, "/audit", nil, nil)
	w.problem(403, made.Secret, get, "/people", nil)
	w.problem(403, made.Secret, get, "/people/Nobody/tokens", nil)
	w.problem(403, root, post, "/people/Aud/tokens", map[string]any{})
	var ts api.Tokens
	body := w.ok(200, aud, get, "/people/Aud/tokens", nil, &ts)
	if len(ts.Items) != 2 || strings.Contains(body, "secret") {
		t.Errorf("tokens = %s, want two without secrets", body)
	}
	w.ok(204, aud, remove, "/tokens/"+made.ID, nil, nil)
	w.problem(401, made.Secret, get, "/me", nil)
}

func TestAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, gov := w.person("Gov", ward.RoleGovern)
	w.problem(404, gov, get, "/audit/checkpoint", nil)
	must(w.audit.Sequence(t.Context()))(t)
	key := w.ok(200, gov, get, "/audit/key", nil, nil)
	note := w.ok(200, gov, get, "/audit/checkpoint", nil, nil)
	if name, _, _ := strings.Cut(key, "+"); !strings.HasPrefix(note, name) || key != w.audit.PublicKey()+"\n" {
		t.Errorf("checkpoint %q is not of the key %q", note, key)
	}
	if all, bare := w.ok(200, gov, get, "/audit/export", nil, nil), w.ok(200, gov, get, "/audit/export?leaves=true", nil, nil); !strings.Contains(all, "Gov") || strings.Contains(bare, "Gov") || strings.Count(all, "\n") != strings.Count(bare, "\n") {
		t.Errorf("exports = %s\n%s\nwant the same entries with and without names", all, bare)
	}
	var l api.List[api.Entry]
	w.ok(200, gov, get, "/audit?limit=1&oldest=true&actor=operator", nil, &l)
	if len(l.Items) != 1 || l.Items[0].Action != "person.created" || l.Items[0].Subject != string(p.ID) || l.Items[0].Index == nil || l.Next == "" {
		t.Errorf("audit = %+v, want the first deed of the operator, and a next page", l)
	}
	w.ok(200, gov, get, "/audit?limit=1&oldest=true&actor=operator&after="+l.Next, nil, &l)
	if len(l.Items) != 1 || l.Items[0].Action != "token.created" {
		t.Errorf("audit = %+v, want the next deed", l)
	}
	w.ok(200, gov, get, "/audit?action=audit.exported", nil, &l)
	if len(l.Items) != 1 || l.Items[0].Actor.Person != p.ID {
		t.Errorf("audit = %+v, want that names were exported", l)
	}
	w.problem(400, gov, get, "/audit?after=x", nil)
}

const emptyCommand = `<plist version="1.0"><dict/></plist>`

func TestAppleAndBackup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, root := w.person("Root", ward.RoleAdmin)
	for _, tt := range []struct {
		ids, body string
		want      int
		status    map[string]api.EnqueuingResult
	}{
		{"a,b,a", emptyCommand, 200, map[string]api.EnqueuingResult{"a": {CommandUUID: "C-1"}, "b": {CommandUUID: "C-1"}}},
		{"a,unknown", emptyCommand, 207, map[string]api.EnqueuingResult{"a": {CommandUUID: "C-1"}, "unknown": {Error: "unknown is not enrolled."}}},
		{"unknown", emptyCommand, 404, map[string]api.EnqueuingResult{"unknown": {Error: "unknown is not enrolled."}}},
	} {
		var e api.Enqueuing
		w.ok(tt.want, root, put, "/enqueue/"+tt.ids+"?nopush=1", tt.body, &e)
		if diff := cmp.Diff(tt.status, e.Status); diff != "" {
			t.Errorf("enqueue %s mismatch (-want +got):\n%s", tt.ids, diff)
		}
	}
	w.ok(200, root, put, "/enqueue/a?expires_at=2026-11-03T04:00:00Z", emptyCommand, nil)
	if last := w.outside.raw[len(w.outside.raw)-1]; !last.Expires.Equal(start.Add(time.Hour)) || last.NoPush {
		t.Errorf("command = %+v, want one that ends in an hour", last)
	}
	if first := w.outside.raw[0]; !first.Expires.IsZero() || !first.NoPush {
		t.Errorf("command = %+v, want one that never ends and wakes nobody", first)
	}
	w.problem(400, root, put, "/enqueue/a", "nonsense")
	w.problem(400, root, put, "/enqueue/,", emptyCommand)

	var certs api.PushCertificates
	w.ok(200, root, get, "/apns", nil, &certs)
	if len(certs.Items) != 1 || !certs.Items[0].RenewSoon {
		t.Errorf("apns = %+v, want one that is to be renewed soon", certs)
	}
	var csr api.SigningRequest
	w.ok(201, root, post, "/apns/request", map[string]string{"organisation": "Trust", "email": "it@trust.example"}, &csr)
	w.ok(200, root, post, "/apns/import", map[string]string{"certificate": "-----BEGIN CERTIFICATE-----"}, nil)
	if got := w.ok(200, root, get, "/backup", nil, nil); got != "all of it" {
		t.Errorf("backup = %q, want all of it", got)
	}
	var l api.List[api.Entry]
	w.ok(200, root, get, "/audit?action=backup.made", nil, &l)
	if len(l.Items) != 1 {
		t.Errorf("audit = %+v, want that a backup was made", l)
	}
}
