package web

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

type inviteNewPage struct {
	Page
	Fields []fieldView
	Scoped string // where the reader may invite for, in words; empty for everywhere
}

// inviteFields are the fields of the form, with what was typed and what is wrong with it.
func inviteFields(r *http.Request, scope ward.Scope, wrong map[string]string) []fieldView {
	value := func(name string) string {
		if r.Method == http.MethodPost {
			return field(r, name)
		}
		return r.URL.Query().Get(name)
	}
	options := func(name string, pairs ...string) (out []optionView) {
		for i := 0; i+1 < len(pairs); i += 2 {
			out = append(out, optionView{Value: pairs[i], Text: pairs[i+1], Selected: value(name) == pairs[i]})
		}
		return out
	}
	place := func(f fieldView, only []string) fieldView {
		if len(only) == 0 {
			return f
		}
		f.Required = true
		for _, v := range only {
			f.Options = append(f.Options, optionView{Value: v, Text: v, Selected: value(f.Name) == v})
		}
		return f
	}
	fields := []fieldView{
		{Name: "name", Label: "Whom is it for?", Hint: "The name of the member of staff, or of the place where a shared device stands.", Required: true, Autocomplete: "off", Max: 120},
		{
			Name: "ownership", Label: "Whose device is it?", Required: true, Hint: "A personal device is never erased, and enrols without the right to.",
			Options: options("ownership", "", "Choose", "corporate", "Corporate: it belongs to us", "personal", "Personal: it is their own"),
		},
		{Name: "platform", Label: "What is it?", Required: true, Options: options("platform", "ios", "iPhone or iPad", "macos", "Mac")},
		{Name: "email", Label: "E-mail", Type: "email", Hint: "By it they see the device on their own page, and report it lost.", Autocomplete: "off", Max: 254},
		place(fieldView{Name: "group", Label: "Ward or team", Max: 120}, scope.Groups),
		place(fieldView{Name: "site", Label: "Site", Max: 120}, scope.Sites),
		{Name: "role", Label: "Staff role", Hint: "Such as nurse. The policy may say more for some.", Max: 120},
		{Name: "serial", Label: "Serial number", Hint: "Then no other device can use the link.", Autocomplete: "off", Max: 20},
		{Name: "device_name", Label: "Name of the device", Hint: "Made from the person’s name if you leave it out.", Max: 120},
		{Name: "supervised", Label: "Is it supervised?", Required: true, Hint: "Supervised devices came by Apple Business Manager or Apple Configurator. More can be enforced on them.", Options: options("supervised", "", "No, or not known", "yes", "Yes")},
		{Name: "hours", Label: "How long does the link work?", Required: true, Options: options("hours", "168", "A week", "24", "A day", "1", "An hour", "720", "30 days")},
	}
	for i := range fields {
		f := &fields[i]
		f.Error = wrong[f.Name]
		if f.Options == nil {
			f.Value = value(f.Name)
		}
	}
	return fields
}

func (s *Server) inviteView(r *http.Request, wrong map[string]string) *inviteNewPage {
	scope := ward.ActorFrom(r.Context()).Scope
	return &inviteNewPage{
		Page:   Page{Title: "Invite somebody to enrol", Section: "enrolment", Narrow: true, Backlink: "/enrolment", Backname: "Enrolment"},
		Fields: inviteFields(r, scope, wrong),
	}
}

// inviteForm is GET /enrolment/new.
func (s *Server) inviteForm(w http.ResponseWriter, r *http.Request) error {
	return render(s, w, r, http.StatusOK, s.pages.inviteNew, s.inviteView(r, nil))
}

// invite makes one invitation and shows its link once: POST /enrolment/new.
func (s *Server) invite(w http.ResponseWriter, r *http.Request) error {
	hours, err := strconv.Atoi(field(r, "hours"))
	if err != nil {
		hours = -1 // the service says what it may be
	}
	q := enrollment.Request{
		Name: field(r, "name"), Email: field(r, "email"), DeviceName: field(r, "device_name"), Platform: ward.Platform(field(r, "platform")), Ownership: ward.Ownership(field(r, "ownership")),
		Group: field(r, "group"), Site: field(r, "site"), Role: field(r, "role"), Supervised: field(r, "supervised") == "yes", Serial: field(r, "serial"), Life: time.Duration(hours) * time.Hour,
	}
	wrong, first := map[string]string{}, ""
	for _, m := range q.Mistakes() {
		if wrong[m.Field] == "" {
			wrong[m.Field] = m.Text
		}
		if first == "" {
			first = m.Field
		}
	}
	made, err := s.Operate.Invitations.Create(r.Context(), q)
	if err != nil {
		return again(s, w, r, s.pages.inviteNew, s.inviteView(r, wrong), err, first)
	}
	return s.showMade(w, r, []enrollment.Invited{made})
}

// madePage shows the links of new invitations, once.
type madePage struct {
	Page
	Made     []madeRow
	Warnings []string
	Batches  []sheetBatch
	Codes    bool // their QR codes stand here
	Many     bool
}

type madeRow struct {
	Name, Device, Link, Until, Href string
	QR                              qrView
}

// sheetBatch is as many invitations as are printed together.
type sheetBatch struct {
	From, To int
	Tokens   []string
}

// codesShown is how many QR codes stand on the page of what was made; sheetsAtOnce how many
// sheets are printed together.
const (
	codesShown   = 12
	sheetsAtOnce = 250
)

// showMade shows what was made. Nothing of it is kept: whoever leaves the page has to make
// new links.
func (s *Server) showMade(w http.ResponseWriter, r *http.Request, all []enrollment.Invited) error {
	v := &madePage{
		Page:  Page{Title: plural(len(all), "invitation") + " made", Section: "enrolment", Backlink: "/enrolment", Backname: "Enrolment"},
		Codes: len(all) <= codesShown, Many: len(all) > 1,
	}
	if !v.Many {
		v.Title, v.Narrow = "Invitation for "+all[0].Name, true
	}
	var tokens []string
	for _, i := range all {
		row := madeRow{Name: i.Name, Device: i.DeviceName, Link: s.Operate.InviteURL(i.Token), Until: at(i.Expires, s.Now()).Exact, Href: invitationAddress(i.ID)}
		if v.Codes {
			var err error
			if row.QR, err = qrOf(row.Link); err != nil {
				return err
			}
		}
		v.Made, v.Warnings, tokens = append(v.Made, row), append(v.Warnings, i.Warnings...), append(tokens, i.Token)
	}
	from := 1
	for batch := range slices.Chunk(tokens, sheetsAtOnce) {
		v.Batches = append(v.Batches, sheetBatch{from, from + len(batch) - 1, batch})
		from += len(batch)
	}
	return render(s, w, r, http.StatusCreated, s.pages.made, v)
}
