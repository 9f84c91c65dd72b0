package web

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/posture"
)

// lineReader reads the events of one device.
type lineReader struct {
	s      *Server
	d      posture.Detail
	people func(ward.PersonID) (string, error)
	now    time.Time
}

// sources are those of one kind. Whoever reads the log finds refused certificates there.
func (h lineReader) sources(kind string, log bool) []lineSource {
	switch kind {
	case "posture":
		if h.s.Fleet.Estate != nil {
			return []lineSource{{"p", h.changes}}
		}
	case "commands":
		return []lineSource{{"c", h.commands}}
	case "profiles":
		return []lineSource{{"f", h.profiles}}
	case "certificates":
		out := []lineSource{{"t", h.certificates}}
		if h.s.Rules.Audit != nil && !log {
			out = append(out, lineSource{"r", h.entries(authorize.ActionRefused)})
		}
		return out
	case "orders":
		return []lineSource{{"o", h.orders}}
	case "cases":
		return []lineSource{{"k", h.cases}}
	case "log":
		if h.s.Rules.Audit != nil {
			return []lineSource{{"a", h.entries("")}}
		}
	}
	return nil
}

func (h lineReader) event(t time.Time, key int64, g tag, text string) lineEvent {
	return lineEvent{At: at(t, h.now), Tag: g, Text: text, time: t, key: key}
}

// changes are those of the posture, each with the findings that came and went.
func (h lineReader) changes(ctx context.Context, before int64, atLeast int) ([]lineEvent, int64, error) {
	all, err := h.s.Fleet.Estate.Changes(ctx, h.d.Device.ID, before, atLeast+1)
	if err != nil {
		return nil, 0, err
	}
	shown, rest := all, int64(0)
	if len(all) > atLeast { // the one more tells what went
		shown, rest = all[:atLeast], all[atLeast-1].Seq
	}
	out := make([]lineEvent, len(shown))
	for i, c := range shown {
		var was *estate.Device
		if i+1 < len(all) {
			was = &all[i+1].Device
		}
		out[i] = h.event(c.At, c.Seq, stateTag(c.Device.State), "")
		out[i].Text, out[i].More = changeWords(was, &c.Device, h.d.View.Want.Apps)
	}
	return out, rest, nil
}

// changeWords says what changed of a posture, from nothing where was is nil.
func changeWords(was, is *estate.Device, apps []profiles.App) (text string, more []string) {
	switch {
	case was == nil || was.State == "":
		text = "First known: " + strings.ToLower(stateTag(is.State).Text)
	case was.State != is.State:
		text = stateTag(was.State).Text + " to " + strings.ToLower(stateTag(is.State).Text)
	default:
		text = "Findings changed"
	}
	var before []estate.Finding
	if was != nil {
		before = was.Findings
	}
	same := func(a, b estate.Finding) bool { return a.Code == b.Code && a.Subject == b.Subject }
	part := func(word string, of, other []estate.Finding) {
		for _, f := range of {
			if !slices.ContainsFunc(other, func(o estate.Finding) bool { return same(o, f) && o.State == f.State }) {
				more = append(more, word+sentence(worded(f, apps).Text))
			}
		}
	}
	part("Came: ", is.Findings, before)
	part("Went: ", before, is.Findings)
	if was != nil && was.State != "" {
		for _, p := range []struct{ name, from, to string }{{"Ward or team", was.Group, is.Group}, {"Site", was.Site, is.Site}, {"System", was.OSVersion, is.OSVersion}, {"Apps", appNames(was.Apps), appNames(is.Apps)}} {
			if p.from != p.to {
				more = append(more, p.name+": from "+orNone(p.from)+" to "+orNone(p.to)+".")
			}
		}
	}
	return text, more
}

// appNames names messaging apps.
func appNames(slugs []string) string {
	names := make([]string, len(slugs))
	for i, slug := range slugs {
		names[i] = estate.AppName(slug)
	}
	return strings.Join(names, ", ")
}

// sent reads commands of every enrolment before one of them, the newest first.
func (h lineReader) sent(ctx context.Context, before int64, limit int) ([]command.Record, error) {
	var all []command.Record
	for _, e := range h.d.Enrolments {
		cs, err := h.s.Posture.Commands.List(ctx, e.ID, before, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, cs...)
	}
	slices.SortFunc(all, func(a, b command.Record) int { return cmp.Compare(b.Seq, a.Seq) })
	return all[:min(len(all), limit)], nil
}

func (h lineReader) commands(ctx context.Context, before int64, atLeast int) ([]lineEvent, int64, error) {
	all, err := h.sent(ctx, before, atLeast)
	if err != nil {
		return nil, 0, err
	}
	out := make([]lineEvent, len(all))
	for i, c := range all {
		if out[i], err = h.command(c); err != nil {
			return nil, 0, err
		}
	}
	return out, restOf(len(all), atLeast, func() int64 { return all[len(all)-1].Seq }), nil
}

func restOf(got, asked int, last func() int64) int64 {
	if got < asked {
		return 0
	}
	return last()
}

// command says in words that are true what became of a command.
func (h lineReader) command(c command.Record) (lineEvent, error) {
	by, err := h.people(c.By)
	if err != nil {
		return lineEvent{}, err
	}
	contact := lost.Contact{Afresh: h.d.Afresh[c.Enrolment]}
	for _, e := range h.d.Enrolments {
		if e.ID == c.Enrolment {
			contact.LastSeen = e.LastSeen
		}
	}
	_, words, _ := strings.Cut(lost.Words(c, contact), ": ")
	e := h.event(c.Created, c.Seq, commandTag(c.State), commandName(c.RequestType))
	e.More, e.By = said(sentence(words)), by
	return e, nil
}

// carrying are the commands that bring profiles and declarations or take them away.
var carrying = []string{"InstallProfile", "RemoveProfile", "DeclarativeManagement"}

// scanned is how many commands are looked at for a page of those that carry profiles.
const scanned = 2000

func (h lineReader) profiles(ctx context.Context, before int64, atLeast int) (out []lineEvent, rest int64, err error) {
	for range scanned / changesRead {
		all, err := h.sent(ctx, before, changesRead)
		if err != nil {
			return nil, 0, err
		}
		for _, c := range all {
			before = c.Seq
			if !slices.Contains(carrying, c.RequestType) {
				continue
			}
			e, err := h.command(c)
			if err != nil {
				return nil, 0, err
			}
			if _, what, ok := strings.Cut(c.StepKey, ":"); ok && c.RequestType != "DeclarativeManagement" {
				name, _, _ := strings.Cut(what, ":")
				e.More = append([]string{name}, e.More...)
			}
			out = append(out, e)
			if len(out) == atLeast {
				return out, before, nil
			}
		}
		if len(all) < changesRead {
			return out, 0, nil
		}
	}
	return out, before, nil
}

// kept sorts events that have no key of their own, gives each one by its time and its place
// in the order, and returns those before a key.
func kept(all []lineEvent, before int64) []lineEvent {
	slices.SortStableFunc(all, func(a, b lineEvent) int { return a.time.Compare(b.time) })
	for i := range all {
		all[i].key = all[i].time.UnixMicro()*1000 + int64(i%1000)
	}
	slices.Reverse(all)
	if before == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(e lineEvent) bool { return e.key >= before })
}

// certificates are those issued and revoked, of the newest that the device has.
func (h lineReader) certificates(ctx context.Context, before int64, _ int) ([]lineEvent, int64, error) {
	if h.s.Certificates == nil {
		return nil, 0, nil
	}
	all, err := h.s.Certificates(ctx, h.d.Device.ID)
	if err != nil {
		return nil, 0, err
	}
	var out []lineEvent
	for _, c := range all {
		name := strings.TrimSuffix(strings.TrimSuffix(certificateName(c), ", in use"), ", earlier")
		more := []string{"From " + c.Issuer + ", serial number " + c.Serial + "."}
		if !c.Issued.IsZero() {
			e := h.event(c.Issued, 0, tag{"Issued", "good", "check"}, "Certificate: "+name)
			e.More = append(more, "Valid until "+at(c.NotAfter, h.now).Exact+".")
			out = append(out, e)
		}
		if !c.Revoked.IsZero() {
			e := h.event(c.Revoked, 0, tag{"Revoked", "bad", "cross"}, "Certificate: "+name)
			e.More = more
			out = append(out, e)
		}
	}
	return kept(out, before), 0, nil
}

// orders are those that name the device.
func (h lineReader) orders(ctx context.Context, before int64, _ int) ([]lineEvent, int64, error) {
	var out []lineEvent
	for after := ward.OrderID(""); ; {
		all, err := h.s.Orders.List(ctx, order.Filter{Device: h.d.Device.ID, After: after, Limit: 100})
		if err != nil {
			return nil, 0, err
		}
		for _, o := range all {
			e := h.event(o.Created, 0, orderTag(o, h.now), orderTitle(o))
			e.More, e.Href, e.By = said(o.Reason), orderAddress(o.ID), o.RequestedName
			out, after = append(out, e), o.ID
		}
		if len(all) < 100 {
			return kept(out, before), 0, nil
		}
	}
}

// cases are the events of the device's cases but for their commands, which stand in a
// line of their own.
func (h lineReader) cases(ctx context.Context, before int64, _ int) ([]lineEvent, int64, error) {
	all, err := h.s.Lost.List(ctx, lost.Filter{Device: h.d.Device.ID, Limit: 100})
	if err != nil {
		return nil, 0, err
	}
	var out []lineEvent
	for _, c := range all {
		events, err := h.s.Lost.Store.Events(ctx, c.ID)
		if err != nil {
			return nil, 0, err
		}
		for _, x := range events {
			e := h.event(x.At, 0, caseTag(c), x.Text)
			e.Href, e.By = caseAddress(c.ID), x.Name
			out = append(out, e)
		}
	}
	return kept(out, before), 0, nil
}

// entries are those of the audit log about the device, of one action or of all.
func (h lineReader) entries(action string) func(ctx context.Context, before int64, atLeast int) ([]lineEvent, int64, error) {
	return func(ctx context.Context, before int64, atLeast int) ([]lineEvent, int64, error) {
		all, err := h.s.Rules.Audit.List(ctx, audit.Filter{Action: action, Subject: string(h.d.Device.ID), After: before, Limit: atLeast})
		if err != nil {
			return nil, 0, err
		}
		out := make([]lineEvent, len(all))
		for i, a := range all {
			g := tag{"Log", "quiet", "eye"}
			if a.Action == authorize.ActionRefused {
				g = tag{"Refused", "bad", "cross"}
			}
			if a.Damaged {
				g = tag{"Altered", "bad", "alert"}
			}
			out[i] = h.event(a.At, a.ID, g, a.Action)
			out[i].By = a.Actor.Name
			if a.ActorErased {
				out[i].By = "somebody who was forgotten"
			}
			for _, k := range slices.Sorted(maps.Keys(a.Detail)) {
				out[i].More = append(out[i].More, k+": "+a.Detail[k])
			}
		}
		return out, restOf(len(all), atLeast, func() int64 { return all[len(all)-1].ID }), nil
	}
}
