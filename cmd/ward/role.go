package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/api"
)

func newRoleCommand() *cli.Command {
	words := []cli.Flag{
		&cli.StringFlag{Name: "name", Usage: "what people call it"},
		&cli.StringFlag{Name: "description", Usage: "what it is for, in one line"},
		&cli.StringSliceFlag{Name: "permission", Usage: "`PERMISSION` that it holds, such as device:read; may be repeated"},
	}
	return &cli.Command{
		Name:  "role",
		Usage: "see what people may do, and make roles",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "show every role", Action: roleListed,
				Flags: remoteFlags(&cli.BoolFlag{Name: "permissions", Usage: "show the permissions of which roles are made instead"}),
			},
			{Name: "show", Usage: "show a role with its permissions", ArgsUsage: "ROLE", Action: roleShow, Flags: remoteFlags()},
			{
				Name: "add", Usage: "make a role", ArgsUsage: "ROLE", Action: roleAdd, Flags: remoteFlags(words...),
				Description: "ROLE is a word of small letters, digits and hyphens. Nobody but an administrator makes\n" +
					"a role that holds what they don't hold themselves.",
			},
			{
				Name: "edit", Usage: "change a role that somebody made", ArgsUsage: "ROLE", Action: roleEdit, Flags: remoteFlags(words...),
				Description: "What no flag names stays as it is; --permission names all that it holds from then on.",
			},
			{Name: "remove", Usage: "remove a role that nobody holds", ArgsUsage: "ROLE", Action: roleRemove, Flags: remoteFlags()},
		},
	}
}

func rolePath(id string) string { return "/roles/" + url.PathEscape(id) }

func roleListed(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodGet, "/roles", nil)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.AllRoles) {
		if c.Bool("permissions") {
			rows := make([][]string, len(v.Permissions))
			for i, one := range v.Permissions {
				rows[i] = []string{string(one.ID), one.Words, string(one.Only)}
			}
			p.table([]string{"PERMISSION", "LETS ONE", "ONLY IN"}, rows)
			return
		}
		rows := make([][]string, len(v.Items))
		for i, r := range v.Items {
			rows[i] = []string{string(r.ID), r.Name, r.Description}
		}
		p.table([]string{"ROLE", "NAME", "DESCRIPTION"}, rows)
	})
}

func roleShow(c *cli.Context) error {
	cl, args, err := readyFor(c, "ROLE")
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodGet, rolePath(args[0]), nil)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Role) {
		p.line("%s (%s). %s", v.Name, v.ID, v.Description)
		for _, one := range v.Permissions {
			p.line("  %s: %s", one, one.Words())
		}
	})
}

func roleAdd(c *cli.Context) error {
	cl, args, err := readyFor(c, "ROLE")
	if err != nil {
		return err
	}
	if c.String("name") == "" || len(c.StringSlice("permission")) == 0 {
		return usagef(c, "--name and at least one --permission are needed: ward role list --permissions")
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/roles", map[string]any{
		"id": args[0], "name": c.String("name"), "description": c.String("description"), "permissions": c.StringSlice("permission"),
	})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Role) {
		p.line("The role %s is made. Give it with: ward person roles NAME --role %s", v.Name, v.ID)
	})
}

func roleEdit(c *cli.Context) error {
	cl, args, err := readyFor(c, "ROLE")
	if err != nil {
		return err
	}
	if !c.IsSet("name") && !c.IsSet("description") && !c.IsSet("permission") {
		return usagef(c, "Name what to change: --name, --description or --permission.")
	}
	raw, err := cl.send(c.Context, http.MethodGet, rolePath(args[0]), nil)
	if err != nil {
		return err
	}
	var was api.Role
	if err := json.Unmarshal(raw, &was); err != nil {
		return fmt.Errorf("read the role: %w", err)
	}
	if c.IsSet("name") {
		was.Name = c.String("name")
	}
	if c.IsSet("description") {
		was.Description = c.String("description")
	}
	if c.IsSet("permission") {
		was.Permissions = nil
		for _, p := range c.StringSlice("permission") {
			was.Permissions = append(was.Permissions, access.Permission(p))
		}
	}
	raw, err = cl.send(c.Context, http.MethodPut, rolePath(args[0]), map[string]any{"name": was.Name, "description": was.Description, "permissions": was.Permissions})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Role) {
		words := make([]string, len(v.Permissions))
		for i, one := range v.Permissions {
			words[i] = string(one)
		}
		p.line("The role %s (%s) holds %s. Who has it may do so within seconds.", v.Name, v.ID, strings.Join(words, ", "))
	})
}

func roleRemove(c *cli.Context) error {
	cl, args, err := readyFor(c, "ROLE")
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodDelete, rolePath(args[0]), nil)
	if err != nil {
		return err
	}
	return said(c, raw, "The role "+args[0]+" is removed.")
}
