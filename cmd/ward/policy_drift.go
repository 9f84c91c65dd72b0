package main

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func newDriftCommand() *cli.Command {
	return &cli.Command{
		Name: "drift", Usage: "show what was found otherwise than the policy wants, and when it was put right", Action: policyDrift,
		Description: "A profile that was removed, an app that came back, a setting that changed. Ward puts\nright by itself what it can.",
		Flags: remoteFlags(
			&cli.BoolFlag{Name: "open", Usage: "only what was not put right yet"},
			&cli.StringFlag{Name: "device", Usage: "only on this `DEVICE`"},
			&cli.StringFlag{Name: "kind", Usage: "only of this `KIND`, such as profile or blocked-app"},
			&cli.BoolFlag{Name: "counts", Usage: "count by kind instead"},
			&cli.IntFlag{Name: "limit", Value: 50, Usage: "how many entries; 0 for all"},
		),
	}
}

func policyDrift(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	if c.Bool("counts") {
		return driftCounts(c, cl)
	}
	q := url.Values{}
	for _, name := range []string{"device", "kind"} {
		if v := c.String(name); v != "" {
			q.Set(name, v)
		}
	}
	if c.Bool("open") {
		q.Set("open", "true")
	}
	raw, err := cl.list(c.Context, "/policy/drift", q, c.Int("limit"))
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Drift]) {
		if len(v.Items) == 0 {
			p.line("Nothing was found otherwise than the policy wants.")
			return
		}
		rows := make([][]string, len(v.Items))
		for i, d := range v.Items {
			rows[i] = []string{string(d.Device), d.Kind, d.Subject, stamp(d.Found), at(d.Righted, "not yet")}
		}
		p.table([]string{"DEVICE", "KIND", "WHAT", "FOUND", "PUT RIGHT"}, rows)
	})
}

func driftCounts(c *cli.Context, cl *client) error {
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/policy/drift/counts"})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.DriftCounts) {
		if len(v.Items) == 0 {
			p.line("Nothing was found otherwise than the policy wants in the last 30 days.")
			return
		}
		rows := make([][]string, len(v.Items))
		for i, n := range v.Items {
			rows[i] = []string{n.Kind, strconv.Itoa(n.Open), strconv.Itoa(n.Devices), strconv.Itoa(n.Found), strconv.Itoa(n.Righted)}
		}
		p.table([]string{"KIND", "OPEN", "ON DEVICES", "FOUND IN 30 DAYS", "PUT RIGHT"}, rows)
	})
}
