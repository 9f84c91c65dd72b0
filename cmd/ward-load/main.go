// Command ward-load measures a Ward server: it starts one on loopback as a process of
// its own, plays its devices, and prints requests a second, waiting times and the
// processor time that a request costs the server and its database together. It asserts
// nothing about time, for machines differ; it fails when a request is answered wrongly.
// What the figures mean and how they are taken stands in docs/performance.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args, os.Stdin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ward-load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if os.Getenv(childVariable) != "" {
		return serveChild(ctx, in, out)
	}
	app := &cli.App{
		Name: "ward-load", Usage: "measure a Ward server on this machine", Writer: out, HideHelpCommand: true,
		Description: "Without a flag it measures the cycle of a command and idle check-ins. Each run has a\n" +
			"fresh data folder. Run it more than once: identical runs differ.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "postgres", Usage: "use PostgreSQL in a throw-away cluster that is durable, instead of SQLite"},
			&cli.BoolFlag{Name: "tls", Usage: "have the server do TLS itself, instead of a proxy before it"},
			&cli.IntFlag{Name: "devices", Value: 1000, Usage: "how many devices"},
			&cli.IntFlag{Name: "connections", Value: 16, Usage: "how many connections at once"},
			&cli.IntFlag{Name: "rounds", Value: 4, Usage: "how many cycles of each device are measured"},
			&cli.IntFlag{Name: "history", Value: 5000, Usage: "how many old commands each device has in the second measurement; 0 leaves it out"},
			&cli.IntFlag{Name: "history-devices", Value: 100, Usage: "how many devices that measurement has"},
			&cli.BoolFlag{Name: "lost", Usage: "measure from the report of a loss to lost mode, also of phones that were off, and nothing else"},
			&cli.IntFlag{Name: "reports", Value: 100, Usage: "how many losses are reported"},
			&cli.IntFlag{Name: "returns", Value: 50, Usage: "how many more phones are off when they are reported, and are switched on afterwards"},
			&cli.IntFlag{Name: "traffic", Value: 200, Usage: "how many cycles a second other devices make meanwhile"},
			&cli.BoolFlag{Name: "authorize", Usage: "measure the question whether a device may come in, and nothing else; 100,000 devices unless --devices says otherwise"},
			&cli.IntFlag{Name: "rate", Value: 5000, Usage: "how many such questions are asked a second"},
			&cli.DurationFlag{Name: "length", Value: 20 * time.Second, Usage: "how long they are asked"},
			&cli.BoolFlag{Name: "pages", Usage: "measure the overview and lists of a made-up fleet, now and in the past, and nothing else; 100,000 devices with a year unless --devices and --days say otherwise"},
			&cli.IntFlag{Name: "days", Value: seededDays, Usage: "how many days of the past that fleet has"},
			&cli.IntFlag{Name: "asked", Value: 200, Usage: "how often each sort of page is asked for"},
			&cli.PathFlag{Name: "seeded", Usage: "with --pages: the `FOLDER` of a server that ward seed filled, instead of making one"},
			&cli.BoolFlag{Name: "browser", Usage: "with --pages: also measure the first paint in Chromium"},
			&cli.BoolFlag{Name: "idle-rss", Usage: "measure the memory of a trial server that has nothing to do for 30 seconds, and nothing else"},
			&cli.BoolFlag{Name: "quick", Usage: "few devices and short histories: shows that it works, not how fast"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.PathFlag{Name: "profile", Usage: "write profiles of the server's processor time into this `FOLDER`"},
		},
		Action: measure,
	}
	return app.RunContext(ctx, args)
}

// plan says what is measured.
type plan struct {
	postgres, tls        bool
	devices, connections int
	rounds               int
	history, aged        int // old commands, and devices that have them
	reports, returns     int
	traffic              int
	rate                 int
	length               time.Duration
	days, asked          int
	browser              bool
	seeded               string
	idle                 time.Duration
	profile              string
}

func newPlan(c *cli.Context) (plan, error) {
	p := plan{
		postgres: c.Bool("postgres"), tls: c.Bool("tls"), devices: c.Int("devices"), connections: c.Int("connections"), rounds: c.Int("rounds"),
		history: c.Int("history"), aged: c.Int("history-devices"), reports: c.Int("reports"), returns: c.Int("returns"), traffic: c.Int("traffic"),
		rate: c.Int("rate"), length: c.Duration("length"), idle: 30 * time.Second, profile: c.Path("profile"),
		days: c.Int("days"), asked: c.Int("asked"), browser: c.Bool("browser"), seeded: c.Path("seeded"),
	}
	if (c.Bool("authorize") || c.Bool("pages")) && !c.IsSet("devices") {
		p.devices = manyDevices
	}
	if c.Bool("quick") {
		p.devices, p.connections, p.rounds, p.history, p.aged = min(p.devices, 40), min(p.connections, 8), min(p.rounds, 2), min(p.history, 200), min(p.aged, 20)
		p.reports, p.returns, p.traffic, p.idle = min(p.reports, 10), min(p.returns, 3), min(p.traffic, 50), time.Second
		p.days, p.asked = min(p.days, 10), min(p.asked, 10)
		p.rate, p.length = min(p.rate, 500), min(p.length, 300*time.Millisecond)
	}
	for name, n := range map[string]int{"devices": p.devices, "connections": p.connections, "rounds": p.rounds, "history-devices": p.aged, "reports": p.reports, "returns": p.returns, "traffic": p.traffic, "rate": p.rate, "asked": p.asked} {
		if n < 1 {
			return p, fmt.Errorf("--%s is %d: it needs at least 1", name, n)
		}
	}
	if p.days < 3 {
		return p, fmt.Errorf("--days is %d: it needs at least 3", p.days)
	}
	if c.Bool("lost") && p.reports > p.devices {
		return p, fmt.Errorf("--reports is %d, more than the devices there are", p.reports)
	}
	return p, nil
}

func measure(c *cli.Context) error {
	if c.NArg() > 0 {
		return fmt.Errorf("%q is not understood: ward-load takes flags only", c.Args().First())
	}
	p, err := newPlan(c)
	if err != nil {
		return err
	}
	work := cycles
	switch {
	case c.Bool("lost"):
		work = losses
	case c.Bool("authorize"):
		work = authorized
	case c.Bool("pages"):
		work = pagesMeasured
	case c.Bool("idle-rss"):
		work = idleMemory
	}
	say := func(format string, a ...any) {
		fmt.Fprintf(os.Stderr, format+"\n", a...)
	}
	r, err := inPlace(c.Context, p, func(ctx context.Context, place *place) (report, error) { return work(ctx, p, place, say) })
	if c.Bool("json") {
		e := json.NewEncoder(c.App.Writer)
		e.SetIndent("", "  ")
		err = errors.Join(err, e.Encode(r))
	} else {
		err = errors.Join(err, r.print(c.App.Writer)) // what was measured before an error is told too
	}
	if n := r.failures(); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d requests failed", n))
	}
	return err
}

// place is where a measurement happens: a folder of its own and, where it is asked
// for, a database server.
type place struct {
	dir      string
	database string // the URL of PostgreSQL, "" for SQLite
	cluster  *cluster
}

// inPlace makes a place for fn and clears it away afterwards.
func inPlace(ctx context.Context, p plan, fn func(context.Context, *place) (report, error)) (r report, err error) {
	dir, err := os.MkdirTemp("", "ward-load-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	at := &place{dir: dir}
	if p.postgres {
		if at.cluster, err = startCluster(ctx); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, at.cluster.stop()) }()
		at.database = at.cluster.url
	}
	return fn(ctx, at)
}
