package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/command"
)

// tried is an attempt as far as it matters for purging.
type tried struct {
	enrolment, key   string
	state            command.State
	queued, answered int64
}

// versioned are the kinds of steps whose keys end with a version, so that each version
// leaves an attempt behind.
var versioned = []string{"profile:", "app:", "declarations:", "apps:", "locate:"}

// thing is what a step brings, without its version; "" for steps without versions.
func (t tried) thing() string {
	for _, kind := range versioned {
		if strings.HasPrefix(t.key, kind) {
			return t.key[:strings.LastIndexByte(t.key, ':')]
		}
	}
	return ""
}

// superseded returns the attempts of one enrolment that planning has no use for: of
// versions of a thing that are neither the newest that was tried nor the last that was
// accepted, and that were answered before t.
func superseded(all []tried, t int64) []tried {
	newest, accepted := map[string]tried{}, map[string]tried{}
	for _, a := range all {
		thing := a.thing()
		if old, ok := newest[thing]; !ok || a.queued > old.queued {
			newest[thing] = a
		}
		if old, ok := accepted[thing]; a.state == command.Accepted && (!ok || a.answered > old.answered) {
			accepted[thing] = a
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(a tried) bool {
		thing := a.thing()
		return thing == "" || a.state.Open() || a.answered == 0 || a.answered >= t || a == newest[thing] || a == accepted[thing]
	})
}

// PurgeAttempts deletes the attempts of steps of versions that were overtaken and that
// were answered before t, and returns how many. Every version of the policy leaves some
// on each device. It deletes in small units of work, so that others get their turn, and
// none that was tried again meanwhile.
func (p Policies) PurgeAttempts(ctx context.Context, t time.Time) (total int64, err error) {
	var doomed, all []tried
	end := func() {
		doomed, all = append(doomed, superseded(all, micros(t))...), all[:0]
	}
	err = p.each(ctx, func(r scanner) error {
		var a tried
		if err := r.Scan(&a.enrolment, &a.key, &a.state, &a.queued, &a.answered); err != nil {
			return err
		}
		if len(all) > 0 && all[0].enrolment != a.enrolment {
			end()
		}
		all = append(all, a)
		return nil
	}, `SELECT enrolment_id, step_key, state, queued_at, answered_at FROM attempt ORDER BY enrolment_id`)
	if err != nil {
		return 0, fmt.Errorf("read attempts: %w", err)
	}
	end()
	for part := range slices.Chunk(doomed, 500) {
		var deleted int64
		err := p.Do(ctx, func(ctx context.Context) error {
			deleted = 0
			for _, a := range part {
				n, err := p.exec(ctx, `DELETE FROM attempt WHERE enrolment_id = $1 AND step_key = $2 AND queued_at = $3 AND answered_at = $4`, a.enrolment, a.key, a.queued, a.answered)
				if err != nil {
					return err
				}
				deleted += n
			}
			return nil
		})
		if err != nil {
			return total, fmt.Errorf("delete attempts: %w", err)
		}
		total += deleted
	}
	return total, nil
}
