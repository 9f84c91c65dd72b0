package main

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func newDrillCommand() *cli.Command {
	return &cli.Command{
		Name:  "drill",
		Usage: "see the rehearsals of a loss, as evidence that the process works",
		Subcommands: []*cli.Command{{
			Name: "list", Usage: "show rehearsals, the newest first, and when the next is due", Action: drillList,
			Description: "ward lost DEVICE --drill dry begins one that sends and revokes nothing; --drill live\ndoes everything, on a device that is kept for it.",
			Flags:       remoteFlags(&cli.IntFlag{Name: "limit", Value: 50, Usage: "how many, 100 at most"}),
		}},
	}
}

func drillList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	limit := c.Int("limit")
	if limit < 1 || limit > 100 {
		return usagef(c, "--limit is %d: it is from 1 to 100.", limit)
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/drills", query: url.Values{"limit": {strconv.Itoa(limit)}}})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Drills) {
		if v.Last == nil {
			p.line("No drill yet: one is due now. ward lost DEVICE --drill dry begins one that sends nothing.")
			return
		}
		p.line("The last drill was at %s, the next is due by %s.\n", stamp(*v.Last), at(v.Due, "now"))
		rows := make([][]string, len(v.Items))
		for i, d := range v.Items {
			rows[i] = []string{
				string(d.Case.ID), string(d.Case.Device), string(d.Case.Drill), string(d.Case.State), stamp(d.Case.Reported), reporter(d.Case),
				afterwards(d.Queued), afterwards(d.Delivered), afterwards(d.Accepted),
			}
		}
		p.table([]string{"CASE", "DEVICE", "DRILL", "STATE", "REPORTED", "BY", "QUEUED", "DELIVERED", "ACCEPTED"}, rows)
	})
}

// afterwards is a time after the report.
func afterwards(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return strconv.FormatFloat(float64(*ms)/1000, 'f', 3, 64) + " s"
}
