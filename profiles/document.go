package profiles

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
)

// mistake is one thing wrong with a policy file.
type mistake struct {
	line, column int
	text         string
}

// document reads a YAML file field by field and collects every mistake, where the
// library's own decoder would know neither the columns nor the nearest right name.
type document struct {
	mistakes []mistake
}

func (d *document) wrong(n *yaml.Node, format string, args ...any) {
	d.mistakes = append(d.mistakes, mistake{line: n.Line, column: n.Column, text: fmt.Sprintf(format, args...)})
}

// err returns all mistakes in the order of the file, nil if there are none.
func (d *document) err() error {
	if len(d.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(d.mistakes, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	e := ward.Errorf(ward.Invalid, "The policy has %d mistakes.", len(d.mistakes))
	if len(d.mistakes) == 1 {
		e = ward.Errorf(ward.Invalid, "The policy has one mistake.")
	}
	for _, m := range d.mistakes {
		e.Details = append(e.Details, fmt.Sprintf("line %d, column %d: %s", m.line, m.column, m.text))
	}
	return e
}

// field is one name that a mapping may hold.
type field struct {
	name string
	read func(*yaml.Node)
}

// mapping reads the fields of n and reports unknown and repeated ones. It returns
// which fields were there; an empty value counts as absent.
func (d *document) mapping(n *yaml.Node, what string, fields ...field) map[string]bool {
	present := map[string]bool{}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, "%s must be a list of fields", what)
		return present
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := slices.Index(names, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || at < 0:
			d.wrong(key, "%s has no field %q%s", what, key.Value, suggest(key.Value, names))
		case seen[key.Value]:
			d.wrong(key, "%s has the field %q twice", what, key.Value)
		case value.Kind == yaml.AliasNode:
			d.wrong(value, "%s: aliases are not supported; write the value out", key.Value)
		case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null":
			seen[key.Value] = true
		default:
			seen[key.Value], present[key.Value] = true, true
			fields[at].read(value)
		}
	}
	return present
}

// items calls read for each item of a list.
func (d *document) items(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, "%s must be a list", what)
		return
	}
	for _, item := range n.Content {
		if item.Kind == yaml.AliasNode {
			d.wrong(item, "%s: aliases are not supported; write the value out", what)
			continue
		}
		read(item)
	}
}

// text reads a scalar as it is written, so that 020 7946 0000 and 2026-1 need no quotes.
func (d *document) text(what string, into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode {
			d.wrong(n, "%s must be text", what)
			return
		}
		value := strings.TrimSpace(n.Value)
		if !printable(value) {
			d.wrong(n, "%s holds a control character", what)
			return
		}
		*into = value
	}
}

func (d *document) boolean(what string, into *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		value, ok := truth(n)
		if !ok {
			d.wrong(n, "%s must be true or false", what)
			return
		}
		*into = value
	}
}

// truth reads true and false only: YAML's older yes, no, on and off mean too many things.
func truth(n *yaml.Node) (value, ok bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		return false, false
	}
	switch strings.ToLower(n.Value) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

func (d *document) date(what string, into *time.Time) func(*yaml.Node) {
	return func(n *yaml.Node) {
		t, err := time.Parse(time.DateOnly, n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			d.wrong(n, "%s must be a day such as 2027-03-31", what)
			return
		}
		*into = t
	}
}

func (d *document) texts(what string, into *[]string, check func(*yaml.Node, string)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		seen := map[string]bool{}
		d.items(n, what, func(item *yaml.Node) {
			var s string
			d.text("an item of "+what, &s)(item)
			switch {
			case s == "":
				if item.Kind == yaml.ScalarNode && printable(item.Value) {
					d.wrong(item, "an item of %s is empty", what)
				}
			case seen[s]:
				d.wrong(item, "%s lists %q twice", what, s)
			default:
				seen[s] = true
				check(item, s)
				*into = append(*into, s)
			}
		})
	}
}

var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// value reads a typed property-list value: text, whole number, decimal number, true or
// false, date, list or dictionary.
func (d *document) value(n *yaml.Node, what string, depth int) any {
	if depth > 16 {
		d.wrong(n, "%s is nested too deeply", what)
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		dict := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if _, twice := dict[key.Value]; twice {
				d.wrong(key, "%s has the key %q twice", what, key.Value)
			}
			if key.Kind != yaml.ScalarNode || key.Value == "" || key.ShortTag() == "!!merge" || !printable(key.Value) {
				d.wrong(key, "%s has a key that is not text", what)
				continue
			}
			dict[key.Value] = d.value(n.Content[i+1], what+"."+key.Value, depth+1)
		}
		return dict
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = d.value(item, fmt.Sprintf("%s[%d]", what, i), depth+1)
		}
		return list
	case yaml.ScalarNode:
		return d.scalar(n, what)
	}
	d.wrong(n, "%s: aliases are not supported; write the value out", what)
	return nil
}

func (d *document) scalar(n *yaml.Node, what string) any {
	switch n.ShortTag() {
	case "!!str":
		if !printable(n.Value) {
			d.wrong(n, "%s holds a control character", what)
		}
		for _, name := range unknownVariables(n.Value) {
			if name == "{{" {
				d.wrong(n, "%s has a {{ or }} without its counterpart", what)
				continue
			}
			d.wrong(n, "%s has the unknown variable {{%s}}%s", what, name, suggest(name, Variables()))
		}
		return n.Value
	case "!!bool":
		value, ok := truth(n)
		if !ok {
			d.wrong(n, "%s must be true or false", what)
		}
		return value
	case "!!int":
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil || !wholeNumber.MatchString(n.Value) {
			d.wrong(n, "%s must be a decimal whole number that fits 64 bits; put quotes around it if it is text", what)
		}
		return i
	case "!!float":
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || f-f != 0 {
			d.wrong(n, "%s is not a number that a property list can hold", what)
			return 0.0
		}
		return f
	case "!!timestamp":
		var t time.Time
		if err := n.Decode(&t); err != nil || t.Year() < 1 || t.Year() > 9999 {
			d.wrong(n, "%s is not a date", what)
			return time.Time{}
		}
		return t.UTC().Truncate(time.Second)
	}
	d.wrong(n, "%s must be text, a number, true, false, a date, a list or a dictionary", what)
	return nil
}

// printable reports whether s can stand in an XML property list.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == 0xfffe || r == 0xffff || r == utf8.RuneError
	})
}
