package web

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/report"
)

// maxPolicyForm bounds a form with a policy and the files that it names.
const maxPolicyForm = 8 << 20

// policyDraft is a policy that somebody is writing. Nothing of it is kept.
type policyDraft struct {
	Text    string
	Files   map[string][]byte
	Reason  string
	Canary  string // names, separated by commas
	Percent string // such as 10, 50, 100
	Pause   string // minutes
	StopAt  string // per cent
	Replace bool
	Sure    bool
}

// planForm is GET /policies/plan?from=: it begins with the text of a version, the one in
// force, or the example.
func (s *Server) planForm(w http.ResponseWriter, r *http.Request) error {
	from, err := keyOf(r, "from")
	if err != nil {
		return err
	}
	var v policy.Version
	if from > 0 {
		v, err = s.Rules.Policy.Version(r.Context(), from)
	} else {
		v, err = s.Rules.Policy.Published(r.Context())
	}
	if ward.KindOf(err) == ward.NotFound && from == 0 {
		v, err = policy.Version{Text: string(profiles.ExamplePolicy())}, nil
	}
	if err != nil {
		return err
	}
	return s.sheet(w, r, s.planView(policyDraft{Text: v.Text, Files: v.Files}))
}

// planView is the page that plans, before there is a plan.
func (s *Server) planView(d policyDraft) *sheetPage {
	v := &sheetPage{Page: Page{Title: "Plan a policy", Section: "policies"}, Tabs: policyTabs("/policies/plan")}
	v.Head = pageHead{Title: "Plan a policy", Caption: "Nothing is kept or published by planning"}
	v.Segments = []segment{{Anchor: "draft", Title: "The policy", Forms: []formView{{
		Action: "/policies/plan", Upload: true, Submit: "See what it would change", Hidden: append(fileFields(d.Files), hiddenField{"reason", d.Reason}),
		Fields: []fieldView{
			{Name: "text", Label: "Text", Value: d.Text, Rows: 24, Required: true},
			{Name: "upload", Label: "Or a file, instead of the text", Type: "file"},
			{Name: "file", Label: "A file that the policy names", Hint: filesHint(d.Files), Type: "file"},
		},
	}}}}
	return v
}

func filesHint(files map[string][]byte) string {
	if len(files) == 0 {
		return "Such as a site’s own catalogue. It is known by its own name; add one at a time."
	}
	var names []string
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	return "With the policy already: " + strings.Join(names, ", ") + ". Add one at a time."
}

// fileFields carry the files of a draft from page to page.
func fileFields(files map[string][]byte) (out []hiddenField) {
	for n, b := range files {
		out = append(out, hiddenField{"named", n + "\n" + base64.StdEncoding.EncodeToString(b)})
	}
	slices.SortFunc(out, func(a, b hiddenField) int { return cmp.Compare(a.Value, b.Value) })
	return out
}

// readDraft reads a draft from a form.
func readDraft(r *http.Request) (policyDraft, error) {
	d := policyDraft{
		Text: r.PostFormValue("text"), Files: map[string][]byte{}, Reason: field(r, "reason"), Canary: field(r, "canary"), Percent: field(r, "percent"), Pause: field(r, "pause"), StopAt: field(r, "stop_at"),
		Replace: field(r, "replace") == "yes", Sure: field(r, "sure") == "yes",
	}
	d.Text = strings.ReplaceAll(d.Text, "\r\n", "\n") // browsers send text areas so
	for _, v := range r.PostForm["named"] {
		name, raw, _ := strings.Cut(v, "\n")
		name = strings.TrimRight(name, "\r")
		b, err := base64.StdEncoding.DecodeString(raw)
		if err != nil || name == "" {
			return d, ward.Errorf(ward.Invalid, "A file that the policy names was cut short. Begin the plan anew.")
		}
		d.Files[name] = b
	}
	if r.MultipartForm == nil {
		return d, nil
	}
	for _, part := range []struct {
		name string
		into func(name string, b []byte)
	}{
		{"upload", func(_ string, b []byte) { d.Text = string(b) }},
		{"file", func(name string, b []byte) { d.Files[asNamed(d.Text, name)] = b }},
	} {
		for _, h := range r.MultipartForm.File[part.name] {
			b, err := uploadedPolicy(h)
			if err != nil {
				return d, err
			}
			if len(b) > 0 {
				part.into(h.Filename, b)
			}
		}
	}
	return d, nil
}

// asNamed is the name by which a policy names a file, of which browsers tell the last part
// only.
func asNamed(text, name string) string {
	all, err := source.Named([]byte(text))
	if err != nil || slices.Contains(all, name) {
		return name // whoever reads the policy says what is wrong
	}
	if i := slices.IndexFunc(all, func(n string) bool { return path.Base(n) == name }); i >= 0 {
		return all[i]
	}
	return name
}

func uploadedPolicy(h *multipart.FileHeader) ([]byte, error) {
	f, err := h.Open()
	if err != nil {
		return nil, fmt.Errorf("uploaded file: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("uploaded file: %w", err)
	}
	return b, nil
}

// plan is POST /policies/plan.
func (s *Server) plan(w http.ResponseWriter, r *http.Request) error {
	d, err := readDraft(r)
	if err != nil {
		return err
	}
	return s.showPlan(w, r, d)
}

// showPlan says what a draft would change, with the form that publishes it.
func (s *Server) showPlan(w http.ResponseWriter, r *http.Request, d policyDraft) error {
	v, err := s.planSheet(r, d)
	if err != nil {
		return again(s, w, r, s.pages.sheet, s.planView(d), err, "text")
	}
	return s.sheet(w, r, v)
}

// planSheet is the page with a plan.
func (s *Server) planSheet(r *http.Request, d policyDraft) (*sheetPage, error) {
	p, err := s.Rules.Policy.Plan(r.Context(), []byte(d.Text), d.Files)
	if err != nil {
		return nil, err
	}
	now, v := s.Now(), s.planView(d)
	v.Title, v.Head.Title, v.Head.AsOf = "Plan", "Plan", at(now, now)
	result := segment{Anchor: "plan", Title: "What it would change", List: p.Warnings, Facts: planFacts(p, now)}
	result.Tables = append(result.Tables, wrapped(planTable(p), now))
	if len(p.Vanish)+len(p.Breach) > 0 {
		result.Tables = append(result.Tables, tableOf(planApps(p), now))
	}
	says := summarySegment(p.Policy.Summary(now))
	says.List = nil // they stand above
	segments := []segment{result, says}
	if p.Base > 0 {
		base, err := s.Rules.Policy.Version(r.Context(), p.Base)
		if err != nil {
			return nil, err
		}
		diff, err := policy.Compare(base, policy.Version{Generation: base.Generation + 1, Text: d.Text, Files: d.Files}, now)
		if err != nil {
			return nil, err
		}
		segments = append(segments, segment{Anchor: "diff", Title: fmt.Sprintf("What it changes of the text of generation %d", p.Base), List: diff.Words, Code: diffLines(diff.Unified), Code2: true})
	}
	if access.Allows(ward.ActorFrom(r.Context()), access.PolicyPublish) {
		segments = append(segments, publishSegment(d, p))
	}
	v.Segments = append(segments, v.Segments...)
	return v, nil
}

func planFacts(p policy.Plan, now time.Time) []factView {
	compared := "No policy is in force yet"
	if p.Base > 0 {
		compared = fmt.Sprintf("Generation %d", p.Base)
	}
	second := "Not needed"
	if p.SecondPerson {
		second = fmt.Sprintf("Needed: with what was changed in the last 24 hours, %d devices change", p.Together)
	}
	out := []factView{
		{Label: "Compared with", Value: compared}, {Label: "Devices that change", Value: count(p.Changed) + " of " + count(p.Devices) + " enrolled"}, {Label: "Second person", Value: second},
	}
	if p.Breaching > 0 {
		out = append(out, factView{Label: "Would comply no longer", Value: fmt.Sprintf("%s, %d of them for an old system", plural(p.Breaching, "device"), p.OldSystem)})
	}
	for _, l := range p.Later {
		out = append(out, factView{Label: "Later", Value: fmt.Sprintf("%s on %s, when an exception begins or ends", plural(l.Devices, "device"), at(l.At, now).Exact)})
	}
	return out
}

// planTable says what would change by kind of device.
func planTable(p policy.Plan) report.Table {
	t := report.Table{Name: "plan", Title: "What would change, by kind of device", Columns: []report.Column{{Head: "Kind of device", Share: 22}, {Head: "Devices", Kind: report.Number, Share: 8}, {Head: "What would change", Share: 60}}}
	for _, k := range p.Kinds {
		var words []string
		for _, c := range k.Changes {
			words = append(words, fmt.Sprintf("%s %s: %s", c.What, c.How, c.Name))
		}
		t.Rows = append(t.Rows, []report.Cell{textCell(sentenceCase(k.Kind)), textCell(strconv.Itoa(k.Devices)), textCell(cmp.Or(sentenceCase(strings.Join(words, "; ")), "Nothing"))})
	}
	return t
}

// planApps says which apps would be out of reach, or break the policy.
func planApps(p policy.Plan) report.Table {
	t := report.Table{Name: "plan-apps", Title: "Apps that are on devices now", Columns: []report.Column{{Head: "App"}, {Head: "Devices", Kind: report.Number}, {Head: "What becomes of it", Kind: report.State}}}
	for _, a := range p.Vanish {
		t.Rows = append(t.Rows, []report.Cell{{Text: a.Name, Href: appAddress(a.Slug)}, textCell(strconv.Itoa(a.Devices)), stateCell(tag{"Would no longer open", "warn", "half"})})
	}
	for _, a := range p.Breach {
		t.Rows = append(t.Rows, []report.Cell{{Text: a.Name, Href: appAddress(a.Slug)}, textCell(strconv.Itoa(a.Devices)), stateCell(tag{"Found, can’t be kept off", "bad", "alert"})})
	}
	return t
}
