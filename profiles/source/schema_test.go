package source_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward/profiles/source"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(source.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("policy.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain turns YAML into what an editor hands to a schema: dates are text there.
func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.DocumentNode:
		return plain(n.Content[0])
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = plain(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			out[i] = plain(c)
		}
		return out
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return f
		}
	}
	return n.Value
}

func node(t *testing.T, text string) *yaml.Node {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatal(err)
	}
	return &n
}

func TestSchemaTakesWhatParseTakes(t *testing.T) {
	t.Parallel()
	s := compileSchema(t)
	text, _ := full(t)
	for name, text := range map[string]string{"messaging.yaml": example(t), "full.yaml": text} {
		if err := s.Validate(plain(node(t, text))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range source.Baselines() {
		raw, _ := source.Baseline(name)
		doc := plain(node(t, string(raw))).(map[string]any)
		delete(doc, "sources") // a policy has none
		doc["name"] = name
		if err := s.Validate(doc); err != nil {
			t.Errorf("baseline %s: %v", name, err)
		}
	}
}

// mutation is one change to a document, made in place, with its way back.
type mutation struct {
	what   string
	do     func()
	undo   func()
	strict bool // the schema and the reader must be of one mind
}

// mutations are all the ways in which this test harms a document.
func mutations(n *yaml.Node, path string, free bool) []mutation {
	var out []mutation
	switch n.Kind {
	case yaml.DocumentNode:
		return mutations(n.Content[0], path, free)
	case yaml.SequenceNode:
		for i, c := range n.Content {
			if path == ".exceptions" && i > 0 {
				continue // they are all alike
			}
			out = append(out, mutations(c, fmt.Sprintf("%s[%d]", path, i), free)...)
		}
		return append(out, replaced(n, path+" becomes text", yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "x"}, !strings.HasSuffix(path, "trusted_roots")))
	case yaml.ScalarNode:
		return append(out,
			replaced(n, path+" becomes a list in a list", yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{{Kind: yaml.SequenceNode}}}, !free),
			replaced(n, path+" becomes a mapping", yaml.Node{Kind: yaml.MappingNode}, !free && path != ".notice.en"),
			replaced(n, path+" becomes blank", yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: " "}, false),
			replaced(n, path+" becomes null", yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "~"}, false),
			replaced(n, path+" becomes a word", yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "zzz zzz"}, false),
			replaced(n, path+" becomes a number", yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: "7"}, false))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := path + "." + key.Value
		inside := free || key.Value == "config"
		out = append(out, mutations(value, at, inside)...)
		spelt := key.Value
		out = append(out, mutation{at + " is misspelt", func() { key.Value = spelt + "q" }, func() { key.Value = spelt }, !free && path != ".notice"})
		all := n.Content
		without := slices.Delete(slices.Clone(all), i, i+2)
		out = append(out, mutation{at + " is gone", func() { n.Content = without }, func() { n.Content = all }, false})
	}
	return append(out, replaced(n, path+" becomes text", yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "x"}, !free))
}

func replaced(n *yaml.Node, what string, by yaml.Node, strict bool) mutation {
	was := *n
	return mutation{what, func() { *n = by }, func() { *n = was }, strict}
}

// Whatever Parse takes the schema takes; and both refuse misspelt fields and values of the
// wrong kind.
func TestSchemaAgreesWithTheReader(t *testing.T) {
	t.Parallel()
	s := compileSchema(t)
	text, files := full(t)
	doc := node(t, text)
	refused := 0
	all := mutations(doc, "", false)
	for _, m := range all {
		m.do()
		raw, err := yaml.Marshal(doc)
		if err != nil {
			t.Fatalf("%s: %v", m.what, err)
		}
		_, err = source.Parse(raw, source.Inputs{Files: files})
		invalid := s.Validate(plain(doc))
		if err == nil && invalid != nil {
			t.Errorf("%s: Parse takes it, the schema does not: %v", m.what, invalid)
		}
		if m.strict && err != nil && invalid == nil {
			t.Errorf("%s: the schema takes it, Parse does not: %v", m.what, err)
		}
		if err != nil {
			refused++
		}
		m.undo()
	}
	if len(all) < 800 || refused < len(all)/3 {
		t.Errorf("of %d mutations %d were refused; has the test lost its teeth?", len(all), refused)
	}
}

func TestSchemaDescribesItsFields(t *testing.T) {
	t.Parallel()
	got := string(source.Schema())
	for _, want := range []string{
		`"consumer-messaging"`, `"whatsapp"`, `"no_lock_screen_previews"`, "{{enrolment_token}}",
		"Keep work data out of backups", `"https://json-schema.org/draft/2020-12/schema"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the schema does not hold %s", want)
		}
	}
	if strings.Contains(got, "wipe_after") {
		t.Error("the schema offers a field that is refused")
	}
	if !bytes.Equal(source.Schema(), source.Schema()) {
		t.Error("the schema differs from call to call")
	}
}

// A pattern of the schema is read by editors, whose regular expressions are those of
// ECMAScript: (?i), \z and the like are mistakes there, and (?P<n> or [[:alpha:]] mean
// something else.
func TestSchemaPatternsAreNotGoOnly(t *testing.T) {
	t.Parallel()
	var doc any
	if err := json.Unmarshal(source.Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	// With the flag u only these may stand after a backslash, and every other escape is an error:
	// https://tc39.es/ecma262/#sec-patterns
	escape := regexp.MustCompile(`\\.`)
	allowed := regexp.MustCompile(`^\\[dDwWsSbBtnvfr^$\\.*+?()\[\]{}|/]$`)
	group := regexp.MustCompile(`\(\?(:|=|!|<[=!])?`)
	seen := 0
	var walk func(x any)
	walk = func(x any) {
		switch x := x.(type) {
		case map[string]any:
			if p, ok := x["pattern"].(string); ok {
				seen++
				for _, e := range escape.FindAllString(p, -1) {
					if !allowed.MatchString(e) {
						t.Errorf("the pattern %s has %s, which ECMAScript does not know", p, e)
					}
				}
				rest := escape.ReplaceAllString(p, "")
				for _, g := range group.FindAllStringSubmatch(rest, -1) {
					if g[1] == "" {
						t.Errorf("the pattern %s has a group with flags or a name that ECMAScript does not know", p)
					}
				}
				for _, bad := range []string{"[[:", "*+", "++", "?+"} {
					if strings.Contains(rest, bad) {
						t.Errorf("the pattern %s has %s, which ECMAScript does not know", p, bad)
					}
				}
			}
			for _, v := range x {
				walk(v)
			}
		case []any:
			for _, v := range x {
				walk(v)
			}
		}
	}
	walk(doc)
	if seen < 20 {
		t.Errorf("the schema has %d patterns; has the test lost its teeth?", seen)
	}
}

// A file's name on Windows is one whatever the case of its ending.
func TestSchemaTakesExecutablesInAnyCase(t *testing.T) {
	t.Parallel()
	s := compileSchema(t)
	for name, want := range map[string]bool{"chat.exe": true, "Chat.EXE": true, "my chat.Exe": true, "chat.com": false, `c:\chat.exe`: false} {
		text := strings.Replace(record, "    purpose: p\n", "    windows: {executable: '"+name+"'}\n    purpose: p\n", 1)
		_, err := source.Parse([]byte(text), source.Inputs{})
		if valid := s.Validate(plain(node(t, text))) == nil; valid != want || (err == nil) != want {
			t.Errorf("%s: the schema takes it is %t, Parse gives %v, want %t", name, valid, err, want)
		}
	}
}
