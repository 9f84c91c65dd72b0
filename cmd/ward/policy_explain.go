package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/api"
)

func newExplainCommand() *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "tell what becomes of each intent on a device, and which line gave each setting", ArgsUsage: "[FILE]", Action: policyExplain,
		Description: "With FILE the device is the one that the flags describe, and no server is asked. With\n--device it is one of the fleet, under the version that holds for it.",
		Flags: remoteFlags(targetFlags(
			&cli.StringFlag{Name: "device", Usage: "`DEVICE` of the fleet, instead of FILE: id, serial number, UDID or exact name"},
			&cli.BoolFlag{Name: "origins", Usage: "tell which line of which file gave each setting"},
		)...),
	}
}

// ownFile is how origins name the policy file itself.
const ownFile = "policy.yaml"

func policyExplain(c *cli.Context) error {
	if word := c.String("device"); word != "" {
		cl, err := ready(c)
		if err != nil {
			return err
		}
		raw, err := cl.do(c.Context, request{method: http.MethodGet, path: devicePath(word, "policy")})
		if err != nil {
			return err
		}
		return answer(c, raw, func(p *printer, x api.PolicyExplanation) {
			p.line("Generation %d on %s", x.Generation, word)
			printExplanation(p, x, true)
		})
	}
	s, err := subject(c)
	if err != nil {
		return err
	}
	policy, err := parsePolicy(c)
	if err != nil {
		return err
	}
	x := api.ExplanationOf(policy.Explain(s, time.Now().UTC()))
	for i, o := range x.Origins {
		if o.File == ownFile {
			x.Origins[i].File = filepath.Base(c.Args().First())
		}
	}
	if c.Bool("json") {
		return printValue(c.App.Writer, x)
	}
	p := &printer{w: c.App.Writer}
	printExplanation(p, x, c.Bool("origins"))
	return p.err
}

func printExplanation(p *printer, x api.PolicyExplanation, origins bool) {
	p.line("%s", x.Kind)
	for _, l := range x.Limits {
		p.line("\n%s: %s", strings.ToUpper(string(l.Verdict)), l.Intent)
		if l.Mechanism != "" {
			since := ""
			if l.Since != "" {
				since = ", from version " + l.Since
			}
			p.line("  by %s%s", l.Mechanism, since)
		}
		for _, words := range []string{l.Why, l.Cure} {
			if words != "" {
				p.line("  %s", words)
			}
		}
	}
	if len(x.Exceptions) > 0 {
		p.line("\nExceptions in force")
	}
	for _, e := range x.Exceptions {
		p.line("  %s: %s, until the end of %s, approved by %s: %s", e.ID, e.App, e.Expires.Format(time.DateOnly), e.Approver, e.Reason)
	}
	if !origins {
		return
	}
	p.line("\nWhere each setting came from")
	for _, o := range x.Origins {
		where := o.Layer
		if o.Line > 0 {
			where = fmt.Sprintf("%s:%d, %s", o.File, o.Line, o.Layer)
		}
		p.line("  %s: %s", o.Path, shortened(o.Value))
		p.line("    %s%s", where, because(o.Source))
	}
}

// shortened cuts a long value, such as the words of a notice.
func shortened(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}

func newCompileCommand() *cli.Command {
	return &cli.Command{
		Name: "compile", Usage: "write exactly what a device would get, one file each", ArgsUsage: "FILE", Action: policyCompile,
		Description: "Variables such as {{device.id}} stay as they are: a device's own values take their place\nwhen it is sent. Files that are there already are not written over.",
		Flags: targetFlags(
			&cli.BoolFlag{Name: "user-channel", Usage: "what the channel of a person on a Mac gets"},
			&cli.PathFlag{Name: "out", Usage: "`FOLDER` to write to; it is made if it is not there"},
			&cli.BoolFlag{Name: "json", Usage: "list what was written as JSON"},
		),
	}
}

func policyCompile(c *cli.Context) error {
	folder := c.Path("out")
	if folder == "" {
		return usagef(c, "--out is missing: name a folder to write to.")
	}
	s, err := subject(c)
	if err != nil {
		return err
	}
	p, err := parsePolicy(c)
	if err != nil {
		return err
	}
	all, err := artifacts(c, p, s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	type file struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	}
	list := []file{}
	for _, a := range all {
		path := filepath.Join(folder, filepath.Base(a.Name))
		if err := writeNew(path, a.Data); err != nil {
			return err
		}
		list = append(list, file{a.Kind, path})
	}
	if c.Bool("json") {
		return printValue(c.App.Writer, list)
	}
	out := &printer{w: c.App.Writer}
	if len(list) == 0 {
		out.line("Such a device gets nothing.")
	}
	for _, f := range list {
		out.line("%s  %s", f.Kind, f.Name)
	}
	return out.err
}

// artifacts are what the device of the flags gets.
func artifacts(c *cli.Context, p *profiles.Policy, s profiles.Subject) ([]intent.Artifact, error) {
	now := time.Now().UTC()
	if !c.Bool("user-channel") {
		return p.Artifacts(s, now), nil
	}
	t := s.Target()
	if t.Platform != "macos" {
		return nil, usagef(c, "--user-channel is for --platform macos.")
	}
	t.UserChannel = true
	r, err := apple.Compile(p.Settle(s.Device, now).Wanted, t)
	if err != nil {
		return nil, fmt.Errorf("compile the policy: %w", err)
	}
	return apple.Artifacts(r), nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // the caller's own folder; nothing in a policy is secret
	if os.IsExist(err) {
		return fmt.Errorf("%s exists already: it is not written over", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
