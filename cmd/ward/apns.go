package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

func newAPNsCommand() *cli.Command {
	return &cli.Command{
		Name:  "apns",
		Usage: "get, renew and watch the certificate for Apple's push service",
		Description: "The way to a certificate: ward apns request; have it signed by an MDM vendor, or\n" +
			"sign it with the organisation's own vendor certificate (ward apns sign); upload the\n" +
			"result at https://identity.apple.com/pushcert; ward apns import.",
		Subcommands: []*cli.Command{
			{
				Name: "request", Usage: "make a key on the server and print the request for a certificate", Action: apnsRequest,
				Flags: remoteFlags(
					&cli.StringFlag{Name: "organisation", Usage: "`NAME` of the organisation"},
					&cli.StringFlag{Name: "email", Usage: "`ADDRESS` of the person to write to"},
					outputFlag(),
				),
			},
			newSignCommand(),
			{
				Name: "import", Usage: "give the server the certificate that Apple issued", ArgsUsage: "CERTIFICATE", Action: apnsImport,
				Flags: remoteFlags(&cli.PathFlag{Name: "key", Usage: "`FILE` with its key, if the request was not made by the server"}),
			},
			{Name: "status", Usage: "tell how long the certificate is good for", Action: apnsStatus, Flags: remoteFlags()},
		},
	}
}

func apnsRequest(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	organisation, email := c.String("organisation"), c.String("email")
	if organisation == "" || email == "" {
		return usagef(c, "--organisation and --email are needed: they stand in the request.")
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/apns/request", map[string]string{"organisation": organisation, "email": email})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, raw)
	}
	var v api.SigningRequest
	if err := json.Unmarshal(raw, &v); err != nil {
		return unexpected(err)
	}
	return output(c, func(w io.Writer) error {
		_, err := io.WriteString(w, v.CSR)
		return err
	})
}

func apnsImport(c *cli.Context) error {
	cl, args, err := readyFor(c, "CERTIFICATE")
	if err != nil {
		return err
	}
	files := fileReader{}
	body := map[string]string{"certificate": string(files.certificates(args[0]))}
	if key := c.Path("key"); key != "" {
		body["key"] = string(files.read("key", key))
	}
	if files.err != nil {
		return files.err
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/apns/import", body)
	if err != nil {
		return err
	}
	return answer(c, raw, printPush)
}

func printPush(p *printer, s api.PushCertificate) {
	verdict := "good for " + strconv.Itoa(s.DaysLeft) + " days"
	switch {
	case s.Expired:
		verdict = "EXPIRED: no device can be woken. Renew it with the Apple Account that made it"
	case s.RenewSoon:
		verdict += ": renew it now, with the Apple Account that made it"
	}
	p.line("%s: %s", s.Topic, verdict)
	p.facts("expires", stamp(s.NotAfter), "serial", s.Serial, "issuer", s.Issuer)
}

func apnsStatus(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/apns"})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.PushCertificates) {
		if len(v.Items) == 0 {
			p.line("There is no push certificate: no device can be enrolled or woken. Begin with: ward apns request")
		}
		for _, s := range v.Items {
			printPush(p, s)
		}
	})
}
