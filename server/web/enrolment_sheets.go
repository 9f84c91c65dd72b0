package web

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	qrcode "github.com/skip2/go-qrcode"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/wording"
)

// qrView is a QR code as a drawing.
type qrView struct {
	Size int    // modules on a side
	Path string // of the dark ones
}

// qrOf draws a QR code.
func qrOf(text string) (qrView, error) {
	code, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		return qrView{}, fmt.Errorf("QR code: %w", err)
	}
	bits := code.Bitmap()
	var b strings.Builder
	for y, row := range bits {
		for x := 0; x < len(row); x++ {
			if !row[x] {
				continue
			}
			from := x
			for x < len(row) && row[x] {
				x++
			}
			fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from, y, x-from, x-from)
		}
	}
	return qrView{len(bits), b.String()}, nil
}

type sheetsPage struct {
	Page
	Ask    bool // a new link has to be made before anything can be printed
	Href   string
	Person string
	Org    string
	Help   string
	Sheets []sheet
}

// sheet is what one person is handed.
type sheet struct {
	Name, Device, Place, Until, Link string
	Personal, Mac                    bool
	QR                               qrView
}

// printForm says that the old link can't be printed: GET /enrolment/{id}/print.
func (s *Server) printForm(w http.ResponseWriter, r *http.Request) error {
	i, err := s.Operate.Invitations.Invitation(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v := &sheetsPage{
		Page: Page{Title: "Print the invitation for " + i.Name, Section: "enrolment", Narrow: true, Backlink: invitationAddress(i.ID), Backname: "Invitation"},
		Ask:  true, Href: invitationAddress(i.ID), Person: i.Name,
	}
	return render(s, w, r, http.StatusOK, s.pages.sheets, v)
}

// printAgain makes a new link and shows its sheet: POST /enrolment/{id}/print.
func (s *Server) printAgain(w http.ResponseWriter, r *http.Request) error {
	made, err := s.Operate.Invitations.Renew(r.Context(), r.PathValue("id"))
	if err != nil {
		return s.invitationWrong(w, r, err)
	}
	return s.showSheets(w, r, []enrollment.Invitation{made.Invitation}, []string{made.Token})
}

// tokens reads the links that a form carries with it: they stand nowhere else.
func (s *Server) tokens(r *http.Request, most int) (all []enrollment.Invitation, tokens []string, err error) {
	tokens = r.PostForm["token"]
	if len(tokens) == 0 || len(tokens) > most {
		return nil, nil, ward.Errorf(ward.Invalid, "Between 1 and %d sheets are printed at a time, not %d.", most, len(tokens))
	}
	scope := ward.ActorFrom(r.Context()).Scope
	for _, token := range tokens {
		i, err := s.Operate.Invitations.Find(r.Context(), token)
		if err != nil {
			return nil, nil, err
		}
		if !scope.Includes(i.Site, i.Group) {
			return nil, nil, ward.Errorf(ward.NotFound, "There is no invitation with this link.")
		}
		all = append(all, i)
	}
	return all, tokens, nil
}

// printSheets shows sheets to print: POST /enrolment/sheets.
func (s *Server) printSheets(w http.ResponseWriter, r *http.Request) error {
	all, tokens, err := s.tokens(r, sheetsAtOnce)
	if err != nil {
		return err
	}
	return s.showSheets(w, r, all, tokens)
}

func (s *Server) showSheets(w http.ResponseWriter, r *http.Request, all []enrollment.Invitation, tokens []string) error {
	v := &sheetsPage{Page: Page{Title: plural(len(all), "sheet") + " to print", Section: "enrolment", Backlink: "/enrolment", Backname: "Enrolment"}, Org: s.organisation()}
	if s.Operate.Texts != nil {
		var err error
		if v.Help, err = s.Operate.Texts.Text(r.Context(), wording.EnrolHelp); err != nil {
			return err
		}
	}
	for n, i := range all {
		one := sheet{
			Name: i.Name, Device: i.DeviceName, Place: strings.Join(filled(i.Group, i.Site), ", "), Until: i.Expires.In(s.zone()).Format("Monday 2 January 2006 at 15:04"),
			Link: s.Operate.InviteURL(tokens[n]), Personal: i.Ownership == ward.Personal, Mac: i.Platform == ward.MacOS,
		}
		var err error
		if one.QR, err = qrOf(one.Link); err != nil {
			return err
		}
		v.Sheets = append(v.Sheets, one)
	}
	return render(s, w, r, http.StatusOK, s.pages.sheets, v)
}

// organisation is how pages call the employer.
func (s *Server) organisation() string {
	if s.Name == "" {
		return "your organisation"
	}
	return s.Name
}

// filled drops what is empty.
func filled(all ...string) (out []string) {
	for _, v := range all {
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}

// linksFile gives the links as a CSV file, for a mail merge: POST /enrolment/links.
func (s *Server) linksFile(w http.ResponseWriter, r *http.Request) error {
	all, tokens, err := s.tokens(r, maxImported)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="enrolment-links-`+strconv.Itoa(len(all))+`.csv"`)
	out := csv.NewWriter(w)
	if err := out.Write([]string{"name", "email", "device_name", "group", "site", "link", "works_until"}); err != nil {
		return nil //nolint:nilerr // the client is gone, nobody is left to tell
	}
	for n, i := range all {
		row := []string{i.Name, i.Email, i.DeviceName, i.Group, i.Site, s.Operate.InviteURL(tokens[n]), i.Expires.UTC().Format("2006-01-02T15:04Z")}
		for c := range row {
			row[c] = unformula(row[c])
		}
		if err := out.Write(row); err != nil {
			return nil //nolint:nilerr // likewise
		}
	}
	out.Flush()
	return nil
}

// unformula keeps a spreadsheet from taking a text for a formula.
func unformula(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
