package web

import (
	"context"
	"net/http"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/health"
	"github.com/wardmdm/ward/server/report"
)

type healthPage struct {
	Page
	Head     pageHead
	Troubles []troubleView
	Looks    []taskView
}

type troubleView struct {
	Tag        tag
	Title      string
	Text, Cure string
	Href       string
	Since      moment
}

// severityTag is how much a trouble matters.
func severityTag(v health.Severity) tag {
	switch v {
	case health.Fault:
		return tag{"Fault", "bad", "alert"}
	case health.Warning:
		return tag{"Warning", "warn", "clock"}
	case health.Notice:
		return tag{"Notice", "info", "eye"}
	}
	return tag{"Well", "good", "check"}
}

// healthReport says what is wrong with the server: GET /health.
func (s *Server) healthReport(w http.ResponseWriter, r *http.Request) error {
	rep, err := s.Operate.Health(r.Context())
	if err != nil {
		return err
	}
	done, err := s.export(w, r, func() (report.Table, error) { return healthTable(rep), nil })
	if done || err != nil {
		return err
	}
	now := s.Now()
	v := &healthPage{
		Page: Page{Title: "Health", Section: "health"},
		Head: pageHead{Title: "Health", Caption: healthCaption(rep), AsOf: at(rep.At, now), Exports: exportable(r, "/health"), Actions: []action{{Text: "Set-up list", Href: "/setup"}}},
	}
	for _, t := range rep.Troubles() {
		v.Troubles = append(v.Troubles, troubleView{severityTag(t.Severity), t.Title, t.Text, t.Cure, t.Href, at(t.Since, now)})
	}
	for _, l := range rep.Looks {
		one := taskView{Text: l.Title, Hint: beginSentence(l.About), Tag: severityTag("")}
		if len(l.Troubles) > 0 {
			one.Tag, one.Href = severityTag(l.Troubles[0].Severity), l.Troubles[0].Href
		}
		v.Looks = append(v.Looks, one)
	}
	return render(s, w, r, http.StatusOK, s.pages.health, v)
}

func healthCaption(rep health.Report) string {
	words := "Nothing is wrong."
	if n := len(rep.Troubles()); n > 0 {
		words = plural(n, "thing") + " to look at"
		if faults := rep.Count(health.Fault); faults > 0 {
			words += ", of which " + strconv.Itoa(faults) + " can’t wait"
		}
		words += "."
	}
	return words + " Version " + rep.Version + "."
}

// healthTable is the report as a list.
func healthTable(rep health.Report) report.Table {
	t := report.Table{
		Name: "health", Title: "Health of the server", AsOf: rep.At, Says: []string{"version " + rep.Version},
		Columns: []report.Column{{Head: "State", Kind: report.State, Share: 12}, {Head: "What", Share: 18}, {Head: "Found", Share: 36}, {Head: "What to do", Share: 34}},
	}
	for _, l := range rep.Looks {
		if len(l.Troubles) == 0 {
			t.Rows = append(t.Rows, []report.Cell{{Text: "Well", Tone: "good"}, {Text: l.Title}, {Text: "Nothing is wrong with " + l.About + "."}, {}})
		}
		for _, x := range l.Troubles {
			g := severityTag(x.Severity)
			t.Rows = append(t.Rows, []report.Cell{{Text: g.Text, Tone: g.Tone}, {Text: l.Title}, {Text: x.Text}, {Text: x.Cure}})
		}
	}
	return t
}

// healthAlarm tells whoever may see the health of the server that something there can't wait.
func (s *Server) healthAlarm(ctx context.Context) ([]alarm, error) {
	if s.Operate.Health == nil || !access.Allows(ward.ActorFrom(ctx), access.HealthRead) {
		return nil, nil
	}
	rep, err := s.Operate.Health(ctx)
	if err != nil {
		return nil, err
	}
	switch n := rep.Count(health.Fault); {
	case n == 1:
		return []alarm{{rep.Troubles()[0].Text, "/health", "See what to do"}}, nil
	case n > 1:
		return []alarm{{plural(n, "fault") + " of the server can’t wait. The first: " + rep.Troubles()[0].Text, "/health", "See all"}}, nil
	}
	return nil, nil
}

type setupPage struct {
	Page
	Head  pageHead
	Ready bool
	Steps []setupStep
}

type setupStep struct {
	Tag                          tag
	Text, Why, How, Href, Detail string
	Command                      string
	Done                         bool
}

// setupList is what the first day is for: GET /setup.
func (s *Server) setupList(w http.ResponseWriter, r *http.Request) error {
	steps, err := s.Operate.Setup(r.Context())
	if err != nil {
		return err
	}
	v := &setupPage{
		Page:  Page{Title: "Set-up", Section: "health", Backlink: "/health", Backname: "Health", Narrow: true},
		Ready: health.Ready(steps),
	}
	n := 0
	for _, one := range steps {
		x := setupStep{Text: one.Text, Why: one.Why, How: one.How, Href: one.Href, Detail: one.Detail, Command: one.Command}
		switch one.Done {
		case health.Finished:
			x.Tag, x.Done = tag{"Done", "good", "check"}, true
			n++
		case health.ToDo:
			x.Tag = tag{"To do", "warn", "clock"}
		case health.Optional:
			x.Tag = tag{"Optional", "quiet", "gone"}
		}
		v.Steps = append(v.Steps, x)
	}
	v.Head = pageHead{Title: "Set-up", Caption: strconv.Itoa(n) + " of " + plural(len(steps), "step") + " done."}
	return render(s, w, r, http.StatusOK, s.pages.setup, v)
}

// beginSentence begins a sentence.
func beginSentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}
