package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/report"
)

// peoplePerPage is how many people a page lists.
const peoplePerPage = 100

type peoplePage struct {
	Page
	Head  pageHead
	Table tableView
}

// peopleTable lists people with what they may do and how they sign in.
func (s *Server) peopleTable(ctx context.Context, after ward.PersonID, limit int) (t report.Table, last ward.PersonID, err error) {
	t = report.Table{
		Name: "people", Title: "People", AsOf: s.Now(),
		Columns: []report.Column{
			{Head: "Name", Share: 20},
			{Head: "State", Kind: report.State, Share: 10},
			{Head: "Roles", Share: 20},
			{Head: "Bounded to", Share: 16},
			{Head: "Signs in by", Share: 16},
			{Head: "Last sign-in", Kind: report.Time, Share: 12},
		},
	}
	people, err := s.Access.People(ctx, after, limit)
	if err != nil {
		return t, "", err
	}
	ids := make([]ward.PersonID, len(people))
	for i, p := range people {
		ids[i] = p.ID
	}
	accounts, err := s.Accounts.SignIn.AccountsOf(ctx, ids...)
	if err != nil {
		return t, "", err
	}
	names, err := s.roleNames(ctx)
	if err != nil {
		return t, "", err
	}
	for _, p := range people {
		state := personTag(p)
		t.Rows = append(t.Rows, []report.Cell{
			{Text: p.Name, Href: personAddress(p.ID)},
			{Text: state.Text, Tone: state.Tone, Icon: state.Icon},
			{Text: names.of(p.Roles)},
			{Text: scopeWords(p.Scope)},
			{Text: accountWords(accounts[p.ID])},
			{Time: accounts[p.ID].Last},
		})
	}
	if len(people) == limit {
		last = people[len(people)-1].ID
	}
	return t, last, nil
}

func personTag(p access.Person) tag {
	switch {
	case !p.ErasedAt.IsZero():
		return tag{"Erased", "quiet", "gone"}
	case !p.DisabledAt.IsZero():
		return tag{"Disabled", "quiet", "gone"}
	case p.Activated.IsZero():
		return tag{"Invited", "info", "clock"}
	}
	return tag{"Active", "good", "check"}
}

func scopeWords(s ward.Scope) string {
	if b := access.Bounds(s); b != "" {
		return strings.ToUpper(b[:1]) + b[1:]
	}
	return "Nothing: everything"
}

// accountWords says by what somebody can sign in.
func accountWords(a access.Account) string {
	if !a.Local() {
		return strings.Join(a.Providers, ", ")
	}
	var out []string
	if a.App {
		out = append(out, "passphrase and code")
	}
	if a.Passkeys > 0 {
		out = append(out, "passkey")
	}
	if len(out) == 0 {
		return "Passphrase only"
	}
	words := strings.Join(out, ", ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// roleNames are the names of roles by their ids.
type roleNames map[ward.Role]string

func (s *Server) roleNames(ctx context.Context) (roleNames, error) {
	all, err := s.Access.Roles(ctx)
	out := roleNames{}
	for _, r := range all {
		out[r.ID] = r.Name
	}
	return out, err
}

func (n roleNames) of(roles []ward.Role) string {
	if len(roles) == 0 {
		return "None"
	}
	out := make([]string, len(roles))
	for i, r := range roles {
		out[i] = string(r)
		if name := n[r]; name != "" {
			out[i] = name
		}
	}
	return strings.Join(out, ", ")
}

// people lists who uses Ward: GET /settings/people?after=.
func (s *Server) peopleList(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	done, err := s.export(w, r, func() (all report.Table, err error) {
		for after := ward.PersonID(""); ; {
			t, last, err := s.peopleTable(ctx, after, 500)
			if err != nil {
				return all, err
			}
			t.Rows = append(all.Rows, t.Rows...)
			if all, after = t, last; last == "" {
				return all, nil
			}
		}
	})
	if done || err != nil {
		return err
	}
	after := ward.PersonID(r.URL.Query().Get("after"))
	t, last, err := s.peopleTable(ctx, after, peoplePerPage)
	if err != nil {
		return err
	}
	v := &peoplePage{Page: Page{Title: "People", Section: "settings", Backlink: "/settings", Backname: "Settings"}, Table: tableOf(t, s.Now())}
	v.Head = pageHead{Title: v.Title, Caption: "Who uses Ward, and what they may do.", AsOf: at(s.Now(), s.Now()), Exports: "/settings/people"}
	if access.Allows(actorOf(r), access.PersonWrite) {
		v.Head.Actions = []action{{"Add a person", "/settings/people/new", true}}
	}
	v.Table.Empty = emptyView{Title: "Nobody further", Text: []string{"There are no more people."}}
	if last != "" {
		v.Table.Next = "/settings/people?after=" + url.QueryEscape(string(last))
	}
	if after != "" {
		v.Table.First = "/settings/people"
	}
	return render(s, w, r, http.StatusOK, s.pages.people, v)
}

// roleChoice is a role to tick.
type roleChoice struct {
	ID, Name, Description string
	Chosen                bool
}

func (s *Server) roleChoices(ctx context.Context, held []ward.Role) (out []roleChoice, err error) {
	all, err := s.Access.Roles(ctx)
	for _, r := range all {
		out = append(out, roleChoice{string(r.ID), r.Name, r.Description, slices.Contains(held, r.ID)})
	}
	return out, err
}

type newPersonPage struct {
	Page
	PersonName, Email string
	Roles             []roleChoice
	Sites, Groups     string
}

func (s *Server) newPersonView(r *http.Request, held []ward.Role) (*newPersonPage, error) {
	choices, err := s.roleChoices(r.Context(), held)
	return &newPersonPage{
		Page:  Page{Title: "Add a person", Section: "settings", Narrow: true, Backlink: "/settings/people", Backname: "People"},
		Roles: choices,
	}, err
}

func (s *Server) newPersonForm(w http.ResponseWriter, r *http.Request) error {
	v, err := s.newPersonView(r, nil)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.newPerson, v)
}

func rolesOf(r *http.Request) (out []ward.Role) {
	for _, id := range r.PostForm["role"] {
		out = append(out, ward.Role(id))
	}
	return out
}

// listed reads a list, one a line.
func linesOf(text string) (out []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func scopeOf(r *http.Request) ward.Scope {
	return ward.Scope{Sites: linesOf(r.PostFormValue("sites")), Groups: linesOf(r.PostFormValue("groups"))}
}

func (s *Server) addPerson(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	p, err := s.Access.CreatePerson(ctx, access.NewPerson{Name: r.PostFormValue("name"), Email: field(r, "email"), Roles: rolesOf(r), Scope: scopeOf(r)})
	if err != nil {
		v, e := s.newPersonView(r, rolesOf(r))
		if e != nil {
			return e
		}
		v.PersonName, v.Email, v.Sites, v.Groups = r.PostFormValue("name"), field(r, "email"), r.PostFormValue("sites"), r.PostFormValue("groups")
		return again(s, w, r, s.pages.newPerson, v, err, "name")
	}
	return s.showLink(w, r, p)
}

type oneLinkPage struct {
	Page
	PersonName, Link, Address string
}

// setupDays is how long a link for a new person is good.
const setupDays = 7

// showLink makes a set-up link for somebody who has never signed in and shows it this once.
func (s *Server) showLink(w http.ResponseWriter, r *http.Request, p access.Person) error {
	secret, err := s.Access.CreateLink(r.Context(), p.ID, access.LinkSetup, setupDays*oneDay)
	if err != nil {
		return err
	}
	v := &oneLinkPage{
		Page:       Page{Title: "A link for " + p.Name, Section: "settings", Narrow: true, Backlink: personAddress(p.ID), Backname: p.Name},
		PersonName: p.Name, Link: s.address(r) + "/setup/" + secret, Address: personAddress(p.ID),
	}
	return render(s, w, r, http.StatusOK, s.pages.oneLink, v)
}
