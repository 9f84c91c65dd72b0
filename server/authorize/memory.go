package authorize

import (
	"sync"
	"time"
)

// maxRemembered bounds the memory: anybody may ask about certificates that do not exist.
const maxRemembered = 8192

// remembered is what the record said of one certificate.
type remembered struct {
	subject Subject
	found   bool
	began   time.Time // when it was asked, which is before it answered
}

// memory keeps what the record said just now: a page of twenty parts asks twenty times.
// Its zero value is empty.
type memory struct {
	mu    sync.RWMutex
	kept  map[string]remembered
	epoch uint64 // counts forget
}

// recall returns what is remembered, if it is new enough, and the epoch to keep an answer
// under.
func (m *memory) recall(hash string, now time.Time) (remembered, uint64, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.kept[hash]
	return r, m.epoch, ok && now.Sub(r.began) < Remember
}

// keep keeps an answer, unless everything was forgotten since the epoch: it may be from
// before.
func (m *memory) keep(hash string, r remembered, epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch != epoch {
		return
	}
	if len(m.kept) >= maxRemembered || m.kept == nil {
		m.kept = make(map[string]remembered, 64) // nearly all of it is too old by now
	}
	m.kept[hash] = r
}

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	m.kept = nil
}
