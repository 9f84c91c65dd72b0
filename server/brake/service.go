package brake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Journal keeps the entries. Every method joins the unit of work in ctx.
type Journal interface {
	unit.Unit
	// CloseGate makes every other unit of work that appends wait until this one ends, in
	// all copies of the server. A gate that is gone is an ErrTampered.
	CloseGate(ctx context.Context) error
	// Append keeps e as it is. An entry whose Seq is taken is an error.
	Append(ctx context.Context, e Entry) error
	// Since returns up to limit entries behind seq in the order of their Seq. A row that
	// can't be read as an entry is an ErrTampered.
	Since(ctx context.Context, seq int64, limit int) ([]Entry, error)
}

// Anchor remembers the newest entry outside the database.
type Anchor interface {
	// Load returns the entry that was saved. Before the first Save the error is an
	// fs.ErrNotExist; of something that can't be an anchor it is an ErrTampered.
	Load() (seq int64, mac []byte, err error)
	// Save remembers an entry; one before what is saved changes nothing.
	Save(seq int64, mac []byte) error
}

// Fleet counts devices.
type Fleet interface {
	// Count returns how many devices of a site are managed or lost; "" is for all.
	Count(ctx context.Context, site string) (int, error)
}

// Config says what a Service stands on.
type Config struct {
	Journal Journal
	Anchor  Anchor
	Fleet   Fleet
	Key     []byte           // of the MACs, 32 bytes, not from the database
	Limits  map[Kind][]Limit // DefaultLimits if nil
	Now     func() time.Time

	// OnHeld is told of a new hold within the unit of work that made it, whose error it
	// may make. It may be nil.
	OnHeld func(ctx context.Context, h Hold) error
	// OnTampered is told what is wrong with the journal, once for each finding and never
	// within a unit of work. The error is a *ward.Error for people. It may be nil.
	OnTampered func(ctx context.Context, err error)
	// OnUnsaved is told that the anchor could not be saved, for the log. Check tries
	// again and returns the error. It may be nil.
	OnUnsaved func(err error)
}

// Service is the brake. Its methods may be called by several goroutines.
type Service struct {
	c      Config
	wanted chan struct{}

	mu       sync.Mutex
	mem      *memory // nil until it was read
	tampered error   // what was found, nil while all is well
	told     bool
	print    string // the anchor as it was when tampered was found

	newest    int64 // entry that is to be anchored
	newestMAC []byte

	saving   sync.Mutex
	anchored int64
}

// New returns the brake. It reads nothing: call Check once at start, so that no device
// waits for the reading of a long journal.
func New(c Config) (*Service, error) {
	if c.Journal == nil || c.Anchor == nil || c.Fleet == nil || c.Now == nil {
		return nil, errors.New("brake: Journal, Anchor, Fleet and Now are needed")
	}
	if len(c.Key) < 32 {
		return nil, fmt.Errorf("brake: the key has %d bytes, want 32", len(c.Key))
	}
	if c.Limits == nil {
		c.Limits = DefaultLimits()
	}
	if err := sound(c.Limits); err != nil {
		return nil, err
	}
	return &Service{c: c, wanted: make(chan struct{}, 1), anchored: -1}, nil
}

// Wanted is sent to when something is found wrong within a unit of work that may fail, so
// that nobody would be told: a job then calls Check.
func (s *Service) Wanted() <-chan struct{} { return s.wanted }

// Ledger returns what the journal says, verified, with what the unit of work in ctx has
// recorded. The error is an ErrTampered while the journal is not as it was written.
func (s *Service) Ledger(ctx context.Context) (*Ledger, error) { return s.read(ctx) }

// errMoved says that the journal does not go on from what is remembered, so that all of it
// has to be read to tell why.
var errMoved = errors.New("the journal does not go on from what is remembered")

func (s *Service) read(ctx context.Context) (*Ledger, error) {
	s.mu.Lock()
	m, tampered, was := s.mem, s.tampered, s.print
	s.mu.Unlock()
	var l *Ledger
	var err error
	switch {
	case tampered != nil && was == s.fingerprint():
		unit.AfterCommit(ctx, s.tell)
		return nil, tampered
	case tampered != nil || m == nil:
		l, err = s.anew(ctx)
	default:
		if l, err = s.extend(ctx, m); errors.Is(err, errMoved) {
			l, err = s.anew(ctx)
		}
	}
	if err != nil {
		return nil, s.want(s.found(ctx, err))
	}
	s.settle(ctx, l)
	return l, nil
}

// found passes err on. One that says that the journal was tampered with is remembered and
// told.
func (s *Service) found(ctx context.Context, err error) error {
	if !errors.Is(err, ErrTampered) {
		return fmt.Errorf("brake: %w", err)
	}
	if _, forPeople := errors.AsType[*ward.Error](err); !forPeople {
		err = altered("%s", strings.TrimSuffix(err.Error(), ": "+ErrTampered.Error()))
	}
	now := s.fingerprint()
	s.mu.Lock()
	if s.tampered == nil || s.tampered.Error() != err.Error() {
		s.tampered, s.told = err, false
	}
	s.print = now
	s.mu.Unlock()
	unit.AfterCommit(ctx, s.tell)
	return err
}

// want has a job look at the whole journal soon, outside the unit of work in which something
// was found.
func (s *Service) want(err error) error {
	if errors.Is(err, ErrTampered) {
		select {
		case s.wanted <- struct{}{}:
		default:
		}
	}
	return err
}

// tell calls OnTampered, once for a finding.
func (s *Service) tell() {
	s.mu.Lock()
	err := s.tampered
	if s.told {
		err = nil
	}
	s.told = err != nil || s.told
	s.mu.Unlock()
	if err != nil && s.c.OnTampered != nil {
		s.c.OnTampered(ward.WithActor(context.Background(), ward.System), err)
	}
}

// fingerprint tells one anchor from another.
func (s *Service) fingerprint() string {
	seq, mac, err := s.c.Anchor.Load()
	return fmt.Sprintf("%d %x %v", seq, mac, err)
}

// settle has memory and anchor know, once that is durable, that the journal is as l says.
func (s *Service) settle(ctx context.Context, l *Ledger) {
	l.m.mu.Lock()
	mac, done := l.m.mac(l.upTo), l.upTo <= l.m.committed
	l.m.mu.Unlock()
	if done || mac == nil {
		return
	}
	at := true                                                         // once: outside a unit of work
	unit.AfterCommit(ctx, func() { s.publish(l.m, l.upTo, mac, !at) }) //nolint:contextcheck // ctx is of a unit of work that has ended by then
	at = false
}

// publish notes that an entry is durable. Of a unit of work that appended several, the
// first entry is told later than the last was written: then the journal itself says how far
// it goes, so that the anchor is saved once and not for each.
func (s *Service) publish(m *memory, seq int64, mac []byte, later bool) {
	m.mu.Lock()
	known := seq <= m.committed
	m.commit(seq, mac)
	more := later && m.head() > seq
	m.mu.Unlock()
	if known {
		return
	}
	if more {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if l, err := s.extend(ctx, m); err == nil { // what is wrong with it, the next who reads finds
			m.mu.Lock()
			seq, mac = l.upTo, m.mac(l.upTo)
			m.commit(seq, mac)
			m.mu.Unlock()
		}
	}
	if err := s.save(seq, mac); err != nil && s.c.OnUnsaved != nil {
		s.c.OnUnsaved(err)
	}
}

// save saves the anchor, only ever forward. Of several that come together one saves the
// newest for all: each takes a write that reaches the disk.
func (s *Service) save(seq int64, mac []byte) error {
	s.mu.Lock()
	if seq > s.newest || s.newestMAC == nil {
		s.newest, s.newestMAC = seq, mac
	}
	s.mu.Unlock()
	s.saving.Lock()
	defer s.saving.Unlock()
	if seq <= s.anchored {
		return nil
	}
	s.mu.Lock()
	seq, mac = s.newest, s.newestMAC
	s.mu.Unlock()
	if err := s.c.Anchor.Save(seq, mac); err != nil {
		return err
	}
	s.anchored = seq
	return nil
}

// append writes an entry behind l within a unit of work whose gate is closed.
func (s *Service) append(ctx context.Context, l *Ledger, e Entry) (*Ledger, error) {
	if e.At.IsZero() {
		e.At = s.c.Now()
	}
	e, err := plain(e)
	if err != nil {
		return nil, err
	}
	l.m.mu.Lock()
	before := l.m.mac(l.upTo)
	l.m.mu.Unlock()
	e.Seq = l.upTo + 1
	mac := sum(s.c.Key, e, before)
	e.MAC = mac[:]
	if err := s.c.Journal.Append(ctx, e); err != nil {
		return nil, fmt.Errorf("brake: append entry %d: %w", e.Seq, err)
	}
	l.m.mu.Lock()
	ok := l.m.take([]Entry{e})
	l.m.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("brake: append entry %d: %w", e.Seq, errMoved)
	}
	l = &Ledger{l.m, e.Seq}
	s.settle(ctx, l)
	return l, nil
}

// gated runs fn in a unit of work that is alone with the journal.
func (s *Service) gated(ctx context.Context, fn func(ctx context.Context, l *Ledger) error) error {
	return s.c.Journal.Do(ctx, func(ctx context.Context) error {
		if err := s.c.Journal.CloseGate(ctx); err != nil {
			return s.want(s.found(ctx, err))
		}
		l, err := s.read(ctx)
		if err != nil {
			return err
		}
		return fn(ctx, l)
	})
}
