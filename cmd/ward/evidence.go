package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func newEvidenceCommand() *cli.Command {
	return &cli.Command{
		Name: "evidence", Usage: "make the reports that are shown to a board, an auditor or a regulator",
		Subcommands: []*cli.Command{
			{Name: "list", Usage: "show the kinds of report, and what each is for", Action: evidenceList, Flags: remoteFlags()},
			{
				Name: "make", Usage: "write a report with its signatures, tables and proofs", ArgsUsage: "REPORT", Action: evidenceMake,
				Description: "It writes REPORT.pdf with its signature, each table as CSV, and REPORT.json, which\n" +
					"ward-verify case checks without the server. That a report was made is recorded in\n" +
					"the audit log.",
				Flags: remoteFlags(
					&cli.StringFlag{Name: "period", Usage: "a `MONTH` such as 2026-10; the last one that is over if left out"},
					&cli.StringFlag{Name: "as-of", Usage: "a `TIME` in the past, such as 2026-03-12 or 2026-03-12T09:30:00Z; now if left out"},
					&cli.StringFlag{Name: "app", Usage: "an `APP` of the catalogue, such as whatsapp"},
					&cli.StringFlag{Name: "person", Usage: "whom it is about: an e-mail `ADDRESS`, a name or an id"},
					&cli.PathFlag{Name: "out", Value: ".", Usage: "write into this `FOLDER`, which is made if need be"},
				),
			},
		},
	}
}

func evidenceList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/evidence"})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Pack]) {
		var rows [][]string
		for _, x := range v.Items {
			rows = append(rows, []string{x.ID, string(x.Of), x.For})
		}
		p.table([]string{"REPORT", "OF A", "FOR"}, rows)
	})
}

// timeOf reads a time, or a day, which means its end.
func timeOf(c *cli.Context, text string) (*time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no time was named
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return &t, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, text, time.Local)
	if err != nil {
		return nil, usagef(c, "--as-of %q is no time: write 2026-03-12, or 2026-03-12T09:30:00Z", text)
	}
	t = t.AddDate(0, 0, 1).Add(-time.Second)
	return &t, nil
}

func evidenceMake(c *cli.Context) error {
	cl, args, err := readyFor(c, "REPORT")
	if err != nil {
		return err
	}
	var r api.PackRequest
	r.Body.Pack, r.Body.Period, r.Body.App, r.Body.Person = args[0], c.String("period"), c.String("app"), c.String("person")
	if r.Body.AsOf, err = timeOf(c, c.String("as-of")); err != nil {
		return err
	}
	body, err := json.Marshal(r.Body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	raw, err := cl.do(c.Context, request{method: http.MethodPost, path: "/evidence", body: bytes.NewReader(body)})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Path("out"), 0o700); err != nil {
		return err
	}
	paths, err := unpack(raw, c.Path("out"))
	if err != nil {
		return err
	}
	return printFiles(c, paths)
}

// printFiles tells which files were written.
func printFiles(c *cli.Context, paths []string) error {
	if c.Bool("json") {
		return printValue(c.App.Writer, map[string][]string{"files": paths})
	}
	for _, p := range paths {
		if _, err := fmt.Fprintln(c.App.Writer, clean(p)); err != nil {
			return err
		}
	}
	return nil
}
