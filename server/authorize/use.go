package authorize

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wardmdm/ward"
)

// Use is what is recorded of the use of one certificate.
type Use struct {
	Serial  string
	Used    time.Time // when its holder was last let in, to within Coarse; zero if never
	Refused time.Time // when its holder was last refused, to within Coarse; zero if never
	Reason  Reason    // of the last outcome: Allowed, or why it was refused
}

// Coarse is how exactly the times of use are recorded.
const Coarse = time.Minute

// perUnit bounds the uses that are written in one unit of work, and perFlush those that
// are written by one Flush, so that other work gets its turn: when a whole fleet comes in
// at once, writing it all down at once would hold up the answers.
const (
	perUnit  = 500
	perFlush = 2000
)

// pending is a use that is not written yet.
type pending struct {
	Use
	device ward.DeviceID
	app    string
}

// uses gathers in memory what has to be written: a durable write for each request would
// cost more than all the rest. What a crash loses is the newest few seconds.
type uses struct {
	mu     sync.Mutex
	wait   map[string]pending         // by serial
	noted  map[string]noted           // by serial: what need not be written again yet
	stale  map[ward.DeviceID]struct{} // devices that nobody has judged in time
	wanted chan struct{}
}

// noted is the last outcome that was taken down for writing.
type noted struct {
	reason Reason
	at     time.Time
}

func newUses() uses {
	return uses{wait: map[string]pending{}, noted: map[string]noted{}, stale: map[ward.DeviceID]struct{}{}, wanted: make(chan struct{}, 1)}
}

// note keeps an outcome in mind, if it did not do so just now.
func (u *uses) note(s Subject, r Reason, now time.Time) {
	unjudged := s.Verdict.State == "" || (s.Verdict.Then == "" && !now.Before(s.Verdict.Until))
	late := unjudged && s.State == ward.Managed && s.Enrolment == ward.EnrolmentActive
	u.mu.Lock()
	defer u.mu.Unlock()
	if last := u.noted[s.Serial]; last.reason != r || now.Sub(last.at) >= Coarse {
		u.noted[s.Serial] = noted{r, now}
		p := u.wait[s.Serial]
		p.Serial, p.device, p.app, p.Reason = s.Serial, s.Device, s.App, r
		if r == Allowed {
			p.Used = now
		} else {
			p.Refused = now
		}
		u.wait[s.Serial] = p
	}
	if late {
		u.stale[s.Device] = struct{}{}
		select {
		case u.wanted <- struct{}{}:
		default: // it is asked for already
		}
	}
}

// take empties the memory of what waits, and forgets what may be written again by now.
func (u *uses) take(now time.Time) (map[string]pending, map[ward.DeviceID]struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.noted, func(_ string, n noted) bool { return now.Sub(n.at) >= Coarse })
	wait, stale := u.wait, u.stale
	u.wait, u.stale = make(map[string]pending, len(wait)), map[ward.DeviceID]struct{}{}
	return wait, stale
}

// restore puts back what could not be written, under what came since.
func (u *uses) restore(all []pending) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range all {
		if newer, ok := u.wait[p.Serial]; ok {
			if newer.Used.IsZero() {
				newer.Used = p.Used
			}
			if newer.Refused.IsZero() {
				newer.Refused = p.Refused
			}
			p = newer
		}
		u.wait[p.Serial] = p
	}
}

// Wanted tells when Flush should be called before its time: a device waits to be judged.
func (s *Service) Wanted() <-chan struct{} { return s.uses.wanted }

// Flush writes the use of certificates and has devices judged that were not judged in
// time. It writes every refusal; of the rest it may leave some to the next call, as it
// does with what can't be written. Call it about once a second.
func (s *Service) Flush(ctx context.Context) error {
	wait, stale := s.uses.take(s.Now())
	var refused, allowed []pending
	for _, serial := range slices.Sorted(maps.Keys(wait)) { // one order, so that copies of the server do not deadlock
		if p := wait[serial]; p.Reason == Allowed && p.Refused.IsZero() {
			allowed = append(allowed, p)
		} else {
			refused = append(refused, p)
		}
	}
	now := allowed[:min(len(allowed), perFlush)]
	s.uses.restore(allowed[len(now):])
	if err := s.judgeSoon(ctx, stale); err != nil {
		s.uses.restore(slices.Concat(refused, now))
		return err // who asks again has them judged
	}
	if left, err := s.inUnits(ctx, refused, s.write); err != nil {
		s.uses.restore(slices.Concat(left, now))
		return fmt.Errorf("write the use of certificates: %w", err)
	}
	if left, err := s.inUnits(ctx, now, s.writeAllowed); err != nil {
		s.uses.restore(left)
		return fmt.Errorf("write the use of certificates: %w", err)
	}
	return nil
}

// inUnits writes some at a time. With an error it returns what was not written.
func (s *Service) inUnits(ctx context.Context, all []pending, write func(ctx context.Context, some []pending) error) ([]pending, error) {
	for len(all) > 0 {
		n := min(perUnit, len(all))
		if err := s.Store.Do(ctx, func(ctx context.Context) error { return write(ctx, all[:n]) }); err != nil {
			return all, err
		}
		all = all[n:]
	}
	return nil, nil
}

func (s *Service) writeAllowed(ctx context.Context, all []pending) error {
	uses := make([]Use, len(all))
	for i, p := range all {
		uses[i] = p.Use
	}
	return s.Store.SaveAllowed(ctx, uses)
}

func (s *Service) judgeSoon(ctx context.Context, stale map[ward.DeviceID]struct{}) error {
	if len(stale) == 0 {
		return nil
	}
	now := s.Now()
	for _, id := range slices.Sorted(maps.Keys(stale)) {
		if err := s.Planner.CheckSoon(ctx, id, now); err != nil {
			return fmt.Errorf("have %s judged: %w", id, err)
		}
	}
	s.Soon()
	return nil
}

func (s *Service) write(ctx context.Context, all []pending) error {
	for _, p := range all {
		changed, err := s.Store.SaveUse(ctx, p.Use)
		if err != nil {
			return err
		}
		if !changed || p.device == "" {
			continue
		}
		detail := map[string]string{"serial": p.Serial, "reason": string(p.Reason)}
		if p.app != "" {
			detail["app"] = p.app
		}
		if err := s.Audit.Record(ctx, ActionRefused, string(p.device), detail); err != nil {
			return err
		}
	}
	return nil
}
