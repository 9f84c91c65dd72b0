package declare

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/fleet"
)

// Report is one status report as its protocol's adapter read it.
type Report struct {
	// Full says that it holds all that the device has to say: what a part of it leaves out
	// is gone.
	Full bool
	// Declarations is nil where the report says nothing of them, empty where it says that
	// there are none.
	Declarations []Declaration
	Items        map[string]json.RawMessage // by Apple's names, those of ItemNames only
	DeclaredApps []App                      // nil: nothing is said of them
	CommandApps  []App                      // nil: nothing is said of them
	Raw          []byte
}

// Take takes in a report of an enrolment: its facts, what it says of the device itself,
// the report as it came. Where something has changed the device is planned anew. All
// this is one unit of work.
func (s *Service) Take(ctx context.Context, e ward.Enrolment, r Report) error {
	wanted, err := s.Set(ctx, e.ID)
	if err != nil {
		return err
	}
	raw := RawReport{Received: s.now(), Full: r.Full, Size: len(r.Raw), Body: r.Raw[:min(len(r.Raw), MaxRaw)]}
	return s.fleet.Do(ctx, func(ctx context.Context) error {
		if e.Device != "" {
			if err := s.fleet.Hold(ctx, e.Device); err != nil {
				return err
			}
		}
		facts, err := s.fleet.Facts(ctx, e.ID)
		if err != nil {
			return err
		}
		set, changed, err := Merge(facts, r, wanted, s.now())
		if err != nil {
			return fmt.Errorf("status report of %s: %w", e.ID, err)
		}
		for _, f := range set {
			if err := s.fleet.SetFact(ctx, e.ID, f); err != nil {
				return err
			}
		}
		if err := s.reports.KeepReport(ctx, e.ID, raw); err != nil {
			return err
		}
		if e.Device == "" {
			return nil
		}
		described, err := s.describe(ctx, e.Device, r)
		if err != nil || !changed && !described {
			return err
		}
		return s.replan(ctx, e.Device)
	})
}

// describe keeps what a report says of the device itself, and reports whether that was
// news.
func (s *Service) describe(ctx context.Context, id ward.DeviceID, r Report) (bool, error) {
	d, err := s.fleet.Device(ctx, id)
	if err != nil {
		return false, err
	}
	was := d
	if v := r.text(ItemOSVersion); v != "" {
		d.OSVersion = v
	}
	if v := r.text(ItemModel); v != "" {
		d.Model = v
	}
	if d == was {
		return false, nil
	}
	return true, s.fleet.UpdateDevice(ctx, d)
}

// text returns a text of the report, "" if it tells none or one that is too long for
// what it names.
func (r Report) text(name string) string {
	var s string
	if json.Unmarshal(r.Items[name], &s) != nil || len(s) > 255 {
		return ""
	}
	return strings.TrimSpace(s)
}

// Merge returns the facts that a report changes, and whether it told news, so that the
// device has to be planned anew. It is pure.
//
// Parts of facts that answers to commands told, too, are put right where such a fact is
// there; its time stays, for the rest of it is no younger than it was. Where none is
// there the status channel alone does not make one: it would tell half of it, and the
// device would be asked for the other half a day later. What the status channel told, with
// its own time, stands in its own facts in any case.
func Merge(facts []fleet.Fact, r Report, wanted Set, now time.Time) (set []fleet.Fact, news bool, err error) {
	now = now.UTC().Truncate(time.Microsecond)
	m := merger{facts: map[fleet.FactKind]fleet.Fact{}, now: now}
	for _, f := range facts {
		m.facts[f.Kind] = f
	}
	told, err := Read(facts)
	if err != nil {
		return nil, false, err
	}
	if r.Declarations != nil {
		list, differs := mergeDeclarations(told.Declarations, r, wanted, now)
		m.put(fleet.Declarations, list, now, differs || told.Reported.IsZero())
	}
	if len(r.Items) > 0 {
		items, differs := mergeItems(told.Items, r, now)
		m.put(StatusItems, items, now, differs)
	}
	if r.DeclaredApps != nil {
		list, differs := mergeApps(told.Apps, r.DeclaredApps, r.Full, now)
		m.put(Apps, list, now, differs)
	}
	m.fold(fleet.Information, r, informationParts(), nil)
	m.fold(fleet.Security, r, securityParts(), encryption)
	m.managedApps(r)
	return m.set, m.news, m.err
}
