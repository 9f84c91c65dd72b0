package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/ca"
)

func keyFlag() cli.Flag {
	return &cli.StringFlag{Name: "key", Usage: "where the issuer's key is made: file, or a `URI` as in ca.issuer_key, which it takes the place of"}
}

func newInitCommand() *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "make the certificate authority of a server that has never run", Action: caInit,
		Description: "It is not needed: a server makes its own root and issuer when it starts first. It is\n" +
			"for those who want the root elsewhere, or the issuer's key in a TPM, a token or a\n" +
			"cloud (--key, or ca.issuer_key in the configuration).\n\n" +
			"A root that is never here, in two steps: --root-offline makes the issuer's key and\n" +
			"writes a request to the file that --csr names; sign it where the root is, put the\n" +
			"issuer's certificate and the root's into one file, and --import that. Until then the\n" +
			"server refuses to start. docs/certificates.md has the commands for openssl.\n\n" +
			"A root that is brought here once: --root and --root-key name its certificate and\n" +
			"its key, which is not kept.",
		Flags: append(consoleFlags(),
			keyFlag(),
			&cli.BoolFlag{Name: "root-offline", Usage: "make no root: write a request for the issuer's certificate"},
			&cli.PathFlag{Name: "csr", Usage: "the `FILE` that the request is written to"},
			&cli.PathFlag{Name: "import", Usage: "a `FILE` with the issuer's certificate that was requested and its root's"},
			&cli.PathFlag{Name: "root", Usage: "a `FILE` with the certificate of a root that exists"},
			&cli.PathFlag{Name: "root-key", Usage: "a `FILE` with its key, which is not kept"},
			&cli.PathFlag{Name: "root-passphrase-file", Usage: "a `FILE` with the passphrase of that key, if it has one"},
		),
	}
}

// caInitUse says what is wrong with the flags together, "" if nothing is.
func caInitUse(c *cli.Context) string {
	offline, request, chain := c.Bool("root-offline"), c.Path("csr") != "", c.Path("import") != ""
	root := c.Path("root") != "" || c.Path("root-key") != ""
	switch {
	case !atConsole(c):
		return "Name the server's folder by --data, or its configuration by --config: keys are made where they are kept."
	case offline != request:
		return "--root-offline and --csr need each other: the request has to be written somewhere."
	case offline && chain || offline && root || chain && root:
		return "--root-offline, --import and --root are three ways: choose one."
	case root && (c.Path("root") == "" || c.Path("root-key") == ""):
		return "--root and --root-key need each other."
	case c.Path("root-passphrase-file") != "" && !root:
		return "--root-passphrase-file belongs to --root-key."
	case chain && c.String("key") != "":
		return "--key was said when the request was made."
	}
	return ""
}

func caInit(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	if wrong := caInitUse(c); wrong != "" {
		return usagef(c, "%s", wrong)
	}
	cfg, err := consoleConfig(c)
	if err != nil {
		return err
	}
	if err := ca.CheckKeyPlace(c.String("key")); err != nil {
		return err
	}
	f, err := server.Founding(c.Context, cfg, c.String("key"))
	if err != nil {
		return err
	}
	switch {
	case c.Bool("root-offline"):
		return caRequest(c, f)
	case c.Path("import") != "":
		text, err := readFile("the certificates", c.Path("import"))
		if err != nil {
			return err
		}
		made, err := f.Import(c.Context, text)
		return authorityMade(c, cfg, made, err)
	case c.Path("root") != "":
		return caUnder(c, cfg, f)
	}
	made, err := f.Make(c.Context)
	return authorityMade(c, cfg, made, err)
}

func caRequest(c *cli.Context, f ca.Founding) error {
	text, err := f.Request(c.Context)
	if err != nil {
		return err
	}
	path := c.Path("csr")
	if err := writeNew(path, text); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "The request is in %s. Sign it where the root is kept, then:\n  ward ca init --import CHAIN.pem\nThe server does not start before that.\n", filepath.Clean(path))
	return err
}

func caUnder(c *cli.Context, cfg server.Config, f ca.Founding) error {
	root, err := readFile("the root", c.Path("root"))
	if err != nil {
		return err
	}
	key, err := readFile("the root's key", c.Path("root-key"))
	if err != nil {
		return err
	}
	var pass []byte
	if path := c.Path("root-passphrase-file"); path != "" {
		text, err := readFile("the passphrase", path)
		if err != nil {
			return err
		}
		pass = []byte(strings.TrimRight(string(text), "\r\n"))
	}
	made, err := f.Under(c.Context, root, key, pass)
	return authorityMade(c, cfg, made, err)
}

func authorityMade(c *cli.Context, cfg server.Config, made ca.Founded, err error) error {
	if err != nil {
		return err
	}
	w := c.App.Writer
	_, err = fmt.Fprintf(w, "The authority is made.\n  root    %s, until %s\n  issuer  %s, until %s\n",
		clean(made.Root.Subject.String()), stamp(made.Root.NotAfter), clean(made.Issuer.Subject.String()), stamp(made.Issuer.NotAfter))
	if err != nil {
		return err
	}
	return tellElsewhere(w, cfg)
}

// tellElsewhere says which keys a backup can't hold, and nothing where it holds them all.
func tellElsewhere(w io.Writer, cfg server.Config) error {
	keys, err := server.KeysElsewhere(cfg)
	if err != nil || len(keys) == 0 {
		return err
	}
	_, err = fmt.Fprintf(w, "No backup of Ward holds these keys, which never leave their place:\n  %s\nShould it be lost, a new issuer takes over: docs/certificates.md.\n", strings.Join(keys, "\n  "))
	return err
}
