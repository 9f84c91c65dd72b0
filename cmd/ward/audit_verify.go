package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/audit/verify"
)

func newAuditVerifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "check that the log is whole and unaltered",
		ArgsUsage: "[EXPORT]",
		Description: "Without EXPORT the log is fetched from the server; it is checked here, so that\n" +
			"the server's word is not taken. Get the key when the server is set up\n" +
			"(ward audit key) and keep it elsewhere, as each checkpoint.",
		Flags: remoteFlags(
			&cli.StringFlag{Name: "key", Usage: "the log's public `KEY`, or a file that holds it"},
			&cli.StringSliceFlag{Name: "checkpoint", Usage: "`FILE` with an earlier checkpoint; may be repeated"},
		),
		Action: auditVerify,
	}
}

func auditVerify(c *cli.Context) error {
	if c.NArg() > 1 {
		return usagef(c, "%q is one argument too many.", c.Args().Get(1))
	}
	o, err := verifyOptions(c)
	if err != nil {
		return err
	}
	report, err := verifyFrom(c, o)
	if problem, ok := errors.AsType[*verify.Problem](err); ok {
		return fmt.Errorf("the log is NOT to be relied on: %s", problem.Error())
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printValue(c.App.Writer, map[string]any{
			"verified": true, "log": report.Log, "size": report.Size, "root": report.Root.String(),
			"earlier": append([]int64{}, report.Earlier...), "disclosed": report.Disclosed, "sealed": report.Sealed,
		})
	}
	p := &printer{w: c.App.Writer}
	p.line("The audit log %s is whole and unaltered.", report.Log)
	p.facts("entries", fmt.Sprint(report.Size), "from", at(&report.First, ""), "to", at(&report.Last, ""), "root", report.Root.String())
	for _, size := range report.Earlier {
		p.line("It begins with the earlier checkpoint of %d entries.", size)
	}
	if len(report.Earlier) == 0 {
		p.line("No earlier checkpoint was given, so entries may be missing at its end: keep checkpoints elsewhere and check against them.")
	}
	return p.err
}

// verifyOptions reads what the person who checks holds.
func verifyOptions(c *cli.Context) (verify.Options, error) {
	key := c.String("key")
	if key == "" {
		return verify.Options{}, usagef(c, "--key is missing: a log can't be checked by a key that it brings itself.")
	}
	b, err := readFile("the key", key)
	switch {
	case err == nil:
		key = string(b)
	case !strings.Contains(key, "+"): // no key as text either
		return verify.Options{}, err
	}
	o := verify.Options{PublicKey: key}
	for _, path := range c.StringSlice("checkpoint") {
		b, err := readFile("the checkpoint", path)
		if err != nil {
			return o, err
		}
		o.Earlier = append(o.Earlier, b)
	}
	return o, nil
}

// verifyFrom checks the export that is named, or the server's as it comes.
func verifyFrom(c *cli.Context, o verify.Options) (verify.Report, error) {
	if path := c.Args().First(); path != "" {
		f, err := os.Open(path)
		if err != nil {
			return verify.Report{}, fmt.Errorf("the export can't be read: %w", err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		return verify.Verify(f, o)
	}
	cl, err := connect(c)
	if err != nil {
		return verify.Report{}, err
	}
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	r, w := io.Pipe()
	fetched := make(chan error, 1)
	go func() {
		err := export(ctx, cl, false, w)
		w.CloseWithError(err)
		fetched <- err
	}()
	report, err := verify.Verify(r, o)
	cancel()
	r.CloseWithError(context.Canceled)
	// A problem in the log counts before a connection that was then broken off.
	if gone := <-fetched; gone != nil && !errors.Is(gone, context.Canceled) {
		if _, found := errors.AsType[*verify.Problem](err); !found {
			return report, gone
		}
	}
	return report, err
}
