package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/order"
)

func newBrakeCommand() *cli.Command {
	reason := func() cli.Flag { return &cli.StringFlag{Name: "reason", Usage: "why; whoever signs reads it"} }
	return &cli.Command{
		Name:  "brake",
		Usage: "see what holds dangerous deeds back, and ask for its release",
		Subcommands: []*cli.Command{
			{Name: "status", Usage: "tell how full each window is, and what is held", Action: brakeStatus, Flags: remoteFlags()},
			{
				Name: "release", Usage: "ask that what is held of a kind goes on", ArgsUsage: "KIND", Action: brakeTurn(order.ReleaseBrake),
				Description: kindWord + "\n\nIt is an order, which two people sign in a browser. One of them had no part in what is\nheld, and was an approver for a day before that.", Flags: remoteFlags(reason()),
			},
			{
				Name: "lift", Usage: "ask that the windows of a kind do not count for some hours", ArgsUsage: "KIND", Action: brakeTurn(order.LiftBrake),
				Description: kindWord + "\n\nIt is an order, which two people sign in a browser. It takes effect a day later, so that\neverybody can say stop.",
				Flags:       remoteFlags(&cli.IntFlag{Name: "hours", Usage: "for how many `HOURS`, 1 to 24"}, reason()),
			},
			{
				Name: "reset", Usage: "begin the brake's journal anew, after a restored backup or when it was changed", Action: brakeReset,
				Description: "It works on the server's own folder of keys, at its console. The journal says what\n" +
					"was ordered and delivered, and no destructive command is handed out while it is not\n" +
					"as it was written. Find out why before you begin it anew: orders from before are void\n" +
					"then, and everyone is told.",
				Flags: append(consoleFlags(), yesFlag(), &cli.StringFlag{Name: "reason", Usage: "why, for the record"}, &cli.BoolFlag{Name: "json", Usage: "print {} when it is done"}),
			},
		},
	}
}

var kindWord = "KIND is one of " + strings.Join(brakeKinds(), ", ") + "."

// brakeKinds are the kinds of deeds that the brake counts, as they are written here.
func brakeKinds() []string {
	out := make([]string, len(brake.Kinds))
	for i, k := range brake.Kinds {
		out[i] = hyphens(string(k))
	}
	return out
}

func brakeStatus(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/brake"})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.BrakeStatus) {
		if len(v.Holds) == 0 {
			p.line("Nothing is held.")
		}
		for _, h := range v.Holds {
			p.line("HELD: %s", h.Words)
			var who []string
			for _, s := range h.Involved {
				who = append(who, s.Name)
			}
			p.facts("involved", strings.Join(who, ", "), "release it", "ward brake release "+hyphens(string(h.Kind))+" --reason TEXT")
		}
		for _, l := range v.Lifted {
			_, many := brake.Words(l.Kind)
			p.line("The windows of %s do not count until %s.", many, stamp(l.Until))
		}
		p.line("")
		rows := make([][]string, len(v.Windows))
		for i, w := range v.Windows {
			rows[i] = []string{hyphens(string(w.Kind)), windowLength(w.Seconds), strconv.Itoa(w.Count), strconv.Itoa(w.Most), orAll(w.PerSite), orAll(w.PerPerson)}
		}
		p.table([]string{"KIND", "WINDOW", "DONE", "OF", "IN ONE SITE", "BY ONE PERSON"}, rows)
	})
}

func windowLength(seconds int) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d == 24*time.Hour:
		return "a day"
	case d == time.Hour:
		return "an hour"
	case d%time.Hour == 0:
		return counted(int(d/time.Hour), "hour")
	}
	return d.String()
}

// orAll is a number, or "as many" for 0.
func orAll(n int) string {
	if n == 0 {
		return "as many"
	}
	return strconv.Itoa(n)
}

// brakeTurn is the action of the commands that ask for an order about the brake.
func brakeTurn(kind order.Kind) cli.ActionFunc {
	return func(c *cli.Context) error {
		args, err := arguments(c, "KIND")
		if err != nil {
			return err
		}
		if !slices.Contains(brakeKinds(), hyphens(args[0])) {
			return usagef(c, "There is no kind %q: it is one of %s.", args[0], strings.Join(brakeKinds(), ", "))
		}
		choice := &api.BrakeTurn{Kind: brake.Kind(underscores(args[0]))}
		if kind == order.LiftBrake {
			if choice.Hours = c.Int("hours"); choice.Hours < 1 || choice.Hours > int(brake.MaxLift/time.Hour) {
				return usagef(c, "--hours is missing, or not from 1 to %d.", int(brake.MaxLift/time.Hour))
			}
		}
		reason, err := reasonOf(c)
		if err != nil {
			return err
		}
		cl, err := connect(c)
		if err != nil {
			return err
		}
		return cl.askFor(c, orderBody{Kind: kind, Reason: reason, Options: api.OrderChoice{Brake: choice}})
	}
}

func brakeReset(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	if err := onlyAtConsole(c); err != nil {
		return err
	}
	reason, err := reasonOf(c)
	if err != nil {
		return err
	}
	return console(c, func(ctx context.Context, k *server.Console) error {
		if err := confirmYes(c, "Orders from before become void, and every case that is open now is believed to have been reported: look through them first (ward case list --state open). Go on?"); err != nil {
			return err
		}
		if err := k.Reanchor(ctx, reason); err != nil {
			return err
		}
		return said(c, nil, "The brake's journal begins anew. Orders from before are void: ask for them again. Everyone is told.")
	})
}

// onlyAtConsole returns nil for a command that was given the server's own folder.
func onlyAtConsole(c *cli.Context) error {
	if atConsole(c) {
		return nil
	}
	return usagef(c, "Name the server's configuration by --config, or its data folder by --data: this is done at the server's console alone.")
}

// confirmYes asks a question at the terminal that is answered by yes. With --yes nothing is
// asked.
func confirmYes(c *cli.Context, question string) error {
	return confirmTyped(c, question+" Type yes: ", "yes", "nothing was done: the answer was not yes")
}
