package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/report"
)

// explained is what is explained: a policy on one device or on a kind of device.
type explained struct {
	word       string // the device as it was typed
	class      string
	of         string // in words
	generation int64
	policy     *profiles.Policy
	subject    profiles.Subject
	href       string
}

// explain says what the policy comes to on a device or a kind of device, and where each
// setting came from: GET /policies/explain?device=&class=.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) error {
	q, err := s.readExplained(r)
	if err != nil {
		return err
	}
	v := &sheetPage{Page: Page{Title: "Explain the policy", Section: "policies"}, Tabs: policyTabs("/policies/explain")}
	v.Head = pageHead{Title: "Explain the policy", Caption: "What it comes to on a device, and which line said so"}
	v.Segments = []segment{{Anchor: "ask", Forms: []formView{explainForm(q)}}}
	if q.policy == nil {
		v.Notes = []noteView{{Tone: "info", Text: "No policy holds here yet, so there is nothing to explain."}}
		return s.sheet(w, r, v)
	}
	now := s.Now()
	x := q.policy.Explain(q.subject, now)
	limits := limitTable(x.Limits)
	limits.Says, limits.AsOf = []string{q.of, fmt.Sprintf("generation %d", q.generation)}, now
	if done, err := s.export(w, r, func() (report.Table, error) { return limits, nil }); done || err != nil {
		return err
	}
	v.Head.AsOf, v.Head.Exports = at(now, now), here(r)
	about := segment{Anchor: "about", Title: q.of, Facts: []factView{
		{Label: "Kind", Value: sentenceCase(x.Class.String())}, {Label: "Policy", Value: fmt.Sprintf("generation %d", q.generation), Href: versionAddress(q.generation)},
	}}
	if q.href != "" {
		about.Facts = append(about.Facts, factView{Label: "Device", Value: q.of, Href: q.href})
	}
	for _, e := range x.Excepted {
		about.Facts = append(about.Facts, factView{Label: "Exception", Value: fmt.Sprintf("%s: %s to the end of %s", e.ID, e.AppName, e.Expires.Format("2 January 2006")), Href: exceptionAddress(e.ID)})
	}
	v.Segments = append(v.Segments, about,
		segment{Anchor: "limits", Title: "What is enforced, and what is not", Tables: []tableView{wrapped(limits, now)}},
		segment{Anchor: "origins", Title: "Where each setting came from", Tables: []tableView{wrapped(originTable(x.Origins, q.generation), now)}},
	)
	return s.sheet(w, r, v)
}

// readExplained finds what is asked about.
func (s *Server) readExplained(r *http.Request) (q explained, err error) {
	q = explained{word: strings.TrimSpace(r.URL.Query().Get("device")), class: r.URL.Query().Get("class")}
	if q.word != "" {
		d, err := s.Posture.Show(r.Context(), q.word)
		if err != nil {
			return q, err
		}
		q.of, q.href, q.class = nameOf(d.Device), deviceAddress(d.Device.ID), ""
		q.subject = profiles.Subject{Device: d.Device, Supervised: d.Supervised, Rights: d.Enrolment.Rights, Kind: d.Enrolment.Kind, OSVersion: d.Device.OSVersion}
		q.policy, q.generation, err = s.Rules.Policy.For(r.Context(), d.Device)
		return q, err
	}
	classes := deviceClasses()
	i := max(0, slices.IndexFunc(classes, func(c deviceClass) bool { return c.Key == q.class }))
	q.class, q.of, q.subject = classes[i].Key, classes[i].Name, classes[i].subject
	q.policy, q.generation, err = s.current(r.Context())
	return q, err
}

func explainForm(q explained) formView {
	var kinds []optionView
	for _, c := range deviceClasses() {
		kinds = append(kinds, optionView{c.Key, c.Name, c.Key == q.class})
	}
	return formView{Action: "/policies/explain", Get: true, Submit: "Explain", Fields: []fieldView{
		{Name: "device", Label: "Device", Hint: "Its name, serial number, UDID or id.", Value: q.word},
		{Name: "class", Label: "Or a kind of device, in no group", Options: kinds},
	}}
}

// limitTable says how far each intent of the policy is carried out.
func limitTable(all []intent.Outcome) report.Table {
	t := report.Table{Name: "explain", Title: "What is enforced, and what is not", Columns: []report.Column{{Head: "Intent", Share: 22}, {Head: "Here", Kind: report.State, Share: 12}, {Head: "Why", Share: 28}, {Head: "What to do", Share: 18}, {Head: "By", Share: 20}}}
	for _, l := range all {
		t.Rows = append(t.Rows, []report.Cell{textCell(l.Intent), stateCell(verdictTag(l.Verdict)), textCell(l.Why), textCell(l.Cure), textCell(mechanism(l))})
	}
	return t
}

func originTable(all []intent.Origin, generation int64) report.Table {
	t := report.Table{Name: "origins", Title: "Where each setting came from", Columns: []report.Column{{Head: "Setting", Share: 26}, {Head: "Value", Share: 34}, {Head: "From", Share: 16}, {Head: "Line", Share: 6}, {Head: "Rests on", Share: 18}}}
	for _, o := range all {
		line := report.Cell{}
		if o.Line > 0 {
			line.Text = strconv.Itoa(o.Line)
			if o.Layer == "the policy" || strings.HasPrefix(o.Layer, "group ") || strings.HasPrefix(o.Layer, "exception ") {
				line.Href = lineAddress(generation, o.Line)
			}
		}
		t.Rows = append(t.Rows, []report.Cell{textCell(o.Path), textCell(o.Value), textCell(sentenceCase(o.Layer)), line, textCell(cmp.Or(o.Source, ""))})
	}
	return t
}
