package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/seed"
	"golang.org/x/term"
)

func newSeedCommand() *cli.Command {
	return &cli.Command{
		Name:  "seed",
		Usage: "fill an empty database with a made-up fleet and its past, to try Ward at size",
		Description: "The server must have run once, so that its keys are there, and must not run now. What\n" +
			"is made is written straight into the database: devices, their enrolments and what they\n" +
			"told, how they were judged on each day, and how long what was wrong stayed. Where no\n" +
			"policy is in force one is published. A database that holds devices is refused.\n\n" +
			"Never use it where real devices are to enrol: docs/performance.md.",
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "data", Usage: "the `FOLDER` of the server"},
			&cli.PathFlag{Name: "config", Usage: "the server's configuration `FILE`, instead of --data"},
			&cli.IntFlag{Name: "devices", Value: 1000, Usage: "how many devices"},
			&cli.IntFlag{Name: "days", Value: 365, Usage: "how many days of the past"},
			&cli.IntFlag{Name: "sites", Value: 6, Usage: "how many sites they are at"},
			&cli.IntFlag{Name: "groups", Value: 200, Usage: "how many wards and teams they belong to"},
			&cli.Uint64Flag{Name: "random", Value: 1, Usage: "another number makes another fleet"},
		},
		Action: seedFleet,
	}
}

func seedFleet(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	if (c.Path("data") == "") == (c.Path("config") == "") {
		return usagef(c, "Name the folder of the server by --data, or its configuration by --config.")
	}
	cfg, err := consoleConfig(c)
	if err != nil {
		return err
	}
	o := seed.Options{Devices: c.Int("devices"), Days: c.Int("days"), Sites: c.Int("sites"), Groups: c.Int("groups"), Random: c.Uint64("random")}
	if f, ok := c.App.ErrWriter.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		bar := progressbar.NewOptions(1, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription("making a fleet"), progressbar.OptionSetWidth(24), progressbar.OptionClearOnFinish())
		o.Tell = func(done, all int) {
			bar.ChangeMax(all)
			bar.Set(done) //nolint:errcheck // a bar that can't be drawn stops nothing
		}
	}
	began := time.Now()
	sum, err := server.Seed(c.Context, cfg, o)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.App.Writer, "Made %d devices with %d changes since %s in %s.\n", sum.Devices, sum.Changes, sum.From.Format("2 Jan 2006"), time.Since(began).Round(time.Second)); err != nil {
		return err
	}
	for _, s := range estate.Attention {
		if n := sum.States[s]; n > 0 {
			if _, err := fmt.Fprintf(c.App.Writer, "  %-14s%8d\n", s, n); err != nil {
				return err
			}
		}
	}
	return nil
}
