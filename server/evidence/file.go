package evidence

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/report"
)

// Format names the form of the signed file of a report. It is the first line of the note.
const Format = "ward-evidence/1"

// ActionMade stands in the audit log for each report that was handed out as files.
const ActionMade = "evidence.made"

// Part is one of the files of a report.
type Part struct {
	Name string
	Body []byte
}

// File is a report as it is handed over.
type File struct {
	ID    string // names it, and the signed part
	Made  time.Time
	Parts []Part // the PDF first, then its signature, the signed JSON, the tables, and how to verify
}

// Part returns a file by the end of its name, such as ".json", or NotFound.
func (f File) Part(end string) (Part, error) {
	for _, p := range f.Parts {
		if p.Name == f.ID+end {
			return p, nil
		}
	}
	return Part{}, ward.Errorf(ward.NotFound, "The report has no part %q.", end)
}

// Zip returns all parts in one archive. The same parts give the same bytes.
func (f File) Zip() ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, p := range f.Parts {
		w, err := z.CreateHeader(&zip.FileHeader{Name: p.Name, Method: zip.Deflate, Modified: f.Made.UTC()})
		if err == nil {
			_, err = w.Write(p.Body)
		}
		if err != nil {
			return nil, fmt.Errorf("archive %s: %w", p.Name, err)
		}
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("archive %s: %w", f.ID, err)
	}
	return b.Bytes(), nil
}

// payload is what is signed.
type payload struct {
	Format       string            `json:"format"`
	ID           string            `json:"id"`
	Made         time.Time         `json:"made_at"`
	Organisation string            `json:"organisation,omitempty"`
	Pack         string            `json:"pack"`
	Document     document          `json:"document"`
	Audit        casefile.Audit    `json:"audit"`
	Changes      []ProvenChange    `json:"posture_changes,omitempty"`
	PDF          string            `json:"pdf_sha256"`
	Files        map[string]string `json:"files_sha256,omitempty"` // of the tables
}

// signedFile is the JSON part.
type signedFile struct {
	Payload   []byte `json:"payload"`
	Signature string `json:"signature"`
}

// File makes a report with its signatures and proofs. That it was made is audited first, so
// that the entry stands in it. It needs access.EvidenceRead and access.ExportMake. It signs
// and seals in units of work of its own: call it outside of one.
func (s *Service) File(ctx context.Context, r Request) (File, error) {
	if err := access.Check(ctx, access.ExportMake); err != nil {
		return File{}, err
	}
	if r.Pack == Question {
		if _, err := s.Seal(ward.WithActor(ctx, ward.System)); err != nil {
			return File{}, err
		}
	}
	m, err := s.make(ctx, r)
	if err != nil {
		return File{}, err
	}
	id := m.Name + "-" + m.Made.Format("20060102-150405")
	about := map[string]string{"pack": r.Pack, "report": id}
	if err := s.Audit.Record(ctx, audit.Entry{Action: ActionMade, Subject: id, Person: m.person, Detail: about}); err != nil {
		return File{}, err
	}
	m.about = append(m.about, audit.About{Subject: id})
	pdf, err := m.PDF()
	if err != nil {
		return File{}, err
	}
	return s.file(ctx, id, r.Pack, m, pdf)
}

func (s *Service) file(ctx context.Context, id, pack string, m made, pdf []byte) (f File, err error) {
	f = File{ID: id, Made: m.Made}
	p := payload{Format: Format, ID: id, Made: m.Made, Organisation: m.Organisation, Pack: pack, Document: documentOf(m.Document), Changes: m.changes, Files: map[string]string{}}
	if p.Audit, err = s.prove(ctx, m.about); err != nil {
		return f, err
	}
	p.PDF = sum(pdf)
	f.Parts = append(f.Parts, Part{id + ".pdf", pdf})
	if s.Sign != nil {
		p7s, err := s.Sign.Sign(pdf)
		if err != nil {
			return f, fmt.Errorf("sign %s: %w", id, err)
		}
		f.Parts = append(f.Parts, Part{id + ".pdf.p7s", p7s})
	}
	var tables []Part
	for _, t := range m.Tables() {
		var b bytes.Buffer
		if err := t.WriteCSV(&b); err != nil {
			return f, err
		}
		name := id + "-" + t.Name + ".csv"
		tables, p.Files[name] = append(tables, Part{name, b.Bytes()}), sum(b.Bytes())
	}
	signed, err := s.signed(p)
	if err != nil {
		return f, err
	}
	f.Parts = append(append(f.Parts, Part{id + ".json", signed}), tables...)
	f.Parts = append(f.Parts, Part{"how-to-verify.txt", []byte(howTo(id, p.Audit, s.Sign != nil))})
	return f, nil
}

// prove adds what the audit log proves. A log that can't be read makes no report impossible:
// the file then says so.
func (s *Service) prove(ctx context.Context, about []audit.About) (casefile.Audit, error) {
	e, err := s.Audit.Evidence(ctx, about...)
	if err != nil {
		if ctx.Err() != nil {
			return casefile.Audit{}, ctx.Err()
		}
		return casefile.Audit{Problem: err.Error(), Entries: []casefile.Entry{}}, nil //nolint:nilerr // the file says it
	}
	a := casefile.AuditOf(e)
	if a.Entries == nil {
		a.Entries = []casefile.Entry{} // a list, though it is empty
	}
	return a, nil
}

func (s *Service) signed(p payload) ([]byte, error) {
	body, err := encode(p)
	if err != nil {
		return nil, err
	}
	note, err := s.Audit.Sign(Format + "\n" + p.ID + "\n" + sum(body) + "\n")
	if err != nil {
		return nil, err
	}
	return encode(signedFile{body, string(note)})
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// document is a report in the signed file: its words, and its tables as text.
type document struct {
	Title    string    `json:"title"`
	Says     []string  `json:"says,omitempty"`
	AsOf     time.Time `json:"as_of,omitzero"`
	By       string    `json:"made_for,omitempty"`
	Sections []section `json:"sections"`
}

type section struct {
	Heading string            `json:"heading,omitempty"`
	Text    []string          `json:"text,omitempty"`
	Facts   map[string]string `json:"facts,omitempty"`
	Tables  []table           `json:"tables,omitempty"`
	Notes   []string          `json:"notes,omitempty"`
}

type table struct {
	Name string     `json:"name"`
	Head []string   `json:"head"`
	Rows [][]string `json:"rows"`
}

func documentOf(d report.Document) document {
	out := document{Title: d.Title, Says: d.Says, AsOf: d.AsOf.UTC(), By: d.By}
	for _, x := range d.Sections {
		y := section{Heading: x.Heading, Text: x.Text, Notes: x.Notes}
		if len(x.Facts) > 0 {
			y.Facts = map[string]string{}
			for _, f := range x.Facts {
				y.Facts[f.Label] = f.Value
			}
		}
		for _, t := range x.Tables {
			y.Tables = append(y.Tables, tableOf(t))
		}
		for _, c := range x.Charts {
			y.Tables = append(y.Tables, tableOf(c.Table()))
		}
		out.Sections = append(out.Sections, y)
	}
	return out
}

func tableOf(t report.Table) table {
	out := table{Name: t.Name, Rows: [][]string{}}
	for _, c := range t.Columns {
		out.Head = append(out.Head, c.Head)
	}
	for _, r := range t.Rows {
		row := make([]string, len(r))
		for i, c := range r {
			row[i] = c.Text
			if !c.Time.IsZero() {
				row[i] = stamp(c.Time)
			}
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// Names lists the names of the parts, sorted.
func (f File) Names() []string {
	names := map[string]bool{}
	for _, p := range f.Parts {
		names[p.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func howTo(id string, a casefile.Audit, signed bool) string {
	text := "How to check this report\n\n" +
		"1. " + id + ".json is signed by the key of the organisation's audit log. It names the\n" +
		"   SHA-256 of the PDF and of each table, and shows the entries of the log that the\n" +
		"   report rests on, with proofs. Check it, without the server, by:\n\n" +
		"     ward-verify case " + id + ".json --pdf " + id + ".pdf --key KEY\n\n" +
		"   KEY is the public key of the log. Have it from somewhere else than this file:\n" +
		"   from whoever kept it when the server was set up. The file says that it is\n\n" +
		"     " + a.Key + "\n\n" +
		"   With an earlier checkpoint of the log that was kept elsewhere (--checkpoint FILE), and an\n" +
		"   export of the log made since (--log FILE: ward audit export --leaves), it shows too\n" +
		"   that nothing in the log was altered or removed since.\n\n"
	if signed {
		text += "2. " + id + ".pdf.p7s is a signature of the PDF by the organisation's certificate:\n\n" +
			"     openssl cms -verify -binary -inform DER -in " + id + ".pdf.p7s -content " + id + ".pdf\n\n"
	}
	return text + "What is proven: that the server signed exactly this, that the entries stand in its log,\n" +
		"and that the changes of devices that are shown were sealed into the log and not altered\n" +
		"since. What is not: that devices told the truth, and what nobody recorded.\n"
}
