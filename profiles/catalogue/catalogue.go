// Package catalogue knows the messaging apps that staff may carry, and by which
// identifiers each platform knows them. It is data with ways to look things up; it
// decides nothing about what is allowed, and asks no store or network.
package catalogue

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed apps.yaml
var builtin []byte

// Grade says how well an identifier is known.
type Grade string

// The grades, best first.
const (
	GradeA Grade = "A" // vendor source, packaging manifest or artefact of a device
	GradeL Grade = "L" // two lists that read it from Apple's lookup service
	GradeB Grade = "B" // a third party's list or code: unconfirmed
)

// Status says whether an app can still be in use as a service.
type Status string

// The statuses. A retired app may still be installed, so it can still be blocked.
const (
	Active      Status = "active"
	Retired     Status = "retired"
	Unconfirmed Status = "unconfirmed" // no dependable word on it
)

// Identifier is one name by which a platform knows an app. ID keeps its exact case.
type Identifier struct {
	ID     string `yaml:"id"`
	Grade  Grade  `yaml:"grade"`
	Source string `yaml:"source"` // public repository and path, or "public catalogue"
	Shared bool   `yaml:"shared"` // a web host that serves more than this app's chat
}

// Unconfirmed reports whether the identifier was only seen at grade B.
func (i Identifier) Unconfirmed() bool { return i.Grade == GradeB }

// App is one messaging app, or a family of forks that is handled as one.
type App struct {
	Slug     string   `yaml:"slug"`
	Name     string   `yaml:"name"`
	Category string   `yaml:"category"`
	Status   Status   `yaml:"status"`
	Aliases  []string `yaml:"aliases"`
	// NeverBlock marks an app whose block would take away more than messaging; Caution
	// says what. Such an app may be named by a policy but its id is never sent.
	NeverBlock bool   `yaml:"never_block"`
	Caution    string `yaml:"caution"`

	IOS      []Identifier `yaml:"ios"`       // bundle ids
	AppStore []Identifier `yaml:"app_store"` // numeric App Store ids
	Android  []Identifier `yaml:"android"`   // package names
	MacOS    []Identifier `yaml:"macos"`     // bundle ids
	Windows  []Identifier `yaml:"windows"`   // package family names and executables
	Linux    []Identifier `yaml:"linux"`     // flatpak:, snap: and exec: names
	Web      []Identifier `yaml:"web"`       // hosts of the web version
}

// BundleIDs returns the app's iOS bundle ids in the catalogue's order.
func (a App) BundleIDs() []string {
	ids := make([]string, len(a.IOS))
	for i, id := range a.IOS {
		ids[i] = id.ID
	}
	return ids
}

// Platforms returns the app's identifiers by the key that the data file uses.
func (a App) Platforms() map[string][]Identifier {
	return map[string][]Identifier{
		"ios": a.IOS, "app_store": a.AppStore, "android": a.Android, "macos": a.MacOS,
		"windows": a.Windows, "linux": a.Linux, "web": a.Web,
	}
}

// Catalogue is a list of apps with its indexes. It is read-only and safe for
// concurrent use; callers must not change the apps that it returns.
type Catalogue struct {
	apps     []App
	byName   map[string]int   // slug and aliases
	byBundle map[string][]int // iOS bundle ids, exact case
}

// Builtin returns the catalogue that Ward ships with. It panics if the file inside
// the binary is broken, which the tests of this package rule out.
//
// It is a constant that is parsed on first use, not state.
var Builtin = sync.OnceValue(func() *Catalogue {
	c, err := Parse(builtin)
	if err != nil {
		panic(fmt.Sprintf("catalogue: %v", err))
	}
	return c
})

// Parse reads a catalogue from YAML. Unknown fields, and names used twice, are errors.
func Parse(data []byte) (*Catalogue, error) {
	c := &Catalogue{byName: map[string]int{}, byBundle: map[string][]int{}}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c.apps); err != nil {
		return nil, fmt.Errorf("parse catalogue: %w", err)
	}
	for i, a := range c.apps {
		for _, name := range append([]string{a.Slug}, a.Aliases...) {
			if _, taken := c.byName[name]; taken || name == "" {
				return nil, fmt.Errorf("parse catalogue: app %d: the name %q is empty or used twice", i, name)
			}
			c.byName[name] = i
		}
		for _, id := range a.IOS {
			c.byBundle[id.ID] = append(c.byBundle[id.ID], i)
		}
	}
	return c, nil
}

// Apps returns every app in the catalogue's order.
func (c *Catalogue) Apps() []App { return slices.Clone(c.apps) }

// Lookup finds an app by its slug or one of its aliases, in lower case.
func (c *Catalogue) Lookup(name string) (App, bool) {
	i, ok := c.byName[name]
	if !ok {
		return App{}, false
	}
	return c.apps[i], true
}

// ByBundleID returns the apps that use an iOS bundle id, exact case: more than one
// where a clinical and a consumer service share an app. None is an empty slice.
func (c *Catalogue) ByBundleID(id string) []App {
	found := make([]App, 0, len(c.byBundle[id]))
	for _, i := range c.byBundle[id] {
		found = append(found, c.apps[i])
	}
	return found
}

// Category returns the apps of a category in the catalogue's order, none if the
// category does not exist.
func (c *Catalogue) Category(category string) []App {
	var found []App
	for _, a := range c.apps {
		if a.Category == category {
			found = append(found, a)
		}
	}
	return found
}

// Categories returns the names of all categories, sorted.
func (c *Catalogue) Categories() []string {
	seen := map[string]bool{}
	var names []string
	for _, a := range c.apps {
		if !seen[a.Category] {
			seen[a.Category] = true
			names = append(names, a.Category)
		}
	}
	slices.Sort(names)
	return names
}

// Names returns every slug and alias, sorted, for suggestions.
func (c *Catalogue) Names() []string {
	names := make([]string, 0, len(c.byName))
	for n := range c.byName {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Search returns the apps whose name, slug, alias, category or any identifier
// contains text, whatever its case. Empty text finds every app.
func (c *Catalogue) Search(text string) []App {
	text = strings.ToLower(strings.TrimSpace(text))
	var found []App
	for _, a := range c.apps {
		if a.matches(text) {
			found = append(found, a)
		}
	}
	return found
}

func (a App) matches(text string) bool {
	words := append([]string{a.Slug, a.Name, a.Category}, a.Aliases...)
	for _, ids := range a.Platforms() {
		for _, id := range ids {
			words = append(words, id.ID)
		}
	}
	return slices.ContainsFunc(words, func(w string) bool {
		return strings.Contains(strings.ToLower(w), text)
	})
}
