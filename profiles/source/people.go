package source

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward/profiles/intent"
)

// languagePattern allows tags such as en, cy, pl and pt-BR (BCP 47, language and region).
var languagePattern = regexp.MustCompile(`^[a-z]{2,3}(-[A-Z]{2})?$`)

// notice reads text, which is English, or a mapping of languages to texts.
func (r *reader) notice(l *layer) shape {
	return single(r, &l.notice, func(v *map[string]string) shape {
		return shape{
			read: func(n *yaml.Node) bool {
				if n.Kind != yaml.MappingNode {
					s, ok := r.scalar(n, "notice")
					r.plainText(n, "notice", s)
					*v = map[string]string{"en": s}
					return !ok || s != ""
				}
				*v = r.languages(n)
				return true
			},
			schema: func(*definitions) schema {
				text := schema{"type": []any{"string", "number", "boolean"}}
				return schema{"anyOf": []any{text, schema{
					"type": "object", "required": []any{"en"},
					"propertyNames": schema{"pattern": languagePattern.String()}, "additionalProperties": filled(text),
				}}}
			},
		}
	})
}

func (r *reader) languages(n *yaml.Node) map[string]string {
	texts := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || !languagePattern.MatchString(key.Value) {
			r.wrong(key, "notice has %q where a language such as en, cy or pt-BR belongs", key.Value)
			continue
		}
		if _, twice := texts[key.Value]; twice {
			r.wrong(key, "notice has the language %q twice", key.Value)
		}
		s, ok := r.scalar(value, "notice."+key.Value)
		r.plainText(value, "notice."+key.Value, s)
		if ok && (s == "" || null(value)) {
			r.wrong(value, "notice.%s is empty", key.Value)
		}
		texts[key.Value] = s
	}
	if _, ok := texts["en"]; !ok {
		r.wrong(n, "notice has no en: it is what staff read whose language is not there")
	}
	return texts
}

// maxException is how long an exception may last: it is for circumstances, and what lasts
// longer is a change of policy.
const maxException = 90 * day

// ScopeKind says for whom an exception is.
type ScopeKind string

// The kinds of scope.
const (
	ForDevice ScopeKind = "device" // one device, by its id or serial number
	ForOwner  ScopeKind = "owner"  // all devices of a person, by e-mail address
	ForGroup  ScopeKind = "group"  // a group of the policy
	ForWard   ScopeKind = "ward"   // the device's group
	ForSite   ScopeKind = "site"
)

// Scope is whom an exception is for.
type Scope struct {
	Kind  ScopeKind
	Value string
}

// String puts the scope into words: "ward Ward 7".
func (s Scope) String() string { return string(s.Kind) + " " + s.Value }

// Exception is the written approval of an app for some circumstances, as the file has it.
type Exception struct {
	intent.Exception
	For  Scope
	From time.Time // the first day, at 00:00 UTC
	Line int       // in the policy file

	column int
}

// Ends returns the instant from which the exception is over: the end of its last day.
func (e Exception) Ends() time.Time { return e.Expires.Add(day) }

// InForce reports whether the exception holds at now: from 00:00 UTC of its first day to
// the end of its last.
func (e Exception) InForce(now time.Time) bool { return !now.Before(e.From) && now.Before(e.Ends()) }

func (r *reader) exception() shape {
	e := &Exception{}
	var app []item[string]
	var scope Scope
	return r.object(object{
		what: "an exception", who: &e.ID, because: ": an exception is a written approval",
		doc: "The approval of an app for some circumstances: for whom, why, by whom and until when.",
		fields: []field{
			needed(field{name: "id", doc: "Its own name, which never changes, such as EX-2026-03.", shape: r.text("id", &e.ID)}),
			needed(field{name: "app", doc: "The app that is not kept off.", shape: r.app("app", &app)}),
			needed(field{name: "for", shape: r.scope(&scope)}),
			needed(field{name: "who", doc: "Who asked for it.", shape: r.text("who", &e.Who)}),
			needed(field{name: "reason", doc: "Why there is no practical alternative.", shape: r.text("reason", &e.Reason)}),
			needed(field{name: "approver", doc: "Who approved it; another person than who asked.", shape: r.text("approver", &e.Approver)}),
			needed(field{name: "from", doc: "The first day.", shape: r.date("from", &e.From)}),
			needed(field{name: "expires", doc: "The last day, at most 90 days after the first. Exceptions of one app for the same devices with less than 30 days between them count as one.", shape: r.date("expires", &e.Expires)}),
			needed(field{name: "review", doc: "Who looks at it again, and when.", shape: r.text("review", &e.Review)}),
		},
		check: func(n *yaml.Node, _ map[string]bool) {
			if len(app) == 1 {
				e.App = app[0].value
				found, _ := r.catalogue.Lookup(e.App)
				e.AppName = found.Name
			}
			e.For, e.Line, e.column = scope, n.Line, n.Column
			r.checkException(n, e)
			r.policy.Exceptions = append(r.policy.Exceptions, *e)
		},
	})
}

func (r *reader) checkException(n *yaml.Node, e *Exception) {
	if e.Approver != "" && samePerson(e.Approver, e.Who) {
		r.wrong(n, "%s was approved by who asked for it: another person must approve", e.ID)
	}
	if !e.From.IsZero() && !e.Expires.IsZero() {
		switch {
		case e.Expires.Before(e.From):
			r.wrong(n, "%s expires before it begins", e.ID)
		case e.Expires.Sub(e.From) > maxException:
			r.wrong(n, "%s lasts %s: an exception may expire at most %s after it begins", e.ID, span(e.Expires.Sub(e.From)), span(maxException))
		}
	}
	if e.ID != "" && slices.ContainsFunc(r.policy.Exceptions, func(o Exception) bool { return o.ID == e.ID }) {
		r.wrong(n, "exceptions lists %q twice", e.ID)
	}
}

func (r *reader) scope(into *Scope) shape {
	kinds := []ScopeKind{ForDevice, ForOwner, ForGroup, ForWard, ForSite}
	docs := []string{"A device's id or serial number.", "A person's e-mail address: all devices of theirs.", "A group of this policy.", "The device's group.", "The device's site."}
	values := make([]string, len(kinds))
	names := make([]string, len(kinds))
	var fields []field
	for i, k := range kinds {
		names[i] = string(k)
		fields = append(fields, field{name: string(k), doc: docs[i], shape: r.text(string(k), &values[i])})
	}
	return r.object(object{
		what: "for", doc: "Whom the exception is for: one of these.", fields: fields, oneOf: names,
		check: func(n *yaml.Node, present map[string]bool) {
			count := 0
			for i, k := range kinds {
				if present[string(k)] {
					count++
					*into = Scope{Kind: k, Value: values[i]}
				}
			}
			if count != 1 {
				r.wrong(n, "for must name one of device, owner, group, ward and site")
			}
			if into.Kind == ForOwner && !strings.Contains(into.Value, "@") {
				r.wrong(n, "owner must be an e-mail address")
			}
			if into.Kind == ForGroup {
				r.mentioned = append(r.mentioned, mention{group: into.Value, at: r.here(n)})
			}
		},
	})
}
