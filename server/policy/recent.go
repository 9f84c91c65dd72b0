package policy

import (
	"context"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
)

const (
	// window is how far back the changes that one person alone may make are added up: a
	// large change in slices is a large change.
	window = 24 * time.Hour
	// mostRecent is how many versions of a window are looked at. Of more, every device
	// counts as changed.
	mostRecent = 20
	listPage   = 50
)

// held is a version that came to hold for devices.
type held struct {
	policy     *profiles.Policy // nil: none was published, or it can't be read any more
	unreadable bool
	generation int64
	since      time.Time
	rings      Rings
	ring       int   // the newest that opened
	approved   bool  // by a second person
	undoes     int64 // the approved generation before it that it takes back; 0: none
}

// reached reports whether the version held for a device.
func (h *held) reached(d ward.Device) bool { return h.rings.Of(d) <= h.ring }

// history is what held since the beginning of the window, or since two persons agreed to
// something for every device. The first of past held for every device then, and is none
// where nothing was published yet; the others follow in the order in which they came to
// hold.
type history struct {
	past []held
	many bool // more versions than are looked at
}

// history reads what held since the beginning of the window that ends now.
func (s *Service) history(ctx context.Context, f *InForce, now time.Time) (history, error) {
	start := now.Add(-window)
	var out history
	var versions []Version // the newest first
	var all []held
	whole := false
	for before := int64(0); !whole; {
		page, err := s.store.List(ctx, before, listPage)
		if err != nil {
			return out, err
		}
		for _, v := range page {
			before = v.Generation
			h, done, ok, err := s.held(ctx, v, start)
			if err != nil {
				return out, err
			}
			if !ok {
				continue
			}
			versions, all = append(versions, v), append(all, h)
			if whole = done; whole {
				break
			}
			if len(all) > mostRecent {
				return history{many: true}, nil
			}
		}
		if len(page) < listPage {
			break
		}
	}
	if !whole {
		out.past = append(out.past, held{})
	}
	slices.Reverse(all)
	out.past = append(out.past, all...)
	return out, s.readPast(ctx, f, out.past, versions)
}

// held says when and for whom a version came to hold; ok is false for one that never
// did. whole says that nothing before it matters: it held for every device when the
// window began, or two persons gave it to every device since.
func (s *Service) held(ctx context.Context, v Version, start time.Time) (h held, whole, ok bool, err error) {
	h = held{generation: v.Generation, since: v.Published, rings: v.Rings, approved: v.Approver != ""}
	if h.approved {
		h.since = v.Approved
	}
	finished := h.since
	switch {
	case v.State == Proposed, v.State == Withdrawn && v.Rings.AtOnce():
		return h, false, false, nil
	case !v.Rings.AtOnce():
		r, err := s.store.Rollout(ctx, v.Generation)
		if ward.KindOf(err) == ward.NotFound {
			return h, false, false, nil // a proposal that was withdrawn
		}
		if err != nil {
			return h, false, false, err
		}
		h.ring, finished = r.Ring, r.Finished
	}
	whole = (v.State == Current || v.State == Superseded) && (!finished.IsZero() && !finished.After(start) || h.approved && v.Rings.AtOnce())
	return h, whole, true, nil
}

// readPast reads the policies of what held, each text once, and finds what took back an
// approved version. versions are the same, the newest first.
func (s *Service) readPast(ctx context.Context, f *InForce, past []held, versions []Version) error {
	var read []*edition
	for _, e := range []*edition{f.base, f.next} {
		if e != nil {
			read = append(read, e)
		}
	}
	texts := map[int64]Version{}
	text := func(generation int64) (Version, error) {
		if v, ok := texts[generation]; ok {
			return v, nil
		}
		v, err := s.store.Version(ctx, generation)
		if err == nil {
			texts[generation] = v
		}
		return v, err
	}
	first := len(past) - len(versions)
	for i := first; i < len(past); i++ {
		h := &past[i]
		v, err := text(h.generation)
		if err != nil {
			return err
		}
		read = h.read(v, read)
		if h.approved || v.Base == 0 || i == first || !past[i-1].approved {
			continue
		}
		base, err := text(v.Base)
		if err != nil {
			return err
		}
		if versions[len(versions)-(i-first)].Base == v.Base && base.same(v) {
			h.undoes = past[i-1].generation
		}
	}
	return nil
}

// read reads the policy of v, unless one of read is the same.
func (h *held) read(v Version, read []*edition) []*edition {
	for _, e := range read {
		if e.version.same(v) {
			h.policy = e.policy
			return read
		}
	}
	p, err := v.Read()
	if err != nil {
		h.unreadable = true
		return read
	}
	h.policy = p
	return append(read, &edition{v, p})
}

// same reports whether two versions say the same.
func (v Version) same(w Version) bool { return v.Text == w.Text && sameFiles(v.Files, w.Files) }
