package source

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxNesting is how deep a managed configuration may nest.
const maxNesting = 16

// dictionary reads a managed configuration: typed values, with variables in its text.
func (d *document) dictionary(what string, into *map[string]any) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			if n.Kind != yaml.MappingNode {
				d.wrong(n, "%s must be a dictionary", what)
				return true
			}
			if dict, ok := d.value(n, what, 0).(map[string]any); ok {
				*into = dict
			}
			return true
		},
		schema: func(s *definitions) schema {
			return schema{"type": "object", "additionalProperties": s.define("value", valueSchema)}
		},
	}
}

func valueSchema() schema {
	again := schema{"$ref": "#/$defs/value"}
	return schema{
		"description": "A typed value. Text may hold the variables " + listOr(bracketed()) + ".",
		"anyOf": []any{
			schema{"type": []any{"string", "number", "boolean"}},
			schema{"type": "array", "items": again},
			schema{"type": "object", "additionalProperties": again},
		},
	}
}

func bracketed() []string {
	var out []string
	for _, v := range Variables() {
		out = append(out, "{{"+v+"}}")
	}
	return out
}

var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// value reads a typed property-list value: text, whole number, decimal number, true or
// false, date, list or dictionary.
func (d *document) value(n *yaml.Node, what string, depth int) any {
	if depth > maxNesting {
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
			d.plainText(key, "a key of "+what, key.Value)
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
		return d.typed(n, what)
	}
	d.wrong(n, "%s: aliases are not supported; write the value out", what)
	return nil
}

func (d *document) typed(n *yaml.Node, what string) any {
	switch n.ShortTag() {
	case "!!str":
		if !printable(n.Value) {
			d.wrong(n, "%s holds a control character", what)
		}
		d.variables(n, what, n.Value)
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

// variables reports what stands between {{ and }} in text but is no variable.
func (d *document) variables(n *yaml.Node, what, text string) {
	for _, name := range unknownVariables(text) {
		if name == "{{" {
			d.wrong(n, "%s has a {{ or }} without its counterpart", what)
			continue
		}
		d.wrong(n, "%s has the unknown variable {{%s}}%s", what, name, d.near(name, Variables()))
	}
}
