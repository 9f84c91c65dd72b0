package server

import (
	"context"
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/seed"
)

// Seed fills the empty database of a server that has run once, and does not run now, with a
// made-up fleet and its past. Where no policy is in force it publishes one. Devices, Days,
// Sites, Groups, Random and Tell of the options say what is made.
func Seed(ctx context.Context, c Config, o seed.Options) (sum seed.Summary, err error) {
	if err := o.Check(); err != nil {
		return sum, err
	}
	console, err := openConsole(ctx, c)
	if err != nil {
		return sum, err
	}
	defer func() {
		if closed := console.Close(); err == nil {
			err = closed
		}
	}()
	ctx = console.Context(ctx)
	if c.now != nil {
		console.now = c.now
	}
	db, record := console.db.Seeds(), recorder{console.log, console.db.Fleet()}
	empty, err := db.Empty(ctx)
	if err != nil {
		return sum, fmt.Errorf("seed: %w", err)
	}
	if !empty {
		return sum, ward.Errorf(ward.Conflict, "The database holds devices already: a made-up fleet goes into an empty one.")
	}
	policies := policy.New(console.db.Policies(), record, console.now, nil)
	policies.Rule, policies.NetworkLife = policy.Rule{Above: 1}, networkLife
	inForce, err := policies.InForce(ctx)
	if err != nil {
		return sum, fmt.Errorf("seed: %w", err)
	}
	if p, _ := inForce.Current(); p == nil {
		if _, err := policies.Submit(ctx, policy.Draft{Text: seed.Policy(), Reason: "the policy of a made-up fleet"}); err != nil {
			return sum, fmt.Errorf("seed: %w", err)
		}
	}
	o.Now = console.now()
	if o.Policy, o.Generation, err = policies.For(ctx, ward.Device{}); err != nil {
		return sum, fmt.Errorf("seed: %w", err)
	}
	if o.Epoch, err = policies.Epoch(ctx); err != nil {
		return sum, fmt.Errorf("seed: %w", err)
	}
	if sum, err = seed.Run(ctx, o, db); err != nil {
		return sum, err
	}
	return sum, record.Record(ctx, "fleet.seeded", "", map[string]string{"devices": fmt.Sprint(sum.Devices), "days": fmt.Sprint(o.Days)})
}
