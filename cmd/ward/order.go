package main

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/order"
)

func newOrderCommand() *cli.Command {
	reason := &cli.StringFlag{Name: "reason", Usage: "why, for the record"}
	return &cli.Command{
		Name:  "order",
		Usage: "see, approve and refuse orders for deeds that can't be undone",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "show orders, the newest first", Action: orderList,
				Flags: remoteFlags(&cli.StringFlag{Name: "state", Usage: "only requested, issued, refused, cancelled or expired ones"}),
			},
			{Name: "show", Usage: "tell an order and what became of it", ArgsUsage: "ORDER", Action: orderShow, Flags: remoteFlags()},
			newApproveCommand(),
			{
				Name: "refuse", Usage: "say no to another person's order", ArgsUsage: "ORDER", Flags: remoteFlags(reason),
				Action: orderEnd("refuse", "Order %s is refused: nothing is sent."),
			},
			{
				Name: "cancel", Usage: "take back an order of one's own, as far as no device has it", ArgsUsage: "ORDER", Flags: remoteFlags(reason),
				Action: orderEnd("cancel", "Order %s is cancelled. ward order show tells whether a device had it already."),
			},
		},
	}
}

// deed says what an order is for.
func deed(o api.Order) string {
	verb := string(o.Kind)
	switch o.Kind {
	case order.Erase:
		verb = "erase"
	case order.ClearPasscode:
		verb = "remove the passcode of"
	}
	var devices []string
	for _, t := range o.Targets {
		devices = append(devices, t.Name)
	}
	return verb + " " + strings.Join(devices, ", ")
}

func orderPath(id string, more string) string { return "/orders/" + url.PathEscape(id) + more }

func orderList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	q := url.Values{}
	if s := c.String("state"); s != "" {
		q.Set("state", s)
	}
	raw, err := cl.list(c.Context, "/orders", q, 0)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Order]) {
		rows := make([][]string, len(v.Items))
		for i, o := range v.Items {
			rows[i] = []string{string(o.ID), string(o.State), deed(o), o.RequestedBy.Name, stamp(o.Created), o.Reason}
		}
		p.table([]string{"ORDER", "STATE", "TO", "ASKED BY", "AT", "REASON"}, rows)
	})
}

func orderShow(c *cli.Context) error {
	cl, args, err := readyFor(c, "ORDER")
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: orderPath(args[0], "")})
	if err != nil {
		return err
	}
	return answer(c, raw, printOrder)
}

// printOrder tells an order. All that its hash covers is shown.
func printOrder(p *printer, o api.Order) {
	p.line("Order %s, %s: %s", string(o.ID), string(o.State), deed(o))
	var options []string
	if o.Options.PreserveDataPlan {
		options = append(options, "keep the mobile data plan")
	}
	if o.Options.DisallowProximitySetup {
		options = append(options, "no set-up by a phone held near it")
	}
	p.facts("asked by", o.RequestedBy.Name+" ("+string(o.RequestedBy.ID)+") at "+stamp(o.Created), "reason", o.Reason, "case", string(o.Case),
		"options", strings.Join(options, ", "), "hash", o.Hash)
	if o.State == order.Requested {
		p.line("  it waits for another person's approval until %s", stamp(o.Expires))
	}
	for _, a := range o.Approvals {
		p.line("  approved by %s at %s", a.Person.Name, stamp(a.At))
	}
	if k := o.Closing; k != nil {
		p.line("  %s by %s at %s%s", string(o.State), cmp.Or(k.By.Name, ward.System.Name), stamp(k.At), because(k.Reason))
	}
	p.line("\nDevices")
	for _, t := range o.Targets {
		p.line("  %s, device %s, enrolment %s", t.Name, string(t.Device), string(t.Enrolment))
		if t.Outcome != "" {
			p.line("    %s", outcome(t))
		}
	}
}

// outcome says what became of an order on one device. A device accepts an erase before
// it does it, so the server's words go first.
func outcome(t api.Target) string {
	if t.Words != "" {
		return t.Words
	}
	w := string(t.Outcome)
	switch {
	case t.Answered != nil:
		w += " at " + stamp(*t.Answered)
	case t.Delivered != nil:
		w += ", last handed out at " + stamp(*t.Delivered)
	}
	return w + because(t.Error)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// orderEnd is the action of the commands that end an order without a deed.
func orderEnd(deed, done string) cli.ActionFunc {
	return func(c *cli.Context) error {
		cl, args, err := readyFor(c, "ORDER")
		if err != nil {
			return err
		}
		if c.String("reason") == "" {
			return usagef(c, "--reason is missing: the record has to say why.")
		}
		raw, err := cl.send(c.Context, http.MethodPost, orderPath(args[0], "/"+deed), map[string]string{"reason": c.String("reason")})
		if err != nil {
			return err
		}
		return said(c, raw, strings.Replace(done, "%s", args[0], 1))
	}
}
