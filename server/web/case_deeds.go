package web

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
)

type pinPage struct {
	Page
	Device string
	Rows   []pinRow
}

type pinRow struct{ For, PIN string }

// caseDone says what was done and leads back to the case, or shows it again with what stood
// in the way.
func (s *Server) caseDone(w http.ResponseWriter, r *http.Request, err error, wrong, done string) error {
	if err == nil {
		s.flash(r, "%s", done)
		return see(w, r, caseAddress(ward.CaseID(r.PathValue("id"))))
	}
	p, err := problemOf(err, wrong)
	if err != nil {
		return err
	}
	v, err := s.caseOf(r)
	if err != nil {
		return err
	}
	v.Problem, v.Purpose = p, field(r, "purpose")
	if field(r, "reasoning") != "" || field(r, "reportable") != "" {
		v.Decision = decisionForm{Reportable: field(r, "reportable"), Reasoning: field(r, "reasoning"), Reference: field(r, "reference"), Link: field(r, "link"), At: v.Decision.At}
	}
	if field(r, "at") != "" {
		v.Decision.At, v.Decision.Why = field(r, "at"), field(r, "why")
	}
	return render(s, w, r, p.status, s.pages.theCase, v)
}

func (s *Server) caseFound(w http.ResponseWriter, r *http.Request) error {
	_, err := s.Lost.Found(r.Context(), ward.CaseID(r.PathValue("id")), field(r, "note"))
	return s.caseDone(w, r, err, "note", "Marked as found. Where lost mode is on, it is taken off when the device is next awake.")
}

func (s *Server) caseClose(w http.ResponseWriter, r *http.Request) error {
	_, err := s.Lost.Close(r.Context(), ward.CaseID(r.PathValue("id")), field(r, "note"))
	return s.caseDone(w, r, err, "note", "The case is closed.")
}

func (s *Server) caseSound(w http.ResponseWriter, r *http.Request) error {
	_, err := s.Lost.Sound(r.Context(), ward.CaseID(r.PathValue("id")))
	return s.caseDone(w, r, err, "", "A sound is asked for, for 15 minutes. The list of what was sent says when the device accepts it.")
}

func (s *Server) caseRestart(w http.ResponseWriter, r *http.Request) error {
	c, err := s.Lost.Case(r.Context(), ward.CaseID(r.PathValue("id")))
	if err != nil {
		return err
	}
	_, err = s.Lost.Restart(r.Context(), c.Device)
	return s.caseDone(w, r, err, "", "The restart is queued, and given up if the device does not fetch it within an hour.")
}

func (s *Server) caseLocate(w http.ResponseWriter, r *http.Request) error {
	_, err := s.Lost.LocateNow(r.Context(), ward.CaseID(r.PathValue("id")), field(r, "purpose"))
	return s.caseDone(w, r, err, "purpose", "It is asked where it is. It answers when it is awake; open this page again then.")
}

// caseLocation shows where the device was. It is a deed, for each look is recorded.
func (s *Server) caseLocation(w http.ResponseWriter, r *http.Request) error {
	id, purpose := ward.CaseID(r.PathValue("id")), field(r, "purpose")
	if purpose == "" {
		return s.caseDone(w, r, ward.Errorf(ward.Invalid, "Say what the location is needed for: it is kept with the case."), "purpose", "")
	}
	c, err := s.Lost.Case(r.Context(), id)
	if err != nil {
		return err
	}
	row, err := s.caseRow(r.Context(), c)
	if err != nil {
		return err
	}
	l, err := s.Lost.ViewLocationFor(r.Context(), id, purpose)
	if ward.KindOf(err) == ward.NotFound {
		return s.caseDone(w, r, nil, "", "No location is kept.")
	}
	if err != nil {
		return s.caseDone(w, r, err, "purpose", "")
	}
	v := &locationPage{
		deedPage: deedPage{Page: Page{Title: "Last known place", Section: "cases", Narrow: true, Backlink: row.Href, Backname: "The case"}, Device: row.Device, Address: row.Href},
		Latitude: fmt.Sprintf("%.5f", l.Lat), Longitude: fmt.Sprintf("%.5f", l.Lon), Accuracy: "not told", At: at(l.At, s.Now()),
	}
	if l.Accuracy >= 0 {
		v.Accuracy = fmt.Sprintf("within %.0f m", l.Accuracy)
	}
	return render(s, w, r, http.StatusOK, s.pages.location, v)
}

// macPIN shows what a Mac was locked with: POST /devices/{id}/pin.
func (s *Server) macPIN(w http.ResponseWriter, r *http.Request) error {
	d, err := s.Posture.Find(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	pins, err := s.Files.MacPIN(r.Context(), d.ID)
	if err != nil {
		return err
	}
	v := &pinPage{Page: Page{Title: "PIN of " + nameOf(d), Section: "devices", Narrow: true, Backlink: deviceAddress(d.ID), Backname: nameOf(d)}, Device: nameOf(d)}
	for _, use := range slices.Sorted(maps.Keys(pins)) {
		v.Rows = append(v.Rows, pinRow{sentenceCase(use), pins[use]})
	}
	return render(s, w, r, http.StatusOK, s.pages.pin, v)
}

func (s *Server) decide(w http.ResponseWriter, r *http.Request) error {
	d := lost.Decision{Reportable: field(r, "reportable") == "yes", Reasoning: field(r, "reasoning"), Reference: field(r, "reference"), Link: field(r, "link")}
	wrong := "reasoning"
	var err error
	switch said := field(r, "reportable"); {
	case said != "yes" && said != "no":
		wrong, err = "reportable", ward.Errorf(ward.Invalid, "Say whether the loss is to be reported.")
	case d.Reasoning == "":
		err = ward.Errorf(ward.Invalid, "Give your reasons: whoever reads the file later has only them.")
	default:
		_, err = s.Lost.Decide(r.Context(), ward.CaseID(r.PathValue("id")), d)
	}
	return s.caseDone(w, r, err, wrong, "Your decision is kept, with the assessment as it is now.")
}

func (s *Server) setAware(w http.ResponseWriter, r *http.Request) error {
	when, err := time.ParseInLocation(localTime, field(r, "at"), s.zone())
	if err != nil {
		return s.caseDone(w, r, ward.Errorf(ward.Invalid, "Give the date and the time."), "at", "")
	}
	_, err = s.Lost.SetAware(r.Context(), ward.CaseID(r.PathValue("id")), when, field(r, "why"))
	return s.caseDone(w, r, err, "at", "The 72 hours now count from then.")
}
