package main

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
)

func newCaseCommand() *cli.Command {
	return &cli.Command{
		Name:  "case",
		Usage: "follow lost and stolen devices",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "show cases, the newest first", Action: caseList,
				Flags: remoteFlags(&cli.StringFlag{Name: "state", Usage: "only open, found or closed ones"}),
			},
			{Name: "show", Usage: "tell a case from the report to now", ArgsUsage: "CASE", Action: caseShow, Flags: remoteFlags()},
			{
				Name: "location", Usage: "tell where a lost device last said it was; each look is recorded", ArgsUsage: "CASE",
				Action: caseLocation, Flags: remoteFlags(),
			},
			{
				Name: "close", Usage: "put a case away whose device was found or is beyond reach", ArgsUsage: "CASE", Action: caseClose,
				Flags: remoteFlags(&cli.StringFlag{Name: "note", Usage: "`TEXT` for the record"}),
			},
		},
	}
}

// reporter is who reported a device.
func reporter(k api.Case) string { return cmp.Or(k.ReportedBy.Name, ward.System.Name) }

func caseList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	q := url.Values{}
	if s := c.String("state"); s != "" {
		q.Set("state", s)
	}
	raw, err := cl.list(c.Context, "/cases", q, 0)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Case]) {
		rows := make([][]string, len(v.Items))
		for i, k := range v.Items {
			rows[i] = []string{string(k.ID), string(k.Device), string(k.Kind), string(k.State), stamp(k.Reported), reporter(k), at(k.Located, "not yet")}
		}
		p.table([]string{"CASE", "DEVICE", "KIND", "STATE", "REPORTED", "BY", "LOCATED"}, rows)
	})
}

func casePath(id string, more string) string { return "/cases/" + url.PathEscape(id) + more }

func caseShow(c *cli.Context) error {
	cl, args, err := readyFor(c, "CASE")
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: casePath(args[0], "")})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, k api.CaseDetail) {
		p.line("Case %s: %s, %s", string(k.ID), string(k.Kind), string(k.State))
		p.facts("device", string(k.Device), "reported", stamp(k.Reported)+" by "+reporter(k.Case), "last seen by a person", at(k.When, ""),
			"where", k.Where, "was unlocked", string(k.Unlocked), "note", k.Note, "it shows", strings.TrimSpace(k.Message+" "+k.Phone),
			"found", at(k.Found, ""), "closed", at(k.Closed, ""))
		if k.Located != nil {
			p.line("  a location came at %s: ward case location %s", stamp(*k.Located), string(k.ID))
		}
		p.line("\nWhat happened")
		rows := make([][]string, len(k.Timeline))
		for i, e := range k.Timeline {
			who := ""
			if e.By != nil {
				who = e.By.Name
			}
			rows[i] = []string{"  " + stamp(e.At), cmp.Or(e.Text, string(e.Kind)), who}
		}
		p.table(nil, rows)
	})
}

func caseLocation(c *cli.Context) error {
	cl, args, err := readyFor(c, "CASE")
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: casePath(args[0], "/location")})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, l api.Location) {
		accuracy := "not told by the device"
		if l.Accuracy >= 0 {
			accuracy = "within " + strconv.FormatFloat(l.Accuracy, 'f', 0, 64) + " m"
		}
		p.line("%.6f, %.6f", l.Latitude, l.Longitude)
		p.facts("accuracy", accuracy, "at", stamp(l.At))
		p.line("This look is recorded in the audit log.")
	})
}

func caseClose(c *cli.Context) error {
	cl, args, err := readyFor(c, "CASE")
	if err != nil {
		return err
	}
	if c.String("note") == "" {
		return usagef(c, "--note is missing: the record has to say why the case is closed.")
	}
	raw, err := cl.send(c.Context, http.MethodPost, casePath(args[0], "/close"), map[string]string{"note": c.String("note")})
	if err != nil {
		return err
	}
	return said(c, raw, "Case "+args[0]+" is closed.")
}
