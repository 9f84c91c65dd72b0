package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/order"
)

func newOrderCommand() *cli.Command {
	reason := &cli.StringFlag{Name: "reason", Usage: "why, for the record"}
	return &cli.Command{
		Name:  "order",
		Usage: "ask for deeds that can't be undone, and follow, refuse and cancel them",
		Subcommands: []*cli.Command{
			newRequestCommand(),
			{
				Name: "list", Usage: "show orders, the newest first", Action: orderList,
				Flags: remoteFlags(
					&cli.StringFlag{Name: "state", Usage: "only requested, approved, issued, refused, cancelled or expired ones"},
					&cli.StringFlag{Name: "device", Usage: "only those for this `DEVICE`"},
					&cli.StringFlag{Name: "case", Usage: "only those of this `CASE`"},
				),
			},
			{Name: "show", Usage: "tell an order, who signed it, and what became of it", ArgsUsage: "ORDER", Action: orderShow, Flags: remoteFlags()},
			{
				Name: "approve", Usage: "tell where an order is approved, which is never here", ArgsUsage: "ORDER", Action: orderApprove, Flags: remoteFlags(),
				Description: "An order is approved by two different people, each in a browser and with a passkey\nof their own. No token approves, so this only tells the address.",
			},
			{
				Name: "refuse", Usage: "say no to an order: nothing is sent", ArgsUsage: "ORDER", Flags: remoteFlags(reason),
				Action: orderEnd("refuse", "Order %s is refused: nothing is sent."),
			},
			{
				Name: "cancel", Usage: "take back an order, as far as no device has it", ArgsUsage: "ORDER", Flags: remoteFlags(reason),
				Action: orderEnd("cancel", "Order %s is cancelled. ward order show tells whether a device had it already."),
			},
			{
				Name: "cancel-all", Usage: "take back every order at once, as far as no device has it", Flags: remoteFlags(reason), Action: orderCancelAll,
				Description: "Any administrator may do it alone: it stops deeds and does none. Commands that no\ndevice has fetched come off the queues in the same moment, and everyone is told.",
			},
			newBreakGlassCommand(), newOrderFileCommand(),
		},
	}
}

// deed says what an order is for.
func deed(o api.Order) string {
	if b := o.Options.Brake; b != nil {
		_, many := brake.Words(b.Kind)
		if o.Kind == order.LiftBrake {
			return fmt.Sprintf("lift the brake on %s for %s", many, counted(b.Hours, "hour"))
		}
		return "release the brake on " + many
	}
	verb := strings.ReplaceAll(string(o.Kind), "_", " ")
	switch o.Kind {
	case order.Erase:
		verb = "erase"
	case order.ClearPasscode:
		verb = "remove the passcode of"
	case order.RemoveManagement:
		verb = "end the management of"
	case order.LockPIN:
		verb = "lock with a PIN"
	}
	return verb + " " + several(o.Targets)
}

// named is how many devices are named in a list; order show names all.
const named = 3

func several(targets []api.Target) string {
	var devices []string
	for _, t := range targets[:min(len(targets), named)] {
		devices = append(devices, t.Name)
	}
	if more := len(targets) - named; more > 0 {
		devices = append(devices, fmt.Sprintf("%d more", more))
	}
	return strings.Join(devices, ", ")
}

// counted says a number of things.
func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func orderPath(id string, more string) string { return "/orders/" + url.PathEscape(id) + more }

func orderList(c *cli.Context) error {
	cl, err := ready(c)
	if err != nil {
		return err
	}
	q := url.Values{}
	for _, name := range []string{"state", "device", "case"} {
		if s := c.String(name); s != "" {
			q.Set(name, s)
		}
	}
	raw, err := cl.list(c.Context, "/orders", q, 0)
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.List[api.Order]) {
		if len(v.Items) == 0 {
			p.line("No order.")
			return
		}
		rows := make([][]string, len(v.Items))
		for i, o := range v.Items {
			rows[i] = []string{string(o.ID), string(o.State), signatures(o), deed(o), o.RequestedBy.Name, stamp(o.Created), o.Reason}
		}
		p.table([]string{"ORDER", "STATE", "SIGNED", "TO", "ASKED BY", "AT", "REASON"}, rows)
	})
}

// signatures says how many people have signed an order, of how many.
func signatures(o api.Order) string {
	if len(o.Approvals) == 1 && o.Approvals[0].Glass {
		return "sealed key"
	}
	return fmt.Sprintf("%d of 2", len(o.Approvals))
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
	p.facts("asked by", o.RequestedBy.Name+" at "+stamp(o.Created), "reason", o.Reason, "case", string(o.Case), "options", options(o), "hash", o.Hash,
		"waits for", o.Waiting, "due", at(o.Due, ""))
	for _, a := range o.Approvals {
		switch {
		case a.Glass:
			p.line("  signed with the sealed key, by %s, at %s", a.Person.Name, stamp(a.At))
		default:
			p.line("  signed by %s%s at %s", a.Person.Name, inBrackets(a.Subject), stamp(a.At))
		}
	}
	if o.State == order.Requested {
		p.line("  %s missing, until %s. Sign it in a browser: %s", counted(o.Needs, "signature"), stamp(o.Expires), o.ApproveAt)
	}
	if k := o.Closing; k != nil {
		p.line("  %s by %s at %s%s", string(o.State), cmp.Or(k.By.Name, ward.System.Name), stamp(k.At), because(k.Reason))
	}
	if len(o.Targets) == 0 {
		return
	}
	p.line("\nDevices (%d)", len(o.Targets))
	for _, t := range o.Targets {
		p.line("  %s, device %s, enrolment %s", t.Name, string(t.Device), string(t.Enrolment))
		if t.Outcome != "" {
			p.line("    %s", outcome(t))
		}
	}
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// options says what was chosen for an order.
func options(of api.Order) string {
	o := of.Options
	var words []string
	add := func(chosen bool, format string, args ...any) {
		if chosen {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(o.Drill, "a drill: nothing is sent")
	add(o.PreserveDataPlan, "keep the mobile data plan")
	add(of.Kind == order.Erase && !o.PreserveDataPlan, "the mobile data plan goes too")
	add(o.DisallowProximitySetup, "no set-up by a phone held near it")
	if r := o.ReturnToService; r != nil {
		add(true, "it enrols again by itself%s", within(", with the Wi-Fi profile ", r.WiFiProfileSHA256))
	}
	add(o.Obliteration != "", "a Mac that can't erase by its keys: %s", o.Obliteration)
	add(o.Message != "", "it shows %q", o.Message)
	add(o.Phone != "", "and the number %s", o.Phone)
	if k := o.Campaign; k != nil {
		add(true, "a campaign from %s, %s an hour", stamp(k.Start), counted(k.PerHour, "device"))
	}
	return strings.Join(words, "; ")
}

func within(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
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

func because(reason string) string { return within(": ", reason) }

// orderApprove tells where to go: nobody approves by a token.
func orderApprove(c *cli.Context) error {
	cl, args, err := readyFor(c, "ORDER")
	if err != nil {
		return err
	}
	raw, err := cl.do(c.Context, request{method: http.MethodGet, path: orderPath(args[0], "")})
	if err != nil {
		return err
	}
	var o api.Order
	if err := decode(raw, &o); err != nil {
		return err
	}
	if o.State != order.Requested {
		return ward.Errorf(ward.Conflict, "Order %s is %s: it waits for no signature.", o.ID, o.State)
	}
	return ward.Errorf(ward.Forbidden, "An order is approved in a browser, by two people with a passkey of their own each: %s", o.ApproveAt)
}

// reasonOf returns --reason, which the record needs.
func reasonOf(c *cli.Context) (string, error) {
	if strings.TrimSpace(c.String("reason")) == "" {
		return "", usagef(c, "--reason is missing: the record has to say why.")
	}
	return c.String("reason"), nil
}

// orderEnd is the action of the commands that end an order without a deed.
func orderEnd(deed, done string) cli.ActionFunc {
	return func(c *cli.Context) error {
		args, err := arguments(c, "ORDER")
		if err != nil {
			return err
		}
		reason, err := reasonOf(c)
		if err != nil {
			return err
		}
		cl, err := connect(c)
		if err != nil {
			return err
		}
		raw, err := cl.send(c.Context, http.MethodPost, orderPath(args[0], "/"+deed), map[string]string{"reason": reason})
		if err != nil {
			return err
		}
		return said(c, raw, strings.Replace(done, "%s", args[0], 1))
	}
}

func orderCancelAll(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	reason, err := reasonOf(c)
	if err != nil {
		return err
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	raw, err := cl.send(c.Context, http.MethodPost, "/orders/cancel-all", map[string]string{"reason": reason})
	if err != nil {
		return err
	}
	return answer(c, raw, func(p *printer, v api.CancelledAll) {
		p.line("%s taken back, and %s off the queues.", counted(v.Orders, "order"), counted(v.Commands, "command"))
		if v.TooLate > 0 {
			p.line("%s had reached a device before: ward order list tells which.", counted(v.TooLate, "command"))
		}
	})
}
