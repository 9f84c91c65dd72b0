package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/lost"
)

func newLockCommand() *cli.Command {
	return &cli.Command{
		Name: "lock", Usage: "lock a device once", ArgsUsage: "DEVICE", Description: deviceWord,
		Flags: remoteFlags(
			&cli.StringFlag{Name: "message", Usage: "`TEXT` on the lock screen"},
			&cli.StringFlag{Name: "phone", Usage: "`NUMBER` to call, on the lock screen"},
		),
		Action: func(c *cli.Context) error {
			return act(c, "lock", map[string]any{"message": c.String("message"), "phone": c.String("phone")},
				"The lock is queued for %s. ward device show tells when the device has accepted it.")
		},
	}
}

func newLostCommand() *cli.Command {
	return &cli.Command{
		Name: "lost", Usage: "report devices as lost or stolen: each is locked at once", ArgsUsage: "DEVICE...", Description: deviceWord,
		Flags: remoteFlags(
			&cli.BoolFlag{Name: "stolen", Usage: "it was stolen, not lost"},
			&cli.StringFlag{Name: "where", Usage: "`PLACE` where it was last seen"},
			&cli.TimestampFlag{Name: "when", Usage: "`TIME` when it was last seen, such as 2026-05-01T09:30", Layout: "2006-01-02T15:04", Timezone: time.Local},
			&cli.StringFlag{Name: "unlocked", Usage: "`ANSWER` to whether it was unlocked then: yes or no"},
			&cli.StringFlag{Name: "note", Usage: "`TEXT` for the record"},
			&cli.StringFlag{Name: "message", Usage: "`TEXT` that the device shows"},
			&cli.StringFlag{Name: "phone", Usage: "`NUMBER` that the device shows"},
		),
		Action: deviceLost,
	}
}

func deviceLost(c *cli.Context) error {
	if c.NArg() == 0 {
		return usagef(c, "DEVICE is missing.")
	}
	r := api.LostReport{
		Kind: lost.Lost, Where: c.String("where"), Unlocked: lost.Answer(c.String("unlocked")), Note: c.String("note"),
		Message: c.String("message"), Phone: c.String("phone"),
	}
	if when := c.Timestamp("when"); when != nil {
		r.When = when.UTC()
	}
	if c.Bool("stolen") {
		r.Kind = lost.Stolen
	}
	if r.Unlocked != lost.Unknown && r.Unlocked != lost.Yes && r.Unlocked != lost.No {
		return usagef(c, "--unlocked is yes or no, not %q; leave it out if nobody knows.", string(r.Unlocked))
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/cases", struct {
		Devices []string `json:"devices"`
		api.LostReport
	}{c.Args().Slice(), r})
	if err != nil {
		return err
	}
	var told api.CasesReported
	if err := json.Unmarshal(raw, &told); err != nil {
		return unexpected(err)
	}
	err = answer(c, raw, func(p *printer, v api.CasesReported) {
		for _, k := range v.Cases {
			p.line("Device %s is reported %s in case %s: it is being locked, and its app certificates are revoked.", string(k.Device), string(k.Kind), string(k.ID))
			p.line("  follow it    ward case show %s", string(k.ID))
			p.line("  found again  ward device found %s", string(k.Device))
		}
	})
	if err == nil && len(told.Errors) > 0 {
		return errors.New("the others were not reported: " + strings.Join(told.Errors, "\n  - "))
	}
	return err
}

func newFoundCommand() *cli.Command {
	return &cli.Command{
		Name: "found", Usage: "end the search for a device: it is unlocked and managed again", ArgsUsage: "DEVICE", Description: deviceWord,
		Flags: remoteFlags(&cli.StringFlag{Name: "note", Usage: "`TEXT` for the record"}),
		Action: func(c *cli.Context) error {
			return act(c, "found", map[string]any{"note": c.String("note")}, "%s is found: lost mode ends, and it gets new app credentials.")
		},
	}
}

func newWipeCommand() *cli.Command {
	return &cli.Command{
		Name: "wipe", Usage: "ask for a device to be erased: another person has to approve it", ArgsUsage: "DEVICE",
		Description: deviceWord + "\n\nNothing is sent to the device until a second person approves the order. A personal\ndevice is never erased.",
		Flags: remoteFlags(
			&cli.StringFlag{Name: "reason", Usage: "why, for the approver and the record"},
			&cli.BoolFlag{Name: "preserve-data-plan", Usage: "keep the mobile data plan of an eSIM"},
			&cli.BoolFlag{Name: "disallow-proximity-setup", Usage: "no set-up by a phone held near it"},
		),
		Action: deviceWipe,
	}
}

func deviceWipe(c *cli.Context) error {
	cl, args, err := readyFor(c, "DEVICE")
	if err != nil {
		return err
	}
	if c.String("reason") == "" {
		return usagef(c, "--reason is missing: the approver has to know why.")
	}
	raw, err := cl.send(c.Context, http.MethodPost, devicePath(args[0], "wipe"), map[string]any{
		"reason":             c.String("reason"),
		"preserve_data_plan": c.Bool("preserve-data-plan"), "disallow_proximity_setup": c.Bool("disallow-proximity-setup"),
	})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Order) {
		p.line("Order %s asks to %s. Nothing is sent until another person approves it, before %s:", string(v.ID), deed(v), stamp(v.Expires))
		p.line("  ward order approve %s", string(v.ID))
	})
}

// act asks for a deed on the device that is the only argument, and prints done with its
// name.
func act(c *cli.Context, deed string, body any, done string) error {
	cl, args, err := readyFor(c, "DEVICE")
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, devicePath(args[0], deed), body)
	if err != nil {
		return err
	}
	return said(c, raw, fmt.Sprintf(done, args[0]))
}
