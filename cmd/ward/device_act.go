package main

import (
	"fmt"
	"net/http"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
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

func newFoundCommand() *cli.Command {
	return &cli.Command{
		Name: "found", Usage: "end the search for a device: it is unlocked and managed again", ArgsUsage: "DEVICE", Description: deviceWord,
		Flags: remoteFlags(&cli.StringFlag{Name: "note", Usage: "`TEXT` for the record"}),
		Action: func(c *cli.Context) error {
			return act(c, "found", map[string]any{"note": c.String("note")}, "%s is found: where it is still managed, lost mode ends and it gets new app credentials. ward device show tells how it stands.")
		},
	}
}

func newWipeCommand() *cli.Command {
	return &cli.Command{
		Name: "wipe", Usage: "ask for a device to be erased: two people have to sign the order", ArgsUsage: "DEVICE",
		Description: deviceWord + "\n\nNothing is sent to the device until two people have signed the order in a browser, each\nwith a passkey of their own. A personal device is never erased. The order belongs to the\ndevice's open case; ward order request has all options.",
		Flags: remoteFlags(
			&cli.StringFlag{Name: "reason", Usage: "why; whoever signs reads it"},
			&cli.BoolFlag{Name: "preserve-data-plan", Value: true, Usage: "keep the mobile data plan of an eSIM; it is kept unless =false"},
			&cli.BoolFlag{Name: "disallow-proximity-setup", Usage: "no set-up by a phone held near it"},
		),
		Action: deviceWipe,
	}
}

func deviceWipe(c *cli.Context) error {
	args, err := arguments(c, "DEVICE")
	if err != nil {
		return err
	}
	reason, err := reasonOf(c)
	if err != nil {
		return err
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, devicePath(args[0], "wipe"), map[string]any{
		"reason": reason, "preserve_data_plan": c.Bool("preserve-data-plan"), "disallow_proximity_setup": c.Bool("disallow-proximity-setup"),
	})
	if err != nil {
		return err
	}
	return answer(c, raw, printAsked)
}

func newRecoveryCodeCommand() *cli.Command {
	return &cli.Command{
		Name: "recovery-code", Usage: "make the code with which its holder reports a device lost, without signing in", ArgsUsage: "DEVICE",
		Description: deviceWord + "\n\nThe code is told this once, to be printed for the holder. The one before is void.", Flags: remoteFlags(), Action: recoveryCode,
	}
}

func recoveryCode(c *cli.Context) error {
	cl, args, err := readyFor(c, "DEVICE")
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, devicePath(args[0], "recovery-code"), nil)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.RecoveryCode) {
		p.line("%s", v.Code)
		p.line("Print it for the holder of the device: with it they report it lost at %s", v.URL)
		p.line("It is told this once, and a code from before is void.")
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
