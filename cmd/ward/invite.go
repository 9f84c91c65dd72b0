package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	qrcode "github.com/skip2/go-qrcode"
	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/api"
)

func newInviteCommand() *cli.Command {
	return &cli.Command{
		Name:  "invite",
		Usage: "make a link by which one device enrols",
		Description: "Prints the link and a QR code of it. The link works once and is bound to the person.\n" +
			"With --csv, one link is made for each row of a file with the columns name and\n" +
			"ownership and, where wanted, email, group, site, role, device_name, platform,\nsupervised, serial and identity.\n" +
			"With a serial number the link is good for that device alone, which proves its own where\nthe server asks for attested identities. --identity decides for one invitation what the\nserver's configuration (enrolment.attestation) decides for all. A new invitation for a\nserial number takes the place of the one that is open.",
		Flags: remoteFlags(
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the person"},
			&cli.StringFlag{Name: "ownership", Usage: "whose device it is: corporate or personal"},
			&cli.StringFlag{Name: "email", Usage: "`ADDRESS` of the person"},
			&cli.StringFlag{Name: "group", Usage: "`GROUP` of the device, such as a ward or clinic"},
			&cli.StringFlag{Name: "site", Usage: "`SITE` of the device, such as a hospital or campus"},
			&cli.StringFlag{Name: "role", Usage: "staff `ROLE` of the person, such as nurse"},
			&cli.StringFlag{Name: "device-name", Usage: "`NAME` of the device; made from the person's if left out"},
			&cli.StringFlag{Name: "platform", Usage: "ios, macos, android, windows or linux"},
			&cli.BoolFlag{Name: "supervised", Usage: "the device is expected to be supervised"},
			&cli.StringFlag{Name: "serial", Usage: "serial `NUMBER` of the one device that may use the link"},
			&cli.StringFlag{Name: "identity", Usage: "how the device gets its identity: attested or scep; left out, the server decides"},
			&cli.StringFlag{Name: "device", Usage: "`DEVICE` to enrol anew, instead of a new one"},
			&cli.IntFlag{Name: "hours", Usage: "how long the link works; a week if left out, at most 720"},
			&cli.PathFlag{Name: "csv", Usage: "`FILE` of staff, instead of --name"},
		),
		Action: invite,
		Subcommands: []*cli.Command{
			{Name: "list", Usage: "show invitations, the newest first", Action: inviteList, Flags: remoteFlags()},
			{Name: "revoke", Usage: "take an invitation back", ArgsUsage: "INVITATION", Action: inviteRevoke, Flags: remoteFlags()},
		},
	}
}

// invitationRequest asks for one, as the server takes it.
type invitationRequest struct {
	Name       string `json:"name"`
	Email      string `json:"email,omitempty"`
	Ownership  string `json:"ownership"`
	Group      string `json:"group,omitempty"`
	Site       string `json:"site,omitempty"`
	Role       string `json:"role,omitempty"`
	DeviceName string `json:"device_name,omitempty"`
	Platform   string `json:"platform,omitempty"`
	Supervised bool   `json:"supervised,omitempty"`
	Serial     string `json:"serial,omitempty"`
	Identity   string `json:"identity,omitempty"`
	Device     string `json:"device,omitempty"`
	Hours      int    `json:"hours,omitempty"`
}

func invite(c *cli.Context) error {
	if c.NArg() > 0 {
		return usagef(c, "ward invite has no command %q; a name with a space has to stand in quotes.", c.Args().First())
	}
	for _, name := range c.LocalFlagNames() {
		if f, ok := flagOf(c, name).(*cli.StringFlag); ok && strings.TrimSpace(c.String(f.Name)) == "" {
			return usagef(c, "--%s is empty: give it a value, or leave it out.", f.Name)
		}
	}
	if c.IsSet("csv") {
		return inviteStaff(c)
	}
	r := invitationRequest{
		Name: c.String("name"), Email: c.String("email"), Ownership: c.String("ownership"), Group: c.String("group"), Site: c.String("site"), Role: c.String("role"),
		DeviceName: c.String("device-name"), Platform: c.String("platform"), Supervised: c.Bool("supervised"),
		Serial: c.String("serial"), Identity: c.String("identity"), Device: c.String("device"), Hours: c.Int("hours"),
	}
	if wrong := r.wrong(); len(wrong) > 0 {
		return usagef(c, "%s", strings.Join(wrong, "\n"))
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/invitations", r)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.Invitation) {
		which := string(v.Ownership) + " device"
		if v.Serial != "" {
			which += " with the serial number " + v.Serial
		}
		p.line("Invitation for %s, a %s. Open this on the device before %s:", v.Name, which, stamp(v.Expires))
		p.line("\n  %s\n", v.URL)
		printWarnings(p, v)
		code, err := qrcode.New(v.URL, qrcode.Low)
		if err != nil {
			p.err = errors.Join(p.err, fmt.Errorf("draw the QR code: %w", err))
			return
		}
		p.write(code.ToSmallString(false))
	})
}

// wrong returns what is wrong with the flags, each named.
func (r invitationRequest) wrong() (out []string) {
	q := enrollment.Request{
		Name: r.Name, Email: r.Email, DeviceName: r.DeviceName, Platform: ward.Platform(r.Platform), Ownership: ward.Ownership(r.Ownership), Group: r.Group, Site: r.Site, Role: r.Role,
		Supervised: r.Supervised, Serial: r.Serial, Identity: enrollment.Identity(r.Identity), Life: time.Duration(r.Hours) * time.Hour,
	}
	for _, m := range q.Mistakes() {
		text := ": " + m.Text
		switch {
		case m.Field == "name" && r.Name == "":
			text = " is missing: an invitation is for one person."
		case m.Field == "ownership":
			text = " must be corporate or personal: a personal device is never erased."
		}
		out = append(out, "--"+strings.ReplaceAll(m.Field, "_", "-")+text)
	}
	return out
}

// flagOf returns a command's flag by its name, nil if it has none.
func flagOf(c *cli.Context, name string) cli.Flag {
	for _, f := range c.Command.Flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func printWarnings(p *printer, v api.Invitation) {
	for _, w := range v.Warnings {
		p.line("Note for %s: %s", v.Name, w)
	}
}

func inviteStaff(c *cli.Context) error {
	for _, own := range []string{"name", "device", "serial", "identity"} {
		if c.String(own) != "" {
			return usagef(c, "--csv names the people and their devices itself: leave out --%s.", own)
		}
	}
	table, err := readFile("the file of staff", c.Path("csv"))
	if err != nil {
		return err
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodPost, path: "/invitations/csv", contentType: "text/csv", body: bytes.NewReader(table)})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Invitation]) {
		rows := make([][]string, len(v.Items))
		for i, n := range v.Items {
			rows[i] = []string{n.Name, n.Email, string(n.Ownership), n.Group, n.URL}
		}
		p.table([]string{"NAME", "EMAIL", "OWNERSHIP", "GROUP", "LINK"}, rows)
		for _, n := range v.Items {
			printWarnings(p, n)
		}
	})
}

func inviteList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	raw, err := cl.list(c.Context, "/invitations", nil, 0)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Invitation]) {
		rows := make([][]string, len(v.Items))
		for i, n := range v.Items {
			rows[i] = []string{n.ID, string(n.State), n.Name, n.DeviceName, string(n.Ownership), n.Group, n.Site, n.Role, n.Serial, n.Identity, stamp(n.Created), stamp(n.Expires)}
		}
		p.table([]string{"INVITATION", "STATE", "NAME", "DEVICE", "OWNERSHIP", "GROUP", "SITE", "ROLE", "SERIAL", "IDENTITY", "MADE", "EXPIRES"}, rows)
	})
}

func inviteRevoke(c *cli.Context) error {
	cl, args, err := readyFor(c, "INVITATION")
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodDelete, "/invitations/"+url.PathEscape(args[0]), nil)
	if err != nil {
		return err
	}
	return said(c, raw, "Invitation "+args[0]+" is taken back: its link no longer works.")
}
