package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/api"
)

func consoleFlags() []cli.Flag {
	return []cli.Flag{
		&cli.PathFlag{Name: "data", Usage: "the server's data folder `DIR`; then no token is needed"},
		&cli.PathFlag{Name: "config", Usage: "the server's configuration `FILE`, where its keys are not in the data folder"},
	}
}

// atConsole reports whether the command works on the server's own data folder.
func atConsole(c *cli.Context) bool { return c.Path("data") != "" || c.Path("config") != "" }

// console runs fn as the operator at the server's console.
func console(c *cli.Context, fn func(ctx context.Context, k *server.Console) error) error {
	cfg, err := consoleConfig(c)
	if err != nil {
		return err
	}
	k, err := server.OpenConsoleConfig(c.Context, cfg)
	if err != nil {
		return err
	}
	return errors.Join(fn(k.Context(c.Context), k), k.Close())
}

// personAt finds a person by name, and says how to add one that is missing.
func personAt(ctx context.Context, k *server.Console, name string) (access.Person, error) {
	p, err := k.Access.PersonByName(ctx, name)
	if ward.KindOf(err) == ward.NotFound {
		return p, fmt.Errorf("nobody is called %q: ward person add adds a person", name)
	}
	return p, err
}

func consoleLink(c *cli.Context, name string) error {
	return console(c, func(ctx context.Context, k *server.Console) error {
		p, err := personAt(ctx, k, name)
		if err != nil {
			return err
		}
		kind := access.LinkSignIn
		if p.Activated.IsZero() || c.Bool("setup") {
			kind = access.LinkSetup
		}
		life := c.Duration("life")
		secret, err := k.Access.CreateLink(ctx, p.ID, kind, life)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(api.Link{URL: strings.TrimSuffix(k.PublicURL(), "/") + "/" + string(kind) + "/" + secret, Kind: kind, Expires: time.Now().UTC().Add(life)})
		if err != nil {
			return fmt.Errorf("encode the link: %w", err)
		}
		return linkMade(c, p.Name, raw)
	})
}
