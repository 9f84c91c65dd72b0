package lost_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/unit"
)

type compiler struct{}

func (compiler) Lock(d ward.Device, message, phone string) (string, []byte, error) {
	if d.Platform != ward.IOS {
		return "", nil, ward.Errorf(ward.Invalid, "Only an iPhone can be locked.")
	}
	return "DeviceLock", fmt.Appendf(nil, "lock %s, %s", message, phone), nil
}

func (compiler) Sound() (string, []byte, error)  { return "PlayLostModeSound", []byte("sound"), nil }
func (compiler) Locate() (string, []byte, error) { return "DeviceLocation", []byte("locate"), nil }
func (compiler) Restart(ward.Device) (string, []byte, error) {
	return "RestartDevice", []byte("restart"), nil
}

// entry is one of the audit log.
type entry struct {
	action, subject string
	detail          map[string]string
	by              ward.Actor
}

// journal is an audit log in memory, of units of work that were committed.
type journal struct {
	mu      sync.Mutex
	entries []entry
}

func (j *journal) Record(ctx context.Context, action, subject string, detail map[string]string) error {
	by := ward.ActorFrom(ctx)
	unit.AfterCommit(ctx, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.entries = append(j.entries, entry{action, subject, detail, by})
	})
	return nil
}

func (j *journal) all(action string) (out []entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		if e.action == action {
			out = append(out, e)
		}
	}
	return out
}

func (j *journal) count(action string) int { return len(j.all(action)) }

// post keeps what people were told, of units of work that were committed.
type post struct {
	mu  sync.Mutex
	got []notify.Message
}

func (p *post) Tell(ctx context.Context, m notify.Message) error {
	unit.AfterCommit(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got = append(p.got, m)
	})
	return nil
}

// subjects returns what people were told of a topic.
func (p *post) subjects(topic notify.Topic) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []string{}
	for _, m := range p.got {
		if m.Topic == topic {
			out = append(out, m.Subject)
		}
	}
	return out
}

// people knows addresses.
type people map[ward.PersonID]string

func (p people) Email(_ context.Context, id ward.PersonID) (string, error) {
	if e, ok := p[id]; ok {
		return e, nil
	}
	return "", ward.Errorf(ward.NotFound, "There is no person %s.", id)
}

// facts is what is known of every device.
type facts struct {
	mu    sync.Mutex
	known lost.Known
	signs lost.Signs
	err   error
}

func (f *facts) Known(context.Context, ward.DeviceID) (lost.Known, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known, f.err
}

func (f *facts) Signs(context.Context, ward.DeviceID, time.Time) (lost.Signs, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.signs, nil
}

// orders stands in for the engine of orders.
type orders struct {
	queue    command.Queue
	fleet    lost.Fleet
	refuse   error // of Propose
	mu       sync.Mutex
	proposed []string
}

func (o *orders) CancelCase(ctx context.Context, id ward.CaseID, reason string) (int, error) {
	c, err := o.fleet.Current(ctx, ward.DeviceID("d1"))
	if ward.KindOf(err) == ward.NotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return o.queue.CancelOpen(ctx, c.ID, reason, func(r command.Record) bool { return r.Case == id && r.Order != "" })
}

func (o *orders) Propose(ctx context.Context, id ward.CaseID, device ward.DeviceID, reason string) (ward.OrderID, error) {
	if by := ward.ActorFrom(ctx); by.Via != ward.ViaSystem {
		return "", fmt.Errorf("proposed by %+v", by)
	}
	if o.refuse != nil {
		return "", o.refuse
	}
	unit.AfterCommit(ctx, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.proposed = append(o.proposed, string(device)+": "+reason)
	})
	return ward.OrderID("order-of-" + id), nil
}

// certificates revokes one app certificate of each device, once.
type certificates struct{ revoked sync.Map }

func (c *certificates) RevokeApps(_ context.Context, d ward.DeviceID, _ string) ([]string, error) {
	if _, again := c.revoked.LoadOrStore(d, true); again {
		return nil, nil
	}
	return []string{"5e11a1"}, nil
}

// patient is a queue in which nothing expires: the database has a clock of its own.
type patient struct{ command.Queue }

func (q patient) Enqueue(ctx context.Context, n command.New) (string, error) {
	n.Expires = time.Time{}
	return q.Queue.Enqueue(ctx, n)
}
