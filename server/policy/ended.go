package policy

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/source"
)

// ActionExceptionEnded stands in the audit log when an exception of a policy in force
// came to its end by itself; its subject is the generation.
const ActionExceptionEnded = "policy.exception-ended"

// Settings keeps small values of the installation.
type Settings interface {
	// Setting returns a value, "" if it is not set.
	Setting(ctx context.Context, key string) (string, error)
	SetSetting(ctx context.Context, key, value string) error
}

// toldUntil is the setting that holds up to when ended exceptions were told of, in
// microseconds.
const toldUntil = "policy.exceptions_told"

// TellEnded records in the audit log, once each, the exceptions that ended since it was
// last called. It is to be called again and again, by any copy of the server.
func (s *Service) TellEnded(ctx context.Context, now time.Time) error {
	f, err := s.InForce(ctx)
	if err != nil {
		return err
	}
	last, err := s.told(ctx)
	if err != nil || !last.IsZero() && len(f.ended(last, now)) == 0 {
		return err
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.store.HoldPolicy(ctx); err != nil {
			return err
		}
		if last, err = s.told(ctx); err != nil {
			return err
		}
		if !last.IsZero() {
			for _, e := range f.ended(last, now) {
				detail := map[string]string{"exception": e.ID, "app": e.App, "for": e.For.String(), "expires": e.Expires.Format(time.DateOnly)}
				if err := s.audit.Record(ctx, ActionExceptionEnded, strconv.FormatInt(e.generation, 10), detail); err != nil {
					return err
				}
			}
		}
		return s.store.SetSetting(ctx, toldUntil, strconv.FormatInt(now.UnixMicro(), 10))
	})
}

func (s *Service) told(ctx context.Context) (time.Time, error) {
	text, err := s.store.Setting(ctx, toldUntil)
	if err != nil || text == "" {
		return time.Time{}, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("setting %s: %w", toldUntil, err)
	}
	return time.UnixMicro(n).UTC(), nil
}

type endedException struct {
	source.Exception
	generation int64
}

// ended returns the exceptions of what is in force that ended after last and not after
// now, each once.
func (f *InForce) ended(last, now time.Time) (out []endedException) {
	seen := map[string]bool{}
	of := func(p *profiles.Policy, generation int64) {
		for _, e := range p.Exceptions {
			if end := e.Ends(); end.After(last) && !end.After(now) && !seen[e.ID] {
				seen[e.ID] = true
				out = append(out, endedException{e, generation})
			}
		}
	}
	for _, e := range []*edition{f.base, f.next} {
		if e != nil {
			of(e.policy, e.version.Generation)
		}
	}
	return out
}
