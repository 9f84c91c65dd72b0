package authorize

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
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
// cost more than all the rest. What a crash loses is the newest few seconds. Nothing here
// takes longer when a whole fleet comes in: whoever asks would wait for it.
type uses struct {
	mu      sync.Mutex
	refused map[string]pending // by serial: what has a refusal in it
	allowed map[string]pending // by serial: the rest
	noted   map[string]noted   // by serial: what need not be written again yet
	before  map[string]noted   // what noted was until turned
	turned  time.Time
	stale   map[ward.DeviceID]struct{} // devices that nobody has judged in time
	wanted  chan struct{}
}

// noted is the last outcome that was taken down for writing.
type noted struct {
	reason Reason
	at     time.Time
}

func newUses() uses {
	return uses{
		refused: map[string]pending{}, allowed: map[string]pending{}, noted: map[string]noted{}, stale: map[ward.DeviceID]struct{}{}, wanted: make(chan struct{}, 1),
	}
}

// note keeps an outcome in mind, if it did not do so just now.
func (u *uses) note(s Subject, r Reason, now time.Time) {
	unjudged := s.Verdict.State == "" || (s.Verdict.Then == "" && !now.Before(s.Verdict.Until))
	late := unjudged && s.State == ward.Managed && s.Enrolment == ward.EnrolmentActive
	u.mu.Lock()
	defer u.mu.Unlock()
	last, ok := u.noted[s.Serial]
	if !ok {
		last = u.before[s.Serial]
	}
	if last.reason != r || now.Sub(last.at) >= Coarse {
		u.noted[s.Serial] = noted{r, now}
		p := pending{Use: Use{Serial: s.Serial, Reason: r}, device: s.Device, app: s.App}
		if r == Allowed {
			p.Used = now
		} else {
			p.Refused = now
		}
		u.put(p)
	}
	if late {
		u.stale[s.Device] = struct{}{}
		select {
		case u.wanted <- struct{}{}:
		default: // it is asked for already
		}
	}
}

// put adds p to what waits, over what is there of the same certificate.
func (u *uses) put(p pending) {
	older, ok := u.refused[p.Serial]
	if !ok {
		older = u.allowed[p.Serial]
	}
	if p.Used.IsZero() {
		p.Used = older.Used
	}
	if p.Refused.IsZero() {
		p.Refused = older.Refused
	}
	if p.Refused.IsZero() {
		u.allowed[p.Serial] = p
		return
	}
	delete(u.allowed, p.Serial)
	u.refused[p.Serial] = p
}

// take takes what is to be written now, each in one order so that copies of the server do
// not deadlock: every use with a refusal, up to limit of the others.
func (u *uses) take(now time.Time, limit int) (refused, allowed []pending, stale map[ward.DeviceID]struct{}) {
	u.mu.Lock()
	if now.Sub(u.turned) >= Coarse { // what was noted before that need not be known any more
		u.before, u.noted, u.turned = u.noted, map[string]noted{}, now
	}
	for serial, p := range u.allowed {
		if len(allowed) == limit {
			break
		}
		allowed = append(allowed, p)
		delete(u.allowed, serial)
	}
	all := u.refused
	u.refused = map[string]pending{}
	stale, u.stale = u.stale, map[ward.DeviceID]struct{}{}
	u.mu.Unlock()
	refused = slices.Collect(maps.Values(all))
	bySerial := func(a, b pending) int { return strings.Compare(a.Serial, b.Serial) }
	slices.SortFunc(refused, bySerial)
	slices.SortFunc(allowed, bySerial)
	return refused, allowed, stale
}

// restore puts back what could not be written, under what came since.
func (u *uses) restore(all []pending) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range all {
		newer, ok := u.refused[p.Serial]
		if !ok {
			newer, ok = u.allowed[p.Serial]
		}
		u.put(p)
		if ok {
			u.put(newer)
		}
	}
}

// Wanted tells when Flush should be called before its time: a device waits to be judged.
func (s *Service) Wanted() <-chan struct{} { return s.uses.wanted }

// Flush writes the use of certificates and has devices judged that were not judged in
// time. It writes every refusal; of the rest it may leave some to the next call, as it
// does with what can't be written. Call it about once a second.
func (s *Service) Flush(ctx context.Context) error {
	refused, allowed, stale := s.uses.take(s.Now(), perFlush)
	if err := s.judgeSoon(ctx, stale); err != nil {
		s.uses.restore(slices.Concat(refused, allowed))
		return err // who asks again has them judged
	}
	if left, err := s.inUnits(ctx, refused, s.write); err != nil {
		s.uses.restore(slices.Concat(left, allowed))
		return fmt.Errorf("write the use of certificates: %w", err)
	}
	if left, err := s.inUnits(ctx, allowed, s.writeAllowed); err != nil {
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
