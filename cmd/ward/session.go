package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/api"
)

func newSessionCommand() *cli.Command {
	return &cli.Command{
		Name:  "session",
		Usage: "see where people are signed in, and sign them out",
		Subcommands: []*cli.Command{
			{Name: "list", Usage: "show where a person is signed in", ArgsUsage: "NAME", Action: sessionList, Flags: remoteFlags()},
			{
				Name: "revoke", Usage: "end one session, or every session of a person", ArgsUsage: "SESSION-ID", Action: sessionRevoke,
				Flags: remoteFlags(&cli.StringFlag{Name: "all-of", Usage: "end every session of the person `NAME`, in the place of one"}),
			},
		},
	}
}

func sessionList(c *cli.Context) error {
	cl, args, err := readyFor(c, "NAME")
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodGet, personPath(args[0], "/sessions"), nil)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Sessions) {
		rows := make([][]string, len(v.Items))
		for i, x := range v.Items {
			by := string(x.How)
			if x.Provider != "" {
				by = x.Provider
			}
			rows[i] = []string{x.ID, by, x.Address, x.Browser, stamp(x.Begun), stamp(x.Seen)}
		}
		p.table([]string{"SESSION-ID", "BY", "ADDRESS", "BROWSER", "BEGUN", "LAST USED"}, rows)
	})
}

func sessionRevoke(c *cli.Context) error {
	if name := c.String("all-of"); name != "" {
		cl, err := ready(c)
		if err != nil {
			return err
		}
		raw, err := cl.send(c.Context, http.MethodDelete, personPath(name, "/sessions"), nil)
		if err != nil {
			return err
		}
		return answer(c, raw, func(p *printer, v api.Ended) { p.line("%s is signed out: %d sessions ended.", name, v.Sessions) })
	}
	cl, args, err := readyFor(c, "SESSION-ID")
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodDelete, "/sessions/"+url.PathEscape(args[0]), nil)
	if err != nil {
		return err
	}
	return said(c, raw, fmt.Sprintf("The session %s is ended.", args[0]))
}

// newSecondFactorCommand is what the operator does for somebody who lost theirs.
func newSecondFactorCommand() *cli.Command {
	return &cli.Command{
		Name: "second-factor", Usage: "help somebody who lost their second factor",
		Subcommands: []*cli.Command{{
			Name: "reset", Usage: "forget the second factor of a person and sign them out", ArgsUsage: "NAME", Action: secondFactorReset,
			Description: "With --data DIR it works on the server's own data folder and needs no token.",
			Flags:       remoteFlags(consoleFlags()...),
		}},
	}
}

func secondFactorReset(c *cli.Context) error {
	args, err := arguments(c, "NAME")
	if err != nil {
		return err
	}
	done := fmt.Sprintf("The second factor of %s is forgotten, and their sessions are ended: they sign in by passphrase and set up a new one.", args[0])
	if atConsole(c) {
		return onPerson(c, args[0], done, func(ctx context.Context, k *server.Console, p access.Person) error {
			return k.SignIn.ResetFactors(ctx, p.ID)
		})
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, personPath(args[0], "/second-factor/reset"), nil)
	if err != nil {
		return err
	}
	return said(c, raw, done)
}

// newBreakGlassAccountCommand says who may come in where the provider does not work.
func newBreakGlassAccountCommand() *cli.Command {
	return &cli.Command{
		Name: "emergency", Usage: "keep an account for emergencies: it may sign in by passphrase where a provider is set up", ArgsUsage: "NAME",
		Description: "It works on the server's own data folder.",
		Flags:       append(consoleFlags(), &cli.BoolFlag{Name: "off", Usage: "it is kept for emergencies no more"}, &cli.BoolFlag{Name: "json", Usage: "print JSON"}),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, "NAME")
			if err != nil {
				return err
			}
			if err := onlyAtConsole(c); err != nil {
				return err
			}
			done := args[0] + " may sign in by passphrase."
			if c.Bool("off") {
				done = args[0] + " signs in with their organisation's account only."
			}
			return onPerson(c, args[0], done, func(ctx context.Context, k *server.Console, p access.Person) error {
				return k.SignIn.SetBreakGlass(ctx, p.ID, !c.Bool("off"))
			})
		},
	}
}

// onPerson does something to a person at the server's console and says that it is done.
func onPerson(c *cli.Context, name, done string, f func(ctx context.Context, k *server.Console, p access.Person) error) error {
	return console(c, func(ctx context.Context, k *server.Console) error {
		p, err := k.Access.PersonByName(ctx, name)
		if err != nil {
			return err
		}
		if err := f(ctx, k, p); err != nil {
			return err
		}
		return said(c, []byte(`{}`), done)
	})
}
