package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/profiles/weblist"
)

// localPolicyCommands work on a file alone; they ask no server.
func localPolicyCommands() []*cli.Command {
	return []*cli.Command{
		newExplainCommand(), newCompileCommand(),
		{
			Name: "export", Usage: "write the blocked web hosts as a list for name servers or browsers", ArgsUsage: "FILE", Action: policyExport,
			Description: "What must stay reachable and what an approved app uses is left out. The list is that of\na work device in no group: groups and exceptions play no part in a network.",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "format", Value: string(weblist.Plain), Usage: "`FORMAT`: " + formats()},
				&cli.BoolFlag{Name: "network", Usage: "with the names of the apps' servers, not only their web versions"},
				&cli.UintFlag{Name: "serial", Usage: "serial `NUMBER` of an RPZ zone; the time in seconds if left out"},
				outputFlag(),
			},
		},
		{Name: "example", Usage: "print a policy to start from; it needs no server", Action: policyExample},
		{
			Name: "baselines", Usage: "list the built-in baselines, or print one with its sources", ArgsUsage: "[NAME]", Action: policyBaselines,
		},
		{Name: "schema", Usage: "print the JSON Schema of the policy file, for editors", Action: policySchema},
	}
}

func formats() string {
	var names []string
	for _, f := range weblist.Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// parsePolicy reads and parses the policy file that is the only argument.
func parsePolicy(c *cli.Context) (*profiles.Policy, error) {
	d, err := readPolicy(c)
	if err != nil {
		return nil, err
	}
	return profiles.Parse([]byte(d.Text), d.Files)
}

func policyExample(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	_, err := c.App.Writer.Write(profiles.ExamplePolicy())
	return err
}

func policySchema(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	_, err := c.App.Writer.Write(source.Schema())
	return err
}

func policyBaselines(c *cli.Context) error {
	if c.NArg() == 0 {
		for _, name := range source.Baselines() {
			if _, err := fmt.Fprintln(c.App.Writer, name); err != nil {
				return err
			}
		}
		return nil
	}
	args, err := arguments(c, "NAME")
	if err != nil {
		return err
	}
	text, ok := source.Baseline(args[0])
	if !ok {
		return ward.Errorf(ward.NotFound, "There is no baseline %q: there are %s.", args[0], strings.Join(source.Baselines(), ", "))
	}
	_, err = c.App.Writer.Write(text)
	return err
}

func policyExport(c *cli.Context) error {
	format := weblist.Format(c.String("format"))
	if !slices.Contains(weblist.Formats(), format) {
		return usagef(c, "There is no format %q: it is one of %s.", string(format), formats())
	}
	p, err := parsePolicy(c)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	serial := uint64(c.Uint("serial"))
	if !c.IsSet("serial") {
		serial = uint64(now.Unix()) //nolint:gosec // the time is after 1970
	}
	if serial > math.MaxUint32 {
		return usagef(c, "--serial must be %d at most.", uint32(math.MaxUint32))
	}
	block := p.Settle(ward.Device{Platform: ward.IOS, Ownership: ward.Corporate}, now).Wanted.Block
	l := weblist.List{Policy: p.Name, Version: p.Note, Serial: uint32(serial), Hosts: weblist.FromApps(block.Apps, c.Bool("network"))}
	for _, a := range p.Register {
		l.Keep = append(l.Keep, a.Web...)
	}
	return output(c, func(w io.Writer) error { return weblist.Write(w, format, l) })
}
