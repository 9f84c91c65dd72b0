package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/order"
	"golang.org/x/term"
)

// typed is how much of an order's hash a person types to mean exactly this order.
const typed = 8

func newBreakGlassCommand() *cli.Command {
	return &cli.Command{
		Name: "break-glass", Usage: "sign an order for one device with the sealed key, for the night when nobody answers", ArgsUsage: "ORDER", Action: breakGlass,
		Description: "The sealed key is in two parts, which two keepers hold; it stands for the two\n" +
			"signatures of an order for one device. The order is read and shown first, and the\n" +
			"hash is worked out here, from what is shown. The parts stay on this machine: only\n" +
			"the signature is sent. Everyone is told. Make a new key afterwards: ward glass make.",
		Flags: remoteFlags(
			&cli.PathFlag{Name: "part-1", Usage: "`FILE` with the first part, as it was printed"},
			&cli.PathFlag{Name: "part-2", Usage: "`FILE` with the second part"},
			&cli.BoolFlag{Name: "yes", Usage: "ask nothing"},
		),
	}
}

func breakGlass(c *cli.Context) error {
	args, err := arguments(c, "ORDER")
	if err != nil {
		return err
	}
	if c.Path("part-1") == "" || c.Path("part-2") == "" {
		return usagef(c, "--part-1 and --part-2 are needed: the files with the two parts of the sealed key.")
	}
	parts := [2][]byte{}
	for i, flag := range []string{"part-1", "part-2"} {
		if parts[i], err = readFile("--"+flag, c.Path(flag)); err != nil {
			return err
		}
	}
	cl, err := connect(c)
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
	shown, err := stated(o)
	if err != nil {
		return err
	}
	p := &printer{w: c.App.ErrWriter}
	printOrder(p, shown)
	if p.err != nil {
		return p.err
	}
	if err := confirmTyped(c, "This can't be undone. Type the first 8 characters of the hash to sign it with the sealed key: ", shown.Hash[:typed],
		"that is not the beginning of the hash: order "+string(o.ID)+" was not signed"); err != nil {
		return err
	}
	sig, err := approver.SignGlass(string(parts[0]), string(parts[1]), shown.Hash)
	if err != nil {
		return err
	}
	raw, err = cl.send(c.Context, http.MethodPost, orderPath(args[0], "/break-glass"), map[string]any{"hash": shown.Hash, "signature": sig})
	if err != nil {
		return err
	}
	return said(c, raw, fmt.Sprintf("Order %s is signed with the sealed key, and everyone is told. ward order show %s tells what the device answers.\nMake a new sealed key in the morning: ward glass make.", o.ID, o.ID))
}

// stated returns the order as its statement says it, which is what is signed: nothing that
// the server tells beside the statement is shown as if it were signed too.
func stated(o api.Order) (api.Order, error) {
	if o.State != order.Requested {
		return o, ward.Errorf(ward.Conflict, "Order %s is %s: it waits for no signature.", o.ID, o.State)
	}
	if o.Statement == "" {
		return o, ward.Errorf(ward.Forbidden, "The statement of order %s is not shown to this token, and the sealed key signs nothing that was not read: take a token of somebody who may ask for orders.", o.ID)
	}
	wrong := fmt.Errorf("what the server shows of order %s is not what its hash is of: nothing was signed, tell whoever runs the server", o.ID)
	sum := sha256.Sum256([]byte(o.Statement))
	if hex.EncodeToString(sum[:]) != o.Hash {
		return o, wrong
	}
	var s struct {
		ID          ward.OrderID  `json:"id"`
		Kind        order.Kind    `json:"kind"`
		Targets     []api.Target  `json:"targets"`
		Options     order.Options `json:"options"`
		Reason      string        `json:"reason"`
		Case        ward.CaseID   `json:"case"`
		RequestedBy ward.PersonID `json:"requested_by"`
	}
	if err := json.Unmarshal([]byte(o.Statement), &s); err != nil {
		return o, errors.Join(wrong, err)
	}
	v := order.Order{ID: s.ID, Kind: s.Kind, Options: s.Options, Reason: s.Reason, Case: s.Case, RequestedBy: s.RequestedBy}
	for _, t := range s.Targets {
		v.Targets = append(v.Targets, order.Target{Device: t.Device, Enrolment: t.Enrolment, Name: t.Name})
	}
	text, err := v.Statement()
	if err != nil || !bytes.Equal(text, []byte(o.Statement)) || s.ID != o.ID {
		return o, errors.Join(wrong, err)
	}
	shown := api.Order{
		ID: s.ID, Kind: s.Kind, Reason: s.Reason, Case: s.Case, Options: shownOptions(s.Options), RequestedBy: api.Someone{ID: s.RequestedBy, Name: string(s.RequestedBy)}, Hash: o.Hash,
		Targets: s.Targets, State: o.State, Created: o.Created, Expires: o.Expires, Needs: o.Needs, ApproveAt: o.ApproveAt, Waiting: o.Waiting, Approvals: o.Approvals,
	}
	if o.RequestedBy.ID == s.RequestedBy && o.RequestedBy.Name != "" {
		shown.RequestedBy.Name = fmt.Sprintf("%s (%s)", o.RequestedBy.Name, s.RequestedBy)
	}
	return shown, nil
}

// shownOptions are the options of a statement as the API shows them.
func shownOptions(o order.Options) api.OrderOptions {
	out := api.OrderOptions{
		PreserveDataPlan: o.PreserveDataPlan, DisallowProximitySetup: o.DisallowProximitySetup, Obliteration: o.Obliteration, Message: o.Message, Phone: o.Phone, Drill: o.Drill,
	}
	if r := o.ReturnToService; r != nil {
		out.ReturnToService = &api.ReturnToService{}
		if len(r.WiFiProfile) > 0 {
			sum := sha256.Sum256(r.WiFiProfile)
			out.ReturnToService.WiFiProfileSHA256 = hex.EncodeToString(sum[:])
		}
	}
	if k := o.Campaign; k != nil {
		out.Campaign = &api.Campaign{Start: k.Start, PerHour: k.PerHour}
	}
	if b := o.Brake; b != nil {
		out.Brake = &api.BrakeTurn{Kind: b.Kind, Hours: b.Hours}
	}
	return out
}

// confirmTyped has the person at the terminal type a word, and fails with otherwise if they
// type another. With --yes nothing is asked.
func confirmTyped(c *cli.Context, question, word, otherwise string) error {
	if c.Bool("yes") {
		return nil
	}
	if !isTerminal(c.App.Reader) {
		return usagef(c, "There is no terminal to ask on: read what is shown above, and say --yes.")
	}
	said, err := ask(c, question)
	if err != nil {
		return err
	}
	if !strings.EqualFold(said, word) {
		return errors.New(otherwise)
	}
	return nil
}

// ask puts a question to the person at the terminal.
func ask(c *cli.Context, question string) (string, error) {
	if _, err := fmt.Fprint(c.App.ErrWriter, "\n"+question); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c.App.Reader).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// isTerminal reports whether r is a terminal with a person before it.
func isTerminal(r any) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
