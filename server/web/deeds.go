package web

import (
	"net/http"
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/posture"
)

// deedPage is what the pages that confirm a deed have in common.
type deedPage struct {
	Page
	Address string // of the device
	Device  string
	Owner   string
	Note    string // typed
}

type lostPage struct {
	deedPage
	Loss lossForm
	Fate string // what being lost means for this device
}

type foundPage struct {
	deedPage
	Personal bool
}

type lockPage struct {
	deedPage
	Message, Phone string
}

type restartPage struct{ deedPage }

type locationPage struct {
	deedPage
	Latitude, Longitude, Accuracy string
	At                            moment
}

// subject reads the device that a deed is about.
func (s *Server) subject(r *http.Request, title string) (posture.Detail, deedPage, error) {
	d, err := s.Posture.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return d, deedPage{}, err
	}
	v := deedPage{
		Page:    Page{Title: title, Section: "devices", Narrow: true, Backlink: deviceAddress(d.Device.ID), Backname: nameOf(d.Device)},
		Address: deviceAddress(d.Device.ID), Device: nameOf(d.Device), Owner: d.Device.Owner,
	}
	return d, v, nil
}

// done says what was done and leads back to the device.
func (s *Server) done(w http.ResponseWriter, r *http.Request, d posture.Detail, done string) error {
	s.flash(r, "%s", done)
	return see(w, r, deviceAddress(d.Device.ID))
}

// again shows a form once more with what is wrong; an error that the person can't mend
// comes back as it is.
func again[T pageData](s *Server, w http.ResponseWriter, r *http.Request, t page[T], v T, err error, field string) error {
	p, err := problemOf(err, field)
	if err != nil {
		return err
	}
	v.base().Problem = p
	return render(s, w, r, p.status, t, v)
}

func (s *Server) lostView(r *http.Request) (posture.Detail, *lostPage, error) {
	d, base, err := s.subject(r, "Report lost")
	if err != nil {
		return d, nil, err
	}
	v := &lostPage{deedPage: base, Loss: s.newLoss(true), Fate: fate(d)}
	return d, v, nil
}

// fate says what being lost means for a device, as its limits do.
func fate(d posture.Detail) string {
	i := slices.IndexFunc(d.Limits, func(l intent.Outcome) bool { return l.ID == intent.LoseDevice })
	words := "Ward locks the device as far as the device allows it."
	if i >= 0 {
		words = d.Limits[i].Why
	}
	switch {
	case d.Device.Ownership == ward.Personal:
		return words + " Found again, it has to be invited and enrolled anew."
	case d.Supervised == ward.Supervised:
		return words + " Nothing is erased, and lost mode is taken off once it is marked found."
	}
	return words + " Nothing is erased."
}

func (s *Server) lostForm(w http.ResponseWriter, r *http.Request) error {
	d, v, err := s.lostView(r)
	if err != nil {
		return err
	}
	if d.View.Case != nil {
		s.flash(r, "This device is reported lost already.")
		return see(w, r, v.Address)
	}
	return render(s, w, r, http.StatusOK, s.pages.lost, v)
}

func (s *Server) reportLost(w http.ResponseWriter, r *http.Request) error {
	d, v, err := s.lostView(r)
	if err != nil {
		return err
	}
	var q lost.Report
	v.Loss, q, err = s.readLoss(r, true)
	if err != nil {
		return again(s, w, r, s.pages.lost, v, err, "when")
	}
	q.Devices = []ward.DeviceID{d.Device.ID}
	cases, err := s.Lost.Report(r.Context(), q)
	if err != nil {
		return again(s, w, r, s.pages.lost, v, err, "")
	}
	s.flash(r, "Reported %s. Its app certificates are revoked, and the commands that lock it are on their way.", q.Kind)
	return see(w, r, caseAddress(cases[0].ID))
}

func (s *Server) foundForm(w http.ResponseWriter, r *http.Request) error {
	d, base, err := s.subject(r, "Mark found")
	if err != nil {
		return err
	}
	if d.View.Case == nil {
		s.flash(r, "This device has no open case.")
		return see(w, r, base.Address)
	}
	return render(s, w, r, http.StatusOK, s.pages.found, &foundPage{base, d.Device.Ownership == ward.Personal})
}

func (s *Server) found(w http.ResponseWriter, r *http.Request) error {
	d, base, err := s.subject(r, "Mark found")
	if err != nil {
		return err
	}
	base.Note = field(r, "note")
	if d.View.Case == nil {
		return s.done(w, r, d, "This device has no open case.")
	}
	if _, err := s.Lost.Found(r.Context(), d.View.Case.ID, base.Note); err != nil {
		return again(s, w, r, s.pages.found, &foundPage{base, d.Device.Ownership == ward.Personal}, err, "note")
	}
	return s.done(w, r, d, "Marked as found. Where lost mode is on, it is taken off when the device is next awake.")
}

func (s *Server) lockForm(w http.ResponseWriter, r *http.Request) error {
	_, base, err := s.subject(r, "Lock the screen")
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.lock, &lockPage{deedPage: base})
}

func (s *Server) lock(w http.ResponseWriter, r *http.Request) error {
	d, base, err := s.subject(r, "Lock the screen")
	if err != nil {
		return err
	}
	v := &lockPage{base, field(r, "message"), field(r, "phone")}
	if _, err := s.Lost.Lock(r.Context(), d.Device.ID, v.Message, v.Phone); err != nil {
		return again(s, w, r, s.pages.lock, v, err, "message")
	}
	return s.done(w, r, d, "The lock is queued. The device’s commands say below when the device accepts it.")
}

func (s *Server) refresh(w http.ResponseWriter, r *http.Request) error {
	d, _, err := s.subject(r, "")
	if err != nil {
		return err
	}
	if err := s.Posture.Refresh(r.Context(), d.Device.ID); err != nil {
		if ward.KindOf(err) == ward.NotFound {
			return ward.Errorf(ward.Conflict, "This device is not enrolled, so it can’t be asked.").Because(err)
		}
		return err
	}
	return s.done(w, r, d, "The device is asked for news. It answers when it is awake; open this page again then.")
}

func (s *Server) restartForm(w http.ResponseWriter, r *http.Request) error {
	_, base, err := s.subject(r, "Restart")
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.restart, &restartPage{base})
}

func (s *Server) restart(w http.ResponseWriter, r *http.Request) error {
	d, base, err := s.subject(r, "Restart")
	if err != nil {
		return err
	}
	if _, err := s.Lost.Restart(r.Context(), d.Device.ID); err != nil {
		return again(s, w, r, s.pages.restart, &restartPage{base}, err, "")
	}
	return s.done(w, r, d, "The restart is queued, and given up if the device does not fetch it within an hour.")
}
