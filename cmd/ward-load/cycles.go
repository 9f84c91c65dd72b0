package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wardmdm/ward/server"
)

type teller = func(format string, a ...any)

// bench is a server with enrolled devices that are measured.
type bench struct {
	plan  plan
	place *place
	order order
	child *child
	c     *client
	fleet []*device
	say   teller
}

// cycles measures the cycle and idle check-ins, with no history and with a long one.
func cycles(ctx context.Context, p plan, at *place, say teller) (r report, err error) {
	r.Database = at.engine()
	m, err := newMakers(ctx)
	if err != nil {
		return r, err
	}
	b, err := openBench(ctx, p, at, m, p.devices, say)
	if err != nil {
		return r, err
	}
	err = b.both(ctx, &r, "")
	if err == nil {
		r.ServerMemory, err = resident(b.child.pid())
	}
	if err = join(err, b.close()); err != nil || p.history == 0 {
		return r, err
	}
	return r, aged(ctx, p, at, m, say, &r)
}

// aged measures few devices without and with a history, on an empty database.
func aged(ctx context.Context, p plan, at *place, m *makers, say teller, r *report) error {
	next := &place{dir: filepath.Join(at.dir, "aged"), cluster: at.cluster}
	if at.cluster != nil {
		url, err := at.cluster.create(ctx, "aged")
		if err != nil {
			return err
		}
		next.database = url
	}
	p.rounds *= max(1, p.devices/p.aged/2)
	b, err := openBench(ctx, p, next, m, p.aged, say)
	if err != nil {
		return err
	}
	err = b.both(ctx, r, ", no old commands")
	if err = join(err, b.child.stop()); err != nil {
		return err
	}
	say("writing %d old commands for each of %d devices", p.history, p.aged)
	if err := next.age(ctx, p.history); err != nil {
		return err
	}
	if err := b.restart(ctx); err != nil {
		return err
	}
	err = b.both(ctx, r, fmt.Sprintf(", %d old commands", p.history))
	return join(err, b.close())
}

func (at *place) engine() string {
	if at.database != "" {
		return "postgres"
	}
	return "sqlite"
}

// config is a server behind a proxy, as most are, or with TLS of its own.
func (at *place) config(p plan) server.Config {
	c := server.DefaultConfig()
	c.Data, c.DatabaseURL, c.Listen = filepath.Join(at.dir, "server"), at.database, "127.0.0.1:0"
	c.MDM.DeviceAuthorities = []string{filepath.Join(at.dir, "authority.pem")}
	c.TLS.Mode = server.TLSProxy
	if p.tls {
		c.TLS.Mode = server.TLSSelfMade
	}
	c.APNs.URL = "https://127.0.0.1:9" // nothing is there: these devices ask by themselves
	return c
}

// openBench starts a server and enrols devices.
func openBench(ctx context.Context, p plan, at *place, m *makers, devices int, say teller) (b *bench, err error) {
	if err := os.MkdirAll(at.dir, 0o700); err != nil {
		return nil, err
	}
	b = &bench{plan: p, place: at, say: say, order: order{Config: at.config(p), Token: true}}
	if err := os.WriteFile(b.order.Config.MDM.DeviceAuthorities[0], m.pem(), 0o600); err != nil {
		return nil, err
	}
	say("making %d devices", devices)
	if b.fleet, err = m.fleet(ctx, devices, 1); err != nil {
		return nil, err
	}
	if b.child, err = startChild(ctx, b.order); err != nil {
		return nil, err
	}
	b.order.Config.Listen, b.order.Token = b.child.Listen, false // devices keep the address for life
	b.c = newClient(b.child.served, p.connections)
	say("enrolling %d devices", devices)
	if err := b.c.enrol(ctx, b.fleet, p.connections); err != nil {
		return nil, join(err, b.close())
	}
	return b, nil
}

func (b *bench) restart(ctx context.Context) (err error) {
	token := b.child.Token
	b.c.close()
	if b.child, err = startChild(ctx, b.order); err != nil {
		return err
	}
	b.child.Token = token
	b.c = newClient(b.child.served, b.plan.connections)
	return nil
}

func (b *bench) close() error {
	b.c.close()
	return b.child.stop()
}

// both measures the cycle and then idle check-ins. Each is done once before.
func (b *bench) both(ctx context.Context, r *report, when string) error {
	for _, d := range b.fleet {
		if err := d.prepare(1); err != nil {
			return err
		}
	}
	if f := b.phase(ctx, "", 1, b.cycle); f.Failures > 0 {
		return fmt.Errorf("the first cycles failed: %s", f.Failure)
	}
	b.say("signing %d answers", len(b.fleet)*b.plan.rounds)
	if err := b.prepare(b.plan.rounds); err != nil {
		return err
	}
	for _, measured := range []struct {
		name   string
		rounds int
		work   work
	}{{"cycle" + when, b.plan.rounds, b.cycle}, {"idle" + when, 3 * b.plan.rounds, b.idle}} {
		b.say("measuring: %s", measured.name)
		f := b.phase(ctx, measured.name, measured.rounds, measured.work)
		r.Phases = append(r.Phases, f)
		if f.Failures > 0 {
			return nil // the report says how many and which
		}
	}
	return nil
}

func (b *bench) prepare(rounds int) error {
	var wg sync.WaitGroup
	errs := make([]error, b.plan.connections)
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(b.fleet) && errs[w] == nil; i += len(errs) {
				errs[w] = b.fleet[i].prepare(rounds)
			}
		})
	}
	wg.Wait()
	return join(errs...)
}

// work is one device's part in one round; it notes every request.
type work func(ctx context.Context, d *device, round int, note func(start time.Time, err error))

// phase has all connections work at once, each for devices of its own.
func (b *bench) phase(ctx context.Context, name string, rounds int, work work) figures {
	notes := make([]notes, b.plan.connections)
	meter, err := b.begin(name)
	if err != nil {
		return figures{Name: name, Failures: 1, Failure: err.Error()}
	}
	var wg sync.WaitGroup
	for w := range notes {
		n := &notes[w]
		wg.Go(func() {
			for round := range rounds {
				for i := w; i < len(b.fleet); i += len(notes) {
					work(ctx, b.fleet[i], round, n.add)
				}
			}
		})
	}
	wg.Wait()
	return meter.end(name, notes)
}

// cycle queues a command, has the device fetch it and takes in its answer: three
// requests. The answer to the last must be that nothing else waits.
func (b *bench) cycle(ctx context.Context, d *device, round int, note func(time.Time, error)) {
	c := d.cycles[round]
	start := time.Now()
	_, err := b.c.ask(ctx, http.MethodPut, "/api/v1/enqueue/"+d.udid+"?nopush=1", c.command)
	note(start, err)
	start = time.Now()
	answer, err := b.c.say(ctx, d.idle)
	if err == nil && !strings.Contains(string(answer), c.uuid) {
		err = fmt.Errorf("%s asked for the command %s and was given: %.300s", d.udid, c.uuid, answer)
	}
	note(start, err)
	start = time.Now()
	answer, err = b.c.say(ctx, c.answer)
	if err == nil && len(answer) > 0 {
		err = fmt.Errorf("%s answered its only command and was given: %.300s", d.udid, answer)
	}
	note(start, err)
}

func (b *bench) idle(ctx context.Context, d *device, _ int, note func(time.Time, error)) {
	start := time.Now()
	answer, err := b.c.say(ctx, d.idle)
	if err == nil && len(answer) > 0 {
		err = fmt.Errorf("%s was idle and was given: %.300s", d.udid, answer)
	}
	note(start, err)
}

// notes are the requests of one connection.
type notes struct {
	took     []time.Duration
	failures int
	failure  error
}

func (n *notes) add(start time.Time, err error) {
	n.took = append(n.took, time.Since(start))
	if err != nil {
		n.failures++
		n.failure = err
	}
}

// meter knows what had been used when a phase began.
type meter struct {
	b                *bench
	start            time.Time
	server, database time.Duration
}

func (b *bench) begin(name string) (m meter, err error) {
	if b.plan.profile != "" && name != "" {
		if err := os.MkdirAll(b.plan.profile, 0o755); err != nil { //nolint:gosec // a profile is no secret
			return m, err
		}
		file := b.place.engine() + "-" + strings.NewReplacer(" ", "-", ",", "").Replace(name) + ".pprof"
		if err := b.child.profile(filepath.Join(b.plan.profile, file)); err != nil {
			return m, err
		}
	}
	m.b = b
	m.server, m.database, err = b.used()
	m.start = time.Now()
	return m, err
}

// used is the processor time of the server and of its database so far.
func (b *bench) used() (server, database time.Duration, err error) {
	if server, err = processorTime(b.child.pid(), false); err != nil {
		return 0, 0, err
	}
	database, err = processorTime(b.place.cluster.pid(), true)
	return server, database, err
}

func (m meter) end(name string, all []notes) figures {
	wall := time.Since(m.start)
	server, database, err := m.b.used()
	f := figures{Name: name, Devices: len(m.b.fleet)}
	var took []time.Duration
	for _, n := range all {
		took = append(took, n.took...)
		f.Failures += n.failures
		if n.failure != nil {
			f.Failure = n.failure.Error()
		}
	}
	if m.b.plan.profile != "" && name != "" {
		err = join(err, m.b.child.profile(""))
	}
	if err != nil {
		f.Failures, f.Failure = f.Failures+1, err.Error()
	}
	slices.Sort(took)
	n := float64(len(took))
	f.Requests, f.PerSecond = len(took), n/wall.Seconds()
	f.P50, f.P99 = milliseconds(took, 50), milliseconds(took, 99)
	f.ServerCPU, f.DatabaseCPU = float64((server-m.server).Microseconds())/n, float64((database-m.database).Microseconds())/n
	f.CPU = f.ServerCPU + f.DatabaseCPU
	return f
}

// milliseconds returns a percentile of sorted times.
func milliseconds(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[(len(sorted)-1)*percent/100].Microseconds()) / 1000
}
