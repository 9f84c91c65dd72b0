package estate

import (
	"context"
	"slices"
	"sync"
	"time"
)

// maxFrames bounds the memory that frames which were read are kept in, in bytes.
const maxFrames = 64 << 20

// frames keeps the frames that were read last: who asks about one day asks again.
type frames struct {
	mu   sync.Mutex
	kept []keptFrame // the last used at the end
}

type keptFrame struct {
	at   time.Time
	f    *frame
	size int
}

// of returns the frame of a time, which read finds where it is not kept.
func (c *frames) of(ctx context.Context, at time.Time, read func(context.Context, time.Time) ([]byte, error)) (*frame, error) {
	if f := c.use(at); f != nil {
		return f, nil
	}
	body, err := read(ctx, at)
	if err != nil {
		return nil, err
	}
	f, err := unpack(body)
	if err != nil {
		return nil, err
	}
	c.keep(at, f)
	return f, nil
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
