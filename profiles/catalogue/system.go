package catalogue

import (
	"bytes"
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed system.yaml
var system []byte

// Essential is an identifier of the system itself.
type Essential struct {
	Kind   string `yaml:"platform"` // one of Kinds, but for hosts
	ID     string `yaml:"id"`       // * stands for any characters, ? for one; letter case counts for nothing
	Reason string `yaml:"reason"`   // why it is never blocked, in words that follow a colon
}

// essentialIndex finds the entries of one kind. What it holds is in lower case.
type essentialIndex struct {
	all      []Essential
	exact    map[string]Essential
	patterns []Essential
}

var essentials = sync.OnceValue(func() map[string]*essentialIndex {
	var all []Essential
	dec := yaml.NewDecoder(bytes.NewReader(system))
	dec.KnownFields(true)
	if err := dec.Decode(&all); err != nil {
		panic(fmt.Sprintf("catalogue: system.yaml: %v", err))
	}
	byKind := map[string]*essentialIndex{}
	for _, kind := range Kinds() {
		byKind[kind] = &essentialIndex{exact: map[string]Essential{}}
	}
	for _, e := range all {
		index := byKind[e.Kind]
		index.all = append(index.all, e)
		e.ID = strings.ToLower(e.ID)
		if strings.ContainsAny(e.ID, "*?") {
			index.patterns = append(index.patterns, e)
			continue
		}
		index.exact[e.ID] = e
	}
	return byKind
})

// Essentials returns the identifiers of the system that are never blocked, by kind in the
// order in which people read them.
func Essentials() []Essential {
	var all []Essential
	for _, kind := range Kinds() {
		all = append(all, essentials()[kind].all...)
	}
	return all
}

// NeverBlocked reports whether an identifier belongs to the system itself, without which a
// device can't be used or managed, with the reason in a sentence. kind is one of Kinds; for
// hosts there is Refused.
func NeverBlocked(kind, id string) (reason string, never bool) {
	index, known := essentials()[kind]
	if !known {
		return "", false
	}
	low := strings.ToLower(strings.TrimSpace(id))
	found, never := index.exact[low]
	for i := 0; !never && i < len(index.patterns); i++ {
		matched, err := path.Match(index.patterns[i].ID, low)
		if matched && err == nil { // the patterns are well formed, which a test proves
			found, never = index.patterns[i], true
		}
	}
	if !never {
		return "", false
	}
	return fmt.Sprintf("%s is never blocked: %s.", id, found.Reason), true
}

// systemProblems tells of an identifier of the system among those of an app that can be
// blocked.
func systemProblems(kind string, id Identifier, app App) []string {
	if reason, never := NeverBlocked(kind, id.ID); never && !app.NeverBlock {
		return []string{"belongs to the system: " + reason}
	}
	return nil
}

// Blockable returns the app without the identifiers by which the system itself would be
// blocked.
func (a App) Blockable() App {
	for _, l := range []struct {
		kind string
		list *[]Identifier
	}{{"ios", &a.IOS}, {"macos", &a.MacOS}, {"android", &a.Android}, {"windows", &a.Windows}, {"linux", &a.Linux}} {
		system := func(id Identifier) bool {
			_, never := NeverBlocked(l.kind, id.ID)
			return never
		}
		if slices.ContainsFunc(*l.list, system) {
			*l.list = slices.DeleteFunc(slices.Clone(*l.list), system)
		}
	}
	return a
}
