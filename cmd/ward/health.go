package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func newHealthCommand() *cli.Command {
	return &cli.Command{
		Name: "health", Usage: "say what is wrong with the server, or soon will be", Action: showHealth,
		Description: "Ends with 1 where there is a fault, so that a timer can tell somebody. Warnings and\nnotices end with 0 unless --strict is given.",
		Flags: remoteFlags(
			&cli.BoolFlag{Name: "all", Usage: "also what is well"},
			&cli.BoolFlag{Name: "strict", Usage: "end with 1 for a warning too"},
		),
	}
}

func showHealth(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/health"})
	if err != nil {
		return err
	}
	var v api.Health
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("the server's answer can't be read: %w", err)
	}
	if err := answer(c, raw, func(p *printer, v api.Health) { printHealth(p, v, c.Bool("all")) }); err != nil {
		return err
	}
	if v.Worst == "fault" || v.Worst == "warning" && c.Bool("strict") {
		return fmt.Errorf("the server is not well: see above")
	}
	return nil
}

func printHealth(p *printer, v api.Health, all bool) {
	if len(v.Troubles) == 0 {
		p.line("Nothing is wrong as of %s. Version %s.", v.At.Format(time.RFC3339), v.Version)
	}
	for _, t := range v.Troubles {
		p.line("%s  %s: %s", t.Severity, t.Title, t.Text)
		p.line("  %s", t.Cure)
	}
	if !all {
		return
	}
	for _, l := range v.Looked {
		if l.Well {
			p.line("well  %s: %s", l.Title, l.About)
		}
	}
}
