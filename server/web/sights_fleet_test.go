package web_test

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/view"
	"github.com/wardmdm/ward/server/web"
)

// fleetSights are the pages of the overview and the lists of devices, as p sees them.
func (w *world) fleetSights(access.Person) []sight {
	return []sight{
		{name: "overview", url: "/"},
		{name: "overview-ward", url: "/?group=Ward+7&days=365"},
		{name: "overview-past", url: "/?as_of=" + w.now().Add(-48*time.Hour).Format(time.DateOnly)},
		{name: "devices-filtered", url: "/devices?group=Ward+7&group=Theatres&ownership=corporate&finding=blocked-app-present"},
		{name: "devices-past", url: "/devices?as_of=" + w.now().Add(-48*time.Hour).Format(time.DateOnly)},
		{name: "devices-views", url: "/views"},
		{name: "devices-view", url: "/views?group=Ward+7&state=lost"},
		{name: "style", url: "/style"},
	}
}

// fleetParts are what the overview and the lists stand on.
func (w *world) fleetParts() web.FleetParts {
	return web.FleetParts{
		Estate: w.estate,
		RefreshMany: func(_ context.Context, ids []ward.DeviceID, _ []string) (int, error) {
			w.asked = append(w.asked, ids...)
			return len(ids), nil
		},
		Expiries: func(context.Context) ([]web.Expiry, error) {
			return []web.Expiry{{Name: "Apple push certificate", Ends: w.now().Add(12 * 24 * time.Hour)}, {Name: "Certificate authority", Ends: w.now().Add(9 * 365 * 24 * time.Hour)}}, nil
		},
		Views: &view.Service{Store: w.db.SavedViews(), Audit: w.record, Now: w.now},
		AuditVerified: func(context.Context) (time.Time, int64, bool, error) {
			return w.now().Add(-3 * time.Hour), 12408, true, nil
		},
	}
}

// past is an estate with a year behind it: each past day is as the present, a little worse
// the longer it is ago.
type past struct {
	*estate.Service
	now func() time.Time
}

// begun is when the past of these tests begins.
const begun = 400

func (p *past) Recorded(context.Context) (time.Time, error) {
	return p.now().AddDate(0, 0, -begun), nil
}

func (p *past) At(ctx context.Context, t time.Time) (*estate.Snapshot, error) {
	if t.After(p.now()) || t.Before(p.now().AddDate(0, 0, -begun)) {
		return nil, ward.Errorf(ward.Invalid, "Nothing is recorded of that time.")
	}
	now, err := p.Current(ctx)
	if err != nil {
		return nil, err
	}
	return &estate.Snapshot{At: t, Devices: now.Devices}, nil
}

func (p *past) Trend(ctx context.Context, c estate.Cut, days int) (out []estate.Day, err error) {
	now, err := p.Current(ctx)
	if err != nil {
		return nil, err
	}
	f := estate.Filter{Enrolled: true}
	switch c.By {
	case estate.ByGroup:
		f.Groups = []string{c.Value}
	case estate.BySite:
		f.Sites = []string{c.Value}
	case estate.ByOwner:
		f.Ownership = ward.Ownership(c.Value)
	}
	n := now.Counts(f)
	today := p.now().UTC().Truncate(24 * time.Hour)
	for i := days; i > 0; i-- {
		bad := min(i/9, n[compliance.Compliant])
		d := estate.Day{Day: today.AddDate(0, 0, -i), Devices: len(now.Match(f)), Blocked: 3 + i/6, AppReady: 10, AppWant: 12, NotSeen7: i % 7, OldOS: i / 20}
		d.States = map[compliance.State]int{compliance.Compliant: n[compliance.Compliant] - bad, compliance.NonCompliant: n[compliance.NonCompliant] + bad, compliance.Lost: i % 3}
		out = append(out, d)
	}
	return out, nil
}

func (p *past) Removals(_ context.Context, _ string, by estate.Dimension, _, _ time.Time) (map[string]estate.Removal, error) {
	r := estate.Removal{Removed: 14, P50: 3 * 24 * time.Hour, P95: 11 * 24 * time.Hour, Present: 9}
	switch by {
	case estate.Everything:
		return map[string]estate.Removal{"": r}, nil
	case estate.ByOwner:
		r.Removed = 3
		return map[string]estate.Removal{string(ward.Personal): r}, nil
	}
	return map[string]estate.Removal{"Ward 7": r}, nil
}

// bound bounds what somebody sees.
func (w *world) bound(id ward.PersonID, s ward.Scope) {
	w.t.Helper()
	w.must(w.access.SetScope(w.system(), id, s))
}
