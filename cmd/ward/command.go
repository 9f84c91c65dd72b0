package main

import (
	"net/http"
	"net/url"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func newCommandCommand() *cli.Command {
	return &cli.Command{
		Name:  "command",
		Usage: "see and take back what is queued for a device",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "show a device's commands, the newest first", ArgsUsage: "DEVICE", Description: deviceWord,
				Flags: remoteFlags(&cli.IntFlag{Name: "limit", Value: 50, Usage: "how many; 0 for all"}), Action: commandList,
			},
			{
				Name: "cancel", Usage: "take back a command that the device has not answered", ArgsUsage: "DEVICE COMMAND", Description: deviceWord,
				Flags: remoteFlags(), Action: commandCancel,
			},
		},
	}
}

func commandList(c *cli.Context) error {
	cl, args, err := readyFor(c, "DEVICE")
	if err != nil {
		return err
	}
	raw, err := cl.list(c.Context, devicePath(args[0], "commands"), nil, c.Int("limit"))
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Command]) {
		rows := make([][]string, len(v.Items))
		for i, s := range v.Items {
			rows[i] = []string{s.UUID, stamp(s.Created), s.Words}
		}
		p.table([]string{"COMMAND", "QUEUED", "STATE"}, rows)
	})
}

func commandCancel(c *cli.Context) error {
	cl, args, err := readyFor(c, "DEVICE", "COMMAND")
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodDelete, devicePath(args[0], "commands", url.PathEscape(args[1])), nil)
	if err != nil {
		return err
	}
	return said(c, raw, "Command "+args[1]+" is taken back.")
}
