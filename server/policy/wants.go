package policy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/reconcile"
)

// steps returns the keys of the steps that bring a state to a device, as package
// reconcile names them.
func steps(st *profiles.State) []string {
	var keys []string
	for _, p := range st.Profiles {
		if !p.Declared {
			keys = append(keys, "profile:"+p.Identifier+":"+p.Hash)
		}
	}
	for _, a := range st.Apps {
		if !a.Declared && !a.Remove {
			keys = append(keys, "app:"+a.BundleID+":"+a.Hash)
		}
	}
	if st.DeclarationsToken != "" {
		keys = append(keys, declarations+":"+st.DeclarationsToken)
	}
	return keys
}

// declarations is the thing that the step brings which tells of declarations.
const declarations = "declarations"

// bringing is what the step with a key brings, without its version.
func bringing(key string) string {
	if i := strings.LastIndexByte(key, ':'); i >= 0 {
		return key[:i]
	}
	return key
}

// fresh returns what a state has that another one has not.
func fresh(now, before *profiles.State) *want {
	w := &want{steps: map[string]string{}}
	for _, k := range steps(now) {
		w.steps[bringing(k)] = k
	}
	for _, k := range steps(before) {
		if w.steps[bringing(k)] == k {
			delete(w.steps, bringing(k))
		}
	}
	if w.steps[declarations] != "" {
		w.declarations = make(map[string]string, len(now.Declarations))
		for _, d := range now.Declarations {
			if !own(now, d) {
				w.declarations[d.Identifier] = d.Token
			}
		}
	}
	return w
}

// own reports whether a declaration has a version of its own on each device: those that
// bring an app its identity or a configuration do not count for a rollout.
func own(st *profiles.State, d profiles.Declaration) bool {
	return d.App != "" || slices.ContainsFunc(st.Documents, func(doc profiles.Document) bool { return d.Refers(doc.Hash) })
}

// wants works out what a rollout brings to devices, once for those that are alike. What
// is a device's own, because its network certificate was or is to be made again, is
// worked out for it alone.
type wants struct {
	base, next *profiles.Policy
	life       time.Duration
	now        time.Time
	states     *states
	known      map[groupKey]*want
	networks   map[alike]bool                                    // whether a state brings a network certificate
	revoked    map[ward.DeviceID]map[string]reconcile.Credential // by the hash of its profile
}

func newWants(s *Service, f *InForce) *wants {
	base, _ := f.Current()
	return &wants{
		base: base, next: f.next.policy, life: s.NetworkLife, now: s.now(), states: newStates(), known: map[groupKey]*want{}, networks: map[alike]bool{},
		revoked: map[ward.DeviceID]map[string]reconcile.Credential{},
	}
}

// read reads which network certificates were revoked.
func (w *wants) read(ctx context.Context, from Fleet) error {
	return from.Revoked(ctx, func(r Revocation) error {
		of := w.revoked[r.Device]
		if of == nil {
			of = map[string]reconcile.Credential{}
			w.revoked[r.Device] = of
		}
		if r.At.After(of[r.Profile].Revoked) {
			of[r.Profile] = reconcile.Credential{Revoked: r.At}
		}
		return nil
	})
}

// of returns what is new for a device.
func (w *wants) of(d Subject) *want {
	was, a := w.states.of(d.subject(), w.base, w.now)
	is, b := w.states.of(d.subject(), w.next, w.now)
	if w.joins(was, a) || w.joins(is, b) {
		own := func(st *profiles.State) *profiles.State {
			stamped := reconcile.Stamped(*st, w.revoked[d.Device.ID], d.Enrolled, w.life, w.now)
			return &stamped
		}
		return fresh(own(is), own(was))
	}
	out := w.known[groupKey{a, b}]
	if out == nil {
		out = fresh(is, was)
		w.known[groupKey{a, b}] = out
	}
	return out
}

// joins reports whether a state brings a network certificate.
func (w *wants) joins(st *profiles.State, a alike) bool {
	joins, ok := w.networks[a]
	if !ok {
		for _, p := range st.Profiles {
			joins = joins || strings.Contains(string(p.Payload), "{{network.challenge}}")
		}
		w.networks[a] = joins
	}
	return joins
}

// step says a step's key in words.
func step(key string) string {
	kind, rest, _ := strings.Cut(key, ":")
	name, _, _ := strings.Cut(rest, ":")
	switch kind {
	case "profile", "app":
		return kind + " " + name
	case "declaration":
		return "declaration " + name
	}
	return "declarations"
}
