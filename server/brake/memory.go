package brake

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/wardmdm/ward"
)

// target is what entries of orders are found by. The enrolment is empty for what concerns
// an order as a whole.
type target struct {
	order     ward.OrderID
	enrolment ward.EnrolmentID
}

// counted is an entry that a window may count, and the latest time of it and all before:
// copies of the server have clocks of their own, so that times alone are in no order.
type counted struct {
	*Entry
	high time.Time
}

// memory is the journal as it was last read and verified. Its end may be of units of work
// that are not committed yet, or never will be: it is cut off when the database turns out
// to hold something else there. Whoever reads it looks at a prefix only (Ledger), and
// nothing in it is changed, only put at the end and cut off.
type memory struct {
	mu        sync.Mutex
	base      int64               // seq of the first entry of the chain: 1, or the last Reset's
	macs      [][sha256.Size]byte // from base on
	committed int64               // entries up to it are durable; base-1 while none is known to be
	tail      []*Entry            // entries behind committed

	orders    map[target][]*Entry
	delivered map[ward.OrderID][]*Entry // for campaigns
	kinds     map[Kind][]counted        // Requested, Approved, Delivered, Used; no campaign
	controls  map[Kind][]*Entry         // Held, Released, Lifted
}

// newMemory returns the memory of a chain that begins at base.
func newMemory(base int64) *memory {
	return &memory{
		base: base, committed: base - 1,
		orders: map[target][]*Entry{}, delivered: map[ward.OrderID][]*Entry{}, kinds: map[Kind][]counted{}, controls: map[Kind][]*Entry{},
	}
}

// after returns the memory of the chain that begins with a Reset: what windows count and
// what holds stays, as far as it was verified; orders are void.
func (m *memory) after(reset Entry) *memory {
	n := newMemory(reset.Seq)
	n.kinds, n.controls = m.kinds, m.controls
	n.apply(reset)
	return n
}

func (m *memory) head() int64 { return m.base + int64(len(m.macs)) - 1 }

// mac returns the MAC of the entry seq, nil if memory has none.
func (m *memory) mac(seq int64) []byte {
	if seq < m.base || seq > m.head() {
		return nil
	}
	mac := m.macs[seq-m.base]
	return mac[:]
}

// apply puts a verified entry at the end.
func (m *memory) apply(e Entry) {
	m.macs = append(m.macs, [sha256.Size]byte(e.MAC))
	e.MAC = nil
	p := &e
	m.tail = append(m.tail, p)
	if e.Order != "" {
		t := target{e.Order, e.Enrolment}
		m.orders[t] = append(m.orders[t], p)
	}
	switch e.Event {
	case Held, Released, Lifted:
		m.controls[e.Kind] = append(m.controls[e.Kind], p)
	case Requested, Approved, Delivered, Used:
		if e.Event == Delivered {
			m.delivered[e.Order] = append(m.delivered[e.Order], p)
		}
		if e.Campaign {
			break
		}
		list := m.kinds[e.Kind]
		high := e.At
		if n := len(list); n > 0 && list[n-1].high.After(high) {
			high = list[n-1].high
		}
		m.kinds[e.Kind] = append(list, counted{p, high})
	}
}

// cut takes off what stands behind seq, which is not before committed.
func (m *memory) cut(seq int64) {
	for n := len(m.tail); n > 0 && m.tail[n-1].Seq > seq; n-- {
		e := m.tail[n-1]
		m.tail = m.tail[:n-1]
		if e.Order != "" {
			pop(m.orders, target{e.Order, e.Enrolment})
		}
		switch e.Event {
		case Held, Released, Lifted:
			pop(m.controls, e.Kind)
		case Requested, Approved, Delivered, Used:
			if e.Event == Delivered {
				pop(m.delivered, e.Order)
			}
			if !e.Campaign {
				pop(m.kinds, e.Kind)
			}
		}
	}
	m.macs = m.macs[:max(0, min(int64(len(m.macs)), seq-m.base+1))]
}

// pop takes the last element of a list. Its place is not written to again: a Ledger of the
// list may still look there.
func pop[K comparable, V any](lists map[K][]V, k K) {
	n := len(lists[k]) - 1
	lists[k] = lists[k][:n:n]
}

// take puts verified rows, which follow one another, where they belong. It returns false
// if memory ends before the first of them, or knows something else to be durable there.
func (m *memory) take(rows []Entry) bool {
	for _, r := range rows {
		if r.Seq < m.base || r.Seq > m.head()+1 {
			return false
		}
		if r.Seq <= m.head() {
			if [sha256.Size]byte(r.MAC) == m.macs[r.Seq-m.base] {
				continue
			}
			if r.Seq <= m.committed {
				return false
			}
			m.cut(r.Seq - 1)
		}
		m.apply(r)
	}
	return true
}

// commit notes that the entry seq with the MAC mac is durable, and so are those before it.
func (m *memory) commit(seq int64, mac []byte) {
	if seq <= m.committed || string(m.mac(seq)) != string(mac) {
		return
	}
	m.committed = seq
	i := 0
	for i < len(m.tail) && m.tail[i].Seq <= seq {
		i++
	}
	m.tail = append([]*Entry(nil), m.tail[i:]...)
}
