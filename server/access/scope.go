package access

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wardmdm/ward"
)

// ActionScopeSet stands in the audit log when a person was bounded to sites and groups, or
// to nothing any more.
const ActionScopeSet = "person.scope-set"

// whole are the permissions about the whole organisation. Whoever is bounded to sites or
// groups has none of them, whatever their roles: what they would see or change lies beyond
// any bound.
var whole = []Permission{
	PolicyPublish, ExceptionWrite, OrderCancelAll, ApproverRead, ApproverInvite, NotifyRead, NotifyWrite, AuditRead, AuditExport, PersonRead, PersonWrite, PersonErase, RoleWrite,
	SessionRead, SessionWrite, SettingsWrite, TemplateWrite, CommandEnqueue, CARead, CAWrite, APNsRead, APNsWrite, BackupWrite, MetricsRead, HealthRead, SeedWrite,
}

// Whole reports whether p is about the whole organisation, so that nobody who is bounded to
// sites or groups may do it.
func (p Permission) Whole() bool { return slices.Contains(whole, p) }

// Bounds says in words what a scope is bounded to, "" for nothing.
func Bounds(s ward.Scope) string {
	var parts []string
	for _, b := range []struct {
		one, many string
		names     []string
	}{{"site", "sites", s.Sites}, {"group", "groups", s.Groups}} {
		switch len(b.names) {
		case 0:
		case 1:
			parts = append(parts, "the "+b.one+" "+b.names[0])
		default:
			parts = append(parts, "the "+b.many+" "+strings.Join(b.names, ", "))
		}
	}
	return strings.Join(parts, " and ")
}

// Within returns nil if a device lies in the scope of who acts in ctx; otherwise it is, for
// them, not there: NotFound.
func Within(ctx context.Context, d ward.Device) error {
	if ward.ActorFrom(ctx).Scope.Includes(d.Site, d.Group) {
		return nil
	}
	return ward.Errorf(ward.NotFound, "There is no device %s.", d.ID)
}

// WholeOnly refuses who is bounded to sites or groups; deed is what only those do who see
// the whole organisation.
func WholeOnly(ctx context.Context, deed string) error {
	s := ward.ActorFrom(ctx).Scope
	if s.All() {
		return nil
	}
	return ward.Errorf(ward.Forbidden, "You may not %s: that is about the whole organisation, and your account is bounded to %s.", deed, Bounds(s))
}

// Owns reports whether a device is of the person who acts: by the e-mail address of both.
func Owns(a ward.Actor, d ward.Device) bool {
	mine, its := strings.TrimSpace(a.Email), strings.TrimSpace(d.Email)
	return a.Person != "" && mine != "" && strings.EqualFold(mine, its)
}

const (
	maxBounds = 100
	maxBound  = 100 // characters
)

// SetScope bounds a person to sites and groups, over all their roles; the zero Scope bounds
// to nothing. Conflict means that no administrator of the whole organisation would be left.
func (s *Service) SetScope(ctx context.Context, id ward.PersonID, scope ward.Scope) error {
	clean, mistakes := checkScope(scope)
	if len(mistakes) > 0 {
		return &ward.Error{Kind: ward.Invalid, Message: "The scope was not changed.", Details: mistakes}
	}
	return s.change(ctx, id, ActionScopeSet, scopeDetail(clean), func(p *Person) { p.Scope = clean })
}

func scopeDetail(s ward.Scope) map[string]string {
	return map[string]string{"sites": strings.Join(s.Sites, ", "), "groups": strings.Join(s.Groups, ", ")}
}

// checkScope returns the bounds once each, in order.
func checkScope(s ward.Scope) (clean ward.Scope, mistakes []string) {
	for _, b := range []struct {
		what string
		from []string
		to   *[]string
	}{{"site", s.Sites, &clean.Sites}, {"group", s.Groups, &clean.Groups}} {
		if len(b.from) > maxBounds {
			mistakes = append(mistakes, fmt.Sprintf("A person can be bounded to %d %ss at most.", maxBounds, b.what))
		}
		for _, name := range b.from {
			name = strings.TrimSpace(name)
			if name == "" || utf8.RuneCountInString(name) > maxBound || !utf8.ValidString(name) {
				mistakes = append(mistakes, fmt.Sprintf("The %s %q is not a name of at most %d characters.", b.what, name, maxBound))
			}
			*b.to = append(*b.to, name)
		}
		slices.Sort(*b.to)
		*b.to = slices.Compact(*b.to)
	}
	return clean, mistakes
}
