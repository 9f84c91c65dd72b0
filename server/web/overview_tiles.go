package web

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
)

// deviceTiles are the tiles whose numbers are lists of devices.
func (o *overlook) deviceTiles(ctx context.Context) ([]tileView, error) {
	blocked, err := o.blockedTile(ctx)
	if err != nil {
		return nil, err
	}
	tiles := []tileView{o.complianceTile(), blocked, o.approvedTile(), o.lostTile(), o.unseenTile(), o.oldTile()}
	for i := range tiles {
		tiles[i].AsOf, tiles[i].Stale, tiles[i].StaleHref = at(o.snap.At, o.now), o.stale, o.list(stateFilter(o.f, compliance.Unknown))
	}
	return tiles, nil
}

func (o *overlook) complianceTile() tileView {
	counts := o.snap.Counts(o.f)
	total := 0
	var parts []barPart
	for _, st := range []compliance.State{compliance.Compliant, compliance.Pending, compliance.InGrace, compliance.Unknown, compliance.NonCompliant, compliance.Lost} {
		total += counts[st]
		parts = append(parts, barPart{Tag: stateTag(st), Count: counts[st], Href: o.list(stateFilter(o.f, st))})
	}
	good := counts[compliance.Compliant]
	t := tileView{Title: textCompliance, Href: o.list(stateFilter(o.f, compliance.Compliant)), Number: count(good), Of: fmt.Sprintf(textOfDevices, count(total)), Bar: barOf(parts), Wide: true}
	if total > 0 {
		t.Of = fmt.Sprintf(textShareOf, percent(good, total), count(total))
	}
	t.Chart = o.chart(textCompliance, "%", "good", func(d estate.Day) float64 { return share(d.States[compliance.Compliant], d.Devices) })
	return t
}

// namedApps is how many apps a tile names.
const namedApps = 3

func (o *overlook) blockedTile(ctx context.Context) (tileView, error) {
	f := o.with(func(f *estate.Filter) { f.Blocked = true })
	devices := o.snap.Match(f)
	t := tileView{Title: textBlockedTile, Href: o.list(f), Number: count(len(devices)), Of: textDevices}
	on := map[string]int{}
	for _, d := range devices {
		for _, slug := range d.Apps {
			if d.Has("blocked-app-present", slug) {
				on[slug]++
			}
		}
	}
	slugs := slices.SortedFunc(maps.Keys(on), func(a, b string) int {
		if on[a] != on[b] {
			return on[b] - on[a]
		}
		return strings.Compare(a, b)
	})
	for i, slug := range slugs {
		if i == namedApps {
			t.Lines = append(t.Lines, tileLine{Text: fmt.Sprintf(textMoreApps, len(slugs)-namedApps), Href: o.appsPage()})
			break
		}
		t.Lines = append(t.Lines, tileLine{Text: estate.AppName(slug), Count: count(on[slug]), Href: o.list(o.with(func(f *estate.Filter) { f.Blocked, f.App = true, slug }))})
	}
	t.Chart = o.chart(textBlockedTile, textDevices, "bad", func(d estate.Day) float64 { return o.enough(d.Blocked) })
	return t, o.removal(ctx, &t)
}

// appsPage is where the other apps stand, of the same devices at the same moment.
func (o *overlook) appsPage() string {
	if o.opens(o.actor, "/apps") {
		return filtered("/apps", o.f, url.Values{"show": {"present"}})
	}
	return ""
}

// removal says how long blocked apps stayed, where that is known of the devices counted.
func (o *overlook) removal(ctx context.Context, t *tileView) error {
	cuts, ok := cutsOf(o.f)
	if !ok || len(cuts) != 1 {
		return nil
	}
	until := o.snap.At
	all, err := o.Fleet.Estate.Removals(ctx, "", cuts[0].By, until.AddDate(0, 0, -30), until)
	if err != nil {
		return err
	}
	r, ok := all[cuts[0].Value]
	switch {
	case !ok || r.Removed == 0:
		t.Lines = append(t.Lines, tileLine{Text: textNoRemoval})
	case o.small(r.Removed):
		t.Lines = append(t.Lines, tileLine{Text: textFewRemovals})
	default:
		t.Lines = append(t.Lines, tileLine{Text: fmt.Sprintf(textRemoval, spanWords(r.P50), spanWords(r.P95))})
	}
	return nil
}

func (o *overlook) approvedTile() tileView {
	ready, not := o.with(func(f *estate.Filter) { f.Approved = estate.Ready }), o.with(func(f *estate.Filter) { f.Approved = estate.NotReady })
	n, m := o.count(ready), o.count(not)
	t := tileView{Title: textApprovedTile, Href: o.list(ready), Number: count(n), Of: fmt.Sprintf(textOfDevices, count(n+m))}
	if n+m > 0 {
		t.Of = fmt.Sprintf(textReadyOf, percent(n, n+m), count(n+m))
	}
	t.Lines = []tileLine{{Text: textNotReady, Count: count(m), Href: o.list(not)}}
	t.Chart = o.chart(textApprovedTile, "%", "good", func(d estate.Day) float64 { return share(d.AppReady, d.AppWant) })
	return t
}

func (o *overlook) lostTile() tileView {
	gone, pending := stateFilter(o.f, compliance.Lost), stateFilter(o.f, compliance.Pending)
	list := o.snap.Match(gone)
	t := tileView{Title: textLostTile, Href: o.list(gone), Number: count(len(list)), Of: textLostDevices}
	if oldest := oldestOf(list); !oldest.IsZero() {
		t.Lines = append(t.Lines, tileLine{Text: fmt.Sprintf(textOldestLost, spanWords(o.snap.At.Sub(oldest)))})
	}
	waiting := o.snap.Match(pending)
	t.Lines = append(t.Lines, tileLine{Text: textPending, Count: count(len(waiting)), Href: o.list(pending)})
	if oldest := oldestOf(waiting); !oldest.IsZero() {
		t.Lines = append(t.Lines, tileLine{Text: fmt.Sprintf(textOldestPending, spanWords(o.snap.At.Sub(oldest)))})
	}
	t.Chart = o.chart(textLostTile, textDevices, "lost", func(d estate.Day) float64 {
		return o.enough(d.States[compliance.Lost] + d.States[compliance.Pending])
	})
	return t
}

// oldestOf is since when the first of the devices has been in its state.
func oldestOf(list []*estate.Device) (oldest time.Time) {
	for _, d := range list {
		if !d.Since.IsZero() && (oldest.IsZero() || d.Since.Before(oldest)) {
			oldest = d.Since
		}
	}
	return oldest
}

func (o *overlook) unseenTile() tileView {
	week, month := o.with(func(f *estate.Filter) { f.NotSeen = max(f.NotSeen, 7) }), o.with(func(f *estate.Filter) { f.NotSeen = max(f.NotSeen, 30) })
	t := tileView{Title: textUnseenTile, Href: o.list(week), Number: count(o.count(week)), Of: textForWeek}
	t.Lines = []tileLine{{Text: textForMonth, Count: count(o.count(month)), Href: o.list(month)}}
	t.Chart = o.chart(textUnseenTile, textDevices, "warn", func(d estate.Day) float64 { return o.enough(d.NotSeen7) })
	return t
}

func (o *overlook) oldTile() tileView {
	f := o.with(func(f *estate.Filter) { f.OS = estate.OldOS })
	t := tileView{Title: textOldTile, Href: o.list(f), Number: count(o.count(f)), Of: textDevices}
	t.Chart = o.chart(textOldTile, textDevices, "warn", func(d estate.Day) float64 { return o.enough(d.OldOS) })
	return t
}

// workTiles are the tiles of what waits and of what may break.
func (o *overlook) workTiles(ctx context.Context) (tiles []tileView, err error) {
	if !o.f.AsOf.IsZero() {
		return nil, nil // they are of now
	}
	if access.Allows(o.actor, access.OrderRead) {
		n, err := o.waitingOrders(ctx)
		if err != nil {
			return nil, err
		}
		tiles = append(tiles, tileView{Title: textOrdersTile, Href: "/orders?state=requested", Number: count(n), Of: textOrders, AsOf: at(o.now, o.now)})
	}
	if o.Fleet.Expiries != nil && access.Allows(o.actor, access.APNsRead) {
		t, err := o.expiryTile(ctx)
		if err != nil {
			return nil, err
		}
		tiles = append(tiles, t)
	}
	if o.Fleet.AuditVerified != nil && access.Allows(o.actor, access.AuditRead) {
		t, err := o.auditTile(ctx)
		if err != nil {
			return nil, err
		}
		tiles = append(tiles, t)
	}
	return tiles, nil
}

// endsSoon is how long before its end something is counted.
const endsSoon = 30 * 24 * time.Hour

// renewsLate is when something that renews by itself should long have done so.
const renewsLate = 7 * 24 * time.Hour

// said is what ends, and when.
func (e Expiry) said(now time.Time) string {
	if e.Renews && e.Ends.Sub(now) >= renewsLate {
		return fmt.Sprintf(textRenewsItself, e.Name, ends(e.Ends, now))
	}
	return e.Name + ": " + ends(e.Ends, now)
}

func (o *overlook) expiryTile(ctx context.Context) (tileView, error) {
	all, err := o.Fleet.Expiries(ctx)
	if err != nil {
		return tileView{}, fmt.Errorf("what expires: %w", err)
	}
	slices.SortFunc(all, func(a, b Expiry) int { return a.Ends.Compare(b.Ends) })
	soon := 0
	t := tileView{Title: textExpiryTile, AsOf: at(o.now, o.now), Of: textEndSoon, Wide: true}
	for i, e := range all {
		if left := e.Ends.Sub(o.now); left < endsSoon && (!e.Renews || left < renewsLate) {
			soon++
		}
		if i < namedApps+1 {
			t.Lines = append(t.Lines, tileLine{Text: e.said(o.now), Href: e.Href})
		}
	}
	t.Number = count(soon)
	if o.opens(o.actor, "/health") {
		t.Href = "/health"
	}
	if soon > 0 {
		t.Tag = &tag{textRenew, "warn", "clock"}
	}
	return t, nil
}

func (o *overlook) auditTile(ctx context.Context) (tileView, error) {
	when, size, sound, err := o.Fleet.AuditVerified(ctx)
	if err != nil {
		return tileView{}, fmt.Errorf("when the audit log was verified: %w", err)
	}
	t := tileView{Title: textAuditTile, Number: at(when, o.now).Ago, AsOf: at(o.now, o.now), Wide: true}
	if o.opens(o.actor, "/audit/verify") {
		t.Href = "/audit/verify"
	}
	switch {
	case when.IsZero():
		t.Tag = &tag{textNotVerified, "warn", "question"}
	case !sound:
		t.Tag = &tag{textNotIntact, "bad", "alert"}
	case o.now.Sub(when) > 48*time.Hour:
		t.Tag = &tag{textVerifiedLate, "warn", "clock"}
	default:
		t.Tag, t.Lines = &tag{textIntact, "good", "check"}, []tileLine{{Text: fmt.Sprintf(textEntries, count(int(size)))}}
	}
	return t, nil
}

// small reports whether a number is too small to be told of people's own devices.
func (o *overlook) small(n int) bool {
	return o.f.Ownership == ward.Personal && n > 0 && n < fewest
}
