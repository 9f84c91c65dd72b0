package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server"
)

func newGlassCommand() *cli.Command {
	return &cli.Command{
		Name:  "glass",
		Usage: "make the sealed key, for the night when no approver answers",
		Subcommands: []*cli.Command{{
			Name: "make", Usage: "make a sealed key in two parts, in the place of any before it", Action: glassMake,
			Description: "It is done at the server's console, and the two parts are shown this once: the server\n" +
				"keeps the public half alone. Print each on its own sheet, put each into an envelope of\n" +
				"its own, seal and sign them, and give them to two keepers in two places, neither of\n" +
				"whom may open the other's. ward order break-glass uses them. Make a new key after each\n" +
				"use, and whenever a keeper leaves.",
			Flags: append(consoleFlags(),
				&cli.PathFlag{Name: "part-1", Usage: "write the first part to this `FILE`, which must be new"},
				&cli.PathFlag{Name: "part-2", Usage: "write the second part to this `FILE`, which must be new"},
				yesFlag(), &cli.BoolFlag{Name: "json", Usage: "print the parts as JSON"}),
		}},
	}
}

func glassMake(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	if err := onlyAtConsole(c); err != nil {
		return err
	}
	paths := [2]string{c.Path("part-1"), c.Path("part-2")}
	if (paths[0] == "") != (paths[1] == "") || paths[0] != "" && paths[0] == paths[1] {
		return usagef(c, "--part-1 and --part-2 are two files, or neither is given.")
	}
	return console(c, func(ctx context.Context, k *server.Console) error {
		s, err := k.Approvers()
		if err != nil {
			return err
		}
		before, there, err := s.Glass(ctx)
		if err != nil {
			return err
		}
		if there {
			if err := confirmYes(c, fmt.Sprintf("There is a sealed key, made at %s: its two parts become waste paper.", stamp(before.At))); err != nil {
				return err
			}
		}
		files, err := newFiles(paths) // before the key, so that no part can be lost for want of its file
		if err != nil {
			return err
		}
		parts, err := s.MakeGlass(ctx)
		if err != nil {
			return errors.Join(err, files.remove())
		}
		return files.tell(c, parts)
	})
}

// partFiles are the files of the two parts, or none.
type partFiles []*os.File

func newFiles(paths [2]string) (out partFiles, err error) {
	if paths[0] == "" {
		return nil, nil
	}
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if os.IsExist(err) {
			err = fmt.Errorf("%s exists already: it is not written over", path)
		}
		if err != nil {
			return nil, errors.Join(err, out.remove())
		}
		out = append(out, f)
	}
	return out, nil
}

func (fs partFiles) remove() (err error) {
	for _, f := range fs {
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return err
}

// envelopes say what to do with the parts.
const envelopes = `Nothing else holds these parts. Print each on its own sheet, seal it in its own envelope, and give the
two to two keepers in two places. Leave no copy on this machine.
`

// tell writes the parts to their files, or shows them.
func (fs partFiles) tell(c *cli.Context, parts [2]string) (err error) {
	for i, f := range fs {
		_, werr := fmt.Fprintln(f, parts[i])
		err = errors.Join(err, werr, f.Sync(), f.Close())
	}
	if err != nil { // the key is made: its parts must not be lost with a full disk
		fs = nil
	}
	if c.Bool("json") && fs == nil {
		return errors.Join(err, printValue(c.App.Writer, map[string]string{"part_1": parts[0], "part_2": parts[1]}))
	}
	if c.Bool("json") {
		return printValue(c.App.Writer, map[string]string{"part_1_file": fs[0].Name(), "part_2_file": fs[1].Name()})
	}
	if fs != nil {
		_, err := fmt.Fprintf(c.App.Writer, "The sealed key is made. Its parts are in %s and %s.\n%s", fs[0].Name(), fs[1].Name(), envelopes)
		return err
	}
	_, perr := fmt.Fprintf(c.App.Writer, "The sealed key is made. Its two parts:\n\n  %s\n\n  %s\n\n%s", parts[0], parts[1], envelopes)
	return errors.Join(err, perr)
}
