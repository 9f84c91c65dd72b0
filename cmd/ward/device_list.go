package main

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
)

// filterFlags say which devices are meant.
func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "search", Usage: "only devices with every `WORD` in their name, owner, serial number or place"},
		&cli.StringSliceFlag{Name: "state", Usage: "only devices in this `STATE`, such as non-compliant"},
		&cli.StringSliceFlag{Name: "group", Usage: "only devices of this `GROUP`; - for none"},
		&cli.StringSliceFlag{Name: "site", Usage: "only devices of this `SITE`; - for none"},
		&cli.StringSliceFlag{Name: "finding", Usage: "only devices with a finding of this `CODE`, such as no-passcode"},
		&cli.StringFlag{Name: "app", Usage: "only devices that have the messaging app `SLUG`, such as whatsapp"},
		&cli.BoolFlag{Name: "blocked", Usage: "only devices with a blocked app; with --app, with that one"},
		&cli.StringFlag{Name: "os", Usage: "only devices of this `VERSION` or one that begins with it; old: below what the policy asks for"},
		&cli.IntFlag{Name: "not-seen", Usage: "only devices that were not heard from for `DAYS`"},
		&cli.StringFlag{Name: "as-of", Usage: "as it was known at a `TIME`: 2026-03-12, which is its end, or 2026-03-12T09:30"},
	}
}

// filterOf returns what the flags of a command mean, in the words of the API.
func filterOf(c *cli.Context) url.Values {
	q := url.Values{}
	for flag, key := range map[string]string{"search": "q", "app": "app", "os": "os", "as-of": "as_of"} {
		if v := c.String(flag); v != "" {
			q.Set(key, v)
		}
	}
	for _, flag := range []string{"state", "group", "site", "finding"} {
		for _, v := range c.StringSlice(flag) {
			if v != "" {
				q.Add(flag, v)
			}
		}
	}
	if c.Bool("blocked") {
		q.Set("blocked", "true")
	}
	if n := c.Int("not-seen"); n != 0 {
		q.Set("not_seen", strconv.Itoa(n))
	}
	return q
}

func deviceList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	q := filterOf(c)
	raw, err := cl.list(c.Context, "/devices", q, 0)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Device]) {
		if len(v.Items) == 0 {
			if len(q) > 0 {
				p.line("No device is like that. Without flags such as --state and --site all are listed.")
			} else {
				p.line("No device. Invite one with: ward invite --name NAME --ownership corporate")
			}
			return
		}
		rows := make([][]string, len(v.Items))
		for i, d := range v.Items {
			rows[i] = []string{
				string(d.ID), d.Name, d.Owner, d.Group, string(d.Ownership), system(d),
				strings.ToUpper(string(d.State)), at(d.LastSeen, "never"), d.Reason,
			}
		}
		p.table([]string{"ID", "NAME", "OWNER", "GROUP", "OWNERSHIP", "SYSTEM", "STATE", "LAST SEEN", "REASON"}, rows)
	})
}
