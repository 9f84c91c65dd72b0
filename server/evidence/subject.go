package evidence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/report"
)

// OwnerKey is under whose key the audit log keeps what it says of the devices of somebody
// who may have no account: by their e-mail address.
func OwnerKey(email string) ward.PersonID {
	return ward.PersonID("owner:" + strings.ToLower(strings.TrimSpace(email)))
}

// Held is everything that is held of one person.
type Held struct {
	Email       string         // empty if none is known
	Name        string         // as it stands somewhere
	Account     *access.Person // nil: they do not use Ward themselves
	Devices     []*estate.Device
	Invitations []enrollment.Invitation
	Cases       []lost.Case
	Deeds       []audit.Recorded // that they did
	About       []audit.Recorded // that were done to them or their devices
}

// Nothing reports whether nothing is held.
func (h Held) Nothing() bool {
	return h.Account == nil && len(h.Devices) == 0 && len(h.Invitations) == 0 && len(h.About) == 0 && len(h.Deeds) == 0
}

// most is how many entries of the audit log a list holds.
const most = 5000

// Held finds what is held of a person, by e-mail address, name or the id of an account. It
// needs access.EvidenceRead. NotFound means that nothing is, Conflict that several people
// have the name.
func (s *Service) Held(ctx context.Context, word string) (Held, error) {
	if _, err := s.may(ctx, Request{Pack: SubjectAccess}); err != nil {
		return Held{}, err
	}
	word = strings.Join(strings.Fields(word), " ")
	if word == "" {
		return Held{}, ward.Errorf(ward.Invalid, "Say whom it is about: an e-mail address, a name, or the id of an account.")
	}
	h, err := s.identify(ctx, word)
	if err != nil {
		return h, err
	}
	if h.Cases, err = s.casesOf(ctx, h.Devices); err != nil {
		return h, err
	}
	if err = s.entriesOf(ctx, &h); err != nil {
		return h, err
	}
	if h.Nothing() {
		return h, ward.Errorf(ward.NotFound, "Nothing is held of %s. Look for their e-mail address as well as for their name.", word)
	}
	return h, nil
}

// identify finds the one person that a word means, with devices and invitations.
func (s *Service) identify(ctx context.Context, word string) (h Held, err error) {
	people, err := s.everybody(ctx)
	if err != nil {
		return h, err
	}
	snap, err := s.Estate.Current(ctx)
	if err != nil {
		return h, err
	}
	invited, err := s.invitations(ctx)
	if err != nil {
		return h, err
	}
	emails := addresses(word, people, snap.Devices, invited)
	if len(emails) > 1 {
		return h, &ward.Error{Kind: ward.Conflict, Message: "Several people have this name. Say which one by their e-mail address.", Details: emails}
	}
	if len(emails) == 1 {
		h.Email = emails[0]
	}
	is := func(name, email string) bool {
		if h.Email != "" {
			return strings.EqualFold(strings.TrimSpace(email), h.Email)
		}
		return email == "" && strings.EqualFold(name, word)
	}
	if h.Account, err = accountOf(word, people, is); err != nil {
		return h, err
	}
	if h.Account != nil {
		h.Name = h.Account.Name
	}
	for _, d := range snap.Devices {
		if is(d.Owner, d.Email) {
			h.Devices, h.Name = append(h.Devices, d), either(h.Name, d.Owner)
		}
	}
	for _, i := range invited {
		if is(i.Name, i.Email) {
			h.Invitations, h.Name = append(h.Invitations, i), either(h.Name, i.Name)
		}
	}
	return h, nil
}

// accountOf finds the account that a word means, nil for none. The id of one means that one,
// whoever else has its address; what several have in common means none of them, as what is
// done to the wrong one can't be undone.
func accountOf(word string, people []access.Person, is func(name, email string) bool) (*access.Person, error) {
	var found []*access.Person
	var ids []string
	for i := range people {
		p := &people[i]
		if string(p.ID) == word {
			return p, nil
		}
		if p.ErasedAt.IsZero() && is(p.Name, p.Email) {
			found, ids = append(found, p), append(ids, p.Name+": "+string(p.ID))
		}
	}
	switch len(found) {
	case 0:
		return nil, nil //nolint:nilnil // most people have no account
	case 1:
		return found[0], nil
	}
	return nil, &ward.Error{Kind: ward.Conflict, Message: "Several accounts have this e-mail address. Say which one by its id, one after the other.", Details: ids}
}

// addresses returns the e-mail addresses that a word means: itself, or those of whoever has
// the name.
func addresses(word string, people []access.Person, devices []*estate.Device, invited []enrollment.Invitation) (emails []string) {
	also := func(email string) {
		if email = strings.ToLower(strings.TrimSpace(email)); email != "" && !slices.Contains(emails, email) {
			emails = append(emails, email)
		}
	}
	if strings.Contains(word, "@") {
		also(word)
	} else {
		for _, p := range people {
			if string(p.ID) == word || strings.EqualFold(p.Name, word) {
				also(p.Email)
			}
		}
		for _, d := range devices {
			if strings.EqualFold(d.Owner, word) {
				also(d.Email)
			}
		}
		for _, i := range invited {
			if strings.EqualFold(i.Name, word) {
				also(i.Email)
			}
		}
	}
	return emails
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (s *Service) invitations(ctx context.Context) (out []enrollment.Invitation, err error) {
	for before := ""; ; {
		page, err := s.Invitations.List(ctx, before, 500)
		if err != nil {
			return nil, fmt.Errorf("invitations: %w", err)
		}
		out = append(out, page...)
		if len(page) == 0 || page[len(page)-1].ID == before {
			return out, nil
		}
		before = page[len(page)-1].ID
	}
}

func (s *Service) casesOf(ctx context.Context, devices []*estate.Device) (out []lost.Case, err error) {
	for _, d := range devices {
		f := lost.Filter{Device: d.ID, Limit: 100}
		for {
			page, err := s.Cases.List(ctx, f)
			if err != nil {
				return nil, fmt.Errorf("cases of %s: %w", d.ID, err)
			}
			out = append(out, page...)
			if len(page) < f.Limit {
				break
			}
			f.After = page[len(page)-1].ID
		}
	}
	return out, nil
}

// entriesOf finds the entries of the audit log that a person did, and those about them.
func (s *Service) entriesOf(ctx context.Context, h *Held) (err error) {
	if h.Account != nil {
		if h.Deeds, err = s.entries(ctx, audit.Filter{Actor: string(h.Account.ID)}); err != nil {
			return err
		}
		if h.About, err = s.entries(ctx, audit.Filter{Subject: string(h.Account.ID)}); err != nil {
			return err
		}
	}
	for _, d := range h.Devices {
		more, err := s.entries(ctx, audit.Filter{Subject: string(d.ID)})
		if err != nil {
			return err
		}
		own := OwnerKey(h.Email)
		for _, e := range more {
			if h.Email == "" || e.Person == own { // what was said of it while another had it is the other's
				h.About = append(h.About, e)
			}
		}
	}
	slices.SortStableFunc(h.About, func(a, b audit.Recorded) int { return b.At.Compare(a.At) })
	return nil
}

func (s *Service) entries(ctx context.Context, f audit.Filter) (out []audit.Recorded, err error) {
	f.Limit = 500
	for len(out) < most {
		page, err := s.Audit.List(ctx, f)
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
		if len(page) < f.Limit {
			return out, nil
		}
		f.After = page[len(page)-1].ID
	}
	return out, nil
}

// subjectAccess tells a person everything that is held of them.
func (s *Service) subjectAccess(ctx context.Context, r Request, out *made) error {
	h, err := s.Held(ctx, r.Person)
	if err != nil {
		return err
	}
	whose := joined(h.Name, h.Email)
	out.Title, out.AsOf, out.By = "What is held of "+whose, out.Made, ""
	out.person = OwnerKey(h.Email)
	if h.Account != nil {
		out.person = h.Account.ID
	}
	account := report.Section{Heading: "Account", Text: []string{"None: this person does not use Ward themselves."}}
	if h.Account != nil {
		account.Text = nil
		if account.Facts, account.Tables, err = s.accountOf(ctx, *h.Account); err != nil {
			return err
		}
	}
	out.Sections = []report.Section{
		{Heading: "What this is", Text: []string{"Everything that Ward holds of this person, as a copy of their personal data (UK GDPR, article 15). The names of other people are left out: what somebody else did is shown as done by a member of staff.", "Ward keeps this to manage work devices and the data on them. It reads no message, no call and no picture; a personal device is asked about work apps and the apps that the policy names, never for everything on it."}},
		account,
		{Heading: "Devices", Tables: []report.Table{devicesOf(h.Devices)}},
	}
	for _, d := range h.Devices {
		x, err := s.postureOf(ctx, d)
		if err != nil {
			return err
		}
		out.Sections = append(out.Sections, x)
	}
	out.Sections = append(out.Sections,
		report.Section{Heading: "Invitations", Tables: []report.Table{invitationsOf(h.Invitations)}},
		report.Section{Heading: "Lost and stolen devices", Tables: []report.Table{casesTable(h.Cases)}},
		report.Section{Heading: "What they did", Tables: []report.Table{entriesTable("deeds", h.Deeds, h)}},
		report.Section{Heading: "What was done to them and their devices", Tables: []report.Table{entriesTable("about", h.About, h)}},
		report.Section{Heading: "Where the data goes, and for how long it is kept", Text: []string{
			"It stays on the server of the organisation and in its backups. Apple and Google get what their push services need, which names no person.",
			"Where a lost device was is deleted after the days that the organisation set. The record of deeds is kept; what it says of a person can be made unreadable for good.",
		}},
	)
	return nil
}

func (s *Service) accountOf(ctx context.Context, p access.Person) ([]report.Fact, []report.Table, error) {
	roles := make([]string, len(p.Roles))
	for i, r := range p.Roles {
		roles[i] = roleName(r)
	}
	facts := []report.Fact{{Label: "Id", Value: string(p.ID)}, {Label: "Name", Value: p.Name}, {Label: "E-mail", Value: p.Email}, {Label: "Roles", Value: strings.Join(roles, ", ")}, {Label: "Made", Value: report.Moment(p.Created)}, {Label: "First sign-in", Value: report.Moment(p.Activated)}}
	if !p.DisabledAt.IsZero() {
		facts = append(facts, report.Fact{Label: "Disabled", Value: report.Moment(p.DisabledAt)})
	}
	if s.Standing != nil {
		how, err := s.Standing(ctx, p.ID)
		if err != nil {
			return nil, nil, err
		}
		facts = append(facts, report.Fact{Label: "Second factor", Value: either(how.Factor, "not known")}, report.Fact{Label: "Sessions now", Value: fmt.Sprint(max(how.Sessions, 0))})
	}
	tokens, err := s.People.Tokens(ctx, p.ID)
	if err != nil {
		return nil, nil, err
	}
	t := report.Table{Name: "tokens", Title: "Tokens", Columns: []report.Column{{Head: "Name"}, {Head: "Made", Kind: report.Time}, {Head: "Last used", Kind: report.Time}, {Head: "Revoked", Kind: report.Time}}}
	for _, k := range tokens {
		t.Rows = append(t.Rows, []report.Cell{{Text: k.Name}, {Time: k.Created}, {Time: k.LastUsed, Text: "never"}, {Time: k.RevokedAt, Text: "no"}})
	}
	return facts, []report.Table{t}, nil
}

func devicesOf(all []*estate.Device) report.Table {
	t := report.Table{Name: "devices", Columns: []report.Column{{Head: "Name"}, {Head: "Serial number"}, {Head: "Model"}, {Head: "System"}, {Head: "Owned by"}, {Head: "Ward"}, {Head: "Site"}, {Head: "Enrolled", Kind: report.Time}, {Head: "Last seen", Kind: report.Time}, {Head: "State", Kind: report.State}}}
	for _, d := range all {
		t.Rows = append(t.Rows, []report.Cell{{Text: d.Name, Href: "/devices/" + string(d.ID)}, {Text: d.Serial}, {Text: d.Model}, {Text: platformName(d.Platform) + " " + d.OSVersion}, {Text: map[bool]string{true: "the person", false: "the organisation"}[d.Ownership == ward.Personal]}, {Text: d.Group}, {Text: d.Site}, {Time: d.Enrolled, Text: "never"}, {Time: d.LastSeen, Text: "never"}, {Text: string(d.State)}})
	}
	return t
}

// postureOf tells the history of a device, the newest first, while it was this person's as
// far as is known: history keeps no names, so whoever had it before stands in it too.
func (s *Service) postureOf(ctx context.Context, d *estate.Device) (report.Section, error) {
	x := report.Section{Heading: "History of " + d.Name, Notes: []string{"History keeps no names: it may reach back to before this person had the device."}}
	t := report.Table{Name: "history-" + string(d.ID), Columns: []report.Column{{Head: "From", Kind: report.Time, Share: 18}, {Head: "State", Share: 14}, {Head: "Why", Share: 44}, {Head: "Messaging apps on it", Share: 24}}}
	for before := int64(0); len(t.Rows) < most; {
		page, err := s.Estate.Changes(ctx, d.ID, before, 200)
		if err != nil {
			return x, fmt.Errorf("history of %s: %w", d.ID, err)
		}
		for _, c := range page {
			t.Rows = append(t.Rows, []report.Cell{{Time: c.At}, {Text: string(c.Device.State)}, {Text: c.Device.Reason()}, {Text: strings.Join(c.Device.Apps, ", ")}})
		}
		if len(page) < 200 {
			break
		}
		before = page[len(page)-1].Seq
	}
	x.Tables = []report.Table{t}
	return x, nil
}

func invitationsOf(all []enrollment.Invitation) report.Table {
	t := report.Table{Name: "invitations", Columns: []report.Column{{Head: "Name"}, {Head: "E-mail"}, {Head: "Device"}, {Head: "Ward"}, {Head: "Made", Kind: report.Time}, {Head: "Used", Kind: report.Time}}}
	for _, i := range all {
		t.Rows = append(t.Rows, []report.Cell{{Text: i.Name}, {Text: i.Email}, {Text: i.DeviceName}, {Text: joined(i.Group, i.Site)}, {Time: i.Created}, {Time: i.Used, Text: "no"}})
	}
	return t
}

func casesTable(all []lost.Case) report.Table {
	t := report.Table{Name: "cases", Columns: []report.Column{{Head: "Case"}, {Head: "Device"}, {Head: "Reported", Kind: report.Time}, {Head: "What was told", Share: 34}, {Head: "Found", Kind: report.Time}, {Head: "Closed", Kind: report.Time}}}
	for _, c := range all {
		t.Rows = append(t.Rows, []report.Cell{{Text: string(c.ID), Href: "/cases/" + string(c.ID)}, {Text: string(c.Device)}, {Time: c.Reported}, {Text: joined(c.LastSeenWhere, c.Note)}, {Time: c.Found, Text: "no"}, {Time: c.Closed, Text: "no"}})
	}
	return t
}

// entriesTable shows entries of the audit log without the names of others.
func entriesTable(name string, all []audit.Recorded, h Held) report.Table {
	t := report.Table{Name: name, Columns: []report.Column{{Head: "When", Kind: report.Time, Share: 18}, {Head: "Deed", Share: 24}, {Head: "By", Share: 20}, {Head: "To", Share: 38}}}
	for _, e := range all {
		by := "a member of staff"
		switch {
		case h.Account != nil && e.Actor.Person == h.Account.ID:
			by = "this person"
		case e.Actor.Via == ward.ViaSystem:
			by = "Ward"
		case e.Actor.Via == ward.ViaDevice:
			by = "a device"
		case e.ActorErased:
			by = "(erased)"
		}
		to := e.Subject
		if e.SubjectErased {
			to = "(erased)"
		}
		t.Rows = append(t.Rows, []report.Cell{{Time: e.At.Truncate(time.Second)}, {Text: e.Action}, {Text: by}, {Text: to}})
	}
	return t
}
