package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/report"
)

// rollouts shows how far the rollout is that is under way: GET /rollouts.
func (s *Server) rollouts(w http.ResponseWriter, r *http.Request) error {
	v, t, err := s.rolloutView(r)
	if err != nil {
		return err
	}
	if t != nil {
		if done, err := s.export(w, r, func() (report.Table, error) { return *t, nil }); done || err != nil {
			return err
		}
	}
	return s.sheet(w, r, v)
}

// rolloutView is that page; the table is nil where nothing is rolled out.
func (s *Server) rolloutView(r *http.Request) (*sheetPage, *report.Table, error) {
	now := s.Now()
	v := &sheetPage{Page: Page{Title: "Rollout", Section: "policies"}, Tabs: policyTabs("/rollouts")}
	v.Head = pageHead{Title: "Rollout", AsOf: at(now, now)}
	p, err := s.Rules.Policy.Rollout(r.Context())
	if ward.KindOf(err) == ward.NotFound {
		v.Segments, err = s.noRollout(r)
		return v, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	st := versionTag(p.Version)
	v.Head.Tag, v.Head.Caption, v.Head.Exports = &st, ringsWords(p.Version.Rings), "/rollouts"
	v.Head.Title = fmt.Sprintf("Rollout of generation %d", p.Version.Generation)
	v.Title = v.Head.Title
	rings := ringTable(p, s)
	failures, err := s.failureTable(r, p)
	if err != nil {
		return nil, nil, err
	}
	v.Segments = []segment{
		{Anchor: "about", Title: "How far it is", Facts: rolloutFacts(p, s), Tables: []tableView{tableOf(rings, now)}},
		{Anchor: "failures", Title: "Devices on which it failed", Tables: []tableView{failures}},
	}
	if access.Allows(ward.ActorFrom(r.Context()), access.PolicyPublish) {
		v.Segments = append(v.Segments, rolloutDeeds(p))
	}
	return v, &rings, nil
}

// noRollout says what is in force, with the way back.
func (s *Server) noRollout(r *http.Request) ([]segment, error) {
	v, err := s.Rules.Policy.Published(r.Context())
	if ward.KindOf(err) == ward.NotFound {
		return []segment{{Anchor: "none", Title: "Nothing is being rolled out", Text: []string{"No policy is published yet."}}}, nil
	}
	if err != nil {
		return nil, err
	}
	out := segment{Anchor: "none", Title: "Nothing is being rolled out", Text: []string{"Every device has, or gets when it next connects, the version in force."}, Facts: []factView{
		{Label: "In force", Value: fmt.Sprintf("generation %d", v.Generation), Href: versionAddress(v.Generation)},
	}}
	if v.Base > 0 && access.Allows(ward.ActorFrom(r.Context()), access.PolicyPublish) {
		out.Forms = []formView{backForm("Go back to the version before")}
	}
	return []segment{out}, nil
}

func backForm(submit string) formView {
	return formView{
		Action: "/rollouts/back", Submit: submit, Danger: true, Title: submit, Fields: []fieldView{{Name: "back_reason", Label: "Why", Hint: "It stands in the audit log.", Required: true, Max: 2000}},
		Text: "The text of the version before becomes a new version for every device at once.",
	}
}

func rolloutFacts(p policy.Progress, s *Server) []factView {
	now := s.Now()
	out := []factView{
		{Label: "Version", Value: fmt.Sprintf("generation %d", p.Version.Generation), Href: versionAddress(p.Version.Generation)},
		{Label: "Began", Value: at(p.Rollout.Started, now).Exact},
		{Label: "Newest ring", Value: p.Version.Rings.Name(p.Rollout.Ring) + ", open since " + at(p.Rollout.Opened, now).Exact},
	}
	if p.Version.State == policy.Stopped {
		return append(out, factView{Label: "Stopped", Value: at(p.Rollout.Stopped, now).Exact + because(p.Rollout.Reason)})
	}
	return append(out, factView{Label: "Next step", Value: "not before " + at(p.Rollout.Opened.Add(p.Version.Rings.Pause), now).Exact})
}

func ringTable(p policy.Progress, s *Server) report.Table {
	t := report.Table{Name: "rollout", Title: fmt.Sprintf("Rollout of generation %d by ring", p.Version.Generation), AsOf: s.Now(), Columns: []report.Column{
		{Head: "Ring"}, {Head: "State", Kind: report.State}, {Head: "Devices", Kind: report.Number}, {Head: "Done", Kind: report.Number}, {Head: "Failed", Kind: report.Number}, {Head: "Waiting", Kind: report.Number}, {Head: "Heard from, not done", Kind: report.Number},
	}}
	for _, r := range p.Rings {
		st := tag{"Not open yet", "quiet", "clock"}
		switch {
		case r.Open && r.Failed > 0:
			st = tag{"Open, with failures", "bad", "alert"}
		case r.Open && r.Waiting == 0:
			st = tag{"Done", "good", "check"}
		case r.Open:
			st = tag{"Open", "info", "half"}
		}
		row := []report.Cell{textCell(sentenceCase(r.Name)), stateCell(st), textCell(strconv.Itoa(r.Devices)), {}, {}, {}, {}}
		if r.Open {
			for i, n := range []int{r.Done, r.Failed, r.Waiting, r.Lagging} {
				row[3+i] = textCell(strconv.Itoa(n)) //nolint:gosec // of the seven
			}
			if r.Failed > 0 {
				row[4].Href = "#failures"
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// failureTable lists the devices on which a version failed, as far as the reader may see
// them.
func (s *Server) failureTable(r *http.Request, p policy.Progress) (tableView, error) {
	t := report.Table{Name: "rollout-failures", Title: "Devices on which it failed", Columns: []report.Column{{Head: "Device"}, {Head: "Step"}, {Head: "What the device says"}}}
	failures, names := p.Failures, map[ward.DeviceID]string{}
	if len(failures) > 0 && s.Fleet.Estate != nil {
		snap, err := s.Fleet.Estate.Current(r.Context())
		if err != nil {
			return tableView{}, err
		}
		for _, d := range snap.Match(estate.Filter{Scope: ward.ActorFrom(r.Context()).Scope}) {
			names[d.ID] = d.Name
		}
		failures = slices.DeleteFunc(slices.Clone(failures), func(f policy.Failure) bool { _, ok := names[f.Device]; return !ok })
	}
	for _, f := range failures {
		name := names[f.Device]
		if name == "" {
			name = string(f.Device)
		}
		t.Rows = append(t.Rows, []report.Cell{{Text: name, Href: deviceAddress(f.Device)}, textCell(sentenceCase(f.Step)), textCell(f.Error)})
	}
	v := tableOf(t, s.Now())
	v.Empty = emptyView{Title: "None", Text: []string{"No device has refused a step or called a declaration invalid."}}
	return v, nil
}

// rolloutDeeds are what may be done about a rollout.
func rolloutDeeds(p policy.Progress) segment {
	g := segment{Anchor: "deeds", Title: "What you can do"}
	if p.Version.State == policy.Stopped {
		g.Forms = append(g.Forms, formView{Action: "/rollouts/resume", Submit: "Let it go on", Title: "Let it go on", Text: "The newest ring is watched for another pause. Failures that stand stop it again."})
	} else {
		g.Forms = append(g.Forms, formView{
			Action: "/rollouts/stop", Submit: "Stop it", Danger: true, Title: "Stop it", Text: "No further ring opens; the open ones keep what they have.",
			Fields: []fieldView{{Name: "stop_reason", Label: "Why", Hint: "It stands in the audit log.", Required: true, Max: 2000}},
		})
	}
	if p.Version.Base > 0 {
		g.Forms = append(g.Forms, backForm("Give it up and go back"))
	}
	return g
}

// rolled answers a deed about a rollout.
func (s *Server) rolled(w http.ResponseWriter, r *http.Request, v policy.Version, err error, at, done string) error {
	if err != nil {
		page, _, viewErr := s.rolloutView(r)
		if viewErr != nil {
			return viewErr
		}
		return again(s, w, r, s.pages.sheet, page, err, at)
	}
	s.flash(r, "%s", strings.ReplaceAll(done, "{n}", strconv.FormatInt(v.Generation, 10)))
	return see(w, r, "/rollouts")
}

// stopRollout is POST /rollouts/stop.
func (s *Server) stopRollout(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Rules.Policy.Stop(r.Context(), field(r, "stop_reason"))
	return s.rolled(w, r, v, err, "stop_reason", "The rollout of generation {n} is stopped.")
}

// resumeRollout is POST /rollouts/resume.
func (s *Server) resumeRollout(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Rules.Policy.Resume(r.Context())
	return s.rolled(w, r, v, err, "", "The rollout of generation {n} goes on.")
}

// rollBack is POST /rollouts/back.
func (s *Server) rollBack(w http.ResponseWriter, r *http.Request) error {
	var to int64
	if g := field(r, "generation"); g != "" {
		n, err := strconv.ParseInt(g, 10, 64)
		if err != nil || n < 1 {
			return ward.Errorf(ward.Invalid, "The version to go back to is no number.")
		}
		to = n
	}
	v, err := s.Rules.Policy.Rollback(r.Context(), to, field(r, "back_reason"))
	if err == nil && v.State == policy.Proposed {
		s.flash(r, "Generation %d, which goes back, is proposed: a second person has to approve it.", v.Generation)
		return see(w, r, versionAddress(v.Generation))
	}
	return s.rolled(w, r, v, err, "back_reason", "Generation {n}, which goes back, is in force.")
}
