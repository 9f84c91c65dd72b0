package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit/verify"
)

func (s *story) checkpointNow(ctx context.Context) ([]byte, error) {
	if _, err := s.srv.Audit.Sequence(ward.WithActor(ctx, ward.System)); err != nil {
		return nil, err
	}
	return s.desk.do(ctx, request{method: http.MethodGet, path: "/audit/checkpoint"})
}

// verify checks the audit log and the file of the case with the verifier, which trusts
// nothing of the server's, against the checkpoint taken before the loss.
func (s *story) verify(ctx context.Context) error {
	return s.step("6. The audit log and the file of the case are verified, as a stranger would", 1, func(seen map[string]any) error {
		if _, err := s.checkpointNow(ctx); err != nil {
			return err
		}
		archive, err := s.desk.do(ctx, request{method: http.MethodGet, path: casePath(s.lostCase, "/file.zip")})
		if err != nil {
			return err
		}
		if _, err := s.checkpointNow(ctx); err != nil { // of a log that holds that the file was made
			return err
		}
		export, err := s.desk.do(ctx, request{method: http.MethodGet, path: "/audit/export"})
		if err != nil {
			return err
		}
		report, err := verify.Verify(bytes.NewReader(export), verify.Options{PublicKey: s.srv.Audit.PublicKey(), Earlier: [][]byte{s.checkpoint}})
		if err != nil {
			return err
		}
		seen["entries"] = report.Size
		s.out.said("%d entries, none changed or missing since the checkpoint", report.Size)
		return s.verifyFile(archive, export, seen)
	})
}

// verifyFile checks the file of the case.
func (s *story) verifyFile(archive, export []byte, seen map[string]any) error {
	parts, err := partsOf(archive)
	if err != nil {
		return err
	}
	var pack, pdf, p7s []byte
	for _, p := range parts {
		switch {
		case strings.HasSuffix(p.name, ".json"):
			pack = p.body
		case strings.HasSuffix(p.name, ".pdf"):
			pdf = p.body
		default:
			p7s = p.body
		}
	}
	if len(pdf) == 0 || len(p7s) == 0 {
		return fmt.Errorf("the file of the case has %d bytes of PDF and %d of its signature", len(pdf), len(p7s))
	}
	report, err := verify.VerifyCase(bytes.NewReader(pack), verify.CaseOptions{
		PublicKey: s.srv.Audit.PublicKey(), PDF: pdf, Earlier: [][]byte{s.checkpoint}, Log: bytes.NewReader(export),
	})
	if err != nil {
		return err
	}
	signed := 0
	for _, a := range report.Approvals {
		if a.Holds {
			signed++
		}
	}
	if report.ID != s.lostCase || signed != 2 {
		return fmt.Errorf("the file is of %s with %d signatures, want %s with 2", report.ID, signed, s.lostCase)
	}
	seen["file_entries"], seen["file_signatures"] = len(report.Entries), signed
	s.out.said("the file of the case: %d entries proven in the log, %d signatures over the order hold, and the page is the one that was signed", len(report.Entries), signed)
	return nil
}
