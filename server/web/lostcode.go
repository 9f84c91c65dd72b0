package web

import (
	"net"
	"net/http"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/lost"
)

// lostCodePage is the page on which staff report a device without signing in: first the
// recovery code, then what happened.
type lostCodePage struct {
	Page
	Org     string
	Call    lostNumber
	Code    string
	Devices []pickedDevice // empty before the code was given
	Loss    lossForm
}

// toldPage says what happens now.
type toldPage struct {
	Page
	Call  lostNumber
	Cases []toldCase
}

type toldCase struct{ Name, Reference, Fate string }

func (s *Server) lostCodeView(r *http.Request) (*lostCodePage, error) {
	v := &lostCodePage{Page: Page{Title: "Report a lost or stolen device", Narrow: true}, Org: "your organisation", Code: field(r, "code"), Loss: s.newLoss(false)}
	if s.Name != "" {
		v.Org = s.Name
	}
	var err error
	v.Call, err = s.lostNumber(r)
	return v, err
}

// lostNumber is the number that the policy gives for losses.
func (s *Server) lostNumber(r *http.Request) (lostNumber, error) {
	if s.Policies == nil {
		return lostNumber{}, nil
	}
	f, err := s.Policies.InForce(r.Context())
	if err != nil {
		return lostNumber{}, err
	}
	if p, _ := f.Current(); p != nil {
		return numberOf(p.Lost.Phone), nil
	}
	return lostNumber{}, nil
}

// visitor makes who reads a page nobody: it is the same for everybody.
func asVisitor(r *http.Request) *http.Request {
	return r.WithContext(ward.WithActor(r.Context(), ward.Actor{}))
}

// lostCodeForm is GET /lost.
func (s *Server) lostCodeForm(w http.ResponseWriter, r *http.Request) error {
	r = asVisitor(r)
	v, err := s.lostCodeView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.lostCode, v)
}

// lostByCode is POST /lost: with a code alone it asks what happened, with step "report" it
// reports.
func (s *Server) lostByCode(w http.ResponseWriter, r *http.Request) error {
	r = asVisitor(r)
	v, err := s.lostCodeView(r)
	if err != nil {
		return err
	}
	devices, err := s.Lost.ByCode(r.Context(), v.Code, s.remote(r))
	if err != nil {
		return s.wrongCode(w, r, v, err)
	}
	if err := s.pick(r, v, devices); err != nil {
		return err
	}
	if field(r, "step") != "report" {
		return render(s, w, r, http.StatusOK, s.pages.lostCode, v)
	}
	var q lost.Report
	if v.Loss, q, err = s.readLoss(r, false); err != nil {
		return again(s, w, r, s.pages.lostCode, v, err, "when")
	}
	for _, id := range r.PostForm["device"] {
		q.Devices = append(q.Devices, ward.DeviceID(id))
	}
	if len(q.Devices) == 0 {
		return again(s, w, r, s.pages.lostCode, v, ward.Errorf(ward.Invalid, "Tick which device is missing."), "device-0")
	}
	cases, err := s.Lost.ReportByCode(r.Context(), v.Code, s.remote(r), q)
	if len(cases) == 0 && err != nil {
		return again(s, w, r, s.pages.lostCode, v, err, "")
	}
	told := &toldPage{Page: Page{Title: "You have reported it", Narrow: true}, Call: v.Call}
	for _, c := range cases {
		for _, d := range v.Devices {
			if d.ID == string(c.Device) {
				told.Cases = append(told.Cases, toldCase{d.Name, reference(c.ID), d.Fate})
			}
		}
	}
	if err != nil {
		if told.Problem, err = problemOf(err, ""); err != nil {
			return err
		}
	}
	return render(s, w, r, http.StatusOK, s.pages.told, told)
}

// pick names the devices that a code is for.
func (s *Server) pick(r *http.Request, v *lostCodePage, devices []ward.Device) error {
	for _, d := range devices {
		one := pickedDevice{ID: string(d.ID), Name: nameOf(d), Owner: d.Model}
		shown, err := s.Posture.Show(r.Context(), string(d.ID))
		if err != nil {
			return err
		}
		one.Fate = fate(shown)
		v.Devices = append(v.Devices, one)
	}
	return nil
}

// wrongCode says that a code is not known, or that too many were tried.
func (s *Server) wrongCode(w http.ResponseWriter, r *http.Request, v *lostCodePage, err error) error {
	k := ward.KindOf(err)
	if k != ward.NotFound && k != ward.Unavailable {
		return err
	}
	text := message(err)
	v.Problem = &problem{Field: "code", Lines: []string{text}, Text: text, status: httpd.Status(k)}
	return render(s, w, r, v.Problem.status, s.pages.lostCode, v)
}

// reference is what a person says on the telephone for a case.
func reference(id ward.CaseID) string {
	const shown = 6
	text := strings.ToUpper(string(id))
	return text[max(0, len(text)-shown):]
}

// remote says who asks.
func (s *Server) remote(r *http.Request) string {
	if s.Remote != nil {
		return s.Remote(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
