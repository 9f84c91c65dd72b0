package web

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

// Limits of an import: rows, bytes of the form, and how many rows its preview shows.
const (
	maxImported  = 5000
	maxImport    = 6 << 20
	mistakesSeen = 500
	rowsSeen     = 25
)

type importPage struct {
	Page
	Table   string // as it was typed or uploaded; empty before
	Checked bool
	Right   int
	Wrong   []importRow
	Hidden  int // rows with mistakes that are not shown
	Sample  []importRow
	Columns string
}

type importRow struct {
	Line                              int
	Name, Email, Device, Whose, Place string
	Mistakes                          []string
}

func newImportPage() *importPage {
	return &importPage{
		Page:    Page{Title: "Import a list of staff", Section: "enrolment", Backlink: "/enrolment", Backname: "Enrolment"},
		Columns: "name,ownership,email,group,site,serial",
	}
}

// importForm is GET /enrolment/import.
func (s *Server) importForm(w http.ResponseWriter, r *http.Request) error {
	return render(s, w, r, http.StatusOK, s.pages.importCSV, newImportPage())
}

// importTable shows what a table would make, and makes it once the reader has seen that:
// POST /enrolment/import with make "all" or "right".
func (s *Server) importTable(w http.ResponseWriter, r *http.Request) error {
	v := newImportPage()
	text, err := uploaded(r, "file", "table")
	if err != nil {
		return err
	}
	v.Table = text
	if strings.TrimSpace(text) == "" {
		return again(s, w, r, s.pages.importCSV, v, ward.Errorf(ward.Invalid, "Choose a file, or paste the table."), "table")
	}
	rows, err := enrollment.ReadStaff(strings.NewReader(text))
	if err != nil {
		return again(s, w, r, s.pages.importCSV, v, err, "table")
	}
	if err := s.Operate.Invitations.Check(r.Context(), rows); err != nil {
		return err
	}
	var right []enrollment.Request
	for _, row := range rows {
		one := importRow{
			Line: row.Line, Name: row.Request.Name, Email: row.Request.Email, Device: row.Request.DeviceName, Whose: ownershipName(row.Request.Ownership),
			Place: strings.Join(filled(row.Request.Group, row.Request.Site), ", "), Mistakes: row.Mistakes,
		}
		switch {
		case len(row.Mistakes) == 0:
			right = append(right, row.Request)
			if len(v.Sample) < rowsSeen {
				v.Sample = append(v.Sample, one)
			}
		case len(v.Wrong) < mistakesSeen:
			v.Wrong = append(v.Wrong, one)
		default:
			v.Hidden++
		}
	}
	v.Checked, v.Right = true, len(right)
	choice := field(r, "make")
	if choice == "right" && len(right) > 0 || choice == "all" && len(v.Wrong) == 0 {
		made, err := s.Operate.Invitations.CreateMany(r.Context(), right)
		if err != nil {
			return again(s, w, r, s.pages.importCSV, v, err, "")
		}
		return s.showMade(w, r, made)
	}
	status := http.StatusOK
	if len(v.Wrong) > 0 {
		n := len(v.Wrong) + v.Hidden
		v.Problem = &problem{Field: "wrong", Lines: []string{plural(n, "row") + " of " + strconv.Itoa(len(rows)) + " can’t be made as they stand. Nothing was made."}}
		status = http.StatusBadRequest
	}
	return render(s, w, r, status, s.pages.importCSV, v)
}

// uploaded reads a text that is uploaded as a file, or else typed.
func uploaded(r *http.Request, file, typed string) (string, error) {
	if r.MultipartForm != nil && len(r.MultipartForm.File[file]) > 0 && r.MultipartForm.File[file][0].Size > 0 {
		f, err := r.MultipartForm.File[file][0].Open()
		if err != nil {
			return "", ward.Errorf(ward.Invalid, "The file could not be read.").Because(err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		b, err := io.ReadAll(f)
		if err != nil {
			return "", ward.Errorf(ward.Invalid, "The file could not be read.").Because(err)
		}
		return strings.ToValidUTF8(string(b), "�"), nil
	}
	return r.PostFormValue(typed), nil
}
