package server

import (
	"bytes"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit/verify"
	"github.com/wardmdm/ward/server/evidence"
	"github.com/wardmdm/ward/server/report"
)

// TestReportsOfARealServer: each report and each signed list of a server as it is put
// together in earnest holds its PDF with a signature, and a stranger can verify it. The
// signer is opened after the reports are, so that a part of it taken too early signs nothing.
func TestReportsOfARealServer(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	w.enrol(t, w.phone(t, "R", nil), ward.Corporate)
	now := w.clock.now()
	requests := []evidence.Request{{Pack: evidence.Question, App: "whatsapp"}}
	for _, p := range evidence.Packs() {
		switch p.Of {
		case evidence.OfMonth:
			period, err := evidence.ParsePeriod("", now)
			if err != nil {
				t.Fatal(err)
			}
			requests = append(requests, evidence.Request{Pack: p.ID, Period: period})
		case evidence.OfMoment, "":
			requests = append(requests, evidence.Request{Pack: p.ID})
		}
	}
	for _, r := range requests {
		f, err := w.Evidence.File(w.ctx, r)
		if err != nil {
			t.Errorf("%s: %v", r.Pack, err)
			continue
		}
		w.stranger(t, r.Pack, f)
	}
	table := report.Table{Name: "devices", Title: "Devices", AsOf: now, Columns: []report.Column{{Head: "Name"}}, Rows: [][]report.Cell{{{Text: "R"}}}}
	f, err := w.Evidence.Sheet(w.ctx, table)
	if err != nil {
		t.Fatal(err)
	}
	w.stranger(t, "a list", f)
}

// stranger checks a signed file as somebody would who has the log's public key alone.
func (w *world) stranger(t *testing.T, what string, f evidence.File) {
	t.Helper()
	parts := map[string][]byte{}
	for _, p := range f.Parts {
		parts[strings.TrimPrefix(p.Name, f.ID)] = p.Body
	}
	if len(parts[".pdf.p7s"]) == 0 {
		t.Errorf("%s: the PDF is not signed", what)
	}
	if _, err := verify.VerifyCase(bytes.NewReader(parts[".json"]), verify.CaseOptions{PublicKey: w.Audit.PublicKey(), PDF: parts[".pdf"]}); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}
