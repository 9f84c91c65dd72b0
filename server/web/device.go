package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/posture"
)

// recent is how many commands a device's page shows before one asks for the others.
const recent = 12

type devicePage struct {
	Page
	Address    string // of this page
	ID         string
	Device     string
	Line       []string // what it is, in a few words
	Tag        tag
	AsOf       moment
	Deeds      deeds
	Case       *caseView
	Findings   []findingView
	Limits     []limitView
	About      []fact
	Apps       []holding
	Profiles   []holding
	Certs      []holding
	Identities []holding // certificates
	ShowQueue  bool
	Commands   []commandView
	Earlier    []commandView
	Enrolments []enrolmentView
}

// deeds are what the reader may do here and now.
type deeds struct {
	Lost, Found, Lock, Refresh, Restart, Order, Code, PIN bool
	NoErase                                               string // why an erase is not offered to one who could ask for it
}

// Any reports whether there is a deed to show.
func (d deeds) Any() bool {
	return d.Lost || d.Found || d.Lock || d.Refresh || d.Restart || d.Order || d.Code || d.PIN
}

type findingView struct {
	Tag   tag
	Text  string
	Cure  string
	Since moment
}

type limitView struct {
	Tag       tag
	Intent    string
	Why, Cure string
	// By is what carries it and from which version, in the platform's own words.
	By string
}

type fact struct {
	Name  string
	Value string
	When  moment // when it was true; none for what does not change
}

// holding is a thing that a device has or should have.
type holding struct {
	Tag  tag
	Name string
	Note string
}

type commandView struct {
	Tag   tag
	Name  string
	By    string
	Epoch int64
	Asked moment
	Words string
}

type enrolmentView struct {
	Tag      tag
	Epoch    int64
	Kind     string
	Rights   string
	Enrolled moment
	Ended    moment
	Reason   string
	Seen     moment
}

type caseView struct {
	Href     string
	Kind     string
	By       string
	Reported moment
	Where    string
	Unlocked string
	Note     string
	Timeline []eventView
}

type eventView struct {
	At   moment
	Text string
	By   string
}

// device shows one device: GET /devices/{id}. Any other name that means one device
// leads to its address.
func (s *Server) device(w http.ResponseWriter, r *http.Request) error {
	d, err := s.Posture.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if to := deviceAddress(d.Device.ID); string(d.Device.ID) != r.PathValue("id") {
		return see(w, r, to)
	}
	v, err := s.deviceView(r.Context(), d)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.device, v)
}

func (s *Server) deviceView(ctx context.Context, d posture.Detail) (*devicePage, error) {
	now := s.Now()
	v := &devicePage{
		Page:    Page{Title: nameOf(d.Device), Section: "devices", Backlink: "/devices", Backname: "Devices"},
		Address: deviceAddress(d.Device.ID), ID: string(d.Device.ID), Device: nameOf(d.Device), Tag: stateTag(d.Assessment.State), AsOf: at(now, now),
	}
	for _, w := range []string{d.Device.Owner, d.Device.Group, ownershipName(d.Device.Ownership), d.Device.Model, osOf(d.Device)} {
		if w != "" {
			v.Line = append(v.Line, w)
		}
	}
	for _, f := range d.Assessment.Findings {
		since := at(f.Since, now)
		if strings.Contains(f.Text, compliance.Stamp(f.Since)) {
			since = moment{} // it says so itself
		}
		v.Findings = append(v.Findings, findingView{stateTag(f.State), sentence(f.Text), f.Cure, since})
	}
	for _, l := range d.Limits {
		v.Limits = append(v.Limits, limitView{verdictTag(l.Verdict), l.Intent, l.Why, l.Cure, mechanism(l)})
	}
	v.About = about(d, now)
	v.Apps, v.Certs = apps(d, now), certificates(d, now)
	v.Apps = append(v.Apps, blockedApps(d, now)...)
	v.Profiles = installed(d)
	v.Enrolments = enrolments(d.Enrolments, now)
	v.Deeds = deedsOf(ward.ActorFrom(ctx), d)
	people := s.people(ctx)
	var err error
	if v.Case, err = s.caseView(ctx, d); err != nil {
		return nil, err
	}
	if v.Identities, err = s.identities(ctx, d.Device.ID, now); err != nil {
		return nil, err
	}
	if v.ShowQueue = access.Allows(ward.ActorFrom(ctx), access.CommandRead); !v.ShowQueue {
		return v, nil
	}
	all, err := commands(d, people, now)
	if err != nil {
		return nil, err
	}
	n := min(recent, len(all))
	v.Commands, v.Earlier = all[:n], all[n:]
	return v, nil
}

// sentence makes a text begin like one.
func sentence(s string) string {
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// deedsOf says what the actor may do to a device in the state it is in.
func deedsOf(a ward.Actor, d posture.Detail) deeds {
	open, active := d.View.Case != nil, d.Enrolment.State == ward.EnrolmentActive
	may := func(p access.Permission) bool { return access.Allows(a, p) }
	out := deeds{
		Lost: may(access.DeviceLost) && !open && d.Device.State != ward.Invited, Found: may(access.DeviceLost) && open,
		Lock: may(access.DeviceLock) && active && !open, Refresh: may(access.DeviceRefresh) && active,
		Restart: may(access.DeviceLock) && active && d.Device.Ownership == ward.Corporate, Order: may(access.OrderRequest) && active && d.Device.State != ward.Erased,
		Code: may(access.DeviceLost) && d.Device.State != ward.Erased, PIN: may(access.PINRead) && d.Device.Platform == ward.MacOS,
	}
	if !may(access.OrderRequest) || !active || d.Device.State == ward.Erased {
		return out
	}
	switch {
	case d.Device.Ownership == ward.Personal:
		out.NoErase = "A personal phone is never erased. Reported lost, it is locked and its management removed, with the work apps and their data."
	case !d.Enrolment.Rights.Has(ward.RightErase):
		out.NoErase = "This phone was enrolled without the right to erase it, and would refuse."
	}
	return out
}

func about(d posture.Detail, now time.Time) []fact {
	dev := d.Device
	out := []fact{
		{Name: "Serial number", Value: cmp.Or(dev.Serial, "Not told yet")},
		{Name: "Model", Value: cmp.Or(dev.Model, "Not told yet")},
		{Name: "System", Value: osOf(dev)},
		{Name: "Owner", Value: cmp.Or(dev.Owner, "Shared")},
		{Name: "Group", Value: cmp.Or(dev.Group, "None")},
		{Name: "Site", Value: cmp.Or(dev.Site, "None")},
		{Name: "Staff role", Value: cmp.Or(dev.Role, "None")},
		{Name: "Ownership", Value: ownershipName(dev.Ownership)},
		{Name: "Supervision", Value: supervisionName(d.Supervised)},
	}
	if d.Enrolment.ID != "" {
		out = append(out, fact{Name: "UDID", Value: d.Enrolment.Channel}, fact{Name: "Last seen", Value: at(d.Enrolment.LastSeen, now).Exact})
	}
	if i := d.View.Got.Information; i != nil && i.Value.Battery > 0 {
		out = append(out, fact{"Battery", fmt.Sprintf("%.0f%%", i.Value.Battery*100), at(i.At, now)})
	}
	if sec := d.View.Got.Security; sec != nil {
		out = append(out, fact{"Passcode", answer(sec.Value.PasscodePresent, "Set", "Not set"), at(sec.At, now)}, fact{"Encryption", answer(sec.Value.Encrypted, "On", "Off"), at(sec.At, now)})
	}
	return out
}

func answer(b *bool, yes, no string) string {
	switch {
	case b == nil:
		return "Not told"
	case *b:
		return yes
	}
	return no
}

// people returns a function that names persons, each looked up once. No person is
// Ward itself.
func (s *Server) people(ctx context.Context) func(ward.PersonID) (string, error) {
	names := map[ward.PersonID]string{"": "Ward"}
	return func(id ward.PersonID) (string, error) {
		if n, ok := names[id]; ok {
			return n, nil
		}
		p, err := s.Access.Person(ctx, id)
		if ward.KindOf(err) == ward.NotFound {
			p.Name, err = string(id), nil
		}
		names[id] = p.Name
		return p.Name, err
	}
}

func (s *Server) caseView(ctx context.Context, d posture.Detail) (*caseView, error) {
	if d.View.Case == nil {
		return nil, nil
	}
	c, err := s.Lost.Case(ctx, d.View.Case.ID)
	if err != nil {
		return nil, err
	}
	events, err := s.Lost.Timeline(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	v := &caseView{Href: caseAddress(c.ID), Kind: string(c.Kind), By: cmp.Or(c.ReportedName, "Ward"), Reported: at(c.Reported, now), Where: c.LastSeenWhere, Note: c.Note}
	switch c.WasUnlocked {
	case lost.Yes:
		v.Unlocked = "It was unlocked"
	case lost.No:
		v.Unlocked = "It was locked"
	}
	for _, e := range events {
		v.Timeline = append(v.Timeline, eventView{at(e.At, now), e.Text, e.Name})
	}
	return v, nil
}

// mechanism says what carries an intent, and from which version; "" where nothing does.
func mechanism(l intent.Outcome) string {
	if l.Mechanism == "" || l.Since == "" {
		return l.Mechanism
	}
	return l.Mechanism + ", from " + l.Since
}
