package main

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/api"
)

// shownCommands is how many commands the screen tells of; --json has them all.
const shownCommands = 12

func deviceShow(c *cli.Context) error {
	cl, args, err := readyFor(c, "DEVICE")
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: devicePath(args[0])})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, d api.DeviceDetail) {
		printWhat(p, d)
		printWrong(p, d)
		printHeld(p, d)
		printEnforced(p, d)
		printDone(p, d)
	})
}

func printWhat(p *printer, d api.DeviceDetail) {
	p.line("%s, %s", d.Name, strings.TrimSpace(string(d.Ownership)+" "+cmp.Or(d.Model, string(d.Platform))))
	owner := d.Owner
	if d.Email != "" {
		owner = strings.TrimSpace(owner + " <" + d.Email + ">")
	}
	enrolled := "never"
	if d.Enrolled != nil {
		enrolled = stamp(*d.Enrolled) + ", epoch " + strconv.FormatInt(d.Epoch, 10)
	}
	p.facts("id", string(d.ID), "serial", d.Serial, "system", system(d.Device), "owner", owner, "group", d.Group, "site", d.Site, "role", d.Role,
		"management", string(d.Management), "supervised", supervised(d.Supervised), "enrolled", enrolled, "last seen", at(d.LastSeen, "never"))
	if k := d.Case; k != nil {
		p.line("\nOpen case %s: reported %s by %s at %s", string(k.ID), string(k.Kind), reporter(*k), stamp(k.Reported))
		p.line("  ward case show %s", string(k.ID))
	}
}

func supervised(known *bool) string {
	switch {
	case known == nil:
		return "not known"
	case *known:
		return "yes"
	}
	return "no"
}

func printWrong(p *printer, d api.DeviceDetail) {
	p.line("\n%s", strings.ToUpper(string(d.State)))
	if len(d.Findings) == 0 {
		p.line("  Nothing is wrong.")
	}
	for _, f := range d.Findings {
		since := ""
		if f.Since != nil {
			since = " (since " + stamp(*f.Since) + ")"
		}
		p.line("  %s: %s%s", string(f.State), f.Text, since)
		if f.Cure != "" {
			p.line("    Cure: %s", f.Cure)
		}
	}
}

func printEnforced(p *printer, d api.DeviceDetail) {
	p.line("\nWhat the policy can do here, and what it can't and why")
	if len(d.Limits) == 0 {
		p.line("  Nothing: no policy is published.")
	}
	printLimits(p, d.Limits)
}

// printLimits tells first what is carried out, then what is not with the reason.
func printLimits(p *printer, limits []api.Limit) {
	for _, l := range limits {
		if l.Verdict == intent.Enforced {
			p.line("  %s: %s", string(l.Verdict), l.Intent)
		}
	}
	for _, l := range limits {
		if l.Verdict == intent.Enforced {
			continue
		}
		p.line("  %s: %s", strings.ToUpper(string(l.Verdict)), l.Intent)
		for _, s := range []string{l.Why, l.Cure} {
			if s != "" {
				p.line("    %s", s)
			}
		}
	}
}

func printDone(p *printer, d api.DeviceDetail) {
	p.line("\nDone, the newest first")
	if len(d.Commands) == 0 {
		p.line("  No command was sent.")
		return
	}
	shown := d.Commands
	if len(shown) > shownCommands {
		shown = shown[:shownCommands]
	}
	rows := make([][]string, len(shown))
	for i, s := range shown {
		rows[i] = []string{"  " + stamp(s.Created), s.Words}
	}
	p.table(nil, rows)
	if more := len(d.Commands) - len(shown); more > 0 {
		p.line("  and %d before: ward command list %s", more, string(d.ID))
	}
}
