package web_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/audit/verify"
	"github.com/wardmdm/ward/server/health"
	"github.com/wardmdm/ward/server/lost"
)

// secretLink finds the links on a page of what was made.
var secretLink = regexp.MustCompile(`https://ward\.example\.nhs\.uk/invite/([A-Za-z0-9_-]{43})`)

func TestInvite(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	v := o.signedIn(o.person("Maud Ellery", ward.RoleSupport))
	v.get("/enrolment").want(t, 200, "Nobody was invited yet")
	v.get("/enrolment/new").want(t, 200, "Whom is it for?")
	v.post("/enrolment/new", url.Values{"name": {"Ada Byron"}, "email": {"nonsense"}, "platform": {"ios"}, "hours": {"168"}}).
		want(t, 400, "There is a problem", "not an e-mail address", "The ownership is needed")
	v.get("/enrolment").want(t, 200, "Nobody was invited yet")

	made := v.post("/enrolment/new", url.Values{"name": {"Ada Byron"}, "ownership": {"personal"}, "platform": {"ios"}, "email": {"ada@example.org"}, "group": {"Ward 7"}, "hours": {"24"}})
	made.want(t, 201, "Invitation for Ada Byron", "This link is shown once", "Sheet to print")
	links := secretLink.FindAllStringSubmatch(made.body, -1)
	if len(links) == 0 || !strings.Contains(made.body, "<svg class=\"qr\"") {
		t.Fatalf("the page has no link or no QR code: %s", made.text())
	}
	sheet := v.post("/enrolment/sheets", url.Values{"token": {links[0][1]}})
	sheet.want(t, 200, "Ada Byron", "Set up your own phone for work at St Example’s Hospital", "can’t erase it", links[0][0])

	list := v.get("/enrolment")
	list.want(t, 200, "Ada Byron", "Personal", "Ward 7", "Maud Ellery")
	if secretLink.MatchString(list.body) {
		t.Error("the list shows a link again")
	}
	href := regexp.MustCompile(`/enrolment/[0-9a-v]{26}`).FindString(list.body)
	page := v.get(href)
	page.want(t, 200, "Open", "ada@example.org", "Make a new link")
	if secretLink.MatchString(page.body) {
		t.Error("the invitation shows its link again")
	}
	v.get(href+"/print").want(t, 200, "was shown once")
	again := v.post(href+"/again", nil)
	again.want(t, 201, "shown once")
	if secretLink.FindString(again.body) == links[0][0] {
		t.Error("a new link is the old one")
	}
	v.post("/enrolment/sheets", url.Values{"token": {links[0][1]}}).want(t, 403, "taken back")
	v.get("/enrolment?state=revoked").want(t, 200, "Ada Byron", "!Nobody")
	v.get("/enrolment?q=byron&state=open").want(t, 200, "Ada Byron")
	v.get("/enrolment?q=nobody").want(t, 200, "No invitation matches")
	v.get("/enrolment?state=purple").want(t, 404, "no state")
	open := regexp.MustCompile(`/enrolment/[0-9a-v]{26}`).FindString(v.get("/enrolment?state=open").body)
	v.post(open+"/revoke", nil).to(t, open)
	v.get(open).want(t, 200, "Revoked", "is revoked: its link no longer works")
	o.signedIn(o.person("Olu Bello", ward.RoleAuditor)).post("/enrolment/new", url.Values{"name": {"X"}}).want(t, 403, "may not invite")
	o.recorded(t, "invitation.created", 2)
	o.recorded(t, "invitation.revoked", 2)
}

// rows checks the words of the table of a page alone.
func (a answer) rows(t *testing.T, words ...string) {
	t.Helper()
	_, table, _ := strings.Cut(a.body, "<tbody")
	a.body, _, _ = strings.Cut(table, "</tbody>")
	a.want(t, 200, words...)
}

// recorded checks how many entries the audit log has of an action.
func (o *operating) recorded(t *testing.T, action string, want int) {
	t.Helper()
	list, err := o.audit.List(t.Context(), audit.Filter{Action: action})
	if err != nil || len(list) != want {
		t.Errorf("%d entries of %s, %v; want %d", len(list), action, err, want)
	}
}

// TestImport: every mistake of a table is told at once, nothing is made before the reader says
// so, and a large table makes one link for each row.
func TestImport(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	v := o.signedIn(o.person("Maud Ellery", ward.RoleSupport))
	table := "name,ownership,email,serial\nAda,corporate,ada@example.org,C39ABCDEFG\nBen,rented,ben@example.org,\nCleo,personal,not an address,\nDot,corporate,,C39ABCDEFG\n"
	looked := v.post("/enrolment/import", url.Values{"table": {table}})
	looked.want(t, 400, "3 rows of 4 can’t be made", "not known: use corporate or personal", "not an e-mail address", "stands in line 2 already", "Make the 1 that is right")
	v.post("/enrolment/import", url.Values{"table": {table}, "make": {"all"}}).want(t, 400, "Nothing was made")
	v.get("/enrolment").want(t, 200, "Nobody was invited yet")
	v.post("/enrolment/import", url.Values{"table": {"name;ownership\nAda;corporate\n"}}).want(t, 400, "separated by commas")
	v.post("/enrolment/import", nil).want(t, 400, "Choose a file, or paste")
	v.post("/enrolment/import", url.Values{"table": {table}, "make": {"right"}}).want(t, 201, "Invitation for Ada")
	v.post("/enrolment/import", url.Values{"table": {table}, "make": {"right"}}).want(t, 201, "takes the place of")

	var b strings.Builder
	b.WriteString("name,ownership,email,group\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "Member %d,corporate,m%d@example.org,Ward %d\n", i, i, i%40)
	}
	began := time.Now()
	v.post("/enrolment/import", url.Values{"table": {b.String()}}).want(t, 200, "5000 rows are right", "Make 5000 invitations")
	t.Logf("5,000 rows looked at in %s", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	made := v.post("/enrolment/import", url.Values{"table": {b.String()}, "make": {"all"}})
	t.Logf("5,000 invitations made in %s, a page of %d kB", time.Since(began).Round(time.Millisecond), len(made.body)>>10)
	links := secretLink.FindAllStringSubmatch(made.body, -1)
	if made.status != 201 || len(links) != 5000 {
		t.Fatalf("status %d, %d links, want 5,000", made.status, len(links))
	}
	var tokens []string
	for _, l := range links {
		tokens = append(tokens, l[1])
	}
	file := v.post("/enrolment/links", url.Values{"token": tokens})
	if file.status != 200 || strings.Count(file.body, "\n") != 5001 || !strings.Contains(file.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("the file of links = %d with %d lines", file.status, strings.Count(file.body, "\n"))
	}
	v.post("/enrolment/sheets", url.Values{"token": tokens[:250]}).want(t, 200, "250 sheets to print")
	v.post("/enrolment/sheets", url.Values{"token": tokens[:251]}).want(t, 400, "Between 1 and 250")
}

func TestHealthPage(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	v := o.signedIn(o.person("Ola Operator", ward.RoleAdmin))
	v.get("/health").want(t, 200, "Nothing is wrong", "Everything that is looked at is well", "Push certificate", "!can’t wait")
	o.facts.Tampered = true
	o.facts.Disk = health.Disk{Free: 1 << 20, Total: 1 << 40}
	v.get("/health").want(t, 200, "2 things to look at, of which 2 can’t wait", "Only 1.0 MiB of 1.0 TiB are free", "ward brake reset")
	v.get("/enrolment").want(t, 200, "2 faults of the server can’t wait")
	v.get("/setup").want(t, 200, "Name three people who approve", "ward policy publish", "To do", "Done")
	o.signedIn(o.person("Maud Ellery", ward.RoleSupport)).get("/health").want(t, 403, "see the health of the server")
}

func TestAuditPages(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	maud := o.person("Maud Ellery", ward.RoleSupport)
	o.publish()
	o.enrol(phone{Device: ward.Device{ID: "dev_one", Serial: "F2LX1380Q1", Name: "Asha’s iPhone", Owner: "Asha Rao", Email: "asha@example.org", Ownership: ward.Corporate}})
	c := o.report(maud, "dev_one")
	v := o.signedIn(o.person("Olu Bello", ward.RoleAuditor))
	all := v.get("/audit")
	all.want(t, 200, "Who did what", "Reported Asha’s iPhone lost", "Maud Ellery", "Added a person")
	v.get("/audit?action=device.lost").rows(t, "Reported Asha’s iPhone lost", "!Added a person")
	v.get("/audit?who=maud+ellery").rows(t, "Reported Asha’s iPhone lost", "!Added a person")
	v.get("/audit?subject=F2LX1380Q1").rows(t, "Reported Asha’s iPhone lost", "!Added a person")
	v.get("/audit?from="+time.Now().AddDate(0, 0, 1).Format(time.DateOnly)).want(t, 200, "No entry matches")
	v.get("/audit?until="+time.Now().UTC().Format(time.DateOnly)).want(t, 200, "Reported Asha’s iPhone lost")
	v.get("/audit?from=yesterday").want(t, 400, "is not a date")
	v.get("/audit?from=2026-03-12&until=2026-03-01").want(t, 400, "after Until")

	href := regexp.MustCompile(`/audit/[0-9]+`).FindString(v.get("/audit?action=device.lost").body)
	if _, err := o.audit.Sequence(o.system()); err != nil {
		t.Fatal(err)
	}
	v.get(href).want(t, 200, "Reported Asha’s iPhone lost", "Signed in by a browser", "Place in the tree", "Download the entry with its proof")
	proof := v.get(href + "/proof")
	var p map[string]any
	if err := json.Unmarshal([]byte(proof.body), &p); err != nil || proof.status != 200 || p["format"] != "ward-audit-proof/1" || p["record"] == "" || p["checkpoint"] == "" {
		t.Errorf("proof = %d %v, %v", proof.status, p, err)
	}
	if got, err := verify.VerifyEntry(strings.NewReader(proof.body), o.audit.PublicKey()); err != nil || got.Action != "device.lost" || !strings.Contains(got.Who, "Maud Ellery") {
		t.Errorf("VerifyEntry() = %+v, %v; want the entry", got, err)
	}
	if _, err := verify.VerifyEntry(strings.NewReader(strings.Replace(proof.body, "Maud", "Olaf", 1)), o.audit.PublicKey()); err == nil {
		t.Error("VerifyEntry() of an altered entry = nil, want a problem")
	}
	o.recorded(t, "audit.exported", 1)
	lines := v.get("/audit?action=device.lost&format=json")
	if lines.status != 200 || strings.Count(lines.body, "\n") != 1 || !strings.Contains(lines.body, "Reported Asha’s iPhone lost") {
		t.Errorf("export = %d %s", lines.status, lines.body)
	}
	o.signedIn(maud).get("/audit").want(t, 403, "read the audit log")
	v.get("/audit/999999").want(t, 404, "no entry")
	_ = c

	// What was erased of a person says so.
	if _, err := o.audit.ForgetPerson(o.system(), maud.ID); err != nil {
		t.Fatal(err)
	}
	v.get("/audit?action=device.lost").want(t, 200, "(erased)", "!Maud Ellery")
	v.get(href).want(t, 200, "Who did this was erased")
}

func TestVerifyPage(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	v := o.signedIn(o.person("Olu Bello", ward.RoleAuditor))
	v.get("/audit/verify").want(t, 200, "It was not verified yet", "Verify it now")
	v.post("/audit/verify", nil).to(t, "/audit/verify")
	v.get("/audit/verify").want(t, 200, "It is being verified")
	if _, err := o.audit.Sequence(o.system()); err != nil {
		t.Fatal(err)
	}
	if err := o.watch.Do(o.system()); err != nil {
		t.Fatal(err)
	}
	v.get("/audit/verify").want(t, 200, "Whole and unaltered", "Root of the tree", "ward.example/audit", "ward-verify log.jsonl", "!being verified")
	r, err := o.watch.Last(t.Context())
	if err != nil || !r.Sound || r.Size < 2 {
		t.Errorf("Last() = %+v, %v; want a sound log", r, err)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	v := o.signedIn(o.person("Ada Admin", ward.RoleAdmin))
	v.get("/settings/templates").want(t, 200, "What a lost phone shows", "Call 020 7946 0000")
	v.post("/settings/templates", url.Values{"lost.phone": {strings.Repeat("0", 60)}}).want(t, 400, "room for 40")
	v.post("/settings/templates", url.Values{"lost.message": {"Bring it back"}, "step": {"look"}}).want(t, 200, "Bring it back")
	v.get("/settings/templates").want(t, 200, "!Bring it back")
	v.post("/settings/templates", url.Values{"lost.message": {"Bring it back"}, "lost.phone": {"0161 496 0000"}}).to(t, "/settings/templates")
	v.get("/settings/templates").want(t, 200, "Bring it back", "Call 0161 496 0000", "The configuration says: “020 7946 0000”")
	o.recorded(t, "template.changed", 2)
	o.signedIn(o.person("Maud Ellery", ward.RoleSupport)).post("/settings/templates", url.Values{"lost.message": {"x"}}).want(t, 403, "may not")
	v.get("/settings/notifications").want(t, 200, "oncall@example.org", "everything", "Send a test")
}

// mayBe makes somebody with an address.
func (o *operating) mayBe(t *testing.T, name, email string, roles ...ward.Role) access.Person {
	t.Helper()
	p, err := o.access.CreatePerson(o.system(), access.NewPerson{Name: name, Email: email, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMine(t *testing.T) {
	t.Parallel()
	o := newOperating(t)
	o.publish()
	own := phone{Device: ward.Device{ID: "dev_own", Serial: "F2LX1380Q1", Name: "Asha’s own iPhone", Owner: "Asha Rao", Email: "asha@example.org", Ownership: ward.Personal}, apps: []string{whatsApp}}
	work := phone{Device: ward.Device{ID: "dev_work", Serial: "F2LX1380Q2", Name: "Asha’s work iPhone", Owner: "Asha Rao", Email: "Asha@example.org", Ownership: ward.Corporate}, supervised: true}
	other := phone{Device: ward.Device{ID: "dev_other", Serial: "F2LX1380Q3", Name: "Ben’s iPhone", Owner: "Ben Carter", Email: "ben@example.org", Ownership: ward.Corporate}, supervised: true}
	for _, p := range []phone{own, work, other} {
		o.enrol(p)
	}
	asha := o.mayBe(t, "Asha Rao", "asha@example.org", ward.RoleSupport)
	v := o.signedIn(asha)
	page := v.get("/mine")
	page.want(t, 200, "Asha’s own iPhone", "Asha’s work iPhone", "!Ben’s iPhone", "WhatsApp is on it, and is not for work", "Delete WhatsApp")
	personal, corporate, _ := strings.Cut(page.text(), "Asha’s work iPhone")
	for text, in := range map[string]string{
		"Can’t erase it: it was enrolled without that right": personal, "Never learns where it is, not even when it is lost": personal, "Can’t keep you": personal,
		"May erase it, if two people sign": corporate, "Never learns where it is unless it is reported lost": corporate, "Asks it where it is": corporate,
	} {
		if !strings.Contains(in, text) {
			t.Errorf("a device's part lacks %q: %s", text, in)
		}
	}
	if strings.Contains(personal, "May erase it") || strings.Contains(corporate, "Can’t keep you") {
		t.Error("a device is told what holds for another kind")
	}

	version := regexp.MustCompile(`name="version" value="([0-9a-f]+)"`).FindStringSubmatch(page.body)
	if version == nil {
		t.Fatalf("the notice is not asked for: %s", page.text())
	}
	v.post("/mine/acknowledge", url.Values{"version": {"0000"}}).want(t, 409, "The notice has changed")
	v.post("/mine/acknowledge", url.Values{"version": {version[1]}}).to(t, "/mine")
	v.get("/mine").want(t, 200, "You said that you have read this", "!I have read this")
	by, err := o.notices.AcknowledgedBy(t.Context(), version[1])
	if err != nil || len(by) != 1 || by[0].Person != asha.ID || by[0].Email != "asha@example.org" {
		t.Errorf("AcknowledgedBy() = %+v, %v; want Asha", by, err)
	}
	o.recorded(t, "notice.acknowledged", 1)

	v.get("/mine/dev_other/lost").want(t, 404, "You have no such device")
	v.post("/mine/dev_other/lost", url.Values{"kind": {"lost"}}).want(t, 404, "You have no such device")
	v.get("/mine/dev_work/lost").want(t, 200, "Report Asha’s work iPhone lost")
	v.post("/mine/dev_work/lost", url.Values{"kind": {"stolen"}, "unlocked": {"yes"}, "where": {"Bus 72"}}).want(t, 200, "You have reported it", "Reference")
	open, err := o.lost.List(t.Context(), lost.Filter{State: lost.Open, Which: lost.OnlyReal, Limit: 10})
	if err != nil || len(open) != 1 || open[0].Device != "dev_work" || open[0].Identified != lost.BySignIn {
		t.Errorf("cases = %+v, %v; want one by the holder, who signed in", open, err)
	}
	v.get("/mine").want(t, 200, "It is reported lost. Its reference is")
	o.signedIn(o.person("No Address", ward.RoleAuditor)).get("/mine").want(t, 200, "No e-mail address is kept for you")
	o.visitor().get("/mine").to(t, "/signin?next=%2Fmine")
}

// TestEveryActionHasWords walks the code for what it writes into the audit log: each deed has
// its words on the page of the log.
func TestEveryActionHasWords(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`(?:[aA]ction[A-Za-z]*\s*(?::|=)\s*|Record\(ctx, )"([a-z]+(?:-[a-z]+)*\.[a-z-]+)"`)
	words, err := os.ReadFile("audit_words.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, dir := range []string{"..", "../../enrollment"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range form.FindAllStringSubmatch(string(b), -1) {
				found++
				if !strings.Contains(string(words), `"`+m[1]+`":`) {
					t.Errorf("%s: the action %s has no words in audit_words.go", path, m[1])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 60 {
		t.Errorf("only %d actions were found: the pattern misses some", found)
	}
}
