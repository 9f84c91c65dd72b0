package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notice"
	"github.com/wardmdm/ward/server/posture"
	"github.com/wardmdm/ward/server/wording"
)

// minePage is what a member of staff sees of their own devices.
type minePage struct {
	Page
	Org     string
	Email   string // by which their devices are known; empty if none is kept
	Devices []mineDevice
	Notice  mineNotice
	Help    string
	Call    lostNumber
}

// mineDevice is one of their devices.
type mineDevice struct {
	ID, Anchor, Name, What string
	Tag                    tag
	Personal, Managed      bool
	Findings               []mineFinding
	Sees, Does, Never      []string
	Seen                   moment
	Lost                   string // address of the form that reports it; empty if it can't be reported
	Case                   string // reference of its open case
	Fate                   string
}

// mineFinding is what is wrong, and what to do, for whoever carries the device.
type mineFinding struct{ Text, Do string }

// mineNotice is what the organisation tells staff, and whether they have said that they read
// it.
type mineNotice struct {
	Paragraphs []string
	Version    string
	Read       moment
	Asked      bool // it is asked of them: they have a device, or the notice is for everybody
}

// owner returns who has signed in and the address that their devices have.
func (s *Server) owner(r *http.Request) (email string, err error) {
	p, err := s.Access.Person(r.Context(), ward.ActorFrom(r.Context()).Person)
	if ward.KindOf(err) == ward.NotFound {
		return "", nil
	}
	return strings.TrimSpace(p.Email), err
}

// mine is GET /mine.
func (s *Server) mine(w http.ResponseWriter, r *http.Request) error {
	v, _, err := s.mineView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.mine, v)
}

// mineView gathers the page, with the text of the notice.
func (s *Server) mineView(r *http.Request) (*minePage, string, error) {
	ctx := r.Context()
	v := &minePage{Page: Page{Title: "My devices", Section: "mine", Narrow: true}, Org: s.organisation()}
	var err error
	if v.Email, err = s.owner(r); err != nil {
		return nil, "", err
	}
	if v.Call, err = s.lostNumber(r); err != nil {
		return nil, "", err
	}
	if s.Operate.Texts != nil {
		if v.Help, err = s.Operate.Texts.Text(ctx, wording.StaffHelp); err != nil {
			return nil, "", err
		}
	}
	var policy *profiles.Policy
	if s.Policies != nil {
		f, err := s.Policies.InForce(ctx)
		if err != nil {
			return nil, "", err
		}
		policy, _ = f.Current()
	}
	var own []ward.Device
	if v.Email != "" {
		if own, err = s.Operate.Own(ctx, v.Email); err != nil {
			return nil, "", err
		}
	}
	for _, d := range own {
		shown, err := s.Posture.Show(ctx, string(d.ID))
		if err != nil {
			return nil, "", err
		}
		v.Devices = append(v.Devices, s.mineDevice(shown))
	}
	text := noticeFor(policy, own)
	if text == "" {
		return v, "", nil
	}
	v.Notice = mineNotice{Paragraphs: paragraphs(text), Version: notice.VersionOf(text), Asked: len(own) > 0}
	read, err := s.Operate.Notices.Acknowledged(ctx, ward.ActorFrom(ctx).Person, v.Notice.Version)
	v.Notice.Read = at(read, s.Now())
	return v, text, err
}

// noticeFor is the notice for the devices that somebody has: of several kinds, each once.
func noticeFor(p *profiles.Policy, own []ward.Device) string {
	if p == nil {
		return ""
	}
	if len(own) == 0 {
		own = []ward.Device{{Ownership: ward.Corporate}}
	}
	var all []string
	for _, d := range own {
		text := strings.TrimSpace(p.Notices(d)[english])
		if text != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, "\n\n")
}

// mineDevice tells of a device in the words of whoever carries it.
func (s *Server) mineDevice(d posture.Detail) mineDevice {
	v := mineDevice{
		ID: string(d.Device.ID), Anchor: "device-" + string(d.Device.ID), Name: nameOf(d.Device), What: strings.Join(filled(d.Device.Model, platformName(d.Device.Platform)+" "+d.Device.OSVersion), " · "),
		Personal: d.Device.Ownership == ward.Personal, Seen: at(d.Enrolment.LastSeen, s.Now()), Fate: fate(d),
		Managed: d.Enrolment.State == ward.EnrolmentActive,
	}
	v.Tag = mineTag(d.Assessment.State)
	for _, f := range d.Assessment.Findings {
		if words, ok := plainly(d, f); ok {
			v.Findings = append(v.Findings, words)
		}
	}
	if v.Managed {
		v.Sees, v.Does, v.Never = privacyOf(d)
		v.Does = unique(v.Does)
	}
	switch {
	case d.View.Case != nil:
		v.Case = reference(d.View.Case.ID)
	case v.Managed:
		v.Lost = "/mine/" + string(d.Device.ID) + "/lost"
	}
	return v
}

// mineTag is the state of a device for whoever carries it.
func mineTag(st compliance.State) tag {
	switch st {
	case compliance.Compliant:
		return tag{"All is well", "good", "check"}
	case compliance.Pending:
		return tag{"Being set up", "info", "clock"}
	case compliance.InGrace:
		return tag{"Needs you soon", "warn", "clock"}
	case compliance.NonCompliant:
		return tag{"Needs you", "bad", "alert"}
	case compliance.Unknown:
		return tag{"Not heard from", "warn", "question"}
	case compliance.Lost:
		return tag{"Reported lost", "lost", "pin"}
	case compliance.Retired:
		return tag{"Not managed any more", "quiet", "gone"}
	}
	return tag{string(st), "quiet", "question"}
}

// acknowledge is POST /mine/acknowledge.
func (s *Server) acknowledge(w http.ResponseWriter, r *http.Request) error {
	v, text, err := s.mineView(r)
	if err != nil {
		return err
	}
	if text == "" {
		return ward.Errorf(ward.NotFound, "There is no notice to acknowledge.")
	}
	if err := s.Operate.Notices.Acknowledge(r.Context(), v.Email, field(r, "version"), text); err != nil {
		return again(s, w, r, s.pages.mine, v, err, "notice")
	}
	s.flash(r, "Thank you. It is noted that you have read it.")
	return see(w, r, "/mine")
}

// mineLostPage is the form on which staff report their own device.
type mineLostPage struct {
	Page
	Name, Fate, Address string
	Loss                lossForm
}

// ownDevice finds the device of the address among the reader's own.
func (s *Server) ownDevice(r *http.Request) (*mineLostPage, posture.Detail, error) {
	none := ward.Errorf(ward.NotFound, "You have no such device.")
	email, err := s.owner(r)
	if err != nil {
		return nil, posture.Detail{}, err
	}
	if email == "" {
		return nil, posture.Detail{}, none
	}
	own, err := s.Operate.Own(ward.Unbounded(r.Context()), email) // wherever they are
	if err != nil {
		return nil, posture.Detail{}, err
	}
	for _, d := range own {
		if string(d.ID) != r.PathValue("id") {
			continue
		}
		shown, err := s.Posture.Show(ward.Unbounded(r.Context()), string(d.ID))
		if err != nil {
			return nil, shown, err
		}
		v := &mineLostPage{
			Page: Page{Title: "Report " + nameOf(d) + " lost", Section: "mine", Narrow: true, Backlink: "/mine", Backname: "My devices"},
			Name: nameOf(d), Fate: fate(shown), Address: "/mine/" + string(d.ID) + "/lost", Loss: s.newLoss(false),
		}
		return v, shown, nil
	}
	return nil, posture.Detail{}, none
}

// mineLostForm is GET /mine/{id}/lost.
func (s *Server) mineLostForm(w http.ResponseWriter, r *http.Request) error {
	v, d, err := s.ownDevice(r)
	if err != nil {
		return err
	}
	if d.View.Case != nil {
		s.flash(r, "It is reported already. Its reference is %s.", reference(d.View.Case.ID))
		return see(w, r, "/mine")
	}
	return render(s, w, r, http.StatusOK, s.pages.mineLost, v)
}

// mineLost reports it: POST /mine/{id}/lost. That its own holder does is noted in the case.
func (s *Server) mineLost(w http.ResponseWriter, r *http.Request) error {
	v, d, err := s.ownDevice(r)
	if err != nil {
		return err
	}
	var q lost.Report
	if v.Loss, q, err = s.readLoss(r, false); err != nil {
		return again(s, w, r, s.pages.mineLost, v, err, "when")
	}
	q.Devices = []ward.DeviceID{d.Device.ID}
	cases, err := s.Lost.Report(ward.Unbounded(r.Context()), q) // one's own, wherever it is
	if err != nil {
		return again(s, w, r, s.pages.mineLost, v, err, "")
	}
	told := &toldPage{Page: Page{Title: "You have reported it", Section: "mine", Narrow: true, Backlink: "/mine", Backname: "My devices"}}
	if told.Call, err = s.lostNumber(r); err != nil {
		return err
	}
	for _, c := range cases {
		told.Cases = append(told.Cases, toldCase{v.Name, reference(c.ID), v.Fate})
	}
	return render(s, w, r, http.StatusOK, s.pages.told, told)
}

// unique drops what stands in a list already.
func unique(all []string) (out []string) {
	for _, s := range all {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
