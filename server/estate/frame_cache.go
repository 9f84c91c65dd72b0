package estate

import (
	"context"
	"slices"
	"sync"
	"time"
)

// maxFrames bounds the memory that frames which were read are kept in, in bytes.
const maxFrames = 64 << 20

// maxShown is how many past times are kept as they were shown, and for how long names may
// have changed since: who asks about one leafs through it.
const (
	maxShown = 2
	shownFor = 30 * time.Second
)

// frames keeps the frames that were read last, and what was last made of them.
type frames struct {
	mu   sync.Mutex
	kept []keptFrame // the last used at the end
	past []shown
	went []wentBefore
}

// shown is a past time as it was shown, and the present whose names it has.
type shown struct {
	of, present *Snapshot
}

// shown returns what was shown of a time, nil if that was too long ago.
func (c *frames) shown(t time.Time, present *Snapshot) *Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.past {
		if s.of.At.Equal(t) && (s.present.same(present) || present.At.Sub(t) > overlap && present.At.Sub(s.present.At) < shownFor) {
			return s.of
		}
	}
	return nil
}

func (c *frames) show(of, present *Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.past = append(slices.DeleteFunc(c.past, func(s shown) bool { return s.of.At.Equal(of.At) }), shown{of, present})
	c.past = slices.Clone(c.past[max(len(c.past)-maxShown, 0):])
}

// same reports whether two snapshots hold the very same devices.
func (s *Snapshot) same(o *Snapshot) bool {
	return len(s.Devices) == len(o.Devices) && (len(s.Devices) == 0 || &s.Devices[0] == &o.Devices[0])
}

type keptFrame struct {
	at   time.Time
	f    *frame
	size int
}

// of reads the frame of a time, if it is not kept, and returns what unpacks it.
func (c *frames) of(ctx context.Context, at time.Time, read func(context.Context, time.Time) ([]byte, error)) (func() (*frame, error), error) {
	if f := c.use(at); f != nil {
		return func() (*frame, error) { return f, nil }, nil
	}
	body, err := read(ctx, at)
	if err != nil {
		return nil, err
	}
	return func() (*frame, error) {
		f, err := unpack(body)
		if err == nil {
			c.keep(at, f)
		}
		return f, err
	}, nil
}

func (c *frames) use(at time.Time) *frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.kept, func(k keptFrame) bool { return k.at.Equal(at) })
	if i < 0 {
		return nil
	}
	k := c.kept[i]
	c.kept = append(slices.Delete(c.kept, i, i+1), k)
	return k.f
}

func (c *frames) keep(at time.Time, f *frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(slices.DeleteFunc(c.kept, func(k keptFrame) bool { return k.at.Equal(at) }), keptFrame{at, f, f.size()})
	total := 0
	for _, k := range c.kept {
		total += k.size
	}
	for total > maxFrames && len(c.kept) > 1 {
		total -= c.kept[0].size
		c.kept = slices.Delete(c.kept, 0, 1)
	}
}

// wentFor is how old what was found of the spans that ended may be: counting them again takes
// longer than a page may, and they are many.
const wentFor = time.Minute

// wentBefore are removals that were told, of what and when.
type wentBefore struct {
	app      string
	by       Dimension
	from, to time.Time
	out      []Went
}

// told returns what went of a span of time that was asked about less than a minute of it ago.
func (c *frames) told(app string, by Dimension, from, to time.Time) ([]Went, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.went {
		if w.app == app && w.by == by && from.Sub(w.from).Abs() < wentFor && to.Sub(w.to) >= 0 && to.Sub(w.to) < wentFor {
			return w.out, true
		}
	}
	return nil, false
}

func (c *frames) tell(w wentBefore) {
	const most = 32
	c.mu.Lock()
	defer c.mu.Unlock()
	c.went = append(slices.Clone(c.went[max(len(c.went)-most+1, 0):]), w)
}
