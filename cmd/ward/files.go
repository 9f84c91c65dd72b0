package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"
)

func outputFlag() cli.Flag {
	return &cli.PathFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of the terminal"}
}

// output gives fn the file of --output, readable to its owner only, or the terminal. A
// file that could not be written whole does not stay.
func output(c *cli.Context, fn func(w io.Writer) error) error {
	path := c.Path("output")
	if path == "" {
		return fn(c.App.Writer)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return fmt.Errorf("%s exists already: it is not written over", path)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(fn(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	_, err = fmt.Fprintln(c.App.ErrWriter, "written to", path)
	return err
}

// readFile reads a file that the caller named; what says in an error what it should have
// been.
func readFile(what, path string) ([]byte, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the caller's own file, as the caller
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", what, err)
	}
	return b, nil
}
