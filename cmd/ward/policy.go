package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/api"
)

func newPolicyCommand() *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "check, publish and read the messaging policy",
		Subcommands: []*cli.Command{
			{
				Name: "validate", Usage: "check a policy file and tell what it would come to", ArgsUsage: "FILE", Action: policyValidate,
				Description: "Without a server the file alone is checked. With WARD_URL, Ward also tells how far\neach kind of device in the fleet would carry it out. FILE may be - for the input.",
				Flags:       remoteFlags(),
			},
			{Name: "publish", Usage: "make a file the policy", ArgsUsage: "FILE", Action: policyPublish, Flags: remoteFlags()},
			{
				Name: "show", Usage: "print the published policy", Action: policyShow,
				Flags: remoteFlags(&cli.BoolFlag{Name: "summary", Usage: "tell it in words instead"}),
			},
			{Name: "example", Usage: "print a policy to start from; it needs no server", Action: policyExample},
		},
	}
}

// policyFile reads the file that is the only argument.
func policyFile(c *cli.Context) ([]byte, error) {
	args, err := arguments(c, "FILE")
	if err != nil {
		return nil, err
	}
	if args[0] != "-" {
		return readFile("the policy", args[0])
	}
	text, err := io.ReadAll(io.LimitReader(c.App.Reader, profiles.MaxPolicySize+1))
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	return text, nil
}

func policyValidate(c *cli.Context) error {
	text, err := policyFile(c)
	if err != nil {
		return err
	}
	p, err := profiles.Parse(text)
	if err != nil {
		return err
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
	raw, err := cl.do(c.Context, policyRequest(http.MethodPost, "/policy/validate", text))
	if err != nil {
		return err
	}
	return answer(c, raw, printPreview)
}

func policyRequest(method, path string, text []byte) request {
	return request{method: method, path: path, contentType: "text/yaml", body: bytes.NewReader(text)}
}

func printPreview(p *printer, v api.Preview) {
	p.write(cleanLines(v.Summary.Text))
	p.line("\nIt would change %d of %d enrolled devices.", v.Changed, v.Devices)
	for _, l := range v.Lines {
		p.line("\n%s: %d", l.Class, l.Devices)
		printLimits(p, l.Limits)
	}
}

func policyPublish(c *cli.Context) error {
	text, err := policyFile(c)
	if err != nil {
		return err
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, policyRequest(http.MethodPut, "/policy", text))
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Policy) {
		p.line("The policy is published as generation %d. Devices get it as they check in: ward device list tells which comply.", v.Generation)
	})
}

func policyShow(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/policy"})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Policy) {
		if !c.Bool("summary") {
			p.write(cleanText(v.Text))
			return
		}
		p.line("Generation %d, published by %s at %s", v.Generation, string(v.PublishedBy), stamp(v.Published))
		p.write(cleanLines(v.Summary.Text))
	})
}

func policyExample(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	_, err := c.App.Writer.Write(profiles.ExamplePolicy())
	return err
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
