package web_test

import (
	"archive/zip"
	"bytes"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/evidence"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/web"
)

// invited are the invitations of the database.
type invited struct{ *store.Invitations }

func (i invited) List(ctx context.Context, before string, limit int) ([]enrollment.Invitation, error) {
	return i.Invitations.Invitations(ctx, enrollment.Query{Before: before, Limit: limit})
}

// forgetful erases for real in the database.
type forgetful struct {
	store.Evidence
	w   *world
	log *audit.Service
}

func (f forgetful) ErasePerson(ctx context.Context, id ward.PersonID) error {
	return f.w.access.ErasePerson(ctx, id)
}

func (f forgetful) ForgetPerson(ctx context.Context, id ward.PersonID) (int64, error) {
	return f.log.ForgetPerson(ctx, id)
}

// evidence makes reports of this world.
func (w *world) evidence(log *audit.Service) web.EvidenceParts {
	w.t.Helper()
	s, err := evidence.New(evidence.Config{
		Estate: w.estate, Policies: w.policies, Cases: w.lost, Orders: w.orders, Brake: w.brake, Approvers: w.approvers, People: w.access, Notices: w.notify, Invitations: invited{w.db.Invitations()},
		Seals: w.db.Evidence(), Audit: log, Now: w.now, Organisation: "St Example’s Hospital", Eraser: forgetful{w.db.Evidence(), w, log},
	})
	w.must(err)
	return web.EvidenceParts{Service: s}
}

// unexported are pages with a table that can't be taken away, and why.
var unexported = map[string]string{
	"/style":                  "it shows components",
	"/evidence/question":      "a report has files of its own",
	"/settings/sessions":      "one's own sessions are nobody's list",
	"/settings/tokens":        "one's own tokens stand in the access review",
	"/settings/roles":         "the access review says what each role may do",
	"/settings/people":        "the access review is its file",
	"/settings/second-factor": "it is about the reader alone",
	"/settings/notifications": "it repeats the configuration; what was told is at /notifications",
}

var exportLink = regexp.MustCompile(`href="([^"]*format=csv[^"]*)"`)

// TestExports walks every page with a list, and takes it away in every form.
func TestExports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleAdmin, ward.RoleSupport, ward.RoleGovern)
	w.fleet(maud)
	w.askErase(maud, "dev-06", "=cmd|' /C calc'!A1")
	v := w.signedIn(maud)
	var found []string
	for _, path := range w.web.Shown() {
		page := v.get(path)
		if page.status != http.StatusOK || unexported[path] != "" {
			continue // or it leads elsewhere first
		}
		link := exportLink.FindStringSubmatch(page.body)
		if link == nil {
			if strings.Contains(page.body, "<table") {
				t.Errorf("%s has a table that can't be taken away: call s.export, or say why not", path)
			}
			continue
		}
		found = append(found, path)
		w.later(10 * time.Second) // nobody may take away everything at once
		address := strings.ReplaceAll(link[1], "&amp;", "&")
		csv := v.get(address)
		if csv.status != http.StatusOK || !strings.HasPrefix(csv.header.Get("Content-Type"), "text/csv") || !strings.HasPrefix(csv.body, "\ufeff") || csv.header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s = %d %s: %.200s", address, csv.status, csv.header.Get("Content-Type"), csv.body)
		}
		if name := csv.header.Get("Content-Disposition"); !regexp.MustCompile(`^attachment; filename="ward-[a-z-]+-\d{8}-\d{4}\.csv"$`).MatchString(name) {
			t.Errorf("%s is called %s", address, name)
		}
		address = strings.Replace(address, "format=csv", "format=pdf", 1)
		if pdf := v.get(address); pdf.status != http.StatusOK || !strings.HasPrefix(pdf.body, "%PDF-") {
			t.Errorf("GET %s = %d: %.200s", address, pdf.status, pdf.body)
		}
		if path == "/orders" {
			if !strings.Contains(csv.body, "'=cmd|") {
				t.Errorf("a formula stands in the file: %s", csv.body)
			}
			signed := v.get(address + "&signed=1")
			if z, err := zip.NewReader(bytes.NewReader([]byte(signed.body)), int64(len(signed.body))); err != nil || len(z.File) < 4 {
				t.Errorf("GET %s&signed=1 = %d, %v", address, signed.status, err)
			}
			v.get(address+"x").want(t, http.StatusBadRequest, "exported as csv or as pdf")
		}
	}
	for _, path := range []string{"/approvers", "/brake", "/cases", "/drills", "/notifications", "/orders"} {
		if !slices.Contains(found, path) {
			t.Errorf("%s can't be taken away", path)
		}
	}
	entries, err := w.db.Audit().Entries(w.t.Context(), audit.Query{Action: evidence.ActionExported, Limit: 100})
	w.must(err)
	if want := 2*len(found) + 1; len(entries) != want {
		t.Errorf("the audit log has %d exports, want %d", len(entries), want)
	}
	staff := w.signedIn(w.person("Ben Carter", ward.RoleApprover))
	staff.get("/orders").want(t, http.StatusOK, "!Export")
	staff.get("/orders?format=csv").want(t, http.StatusForbidden, "export:make")
}

// TestReports opens every report, and takes its files away.
func TestReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleGovern)
	w.fleet(maud)
	v := w.signedIn(maud)
	v.get("/evidence").want(t, http.StatusOK, "Board report", "Freedom of information", "Access review", "so far")
	for path, want := range map[string]string{
		"/evidence/board":                        "Figures",
		"/evidence/dspt":                         "B3.d Mobile data",
		"/evidence/cyber-essentials":             "Devices in scope",
		"/evidence/foi?period=" + month(w.now()): "Which apps are blocked?",
		"/evidence/register":                     "Impact assessment",
		"/evidence/access-review":                "Sign-off",
		"/evidence/question?app=whatsapp":        "How far this can be trusted",
	} {
		page := v.get(path)
		page.want(t, http.StatusOK, want, "Signed file")
		for _, form := range []string{"pdf", "zip", "json"} {
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			if a := v.get(path + sep + "format=" + form); a.status != http.StatusOK || a.header.Get("Content-Type") != "application/"+form {
				t.Errorf("%s as %s = %d: %.300s", path, form, a.status, a.text())
			}
		}
	}
	v.get("/evidence/gossip").want(t, http.StatusNotFound, "There is no report")
	v.get("/evidence/board?period=x").want(t, http.StatusBadRequest, "Write it as year and month")
	v.get("/evidence/question").want(t, http.StatusOK, "WhatsApp")
	w.signedIn(w.person("Hal Desk", ward.RoleSupport)).get("/evidence").want(t, http.StatusForbidden, "evidence:read")
}

func month(t time.Time) string { return t.Format("2006-01") }

// TestSubjectAccess: what is held is shown, handed over and erased, and stands in no address.
func TestSubjectAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleAdmin)
	w.publish()
	w.add(ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Serial: "F2LX1", Owner: "Asha Rao", Email: "asha@example.org", Ownership: ward.Corporate, State: ward.Unenrolled})
	v := w.signedIn(maud)
	v.get("/evidence/subject-access").want(t, http.StatusOK, "Whom is it about?")
	v.post("/evidence/subject-access", url.Values{"person": {"nobody@example.org"}}).want(t, http.StatusNotFound, "Nothing is held")
	v.post("/evidence/subject-access", url.Values{"person": {"asha@example.org"}}).want(t, http.StatusOK, "Asha’s iPhone", "F2LX1", "What would be erased?")
	if a := v.post("/evidence/subject-access", url.Values{"person": {"Asha Rao"}, "format": {"zip"}}); a.header.Get("Content-Type") != "application/zip" {
		t.Errorf("the file = %d: %s", a.status, a.text())
	}
	who := url.Values{"person": {"asha@example.org"}}
	v.post("/evidence/erasure", who).want(t, http.StatusOK, "Nothing has been erased yet", "Owner and e-mail address of 1 device", "Backups")
	who.Set("again", "asha")
	v.post("/evidence/erasure/now", who).want(t, http.StatusBadRequest, "The two are not the same")
	who.Set("again", "asha@example.org")
	v.post("/evidence/erasure/now", who).to(t, "/evidence")
	d, err := w.db.Fleet().Device(t.Context(), "dev-1")
	w.must(err)
	if d.Owner != "" || d.Email != "" || strings.Contains(d.Name, "Asha") {
		t.Errorf("the device still names its owner: %+v", d)
	}
	w.signedIn(w.person("Ola Auditor", ward.RoleAuditor)).get("/evidence/erasure").want(t, http.StatusForbidden, "person:erase")
}
