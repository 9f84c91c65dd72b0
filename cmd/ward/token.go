package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/api"
)

func newTokenCommand() *cli.Command {
	return &cli.Command{
		Name:  "token",
		Usage: "make and revoke the tokens that scripts sign in with",
		Subcommands: []*cli.Command{
			{
				Name: "create", Usage: "make a token and print it: it is shown this once", Action: tokenCreate,
				Description: "A token acts as its person: two tokens of one person are one person. With\n" +
					"--data DIR it is made in the server's own data folder, for anybody, and needs no\n" +
					"token; otherwise people make tokens for themselves.",
				Flags: remoteFlags(append(consoleFlags(),
					&cli.StringFlag{Name: "person", Usage: "`NAME` of the person it acts for"},
					&cli.StringFlag{Name: "name", Usage: "what it is for"},
					&cli.StringSliceFlag{Name: "scope", Usage: "only this permission, such as device:read; may be repeated"},
				)...),
			},
			{
				Name: "list", Usage: "show a person's tokens", Action: tokenList,
				Flags: remoteFlags(&cli.StringFlag{Name: "person", Usage: "`NAME` of the person; oneself if left out"}),
			},
			{Name: "revoke", Usage: "end a token at once", ArgsUsage: "TOKEN-ID", Action: tokenRevoke, Flags: remoteFlags()},
		},
	}
}

func tokenCreate(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	var scopes []access.Permission
	for _, s := range c.StringSlice("scope") {
		if !access.Permission(s).Valid() {
			return usagef(c, "There is no scope %q: it is a permission, such as %s.", s, access.DeviceRead)
		}
		scopes = append(scopes, access.Permission(s))
	}
	if atConsole(c) {
		return consoleToken(c, scopes)
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	word, err := cl.personOrMe(c)
	if err != nil {
		return err
	}
	body := map[string]any{"name": tokenName(c)}
	if len(scopes) > 0 {
		body["scopes"] = scopes
	}
	raw, err := cl.send(c.Context, http.MethodPost, personPath(word, "/tokens"), body)
	if err != nil {
		return err
	}
	return tokenMade(c, raw)
}

// tokenMade prints the token alone, so that a script can keep it in a variable.
func tokenMade(c *cli.Context, raw []byte) error {
	return answer(c, raw, func(p *printer, v api.NewToken) { p.line("%s", v.Secret) })
}

// tokenName is what the token is for; without a word, where it was made.
func tokenName(c *cli.Context) string {
	if name := c.String("name"); name != "" {
		return name
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "command line"
	}
	return "command line on " + host
}

func consoleToken(c *cli.Context, scopes []access.Permission) error {
	name := c.String("person")
	if name == "" {
		return usagef(c, "--person is missing: a token belongs to a person.")
	}
	return console(c, func(ctx context.Context, k *server.Console) error {
		p, err := personAt(ctx, k, name)
		if err != nil {
			return err
		}
		t, secret, err := k.Access.CreateToken(ctx, access.NewToken{Person: p.ID, Name: tokenName(c), Scopes: scopes})
		if err != nil {
			return err
		}
		made := api.NewToken{Secret: secret, Token: api.Token{
			ID: t.ID, Name: t.Name, Person: t.Person, Scopes: append([]access.Permission{}, t.Scopes...), Created: t.Created,
		}}
		raw, err := json.Marshal(made) //nolint:gosec // the token is what was asked for
		if err != nil {
			return fmt.Errorf("encode the token: %w", err)
		}
		return tokenMade(c, raw)
	})
}

func tokenRevoke(c *cli.Context) error {
	cl, args, err := readyFor(c, "TOKEN-ID")
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodDelete, "/tokens/"+url.PathEscape(args[0]), nil)
	if err != nil {
		return err
	}
	return said(c, raw, "Token "+args[0]+" is revoked: it no longer works.")
}

// personOrMe is the person that --person names, else the one that the token belongs to.
func (cl *client) personOrMe(c *cli.Context) (string, error) {
	if word := c.String("person"); word != "" {
		return word, nil
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/me"})
	if err != nil {
		return "", err
	}
	var v api.Me
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", unexpected(err)
	}
	return string(v.Person.ID), nil
}

func tokenList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	word, err := cl.personOrMe(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: personPath(word, "/tokens")})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Tokens) {
		rows := make([][]string, len(v.Items))
		for i, t := range v.Items {
			state := "works"
			if t.Revoked != nil {
				state = "revoked"
			}
			rows[i] = []string{t.ID, t.Name, state, stamp(t.Created), at(t.LastUsed, "never"), scopeList(t.Scopes)}
		}
		p.table([]string{"TOKEN-ID", "NAME", "STATE", "MADE", "LAST USED", "SCOPES"}, rows)
	})
}

func scopeList(scopes []access.Permission) string {
	if len(scopes) == 0 {
		return "all that the person may do"
	}
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}
