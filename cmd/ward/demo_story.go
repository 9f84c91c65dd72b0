package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server"
)

const (
	whatsApp  = "net.whatsapp.WhatsApp"
	messenger = "org.example.wardmessenger"
)

// The kinds of phone in the story, by index.
const (
	supervisedPhone = iota
	corporatePhone
	personalPhone
)

var kindNames = []string{"supervised", "unsupervised corporate", "personal"}

// story is the demonstration: a real server, virtual phones, and people who use the
// same API as everybody.
type story struct {
	n       int
	srv     *server.Server
	out     *teller
	fleet   *virtual.Fleet
	turnOn  func(p *virtual.Phone) // for as long as the server runs, longer than the story
	began   time.Time
	figures []figure

	people

	mu         sync.Mutex
	apps       map[*virtual.Phone]*virtual.App
	checkpoint []byte // of the audit log, from before the loss
	lostCase   string // of the supervised phone
}

func newStory(ctx context.Context, srv *server.Server, n int, out *teller) (*story, error) {
	s := &story{n: n, srv: srv, out: out, began: time.Now(), apps: map[*virtual.Phone]*virtual.App{}}
	var err error
	if s.people, err = demoPeople(ctx, srv); err != nil {
		return nil, err
	}
	roots := srv.Authority.Pool()
	all := roots.Clone()
	all.AppendCertsFromPEM(srv.StandIn().CAPEM())
	s.fleet, err = virtual.NewFleet(ctx, s.options(agent.NewTransport(all), roots))
	s.turnOn = func(p *virtual.Phone) { s.fleet.Run(ctx, p) }
	return s, err
}

// options describe the phones: a third of each kind, and a third of them, spread over
// the kinds, with WhatsApp.
func (s *story) options(t *agent.Transport, roots *x509.CertPool) []virtual.Options {
	var out []virtual.Options
	for i := range s.n {
		o := virtual.Options{
			UDID: fmt.Sprintf("00008120-%016X", 0xA000+i), Serial: fmt.Sprintf("WARD%06d", i+1), Name: fmt.Sprintf("iPhone %d", i+1),
			Supervised: kindOf(i) == supervisedPhone, PasscodeSet: true, Latitude: 55.7765 + float64(i)/1000, Longitude: -4.0471,
			Transport: t, ProfileRoots: roots, PushURL: s.srv.StandIn().URL(), Clock: time.Now,
			Apps: []virtual.Installed{{BundleID: "com.example.photos", Name: "Holiday Photos", Version: "3.1"}},
		}
		if hasWhatsApp(i) {
			o.Apps = append(o.Apps, virtual.Installed{BundleID: whatsApp, Name: "WhatsApp", Version: "25.1"})
		}
		out = append(out, o)
	}
	return out
}

func kindOf(i int) int       { return i % 3 }
func hasWhatsApp(i int) bool { return i%3 == (i/3)%3 }
func ownership(i int) string {
	if kindOf(i) == personalPhone {
		return string(ward.Personal)
	}
	return string(ward.Corporate)
}

func (s *story) close() {
	if s.fleet == nil {
		return
	}
	if err := s.fleet.Stop(); err != nil {
		s.out.said("a phone reported: %v", err)
	}
}

// step runs one step and keeps its figure.
func (s *story) step(name string, parts int, fn func(seen map[string]any) error) error {
	s.out.begin(name, parts)
	f := figure{Step: name, Seen: map[string]any{}}
	start := time.Now()
	err := fn(f.Seen)
	f.Seconds, f.OK = time.Since(start).Seconds(), err == nil
	s.figures = append(s.figures, f)
	s.out.done(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (s *story) tell(ctx context.Context) error {
	chapters := []func(context.Context) error{s.enrol, s.findOut, s.publish, s.provision, s.register, s.lose, s.wipe, s.afresh, s.losePersonal, s.hold, s.verify}
	for _, c := range chapters {
		if err := c(ctx); err != nil {
			return err
		}
	}
	return nil
}

// call asks the API as one person and decodes the answer into v, which may be nil.
func call(ctx context.Context, c *client, method, path string, body, v any) error {
	raw, err := c.send(ctx, method, path, body)
	if err != nil || v == nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// refused checks that the API refused with this status.
func refused(err error, status int) error {
	e, ok := errors.AsType[*apiError](err)
	if !ok || e.Status != status {
		return fmt.Errorf("it should have been refused with %d, but: %w", status, orNothing(err))
	}
	return nil
}

func orNothing(err error) error {
	if err == nil {
		return errors.New("it was done")
	}
	return err
}

// await waits until cond is true of the phone, and says what for if it never is.
func await(ctx context.Context, p *virtual.Phone, what string, cond func(*virtual.Phone) bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := p.Await(ctx, cond); err != nil {
		return fmt.Errorf("phone %s: %s: %w", p.Serial(), what, err)
	}
	return nil
}

// device is what the story reads of a device in the API.
type device struct {
	ID         string  `json:"id"`
	Management string  `json:"management"`
	State      string  `json:"state"`
	Reason     string  `json:"reason"`
	Epoch      int64   `json:"epoch"`
	Supervised *bool   `json:"supervised"`
	Limits     []limit `json:"limits"`
	Case       *struct {
		ID string `json:"id"`
	} `json:"case"`
	Apps []struct {
		BundleID  string `json:"bundle_id"`
		Installed *bool  `json:"installed"`
	} `json:"apps"`
}

type limit struct {
	Intent  string `json:"intent"`
	Verdict string `json:"verdict"`
	Why     string `json:"why"`
	Cure    string `json:"cure"`
}

// has reports whether the phone told the server that it has the app.
func (d device) has(bundle string) bool {
	for _, a := range d.Apps {
		if a.BundleID == bundle {
			return a.Installed != nil && *a.Installed
		}
	}
	return false
}

func (s *story) device(ctx context.Context, p *virtual.Phone) (d device, err error) {
	return d, call(ctx, s.desk, http.MethodGet, "/devices/"+p.Serial(), nil, &d)
}

// awaitDevice asks the server until cond is true of what it says.
func (s *story) awaitDevice(ctx context.Context, p *virtual.Phone, what string, cond func(device) bool) (d device, err error) {
	var last error // it is asked again
	err = s.again(ctx, p.Serial()+": "+what, func() (bool, error) {
		d, last = s.device(ctx, p)
		return last == nil && cond(d), nil
	})
	if err != nil {
		err = errors.Join(err, last)
	}
	return d, err
}

// again asks until it is so, or an error, and says what for if it never is.
func (s *story) again(ctx context.Context, what string, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for {
		if ok, err := so(); ok || err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("the server's word on %s: %w", what, ctx.Err())
		}
	}
}
