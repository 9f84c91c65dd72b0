package policy

import (
	"context"
	"slices"
	"strconv"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
)

// Rollback publishes the text of an earlier version as a new one, for every device at
// once: that of the generation, or with 0 the one before. What is being rolled out is
// given up for it. Only a version that was in force can be gone back to. One person may
// undo the newest version so; going back further is counted as Submit counts, and is a
// proposal where Rule asks for a second person. A reason is needed. It is to be called
// outside a unit of work, for it looks at every device.
func (s *Service) Rollback(ctx context.Context, generation int64, reason string) (Version, error) {
	reason, err := reasoned(reason)
	if err != nil {
		return Version{}, err
	}
	old, err := s.earlier(ctx, generation)
	if err != nil {
		return Version{}, err
	}
	p, err := old.Read()
	if err != nil {
		return Version{}, ward.Errorf(ward.Conflict, "This version of Ward can't read generation %d any more: publish it anew.", old.Generation).Because(err)
	}
	var v Version
	err = s.counted(ctx, p, func(ctx context.Context, c *counter) error {
		again, err := s.earlier(ctx, generation)
		if err != nil {
			return err
		}
		if again.Generation != old.Generation {
			return overtaken()
		}
		alone, err := s.straight(ctx, old)
		if err != nil {
			return err
		}
		v = Version{Text: old.Text, Files: old.Files, Note: p.Note, Reason: reason, Base: old.Generation}
		if !alone && c.needsTwo(s.Rule) {
			_, v.Base = c.f.Current() // an approver decides on what differs from it
			if v, err = s.insert(ctx, v, c); err != nil {
				return err
			}
			return s.record(ctx, ActionProposed, v.Generation, v.gone(p, old))
		}
		if v, err = s.insert(ctx, v, c); err != nil {
			return err
		}
		if v, err = s.start(ctx, v, true); err != nil {
			return err
		}
		return s.record(ctx, ActionRolledBack, v.Generation, v.gone(p, old))
	})
	return v, err
}

// gone is what the audit log keeps of a version that goes back to old.
func (v Version) gone(p *profiles.Policy, old Version) map[string]string {
	d := v.detail(p)
	d["to"] = strconv.FormatInt(old.Generation, 10)
	return d
}

// straight reports whether going back to old undoes the newest version and no more.
func (s *Service) straight(ctx context.Context, old Version) (bool, error) {
	standing, err := s.store.Standing(ctx)
	if err != nil {
		return false, err
	}
	for _, v := range standing {
		if v.State != Current {
			return old.State == Current, nil // a rollout is given up
		}
	}
	return len(standing) == 1 && standing[0].Base == old.Generation, nil
}

// earlier returns the version to go back to. Where one is being rolled out, the one
// before is the current one; otherwise it is the nearest that said something else, so
// that going back twice goes back further.
func (s *Service) earlier(ctx context.Context, generation int64) (Version, error) {
	standing, err := s.store.Standing(ctx)
	if err != nil {
		return Version{}, err
	}
	i := slices.IndexFunc(standing, func(v Version) bool { return v.State == Current })
	switch {
	case generation > 0:
		v, err := s.store.Version(ctx, generation)
		switch {
		case err != nil:
			return v, err
		case v.State == Current && len(standing) == 1:
			return v, ward.Errorf(ward.Conflict, "Generation %d is in force already.", generation)
		case v.State != Superseded && v.State != Current:
			return v, ward.Errorf(ward.Conflict, "Generation %d is %s: only a version that was in force can be gone back to.", generation, v.State)
		}
		return v, nil
	case i >= 0 && len(standing) > 1:
		return standing[i], nil
	case i >= 0:
		now := standing[i]
		for v := now; v.Base > 0; {
			if v, err = s.store.Version(ctx, v.Base); err != nil {
				return v, err
			}
			if v.Text != now.Text || !sameFiles(v.Files, now.Files) {
				return v, nil
			}
		}
	}
	return Version{}, ward.Errorf(ward.Conflict, "No earlier version was in force, so there is none to go back to.")
}
