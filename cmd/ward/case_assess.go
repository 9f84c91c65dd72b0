package main

import (
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func newAssessCommand() *cli.Command {
	return &cli.Command{
		Name: "assess", Usage: "tell what a loss put at risk, and what was decided on it", ArgsUsage: "CASE", Action: caseAssess, Flags: remoteFlags(),
		Description: "It is worked out anew from what is known now. It suggests: a person decides, with\nward case decide.",
	}
}

func newDecideCommand() *cli.Command {
	return &cli.Command{
		Name: "decide", Usage: "decide whether a loss is reported to the Information Commissioner", ArgsUsage: "CASE", Action: caseDecide,
		Description: "Decisions are never changed: a later one counts in the place of an earlier, and both\nstand in the file of the case, with what was known at the time.",
		Flags: remoteFlags(
			&cli.StringFlag{Name: "reportable", Usage: "`ANSWER`: yes or no"},
			&cli.StringFlag{Name: "reasoning", Usage: "the reasons, as `TEXT`"},
			&cli.StringFlag{Name: "reference", Usage: "the Commissioner's `REFERENCE`, or the incident's"},
			&cli.StringFlag{Name: "link", Usage: "`ADDRESS` in the incident system"},
		),
	}
}

func newAwareCommand() *cli.Command {
	return &cli.Command{
		Name: "aware", Usage: "set, once, when the organisation became aware of a loss", ArgsUsage: "CASE", Action: caseAware,
		Description: "The 72 hours run from then. It is the time of the report unless it is set.",
		Flags: remoteFlags(
			&cli.TimestampFlag{Name: "at", Usage: "the `TIME`, such as 2026-05-01T09:30", Layout: minuteLayout, Timezone: time.Local},
			&cli.StringFlag{Name: "reason", Usage: "why it was another time than the report"},
		),
	}
}

func caseAssess(c *cli.Context) error {
	cl, args, err := readyFor(c, "CASE")
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: casePath(args[0], "/assessment")})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, a api.Assessment) {
		p.line("Case %s: the rules suggest the risk %s. A person decides.", string(a.Case), strings.ToUpper(string(a.Level)))
		for _, r := range a.Reasons {
			p.line("  - %s", r)
		}
		p.facts("became aware", stamp(a.Aware), "72 hours end", stamp(a.Deadline))
		p.line("\nWhat it rests on")
		var rows [][]string
		for _, f := range a.Findings {
			mark := ""
			if f.Bad {
				mark = "counts against it"
			}
			rows = append(rows, []string{"  " + f.Name, f.Text, at(f.At, ""), mark})
		}
		p.table(nil, rows)
		p.line("\nDecisions")
		if len(a.Decisions) == 0 {
			p.line("  none: ward case decide %s --reportable yes|no --reasoning TEXT", string(a.Case))
		}
		for _, d := range a.Decisions {
			p.line("  %s by %s: %s. %s", stamp(d.At), d.By.Name, decided(d.Reportable), d.Reasoning)
			p.facts("  reference", d.Reference, "  link", d.Link)
		}
	})
}

func decided(reportable bool) string {
	if reportable {
		return "reportable to the Information Commissioner"
	}
	return "not reportable"
}

func caseDecide(c *cli.Context) error {
	args, err := arguments(c, "CASE")
	if err != nil {
		return err
	}
	reportable := c.String("reportable")
	if reportable != "yes" && reportable != "no" {
		return usagef(c, "--reportable is yes or no, not %q.", reportable)
	}
	if strings.TrimSpace(c.String("reasoning")) == "" {
		return usagef(c, "--reasoning is missing: the decision is worth what its reasons are.")
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	body := map[string]any{"reportable": reportable == "yes", "reasoning": c.String("reasoning"), "reference": c.String("reference"), "link": c.String("link")}
	raw, err := cl.send(c.Context, http.MethodPost, casePath(args[0], "/decisions"), body)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, d api.Decision) {
		p.line("Case %s is decided: %s.", args[0], decided(d.Reportable))
	})
}

func caseAware(c *cli.Context) error {
	args, err := arguments(c, "CASE")
	if err != nil {
		return err
	}
	when := c.Timestamp("at")
	if when == nil {
		return usagef(c, "--at is missing: when the organisation became aware of the loss.")
	}
	reason, err := reasonOf(c)
	if err != nil {
		return err
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPut, casePath(args[0], "/aware"), map[string]any{"at": when.UTC(), "reason": reason})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, k api.Case) {
		p.line("The organisation became aware at %s: the 72 hours end at %s.", stamp(k.Aware), stamp(k.Deadline))
	})
}
