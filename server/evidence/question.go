package evidence

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/report"
)

// provenDevices is of how many devices the history is told and proven at most. Of more than
// that the list says it.
const provenDevices = 500

// presence is one device on which the app was.
type presence struct {
	*estate.Device
	since   time.Time // from when on, as far as told
	first   bool      // since is the first that is known of the device
	gone    time.Time // when it told that the app is gone; zero: not yet
	ended   string    // why nothing is known any more, such as "retired"; empty if it is
	stands  standsBy
	change  ProvenChange // that was in force at the moment
	next    ProvenChange // the one after it; Record is nil where there is none
	missing string       // why the first is not proven; empty if it is
}

// question answers: at that moment, which devices had the app, which were blocked, who knew?
func (s *Service) question(ctx context.Context, r Request, out *made) error {
	v, p, err := s.readAt(ctx, out.AsOf)
	if err != nil {
		return err
	}
	known := catalogue.Builtin()
	if p != nil && p.Catalogue != nil {
		known = p.Catalogue
	}
	app, ok := known.Lookup(strings.ToLower(strings.TrimSpace(r.App)))
	if !ok {
		return ward.Errorf(ward.Invalid, "The catalogue has no app %q. Choose one from the list of apps.", r.App)
	}
	snap, err := s.snapshot(ctx, r.AsOf)
	if err != nil {
		return err
	}
	judge := newJudge(v, p, app, out.AsOf)
	found := &findings{app: app, at: out.AsOf}
	for _, d := range devicesIn(snap, ward.ActorFrom(ctx).Scope) {
		if d.Enrolled.IsZero() || d.State == compliance.Retired {
			continue
		}
		by := judge.of(d)
		present := slices.Contains(d.Apps, app.Slug)
		found.count(d, by, present)
		if present {
			found.present = append(found.present, &presence{Device: d, stands: by, since: d.Since})
		}
	}
	told := &prover{seals: s.Seals, trees: map[int64]*provenSeal{}}
	for i, x := range found.present {
		if i == provenDevices {
			break
		}
		if err := s.follow(ctx, x, app.Slug, out.AsOf); err != nil {
			return err
		}
		if err := s.proveOne(ctx, told, x, out.AsOf); err != nil {
			return err
		}
	}
	deeds, err := s.deedsAfter(ctx, found)
	if err != nil {
		return err
	}
	notices, err := s.noticesOf(ctx, found)
	if err != nil {
		return err
	}
	s.bind(out, found, v, p != nil)
	out.Title, out.Name = fmt.Sprintf("Which devices had %s on %s?", app.Name, report.Moment(out.AsOf)), "question-"+app.Slug+"-"+out.AsOf.UTC().Format("20060102")
	out.Says = scopeWords(ward.ActorFrom(ctx).Scope)
	out.Sections = found.sections(v, p != nil, deeds, notices)
	return nil
}

func scopeWords(sc ward.Scope) []string {
	if sc.All() {
		return []string{"every device of the organisation"}
	}
	return []string{"devices of " + joined(strings.Join(sc.Sites, ", "), strings.Join(sc.Groups, ", ")) + " only"}
}

// follow finds since when the app is known to be on a device, and when it went.
func (s *Service) follow(ctx context.Context, x *presence, slug string, at time.Time) error {
	var later []estate.Change // the oldest last
	x.since, x.first = time.Time{}, true
	for before, read := int64(0), 0; read < most; {
		page, err := s.Estate.Changes(ctx, x.ID, before, 200)
		if err != nil {
			return fmt.Errorf("history of %s: %w", x.ID, err)
		}
		for _, c := range page {
			if c.At.After(at) {
				later = append(later, c)
				continue
			}
			if !slices.Contains(c.Device.Apps, slug) {
				x.first = false
				x.ending(later, slug)
				return nil
			}
			x.since = c.At
		}
		if len(page) < 200 {
			break
		}
		before, read = page[len(page)-1].Seq, read+len(page)
	}
	x.ending(later, slug)
	return nil
}

// ending finds how it ended in the changes after the moment, the newest first.
func (x *presence) ending(later []estate.Change, slug string) {
	for _, c := range slices.Backward(later) {
		d := c.Device
		switch {
		case d.State == compliance.Retired:
			x.ended = "the device was retired on " + report.Moment(c.At)
			return
		case !slices.Contains(d.Apps, slug) && d.State != compliance.Unknown:
			x.gone = c.At
			return
		}
	}
}

func (s *Service) proveOne(ctx context.Context, p *prover, x *presence, at time.Time) error {
	last, next, err := s.Seals.Around(ctx, x.ID, at)
	if err != nil {
		return err
	}
	if last.Seq == 0 {
		x.missing = "there is no record of it at that time"
		return nil
	}
	if x.change, x.missing, err = p.prove(ctx, last.Seq); err != nil || next.Seq == 0 {
		return err
	}
	var why string
	if x.next, why, err = p.prove(ctx, next.Seq); why != "" {
		x.next = ProvenChange{}
	}
	return err
}

// bind notes what proves the answer: seals, the policy, and entries about the devices.
func (s *Service) bind(out *made, f *findings, v policy.Version, known bool) {
	if known {
		out.about = append(out.about, s.aboutVersion(v)...)
	}
	seals := map[string]bool{}
	for i, x := range f.present {
		if i == provenDevices {
			break
		}
		for _, c := range []ProvenChange{x.change, x.next} {
			if c.Record == nil {
				continue
			}
			out.changes = append(out.changes, c)
			if !seals[c.Seal] {
				seals[c.Seal] = true
				out.about = append(out.about, audit.About{Subject: c.Seal})
			}
		}
		out.about = append(out.about, audit.About{Subject: string(x.ID), From: x.since, Until: x.until()})
	}
}

// until is up to when what was done about a device matters.
func (x *presence) until() time.Time {
	if x.gone.IsZero() {
		return time.Time{}
	}
	return x.gone.Add(24 * time.Hour)
}

// aboutVersion asks for the entries of a version of the policy.
func (s *Service) aboutVersion(v policy.Version) []audit.About {
	return []audit.About{{Subject: strconv.FormatInt(v.Generation, 10)}}
}

// deed is one entry of the audit log that has to do with the answer.
type deed struct {
	audit.Recorded
	device string // its name; empty for one that is about several
}

// deedsAfter returns what was done about the devices while the app was there, and who took
// lists and reports away in that time, the oldest first.
func (s *Service) deedsAfter(ctx context.Context, f *findings) (out []deed, err error) {
	from, until := f.span()
	for i, x := range f.present {
		if i == provenDevices {
			break
		}
		list, err := s.between(ctx, audit.Filter{Subject: string(x.ID)}, x.since, x.until())
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			out = append(out, deed{e, x.Name})
		}
	}
	if len(f.present) > 0 {
		for _, action := range []string{ActionExported, ActionMade} {
			list, err := s.between(ctx, audit.Filter{Action: action}, from, until)
			if err != nil {
				return nil, err
			}
			for _, e := range list {
				out = append(out, deed{e, ""})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b deed) int { return a.At.Compare(b.At) })
	return out, nil
}

// ActionExported stands in the audit log when somebody took a list away as a file.
const ActionExported = "export.made"

// between returns entries of a time, a zero until being open.
func (s *Service) between(ctx context.Context, f audit.Filter, from, until time.Time) (out []audit.Recorded, err error) {
	f.Limit = 200
	for read := 0; read < most; {
		page, err := s.Audit.List(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if e.At.Before(from) {
				return out, nil
			}
			if until.IsZero() || e.At.Before(until) {
				out = append(out, e)
			}
		}
		if len(page) < f.Limit {
			return out, nil
		}
		f.After, read = page[len(page)-1].ID, read+len(page)
	}
	return out, nil
}
