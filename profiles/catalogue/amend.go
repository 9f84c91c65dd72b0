package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
)

// Amend writes an app, or more of a known one, into the text of a site's file and returns
// the new text. Only the fields of add that are set are written; comments stay, the layout
// becomes that of Ward's own file. Empty data is a new file.
//
// The result is a file that Extend takes. If it would not be one, or data is none already,
// the error is a *ward.Error of the kind Invalid.
func Amend(base *Catalogue, file string, data []byte, add App) ([]byte, error) {
	if _, err := Extend(base, file, data); err != nil {
		return nil, err
	}
	text, err := amended(data, add)
	if err != nil {
		return nil, fmt.Errorf("amend %s: %w", file, err)
	}
	_, err = Extend(base, file, text)
	wrong, ok := errors.AsType[*ward.Error](err)
	if !ok {
		return text, err
	}
	// The lines are those of a text that nobody has seen.
	e := ward.Errorf(ward.Invalid, "Nothing was added to %s.", file)
	for _, d := range wrong.Details {
		if _, what, found := strings.Cut(d, ": "); found {
			d = what
		}
		e.Details = append(e.Details, d)
	}
	if len(wrong.Details) == 0 {
		e.Details = []string{wrong.Message}
	}
	return nil, e
}

func amended(data []byte, add App) ([]byte, error) {
	var root yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&root)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.SequenceNode || len(root.Content[0].Content) == 0 {
		return firstApp(data, add)
	}
	list := root.Content[0]
	list.Style &^= yaml.FlowStyle
	at := slices.IndexFunc(list.Content, func(n *yaml.Node) bool {
		v := value(n, "slug")
		return v != nil && v.Value == add.Slug
	})
	if at < 0 {
		list.Content = append(list.Content, word(yaml.MappingNode))
		at = len(list.Content) - 1
		put(list.Content[at], "slug", scalar(add.Slug))
	}
	fill(list.Content[at], add)
	return layout(&root)
}

// firstApp begins a file that holds no app yet; its comments stay above.
func firstApp(data []byte, add App) ([]byte, error) {
	item := word(yaml.MappingNode)
	put(item, "slug", scalar(add.Slug))
	fill(item, add)
	list := word(yaml.SequenceNode, item)
	text, err := layout(list)
	if err != nil {
		return nil, err
	}
	var comments []byte
	for line := range bytes.Lines(data) {
		if trimmed := bytes.TrimSpace(line); len(trimmed) == 0 || trimmed[0] == '#' {
			comments = append(comments, line...)
		}
	}
	if len(bytes.TrimSpace(comments)) == 0 {
		return text, nil
	}
	return slices.Concat(bytes.TrimRight(comments, "\r\n"), []byte("\n\n"), text), nil
}

// fill writes what is set in a into the fields of an app, after what is there.
func fill(n *yaml.Node, a App) {
	for _, f := range []struct{ name, text string }{
		{"name", a.Name},
		{"category", a.Category},
		{"status", string(a.Status)},
		{"forks_of", a.ForksOf},
		{"caution", a.Caution},
		{"notes", a.Notes},
	} {
		if f.text != "" {
			put(n, f.name, scalar(f.text))
		}
	}
	if a.NeverBlock {
		put(n, "never_block", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
	for name, words := range map[string][]string{"aliases": a.Aliases, "shares_with": a.SharesWith} {
		for _, w := range words {
			appendTo(n, name, scalar(w), yaml.FlowStyle)
		}
	}
	for _, kind := range Kinds() {
		for _, id := range *a.list(kind) {
			item := word(yaml.MappingNode)
			item.Style = yaml.FlowStyle
			put(item, "id", scalar(id.ID))
			if id.Grade != "" {
				put(item, "grade", scalar(string(id.Grade)))
			}
			put(item, "source", scalar(id.Source))
			if id.Shared {
				put(item, "shared", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
			}
			for _, f := range [][2]string{{"team", id.Team}, {"team_grade", string(id.TeamGrade)}, {"team_source", id.TeamSource}} {
				if f[1] != "" {
					put(item, f[0], scalar(f[1]))
				}
			}
			appendTo(n, kind, item, 0)
		}
	}
}

func word(kind yaml.Kind, content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: kind, Content: content}
}

// scalar is text, whatever it looks like: the encoder quotes what needs it.
func scalar(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// value returns a field of a mapping, nil if it has none.
func value(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// put sets a field at the end of a mapping, before the lists that follow the words. A
// field that is there already is put a second time, which Extend refuses.
func put(n *yaml.Node, name string, v *yaml.Node) {
	at := len(n.Content)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if slices.Contains(Kinds(), n.Content[i].Value) && !slices.Contains(Kinds(), name) {
			at = i
			break
		}
	}
	n.Content = slices.Insert(n.Content, at, scalar(name), v)
}

// appendTo adds an item to the list that a field holds.
func appendTo(n *yaml.Node, name string, item *yaml.Node, style yaml.Style) {
	list := value(n, name)
	if list == nil {
		list = word(yaml.SequenceNode)
		list.Style = style
		put(n, name, list)
	}
	if list.Kind != yaml.SequenceNode { // an empty value, which counts as absent
		*list = yaml.Node{Kind: yaml.SequenceNode, Style: style, LineComment: list.LineComment}
	}
	list.Content = append(list.Content, item)
}

// layout writes a file as Ward's own is written, with an empty line between two apps.
func layout(n *yaml.Node) ([]byte, error) {
	var b, out bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(n), e.Close()); err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(b.String(), "\n")
	for i, line := range lines {
		if i > 0 && opensApp(lines[i:]) && !strings.HasPrefix(lines[i-1], "#") && strings.TrimSpace(lines[i-1]) != "" {
			out.WriteByte('\n')
		}
		out.WriteString(line)
	}
	return out.Bytes(), nil
}

// opensApp reports whether the first line begins an app or the comment above one.
func opensApp(lines []string) bool {
	for _, l := range lines {
		if !strings.HasPrefix(l, "#") {
			return strings.HasPrefix(l, "- ")
		}
	}
	return false
}
