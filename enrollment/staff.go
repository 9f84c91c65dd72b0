package enrollment

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
)

// Limits of a staff file.
const (
	maxStaff     = 5000    // rows: all are written in one unit of work
	maxStaffFile = 2 << 20 // bytes
	maxMistakes  = 1000    // reported of one file
)

// staffColumns are the columns of a staff file. Only the first two must be there.
var staffColumns = []string{"name", "ownership", "email", "group", "device_name", "platform", "supervised", "site", "role", "serial", "identity"}

// StaffRow is one row of a staff file with what is wrong with it.
type StaffRow struct {
	Line     int // in the file, from 1
	Request  Request
	Mistakes []string // sentences for its author; empty for a row that is right
}

// ParseStaff reads a CSV file of staff as ReadStaff does, and accepts it only whole: every
// mistake of every row is reported at once, with its line, as the Details of a *ward.Error.
func ParseStaff(r io.Reader) ([]Request, error) {
	rows, err := ReadStaff(r)
	if err != nil {
		return nil, err
	}
	var mistakes []string
	out := make([]Request, len(rows))
	for i, row := range rows {
		out[i] = row.Request
		for _, m := range row.Mistakes {
			mistakes = append(mistakes, fmt.Sprintf("Line %d: %s", row.Line, m))
		}
	}
	if len(mistakes) > 0 {
		return nil, &ward.Error{Kind: ward.Invalid, Message: "No invitation was made, because the file has mistakes.", Details: mistakes[:min(len(mistakes), maxMistakes)]}
	}
	return out, nil
}

// ReadStaff reads a CSV file of staff (RFC 4180) with a header: name and ownership are
// required columns; email, group, device_name, platform, supervised (yes or no), site, role,
// serial and identity (attested or scep) may be left out, and the order is free. Each row
// comes back with its mistakes. A file that is no such table at all is a *ward.Error.
func ReadStaff(r io.Reader) ([]StaffRow, error) {
	cr := csv.NewReader(&capped{r: r, left: maxStaffFile + 1})
	cr.FieldsPerRecord = -1 // a row of the wrong length is one mistake among others
	cr.TrimLeadingSpace = true
	header, err := cr.Read()
	if errors.Is(err, io.EOF) {
		return nil, ward.Errorf(ward.Invalid, "The file is empty. Its first line must name the columns: %s.", strings.Join(staffColumns, ","))
	}
	if err != nil {
		return nil, unreadable(err)
	}
	columns, mistakes := staffHeader(header)
	if len(mistakes) > 0 {
		return nil, &ward.Error{Kind: ward.Invalid, Message: "The first line of the file does not name the columns.", Details: mistakes}
	}
	var out []StaffRow
	lines := map[string]int{} // by serial number
	for len(out) <= maxStaff {
		row, err := cr.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			out = append(out, StaffRow{Line: bad.Line, Mistakes: []string{fmt.Sprintf("%s.", bad.Err)}})
			continue
		}
		if err != nil {
			return nil, unreadable(err)
		}
		line, _ := cr.FieldPos(0)
		req, wrong := staffRow(columns, row)
		if serial := req.normalise().Serial; serial != "" && lines[serial] > 0 {
			wrong = append(wrong, fmt.Sprintf("The serial number %s stands in line %d already.", short(serial), lines[serial]))
		} else {
			lines[serial] = line
		}
		out = append(out, StaffRow{line, req, wrong})
	}
	switch {
	case len(out) > maxStaff:
		return nil, ward.Errorf(ward.Invalid, "The file has more than %d rows. Split it.", maxStaff)
	case len(out) == 0:
		return nil, ward.Errorf(ward.Invalid, "The file names no staff: there is nothing below its first line.")
	}
	return out, nil
}

func unreadable(err error) error {
	if e, ok := errors.AsType[*ward.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return ward.Errorf(ward.Invalid, "Line %d of the file: %s.", e.Line, e.Err)
	}
	return fmt.Errorf("read staff file: %w", err)
}

// staffHeader returns the name of each column.
func staffHeader(header []string) (columns, mistakes []string) {
	for i, h := range header {
		if i == 0 {
			h = strings.TrimPrefix(h, "\ufeff") // spreadsheets put a byte order mark there
		}
		h = strings.ToLower(strings.TrimSpace(h))
		switch {
		case strings.Contains(h, ";"):
			return nil, []string{"Its columns must be separated by commas, not semicolons."}
		case !slices.Contains(staffColumns, h):
			mistakes = append(mistakes, fmt.Sprintf("The column %q is not known. The columns are %s.", short(h), strings.Join(staffColumns, ", ")))
		case slices.Contains(columns, h):
			mistakes = append(mistakes, fmt.Sprintf("The column %s is there twice.", h))
		}
		columns = append(columns, h)
	}
	for _, need := range staffColumns[:2] {
		if !slices.Contains(columns, need) {
			mistakes = append(mistakes, fmt.Sprintf("The column %s is missing.", need))
		}
	}
	return columns, mistakes
}

func staffRow(columns, row []string) (req Request, mistakes []string) {
	if len(row) != len(columns) {
		return req, []string{fmt.Sprintf("It has %d fields, but the first line names %d columns.", len(row), len(columns))}
	}
	for i, v := range row {
		v = strings.TrimSpace(v)
		switch columns[i] {
		case "name":
			req.Name = v
		case "ownership":
			req.Ownership = ward.Ownership(strings.ToLower(v))
		case "email":
			req.Email = v
		case "group":
			req.Group = v
		case "site":
			req.Site = v
		case "role":
			req.Role = v
		case "serial":
			req.Serial = v
		case "identity":
			req.Identity = Identity(strings.ToLower(v))
		case "device_name":
			req.DeviceName = v
		case "platform":
			req.Platform = ward.Platform(strings.ToLower(v))
		case "supervised":
			switch strings.ToLower(v) {
			case "yes":
				req.Supervised = true
			case "no", "":
			default:
				mistakes = append(mistakes, fmt.Sprintf("supervised is %q: write yes or no.", short(v)))
			}
		}
	}
	for _, m := range req.Mistakes() {
		mistakes = append(mistakes, m.Text)
	}
	return req, mistakes
}

// capped fails a read past its limit, where io.LimitReader would end the file in the
// middle of a row.
type capped struct {
	r    io.Reader
	left int
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, ward.Errorf(ward.Invalid, "The file is larger than %d KiB. Split it.", maxStaffFile>>10)
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
