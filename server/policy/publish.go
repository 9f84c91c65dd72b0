package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/unit"
)

// What a version may hold at most.
const (
	maxReason = 2000    // bytes
	maxFiles  = 4 << 20 // bytes, of all files that a text names
)

// Draft is a policy that somebody wants to publish.
type Draft struct {
	Text   []byte
	Files  map[string][]byte // what the text names, by the name as written
	Reason string            // may be empty
	Rings  Rings             // zero: for every device at once
	// Replace lets the draft take the place of a rollout that is under way; without it
	// that is a Conflict.
	Replace bool
}

// Publish makes text the policy of every device at once, unless the change needs a
// second person; see Submit.
func (s *Service) Publish(ctx context.Context, text []byte) (Version, error) {
	return s.Submit(ctx, Draft{Text: text})
}

// Submit publishes a draft, or makes a proposal of it where Rule asks for a second
// person: the state of the version tells which. What counts is what it would change at
// once or later, when exceptions begin or end, together with what was changed without a
// second person in the last 24 hours. Every mistake in it is reported at once, and then
// nothing changes. A Conflict means that another version came into force meanwhile. It is
// to be called outside a unit of work, for it looks at every device.
func (s *Service) Submit(ctx context.Context, d Draft) (Version, error) {
	p, told, err := s.check(ctx, &d)
	if err != nil {
		return Version{}, err
	}
	var v Version
	err = s.counted(ctx, p, func(ctx context.Context, c *counter) error {
		v = Version{Text: string(d.Text), Files: d.Files, Note: p.Note, Reason: d.Reason, Rings: d.Rings, Told: told}
		_, v.Base = c.f.Current()
		if v, err = s.insert(ctx, v, c); err != nil {
			return err
		}
		if c.needsTwo(s.Rule) {
			return s.record(ctx, ActionProposed, v.Generation, v.detail(p))
		}
		if v, err = s.start(ctx, v, d.Replace); err != nil {
			return err
		}
		return s.record(ctx, ActionPublished, v.Generation, v.detail(p))
	})
	return v, err
}

// recounts is how often a change is counted anew because a ring opened meanwhile.
const recounts = 3

// counted counts what a policy would change, and runs fn in a deed in which that still
// holds. It counts again where only a ring opened meanwhile; another version in force is
// a Conflict, for what was counted, and meant, was a change of the one before.
func (s *Service) counted(ctx context.Context, p *profiles.Policy, fn func(ctx context.Context, c *counter) error) error {
	var first *InForce
	for range recounts {
		f, err := s.InForce(ctx)
		if err != nil {
			return err
		}
		if first == nil {
			first = f
		}
		if !f.sameVersions(first) {
			return overtaken()
		}
		c, err := s.count(ctx, f, p)
		if err != nil {
			return fmt.Errorf("count what policy changes: %w", err)
		}
		still := false
		err = s.deed(ctx, func(ctx context.Context) error {
			_, stamp, err := s.store.Epoch(ctx)
			if still = err == nil && stamp == f.stamp; !still {
				return err
			}
			return fn(ctx, c)
		})
		if err != nil || still {
			return err
		}
	}
	return overtaken()
}

func overtaken() error {
	return ward.Errorf(ward.Conflict, "Another version came into force while this one was being counted: look at what is in force now, then try again.")
}

// insert keeps a new version as a proposal of who acts, with its number and what was
// counted. It runs within a deed.
func (s *Service) insert(ctx context.Context, v Version, c *counter) (Version, error) {
	newest, err := s.store.Newest(ctx)
	if err != nil {
		return v, err
	}
	by := ward.ActorFrom(ctx)
	v.Generation, v.Published, v.State = newest+1, s.now().UTC().Truncate(time.Microsecond), Proposed
	v.PublishedBy, v.AuthorName = by.Person, by.Name
	v.Changed, v.Together, v.Devices = c.changed, c.together, c.devices
	return v, s.store.Insert(ctx, v)
}

// check reads a draft and reports every mistake at once. told is what whoever publishes
// should know of the rings.
func (s *Service) check(ctx context.Context, d *Draft) (p *profiles.Policy, told []string, err error) {
	wrong := d.check()
	if len(wrong) == 0 && !d.Rings.AtOnce() {
		if wrong, told, err = s.reach(ctx, d.Rings); err != nil {
			return nil, nil, err
		}
	}
	p, err = parse(d.Text, d.Files)
	if e, ok := errors.AsType[*ward.Error](err); ok && len(wrong) > 0 && e.Kind == ward.Invalid {
		return nil, nil, &ward.Error{Kind: ward.Invalid, Message: e.Message, Details: append(slices.Clone(e.Details), wrong...)}
	}
	if err != nil {
		return nil, nil, err
	}
	if len(wrong) > 0 {
		return nil, nil, &ward.Error{Kind: ward.Invalid, Message: "The policy can't be published so:", Details: wrong}
	}
	return p, told, nil
}

// check settles what surrounds the text and returns every mistake in it.
func (d *Draft) check() (wrong []string) {
	d.Reason = strings.TrimSpace(d.Reason)
	d.Rings, wrong = d.Rings.settle()
	if len(d.Reason) > maxReason {
		wrong = append(wrong, fmt.Sprintf("The reason is too long: %d bytes, %d at most.", len(d.Reason), maxReason))
	}
	size := 0
	for _, b := range d.Files {
		size += len(b)
	}
	if size > maxFiles {
		wrong = append(wrong, fmt.Sprintf("The files that the policy names have %d bytes, %d at most.", size, maxFiles))
	}
	return wrong
}

// deed runs fn in a unit of work that no other deed on a policy runs beside.
func (s *Service) deed(ctx context.Context, fn func(ctx context.Context) error) error {
	return s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.store.HoldPolicy(ctx); err != nil {
			return err
		}
		return fn(ctx)
	})
}

func (s *Service) record(ctx context.Context, action string, generation int64, detail map[string]string) error {
	return s.audit.Record(ctx, action, strconv.FormatInt(generation, 10), detail)
}

// detail is what the audit log keeps of a version.
func (v Version) detail(p *profiles.Policy) map[string]string {
	d := map[string]string{"devices": fmt.Sprintf("%d of %d", v.Changed, v.Devices), "together": strconv.Itoa(v.Together), "base": strconv.FormatInt(v.Base, 10), "rings": v.Rings.String()}
	if p != nil {
		d["name"] = p.Name
	}
	if v.Reason != "" {
		d["reason"] = v.Reason
	}
	if digest, err := v.Digest(); err == nil {
		d["digest"] = digest
	}
	return d
}

// start has a proposed version hold: for every device, or for the first ring. What was
// current or rolling before makes way. It runs within a deed.
func (s *Service) start(ctx context.Context, v Version, replace bool) (Version, error) {
	standing, err := s.store.Standing(ctx)
	if err != nil {
		return v, err
	}
	for _, old := range standing {
		switch {
		case old.State != Current && !replace:
			return v, ward.Errorf(ward.Conflict, "Generation %d is being rolled out: let it finish, roll it back, or have this version take its place (--replace).", old.Generation)
		case old.State != Current:
			if err := s.end(ctx, old, Withdrawn, fmt.Sprintf("generation %d took its place", v.Generation)); err != nil {
				return v, err
			}
		case v.Rings.AtOnce():
			if err := s.end(ctx, old, Superseded, ""); err != nil {
				return v, err
			}
		}
	}
	v.State = Current
	if !v.Rings.AtOnce() {
		v.State = Rolling
		now := s.now().UTC()
		if err := s.store.SetRollout(ctx, Rollout{Generation: v.Generation, Started: now, Opened: now}); err != nil {
			return v, err
		}
	}
	if err := s.turn(ctx, v, Proposed); err != nil {
		return v, err
	}
	unit.AfterCommit(ctx, s.after)
	return v, s.moved(ctx, true)
}

// end takes a version that stands out of force.
func (s *Service) end(ctx context.Context, v Version, to State, why string) error {
	from := v.State
	v.State, v.Ended, v.EndReason = to, s.now().UTC(), why
	if from != Current {
		r, err := s.store.Rollout(ctx, v.Generation)
		if err != nil {
			return err
		}
		r.Finished = v.Ended
		if err := s.store.SetRollout(ctx, r); err != nil {
			return err
		}
	}
	return s.turn(ctx, v, from)
}

// turn changes a version's state, which the deed has read.
func (s *Service) turn(ctx context.Context, v Version, from State) error {
	ok, err := s.store.Turn(ctx, v, from)
	if err != nil {
		return fmt.Errorf("policy %d: %w", v.Generation, err)
	}
	if !ok {
		return ward.Errorf(ward.Conflict, "Generation %d is %s no longer: look at it again.", v.Generation, from)
	}
	return nil
}
