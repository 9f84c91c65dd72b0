package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
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
	switch {
	case c.Bool("root-offline"):
		return caRequest(c, cfg)
	case c.Path("import") != "":
		text, err := readFile("the certificates", c.Path("import"))
		if err != nil {
			return err
		}
		return caFound(c, cfg, func(f ca.Founding) (ca.Founded, error) { return f.Import(c.Context, text) })
	case c.Path("root") != "":
		return caUnder(c, cfg)
	}
	return caFound(c, cfg, func(f ca.Founding) (ca.Founded, error) { return f.Make(c.Context) })
}

// caFound begins the authority. What can fail before is done by then: it makes keys.
func caFound(c *cli.Context, cfg server.Config, how func(f ca.Founding) (ca.Founded, error)) error {
	f, err := server.Founding(c.Context, cfg, c.String("key"))
	if err != nil {
		return err
	}
	made, err := how(f)
	return authorityMade(c, cfg, made, err)
}

// caRequest opens the file of the request before a key is made, for without the request
// the key would only keep the server from starting.
func caRequest(c *cli.Context, cfg server.Config) (err error) {
	path := filepath.Clean(c.Path("csr"))
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // the caller's own folder; nothing in a request is secret
	if os.IsExist(err) {
		return fmt.Errorf("%s exists already: it is not written over, and nothing was made", path)
	}
	if err != nil {
		return fmt.Errorf("the request can't be written, and nothing was made: %w", err)
	}
	if err := errors.Join(writeRequest(c, cfg, out), out.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	_, err = fmt.Fprintf(c.App.Writer, "The request is in %s. Sign it where the root is kept, then:\n  ward ca init %s --import CHAIN.pem\nThe server does not start before that.\n", clean(path), consoleWords(c))
	return err
}

func writeRequest(c *cli.Context, cfg server.Config, w io.Writer) error {
	f, err := server.Founding(c.Context, cfg, c.String("key"))
	if err != nil {
		return err
	}
	text, err := f.Request(c.Context)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// consoleWords are the flags by which c was told of the server, to be pasted.
func consoleWords(c *cli.Context) string {
	name := "config"
	if c.Path(name) == "" {
		name = "data"
	}
	return "--" + name + " " + quoted(c.Path(name))
}

// quoted is text as a word of a shell.
func quoted(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(clean(text), "'", `'\''`) + "'"
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,-]+$`)

func caUnder(c *cli.Context, cfg server.Config) error {
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
	return caFound(c, cfg, func(f ca.Founding) (ca.Founded, error) { return f.Under(c.Context, root, key, pass) })
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
	return tellElsewhere(w, cfg, "No backup of Ward holds these keys, which never leave their place:", "Should it be lost, a new issuer takes over: docs/certificates.md, Keys.")
}

// tellElsewhere says which keys a backup can't hold, between two sentences, and nothing
// where it holds them all.
func tellElsewhere(w io.Writer, cfg server.Config, before, after string) error {
	keys, err := server.KeysElsewhere(cfg)
	if err != nil || len(keys) == 0 {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n  %s\n%s\n", before, clean(strings.Join(keys, ", ")), after)
	return err
}
