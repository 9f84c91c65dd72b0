package evidence

import (
	"context"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/report"
)

// The forms in which a list can be taken away.
const (
	CSV    = "csv"
	PDF    = "pdf"
	Signed = "signed" // the PDF with its signatures and the table, in one archive
)

// Exporting records that somebody takes a list away as a file: which view, in what form, by
// which filter and of how many rows. It needs access.ExportMake, and comes before the file.
func (s *Service) Exporting(ctx context.Context, t report.Table, form string) error {
	if err := access.Check(ctx, access.ExportMake); err != nil {
		return err
	}
	if len(t.Rows) > report.MaxPDFRows && form != CSV {
		_, err := t.PDF(report.Stamp{}) // says what helps
		return err
	}
	return s.Audit.Record(ctx, audit.Entry{Action: ActionExported, Subject: t.Name, Detail: map[string]string{
		"view": t.Name, "format": form, "filter": shortened(strings.Join(t.Says, "; "), 500), "rows": report.Thousands(len(t.Rows)),
	}})
}

// Stamp says for whom a file is made now.
func (s *Service) Stamp(ctx context.Context) report.Stamp {
	return report.Stamp{Organisation: s.Organisation, By: ward.ActorFrom(ctx).Name, Made: s.Now().UTC().Truncate(time.Second)}
}

// Sheet makes the signed file of a list whose export was recorded. Call it outside of a unit
// of work.
func (s *Service) Sheet(ctx context.Context, t report.Table) (File, error) {
	stamp := s.Stamp(ctx)
	pdf, err := t.PDF(stamp)
	if err != nil {
		return File{}, err
	}
	m := made{Document: report.Document{
		Name: t.Name, Title: t.Title, Organisation: stamp.Organisation, Says: t.Says, AsOf: t.AsOf, Made: stamp.Made, By: stamp.By, Sections: []report.Section{{Tables: []report.Table{t}}},
	}}
	m.about = []audit.About{{Subject: t.Name, From: stamp.Made.Add(-time.Second)}}
	return s.file(ctx, t.Name+"-"+stamp.Made.Format("20060102-150405"), t.Name, m, pdf)
}
