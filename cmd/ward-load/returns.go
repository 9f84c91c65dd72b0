package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wardmdm/ward/agent/virtual"
)

// settled waits until each phone has answered what it is asked after it enrolled.
func settled(ctx context.Context, p *virtual.Phone) error {
	return p.Await(ctx, func(p *virtual.Phone) bool { return asked(p, "InstalledApplicationList") })
}

// switchOff has phones answer what they are asked after they enrolled, and then switches
// them off.
func switchOff(ctx context.Context, phones []*virtual.Phone, at int) error {
	turns := make(chan struct{}, at)
	errs := make([]error, len(phones))
	var wg sync.WaitGroup
	for i, p := range phones {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			on, off := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- p.Run(on) }()
			err := settled(ctx, p)
			off()
			errs[i] = join(err, <-ended)
		})
	}
	wg.Wait()
	return join(errs...)
}

// returns reports phones lost that are switched off, and then switches one after another
// on. It measures from there: from the first attempt to connect until the server has the
// phone's word that lost mode is on.
func (b *bench) returns(ctx context.Context, f *lossFigures, phones []*virtual.Phone, fleet *virtual.Fleet) {
	every := time.NewTicker(spacing)
	defer every.Stop()
	took, errs := make([]time.Duration, len(phones)), make([]error, len(phones))
	for i, p := range phones {
		_, errs[i] = b.c.ask(ctx, http.MethodPost, "/api/v1/devices/"+p.Serial()+"/lost", []byte(`{"kind": "stolen", "where": "Car park"}`))
	}
	var wg sync.WaitGroup
	for i, p := range phones {
		if errs[i] != nil {
			continue
		}
		<-every.C
		wg.Go(func() {
			start := time.Now()
			fleet.Run(ctx, p)
			errs[i] = acknowledged(ctx, p)
			took[i] = time.Since(start)
		})
	}
	wg.Wait()
	f.Returns = len(phones)
	f.note(errs...)
	slices.Sort(took)
	f.ReturnP50, f.ReturnP99, f.ReturnMost = milliseconds(took, 50), milliseconds(took, 99), milliseconds(took, 100)
}

// connected counts the phones that are still connected: each is asked about itself and
// answers, the lost ones too.
func (b *bench) connected(ctx context.Context, f *lossFigures, phones *virtual.Fleet) error {
	var answered atomic.Int64
	err := phones.Each(ctx, b.plan.connections, func(ctx context.Context, _ int, p *virtual.Phone) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		before := len(p.Log())
		if _, err := b.c.ask(ctx, http.MethodPost, "/api/v1/devices/"+p.Serial()+"/refresh", nil); err != nil {
			return err
		}
		if err := p.Await(ctx, func(p *virtual.Phone) bool { return len(p.Log()) > before }); err != nil {
			return fmt.Errorf("phone %s is not connected any more: %w", p.Serial(), err)
		}
		answered.Add(1)
		return nil
	})
	f.Connected = int(answered.Load())
	return err
}
