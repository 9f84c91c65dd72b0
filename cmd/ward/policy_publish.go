package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/policy"
)

func newPublishCommand() *cli.Command {
	return &cli.Command{
		Name: "publish", Usage: "make a file the policy", ArgsUsage: "FILE", Action: policyPublish,
		Description: "Every device gets it as it checks in, unless --canary or --rings say that it goes ring\n" +
			"by ring: first the canary groups, then as many of a hundred of the other devices as\n" +
			"--rings names, always the same ones first. A ring is watched for the pause; failures\n" +
			"stop the rollout. Where much of the fleet would change, at once or when an exception\n" +
			"begins, the file is proposed only, and another person approves it: ward policy approve.\n" +
			"What was changed without a second person in the last 24 hours counts with it.",
		Flags: remoteFlags(
			&cli.StringFlag{Name: "reason", Usage: "why, for the approver and the record"},
			&cli.StringFlag{Name: "canary", Usage: "`GROUPS` of devices that get it first, separated by commas"},
			&cli.StringFlag{Name: "rings", Usage: "`PERCENTAGES` of the other devices, such as 10,50,100"},
			&cli.DurationFlag{Name: "pause", Value: policy.DefaultPause, Usage: "how long a ring is watched before the next one opens"},
			&cli.StringFlag{Name: "stop-at", Value: "5%", Usage: "`SHARE` of the devices in open rings at which failures stop it"},
			&cli.BoolFlag{Name: "replace", Usage: "take the place of a rollout that is under way"},
		),
	}
}

func policyPublish(c *cli.Context) error {
	d, err := readPolicy(c)
	if err != nil {
		return err
	}
	d.Reason, d.Replace = c.String("reason"), c.Bool("replace")
	if err := rings(c, &d); err != nil {
		return err
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPut, "/policy", d)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Policy) { printPublished(p, v.PolicyVersion) })
}

// rings reads the flags that say how a version reaches the fleet.
func rings(c *cli.Context, d *api.PolicyDraft) error {
	for g := range strings.SplitSeq(c.String("canary"), ",") {
		if g = strings.TrimSpace(g); g != "" {
			d.Canary = append(d.Canary, g)
		}
	}
	for word := range strings.SplitSeq(c.String("rings"), ",") {
		if word = strings.TrimSuffix(strings.TrimSpace(word), "%"); word == "" {
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil {
			return usagef(c, "--rings must be percentages such as 10,50,100, not %q.", c.String("rings"))
		}
		d.Percent = append(d.Percent, n)
	}
	if len(d.Canary)+len(d.Percent) == 0 {
		if c.IsSet("pause") || c.IsSet("stop-at") {
			return usagef(c, "--pause and --stop-at need --canary or --rings: without them every device gets it at once.")
		}
		return nil
	}
	pause := int64(c.Duration("pause") / time.Second)
	d.Pause = &pause
	share, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(c.String("stop-at")), "%"), 64)
	if err != nil || share <= 0 || share > 100 {
		return usagef(c, "--stop-at must be a share such as 5%%, not %q.", c.String("stop-at"))
	}
	d.StopAt = share / 100
	return nil
}

// printPublished says what became of a version that was sent or approved.
func printPublished(p *printer, v api.PolicyVersion) {
	for _, t := range v.Told {
		p.line("%s", t)
	}
	switch v.State {
	case policy.Proposed:
		together := ""
		if v.Together > v.Changed {
			together = fmt.Sprintf(", %d with what was changed without a second person in the last 24 hours", v.Together)
		}
		p.line("It would change %d of %d devices%s, so another person has to approve it: generation %d is proposed. Nothing is sent yet.", v.Changed, v.Devices, together, v.Generation)
		p.line("  ward policy approve %d", v.Generation)
	case policy.Rolling:
		p.line("Generation %d is being rolled out, to the first of %d rings.", v.Generation, ringCount(v))
		p.line("  ward policy rollout")
	default:
		p.line("The policy is published as generation %d. Devices get it as they check in: ward device list tells which comply.", v.Generation)
	}
}

func ringCount(v api.PolicyVersion) int {
	if v.Rings == nil {
		return 1
	}
	return ringsOf(v).Count()
}

// ringsOf is the rings of a version as the server reckons with them.
func ringsOf(v api.PolicyVersion) policy.Rings {
	if v.Rings == nil {
		return policy.Rings{}
	}
	r := policy.Rings{Percent: v.Rings.Percent, Pause: time.Duration(v.Rings.Pause) * time.Second, StopAt: v.Rings.StopAt}
	if len(v.Rings.Canary) > 0 {
		r.Canary = v.Rings.Canary
	}
	return r
}

// printVersion tells who made a version, who approved it, and how it reaches the fleet.
func printVersion(p *printer, v api.PolicyVersion) {
	p.line("Generation %d, published by %s at %s", v.Generation, by(v.Author, string(v.PublishedBy)), stamp(v.Published))
	approved := ""
	if v.Approved != nil {
		approved = by(v.ApproverName, string(v.ApprovedBy)) + " at " + stamp(*v.Approved)
	}
	ended := v.EndReason
	if v.Ended != nil {
		ended = strings.TrimSuffix(stamp(*v.Ended)+": "+v.EndReason, ": ")
	}
	together := ""
	if v.Together > v.Changed {
		together = fmt.Sprintf("%d devices, with what was changed without a second person in the 24 hours before", v.Together)
	}
	p.facts("state", string(v.State), "reason", v.Reason, "note", v.Note, "approved by", approved, "reaches", ringsOf(v).String(),
		"changed", fmt.Sprintf("%d of %d devices", v.Changed, v.Devices), "together", together, "ended", ended)
}

func by(name, id string) string {
	switch {
	case name == "":
		return id
	case id == "":
		return name
	}
	return name + " (" + id + ")"
}
