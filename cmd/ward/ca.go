package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/ca"
)

func newCACommand() *cli.Command {
	return &cli.Command{
		Name:  "ca",
		Usage: "see to certificates: what ends when, which there are, revoke them, a new issuer",
		Subcommands: []*cli.Command{
			{Name: "status", Usage: "tell what ends when, how many certificates there are, and the revocation lists", Action: caStatus, Flags: remoteFlags()},
			{
				Name: "certs", Usage: "list certificates, the newest first", Action: caCerts,
				Flags: remoteFlags(
					&cli.StringFlag{Name: "device", Usage: "only those of a `DEVICE`: its id, serial number, UDID or name"},
					&cli.StringFlag{Name: "kind", Usage: "only device, app, network or server"},
					&cli.StringFlag{Name: "expiring", Usage: "only those that end within a `TIME` such as 30d, and are not revoked"},
					&cli.BoolFlag{Name: "revoked", Usage: "only revoked ones"},
					&cli.IntFlag{Name: "limit", Usage: "the most to list; 0 is all", Value: 100},
				),
			},
			{
				Name: "revoke", Usage: "revoke a certificate for good", ArgsUsage: "SERIAL", Action: caRevoke,
				Description: "Serial numbers are decimal, or hexadecimal with colons or after 0x.\n\n" +
					"The certificate that a device is managed by is not revoked like the others: without\n" +
					"it, the device could never fetch the command that locks or erases it. To give a\n" +
					"device up all the same, say so with --retire and why with --why.",
				Flags: remoteFlags(
					&cli.StringFlag{Name: "reason", Usage: "key-compromise, superseded, ceased, withdrawn or unspecified"},
					&cli.BoolFlag{Name: "retire", Usage: "give up the device that is managed by it: it can never be reached again"},
					&cli.StringFlag{Name: "why", Usage: "`TEXT` for the record; needed with --retire"},
				),
			},
			{
				Name: "crl", Usage: "tell of the revocation lists, make them anew, or get one", Action: caCRL,
				Flags: remoteFlags(
					&cli.BoolFlag{Name: "remake", Usage: "make them anew first"},
					&cli.IntFlag{Name: "issuer", Usage: "the `NUMBER` of the issuer whose list is written", Value: 1},
					outputFlag(),
				),
			},
			newInitCommand(),
			newRotateCommand(),
		},
	}
}

func caStatus(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: "/ca"})
	if err != nil {
		return err
	}
	return answer(c, raw, printAuthority)
}

func printAuthority(p *printer, v api.AuthorityStatus) {
	for _, w := range v.Certificates {
		verdict := strconv.Itoa(w.DaysLeft) + " days left"
		switch {
		case w.DaysLeft < 0:
			verdict = "ENDED"
		case w.Warning != nil:
			verdict += ", WARNING"
		}
		signs := ""
		switch {
		case w.Signs:
			signs = ", signs new certificates"
		case w.KeyLost:
			signs = ", KEY LOST, signs nothing"
		}
		p.line("%s: %s%s", w.Name, verdict, signs)
		count := ""
		if w.Count > 1 {
			count = strconv.Itoa(w.Count) + " devices within the time of the warning"
		}
		p.facts("expires", stamp(w.NotAfter), "subject", w.Subject, "issuer", w.Issuer, "serial", w.Serial, "device", string(w.Device), "also", count, "do", w.Cure)
	}
	p.line("\nCertificates")
	rows := make([][]string, len(v.Counts))
	for i, n := range v.Counts {
		rows[i] = []string{"  " + string(n.Kind), issuerNumber(n.Issuer), strconv.Itoa(n.Valid), strconv.Itoa(n.Expired), strconv.Itoa(n.Revoked)}
	}
	p.table([]string{"  KIND", "ISSUER", "VALID", "EXPIRED", "REVOKED"}, rows)
	p.line("\nRevocation lists")
	printLists(p, v.Lists)
}

// issuerNumber is how people are told of an issuer.
func issuerNumber(n int) string {
	if n == ca.Foreign {
		return "outside"
	}
	return strconv.Itoa(n)
}

func printLists(p *printer, all []api.RevocationList) {
	rows := make([][]string, len(all))
	for i, l := range all {
		rows[i] = []string{"  " + strconv.Itoa(l.Issuer), strconv.FormatInt(l.Number, 10), strconv.Itoa(l.Entries), stamp(l.Made), stamp(l.NextUpdate)}
	}
	p.table([]string{"  ISSUER", "NUMBER", "ENTRIES", "MADE", "NEXT BY"}, rows)
}

// wholeDays reads a number of days such as 30d, or of hours or weeks.
func wholeDays(text string) (int, bool) {
	units := map[string]float64{"h": 1.0 / 24, "d": 1, "w": 7}
	for unit, days := range units {
		if n, err := strconv.Atoi(strings.TrimSuffix(text, unit)); strings.HasSuffix(text, unit) && err == nil && n > 0 {
			return max(1, int(float64(n)*days)), true
		}
	}
	return 0, false
}

func caCerts(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	q := url.Values{}
	for _, name := range []string{"device", "kind"} {
		if v := c.String(name); v != "" {
			q.Set(name, v)
		}
	}
	if text := c.String("expiring"); text != "" {
		days, ok := wholeDays(text)
		if !ok {
			return usagef(c, "--expiring must be a time such as 30d, not %q.", text)
		}
		q.Set("expiring", strconv.Itoa(days))
	}
	if c.Bool("revoked") {
		q.Set("revoked", "true")
	}
	raw, err := cl.list(c.Context, "/ca/certificates", q, c.Int("limit"))
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.IssuedCertificate]) {
		rows := make([][]string, len(v.Items))
		for i, k := range v.Items {
			rows[i] = []string{k.Serial, string(k.Kind), string(k.Device), cmp.Or(k.App, k.Subject), stamp(k.NotAfter), certState(k), attested(k), at(k.LastUsed, "")}
		}
		p.table([]string{"SERIAL", "KIND", "DEVICE", "FOR", "EXPIRES", "STATE", "KEY", "LAST USED"}, rows)
	})
}

func certState(k api.IssuedCertificate) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked " + stamp(*k.RevokedAt) + " (" + k.Reason + ")"
	case k.RenewalDue != nil && k.NotAfter.Before(time.Now()):
		return "expired, renewal pending since " + stamp(*k.RenewalDue)
	case k.RenewalDue != nil:
		return "valid, manages the device, renewal pending since " + stamp(*k.RenewalDue)
	case k.NotAfter.Before(time.Now()):
		return "expired"
	case k.Manages:
		return "valid, manages the device"
	}
	return "valid"
}

// attested says whether and by whose word a key is known to be in hardware.
func attested(k api.IssuedCertificate) string {
	if k.Attestation == nil {
		return "not attested"
	}
	by := k.Attestation.By
	switch by {
	case "apple":
		by = "Apple"
	case "tpm":
		by = "a TPM"
	}
	if k.Attestation.Serial == "" {
		return "attested by " + by
	}
	return "attested by " + by + ": serial " + k.Attestation.Serial
}

func caRevoke(c *cli.Context) error {
	cl, args, err := readyFor(c, "SERIAL")
	if err != nil {
		return err
	}
	if c.String("reason") == "" {
		return usagef(c, "--reason is missing: key-compromise, superseded, ceased, withdrawn or unspecified.")
	}
	if c.Bool("retire") && c.String("why") == "" {
		return usagef(c, "--why is missing: the record has to say why the device is given up.")
	}
	body := map[string]any{"reason": c.String("reason"), "why": c.String("why"), "retire": c.Bool("retire")}
	raw, err := cl.send(c.Context, http.MethodPost, "/ca/certificates/"+url.PathEscape(args[0])+"/revoke", body)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, k api.IssuedCertificate) {
		p.line("Revoked for good: %s, %s.", k.Serial, cmp.Or(k.App, k.Subject))
		if c.Bool("retire") {
			p.line("The device is given up: Ward never reaches it again.")
		}
	})
}

func caCRL(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	if c.IsSet("issuer") && c.Path("output") == "" {
		return usagef(c, "--issuer says whose list is written: name the file by --output.")
	}
	lists := api.RevocationLists{}
	var raw []byte
	if c.Bool("remake") {
		raw, err = cl.send(c.Context, http.MethodPost, "/ca/crl", nil)
		if err == nil {
			err = json.Unmarshal(raw, &lists)
		}
	} else {
		var status api.AuthorityStatus
		raw, err = cl.do(c.Context, request{method: http.MethodGet, path: "/ca"})
		if err == nil {
			err = json.Unmarshal(raw, &status)
		}
		lists.Items = status.Lists
	}
	if err != nil {
		return err
	}
	if c.Path("output") != "" {
		list, err := cl.do(c.Context, request{method: http.MethodGet, path: "/ca/crl/" + strconv.Itoa(c.Int("issuer"))})
		if err != nil {
			return err
		}
		return output(c, func(w io.Writer) error { _, err := io.Copy(w, bytes.NewReader(list)); return err })
	}
	if c.Bool("json") {
		return printValue(c.App.Writer, lists)
	}
	p := &printer{w: c.App.Writer}
	printLists(p, lists.Items)
	return p.err
}
