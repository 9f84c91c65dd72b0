package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server"
)

// busy is how many devices make the other traffic while losses are reported.
const busy = 200

// spacing is the time between two reports of a loss.
const spacing = 100 * time.Millisecond

// losses measures from the report of a loss until the server has the phone's word that
// lost mode is on. Phones are woken by the stand-in for Apple's push service, so what is
// measured is Ward's own queue and none of Apple's network.
func losses(ctx context.Context, p plan, at *place, say teller) (r report, err error) {
	r.Database = at.engine()
	m, err := newMakers(ctx)
	if err != nil {
		return r, err
	}
	b := &bench{plan: p, place: at, say: say, order: order{Config: at.config(p), Token: true}}
	if err := os.WriteFile(b.order.Config.MDM.DeviceAuthorities[0], m.pem(), 0o600); err != nil {
		return r, err
	}
	c := &b.order.Config
	c.Trial, c.TLS.Mode, c.Log.Level = true, server.TLSSelfMade, "warn"
	c.Brake.PerPerson, c.Brake.Installation = p.reports+p.returns+1, p.reports+p.returns+1 // it would rightly hold this
	if b.fleet, err = m.fleet(ctx, min(busy, p.devices), 0); err != nil {
		return r, err
	}
	if b.child, err = startChild(ctx, b.order); err != nil {
		return r, err
	}
	b.c = newClient(b.child.served, p.connections)
	r.Losses, err = b.lose(ctx, m)
	if err == nil {
		r.ServerMemory, err = resident(b.child.pid())
	}
	return r, join(err, b.close())
}

func (b *bench) lose(ctx context.Context, m *makers) (*lossFigures, error) {
	if err := b.c.enrol(ctx, b.fleet, b.plan.connections); err != nil {
		return nil, err
	}
	phones, err := b.phones(ctx, m)
	if err != nil {
		return nil, err
	}
	f := &lossFigures{Devices: b.plan.devices, Reports: b.plan.reports}
	all := b.plan.devices + b.plan.returns
	b.say("enrolling %d phones by invitation", all)
	start := time.Now()
	if err := phones.Each(ctx, b.plan.connections, b.enrolPhone); err != nil {
		return nil, err
	}
	f.EnrolledASec = float64(all) / time.Since(start).Seconds()
	on, off := phones.Phones()[:b.plan.devices], phones.Phones()[b.plan.devices:]
	for _, p := range on {
		phones.Run(ctx, p)
	}
	err = switchOff(ctx, off, b.plan.connections)
	for _, p := range on {
		if err == nil {
			err = settled(ctx, p)
		}
	}
	if err == nil {
		err = b.loseAll(ctx, phones, f)
	}
	if err == nil {
		b.say("asking every phone whether it is connected")
		err = b.connected(ctx, f, phones)
	}
	return f, join(err, phones.Stop())
}

// loseAll reports the losses while other devices are busy.
func (b *bench) loseAll(ctx context.Context, phones *virtual.Fleet, f *lossFigures) error {
	all := b.plan.reports + b.plan.returns
	rounds := (b.plan.traffic*int(time.Duration(all)*spacing/time.Second+8))/len(b.fleet) + 1
	b.say("signing %d answers", rounds*len(b.fleet))
	if err := b.prepare(rounds); err != nil {
		return err
	}
	traffic, halt := context.WithCancel(ctx)
	defer halt()
	var others notes
	done := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(done)
		others = b.traffic(traffic, rounds)
	}()
	b.say("reporting %d losses", b.plan.reports)
	took, errs := b.reports(ctx, phones)
	b.say("switching %d phones on that were reported lost while they were off", b.plan.returns)
	b.returns(ctx, f, phones.Phones()[b.plan.devices:], phones)
	halt()
	<-done
	f.note(append(errs, others.failure)...)
	f.CyclesASec = float64(len(others.took)) / 3 / time.Since(began).Seconds()
	slices.Sort(took)
	slices.Sort(others.took)
	f.P50, f.P99, f.Most, f.TrafficP99 = milliseconds(took, 50), milliseconds(took, 99), milliseconds(took, 100), milliseconds(others.took, 99)
	return nil
}

// reports reports one loss after another, whether those before are settled or not.
func (b *bench) reports(ctx context.Context, phones *virtual.Fleet) (took []time.Duration, errs []error) {
	every := time.NewTicker(spacing)
	defer every.Stop()
	took, errs = make([]time.Duration, b.plan.reports), make([]error, b.plan.reports)
	var wg sync.WaitGroup
	for i, p := range phones.Phones()[:b.plan.reports] {
		<-every.C
		wg.Go(func() {
			start := time.Now()
			errs[i] = b.loseOne(ctx, p)
			took[i] = time.Since(start)
		})
	}
	wg.Wait()
	return took, errs
}

// loseOne reports a loss and waits until the phone is given its next command, to tell
// where it is: the server gives that when it has kept the answer to the one before.
func (b *bench) loseOne(ctx context.Context, p *virtual.Phone) error {
	if _, err := b.c.ask(ctx, http.MethodPost, "/api/v1/devices/"+p.Serial()+"/lost", []byte(`{"kind": "lost", "where": "Bus 47"}`)); err != nil {
		return err
	}
	return acknowledged(ctx, p)
}

// acknowledged waits until the server has the phone's word that lost mode is on.
func acknowledged(ctx context.Context, p *virtual.Phone) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return p.Await(ctx, func(p *virtual.Phone) bool {
		_, on := p.InLostMode()
		return on && asked(p, "DeviceLocation")
	})
}

func asked(p *virtual.Phone, requestType string) bool {
	return slices.ContainsFunc(p.Log(), func(e virtual.Entry) bool { return e.RequestType == requestType })
}

// traffic makes cycles at the planned rate until ctx ends.
func (b *bench) traffic(ctx context.Context, rounds int) notes {
	all := make([]notes, b.plan.connections)
	every := time.NewTicker(time.Second / time.Duration(b.plan.traffic))
	defer every.Stop()
	turns := make(chan int, b.plan.traffic)
	var wg sync.WaitGroup
	for w := range all {
		n := &all[w]
		wg.Go(func() {
			for i := range turns {
				b.cycle(context.WithoutCancel(ctx), b.fleet[i%len(b.fleet)], i/len(b.fleet), n.add)
			}
		})
	}
	for i := 0; i < rounds*len(b.fleet) && ctx.Err() == nil; i++ {
		select {
		case <-every.C:
			turns <- i
		case <-ctx.Done():
		}
	}
	close(turns)
	wg.Wait()
	var sum notes
	for _, n := range all {
		sum.took, sum.failures = append(sum.took, n.took...), sum.failures+n.failures
		if n.failure != nil {
			sum.failure = n.failure
		}
	}
	return sum
}

// phones makes the virtual iPhones. They share the keys of the other devices.
func (b *bench) phones(ctx context.Context, m *makers) (*virtual.Fleet, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.child.Roots)
	transport := agent.NewTransport(roots)
	var next atomic.Int64
	all := make([]virtual.Options, b.plan.devices+b.plan.returns)
	for i := range all {
		all[i] = virtual.Options{
			UDID: fmt.Sprintf("00008120-%016X", 0xB000+i), Serial: fmt.Sprintf("LOST%06d", i+1), Supervised: true, PasscodeSet: true,
			Latitude: 55.7765, Longitude: -4.0471, Clock: time.Now, Transport: transport, PushURL: b.child.PushURL,
			Keys: func(context.Context) (*rsa.PrivateKey, error) { return m.pool[int(next.Add(1))%len(m.pool)], nil },
		}
	}
	return virtual.NewFleet(ctx, all)
}

func (b *bench) enrolPhone(ctx context.Context, i int, p *virtual.Phone) error {
	raw, err := b.c.ask(ctx, http.MethodPost, "/api/v1/invitations", fmt.Appendf(nil, `{"name": "Staff %d", "ownership": "corporate", "platform": "ios"}`, i+1))
	if err != nil {
		return err
	}
	var v struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	return p.Enrol(ctx, v.URL)
}

// idleMemory measures a trial server that has nothing to do.
func idleMemory(ctx context.Context, p plan, at *place, say teller) (r report, err error) {
	r.Database = at.engine()
	o := order{Config: at.config(p)}
	o.Config.MDM.DeviceAuthorities, o.Config.Trial = nil, true
	c, err := startChild(ctx, o)
	if err != nil {
		return r, err
	}
	say("waiting %s", p.idle)
	select {
	case <-time.After(p.idle):
		r.ServerMemory, err = resident(c.pid())
	case <-ctx.Done():
		err = ctx.Err()
	}
	return r, join(err, c.stop())
}
