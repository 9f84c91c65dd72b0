package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/lost"
)

func newCaseCommand() *cli.Command {
	note := func() cli.Flag { return &cli.StringFlag{Name: "note", Usage: "`TEXT` for the record"} }
	purpose := func() cli.Flag {
		return &cli.StringFlag{Name: "purpose", Usage: "`WHY` the location is needed; it is kept with the case"}
	}
	return &cli.Command{
		Name:  "case",
		Usage: "follow lost and stolen devices, from the report to the file of the case",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "show cases, the newest first", Action: caseList,
				Flags: remoteFlags(
					&cli.StringFlag{Name: "state", Usage: "only open, rehearsal, found or closed ones"},
					&cli.StringFlag{Name: "drills", Usage: "only, or none"},
				),
			},
			{Name: "show", Usage: "tell a case from the report to now", ArgsUsage: "CASE", Action: caseShow, Flags: remoteFlags()},
			{
				Name: "sound", Usage: "have a device in lost mode play a sound", ArgsUsage: "CASE", Flags: remoteFlags(),
				Action: caseDeed("sound", "The sound is queued. ward case show tells when the device has accepted it."),
			},
			{Name: "locate", Usage: "ask a device in lost mode where it is, once more than the policy does", ArgsUsage: "CASE", Action: caseLocate, Flags: remoteFlags(purpose())},
			{
				Name: "location", Usage: "tell where a lost device last said it was; each look is recorded", ArgsUsage: "CASE",
				Action: caseLocation, Flags: remoteFlags(purpose()),
			},
			{Name: "pin", Usage: "tell the PIN that a Mac was locked with; each look is recorded", ArgsUsage: "CASE", Action: casePIN, Flags: remoteFlags()},
			{
				Name: "found", Usage: "end the search: the device is unlocked and managed again", ArgsUsage: "CASE", Flags: remoteFlags(note()),
				Action: caseEnd("found", "Case %s: the device is found. Lost mode ends, and it gets new app credentials."),
			},
			newAssessCommand(), newDecideCommand(), newAwareCommand(), newFileCommand(),
			{
				Name: "close", Usage: "put a case away whose device was found or is beyond reach", ArgsUsage: "CASE", Flags: remoteFlags(note()),
				Action: caseEnd("close", "Case %s is closed."),
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
	for _, name := range []string{"state", "drills"} {
		if s := c.String(name); s != "" {
			q.Set(name, s)
		}
	}
	raw, err := cl.list(c.Context, "/cases", q, 0)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Case]) {
		if len(v.Items) == 0 {
			p.line("No case.")
			return
		}
		rows := make([][]string, len(v.Items))
		for i, k := range v.Items {
			rows[i] = []string{reference(k.ID), string(k.ID), string(k.Device), caseKind(k), string(k.State), stamp(k.Reported), reporter(k), at(k.Located, "not yet")}
		}
		p.table([]string{"REF", "CASE", "DEVICE", "KIND", "STATE", "REPORTED", "BY", "LOCATED"}, rows)
	})
}

// caseKind says of a drill that it is one.
func caseKind(k api.Case) string {
	if w := k.Drill.Words(); w != "" {
		return strings.ToLower(w) + ": " + string(k.Kind)
	}
	return string(k.Kind)
}

// referenceLength is how many letters of a case's id people are told on the telephone.
const referenceLength = 6

// reference is what the pages call a case when they tell people of it.
func reference(id ward.CaseID) string {
	text := strings.ToUpper(string(id))
	return text[max(0, len(text)-referenceLength):]
}

// caseOf returns the id of a case that is named by it or by its reference.
func (cl *client) caseOf(ctx context.Context, word string) (string, error) {
	if len(word) != referenceLength {
		return word, nil
	}
	raw, err := cl.list(ctx, "/cases", url.Values{}, 0)
	if err != nil {
		return "", err
	}
	var all api.List[api.Case]
	if err := json.Unmarshal(raw, &all); err != nil {
		return "", fmt.Errorf("list of cases: %w", err)
	}
	for _, k := range all.Items {
		if strings.EqualFold(reference(k.ID), word) {
			return string(k.ID), nil
		}
	}
	return word, nil // the server says that there is none
}

func casePath(id string, more string) string { return "/cases/" + url.PathEscape(id) + more }

func caseShow(c *cli.Context) error {
	cl, args, err := readyFor(c, "CASE")
	if err != nil {
		return err
	}
	id, err := cl.caseOf(c.Context, args[0])
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: casePath(id, "")})
	if err != nil {
		return err
	}
	return answer(c, raw, printCase)
}

func printCase(p *printer, k api.CaseDetail) {
	p.line("Case %s: %s, %s", string(k.ID), caseKind(k.Case), string(k.State))
	p.facts("device", string(k.Device), "reported", stamp(k.Reported)+" by "+reporter(k.Case), "reporter known by", k.Identified, "last seen by a person", at(k.When, ""),
		"where", k.Where, "was unlocked", string(k.Unlocked), "patient data open", string(k.DataOpen), "note", k.Note, "it shows", strings.TrimSpace(k.Message+" "+k.Phone),
		"found", at(k.Found, ""), "closed", at(k.Closed, ""))
	if k.Drill == lost.Real {
		p.facts("became aware", stamp(k.Aware), "72 hours end", stamp(k.Deadline))
	}
	if k.Located != nil {
		p.line("  a location came at %s: ward case location %s --purpose WHY", stamp(*k.Located), string(k.ID))
	}
	p.line("\nWhat happened")
	rows := make([][]string, len(k.Timeline))
	for i, e := range k.Timeline {
		who := ""
		if e.By != nil {
			who = e.By.Name
		}
		text := cmp.Or(e.Text, string(e.Kind))
		if e.Purpose != "" {
			text += " (" + e.Purpose + ")"
		}
		rows[i] = []string{"  " + stamp(e.At), text, who}
	}
	p.table(nil, rows)
}

// caseDeed is the action of a command that asks something of the device of a case.
func caseDeed(deed, done string) cli.ActionFunc {
	return func(c *cli.Context) error {
		cl, args, err := readyFor(c, "CASE")
		if err != nil {
			return err
		}
		raw, err := cl.send(c.Context, http.MethodPost, casePath(args[0], "/"+deed), nil)
		if err != nil {
			return err
		}
		return said(c, raw, done)
	}
}

// purposed returns a client, the case that is the only argument, and --purpose, which is
// kept: a location is personal data.
func purposed(c *cli.Context) (cl *client, id, purpose string, err error) {
	args, err := arguments(c, "CASE")
	if err != nil {
		return nil, "", "", err
	}
	if purpose = strings.TrimSpace(c.String("purpose")); purpose == "" {
		return nil, "", "", usagef(c, "--purpose is missing: where a device is may say where a person is, so the record says what for.")
	}
	cl, err = connect(c)
	return cl, args[0], purpose, err
}

func caseLocate(c *cli.Context) error {
	cl, id, purpose, err := purposed(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, casePath(id, "/locate"), map[string]string{"purpose": purpose})
	if err != nil {
		return err
	}
	return said(c, raw, "The device is asked where it is. ward case show tells when it has answered.")
}

func caseLocation(c *cli.Context) error {
	cl, id, purpose, err := purposed(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: casePath(id, "/location"), query: url.Values{"purpose": {purpose}}})
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

func casePIN(c *cli.Context) error { return tellPINs(c, "CASE", casePath) }

// tellPINs tells the PINs of the Mac that the only argument leads to.
func tellPINs(c *cli.Context, what string, path func(id, more string) string) error {
	cl, args, err := readyFor(c, what)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: path(args[0], "/pin")})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.PINs) {
		for _, pin := range v.Items {
			p.facts(pin.Use, pin.PIN)
		}
		p.line("This look is recorded in the audit log.")
	})
}

// caseEnd is the action of the commands that end a case or its search.
func caseEnd(deed, done string) cli.ActionFunc {
	return func(c *cli.Context) error {
		args, err := arguments(c, "CASE")
		if err != nil {
			return err
		}
		if deed == "close" && c.String("note") == "" {
			return usagef(c, "--note is missing: the record has to say why the case is closed.")
		}
		cl, err := connect(c)
		if err != nil {
			return err
		}
		raw, err := cl.send(c.Context, http.MethodPost, casePath(args[0], "/"+deed), map[string]string{"note": c.String("note")})
		if err != nil {
			return err
		}
		return said(c, raw, strings.Replace(done, "%s", args[0], 1))
	}
}
