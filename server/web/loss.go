package web

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
)

// localTime is how browsers write a time without a zone.
// Source: https://html.spec.whatwg.org/multipage/common-microsyntaxes.html#local-dates-and-times
const localTime = "2006-01-02T15:04"

// lossForm is what is asked of whoever reports a loss.
type lossForm struct {
	Kind, Where, When, Unlocked, DataOpen, Note, Identified string

	Zone  string // of the times typed
	Staff bool   // the reader reports for somebody else, and says how they were known
	Wrong string // what is wrong with the time
}

func (s *Server) newLoss(staff bool) lossForm {
	return lossForm{Kind: string(lost.Lost), Zone: s.zoneName(), Staff: staff}
}

// readLoss reads the answers.
func (s *Server) readLoss(r *http.Request, staff bool) (f lossForm, q lost.Report, err error) {
	f = lossForm{
		Kind: field(r, "kind"), Where: field(r, "where"), When: field(r, "when"), Unlocked: field(r, "unlocked"), DataOpen: field(r, "data_open"), Note: field(r, "note"),
		Zone: s.zoneName(), Staff: staff,
	}
	if staff {
		f.Identified = field(r, "identified")
	}
	q = lost.Report{
		Kind: lost.Kind(cmp.Or(f.Kind, string(lost.Lost))), LastSeenWhere: f.Where, WasUnlocked: lost.Answer(f.Unlocked), DataOpen: lost.Answer(f.DataOpen), Note: f.Note, Identified: f.Identified,
	}
	if f.When == "" {
		return f, q, nil
	}
	if q.LastSeenAt, err = time.ParseInLocation(localTime, f.When, s.zone()); err != nil {
		f.Wrong = "Give the date and the time, or leave it empty."
		return f, q, ward.Errorf(ward.Invalid, "%s", f.Wrong)
	}
	if q.LastSeenAt.After(s.Now()) {
		f.Wrong = "It was last seen at a time that has been."
		return f, q, ward.Errorf(ward.Invalid, "%s", f.Wrong)
	}
	return f, q, nil
}

// zone is the time zone in which people type times.
func (s *Server) zone() *time.Location {
	if s.Zone == nil {
		return time.UTC
	}
	return s.Zone
}

// zoneName names the zone as it is now.
func (s *Server) zoneName() string { return s.Now().In(s.zone()).Format("MST") }

func caseAddress(id ward.CaseID) string { return "/cases/" + url.PathEscape(string(id)) }

type manyPage struct {
	Page
	Devices []pickedDevice
	Loss    lossForm
	Drill   bool // a rehearsal
}

type pickedDevice struct {
	ID, Name, Owner, Fate string
	Case                  string // address of its open case; empty if there is none
}

// manyView reads the devices that were ticked.
func (s *Server) manyView(r *http.Request, ids []string) (*manyPage, error) {
	v := &manyPage{Page: Page{Title: "Report " + plural(len(ids), "device") + " lost", Section: "devices", Narrow: true, Backlink: "/devices", Backname: "Devices"}, Loss: s.newLoss(true)}
	const most = 100
	if len(ids) == 0 {
		return nil, ward.Errorf(ward.Invalid, "Tick the devices that are missing first, in the list of devices.")
	}
	if len(ids) > most {
		return nil, ward.Errorf(ward.Invalid, "One report may name %d devices at most.", most)
	}
	for _, id := range ids {
		d, err := s.Posture.Show(r.Context(), id)
		if err != nil {
			return nil, err
		}
		one := pickedDevice{ID: string(d.Device.ID), Name: nameOf(d.Device), Owner: d.Device.Owner, Fate: fate(d)}
		if d.View.Case != nil {
			one.Case = caseAddress(d.View.Case.ID)
		}
		v.Devices = append(v.Devices, one)
	}
	return v, nil
}

// manyForm is GET /lost/new?device=&device=.
func (s *Server) manyForm(w http.ResponseWriter, r *http.Request) error {
	v, err := s.manyView(r, r.URL.Query()["device"])
	if err != nil {
		return err
	}
	if v.Drill = r.URL.Query().Get("drill") != ""; v.Drill {
		v.Title, v.Backlink, v.Backname = "Rehearse the loss of "+v.Devices[0].Name, "/drills", "Rehearsals"
	}
	return render(s, w, r, http.StatusOK, s.pages.reportMany, v)
}

// reportMany is POST /lost/new.
func (s *Server) reportMany(w http.ResponseWriter, r *http.Request) error {
	v, err := s.manyView(r, r.PostForm["device"])
	if err != nil {
		return err
	}
	v.Drill = field(r, "drill") != ""
	var q lost.Report
	if v.Loss, q, err = s.readLoss(r, true); err != nil {
		return again(s, w, r, s.pages.reportMany, v, err, "when")
	}
	for _, d := range v.Devices {
		q.Devices = append(q.Devices, ward.DeviceID(d.ID))
	}
	if v.Drill {
		q.Drill = lost.Dry
	}
	cases, err := s.Lost.Report(r.Context(), q)
	if err != nil {
		return again(s, w, r, s.pages.reportMany, v, err, "")
	}
	if v.Drill {
		s.flash(r, "Rehearsed. Nothing was sent to the device and nothing was revoked; below stands what would have been done.")
	} else {
		s.flash(r, "%s reported. Their app certificates are revoked, and the commands that lock them are on their way.", plural(len(cases), "device"))
	}
	if len(cases) == 1 {
		return see(w, r, caseAddress(cases[0].ID))
	}
	return see(w, r, "/cases")
}
