package source

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward/profiles/catalogue"
)

//go:embed baselines/*.yaml
var baselineFiles embed.FS

// Baselines returns the names of the built-in baselines, in the order in which they are
// offered.
func Baselines() []string { return []string{"ncsc-corporate", "shared-ward-phone", "byod-contained"} }

// Baseline returns the file of a built-in baseline, for people to read. It has the form
// of a policy without a name and a register, and cites for each setting what it rests on.
func Baseline(name string) ([]byte, bool) {
	if !slices.Contains(Baselines(), name) {
		return nil, false
	}
	data, err := baselineFiles.ReadFile("baselines/" + name + ".yaml")
	return data, err == nil
}

// baseline reads the name of one and takes it in as a layer.
func (r *reader) baseline() shape {
	var name string
	s := r.choice("baseline", Baselines(), &name)
	return shape{
		read: func(n *yaml.Node) bool {
			s.read(n)
			if slices.Contains(r.policy.Baselines, name) {
				r.wrong(n, "baseline lists %q twice", name)
				return true
			}
			data, ok := Baseline(name)
			if !ok {
				return true // the choice was reported
			}
			l, err := readBaseline(name, data, r.catalogue)
			if err != nil {
				r.adopt(err)
				return true
			}
			r.policy.Baselines = append(r.policy.Baselines, name)
			r.policy.baselines = append(r.policy.baselines, l)
			return true
		},
		schema: s.schema,
	}
}

// readBaseline reads the file of a baseline as one layer.
func readBaseline(name string, data []byte, c *catalogue.Catalogue) (*layer, error) {
	root, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("read baseline %s: %w", name, err)
	}
	l := &layer{name: "baseline " + name, file: name + ".yaml", sources: map[string]string{}}
	r := newReader(c, l)
	r.object(r.baselineObject()).read(root.node)
	if err := r.err(); err != nil {
		return nil, fmt.Errorf("read baseline %s: %w", name, err)
	}
	return l, nil
}

func (r *reader) baselineObject() object {
	var note string
	return object{
		what: "a baseline",
		fields: append([]field{
			needed(field{name: "note", shape: r.text("note", &note)}),
			needed(field{name: "sources", shape: r.sources(r.layer.sources)}),
		}, r.sections(r.layer)...),
	}
}

// sources reads what each setting rests on, by its path.
func (r *reader) sources(into map[string]string) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			if n.Kind != yaml.MappingNode {
				r.wrong(n, "sources must be a list of fields")
				return true
			}
			for i := 0; i+1 < len(n.Content); i += 2 {
				key, value := n.Content[i], n.Content[i+1]
				text, ok := r.scalar(value, "sources."+key.Value)
				if ok && (text == "" || strings.TrimSpace(key.Value) == "" || into[key.Value] != "") {
					r.wrong(key, "sources needs each path once, with what the setting rests on")
				}
				into[key.Value] = text
			}
			return true
		},
		schema: func(*definitions) schema {
			return schema{"type": "object", "additionalProperties": schema{"type": "string", "pattern": `\S`}}
		},
	}
}
