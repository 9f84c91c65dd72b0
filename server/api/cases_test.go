package api_test

import (
	"archive/zip"
	"bytes"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/lost"
)

func TestReportTellsWhatWasKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	_, gov := w.person("Gov", ward.RoleGovern)
	w.phone("dev_1")
	var c api.Case
	w.ok(201, ada, post, "/devices/dev_1/lost", map[string]any{
		"identified": "help desk: called back", "data_open": "yes", "unlocked": "yes", "when": "2026-11-03T02:00:00Z",
	}, &c)
	if c.Identified != "help desk: called back" || c.DataOpen != "yes" || c.Drill != "" || !c.Aware.Equal(start) || !c.Deadline.Equal(start.Add(72*time.Hour)) {
		t.Errorf("case = %+v, want how Ada was known, that data was open, and 72 hours", c)
	}
	path := "/cases/" + string(c.ID)
	w.problem(403, ada, put, path+"/aware", map[string]any{"at": start.Add(-time.Hour), "reason": "the ward manager knew"})
	w.problem(400, gov, put, path+"/aware", map[string]any{"at": start.Add(time.Hour), "reason": "x"})
	w.ok(200, gov, put, path+"/aware", map[string]any{"at": start.Add(-time.Hour), "reason": "the ward manager knew"}, &c)
	if !c.Aware.Equal(start.Add(-time.Hour)) || !c.Deadline.Equal(start.Add(71*time.Hour)) {
		t.Errorf("case = %+v, want an hour earlier", c)
	}

	var a api.Assessment
	w.ok(200, ada, get, path+"/assessment", nil, &a)
	if a.Case != c.ID || a.Level == "" || len(a.Findings) == 0 || len(a.Reasons) == 0 || len(a.Decisions) != 0 || !a.Deadline.Equal(c.Deadline) {
		t.Errorf("assessment = %+v, want a level, why, and no decision", a)
	}
	decision := map[string]any{"reportable": true, "reasoning": "Patient data was open.", "reference": "ICO-1", "link": "https://incidents.trust.example/1"}
	w.problem(403, ada, post, path+"/decisions", decision)
	w.problem(400, gov, post, path+"/decisions", map[string]any{"reportable": true, "reasoning": "x", "link": "http://incidents"})
	var d api.Decision
	w.ok(201, gov, post, path+"/decisions", decision, &d)
	if !d.Reportable || d.By.Name != "Gov" || d.Level != a.Level || d.Reference != "ICO-1" {
		t.Errorf("decision = %+v, want Gov's, with the level of the assessment", d)
	}
	w.ok(200, ada, get, path+"/assessment", nil, &a)
	if diff := cmp.Diff([]api.Decision{d}, a.Decisions); diff != "" {
		t.Errorf("decisions mismatch (-want +got):\n%s", diff)
	}
}

func TestDeedsOfACase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	_, root := w.person("Root", ward.RoleAdmin)
	e := w.phone("dev_1")
	var c api.Case
	w.ok(201, ada, post, "/devices/dev_1/lost", nil, &c)
	path := "/cases/" + string(c.ID)
	w.problem(409, ada, post, path+"/sound", nil) // lost mode is not on yet
	w.problem(403, root, post, path+"/locate", map[string]string{"purpose": "to fetch it"})
	w.problem(400, ada, post, path+"/locate", map[string]string{"purpose": " "})

	for _, in := range []string{"", "?purpose=", "?purpose=%20"} {
		w.problem(400, ada, get, path+"/location"+in, nil)
	}
	w.problem(404, ada, get, path+"/location?purpose=to+fetch+it", nil)
	if err := w.engine.cases.SetLocation(ward.WithActor(t.Context(), ward.System), c.ID, lost.Location{Lat: 53.8, Lon: -1.5, Accuracy: 10, At: start}); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	var l api.Location
	w.ok(200, ada, get, path+"/location?purpose="+url.QueryEscape("to fetch it from the bus depot"), nil, &l)
	w.problem(403, root, get, path+"/location?purpose=x", nil)
	var detail api.CaseDetail
	w.ok(200, ada, get, path, nil, &detail)
	if last := detail.Timeline[len(detail.Timeline)-1]; l.Latitude != 53.8 || last.Purpose != "to fetch it from the bus depot" || last.By.Name != "Ada" {
		t.Errorf("location = %+v, timeline ends with %+v; want the place, and who looked why", l, last)
	}

	w.problem(404, ada, get, path+"/pin", nil)
	w.engine.pins["dev_1"] = map[string]string{"lost case": "012345", "erase order": "999999"}
	want := api.PINs{Device: "dev_1", Items: []api.PIN{{Use: "erase order", PIN: "999999"}, {Use: "lost case", PIN: "012345"}}}
	for _, p := range []string{path + "/pin", "/devices/S-dev_1/pin"} {
		var got api.PINs
		w.ok(200, ada, get, p, nil, &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("GET %s mismatch (-want +got):\n%s", p, diff)
		}
	}

	var q api.Queued
	w.ok(202, ada, post, "/devices/dev_1/restart", nil, &q)
	if r := must(w.db.Commands().Open(t.Context(), e.ID))(t); q.Device != "dev_1" || len(r) == 0 {
		t.Errorf("restart = %+v, want its command in the queue", q)
	}
	var cs api.List[api.Command]
	w.ok(200, ada, get, "/devices/dev_1/commands", nil, &cs)
	for _, r := range cs.Items {
		if r.UUID == q.Command && (r.Expires == nil || !r.Expires.Equal(w.clock().Add(time.Hour))) {
			t.Errorf("command = %+v, want that it ends in an hour", r)
		}
	}
}

func TestRecoveryCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	_, aud := w.person("Aud", ward.RoleAuditor)
	w.phone("dev_1")
	w.problem(403, aud, post, "/devices/dev_1/recovery-code", nil)
	var r api.RecoveryCode
	w.ok(201, ada, post, "/devices/S-dev_1/recovery-code", nil, &r)
	ds, err := w.engine.cases.ByCode(t.Context(), r.Code, "192.0.2.1")
	if err != nil || len(ds) != 1 || ds[0].ID != "dev_1" || r.URL != publicURL+"/lost" {
		t.Errorf("code = %+v is of %v, %v; want dev_1, and where it is used", r, ds, err)
	}
	if strings.Contains(w.log.String(), r.Code) {
		t.Error("the code stands in the log")
	}
}

func TestDrills(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	e := w.phone("dev_1")
	w.phone("dev_2")
	var none api.Drills
	w.ok(200, ada, get, "/drills", nil, &none)
	if len(none.Items) != 0 || none.Last != nil || none.Due != nil {
		t.Errorf("drills = %+v, want none, and none due at a time", none)
	}
	var dry api.Case
	w.ok(201, ada, post, "/devices/dev_1/lost", map[string]any{"drill": "dry"}, &dry)
	w.ok(201, ada, post, "/cases", map[string]any{"devices": []string{"dev_2"}, "note": "a real one"}, nil)
	if dry.State != "rehearsal" || dry.Drill != "dry" {
		t.Errorf("case = %+v, want a rehearsal", dry)
	}
	if open := must(w.db.Commands().Open(t.Context(), e.ID))(t); len(open) != 0 {
		t.Errorf("commands = %+v, want none of a dry run", open)
	}
	var got api.Drills
	w.ok(200, ada, get, "/drills", nil, &got)
	if len(got.Items) != 1 || got.Items[0].Case.ID != dry.ID || len(got.Items[0].Would) == 0 || got.Items[0].Queued != nil || got.Last == nil || !got.Due.Equal(start.AddDate(0, 0, 90)) {
		t.Errorf("drills = %+v, want the dry one, what it would do, and the next in 90 days", got)
	}
	for query, want := range map[string]int{"": 2, "?drills=only": 1, "?drills=none": 1, "?state=rehearsal": 1} {
		var l api.List[api.Case]
		w.ok(200, ada, get, "/cases"+query, nil, &l)
		if len(l.Items) != want {
			t.Errorf("cases%s = %d, want %d", query, len(l.Items), want)
		}
	}
}

// number says which making a part is of.
var number = regexp.MustCompile(`\d+`)

// TestPartsOfAFileFit: a signature that is fetched after its PDF is of that one, for each
// person, and the archive holds the parts of one making.
func TestPartsOfAFileFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleGovern)
	_, aud := w.person("Aud", ward.RoleAuditor)
	fetch := func(token, path, mediaType, name string) string {
		t.Helper()
		out := w.do(token, get, path, nil)
		if out.Code != 200 || out.Header().Get("Content-Type") != mediaType || out.Header().Get("Content-Disposition") != `attachment; filename="`+name+`"` {
			t.Errorf("GET %s = %d, %v", path, out.Code, out.Header())
		}
		return out.Body.String()
	}
	for _, of := range []string{"/cases/c1", "/orders/c1"} {
		n := w.engine.files.Load()
		got := []string{
			fetch(ada, of+"/file", "application/json", "c1.json"),
			fetch(aud, of+"/file.pdf", "application/pdf", "c1.pdf"),
			fetch(ada, of+"/file.pdf", "application/pdf", "c1.pdf"),
			fetch(ada, of+"/file.p7s", "application/pkcs7-signature", "c1.pdf.p7s"),
			fetch(aud, of+"/file.p7s", "application/pkcs7-signature", "c1.pdf.p7s"),
		}
		if w.engine.files.Load() != n+2 || !strings.Contains(got[0], `{"file":`) {
			t.Errorf("parts = %q, want those of two files", got)
		}
		if number.FindString(got[0]) != number.FindString(got[2]) || number.FindString(got[2]) != number.FindString(got[3]) || got[1] == got[2] || number.FindString(got[1]) != number.FindString(got[4]) {
			t.Errorf("parts = %q, want signatures of what each person got", got)
		}
		w.pass(2 * time.Minute)
		if again := fetch(ada, of+"/file.pdf", "application/pdf", "c1.pdf"); again == got[2] {
			t.Error("a file of two minutes ago is given as if it were new")
		}

		whole := fetch(ada, of+"/file.zip", "application/zip", "c1.zip")
		z := must(zip.NewReader(bytes.NewReader([]byte(whole)), int64(len(whole))))(t)
		var parts []string
		for _, f := range z.File {
			r := must(f.Open())(t)
			b := must(io.ReadAll(r))(t)
			parts = append(parts, f.Name+" "+number.FindString(string(b)))
		}
		if len(parts) != 3 || strings.TrimPrefix(parts[1], "c1.pdf ") != strings.TrimPrefix(parts[2], "c1.pdf.p7s ") {
			t.Errorf("archive = %q, want the three parts of one file", parts)
		}
	}
	w.problem(404, ada, get, "/cases/x/file.pdf", nil)
}

func TestReportOfSeveralIsHeldByTheBrake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, ada := w.person("Ada", ward.RoleSupport)
	var ids []string
	for i := range 11 { // one person may report ten
		id := ward.DeviceID("dev_" + string(rune('a'+i)))
		w.phone(id)
		ids = append(ids, string(id))
	}
	var got api.CasesReported
	w.ok(207, ada, post, "/cases", map[string]any{"devices": ids}, &got)
	if len(got.Cases) != 10 || len(got.Errors) == 0 {
		t.Errorf("report = %d cases, errors %q; want ten and why not the last", len(got.Cases), got.Errors)
	}
}
