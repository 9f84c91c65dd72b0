package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server"
	"github.com/wardmdm/ward/server/ca"
)

func newRotateCommand() *cli.Command {
	return &cli.Command{
		Name: "rotate", Usage: "make a new issuer under the root; nothing has to enrol anew", Action: caRotate,
		Description: "It works on the server's own folder of keys, beside the running server. Two minutes\n" +
			"later, or after --in, new certificates come from the new issuer; what the old one\n" +
			"signed stays valid, accepted, and revocable. Copies of the server that have a folder\n" +
			"of keys of their own need the new folder under keys/ca by then. Where the keys of all\n" +
			"issuers are lost, the new one signs at once.\n\n" +
			"Where the root's key was moved to a safe, name the file with --root-key. Where it is\n" +
			"never brought here: --csr prints a request, sign it where the root is, --import the\n" +
			"certificate. It must be one of an authority, path length 0, for certificate and CRL\n" +
			"signing, digital signature and, where its key is in a file, key encipherment.\n\n" +
			"The key is made where ca.issuer_key says, or --key: so an authority moves from a file\n" +
			"into a TPM and back. Each rotation in a TPM needs a new name.",
		Flags: append(consoleFlags(),
			&cli.DurationFlag{Name: "in", Usage: "a `TIME` after which it begins to sign", Value: ca.Settle},
			&cli.PathFlag{Name: "root-key", Usage: "`FILE` with the root's key"},
			&cli.PathFlag{Name: "root-passphrase-file", Usage: "`FILE` with its passphrase, if it is another than the server's"},
			&cli.BoolFlag{Name: "csr", Usage: "print a request for the new issuer's certificate"},
			&cli.PathFlag{Name: "import", Usage: "`FILE` with the certificate that was requested"},
			keyFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print what was made as JSON"},
			outputFlag(),
		),
	}
}

func caRotate(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	if !atConsole(c) {
		return usagef(c, "Name the server's folder by --data, or its configuration by --config: keys are made where they are kept.")
	}
	if c.Bool("csr") && c.Path("import") != "" {
		return usagef(c, "--csr and --import are two steps: the certificate is signed between them.")
	}
	if err := ca.CheckKeyPlace(c.String("key")); err != nil {
		return err
	}
	if c.Duration("in") < 0 {
		return usagef(c, "--in can't be negative.")
	}
	if c.Bool("json") && c.Bool("csr") {
		return usagef(c, "--csr prints a request in PEM: it can't be had with --json.")
	}
	return console(c, func(ctx context.Context, k *server.Console) error {
		switch {
		case c.Bool("csr"):
			text, err := k.RequestIssuer(ctx, c.String("key"))
			if err != nil {
				return err
			}
			return output(c, func(w io.Writer) error { _, err := w.Write(text); return err })
		case c.Path("import") != "":
			text, err := readFile("the certificate", c.Path("import"))
			if err != nil {
				return err
			}
			m, err := k.ImportIssuer(ctx, text, signsFrom(c))
			return issuerMade(c, m, err)
		}
		r := ca.Rotation{From: signsFrom(c), Key: c.String("key")}
		var err error
		if path := c.Path("root-key"); path != "" {
			if r.RootKey, err = readFile("the root's key", path); err != nil {
				return err
			}
		}
		if path := c.Path("root-passphrase-file"); path != "" {
			pass, err := readFile("the passphrase", path)
			if err != nil {
				return err
			}
			r.RootPassphrase = []byte(strings.TrimRight(string(pass), "\r\n"))
		}
		m, err := k.Rotate(ctx, r)
		return issuerMade(c, m, err)
	})
}

// signsFrom is when the new issuer begins to sign; the zero time leaves it to the authority.
func signsFrom(c *cli.Context) time.Time {
	if !c.IsSet("in") {
		return time.Time{}
	}
	return time.Now().Add(c.Duration("in"))
}

// newIssuer is what is told of a new issuer as JSON.
type newIssuer struct {
	Number    int       `json:"number"`
	Subject   string    `json:"subject"`
	Serial    string    `json:"serial"`
	SignsFrom time.Time `json:"signs_from"`
	NotAfter  time.Time `json:"not_after"`
}

func issuerMade(c *cli.Context, m ca.Made, err error) error {
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printValue(c.App.Writer, newIssuer{m.Number, m.Certificate.Subject.String(), m.Certificate.SerialNumber.String(), m.From, m.Certificate.NotAfter.UTC()})
	}
	_, err = fmt.Fprintf(c.App.Writer, "Issuer %d, %s, is made. It signs from %s and ends %s.\nBack up the folder of keys now.\n",
		m.Number, clean(m.Certificate.Subject.String()), stamp(m.From), stamp(m.Certificate.NotAfter))
	return err
}
