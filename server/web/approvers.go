package web

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/report"
)

type approversPage struct {
	Page
	Rows     []approverRow
	Standing int
	Pending  []string // ids of those who wait for the operator, while there are no founders
	Glass    moment   // when the sealed key was made
	Invite   bool     // the reader may invite
	People   []personChoice
	Person   string // typed
	Subject  string
	Outside  bool
	Ending   string // the id of whom the form for the end is shown
	Note     string
}

type approverRow struct {
	ID, Name, Subject string
	Check             string // the beginning of the statement's hash, to compare by eye
	Outside           bool
	Tag               tag
	Words             string
	At                moment
	Mine              bool
	Vouch             string // address; empty if the reader can't
	End               bool
	NoRole            bool // stands, but the account lacks the role
}

type personChoice struct {
	ID, Name, Email string
	Current         bool
}

// approvers lists who may sign orders: GET /approvers.
func (s *Server) approvers(w http.ResponseWriter, r *http.Request) error {
	if done, err := s.export(w, r, func() (report.Table, error) { return s.approversTable(r.Context()) }); done || err != nil {
		return err
	}
	v, err := s.approversView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.approvers, v)
}

func (s *Server) approversView(r *http.Request) (*approversPage, error) {
	ctx := r.Context()
	a := ward.ActorFrom(ctx)
	v := &approversPage{Page: Page{Title: "Approvers", Section: "approvers", Exports: "/approvers"}, Invite: access.Allows(a, access.ApproverInvite)}
	all, err := s.Approvers.List(ctx)
	if err != nil {
		return nil, err
	}
	me := slices.IndexFunc(all, func(x approver.Standing) bool { return x.State == approver.Stands && x.Person == a.Person })
	for _, x := range all {
		row, err := s.approverRow(r, x, all, me)
		if err != nil {
			return nil, err
		}
		if x.State == approver.Stands {
			v.Standing++
		}
		v.Rows = append(v.Rows, row)
	}
	if v.Standing < approver.Quorum {
		for _, x := range all {
			if x.State == approver.Pending {
				v.Pending = append(v.Pending, x.ID)
			}
		}
	}
	g, ok, err := s.Approvers.Glass(ctx)
	if err != nil {
		return nil, err
	}
	if ok {
		v.Glass = at(g.At, s.Now())
	}
	if !v.Invite {
		return v, nil
	}
	people, err := s.Access.People(ctx, "", 500)
	if err != nil {
		return nil, err
	}
	for _, p := range people {
		if p.DisabledAt.IsZero() {
			v.People = append(v.People, personChoice{ID: string(p.ID), Name: p.Name, Email: p.Email})
		}
	}
	return v, nil
}

func (s *Server) approverRow(r *http.Request, x approver.Standing, all []approver.Standing, me int) (approverRow, error) {
	now := s.Now()
	row := approverRow{ID: x.ID, Check: short(x.Hash), Name: x.Name, Subject: x.Subject, Outside: x.Outside, At: at(x.At, now), Mine: x.Person == ward.ActorFrom(r.Context()).Person}
	row.End = x.State != approver.Ended && access.Allows(ward.ActorFrom(r.Context()), access.ApproverInvite)
	names := func(ids []string) string {
		var out []string
		for _, y := range all {
			if slices.Contains(ids, y.ID) {
				out = append(out, y.Name)
			}
		}
		return strings.Join(out, " and ")
	}
	switch x.State {
	case approver.Stands:
		row.Tag, row.Words = tag{"Standing", "good", "check"}, "Vouched for by "+names(x.By)
		if x.Founder {
			row.Words = "Trusted by the operator at the server’s console"
		}
		p, err := s.Access.Person(r.Context(), x.Person)
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return row, err
		}
		row.NoRole = !slices.Contains(p.Roles, ward.RoleApprover)
	case approver.Pending:
		row.Tag, row.Words = tag{fmt.Sprintf("Waits for %s", plural(x.Needs, "vouch")), "warn", "clock"}, "Nobody has vouched for them yet"
		if x.Needs == 2 {
			row.Tag.Text = "Waits for 2 vouches"
		}
		if len(x.By) > 0 {
			row.Words = "Vouched for by " + names(x.By)
		}
		if me >= 0 && !row.Mine && !slices.Contains(x.By, all[me].ID) && all[me].Subject != x.Subject {
			row.Vouch = "/approvers/" + url.PathEscape(x.ID) + "/vouch"
		}
	case approver.Ended:
		row.Tag, row.Words = tag{"Ended", "quiet", "gone"}, "Ended "+at(x.Ended, now).Exact+" by "+x.EndedBy+". What they signed before stays good"
	case approver.Unproven:
		row.Tag, row.Words = tag{"Not proven", "bad", "alert"}, "The record was altered, or nobody who may has vouched for it: it signs nothing. Tell the operator"
	}
	return row, nil
}

type invitedPage struct {
	Page
	Person string
	Link   string
	NoRole bool
}

// inviteApprover makes a one-time link: POST /approvers.
func (s *Server) inviteApprover(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	id, subject, outside := ward.PersonID(field(r, "person")), field(r, "subject"), field(r, "outside") != ""
	p, err := s.Access.Person(ctx, id)
	wrong := "person"
	if ward.KindOf(err) == ward.NotFound {
		err = ward.Errorf(ward.Invalid, "Choose whom you invite.")
	}
	var secret string
	if err == nil {
		if subject == "" {
			subject = p.Email
		}
		wrong = "subject"
		secret, err = s.Approvers.Invite(ctx, p.ID, subject, outside)
	}
	if err != nil {
		v, e := s.approversView(r)
		if e != nil {
			return e
		}
		v.Subject, v.Outside = field(r, "subject"), outside
		for i := range v.People {
			v.People[i].Current = v.People[i].ID == string(id)
		}
		return again(s, w, r, s.pages.approvers, v, err, wrong)
	}
	v := &invitedPage{
		Page:   Page{Title: "Invitation for " + p.Name, Section: "approvers", Narrow: true, Backlink: "/approvers", Backname: "Approvers"},
		Person: p.Name, Link: s.address(r) + "/approver/" + secret, NoRole: !slices.Contains(p.Roles, ward.RoleApprover),
	}
	return render(s, w, r, http.StatusOK, s.pages.invited, v)
}

type registerPage struct {
	Page
	Address string
	Ask     string // what the browser gives to the passkey, JSON
	Broken  string // why the link does not work for the reader
	Person  string
}

// registerForm is GET /approver/{secret}.
func (s *Server) registerForm(w http.ResponseWriter, r *http.Request) error {
	v := &registerPage{Page: Page{Title: "Become an approver", Narrow: true}, Person: ward.ActorFrom(r.Context()).Name}
	options, err := s.Approvers.BeginRegister(r.Context(), r.PathValue("secret"))
	if k := ward.KindOf(err); k == ward.Forbidden || k == ward.NotFound || k == ward.Conflict {
		v.Title = "This link does not work"
		v.Broken = message(err)
		return render(s, w, r, http.StatusForbidden, s.pages.register, v)
	}
	if err != nil {
		return err
	}
	v.Ask, v.Address = string(options), "/approver/"+url.PathEscape(r.PathValue("secret"))
	return render(s, w, r, http.StatusOK, s.pages.register, v)
}

// register takes the passkey: POST /approver/{secret}.
func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	response := field(r, "response")
	if response == "" {
		return s.registerAgain(w, r, ward.Errorf(ward.Invalid, "No passkey was made, so nothing was done. It takes a browser with scripts switched on."))
	}
	a, err := s.Approvers.FinishRegister(r.Context(), r.PathValue("secret"), []byte(response))
	if err != nil {
		return s.registerAgain(w, r, err)
	}
	said := "Your passkey is registered. You can sign once two approvers have vouched for you, or the operator trusts you as one of the first two. Write down how your statement begins, " + short(a.Hash) + ": whoever vouches for you compares it."
	if !access.Allows(ward.ActorFrom(r.Context()), access.ApproverRead) {
		s.flash(r, "%s", said)
		return see(w, r, "/")
	}
	s.flash(r, "%s Your record is %s.", said, a.ID)
	return see(w, r, "/approvers")
}

// registerAgain asks anew, and says what was wrong.
func (s *Server) registerAgain(w http.ResponseWriter, r *http.Request, why error) error {
	p, err := problemOf(why, "")
	if err != nil {
		return err
	}
	v := &registerPage{Page: Page{Title: "Become an approver", Narrow: true, Problem: p}, Person: ward.ActorFrom(r.Context()).Name, Address: "/approver/" + url.PathEscape(r.PathValue("secret"))}
	options, err := s.Approvers.BeginRegister(r.Context(), r.PathValue("secret"))
	if err != nil {
		v.Broken = message(err)
	}
	v.Ask = string(options)
	return render(s, w, r, p.status, s.pages.register, v)
}

type vouchPage struct {
	Page
	Address string
	Ask     string
	Whom    string
	Subject string
	Outside bool
	At      moment
	Short   string
}

// vouchForm asks the reader's passkey: POST /approvers/{id}/vouch without an answer.
func (s *Server) vouchForm(w http.ResponseWriter, r *http.Request, p *problem) error {
	all, err := s.Approvers.List(r.Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(x approver.Standing) bool { return x.ID == r.PathValue("id") })
	if i < 0 {
		return ward.Errorf(ward.NotFound, "There is no approver %s.", r.PathValue("id"))
	}
	x := all[i]
	options, err := s.Approvers.Begin(r.Context(), approver.ForApprover, x.Hash)
	if err != nil {
		return err
	}
	v := &vouchPage{
		Page:    Page{Title: "Vouch for " + x.Name, Section: "approvers", Narrow: true, Backlink: "/approvers", Backname: "Approvers", Problem: p},
		Address: "/approvers/" + url.PathEscape(x.ID) + "/vouch", Ask: string(options), Whom: x.Name, Subject: x.Subject, Outside: x.Outside, At: at(x.At, s.Now()), Short: short(x.Hash),
	}
	status := http.StatusOK
	if p != nil {
		status = p.status
	}
	return render(s, w, r, status, s.pages.vouch, v)
}

func (s *Server) vouch(w http.ResponseWriter, r *http.Request) error {
	response := field(r, "response")
	if response == "" {
		return s.vouchForm(w, r, nil)
	}
	a, err := s.Approvers.Vouch(r.Context(), r.PathValue("id"), []byte(response))
	if err != nil {
		p, err := problemOf(err, "")
		if err != nil {
			return err
		}
		return s.vouchForm(w, r, p)
	}
	s.flash(r, "You have vouched for %s.", a.Name)
	return see(w, r, "/approvers")
}

func (s *Server) endApprover(w http.ResponseWriter, r *http.Request) error {
	if err := s.Approvers.End(r.Context(), r.PathValue("id"), field(r, "note")); err != nil {
		v, e := s.approversView(r)
		if e != nil {
			return e
		}
		v.Ending, v.Note = r.PathValue("id"), field(r, "note")
		return again(s, w, r, s.pages.approvers, v, err, "end-"+r.PathValue("id"))
	}
	s.flash(r, "Ended. What they signed before stays good, and nothing after.")
	return see(w, r, "/approvers")
}

// address is where people reach the pages.
func (s *Server) address(r *http.Request) string {
	if s.PublicURL != "" {
		return strings.TrimRight(s.PublicURL, "/")
	}
	scheme := "http"
	if s.Secure || r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
