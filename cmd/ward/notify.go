package main

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/notify"
)

func newNotifyCommand() *cli.Command {
	return &cli.Command{
		Name:  "notify",
		Usage: "see what the people on call were told, and try whether they can be reached",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "show messages, the newest first, and whether each arrived", Action: notifyList,
				Flags: remoteFlags(&cli.IntFlag{Name: "limit", Value: 50, Usage: "how many; 0 for all"}),
			},
			{
				Name: "test", Usage: "send everyone on call, and every webhook, a test", Flags: remoteFlags(),
				Action: func(c *cli.Context) error {
					cl, err := ready(c)
					if err != nil {
						return err
					}
					raw, err := cl.send(c.Context, http.MethodPost, "/notifications/test", nil)
					if err != nil {
						return err
					}
					return said(c, raw, "A test is on its way. ward notify list tells whether it arrived.")
				},
			},
			{
				Name: "replay", Usage: "send a message again", ArgsUsage: "MESSAGE", Flags: remoteFlags(),
				Action: func(c *cli.Context) error {
					cl, args, err := readyFor(c, "MESSAGE")
					if err != nil {
						return err
					}
					raw, err := cl.send(c.Context, http.MethodPost, "/notifications/"+url.PathEscape(args[0])+"/replay", nil)
					if err != nil {
						return err
					}
					return said(c, raw, "Message "+args[0]+" is on its way again.")
				},
			},
		},
	}
}

func notifyList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.list(c.Context, "/notifications", nil, c.Int("limit"))
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Notification]) {
		if len(v.Items) == 0 {
			p.line("Nobody was told anything yet. ward notify test tries whether they can be reached.")
			return
		}
		rows := make([][]string, len(v.Items))
		for i, n := range v.Items {
			rows[i] = []string{n.ID, stamp(n.Made), string(n.Topic), n.Subject, channel(n), arrival(n)}
		}
		p.table([]string{"MESSAGE", "AT", "ABOUT", "SUBJECT", "TO", "STATE"}, rows)
	})
}

func channel(n api.Notification) string {
	if n.Channel == notify.None {
		return "nobody is configured"
	}
	return strings.TrimSpace(cmp.Or(n.To, n.Channel))
}

// arrival says whether a message arrived, as far as anybody can know.
func arrival(n api.Notification) string {
	switch {
	case n.Delivered != nil:
		return "taken at " + stamp(*n.Delivered)
	case n.GivenUp != nil:
		return "given up" + because(n.Error)
	}
	w := string(n.State)
	if n.Due != nil && n.Attempts > 0 {
		w += ", tried " + counted(n.Attempts, "time") + ", next at " + stamp(*n.Due)
	}
	return w + because(n.Error)
}
