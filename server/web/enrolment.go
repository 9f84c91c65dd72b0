package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/report"
)

// invitationsListed is how many invitations stand on one page, invitationsExported how many
// a file holds at most.
const (
	invitationsListed   = 50
	invitationsExported = 50000
)

type enrolmentPage struct {
	Page
	Head   pageHead
	Tabs   []tabView
	Search string
	State  string
	Table  tableView
}

// invitationTag is the state of an invitation.
func invitationTag(s enrollment.State) tag {
	switch s {
	case enrollment.Open:
		return tag{"Open", "info", "clock"}
	case enrollment.Used:
		return tag{"Used", "good", "check"}
	case enrollment.Expired:
		return tag{"Expired", "warn", "clock"}
	case enrollment.Revoked:
		return tag{"Revoked", "quiet", "gone"}
	}
	return tag{string(s), "quiet", "question"}
}

// invitationStates are the states in the order of the tabs.
var invitationStates = []enrollment.State{enrollment.Open, enrollment.Used, enrollment.Expired, enrollment.Revoked}

// enrolment lists invitations: GET /enrolment?state=&q=&before=.
func (s *Server) enrolment(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := enrollment.Filter{State: enrollment.State(q.Get("state")), Search: q.Get("q"), Before: q.Get("before"), Limit: invitationsListed}
	if f.State != "" && invitationTag(f.State).Icon == "question" {
		return ward.Errorf(ward.NotFound, "There is no state %q of invitations.", string(f.State))
	}
	done, err := s.export(w, r, func() (report.Table, error) { return s.allInvitations(r.Context(), f) }) //nolint:contextcheck // the rows are read in the context of the request
	if done || err != nil {
		return err
	}
	counts, err := s.Operate.Invitations.Counts(r.Context(), f)
	if err != nil {
		return err
	}
	list, err := s.Operate.Invitations.Search(r.Context(), f)
	if err != nil {
		return err
	}
	address := func(state enrollment.State, before string) string {
		return addressWith("/enrolment", "state", string(state), "q", f.Search, "before", before)
	}
	v := &enrolmentPage{
		Page: Page{Title: "Enrolment", Section: "enrolment"}, Search: f.Search, State: string(f.State),
		Head:  pageHead{Title: "Enrolment", Caption: "Who was invited to enrol a device, and what became of it.", Exports: exportable(r, address(f.State, ""))},
		Table: tableOf(s.invitationsTable(f, list), s.Now()),
	}
	all := 0
	for _, state := range invitationStates {
		t := invitationTag(state)
		v.Tabs = append(v.Tabs, tabView{Text: t.Text, Href: address(state, ""), Current: f.State == state, Count: counts[state], Counted: true, Tag: &t})
		all += counts[state]
	}
	v.Tabs = append([]tabView{{Text: "All", Href: address("", ""), Current: f.State == "", Count: all, Counted: true}}, v.Tabs...)
	v.Table.Total = all
	if f.State != "" {
		v.Table.Total = counts[f.State]
	}
	if len(list) == invitationsListed {
		v.Table.Next = address(f.State, list[len(list)-1].ID)
	}
	if f.Before != "" {
		v.Table.First = address(f.State, "")
	}
	s.inviteActions(r, v, f.Search != "" || f.State != "")
	return render(s, w, r, http.StatusOK, s.pages.enrolment, v)
}

// inviteActions says what can be done, and what an empty list means.
func (s *Server) inviteActions(r *http.Request, v *enrolmentPage, filtered bool) {
	may := access.Allows(ward.ActorFrom(r.Context()), access.InviteCreate)
	if may {
		v.Head.Actions = []action{{Text: "Import a list", Href: "/enrolment/import"}, {Text: "Invite", Href: "/enrolment/new", Primary: true}}
	}
	v.Table.Empty = emptyView{Title: "Nobody was invited yet", Text: []string{"An invitation is a link, or its QR code, by which one device enrols once."}}
	if filtered {
		v.Table.Empty = emptyView{Title: "No invitation matches", Text: []string{"Look under another state, or search for less."}, Action: &action{Text: "Show all", Href: "/enrolment"}}
	} else if may {
		v.Table.Empty.Action = &action{Text: "Invite somebody", Href: "/enrolment/new", Primary: true}
	}
}

// allInvitations reads every invitation meant.
func (s *Server) allInvitations(ctx context.Context, f enrollment.Filter) (report.Table, error) {
	f.Before, f.Limit = "", 200
	var all []enrollment.Invitation
	for {
		list, err := s.Operate.Invitations.Search(ctx, f)
		if err != nil {
			return report.Table{}, err
		}
		if all = append(all, list...); len(list) < f.Limit || len(all) >= invitationsExported {
			return s.invitationsTable(f, all), nil
		}
		f.Before = list[len(list)-1].ID
	}
}

// invitationsTable is the list of invitations.
func (s *Server) invitationsTable(f enrollment.Filter, list []enrollment.Invitation) report.Table {
	now := s.Now()
	t := report.Table{
		Name: "invitations", Title: "Invitations, the newest first", AsOf: now,
		Columns: []report.Column{
			{Head: "State", Kind: report.State, Share: 12},
			{Head: "For", Share: 18},
			{Head: "Device", Share: 18},
			{Head: "Whose", Share: 10},
			{Head: "Ward", Share: 10},
			{Head: "Site", Share: 10},
			{Head: "Made by", Share: 12},
			{Head: "Made", Kind: report.Time, Share: 10},
			{Head: "Until", Kind: report.Time, Share: 10},
		},
	}
	if f.State != "" {
		t.Says = append(t.Says, string(f.State))
	}
	if f.Search != "" {
		t.Says = append(t.Says, "with “"+f.Search+"”")
	}
	for _, i := range list {
		st := invitationTag(i.State(now))
		until := i.Expires
		if !i.Used.IsZero() {
			until = i.Used
		} else if !i.Revoked.IsZero() {
			until = i.Revoked
		}
		device := report.Cell{Text: cmp.Or(i.DeviceName, i.Serial)}
		if !i.Used.IsZero() {
			device.Href = deviceAddress(i.Device)
		}
		t.Rows = append(t.Rows, []report.Cell{
			{Text: st.Text, Tone: st.Tone, Icon: st.Icon},
			{Text: i.Name, Href: invitationAddress(i.ID)},
			device,
			{Text: ownershipName(i.Ownership)},
			{Text: i.Group},
			{Text: i.Site},
			{Text: i.CreatedBy},
			{Time: i.Created},
			{Time: until},
		})
	}
	return t
}

func invitationAddress(id string) string { return "/enrolment/" + url.PathEscape(id) }

// exportable is an address of which the reader may take a file away, empty if they may not.
func exportable(r *http.Request, address string) string {
	if !access.Allows(ward.ActorFrom(r.Context()), access.ExportMake) {
		return ""
	}
	return address
}

// addressWith is an address with those of the pairs of keys and values that are not empty.
func addressWith(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

type invitationPage struct {
	Page
	Head   pageHead
	Facts  []factView
	Revoke bool
	Again  bool
	Link   string
	Href   string // address of this page
}

// invitation shows one: GET /enrolment/{id}.
func (s *Server) invitation(w http.ResponseWriter, r *http.Request) error {
	v, err := s.invitationView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.invitation, v)
}

func (s *Server) invitationView(r *http.Request) (*invitationPage, error) {
	i, err := s.Operate.Invitations.Invitation(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	now := s.Now()
	state := i.State(now)
	t := invitationTag(state)
	may := access.Allows(ward.ActorFrom(r.Context()), access.InviteCreate)
	v := &invitationPage{
		Page: Page{Title: "Invitation for " + i.Name, Section: "enrolment", Backlink: "/enrolment", Backname: "Enrolment", Narrow: true},
		Head: pageHead{Title: "Invitation for " + i.Name, Tag: &t}, Href: invitationAddress(i.ID),
		Revoke: may && state == enrollment.Open, Again: may && state != enrollment.Used,
	}
	fact := func(label, value string) {
		if value != "" {
			v.Facts = append(v.Facts, factView{Label: label, Value: value})
		}
	}
	fact("E-mail", i.Email)
	device := factView{Label: "Device", Value: cmp.Or(i.DeviceName, string(i.Device))}
	if i.Device != "" {
		device.Href = deviceAddress(i.Device)
	}
	v.Facts = append(v.Facts, device)
	fact("Serial number", i.Serial)
	fact("Whose", ownershipName(i.Ownership))
	fact("Platform", platformName(i.Platform))
	fact("Ward or team", i.Group)
	fact("Site", i.Site)
	fact("Staff role", i.Role)
	fact("Made", at(i.Created, now).Exact+" by "+cmp.Or(i.CreatedBy, "Ward"))
	switch state {
	case enrollment.Used:
		fact("Used", at(i.Used, now).Exact)
	case enrollment.Revoked:
		fact("Revoked", at(i.Revoked, now).Exact)
	case enrollment.Open, enrollment.Expired:
	}
	fact("Works until", at(i.Expires, now).Exact)
	return v, nil
}

// revokeInvitation is POST /enrolment/{id}/revoke.
func (s *Server) revokeInvitation(w http.ResponseWriter, r *http.Request) error {
	i, err := s.Operate.Invitations.Revoke(r.Context(), r.PathValue("id"))
	if err != nil {
		return s.invitationWrong(w, r, err)
	}
	s.flash(r, "The invitation for %s is revoked: its link no longer works.", i.Name)
	return see(w, r, invitationAddress(i.ID))
}

// inviteAgain makes a new link in the place of the old: POST /enrolment/{id}/again.
func (s *Server) inviteAgain(w http.ResponseWriter, r *http.Request) error {
	made, err := s.Operate.Invitations.Renew(r.Context(), r.PathValue("id"))
	if err != nil {
		return s.invitationWrong(w, r, err)
	}
	return s.showMade(w, r, []enrollment.Invited{made})
}

func (s *Server) invitationWrong(w http.ResponseWriter, r *http.Request, err error) error {
	if ward.KindOf(err) == ward.NotFound {
		return err
	}
	v, e := s.invitationView(r)
	if e != nil {
		return e
	}
	return again(s, w, r, s.pages.invitation, v, err, "")
}
