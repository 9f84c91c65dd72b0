package web

import (
	"net/http"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/evidence"
)

// subjectPage asks whom a subject access is about, and shows what is held of them.
type subjectPage struct {
	reportPage
	Person fieldView
	Whose  string // of whom the report below is; empty: none is shown
	May    bool   // the reader may take files
	Erase  bool   // the reader may erase
}

func personField(value, wrong string) fieldView {
	return fieldView{Name: "person", Label: "Whom is it about?", Hint: "Their e-mail address; or a name, or the id of an account.", Value: value, Error: wrong, Required: true, Autocomplete: "off", Max: 200}
}

func (s *Server) newSubjectPage(r *http.Request) *subjectPage {
	a := ward.ActorFrom(r.Context())
	v := &subjectPage{Person: personField("", ""), May: access.Allows(a, access.ExportMake), Erase: access.Allows(a, access.PersonErase)}
	v.Page = Page{Title: "Subject access", Section: "evidence", Backlink: "/evidence", Backname: "Evidence"}
	v.Head = pageHead{Title: "Subject access", Caption: "Everything that is held of one person. Make sure who asks before you hand it over."}
	return v
}

// subjectForm asks whom it is about: GET /evidence/subject-access.
func (s *Server) subjectForm(w http.ResponseWriter, r *http.Request) error {
	return render(s, w, r, http.StatusOK, s.pages.subject, s.newSubjectPage(r))
}

// subjectReport shows what is held, or sends it: POST /evidence/subject-access.
func (s *Server) subjectReport(w http.ResponseWriter, r *http.Request) error {
	service, err := s.evidenceService()
	if err != nil {
		return err
	}
	ctx, person := r.Context(), field(r, "person")
	req := evidence.Request{Pack: evidence.SubjectAccess, Person: person}
	if form := field(r, "format"); form != "" {
		return s.answerReport(w, r, req, form)
	}
	v := s.newSubjectPage(r)
	d, err := service.Make(ctx, req)
	if err != nil {
		p, err := personProblem(err)
		if err != nil {
			return err
		}
		v.Problem, v.Person = p, personField(person, p.Text)
		return render(s, w, r, p.status, s.pages.subject, v)
	}
	shown := s.reportView(d)
	v.Sections, v.Whose = shown.Sections, person
	v.Person.Value, v.Head.AsOf = person, shown.Head.AsOf
	v.Head.Title, v.Title = d.Title, "Subject access"
	return render(s, w, r, http.StatusOK, s.pages.subject, v)
}

// personProblem puts what is wrong with a name beside its field. That nothing is held of
// somebody is no missing page.
func personProblem(err error) (*problem, error) {
	if ward.KindOf(err) == ward.NotFound {
		return &problem{Field: "person", Lines: []string{message(err)}, Text: message(err), status: http.StatusNotFound}, nil
	}
	return problemOf(err, "person")
}

// erasurePage asks whom to erase, says what goes and what stays, and asks once more.
type erasurePage struct {
	Page
	Head   pageHead
	Person fieldView
	Plan   bool
	Whose  string
	Erased []string
	Kept   []factView
	Stops  []string
	Again  fieldView
}

func newErasurePage() *erasurePage {
	return &erasurePage{
		Page:   Page{Title: "Erase a person", Section: "evidence", Narrow: true, Backlink: "/evidence", Backname: "Evidence"},
		Head:   pageHead{Title: "Erase a person", Caption: "What is held of somebody who has left and asks to be forgotten. It can't be undone."},
		Person: personField("", ""),
		Again:  fieldView{Name: "again", Label: "Whom do you erase?", Hint: "Write it once more, as above.", Required: true, Autocomplete: "off", Max: 200},
	}
}

// erasureForm asks whom to erase: GET /evidence/erasure.
func (s *Server) erasureForm(w http.ResponseWriter, r *http.Request) error {
	return render(s, w, r, http.StatusOK, s.pages.erasure, newErasurePage())
}

// erasurePlan says what an erasure would do: POST /evidence/erasure.
func (s *Server) erasurePlan(w http.ResponseWriter, r *http.Request) error {
	v, err := s.erasureOf(r)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if v.Problem != nil {
		status = v.Problem.status
	}
	return render(s, w, r, status, s.pages.erasure, v)
}

func (s *Server) erasureOf(r *http.Request) (*erasurePage, error) {
	service, err := s.evidenceService()
	if err != nil {
		return nil, err
	}
	person := field(r, "person")
	v := newErasurePage()
	e, err := service.PlanErasure(r.Context(), person)
	if err != nil {
		p, err := personProblem(err)
		if err != nil {
			return nil, err
		}
		v.Problem, v.Person = p, personField(person, p.Text)
		return v, nil
	}
	v.Plan, v.Whose, v.Erased, v.Stops = true, person, e.Erased, e.Stops
	v.Person.Value = person
	for _, k := range e.Kept {
		v.Kept = append(v.Kept, factView{Label: k.What, Value: k.Why})
	}
	return v, nil
}

// erase erases a person, for whoever proved a moment ago who they are (see dangerous): POST /evidence/erasure/now.
func (s *Server) erase(w http.ResponseWriter, r *http.Request) error {
	service, err := s.evidenceService()
	if err != nil {
		return err
	}
	ctx := r.Context()
	again := func(err error, at string) error {
		p, err := problemOf(err, at)
		if err != nil {
			return err
		}
		v, err := s.erasureOf(r)
		if err != nil {
			return err
		}
		v.Problem = p
		if at == v.Again.Name {
			v.Again.Error = p.Text
		}
		return render(s, w, r, p.status, s.pages.erasure, v)
	}
	if field(r, "again") != field(r, "person") {
		return again(ward.Errorf(ward.Invalid, "The two are not the same. Write whom you erase once more, exactly as above."), "again")
	}
	if _, err := service.Erase(ctx, field(r, "person")); err != nil {
		return again(err, "")
	}
	s.flash(r, "Erased. The audit log says that it was done, and not who it was.")
	return see(w, r, "/evidence")
}
