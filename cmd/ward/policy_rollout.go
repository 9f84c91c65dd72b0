package main

import (
	"net/http"
	"strconv"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func policyRollout(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/policy/rollout"})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, r api.PolicyRollout) {
		printVersion(p, r.Version)
		rows := make([][]string, len(r.Rings))
		for i, n := range r.Rings {
			row := []string{"  " + n.Name, "not open yet", strconv.Itoa(n.Devices), "", "", ""}
			if n.Open {
				row = []string{"  " + n.Name, "open", strconv.Itoa(n.Devices), strconv.Itoa(n.Done), strconv.Itoa(n.Failed), strconv.Itoa(n.Waiting)}
			}
			rows[i] = row
		}
		p.line("")
		p.table([]string{"  RING", "", "DEVICES", "DONE", "FAILED", "WAITING"}, rows)
		for _, f := range r.Failures {
			p.line("  %s: %s%s", string(f.Device), f.Step, because(f.Error))
		}
		switch {
		case r.Stopped != nil:
			p.line("\nStopped at %s: %s. Open rings keep what they have.", stamp(*r.Stopped), r.Reason)
			p.line("  ward policy resume\n  ward policy rollback --reason WHY")
		case r.Next != nil:
			p.line("\nThe next step comes at %s at the earliest.", stamp(*r.Next))
		}
	})
}

func policyStop(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	if c.String("reason") == "" {
		return usagef(c, "--reason is missing: the record has to say why.")
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/policy/rollout/stop", map[string]string{"reason": c.String("reason")})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.PolicyVersion) {
		p.line("The rollout of generation %d is stopped. Open rings keep what they have: ward policy rollback takes it back there too.", v.Generation)
	})
}

func policyResume(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/policy/rollout/resume", nil)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.PolicyVersion) { p.line("The rollout of generation %d goes on.", v.Generation) })
}

func newRollbackCommand() *cli.Command {
	return &cli.Command{
		Name: "rollback", Usage: "publish an earlier version again, for every device at once", ArgsUsage: "[GENERATION]",
		Description: "Without GENERATION it is the version before. A rollout that is under way is given up.\n" +
			"One person may undo the newest version. Going back further counts like publishing, and\n" +
			"where much of the fleet would change it is proposed only: ward policy approve.",
		Flags: remoteFlags(&cli.StringFlag{Name: "reason", Usage: "why, for the record"}),
		Action: func(c *cli.Context) error {
			body := map[string]any{"reason": c.String("reason")}
			var names []string
			if c.NArg() > 0 {
				names = []string{"GENERATION"}
				n, err := strconv.ParseInt(c.Args().First(), 10, 64)
				if err != nil || n < 1 {
					return usagef(c, "%q is no generation: ward policy versions lists them.", c.Args().First())
				}
				body["generation"] = n
			}
			if c.String("reason") == "" {
				return usagef(c, "--reason is missing: the record has to say why.")
			}
			cl, _, err := readyFor(c, names...)
			if err != nil {
				return err
			}
			raw, err := cl.send(c.Context, http.MethodPost, "/policy/rollback", body)
			if err != nil {
				return err
			}
			return answer(c, raw, func(p *printer, v api.PolicyVersion) { printPublished(p, v) })
		},
	}
}
