package main

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/lost"
)

func newLostCommand() *cli.Command {
	return &cli.Command{
		Name: "lost", Usage: "report devices as lost or stolen: each is locked at once", ArgsUsage: "DEVICE...",
		Description: deviceWord + "\n\nOne person is enough, and no approval: it is locked, its certificates are revoked, and it\nis looked for. What is not known is left out.",
		Flags: remoteFlags(
			&cli.StringFlag{Name: "kind", Value: string(lost.Lost), Usage: "`HOW` it went missing: lost or stolen"},
			&cli.BoolFlag{Name: "stolen", Usage: "the same as --kind stolen"},
			&cli.StringFlag{Name: "where", Usage: "`PLACE` where it was last seen"},
			&cli.TimestampFlag{Name: "when", Usage: "`TIME` when it was last seen, such as 2026-05-01T09:30", Layout: minuteLayout, Timezone: time.Local},
			&cli.StringFlag{Name: "unlocked", Usage: "`ANSWER` to whether it was unlocked then: yes or no"},
			&cli.StringFlag{Name: "data-open", Usage: "`ANSWER` to whether patient data was open on it: yes or no"},
			&cli.StringFlag{Name: "identified", Usage: "`HOW` the reporter was known, such as 'called back on the number of the staff list'"},
			&cli.StringFlag{Name: "note", Usage: "`TEXT` for the record"},
			&cli.StringFlag{Name: "message", Usage: "`TEXT` that the device shows, instead of the organisation's"},
			&cli.StringFlag{Name: "phone", Usage: "`NUMBER` that the device shows"},
			&cli.StringFlag{Name: "drill", Usage: "a rehearsal, `HOW`: dry sends and revokes nothing, live does everything on a device kept for it"},
		),
		Action: reportLost,
	}
}

// yesOrNo returns the answer that a flag gives, or says that it is none.
func yesOrNo(c *cli.Context, flag string) (lost.Answer, error) {
	a := lost.Answer(c.String(flag))
	if a != lost.Unknown && a != lost.Yes && a != lost.No {
		return a, usagef(c, "--%s is yes or no, not %q; leave it out if nobody knows.", flag, string(a))
	}
	return a, nil
}

func lostReport(c *cli.Context) (r api.LostReport, err error) {
	r = api.LostReport{
		Kind: lost.Kind(c.String("kind")), Where: c.String("where"), Identified: c.String("identified"), Note: c.String("note"),
		Drill: lost.Drill(c.String("drill")), Message: c.String("message"), Phone: c.String("phone"),
	}
	if when := c.Timestamp("when"); when != nil {
		r.When = when.UTC()
	}
	if c.Bool("stolen") {
		r.Kind = lost.Stolen
	}
	if r.Kind != lost.Lost && r.Kind != lost.Stolen {
		return r, usagef(c, "--kind is lost or stolen, not %q.", string(r.Kind))
	}
	if c.IsSet("drill") && r.Drill != lost.Dry && r.Drill != lost.Live {
		return r, usagef(c, "--drill is dry or live, not %q.", string(r.Drill))
	}
	if r.Unlocked, err = yesOrNo(c, "unlocked"); err != nil {
		return r, err
	}
	r.DataOpen, err = yesOrNo(c, "data-open")
	return r, err
}

func reportLost(c *cli.Context) error {
	if c.NArg() == 0 {
		return usagef(c, "DEVICE is missing.")
	}
	r, err := lostReport(c)
	if err != nil {
		return err
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/cases", struct {
		Devices []string `json:"devices"`
		api.LostReport
	}{c.Args().Slice(), r})
	if err != nil {
		return err
	}
	var told api.CasesReported
	if err := decode(raw, &told); err != nil {
		return err
	}
	err = answer(c, raw, printReported)
	if err == nil && len(told.Errors) > 0 {
		return errors.New("the others were not reported: " + strings.Join(told.Errors, "\n  - "))
	}
	return err
}

func printReported(p *printer, v api.CasesReported) {
	for _, k := range v.Cases {
		if k.Drill == lost.Dry {
			p.line("Device %s: the dry run is case %s. Nothing is sent or revoked; the case says what would be.", string(k.Device), string(k.ID))
			p.line("  read it  ward case show %s", string(k.ID))
			continue
		}
		drill := ""
		if k.Drill == lost.Live {
			drill = " This is a drill."
		}
		p.line("Device %s is reported %s in case %s: its app certificates are revoked, and what locks it is sent as far as the device can be reached.%s", string(k.Device), string(k.Kind), string(k.ID), drill)
		p.line("  follow it    ward case show %s", string(k.ID))
		p.line("  found again  ward device found %s", string(k.Device))
	}
}
