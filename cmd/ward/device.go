package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
)

func newDeviceCommand() *cli.Command {
	return &cli.Command{
		Name:  "device",
		Usage: "see devices, and lock, report or wipe one",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "show every device with its state and the reason", Action: deviceList,
				Description: "Without flags all devices are listed. A flag that may be given several times lists devices with any of its values; flags of several kinds have to fit all.",
				Flags:       remoteFlags(filterFlags()...),
			},
			{
				Name: "show", Usage: "tell what a device is, what is wrong, what is enforced and what was done",
				ArgsUsage: "DEVICE", Description: deviceWord, Action: deviceShow, Flags: remoteFlags(),
			},
			newLockCommand(), newLostCommand(), newFoundCommand(), newWipeCommand(), newRecoveryCodeCommand(),
			{
				Name: "pin", Usage: "tell the PINs that a Mac was locked or erased with; each look is recorded", ArgsUsage: "DEVICE", Description: deviceWord,
				Action: func(c *cli.Context) error {
					return tellPINs(c, "DEVICE", func(id, more string) string { return devicePath(id) + more })
				}, Flags: remoteFlags(),
			},
			{
				Name: "restart", Usage: "restart a device once", ArgsUsage: "DEVICE", Description: deviceWord, Flags: remoteFlags(),
				Action: deviceDeed("restart", "The restart is queued for %s. ward command list tells when the device has accepted it."),
			},
			{
				Name: "refresh", Usage: "ask a device about itself now", ArgsUsage: "DEVICE", Description: deviceWord,
				Action: deviceDeed("refresh", "%s is asked about itself; its answers come when it is awake."), Flags: remoteFlags(),
			},
			{
				Name: "release", Usage: "let a device enrol anew although it is still enrolled", ArgsUsage: "DEVICE",
				Description: deviceWord, Flags: remoteFlags(),
				Action: deviceDeed("release", "%s may enrol once more with a new invitation."),
			},
			{
				Name: "move", Usage: "put a device into another group, site or staff role", ArgsUsage: "DEVICE [GROUP]",
				Description: deviceWord + "\n\nThe policy may want something else of it there, and it gets that at once.", Action: deviceMove,
				Flags: remoteFlags(
					&cli.StringFlag{Name: "group", Usage: "the `GROUP` that it belongs to from now on"},
					&cli.StringFlag{Name: "site", Usage: "the `SITE` that it belongs to; '' for none"},
					&cli.StringFlag{Name: "role", Usage: "the staff `ROLE` that it is meant for; '' for none"},
				),
			},
		},
	}
}

const deviceWord = "DEVICE is an id, a serial number, a UDID or the device's exact name."

func deviceMove(c *cli.Context) error {
	to := map[string]string{}
	var words []string
	for _, part := range []string{"group", "site", "role"} {
		if c.IsSet(part) {
			to[part] = c.String(part)
		}
	}
	names := []string{"DEVICE"}
	if len(to) == 0 || c.NArg() == 2 { // the group by its place alone
		names = append(names, "GROUP")
	}
	cl, args, err := readyFor(c, names...)
	if err != nil {
		return err
	}
	if len(args) == 2 {
		to["group"] = args[1]
	}
	for _, part := range sortedKeys(to) {
		if to[part] == "" {
			words = append(words, "no "+part)
			continue
		}
		words = append(words, "the "+part+" "+to[part])
	}
	raw, err := cl.send(c.Context, http.MethodPut, devicePath(args[0], "group"), to)
	if err != nil {
		return err
	}
	return said(c, raw, fmt.Sprintf("%s is in %s now.", args[0], strings.Join(words, " and ")))
}

func system(d api.Device) string {
	name := string(d.Platform)
	switch d.Platform {
	case ward.IOS:
		name = "iOS"
	case ward.MacOS:
		name = "macOS"
	}
	return strings.TrimSpace(name + " " + d.OSVersion)
}

// devicePath is where a device's operations stand.
func devicePath(word string, more ...string) string {
	return "/devices/" + strings.Join(append([]string{url.PathEscape(word)}, more...), "/")
}

// deviceDeed is the action of a command about which nothing more is to be said.
func deviceDeed(deed, done string) cli.ActionFunc {
	return func(c *cli.Context) error { return act(c, deed, nil, done) }
}
