package main

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/order"
)

// deviceKinds are the kinds of orders that name devices, as they are written here.
func deviceKinds() []string {
	var out []string
	for _, k := range order.Kinds {
		if k.Devices() {
			out = append(out, hyphens(string(k)))
		}
	}
	return out
}

// hyphens writes a word of the API as the command line does, and underscores the other
// way round.
func hyphens(s string) string     { return strings.ReplaceAll(s, "_", "-") }
func underscores(s string) string { return strings.ReplaceAll(s, "-", "_") }

func newRequestCommand() *cli.Command {
	return &cli.Command{
		Name: "request", Usage: "ask for a deed that can't be undone, for exactly these devices", ArgsUsage: "DEVICE...", Action: orderRequest,
		Description: deviceWord + "\n\nNothing reaches a device until two different people have signed the order in a browser,\neach with a passkey of their own. A personal device is never erased.",
		Flags: remoteFlags(
			&cli.StringFlag{Name: "kind", Usage: "`DEED`: " + strings.Join(deviceKinds(), ", ")},
			&cli.StringFlag{Name: "reason", Usage: "why; whoever signs reads it"},
			&cli.StringFlag{Name: "case", Usage: "the lost `CASE` that it belongs to"},
			&cli.BoolFlag{Name: "preserve-data-plan", Value: true, Usage: "erase: keep the mobile data plan of an eSIM; it is kept unless =false"},
			&cli.BoolFlag{Name: "disallow-proximity-setup", Usage: "erase, iPhone and iPad: no set-up by a phone held near it"},
			&cli.BoolFlag{Name: "return-to-service", Usage: "erase, iPhone and iPad: it enrols again by itself; not in a lost case"},
			&cli.PathFlag{Name: "wifi-profile", Usage: "a configuration profile in a `FILE`, by which it reaches the network then"},
			&cli.StringFlag{Name: "obliteration", Usage: "erase, Mac: `WHAT` it does where it can't erase by its keys: " + strings.Join(order.Obliterations, ", ")},
			&cli.StringFlag{Name: "message", Usage: "lock-pin: `TEXT` that the Mac shows"},
			&cli.StringFlag{Name: "phone", Usage: "lock-pin: `NUMBER` that the Mac shows"},
			&cli.TimestampFlag{Name: "start", Usage: "many devices: the `TIME` when a planned campaign begins, a day ahead, such as 2026-05-01T09:30", Layout: minuteLayout, Timezone: time.Local},
			&cli.IntFlag{Name: "per-hour", Usage: "many devices: the `NUMBER` of devices in any hour of the campaign"},
			&cli.BoolFlag{Name: "drill", Usage: "a rehearsal: everything but the command"},
		),
	}
}

// minuteLayout is how people write a time.
const minuteLayout = "2006-01-02T15:04"

// orderBody is what asks for an order.
type orderBody struct {
	Kind    order.Kind      `json:"kind"`
	Devices []string        `json:"devices,omitempty"`
	Reason  string          `json:"reason"`
	Case    string          `json:"case,omitempty"`
	Options api.OrderChoice `json:"options"`
}

func orderRequest(c *cli.Context) error {
	kind := c.String("kind")
	switch {
	case kind == "":
		return usagef(c, "--kind is missing: one of %s.", strings.Join(deviceKinds(), ", "))
	case strings.HasSuffix(underscores(kind), "_brake"):
		return usagef(c, "The brake is released by ward brake release, and lifted by ward brake lift.")
	case !slices.Contains(deviceKinds(), hyphens(kind)):
		return usagef(c, "--kind is one of %s, not %q.", strings.Join(deviceKinds(), ", "), kind)
	case c.NArg() == 0:
		return usagef(c, "DEVICE is missing.")
	}
	reason, err := reasonOf(c)
	if err != nil {
		return err
	}
	choice, err := orderChoice(c)
	if err != nil {
		return err
	}
	cl, err := connect(c)
	if err != nil {
		return err
	}
	return cl.askFor(c, orderBody{order.Kind(underscores(kind)), c.Args().Slice(), reason, c.String("case"), choice})
}

func orderChoice(c *cli.Context) (o api.OrderChoice, err error) {
	o = api.OrderChoice{
		DisallowProximitySetup: c.Bool("disallow-proximity-setup"), Obliteration: c.String("obliteration"),
		Message: c.String("message"), Phone: c.String("phone"), Drill: c.Bool("drill"),
	}
	if c.IsSet("preserve-data-plan") {
		keep := c.Bool("preserve-data-plan")
		o.PreserveDataPlan = &keep
	}
	if start := c.Timestamp("start"); start != nil || c.IsSet("per-hour") {
		if start == nil || c.Int("per-hour") < 1 {
			return o, usagef(c, "A campaign has both a --start, a day ahead, and a --per-hour.")
		}
		o.Campaign = &api.Campaign{Start: start.UTC(), PerHour: c.Int("per-hour")}
	}
	path := c.Path("wifi-profile")
	if path != "" && !c.Bool("return-to-service") {
		return o, usagef(c, "--wifi-profile is for a device that enrols again by itself: add --return-to-service.")
	}
	if !c.Bool("return-to-service") {
		return o, nil
	}
	o.ReturnToService = &api.ReturnChoice{}
	if path != "" {
		o.ReturnToService.WiFiProfile, err = readFile("the Wi-Fi profile", path)
	}
	return o, err
}

// askFor asks for an order and tells where it is signed.
func (cl *client) askFor(c *cli.Context, b orderBody) error {
	raw, err := cl.send(c.Context, http.MethodPost, "/orders", b)
	if err != nil {
		return err
	}
	return answer(c, raw, printAsked)
}

// printAsked tells of an order that was asked for.
func printAsked(p *printer, o api.Order) {
	p.line("Order %s asks to %s. Nothing is done until two people have signed it, before %s:", string(o.ID), deed(o), stamp(o.Expires))
	p.line("  sign it    %s", o.ApproveAt)
	p.line("  follow it  ward order show %s", string(o.ID))
	if o.Options.Drill {
		p.line("It is a drill: nothing is sent to a device even then.")
	}
}
