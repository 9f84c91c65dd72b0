package evidence

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/report"
)

// unused is after how long without a deed an account is pointed out.
const unused = 90 * 24 * time.Hour

// everybody returns everyone who has an account.
func (s *Service) everybody(ctx context.Context) (out []access.Person, err error) {
	for after := ward.PersonID(""); ; {
		page, err := s.People.People(ctx, after, 500)
		if err != nil {
			return nil, fmt.Errorf("people: %w", err)
		}
		out = append(out, page...)
		if len(page) < 500 {
			return out, nil
		}
		after = page[len(page)-1].ID
	}
}

// reviewed is one person of an access review.
type reviewed struct {
	access.Person
	signedIn, acted time.Time
	tokens, dormant int // that work; of them, those not used for long
	how             Standing
	remarks         []string
}

// accessReview lists who may do what, and who uses it.
func (s *Service) accessReview(ctx context.Context, _ Request, out *made) error {
	people, err := s.everybody(ctx)
	if err != nil {
		return err
	}
	standing, err := s.Approvers.List(ctx)
	if err != nil {
		return fmt.Errorf("approvers: %w", err)
	}
	out.AsOf, out.Says = out.Made, []string{"accounts as they stand now: what they were in the past stands in the audit log"}
	t := report.Table{Name: "people", Columns: []report.Column{
		{Head: "Person", Share: 15}, {Head: "Roles", Share: 14}, {Head: "Sees", Share: 11}, {Head: "Last sign-in", Kind: report.Time, Share: 12}, {Head: "Last deed", Kind: report.Time, Share: 12}, {Head: "Factor", Share: 9}, {Head: "Tokens", Kind: report.Number, Share: 6}, {Head: "Sessions", Kind: report.Number, Share: 7}, {Head: "To look at", Share: 16},
	}}
	var pointed, disabled int
	for _, p := range people {
		if !p.DisabledAt.IsZero() {
			disabled++
			continue
		}
		r, err := s.review(ctx, p, standing, out.Made)
		if err != nil {
			return err
		}
		pointed += one(len(r.remarks) > 0)
		t.Rows = append(t.Rows, r.row())
	}
	out.Sections = []report.Section{
		{Heading: "In short", Text: []string{fmt.Sprintf("%s may sign in; %s disabled. There is something to look at with %s: no deed for 90 days, a right that is not used, or a token that is not.", count(len(t.Rows), "person", "people"), were(disabled, "is", "are"), count(pointed, "of them", "of them"))}},
		{Heading: "People", Tables: []report.Table{t}},
		{Heading: "Approvers", Text: []string{"Who may say yes to orders, by a passkey of their own."}, Tables: []report.Table{approverTable(standing)}},
		{Heading: "What the roles may do", Tables: []report.Table{rolesTable(people)}},
		{Heading: "Sign-off", Facts: []report.Fact{{Label: "Reviewed by", Value: "\n"}, {Label: "Role", Value: "\n"}, {Label: "Date", Value: "\n"}, {Label: "To be changed", Value: "\n\n\n"}, {Label: "Signature", Value: "\n\n"}}},
	}
	return nil
}

// review gathers what is known of one person.
func (s *Service) review(ctx context.Context, p access.Person, standing []approver.Standing, now time.Time) (r reviewed, err error) {
	r = reviewed{Person: p, how: Standing{Sessions: -1}}
	if s.Standing != nil {
		if r.how, err = s.Standing(ctx, p.ID); err != nil {
			return r, err
		}
	}
	signed, err := s.Audit.List(ctx, audit.Filter{Subject: string(p.ID), Action: access.ActionSignedIn, Limit: 1})
	if err != nil {
		return r, err
	}
	if len(signed) > 0 {
		r.signedIn = signed[0].At
	}
	deeds, err := s.Audit.List(ctx, audit.Filter{Actor: string(p.ID), Limit: 100})
	if err != nil {
		return r, err
	}
	approved := false
	for _, d := range deeds {
		if d.Action == access.ActionSignedIn {
			continue
		}
		if r.acted.IsZero() {
			r.acted = d.At
		}
		approved = approved || slices.Contains([]string{order.ActionSigned, order.ActionApproved, order.ActionRefused}, d.Action)
	}
	tokens, err := s.People.Tokens(ctx, p.ID)
	if err != nil {
		return r, fmt.Errorf("tokens of %s: %w", p.ID, err)
	}
	for _, k := range tokens {
		if k.RevokedAt.IsZero() && (k.Expires.IsZero() || k.Expires.After(now)) {
			r.tokens++
			last := k.LastUsed
			if last.IsZero() {
				last = k.Created
			}
			r.dormant += one(now.Sub(last) > unused)
		}
	}
	stands := slices.ContainsFunc(standing, func(a approver.Standing) bool { return a.Person == p.ID && a.Ended.IsZero() })
	r.remark(now, stands, approved)
	return r, nil
}

// remark says what somebody should look at.
func (r *reviewed) remark(now time.Time, stands, approved bool) {
	add := func(when bool, words string) {
		if when {
			r.remarks = append(r.remarks, words)
		}
	}
	add(r.Activated.IsZero(), "never signed in")
	last := r.acted
	if r.signedIn.After(last) {
		last = r.signedIn
	}
	add(!r.Activated.IsZero() && now.Sub(last) > unused, "not used for 90 days")
	add(r.dormant > 0, count(r.dormant, "token", "tokens")+" not used for 90 days")
	mayApprove := slices.Contains(r.Roles, ward.RoleApprover)
	add(mayApprove && !stands, "has the role of an approver and no passkey for it")
	add(stands && !mayApprove, "has an approver's passkey and not the role")
	add(mayApprove && stands && !approved, "approved or refused nothing lately")
	add(slices.Contains(r.Roles, ward.RoleAdmin) && r.how.Factor == "none", "administrator without a second factor")
}

func (r reviewed) row() []report.Cell {
	roles := make([]string, len(r.Roles))
	for i, x := range r.Roles {
		roles[i] = roleName(x)
	}
	sees := "everything"
	if !r.how.Scope.All() {
		sees = joined(strings.Join(r.how.Scope.Sites, ", "), strings.Join(r.how.Scope.Groups, ", "))
	}
	factor, sessions := r.how.Factor, "–"
	if factor == "" {
		factor = "not known"
	}
	if r.how.Sessions >= 0 {
		sessions = fmt.Sprint(r.how.Sessions)
	}
	return []report.Cell{
		{Text: joined(r.Name, r.Email), Href: "/settings/people/" + string(r.ID)},
		{Text: strings.Join(roles, ", ")},
		{Text: sees},
		{Time: r.signedIn, Text: "never"},
		{Time: r.acted, Text: "none"},
		{Text: factor},
		{Text: fmt.Sprint(r.tokens)},
		{Text: sessions},
		{Text: strings.Join(r.remarks, "; ")},
	}
}

func roleName(id ward.Role) string {
	for _, r := range access.BuiltIn() {
		if r.ID == id {
			return r.Name
		}
	}
	return string(id)
}

func approverTable(all []approver.Standing) report.Table {
	t := report.Table{Name: "approvers", Columns: []report.Column{{Head: "Name"}, {Head: "State"}, {Head: "Since", Kind: report.Time}, {Head: "Own staff"}, {Head: "Passkey registered", Kind: report.Time}}}
	for _, a := range all {
		own := "yes"
		if a.Outside {
			own = "no"
		}
		t.Rows = append(t.Rows, []report.Cell{{Text: a.Name, Href: "/approvers"}, {Text: string(a.State)}, {Time: a.Since, Text: "never"}, {Text: own}, {Time: a.At}})
	}
	return t
}

// rolesTable says what each role that somebody holds may do.
func rolesTable(people []access.Person) report.Table {
	held := map[ward.Role]int{}
	for _, p := range people {
		for _, r := range p.Roles {
			held[r] += one(p.DisabledAt.IsZero())
		}
	}
	t := report.Table{Name: "roles", Columns: []report.Column{{Head: "Role", Share: 22}, {Head: "Held by", Kind: report.Number, Share: 10}, {Head: "May", Share: 68}}}
	for _, r := range access.BuiltIn() {
		may := make([]string, len(r.Permissions))
		for i, p := range r.Permissions {
			may[i] = string(p)
		}
		t.Rows = append(t.Rows, []report.Cell{{Text: r.Name}, {Text: fmt.Sprint(held[r.ID])}, {Text: r.Description + " (" + strings.Join(may, ", ") + ")"}})
	}
	return t
}
