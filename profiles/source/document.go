package source

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
)

// mistake is one thing wrong with a policy file.
type mistake struct {
	line, column int
	text         string
}

// document collects the mistakes of a YAML file, where the library's own decoder would
// know neither the columns nor the nearest right name.
type document struct {
	mistakes []mistake
	foreign  []string // mistakes of other files, which name their own places
}

// manyMistakes is after how many mistakes no right names are looked for any more.
const manyMistakes = 200

// near returns "; did you mean ...?" with the nearest of names, or "" if none is near.
func (d *document) near(word string, names []string) string {
	if len(d.mistakes) > manyMistakes {
		return ""
	}
	return suggest(word, names)
}

func (d *document) wrong(n *yaml.Node, format string, args ...any) {
	d.wrongAt(place{line: n.Line, column: n.Column}, format, args...)
}

func (d *document) wrongAt(at place, format string, args ...any) {
	d.mistakes = append(d.mistakes, mistake{line: at.line, column: at.column, text: fmt.Sprintf(format, args...)})
}

// err returns all mistakes in the order of the file, nil if there are none.
func (d *document) err() error {
	n := len(d.mistakes) + len(d.foreign)
	if n == 0 {
		return nil
	}
	slices.SortStableFunc(d.mistakes, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	e := ward.Errorf(ward.Invalid, "The policy has %d mistakes.", n)
	if n == 1 {
		e = ward.Errorf(ward.Invalid, "The policy has one mistake.")
	}
	for _, m := range d.mistakes {
		e.Details = append(e.Details, fmt.Sprintf("line %d, column %d: %s", m.line, m.column, m.text))
	}
	e.Details = append(e.Details, d.foreign...)
	return e
}

// adopt takes over the mistakes that the reader of another file found.
func (d *document) adopt(err error) {
	e, ok := errors.AsType[*ward.Error](err)
	switch {
	case !ok:
		d.foreign = append(d.foreign, err.Error())
	case len(e.Details) == 0:
		d.foreign = append(d.foreign, e.Message)
	default:
		d.foreign = append(d.foreign, e.Details...)
	}
}

// mapping reads the fields of o from n and reports unknown, repeated and missing ones.
func (d *document) mapping(n *yaml.Node, o object) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, "%s must be a list of fields", o.what)
		return
	}
	present, seen := map[string]bool{}, map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f, known := o.field(key)
		switch {
		case !known:
			d.wrong(key, "%s has no field %q%s", o.what, key.Value, d.near(key.Value, o.names()))
		case f.refused != "":
			d.wrong(key, "%s has no field %q: %s", o.what, key.Value, f.refused)
		case seen[key.Value]:
			d.wrong(key, "%s has the field %q twice", o.what, key.Value)
		case value.Kind == yaml.AliasNode:
			d.wrong(value, "%s: aliases are not supported; write the value out", key.Value)
		case null(value):
			seen[key.Value] = true
		default:
			seen[key.Value] = true
			present[key.Value] = f.read(value)
		}
	}
	who := o.what
	if o.who != nil && *o.who != "" {
		who = *o.who
	}
	for _, f := range o.fields {
		if f.need && !present[f.name] {
			d.wrong(n, "%s has no %s%s", who, f.name, o.because)
		}
	}
	if o.check != nil {
		o.check(n, present)
	}
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// maxItems is how long a list may be: each item is compared with those before it.
const maxItems = 5000

// items calls read for each item of a list.
func (d *document) items(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, "%s must be a list", what)
		return
	}
	if len(n.Content) > maxItems {
		d.wrong(n, "%s has more than %d items", what, maxItems)
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

// scalar reads text as it is written, so that 020 7946 0000 and 2026-1 need no quotes. It
// reports whether n holds text that can be used.
func (d *document) scalar(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, "%s must be text", what)
		return "", false
	}
	value := strings.TrimSpace(n.Value)
	if !printable(value) {
		d.wrong(n, "%s holds a control character", what)
		return "", false
	}
	return value, true
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

// printable reports whether s can stand in an XML property list.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == 0xfffe || r == 0xffff || r == utf8.RuneError
	})
}
