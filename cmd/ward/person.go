package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/api"
)

func newPersonCommand() *cli.Command {
	return &cli.Command{
		Name:  "person",
		Usage: "see and add the people who use Ward",
		Subcommands: []*cli.Command{
			newSecondFactorCommand(), newBreakGlassAccountCommand(),
			{
				Name: "add", Usage: "add a person", ArgsUsage: "NAME", Action: personAdd,
				Description: "With --data DIR it works on the server's own data folder and needs no token.",
				Flags: remoteFlags(append(consoleFlags(),
					append(scopeFlags(),
						&cli.StringSliceFlag{Name: "role", Usage: "`ROLE` of the person, one of " + roleList(ward.Roles) + " or one that somebody made; may be repeated"},
						&cli.StringFlag{Name: "email", Usage: "`ADDRESS` of the person"},
					)...,
				)...),
			},
			{Name: "list", Usage: "show everybody", Action: personList, Flags: remoteFlags()},
			{
				Name: "link", Usage: "make a one-time link by which a person signs in", ArgsUsage: "NAME", Action: personLink,
				Description: "With --data DIR it works on the server's own data folder and needs no token.",
				Flags: remoteFlags(append(consoleFlags(),
					&cli.BoolFlag{Name: "setup", Usage: "the person chooses a new passphrase by it"},
					&cli.DurationFlag{Name: "life", Value: 24 * time.Hour, Usage: "how long the link works, in whole hours, at most 168h"},
				)...),
			},
			{
				Name: "roles", Usage: "replace a person's roles", ArgsUsage: "NAME", Action: personRoles,
				Flags: remoteFlags(&cli.StringSliceFlag{Name: "role", Usage: "`ROLE` of the person; may be repeated"}),
			},
			{
				Name: "scope", Usage: "bound what a person sees and acts on, over all their roles", ArgsUsage: "NAME", Action: personScope,
				Description: "Whoever is bounded sees and acts on devices of those sites and groups only, and may do\n" +
					"nothing that is about the whole organisation.",
				Flags: remoteFlags(append(scopeFlags(), &cli.BoolFlag{Name: "everything", Usage: "take the bounds away"})...),
			},
			{
				Name: "erase", Usage: "erase what is known of a person who uses Ward, for good", ArgsUsage: "NAME", Action: personErase,
				Flags: remoteFlags(&cli.BoolFlag{Name: "yes", Usage: "it is meant"}),
			},
			{
				Name: "disable", Usage: "take every right from a person at once", ArgsUsage: "NAME", Flags: remoteFlags(),
				Action: personDeed("disable", "%s is disabled: tokens, sessions and links stop working."),
			},
			{
				Name: "enable", Usage: "let a disabled person act again", ArgsUsage: "NAME", Flags: remoteFlags(),
				Action: personDeed("enable", "%s may act again."),
			},
		},
	}
}

// roleList writes roles as people read them.
func roleList(roles []ward.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

func personAdd(c *cli.Context) error {
	args, err := arguments(c, "NAME")
	if err != nil {
		return err
	}
	roles := c.StringSlice("role")
	if len(roles) == 0 {
		return usagef(c, "--role is missing: one of %s.", roleList(ward.Roles))
	}
	n := access.NewPerson{Name: args[0], Email: c.String("email"), Scope: ward.Scope{Sites: c.StringSlice("site"), Groups: c.StringSlice("group")}}
	for _, r := range roles {
		n.Roles = append(n.Roles, ward.Role(r))
	}
	if atConsole(c) {
		return console(c, func(ctx context.Context, k *server.Console) error {
			p, err := k.Access.CreatePerson(ctx, n)
			if err != nil {
				return err
			}
			raw, err := json.Marshal(api.Person{ID: p.ID, Name: p.Name, Email: p.Email, Roles: p.Roles, Scope: bounds(p.Scope), Created: p.Created})
			if err != nil {
				return fmt.Errorf("encode the person: %w", err)
			}
			return personAdded(c, raw)
		})
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/people", map[string]any{"name": n.Name, "email": n.Email, "roles": roles, "scope": api.Scope{Sites: n.Scope.Sites, Groups: n.Scope.Groups}})
	if err != nil {
		return err
	}
	return personAdded(c, raw)
}

func personAdded(c *cli.Context, raw []byte) error {
	return answer(c, raw, func(p *printer, v api.Person) {
		if v.Scope != nil {
			p.line("%s is bounded to %s.", v.Name, access.Bounds(ward.Scope{Sites: v.Scope.Sites, Groups: v.Scope.Groups}))
		}
		p.line("%s is added (%s). A link to sign in with for the first time: ward person link %q", v.Name, roleList(v.Roles), v.Name)
	})
}

func personList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.list(c.Context, "/people", nil, 0)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Person]) {
		rows := make([][]string, len(v.Items))
		for i, n := range v.Items {
			state := "active"
			switch {
			case n.Erased != nil:
				state = "erased"
			case n.Disabled != nil:
				state = "disabled"
			case n.Activated == nil:
				state = "never signed in"
			}
			rows[i] = []string{string(n.ID), n.Name, n.Email, roleList(n.Roles), state, boundsOf(n)}
		}
		p.table([]string{"ID", "NAME", "EMAIL", "ROLES", "STATE", "BOUNDED TO"}, rows)
	})
}

func personLink(c *cli.Context) error {
	args, err := arguments(c, "NAME")
	if err != nil {
		return err
	}
	if life := c.Duration("life"); life < time.Hour || life%time.Hour != 0 {
		return usagef(c, "--life must be whole hours, such as 24h, not %s.", life)
	}
	if atConsole(c) {
		return consoleLink(c, args[0])
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	body := map[string]any{"hours": int(c.Duration("life").Hours())}
	if c.Bool("setup") {
		body["kind"] = access.LinkSetup
	}
	raw, err := cl.send(c.Context, http.MethodPost, personPath(args[0], "/link"), body)
	if err != nil {
		return err
	}
	return linkMade(c, args[0], raw)
}

func personPath(word, more string) string { return "/people/" + url.PathEscape(word) + more }

func linkMade(c *cli.Context, name string, raw []byte) error {
	return answer(c, raw, func(p *printer, v api.Link) {
		p.line("Whoever opens this link is %s. It works once, until %s:", name, stamp(v.Expires))
		p.line("\n  %s", v.URL)
	})
}

func personRoles(c *cli.Context) error {
	cl, args, err := readyFor(c, "NAME")
	if err != nil {
		return err
	}
	roles := c.StringSlice("role")
	if len(roles) == 0 {
		return usagef(c, "--role is missing: one of %s. To take every right away: ward person disable.", roleList(ward.Roles))
	}
	raw, err := cl.send(c.Context, http.MethodPut, personPath(args[0], "/roles"), map[string]any{"roles": roles})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Person) { p.line("%s is now: %s.", v.Name, roleList(v.Roles)) })
}

// personDeed is the action of a command about which nothing more is to be said.
func personDeed(deed, done string) cli.ActionFunc {
	return func(c *cli.Context) error {
		cl, args, err := readyFor(c, "NAME")
		if err != nil {
			return err
		}
		raw, err := cl.send(c.Context, http.MethodPost, personPath(args[0], "/"+deed), nil)
		if err != nil {
			return err
		}
		return said(c, raw, fmt.Sprintf(done, args[0]))
	}
}
