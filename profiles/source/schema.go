package source

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/wardmdm/ward/profiles/catalogue"
)

// schema is a JSON Schema as it is built.
type schema map[string]any

// definitions gathers the parts of a schema that are used in several places.
type definitions struct {
	defs map[string]any
}

// define puts a part among the definitions, once, and refers to it.
func (s *definitions) define(name string, build func() schema) schema {
	if _, ok := s.defs[name]; !ok {
		s.defs[name] = nil // it is being built; nothing here refers to itself but values
		s.defs[name] = build()
	}
	return schema{"$ref": "#/$defs/" + name}
}

func (s *definitions) object(o object) schema {
	if o.def != "" {
		inline := o
		inline.def = ""
		return s.define(o.def, func() schema { return s.object(inline) })
	}
	properties := map[string]any{}
	var required []string
	for _, f := range o.fields {
		if f.refused != "" {
			continue
		}
		sub := f.schema(s)
		if f.need {
			required = append(required, f.name)
			sub = filled(sub)
		} else {
			sub = optional(sub)
		}
		if f.doc != "" {
			sub["description"] = f.doc
		}
		properties[f.name] = sub
	}
	out := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if o.doc != "" {
		out["description"] = o.doc
	}
	if len(required) > 0 {
		out["required"] = anys(required)
	}
	given := schema{"not": schema{"anyOf": []any{schema{"type": "null"}, schema{"type": "string", "pattern": `^\s*$`}}}}
	for keyword, names := range map[string][]string{"oneOf": o.oneOf, "anyOf": o.anyOf} {
		var ways []any
		for _, name := range names {
			ways = append(ways, schema{"required": []any{name}, "properties": map[string]any{name: given}})
		}
		if len(ways) > 0 {
			out[keyword] = ways
		}
	}
	return out
}

// filled is the schema of a field that must be there: blank text is not enough.
func filled(sub schema) schema {
	sub = maps.Clone(sub)
	if types, ok := sub["type"].([]any); ok && slices.Contains(types, any("string")) && sub["pattern"] == nil {
		sub["pattern"] = `\S`
	}
	return sub
}

// optional lets a field be empty, which counts as not given.
func optional(sub schema) schema {
	sub = maps.Clone(sub)
	switch t := sub["type"].(type) {
	case string:
		sub["type"] = []any{t, "null"}
		return sub
	case []any:
		sub["type"] = append(slices.Clone(t), "null")
		return sub
	}
	if words, ok := sub["enum"].([]any); ok {
		sub["enum"] = append(slices.Clone(words), nil)
		return sub
	}
	return schema{"anyOf": []any{sub, schema{"type": "null"}}}
}

// Schema returns the JSON Schema (draft 2020-12) of the policy file, for editors that
// complete and check as one writes. It is made of the tables by which Parse reads, so
// every file that Parse takes is valid by it. It does not know the rules that look at
// more than one place of the file; those Parse alone checks.
// Source: https://json-schema.org/draft/2020-12/schema
func Schema() []byte {
	defs := &definitions{defs: map[string]any{}}
	r := newReader(catalogue.Builtin(), &layer{})
	top := defs.object(r.policyObject())
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "Ward policy"
	top["$defs"] = defs.defs
	raw, err := json.MarshalIndent(top, "", "  ")
	if err != nil {
		panic("source: schema: " + err.Error()) // maps, lists and text always marshal
	}
	return append(raw, '\n')
}
