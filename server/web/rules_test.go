package web_test

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/server/estate"
)

// kept is a world in which the past of devices is what was kept of it.
func kept(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.web.Fleet.Estate = w.estate.Service
	return w
}

// excepted is the example policy with exceptions in force, coming and ended.
func (w *world) excepted() []byte {
	w.t.Helper()
	today := w.now().Truncate(24 * time.Hour)
	text := profiles.ExamplePolicy()
	for _, e := range []struct {
		id, app  string
		scope    source.Scope
		from, to int
	}{
		{"EX-1", "whatsapp", source.Scope{Kind: source.ForWard, Value: "Ward 7"}, -10, 20},
		{"EX-2", "signal", source.Scope{Kind: source.ForDevice, Value: "dev-01"}, 5, 30},
		{"EX-3", "telegram", source.Scope{Kind: source.ForOwner, Value: "ben@example.org"}, -80, -40},
	} {
		var err error
		text, err = source.Exempt(text, source.Inputs{}, source.Exception{
			Exception: intent.Exception{ID: e.id, App: e.app, Who: "Jo Smith", Reason: "Families abroad", Approver: "Sam Jones", Expires: today.AddDate(0, 0, e.to), Review: "IG group"}, For: e.scope, From: today.AddDate(0, 0, e.from),
		})
		w.must(err)
	}
	return text
}

var (
	tableRow  = regexp.MustCompile(`(?s)<tr role="row">.*?</tr>`)
	numberOf  = regexp.MustCompile(`<a href="([^"]+)">(\d+)</a>`)
	rowHeader = `<th role="rowheader"`
)

// doors follows every number of a page that leads somewhere and counts what is there.
func (w *world) doors(v *visitor, path string) (followed int) {
	w.t.Helper()
	page := v.get(path)
	page.want(w.t, 200)
	for _, link := range numberOf.FindAllStringSubmatch(page.body, -1) {
		to := unescape(link[1])
		u, err := url.Parse(to)
		w.must(err)
		var got int
		switch {
		case u.Path == "/devices":
			f, err := estate.ParseFilter(u.Query())
			w.must(err)
			snap, err := w.web.Fleet.Estate.Current(w.t.Context())
			w.must(err)
			got = len(snap.Match(f))
		case strings.HasPrefix(u.Path, "/policies/drift") || u.Path == "" || strings.Contains(to, "#L"):
			continue
		default:
			got = strings.Count(v.get(to).body, rowHeader)
		}
		followed++
		if fmt.Sprint(got) != link[2] {
			w.t.Errorf("%s: the number %s leads to %s, which has %d", path, link[2], to, got)
		}
	}
	return followed
}

// TestAppPages: the catalogue tells where each app is, what the policy makes of it and where
// that can't be enforced.
func TestAppPages(t *testing.T) {
	t.Parallel()
	w := kept(t)
	p := w.person("Maud Ellery", ward.RoleSupport)
	w.fleet(p)
	v := w.signedIn(p)
	all := v.get("/apps")
	all.want(t, 200, "WhatsApp", "Blocked", "Signal", "On devices", "Supervised iPhone, Android")
	if n := w.doors(v, "/apps"); n == 0 {
		t.Error("no number of the list of apps leads anywhere")
	}
	if rows := tableRow.FindAllString(all.body, -1); len(rows) < 70 || !strings.Contains(rows[1], "WhatsApp") {
		t.Errorf("%d rows, the first %q: want the app above that is on most devices", len(rows), rows[1])
	}
	v.get("/apps?show=present").want(t, 200, "WhatsApp", "!Telegram X")
	v.get("/apps?name=net.whatsapp").want(t, 200, "WhatsApp", "!Signal")
	v.get("/apps?show=purple").want(t, 404, "There is no such part")
	v.get("/apps?ownership=corporate").want(t, 200, "Trends and times to removal are kept of the whole fleet")

	one := v.get("/apps/whatsapp")
	one.want(t, 200, "WhatsApp", "Where it is", "Ward 7", "Trend and removal", "How it is kept off, and where it can’t be", "Work PC with Linux", "net.whatsapp.WhatsApp", "Grade A", "30 days")
	if n := w.doors(v, "/apps/whatsapp?days=90"); n < 3 {
		t.Errorf("%d numbers lead anywhere, want one for each ward", n)
	}
	v.get("/apps/wa").to(t, "/apps/whatsapp")
	v.get("/apps/nothing").want(t, 404, "The catalogue has no app")
	v.get("/apps/whatsapp?ownership=personal").want(t, 200, "fewer than 5")
	then := w.now().Add(-time.Hour).Format(time.RFC3339)
	v.get("/apps?as_of="+url.QueryEscape(then)).want(t, 400)
	v.get("/apps?as_of="+url.QueryEscape(w.now().Format(time.RFC3339Nano))).want(t, 200, "As it was on", "WhatsApp")
}

// TestAppRegister: every approved app stands with its record, and each number leads to the
// devices that it counts.
func TestAppRegister(t *testing.T) {
	t.Parallel()
	w := kept(t)
	p := w.person("Maud Ellery", ward.RoleGovern)
	w.signedIn(p).get("/register").want(t, 200, "No app is approved")
	w.fleet(p)
	v := w.signedIn(p)
	v.get("/register").want(t, 200, "Ward Messenger", "DPIA", "Its own, fetched by the app")
	if n := w.doors(v, "/register"); n != 2 {
		t.Errorf("%d numbers lead anywhere, want ready and not ready", n)
	}
	page := v.get("/register/" + url.PathEscape("Ward Messenger"))
	page.want(t, 200, "Who answers for it", "Written in", "Its configuration")
	v.get("/register/Nothing").want(t, 404)
}

// TestExceptions: exceptions stand with their state and their devices; one is proposed by a
// form, which changes nothing, and published by the policy's own rules.
func TestExceptions(t *testing.T) {
	t.Parallel()
	w := kept(t)
	p := w.person("Maud Ellery", ward.RoleGovern)
	w.fleet(p)
	_, err := w.policies.Publish(w.system(), w.excepted())
	w.must(err)
	v := w.signedIn(p)
	v.get("/exceptions").want(t, 200, "EX-1", "In force", "EX-2", "Coming", "EX-3", "Ended", "Families abroad", "Propose an exception")
	if n := w.doors(v, "/exceptions"); n != 3 {
		t.Errorf("%d exceptions lead to devices, want 3", n)
	}
	v.get("/exceptions?show=ended").want(t, 200, "EX-3", "!EX-1")
	v.get("/exceptions/EX-1").want(t, 200, "Sam Jones", "Ward 7", "Devices that it is about")
	v.get("/exceptions/EX-9").want(t, 404)
	v.get("/exceptions/new").want(t, 200, "Why there is no practical alternative")

	day := w.now().AddDate(0, 0, 1)
	form := url.Values{
		"id": {"EX-4"}, "app": {"viber"}, "kind": {"site"}, "value": {"North"}, "who": {"Jo Smith"}, "reason": {"No other way"}, "approver": {"Jo Smith"},
		"from": {day.Format(time.DateOnly)}, "expires": {day.AddDate(0, 1, 0).Format(time.DateOnly)}, "review": {"IG group"},
	}
	v.post("/exceptions/new", form).want(t, 400, "There is a problem", "!line 1")
	form.Set("approver", "Sam Jones")
	form.Set("from", "tomorrow")
	v.post("/exceptions/new", form).want(t, 400, "from: give a day")
	form.Set("from", day.Format(time.DateOnly))
	plan := v.post("/exceptions/new", form)
	plan.want(t, 200, "What it would change", "EX-4", "Publish it")
	if !strings.Contains(plan.body, `value="Exception EX-4: No other way"`) {
		t.Error("the reason is not carried along")
	}
	if now, err := w.policies.Published(w.system()); err != nil || now.Generation != 2 {
		t.Fatalf("in force is %d (%v): proposing changed something", now.Generation, err)
	}
	draft := hidden(plan.body)
	v.post("/policies/publish", draft).want(t, 400, "Read what would change")
	draft.Set("sure", "yes")
	draft.Set("reason", "approved by the group")
	v.post("/policies/publish", draft).to(t, "/policies/3")
	v.get("/exceptions").want(t, 200, "EX-4")
	w.signedIn(w.person("Ben", ward.RoleSupport)).get("/exceptions/new").want(t, 403)
}

var hiddenInput = regexp.MustCompile(`(?s)<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// hidden reads what the last form of a page carries along.
func hidden(body string) url.Values {
	out := url.Values{}
	at := strings.LastIndex(body[:strings.Index(body, `action="/policies/publish"`)+1], "<form")
	for _, m := range hiddenInput.FindAllStringSubmatch(body[at:strings.Index(body[at:], "</form>")+at], -1) {
		out.Set(m[1], unescape(m[2]))
	}
	return out
}

// TestPolicyPages: versions, their difference, a plan, a second person and the rollout.
func TestPolicyPages(t *testing.T) {
	t.Parallel()
	w := kept(t)
	p, other := w.person("Maud Ellery", ward.RoleGovern), w.person("Ada Brook", ward.RoleGovern)
	v := w.signedIn(p)
	v.get("/policies").want(t, 200, "No policy yet")
	v.get("/policies/plan").want(t, 200, "approved:")
	v.get("/policies/explain").want(t, 200, "nothing to explain")
	v.get("/rollouts").want(t, 200, "No policy is published yet")
	w.fleet(p)
	first := string(profiles.ExamplePolicy())
	second := first + "\n# a remark\n"
	for i := range 10 {
		w.enrol(phone{Device: ward.Device{ID: ward.DeviceID(fmt.Sprintf("more-%d", i)), Name: "More", Ownership: ward.Corporate, Group: "Ward 7", Serial: fmt.Sprint("M", i)}, supervised: true})
	}
	v.post("/policies/plan", url.Values{"text": {"nonsense: true\n"}}).want(t, 400, "There is a problem", "nonsense")
	v.post("/policies/plan", url.Values{"text": {second}}).want(t, 200, "0 of ", "Not needed")
	v.get("/policies/1").want(t, 200, "Generation 1", "In force", "Its text", "What changed from no policy", "Plan a change of it")
	v.get("/policies/9").want(t, 404)
	v.get("/policies/x").want(t, 404)
	v.get("/policies?before=x").want(t, 400)
	v.get("/policies/explain").want(t, 200, "Work iPhone, supervised", "Enforced", "Where each setting came from")
	v.get("/policies/explain?class=linux").want(t, 200, "Work PC with Linux")
	v.get("/policies/explain?device=dev-00").want(t, 200, "Asha’s iPhone", "generation 1")
	v.get("/policies/explain?device=nobody").want(t, 404)

	draft := func(text string) url.Values {
		out := hidden(v.post("/policies/plan", url.Values{"text": {text}}).body)
		out.Set("sure", "yes")
		return out
	}
	third := strings.Replace(first, "categories: [consumer-messaging]", "apps: [viber]", 1)
	f := draft(third)
	f.Set("percent", "ten")
	v.post("/policies/publish", f).want(t, 400, "is no whole number")
	f.Set("percent", "10, 100")
	f.Set("canary", "Nowhere")
	v.post("/policies/publish", f).want(t, 400, "No enrolled device is in the canary group")
	f.Set("base", "7")
	v.post("/policies/publish", f).want(t, 409, "Another version came into force")
	f.Set("base", "1")
	f.Set("canary", "Ward 7")
	a := v.post("/policies/publish", f)
	if a.location == "/policies/2" {
		v.get("/policies/2").want(t, 200, "Waits for a second person", "somebody else approves it")
		b := w.signedIn(other)
		page := b.get("/policies/2")
		page.want(t, 200, "You are the second person")
		digest := regexp.MustCompile(`name="digest" value="([^"]+)"`).FindStringSubmatch(page.body)
		b.post("/policies/2/approve", url.Values{"digest": {"another"}}).want(t, 409, "not the proposal that you were shown")
		b.post("/policies/2/approve", url.Values{"digest": {digest[1]}}).to(t, "/policies/2")
	} else {
		a.to(t, "/rollouts")
	}
	v.get("/rollouts").want(t, 200, "Rollout of generation 2", "Ward 7", "Not open yet", "Stop it", "Give it up and go back")
	v.post("/rollouts/stop", url.Values{}).want(t, 400, "Say why")
	v.post("/rollouts/stop", url.Values{"stop_reason": {"calls to the desk"}}).to(t, "/rollouts")
	v.get("/rollouts").want(t, 200, "Rollout stopped", "calls to the desk", "Let it go on")
	v.post("/rollouts/resume", nil).to(t, "/rollouts")
	v.post("/rollouts/back", url.Values{"back_reason": {"it was wrong"}}).to(t, "/rollouts")
	v.get("/policies").want(t, 200, "Generation 3", "In force", "Withdrawn", "Superseded")
	v.get("/policies/2?against=1").want(t, 200, "What changed from generation 1", "viber")
	v.get("/policies/drift").want(t, 200, "Drift")
	auditor := w.signedIn(w.person("Olu", ward.RoleAuditor))
	auditor.get("/policies/2").want(t, 200, "!Publish this text again")
	auditor.post("/rollouts/back", url.Values{"back_reason": {"x"}}).want(t, 403)
	auditor.post("/policies/plan", url.Values{"text": {first}}).want(t, 200, "What it would change", "!Publish it")
}

// TestDevicePage: one page tells all of a device, and how it was.
func TestDevicePage(t *testing.T) {
	t.Parallel()
	w := kept(t)
	p := w.person("Maud Ellery", ward.RoleAdmin)
	w.publish()
	e := w.enrol(phone{Device: ward.Device{ID: "d1", Serial: "S1", Name: "Asha’s iPhone", Owner: "Asha Rao", Ownership: ward.Corporate, Group: "Ward 7", Site: "North"}, supervised: true})
	w.enrol(phone{Device: ward.Device{ID: "own", Name: "Ben’s own", Ownership: ward.Personal, Group: "Ward 7"}})
	w.must(w.loop.Replan(w.system(), "d1"))
	_, err := w.web.Fleet.Estate.Current(t.Context())
	w.must(err)
	before := w.now()
	time0 := url.QueryEscape(before.Format(time.RFC3339Nano))
	v := w.signedIn(p)
	v.get("/devices/d1").want(t, 200, "Asha’s iPhone", "Compliant", "What is enforced here", "Timeline", "First known", "Install", "by Ward", "told", "Move to another ward", "No other app is asked about")
	v.get("/devices/own").want(t, 200, "only apps that Ward manages are known", "A personal phone is never erased")
	v.get("/devices/S1?kind=posture").to(t, "/devices/d1?kind=posture")

	w.must(w.loop.Replan(w.system(), "d1"))
	w.report(p, "d1")
	_, err = w.web.Fleet.Estate.Current(t.Context())
	w.must(err)
	v.get("/devices/d1").want(t, 200, "Lost", "Mark found", "Compliant to lost", "Came: Reported lost or stolen", "device.lost")
	then := v.get("/devices/d1?as_of=" + time0)
	then.want(t, 200, "As it was on", "Compliant", "Show it as it is now", "!Mark found", "!Report lost", "!Move to another ward", "!Compliant to lost", "Nothing that was known then")
	v.get("/devices/d1?as_of="+url.QueryEscape(before.Add(-24*time.Hour).Format(time.RFC3339))).want(t, 200, "Nothing was known of this device then")
	v.get("/devices/d1?as_of=never").want(t, 400)
	v.get("/devices/d1?kind=cases").want(t, 200, "Stolen", "!device.lost")
	v.get("/devices/d1?kind=profiles").want(t, 200, profiles.MessagingProfile, "!Look for apps")
	v.get("/devices/d1?kind=log").want(t, 200, "device.lost")
	v.get("/devices/d1?kind=purple").want(t, 404)
	v.get("/devices/d1?from=zz").want(t, 400)

	v.post("/devices/d1/place", url.Values{"group": {""}, "site": {"South"}}).want(t, 400, "There is a problem", "group")
	v.post("/devices/d1/place", url.Values{"group": {"Theatres"}, "site": {"South"}}).to(t, "/devices/d1")
	v.get("/devices/d1").want(t, 200, "Theatres", "South", "Ward or team: from Ward 7 to Theatres")
	helper := w.signedIn(w.person("Olu", ward.RoleAuditor))
	helper.get("/devices/d1").want(t, 200, "!Move to another ward", "!Mark found")
	helper.post("/devices/d1/place", url.Values{"group": {"A&E"}}).want(t, 403)
	w.signedIn(w.person("Approver", ward.RoleApprover)).get("/devices/d1").want(t, 200, "!device.lost", "!Look for apps")

	// A long history is read page by page, and every event stands on one page.
	for range 130 {
		w.must(w.posture.Refresh(w.system(), "d1"))
		_, err := w.db.Commands().CancelOpen(t.Context(), e.ID, "enough", nil)
		w.must(err)
	}
	seen, pages, last := map[string]int{}, 0, time.Time{}
	for path := "/devices/d1"; path != "" && pages < 60; pages++ {
		a := v.get(path)
		a.want(t, 200)
		_, list, _ := strings.Cut(a.body, `<ol class="timeline">`)
		if i := strings.LastIndex(a.body, `id="timeline"`); i >= 0 {
			_, list, _ = strings.Cut(a.body[i:], `<ol class="timeline">`)
		}
		list, _, _ = strings.Cut(list, "</ol>")
		for _, li := range strings.Split(list, "<li>")[1:] {
			seen[li]++
			m := regexp.MustCompile(`datetime="([^"]+)"`).FindStringSubmatch(li)
			when, err := time.Parse(time.RFC3339, m[1])
			w.must(err)
			if !last.IsZero() && when.After(last) {
				t.Errorf("%s stands below %s", when, last)
			}
			last = when
		}
		older := regexp.MustCompile(`href="([^"]+)">Older`).FindStringSubmatch(a.body)
		if path = ""; older != nil {
			path, _, _ = strings.Cut(unescape(older[1]), "#")
		}
	}
	total := 0
	for _, n := range seen {
		total += n
	}
	if total < 300 || pages < 10 || pages == 60 {
		t.Errorf("%d events on %d pages, want several hundred on some dozen", total, pages)
	}
	asked, err := w.db.Commands().List(t.Context(), e.ID, 0, 10000)
	w.must(err)
	if n := strings.Count(strings.Join(slices.Collect(func(yield func(string) bool) {
		for li, n := range seen {
			if !yield(strings.Repeat(li, n)) {
				return
			}
		}
	}), ""), "Enough"); n == 0 && len(asked) == 0 {
		t.Error("no command was told")
	}
}
