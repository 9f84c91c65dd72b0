package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/api"
)

func newPolicyCommand() *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "check, plan, publish and roll out the messaging policy",
		Description: "Files that a policy names are read from its own folder, and go with it.\n" +
			"FILE may be - for the input; then they are read from the folder that ward runs in.",
		Subcommands: append([]*cli.Command{
			{
				Name: "validate", Usage: "check a policy file and tell what it would come to", ArgsUsage: "FILE", Action: policyValidate,
				Description: "Without a server the file alone is checked. With WARD_URL, Ward also tells how far\neach kind of device in the fleet would carry it out.",
				Flags:       remoteFlags(),
			},
			newPlanCommand(), newPublishCommand(), newPolicyApproveCommand(),
			{
				Name: "withdraw", Usage: "take a proposal back", ArgsUsage: "GENERATION", Action: policyWithdraw,
				Flags: remoteFlags(&cli.StringFlag{Name: "reason", Usage: "why, for the record"}),
			},
			{
				Name: "show", Usage: "print the policy in force", Action: policyShow,
				Flags: remoteFlags(
					&cli.Int64Flag{Name: "generation", Usage: "another version, by its `NUMBER`"},
					&cli.BoolFlag{Name: "summary", Usage: "tell it in words instead"},
				),
			},
			{Name: "versions", Usage: "list the versions with author, approver and reason", Action: policyVersions, Flags: remoteFlags()},
			{
				Name: "diff", Usage: "tell what changed from one version to another", ArgsUsage: "[FROM] TO", Action: policyDiff,
				Description: "Without FROM, TO is compared with what was in force when it was made.", Flags: remoteFlags(),
			},
			{Name: "rollout", Usage: "tell how far the rollout of a version is", Action: policyRollout, Flags: remoteFlags()},
			{
				Name: "stop", Usage: "open no further ring of the rollout that is under way", Action: policyStop,
				Flags: remoteFlags(&cli.StringFlag{Name: "reason", Usage: "why, for the record"}),
			},
			{Name: "resume", Usage: "let a stopped rollout go on", Action: policyResume, Flags: remoteFlags()},
			newRollbackCommand(), newDriftCommand(),
		}, localPolicyCommands()...),
	}
}

func policyValidate(c *cli.Context) error {
	d, err := readPolicy(c)
	if err != nil {
		return invalidPolicy(c, err)
	}
	p, err := profiles.Parse([]byte(d.Text), d.Files)
	if err != nil {
		return invalidPolicy(c, err)
	}
	if c.String("url") == "" {
		s := p.Summary(time.Now().UTC())
		if c.Bool("json") {
			return printValue(c.App.Writer, map[string]any{"valid": true, "name": s.Name, "warnings": append([]string{}, s.Warnings...)})
		}
		_, err := fmt.Fprint(c.App.Writer, cleanLines(s.String()))
		return err
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/policy/validate", d)
	if err != nil {
		return err
	}
	return answer(c, raw, printPreview)
}

// invalidPolicy ends a validation. With --json a policy's mistakes are in the output too.
func invalidPolicy(c *cli.Context, err error) error {
	e, ok := errors.AsType[*ward.Error](err)
	if !ok || e.Kind != ward.Invalid || !c.Bool("json") {
		return err
	}
	mistakes := e.Details
	if len(mistakes) == 0 {
		mistakes = []string{e.Message}
	}
	return errors.Join(err, printValue(c.App.Writer, map[string]any{"valid": false, "mistakes": mistakes}))
}

func printPreview(p *printer, v api.Preview) {
	p.write(cleanLines(v.Summary.Text))
	p.line("\nIt would change %d of %d enrolled devices.", v.Changed, v.Devices)
	for _, l := range v.Lines {
		p.line("\n%s: %d", l.Class, l.Devices)
		printLimits(p, l.Limits)
	}
}

func policyShow(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	path := "/policy"
	if c.IsSet("generation") {
		path = versionPath(strconv.FormatInt(c.Int64("generation"), 10), "")
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Policy) {
		if !c.Bool("summary") {
			p.write(cleanText(v.Text))
			return
		}
		printVersion(p, v.PolicyVersion)
		p.write(cleanLines(v.Summary.Text))
	})
}

// versionPath is where the operations of a version stand.
func versionPath(generation, more string) string {
	return "/policy/versions/" + url.PathEscape(generation) + more
}

// cleanText cleans a file's text, which may hold tabs.
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return harmless(r)
	}, s)
}
