package web

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/posture"
)

type devicePage struct {
	Page
	Head       pageHead
	Address    string // of this page
	ID         string
	Past       *noteView // it is shown as it was
	Deeds      deeds
	Place      *formView // moves it; nil where the reader may not
	Case       *caseView
	Findings   []findingView
	Limits     []limitView
	About      []fact
	Told       string // what is known of its apps, and what not
	Apps       []holding
	Profiles   []holding
	Certs      []holding
	Identities []holding // certificates
	Enrolments []enrolmentView
	Line       timeline
}

// deeds are what the reader may do here and now.
type deeds struct {
	Lost, Found, Lock, Refresh, Restart, Order, Code, PIN, Place bool
	NoErase                                                      string // why an erase is not offered to one who could ask for it
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
	Until moment // when its grace ends
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

// device shows one device: GET /devices/{id}?as_of=&kind=&from=. Any other name that means
// one device leads to its address.
func (s *Server) device(w http.ResponseWriter, r *http.Request) error {
	d, err := s.Posture.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if to := deviceAddress(d.Device.ID); string(d.Device.ID) != r.PathValue("id") {
		return see(w, r, address(to, r.URL.Query()))
	}
	v, err := s.deviceView(r, d)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.device, v)
}

func (s *Server) deviceView(r *http.Request, d posture.Detail) (*devicePage, error) {
	ctx, now := r.Context(), s.Now()
	v := &devicePage{
		Page:    Page{Title: nameOf(d.Device), Section: "devices", Backlink: "/devices", Backname: "Devices"},
		Address: deviceAddress(d.Device.ID), ID: string(d.Device.ID),
	}
	f, err := estate.ParseFilter(r.URL.Query())
	if err != nil {
		return nil, err
	}
	if !f.AsOf.IsZero() && f.AsOf.Before(now) {
		return v, s.deviceThen(r, v, d, f.AsOf)
	}
	st := stateTag(d.Assessment.State)
	v.Head = pageHead{Title: v.Title, Tag: &st, Caption: lineOfDevice(d, now), AsOf: at(now, now)}
	v.Live = "/events"
	for _, x := range d.Assessment.Findings {
		v.Findings = append(v.Findings, findingOf(x, now))
	}
	v.Limits = limitViews(d.Limits)
	v.About, v.Profiles, v.Enrolments = about(d, now), installed(d), enrolments(d.Enrolments, now)
	v.Deeds = deedsOf(ward.ActorFrom(ctx), d)
	if v.Deeds.Place {
		v.Place = placeForm(d.Device)
	}
	if v.Apps, v.Told, err = s.appsOn(ctx, d, now); err != nil {
		return nil, err
	}
	v.Certs = certificates(d, now)
	if v.Case, err = s.caseView(ctx, d); err != nil {
		return nil, err
	}
	if v.Identities, err = s.identities(ctx, d.Device.ID, now); err != nil {
		return nil, err
	}
	v.Line, err = s.timelineOf(r, d)
	return v, err
}

// lineOfDevice says in a line what a device is, whose, where, and when it was heard from.
func lineOfDevice(d posture.Detail, now time.Time) string {
	words := []string{}
	for _, w := range []string{d.Device.Owner, d.Device.Group, d.Device.Site, ownershipName(d.Device.Ownership), d.Device.Model, osOf(d.Device)} {
		if w != "" {
			words = append(words, w)
		}
	}
	if !d.Enrolment.LastSeen.IsZero() {
		words = append(words, "last seen "+at(d.Enrolment.LastSeen, now).Ago)
	}
	return strings.Join(words, " · ")
}

func findingOf(f compliance.Finding, now time.Time) findingView {
	v := findingView{Tag: stateTag(f.State), Text: sentence(f.Text), Cure: f.Cure, Since: at(f.Since, now)}
	if strings.Contains(f.Text, compliance.Stamp(f.Since)) {
		v.Since = moment{} // it says so itself
	}
	if !f.Until.IsZero() {
		v.Until = at(f.Until, now)
	}
	return v
}

func limitViews(all []intent.Outcome) []limitView {
	out := make([]limitView, len(all))
	for i, l := range all {
		out[i] = limitView{verdictTag(l.Verdict), l.Intent, l.Why, l.Cure, mechanism(l)}
	}
	return out
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
		Code: may(access.DeviceLost) && d.Device.State != ward.Erased, PIN: may(access.PINRead) && d.Device.Platform == ward.MacOS, Place: may(access.DeviceWrite),
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
