package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/order"
	"golang.org/x/term"
)

// typed is how much of an order's hash a person types to approve it.
const typed = 8

func newApproveCommand() *cli.Command {
	return &cli.Command{
		Name: "approve", Usage: "say yes to another person's order", ArgsUsage: "ORDER",
		Description: "The order is shown first, and the first 8 characters of its hash are to be typed.\n" +
			"A script names the whole hash with --hash. What is approved is what was shown:\n" +
			"the hash is worked out here, from that, and not taken from the server.",
		Flags:  remoteFlags(&cli.StringFlag{Name: "hash", Usage: "`HASH` of the order that was read before; nothing is asked"}),
		Action: orderApprove,
	}
}

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
	if err := json.Unmarshal(raw, &o); err != nil {
		return unexpected(err)
	}
	hash, err := digest(o)
	if err != nil {
		return err
	}
	if hash != o.Hash {
		return fmt.Errorf("the server states the hash %s for order %s, but what it shows has the hash %s: nothing was approved, tell whoever runs the server", o.Hash, o.ID, hash)
	}
	if err := confirm(c, o, hash); err != nil {
		return err
	}
	raw, err = cl.send(c.Context, http.MethodPost, orderPath(args[0], "/approve"), map[string]string{"hash": hash})
	if err != nil {
		return err
	}
	return said(c, raw, fmt.Sprintf("Order %s is approved and sent. ward order show %s tells what each device answers.", o.ID, o.ID))
}

// digest works the order's hash out of what was shown.
func digest(o api.Order) (string, error) {
	v := order.Order{
		ID: o.ID, Kind: o.Kind, Reason: o.Reason, Case: o.Case, RequestedBy: o.RequestedBy.ID,
		Options: order.Options{PreserveDataPlan: o.Options.PreserveDataPlan, DisallowProximitySetup: o.Options.DisallowProximitySetup},
	}
	for _, t := range o.Targets {
		v.Targets = append(v.Targets, order.Target{Device: t.Device, Enrolment: t.Enrolment, Name: t.Name})
	}
	return v.Digest()
}

// confirm makes sure that the person, or the script, means this very order.
func confirm(c *cli.Context, o api.Order, hash string) error {
	if given := strings.ToLower(strings.TrimSpace(c.String("hash"))); given != "" {
		if given != hash {
			return fmt.Errorf("order %s has the hash %s, not %s: it is another order than the one that was read", o.ID, hash, given)
		}
		return nil
	}
	if !isTerminal(c.App.Reader) {
		return usagef(c, "There is no terminal to ask on: read the order with ward order show, and name its hash with --hash.")
	}
	p := &printer{w: c.App.ErrWriter}
	printOrder(p, o)
	p.write(fmt.Sprintf("\nThis can't be undone. Type the first %d characters of the hash to approve: ", typed))
	if p.err != nil {
		return p.err
	}
	line, err := bufio.NewReader(c.App.Reader).ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.ToLower(strings.TrimSpace(line)) != hash[:typed] {
		return fmt.Errorf("that is not the beginning of the hash: order %s was not approved", o.ID)
	}
	return nil
}

// isTerminal reports whether r is a terminal with a person before it.
func isTerminal(r any) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
