package brake

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Room returns how many deeds of a kind may still be done now at a site ("" for devices
// without one): 0 while it is held, math.MaxInt where nothing bounds it. What one person
// may do is not looked at.
func (s *Service) Room(ctx context.Context, k Kind, site string) (left int, err error) {
	l, err := s.read(ctx)
	if err != nil {
		return 0, err
	}
	e := Entry{Kind: k, Site: site, At: exact(s.c.Now())}
	if _, held := l.Held(k); held {
		return 0, nil
	}
	left = math.MaxInt
	if _, lifted := l.Lifted(k, e.At); lifted {
		return left, nil
	}
	for _, limit := range s.c.Limits[k] {
		t := l.count(e, limit.Window)
		most, err := s.most(ctx, limit.Most, limit.Share, "", math.MaxInt)
		if err != nil {
			return 0, err
		}
		left = min(left, most-t.all)
		if limit.PerSite > 0 {
			if most, err = s.mostHere(ctx, limit, site, math.MaxInt); err != nil {
				return 0, err
			}
			left = min(left, most-t.here)
		}
	}
	return max(left, 0), nil
}

// Meter shows how full a window is.
type Meter struct {
	Kind  Kind
	Limit Limit
	Count int // deeds within the window now
	Most  int // that it takes, with the devices that there are
}

// Meters returns every window of the whole organisation, in the order of Kinds.
func (s *Service) Meters(ctx context.Context) ([]Meter, error) {
	l, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	var out []Meter
	for _, k := range Kinds {
		for _, limit := range s.c.Limits[k] {
			m := Meter{Kind: k, Limit: limit, Count: l.count(Entry{Kind: k, At: exact(s.c.Now())}, limit.Window).all}
			if m.Most, err = s.most(ctx, limit.Most, limit.Share, "", math.MaxInt); err != nil {
				return nil, err
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// Holds returns the holds that stand, in the order of Kinds.
func (s *Service) Holds(ctx context.Context) ([]Hold, error) {
	l, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	var out []Hold
	for _, k := range Kinds {
		if h, ok := l.Held(k); ok {
			out = append(out, h)
		}
	}
	return out, nil
}

// Check reads the whole journal anew and verifies it, against the anchor and against what
// this server has seen. The error is an ErrTampered if it is not as it was written; once
// it is again, the brake works again. It also saves the anchor that could not be saved
// before. It is for a job, and for the start; no unit of work may be in ctx.
func (s *Service) Check(ctx context.Context) error {
	s.tell() //nolint:contextcheck // of what was found within a unit of work that failed, whose context is none to work with
	if err := s.c.Journal.Do(ctx, s.c.Journal.CloseGate); err != nil {
		return s.found(ctx, err)
	}
	l, err := s.anew(ctx)
	if err != nil {
		return s.found(ctx, err)
	}
	s.settle(ctx, l)
	l.m.mu.Lock()
	seq, mac := l.m.committed, l.m.mac(l.m.committed)
	l.m.mu.Unlock()
	if mac == nil {
		return nil
	}
	return s.save(seq, mac)
}

// Reanchor begins the chain anew behind everything that there is: after a restore from a
// backup, or once it is known why the journal did not verify. Only the operator at the
// server's console may, and with a reason. Orders from before are void: nothing more is
// delivered for them. What could be verified still fills windows, and holds stand.
func (s *Service) Reanchor(ctx context.Context, reason string) error {
	if ward.ActorFrom(ctx).Via != ward.ViaConsole {
		return ward.Errorf(ward.Forbidden, "Only the operator at the server's console may begin the brake's journal anew.")
	}
	if reason = strings.TrimSpace(reason); reason == "" {
		return ward.Errorf(ward.Invalid, "Say why the brake's journal begins anew.")
	}
	head, _, err := s.c.Anchor.Load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrTampered) {
		return err
	}
	s.mu.Lock()
	if s.mem != nil {
		s.mem.mu.Lock()
		head = max(head, s.mem.committed)
		s.mem.mu.Unlock()
	}
	s.mu.Unlock()
	var reset Entry
	err = s.c.Journal.Do(ctx, func(ctx context.Context) error {
		if err := s.c.Journal.CloseGate(ctx); err != nil {
			return err
		}
		last := head
		if err := s.since(ctx, 0, func(e Entry) bool { last = max(last, e.Seq); return true }); err != nil {
			return err
		}
		if last == math.MaxInt64 {
			return altered("its last entry has the highest number that there is: take that row out of the database first")
		}
		if reset, err = plain(Entry{Seq: last + 1, Event: Reset, At: s.c.Now(), Person: "via " + string(ward.ViaConsole), Note: reason}); err != nil {
			return err
		}
		mac := sum(s.c.Key, reset, nil)
		reset.MAC = mac[:]
		return s.c.Journal.Append(ctx, reset)
	})
	if err != nil {
		return err
	}
	var unsaved error
	unit.AfterCommit(ctx, func() {
		unsaved = s.save(reset.Seq, reset.MAC)
		s.mu.Lock()
		s.mem, s.tampered = nil, nil
		s.mu.Unlock()
	})
	return unsaved
}
