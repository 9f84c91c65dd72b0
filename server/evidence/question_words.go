package evidence

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/report"
)

// findings are what the answer is made of.
type findings struct {
	app     catalogue.App
	at      time.Time
	devices int
	unknown int // that had not told lately, so that the app may have been there
	present []*presence
	by      map[standsBy]*tally
}

// tally counts devices that the policy treated alike.
type tally struct{ devices, present int }

func (f *findings) count(d *estate.Device, by standsBy, present bool) {
	if f.by == nil {
		f.by = map[standsBy]*tally{}
	}
	t := f.by[by]
	if t == nil {
		t = &tally{}
		f.by[by] = t
	}
	f.devices++
	t.devices++
	t.present += one(present)
	f.unknown += one(d.State == compliance.Unknown && !present)
}

// span is from when to when the app was on any of the devices.
func (f *findings) span() (from, until time.Time) {
	open := false
	for _, x := range f.present {
		if from.IsZero() || !x.since.IsZero() && x.since.Before(from) {
			from = x.since
		}
		u := x.until()
		open = open || u.IsZero()
		if u.After(until) {
			until = u
		}
	}
	if open {
		until = time.Time{}
	}
	return from, until
}

// noticesOf returns what was sent about the devices while the app was on them.
func (s *Service) noticesOf(ctx context.Context, f *findings) (out []notify.Delivery, err error) {
	if len(f.present) == 0 {
		return nil, nil
	}
	about := map[ward.DeviceID]*presence{}
	for _, x := range f.present {
		about[x.ID] = x
	}
	from, _ := f.span()
	for after, read := "", 0; read < most; {
		page, err := s.Notices.Log(ctx, after, 200)
		if err != nil {
			return nil, fmt.Errorf("messages: %w", err)
		}
		for _, d := range page {
			if x := about[d.Message.Device]; x != nil && !d.Made.Before(x.since) && (x.until().IsZero() || d.Made.Before(x.until())) {
				out = append([]notify.Delivery{d}, out...)
			}
		}
		if len(page) < 200 || page[len(page)-1].Made.Before(from) {
			return out, nil
		}
		after, read = page[len(page)-1].ID, read+len(page)
	}
	return out, nil
}

func (f *findings) sections(v policy.Version, known bool, deeds []deed, notices []notify.Delivery) []report.Section {
	out := []report.Section{{Heading: "In short", Text: f.sentences()}}
	if known {
		facts := versionFacts(v)
		out = append(out, report.Section{Heading: "The policy in force at that moment", Facts: facts, Notes: []string{"Where a version was being rolled out ring by ring, some devices still had the one before."}})
	}
	return append(out,
		report.Section{Heading: "Where it was blocked, and where not", Text: []string{"Each device that was enrolled, by what the policy could do about the app there. It is worked out anew from the policy as it stands in the record."}, Tables: []report.Table{f.byPolicy()}},
		report.Section{Heading: "The devices that had it", Tables: []report.Table{f.list()}, Notes: f.listNotes()},
		report.Section{Heading: "Who was told", Text: []string{
			"Ward itself knew of the app on a device from the time in the list above on, and showed it on its pages to whoever may see that device. Which pages somebody looked at is not recorded. These are recorded: messages that were sent about the devices, lists and reports that were taken away while the app was there, and what was done about the devices.",
		}, Tables: []report.Table{noticeTable(notices)}},
		report.Section{Heading: "What was done, and who took lists away", Tables: []report.Table{deedTable(deeds)}},
		report.Section{Heading: "How far this can be trusted", Text: f.trust()},
	)
}

func (f *findings) sentences() []string {
	gone, there, silent := 0, 0, 0
	for _, x := range f.present {
		gone += one(!x.gone.IsZero())
		silent += one(x.gone.IsZero() && x.ended != "")
		there += one(x.gone.IsZero() && x.ended == "")
	}
	out := []string{fmt.Sprintf("%s was on %s enrolled devices, as far as these had told by %s.", f.app.Name, share(len(f.present), f.devices), report.Moment(f.at))}
	if len(f.present) > 0 {
		out = append(out, fmt.Sprintf("From %s it has gone since, on %s it is still there, and of %s nothing more can be known because the device was retired.", count(gone, "device", "devices"), report.Thousands(there), report.Thousands(silent)))
	}
	blocked := 0
	for by, t := range f.by {
		if by.order <= 1 {
			blocked += t.devices
		}
	}
	out = append(out, fmt.Sprintf("It was blocked on %s: there it does not run, though it may still lie on the device.", share(blocked, f.devices)))
	if f.unknown > 0 {
		out = append(out, fmt.Sprintf("Of %s it is not known whether the app was there: they had not told lately.", count(f.unknown, "more device", "more devices")))
	}
	return append(out, "A personal device is asked about the apps that the policy names and about work apps only, never for everything on it; where its way of enrolling shows work apps alone, what a person put on it themselves is not known.")
}

func (f *findings) byPolicy() report.Table {
	t := report.Table{Name: "policy", Columns: []report.Column{{Head: "What the policy did", Share: 30}, {Head: "Why", Share: 44}, {Head: "Devices", Kind: report.Number, Share: 12}, {Head: "Had the app", Kind: report.Number, Share: 14}}}
	keys := slices.SortedFunc(maps.Keys(f.by), func(a, b standsBy) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.words, b.words), cmp.Compare(a.why, b.why))
	})
	for _, k := range keys {
		t.Rows = append(t.Rows, []report.Cell{{Text: k.words}, {Text: k.why}, {Text: report.Thousands(f.by[k].devices)}, {Text: report.Thousands(f.by[k].present)}})
	}
	return t
}

func (f *findings) list() report.Table {
	t := report.Table{Name: "devices", Columns: []report.Column{
		{Head: "Device", Share: 19}, {Head: "Ward", Share: 14}, {Head: "Known since", Kind: report.Time, Share: 14}, {Head: "State then", Kind: report.State, Share: 12}, {Head: "Policy", Share: 16}, {Head: "Gone", Kind: report.Time, Share: 13}, {Head: "Proof", Share: 12},
	}}
	for i, x := range f.present {
		gone := report.Cell{Time: x.gone, Text: either(x.ended, "still there")}
		proof := x.missing
		switch {
		case i >= provenDevices:
			gone, proof = report.Cell{Text: "not followed"}, "not asked for"
		case x.change.Record != nil:
			proof = x.change.Seal
		}
		t.Rows = append(t.Rows, []report.Cell{{Text: joined(x.Name, x.Serial), Href: "/devices/" + string(x.ID)}, {Text: joined(x.Group, x.Site)}, {Time: x.since, Text: "not known"}, {Text: string(x.State)}, {Text: x.stands.words}, gone, {Text: proof}})
	}
	return t
}

func (f *findings) listNotes() []string {
	first := 0
	for _, x := range f.present {
		first += one(x.first)
	}
	out := []string{"Names are those of now: history keeps no names. “Known since” is when the device first told of the app; it may have been there before."}
	if first > 0 {
		out = append(out, fmt.Sprintf("On %s the app was there when Ward's record of the device begins.", count(first, "device", "devices")))
	}
	if n := len(f.present) - provenDevices; n > 0 {
		out = append(out, fmt.Sprintf("%s are listed and neither followed nor proven. Ask for a part of them: by somebody whose view is bounded to a site.", count(n, "device", "devices")))
	}
	return out
}

func noticeTable(all []notify.Delivery) report.Table {
	t := report.Table{Name: "messages", Title: "Messages", Columns: []report.Column{{Head: "Sent", Kind: report.Time, Share: 18}, {Head: "To", Share: 26}, {Head: "About", Share: 40}, {Head: "State", Share: 16}}}
	for _, d := range all {
		t.Rows = append(t.Rows, []report.Cell{{Time: d.Made}, {Text: either(d.To, d.Channel)}, {Text: d.Message.Subject}, {Text: string(d.State())}})
	}
	return t
}

func deedTable(all []deed) report.Table {
	t := report.Table{Name: "deeds", Columns: []report.Column{{Head: "When", Kind: report.Time, Share: 18}, {Head: "Deed", Share: 24}, {Head: "By", Share: 22}, {Head: "Device or list", Share: 26}, {Head: "Entry", Kind: report.Number, Share: 10}}}
	for _, d := range all {
		who := d.Actor.Name
		if d.ActorErased {
			who = "(erased)"
		}
		t.Rows = append(t.Rows, []report.Cell{{Time: d.At}, {Text: d.Action}, {Text: who}, {Text: either(d.device, either(d.Detail["view"], d.Detail["pack"]))}, {Text: position(d.Index)}})
	}
	return t
}

// position is where an entry stands in the log.
func position(index int64) string {
	if index < 0 {
		return "not yet"
	}
	return report.Thousands(int(index))
}

// trust says what is proven and what is not.
func (f *findings) trust() []string {
	proven, linked := 0, 0
	for _, x := range f.present {
		proven += one(x.change.Record != nil)
		linked += one(x.change.Record != nil && x.next.Record != nil)
	}
	return []string{
		fmt.Sprintf("Every change of a device's posture is sealed: a Merkle tree is made over each run of changes, and its root stands in the audit log, whose checkpoints are signed. Of %s the record that was in force at that moment is proven in the signed file, for anybody to check without the server.", share(proven, min(len(f.present), provenDevices))),
		fmt.Sprintf("Each record names the one before it. Of %s the next record is in the file too, so that none can have been left out in between.", count(linked, "of them", "of them")),
		"A seal proves that the record was not altered after it was sealed, within the hour. It does not prove that a device told the truth.",
	}
}
