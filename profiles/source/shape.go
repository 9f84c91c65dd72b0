package source

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// shape is a kind of value: how it is read and what the schema says of it. The two stand
// side by side so that they can't drift apart.
type shape struct {
	// read reports whether the value was given: a wrong one was, blank text was not.
	read   func(*yaml.Node) bool
	schema func(*definitions) schema
}

// field is one name that a mapping may hold.
type field struct {
	name, doc string
	need      bool
	refused   string // why there is no such field, though people look for it
	shape
}

func needed(f field) field {
	f.need = true
	return f
}

// object is a mapping with known fields.
type object struct {
	what    string  // in messages: "an approved app"
	def     string  // its name among the schema's definitions; empty: it stands in place
	doc     string  // for the schema
	who     *string // what it calls itself, once that was read; may be nil
	because string  // follows "has no NAME"
	fields  []field
	oneOf   []string                          // for the schema: exactly one of these is given
	anyOf   []string                          // for the schema: at least one of these is given
	check   func(*yaml.Node, map[string]bool) // once all fields were read; may be nil
}

func (o object) field(key *yaml.Node) (field, bool) {
	if key.Kind != yaml.ScalarNode {
		return field{}, false
	}
	i := slices.IndexFunc(o.fields, func(f field) bool { return f.name == key.Value })
	if i < 0 {
		return field{}, false
	}
	return o.fields[i], true
}

func (o object) names() []string {
	var names []string
	for _, f := range o.fields {
		if f.refused == "" {
			names = append(names, f.name)
		}
	}
	return names
}

func (d *document) object(o object) shape {
	return shape{
		read:   func(n *yaml.Node) bool { d.mapping(n, o); return true },
		schema: func(s *definitions) schema { return s.object(o) },
	}
}

// list reads each item by a shape of its own.
func (d *document) list(what string, item func() shape) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			d.items(n, what, func(n *yaml.Node) { item().read(n) })
			return true
		},
		schema: func(s *definitions) schema { return schema{"type": "array", "items": item().schema(s)} },
	}
}

// oneOrMore reads a list, or a single value in its place.
func (d *document) oneOrMore(what string, item func() shape) shape {
	many := d.list(what, item)
	return shape{
		read: func(n *yaml.Node) bool {
			if n.Kind == yaml.ScalarNode {
				return item().read(n)
			}
			return many.read(n)
		},
		schema: func(s *definitions) schema {
			return schema{"anyOf": []any{item().schema(s), many.schema(s)}}
		},
	}
}

// text reads text without variables.
func (d *document) text(what string, into *string) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			value, ok := d.scalar(n, what)
			d.plainText(n, what, value)
			*into = value
			return !ok || value != ""
		},
		schema: func(*definitions) schema { return schema{"type": []any{"string", "number", "boolean"}} },
	}
}

// pattern reads text that must match; must says how it is to look.
func (d *document) pattern(what string, re *regexp.Regexp, must string, into *string) shape {
	s := d.text(what, into)
	return shape{
		read: func(n *yaml.Node) bool {
			before := len(d.mistakes)
			given := s.read(n)
			if given && len(d.mistakes) == before && !re.MatchString(*into) {
				d.wrong(n, "%s must be %s", what, must)
			}
			return given
		},
		schema: func(*definitions) schema {
			return schema{"type": []any{"string", "number", "boolean"}, "pattern": orBlank(re)}
		},
	}
}

// orBlank is re for a schema, which lets blank text through: it counts as not given.
func orBlank(re *regexp.Regexp) string { return `^\s*$|` + re.String() }

// choice reads one of a few words.
func (d *document) choice(what string, words []string, into *string) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			value, ok := d.scalar(n, what)
			if ok && !slices.Contains(words, value) {
				hint := d.near(value, words)
				if hint == "" {
					hint = "; it must be " + listOr(words)
				}
				d.wrong(n, "%s can't be %q%s", what, value, hint)
			}
			*into = value
			return true
		},
		schema: func(*definitions) schema { return schema{"enum": anys(words)} },
	}
}

func listOr(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func anys(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}

func (d *document) boolean(what string, into *bool) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			value, ok := truth(n)
			if !ok {
				d.wrong(n, "%s must be true or false", what)
			}
			*into = value
			return true
		},
		schema: func(*definitions) schema { return schema{"type": "boolean"} },
	}
}

// whole reads a whole number between least and most.
func (d *document) whole(what string, least, most int64, must string, into *int64) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			i, err := strconv.ParseInt(n.Value, 10, 64)
			if n.Kind != yaml.ScalarNode || err != nil || i < least || i > most {
				d.wrong(n, "%s must be %s", what, must)
				return true
			}
			*into = i
			return true
		},
		schema: func(*definitions) schema {
			number := schema{"type": "integer", "minimum": least}
			if most < 1<<53 {
				number["maximum"] = most
			}
			return schema{"anyOf": []any{number, schema{"type": "string", "pattern": `^\+?[0-9]+$`}}}
		},
	}
}

var dayPattern = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

func (d *document) date(what string, into *time.Time) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			t, err := time.Parse(time.DateOnly, n.Value)
			if n.Kind != yaml.ScalarNode || err != nil {
				d.wrong(n, "%s must be a day such as 2027-03-31", what)
			}
			*into = t
			return true
		},
		schema: func(*definitions) schema { return schema{"type": "string", "pattern": dayPattern.String()} },
	}
}

var durationPattern = regexp.MustCompile(`^[1-9][0-9]{0,4}(m|h|d|w)$`)

// duration reads a span such as 30m, 72h, 7d or 2w, between least and most.
func (d *document) duration(what string, least, most time.Duration, into *time.Duration) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			value, ok := parseDuration(n.Value)
			switch {
			case n.Kind != yaml.ScalarNode || !ok:
				d.wrong(n, "%s must be a span of time such as %s", what, spans(least, most))
			case value < least || value > most:
				d.wrong(n, "%s must be between %s and %s", what, span(least), span(most))
			}
			*into = value
			return true
		},
		schema: func(*definitions) schema { return schema{"type": "string", "pattern": durationPattern.String()} },
	}
}

// spans gives examples that lie within bounds.
func spans(least, most time.Duration) string {
	fits := slices.DeleteFunc([]string{"30m", "72h", "7d", "2w"}, func(example string) bool {
		d, _ := parseDuration(example)
		return d < least || d > most
	})
	if len(fits) == 0 {
		return span(least)
	}
	return listOr(fits)
}

const day = 24 * time.Hour

func parseDuration(s string) (time.Duration, bool) {
	if !durationPattern.MatchString(s) {
		return 0, false
	}
	n, err := strconv.Atoi(s[:len(s)-1])
	unit := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': day, 'w': 7 * day}[s[len(s)-1]]
	return time.Duration(n) * unit, err == nil
}

// span writes a duration as the file would.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d%u.unit == 0 && d > 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.name
		}
	}
	return d.String()
}
