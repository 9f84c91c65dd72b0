package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/apns"
)

func newSignCommand() *cli.Command {
	return &cli.Command{
		Name: "sign", Usage: "countersign a request with the organisation's MDM vendor certificate; it needs no server", ArgsUsage: "REQUEST",
		Description: "The certificates of the chain up to Apple's root are needed too; they are at\nhttps://www.apple.com/certificateauthority/.",
		Flags: []cli.Flag{
			&cli.PathFlag{Name: "p12", Usage: "vendor certificate and key as a PKCS#12 `FILE`"},
			&cli.PathFlag{Name: "password-file", Usage: "`FILE` with the password of --p12"},
			&cli.PathFlag{Name: "key", Usage: "vendor key as a PEM `FILE`, instead of --p12"},
			&cli.PathFlag{Name: "certificate", Usage: "vendor certificate as a PEM `FILE`, with --key"},
			&cli.StringSliceFlag{Name: "chain", Usage: "`FILE` with certificates of the chain; may be repeated"},
			outputFlag(),
		},
		Action: apnsSign,
	}
}

func apnsSign(c *cli.Context) error {
	args, err := arguments(c, "REQUEST")
	if err != nil {
		return err
	}
	files := &fileReader{}
	csr := files.read("request", args[0])
	load, err := vendor(c, files)
	if err != nil {
		return err
	}
	if files.err != nil {
		return files.err
	}
	v, err := load()
	if err != nil {
		return err
	}
	signed, err := apns.SignRequest(csr, v)
	if err != nil {
		return err
	}
	return output(c, func(w io.Writer) error {
		_, err := w.Write(signed)
		return err
	})
}

// vendor reads the files of the vendor certificate in the form in which it is given.
func vendor(c *cli.Context, files *fileReader) (load func() (apns.Vendor, error), err error) {
	var chain []byte
	for _, path := range c.StringSlice("chain") {
		chain = append(chain, files.certificates(path)...)
	}
	p12, key, certificate := c.Path("p12"), c.Path("key"), c.Path("certificate")
	switch {
	case p12 != "" && key == "" && certificate == "":
		b, password := files.read("vendor file", p12), ""
		if path := c.Path("password-file"); path != "" {
			password = strings.TrimRight(string(files.read("password", path)), "\r\n")
		}
		return func() (apns.Vendor, error) { return apns.LoadVendorP12(b, password, chain) }, nil
	case p12 == "" && key != "" && certificate != "":
		b, certs := files.read("vendor key", key), append(files.certificates(certificate), chain...)
		return func() (apns.Vendor, error) { return apns.LoadVendor(certs, b) }, nil
	}
	return nil, usagef(c, "Name the vendor certificate either with --p12, or with --certificate and --key.")
}

// fileReader reads the files that flags name and keeps the first error.
type fileReader struct{ err error }

func (f *fileReader) read(what, path string) []byte {
	if f.err != nil {
		return nil
	}
	var b []byte
	b, f.err = readFile("the "+what, path)
	return b
}

// certificates reads a file of certificates and returns them as PEM: Apple's own files
// are DER.
func (f *fileReader) certificates(path string) []byte {
	b := f.read("certificate", path)
	if cert, err := x509.ParseCertificate(b); err == nil {
		b = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	return append(bytes.TrimSpace(b), '\n')
}
