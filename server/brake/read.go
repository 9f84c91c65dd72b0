package brake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/wardmdm/ward"
)

// page bounds how many entries are read at a time.
const page = 1000

// cure says what the operator can do about a journal that does not verify.
const cure = `No destructive command is handed out until this is settled. Find out who changed the database. If it was restored from a backup on purpose, or once the reason is known, begin the journal anew on the server's console: ward brake reset --reason "why". Orders from before are then void.`

// altered returns the error for people that says what is wrong with the journal.
func altered(format string, args ...any) error {
	return ward.Errorf(ward.Unavailable, "The journal of dangerous deeds is not as Ward wrote it: %s. %s", fmt.Sprintf(format, args...), cure).Because(ErrTampered)
}

// since reads every entry behind seq and calls visit with each. visit returns false to
// end the reading.
func (s *Service) since(ctx context.Context, seq int64, visit func(Entry) bool) error {
	for {
		rows, err := s.c.Journal.Since(ctx, seq, page)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if !visit(r) {
				return nil
			}
			seq = r.Seq
		}
		if len(rows) < page {
			return nil
		}
	}
}

// extend reads on from what m remembers. It holds no lock while it reads: a unit of work
// that waits for the lock must not be what the reading waits for. The error is errMoved if
// the journal does not go on from there.
func (s *Service) extend(ctx context.Context, m *memory) (*Ledger, error) {
	m.mu.Lock()
	head, committed := m.head(), m.committed
	known := map[int64][]byte{}
	for _, seq := range []int64{head, head - 1, committed, committed - 1} {
		known[seq] = m.mac(seq)
	}
	m.mu.Unlock()
	rows, err := s.behind(ctx, head, known)
	if errors.Is(err, errMoved) && head > committed { // the end of memory was rolled back, or is another's
		rows, err = s.behind(ctx, committed, known)
	}
	if err != nil {
		return nil, err
	}
	l := &Ledger{m, 0}
	if len(rows) > 0 {
		l.upTo = rows[len(rows)-1].Seq
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.take(rows) {
		return nil, errMoved
	}
	return l, nil
}

// behind reads the entry from, which must have the MAC that is known, and verifies all
// behind it.
func (s *Service) behind(ctx context.Context, from int64, known map[int64][]byte) (rows []Entry, err error) {
	next, before, ok := from, known[from-1], true
	if from < 1 || known[from] == nil { // memory holds nothing that is durable
		next, before = from+1, nil
	}
	err = s.since(ctx, next-1, func(r Entry) bool {
		switch {
		case r.Seq != next, !genuine(s.c.Key, r, before): // a Reset too: it follows on nothing, and all is read anew
			ok = false
		case r.Seq == from:
			ok = string(r.MAC) == string(known[from])
		}
		rows, next, before = append(rows, r), next+1, r.MAC
		return ok
	})
	if err == nil && (!ok || len(rows) == 0 && from > 0 && known[from] != nil) {
		err = errMoved
	}
	return rows, err
}

// anew reads the whole journal and remembers it, in the place of what was remembered
// before, of which nothing durable may be gone.
func (s *Service) anew(ctx context.Context) (*Ledger, error) {
	s.mu.Lock()
	old := s.mem
	s.mu.Unlock()
	var durable int64
	if old != nil {
		old.mu.Lock()
		durable = old.committed
		old.mu.Unlock()
	}
	m, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	if old != nil {
		old.mu.Lock()
		err = m.follows(old, durable)
		old.mu.Unlock()
		if err != nil {
			return nil, err
		}
		m.commit(durable, m.mac(durable))
	}
	s.mu.Lock()
	if s.mem == old { // else somebody was quicker, and what was read here is good for this caller
		s.mem, s.tampered = m, nil
	}
	s.mu.Unlock()
	return &Ledger{m, m.head()}, nil
}

// follows returns what is missing of the entries that old knew to be durable. A chain that
// begins behind them stands for itself.
func (m *memory) follows(old *memory, durable int64) error {
	if m.base > durable {
		return nil
	}
	if m.head() < durable {
		return altered("it ends at entry %d, and this server has seen entry %d, so that later entries are gone or an older copy was put back", m.head(), durable)
	}
	for seq := max(m.base, old.base); seq <= durable; seq++ {
		if string(m.mac(seq)) != string(old.mac(seq)) {
			return altered("entry %d is another than this server has seen", seq)
		}
	}
	return nil
}

// load reads the whole journal, verifies it, and holds it against the anchor.
func (s *Service) load(ctx context.Context) (*memory, error) {
	seq, mac, err := s.c.Anchor.Load() // before the rows: it is saved after them
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case errors.Is(err, ErrTampered):
		return nil, altered("the file that remembers its end is damaged")
	case err != nil && !missing:
		return nil, err
	}
	r := replay{key: s.c.Key, m: newMemory(1)}
	if err := s.since(ctx, 0, r.row); err != nil {
		return nil, err
	}
	m, head := r.m, r.m.head()
	switch {
	case r.broken != nil:
		return nil, r.broken
	case missing && head > 0:
		return nil, altered("it has %d entries, and the file that remembers its end (brake.head, beside the keys) is missing", head)
	case missing: // a first start: from now on there is an anchor
		if err := s.save(0, nil); err != nil && s.c.OnUnsaved != nil {
			s.c.OnUnsaved(err)
		}
	case head < seq:
		return nil, altered("it ends at entry %d, and entry %d was written, so that later entries are gone or an older copy was put back", head, seq)
	case seq >= m.base && string(m.mac(seq)) != string(mac):
		return nil, altered("entry %d is another than was written", seq)
	}
	if seq >= m.base {
		m.commit(seq, mac)
	}
	return m, nil
}

// replay verifies a journal from its first row on.
type replay struct {
	key    []byte
	m      *memory
	broken error // what is wrong since the last Reset
}

// row takes the next row. What is wrong before a Reset that is genuine does not matter: the
// chain begins with it.
func (r *replay) row(e Entry) bool {
	next := r.m.head() + 1
	switch {
	case e.Event == Reset && genuine(r.key, e, nil):
		r.m, r.broken = r.m.after(e), nil
	case r.broken != nil:
	case e.Seq != next:
		r.broken = altered("entry %d is missing, and entry %d is there", next, e.Seq)
	case !genuine(r.key, e, r.m.mac(e.Seq-1)):
		r.broken = altered("entry %d was changed, or is none of Ward's", e.Seq)
	default:
		r.m.apply(e)
	}
	return true
}
