package web

import (
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

//go:embed templates/*.html
var templateFiles embed.FS

// Page is what every page shows around its own content.
type Page struct {
	Title    string
	Section  string // of the navigation, as in navigation, or none
	Lang     string // of its texts
	Name     string // of the organisation
	Logo     string // address of the organisation's logo; empty for Ward's mark
	Who      string // who has signed in; empty for a visitor
	Account  string // address of their account
	Menu     [][]menuItem
	Alarms   []alarm // what everybody who has signed in has to know
	Flash    string  // what was just done
	Problem  *problem
	Narrow   bool   // a form or a message rather than tables
	Live     string // address of what tells that this page has changed; empty for none
	Style    string
	Script   string
	Backlink string // address one level up; empty for none
	Backname string
	Exports  string // address of the list shown, where it can be taken away as a file
}

// ExportAs is the address of the list shown as a file.
func (p *Page) ExportAs(form string) string { return withFormat(p.Exports, form) }

func (p *Page) base() *Page { return p }

// pageData is a pointer to a struct that embeds Page.
type pageData interface{ base() *Page }

// problem is an error summary: what is wrong, and the field to go to.
type problem struct {
	Field  string // id of the field; empty for none
	Lines  []string
	Text   string // all lines, beside the field
	status int
}

// At reports whether the field is the one that is wrong.
func (p *problem) At(field string) bool { return p != nil && p.Field == field }

// page is a template that takes a T.
type page[T pageData] struct{ t *template.Template }

// pages are all templates, each with what it takes.
type pages struct {
	fleetPages
	rulePages
	operatePages
	evidencePages
	accountPages

	signIn     page[*signInPage]
	link       page[*linkPage]
	passphrase page[*passphrasePage]
	devices    page[*devicesPage]
	device     page[*devicePage]
	lost       page[*lostPage]
	found      page[*foundPage]
	lock       page[*lockPage]
	location   page[*locationPage]
	restart    page[*restartPage]
	reportMany page[*manyPage]
	code       page[*codePage]
	lostCode   page[*lostCodePage]
	told       page[*toldPage]
	recovery   page[*recoveryPage]
	cases      page[*casesPage]
	theCase    page[*casePage]
	pin        page[*pinPage]
	drills     page[*drillsPage]
	orders     page[*ordersPage]
	order      page[*orderPage]
	askOrder   page[*askPage]
	sign       page[*signPage]
	brake      page[*brakePage]
	cancelAll  page[*cancelAllPage]
	approvers  page[*approversPage]
	invited    page[*invitedPage]
	register   page[*registerPage]
	vouch      page[*vouchPage]
	notices    page[*noticesPage]
	enrol      page[*enrolPage]
	staff      page[*staffPage]
	failure    page[*errorPage]
}

type errorPage struct {
	Page
	Status    int
	Message   string // empty where nothing can be said
	Details   []string
	RequestID string
}

// pageFile is a template with the page that it is parsed into.
type pageFile struct {
	name string // of the file, without .html
	into **template.Template
	data any // a zero value of what it takes, for the test of the templates
}

// file says which template a page is.
func file[T pageData](name string, p *page[T]) pageFile {
	var zero T
	return pageFile{name, &p.t, zero}
}

// files lists the templates of every page.
func (p *pages) files() []pageFile {
	return slices.Concat(
		[]pageFile{
			file("signin", &p.signIn),
			file("link", &p.link),
			file("passphrase", &p.passphrase),
			file("devices", &p.devices),
			file("device", &p.device),
			file("lost", &p.lost),
			file("found", &p.found),
			file("lock", &p.lock),
			file("location", &p.location),
			file("restart", &p.restart),
			file("many", &p.reportMany),
			file("code", &p.code),
			file("lostcode", &p.lostCode),
			file("told", &p.told),
			file("recovery", &p.recovery),
			file("cases", &p.cases),
			file("case", &p.theCase),
			file("pin", &p.pin),
			file("drills", &p.drills),
			file("orders", &p.orders),
			file("order", &p.order),
			file("ask", &p.askOrder),
			file("sign", &p.sign),
			file("brake", &p.brake),
			file("cancelall", &p.cancelAll),
			file("approvers", &p.approvers),
			file("invited", &p.invited),
			file("register", &p.register),
			file("vouch", &p.vouch),
			file("notifications", &p.notices),
			file("enrol", &p.enrol),
			file("staff", &p.staff),
			file("failure", &p.failure),
		},
		p.fleetPages.files(), p.rulePages.files(), p.operatePages.files(), p.evidencePages.files(), p.accountPages.files(),
	)
}

// parsed holds the pages once they were parsed: they are the same for every Server, and are not
// changed afterwards.
var parsed = sync.OnceValues(parsePages)

func parsePages() (p pages, err error) {
	for _, f := range p.files() {
		t := template.New(f.name + ".html").Option("missingkey=error")
		if *f.into, err = t.ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/components.html", "templates/"+f.name+".html"); err != nil {
			return p, fmt.Errorf("template %s: %w", f.name, err)
		}
	}
	return p, nil
}

// furnish fills in what a page shows around its content.
func (s *Server) furnish(r *http.Request, p *Page) error {
	ctx := r.Context()
	p.Name, p.Lang, p.Logo, p.Style, p.Script = cmp.Or(s.Name, "Ward"), lang, s.assets.logo, s.assets.style, s.assets.script
	a := ward.ActorFrom(ctx)
	if a.Via == "" {
		return nil
	}
	p.Who, p.Account, p.Flash = a.Name, s.account(), s.sessions.PopString(ctx, flashKey)
	if !access.Allows(a, access.ExportMake) {
		p.Exports = ""
	}
	var err error
	if p.Menu, err = s.menu(ctx, a, p.Section); err != nil {
		return err
	}
	if access.Allows(a, access.OrderRead) {
		if p.Alarms, err = s.alarms(ctx); err != nil {
			return err
		}
	}
	faults, err := s.healthAlarm(ctx)
	p.Alarms = append(p.Alarms, faults...)
	return err
}

// account is the address of the page of who has signed in.
func (s *Server) account() string {
	if _, ok := s.needs["GET /mine"]; ok {
		return "/mine"
	}
	return "/passphrase"
}

// flash has the next page say what was done.
func (s *Server) flash(r *http.Request, format string, args ...any) {
	s.sessions.Put(r.Context(), flashKey, fmt.Sprintf(format, args...))
}

func field(r *http.Request, name string) string { return strings.TrimSpace(r.PostFormValue(name)) }

// see leads to a page. to is an address that was made here, or that passed local.
func see(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // see local
	return nil
}
