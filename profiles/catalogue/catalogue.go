// Package catalogue knows the messaging apps that staff may carry, and by which
// identifiers each platform knows them; which identifiers of public lists are wrong; and
// which hosts must stay reachable. It is data with ways to look things up; it decides
// nothing about what is allowed, and asks no store or network.
package catalogue

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
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

// Unrecorded is the source of an identifier that was met in public code whose repository
// is not known any more. Only grade B may have it.
const Unrecorded = "unrecorded"

// Identifier is one name by which a platform knows an app. ID keeps its exact case.
type Identifier struct {
	ID     string `yaml:"id"`
	Grade  Grade  `yaml:"grade"`
	Source string `yaml:"source"` // public repository and path, the address of a page, or Unrecorded
	Shared bool   `yaml:"shared"` // a host that serves more than this app's chat: never blocked
	// Team is the team id of whoever signs a Mac app, ten capital letters and digits, for
	// identifiers of macOS only; empty where it is not known. A Mac blocks an app by both.
	// An app's newest signer counts. TeamGrade and TeamSource say how well it is known; a
	// TeamSource may name several places, with a semicolon between them.
	Team       string `yaml:"team"`
	TeamGrade  Grade  `yaml:"team_grade"`
	TeamSource string `yaml:"team_source"`
	// File is the site's file that the identifier comes from; empty for Ward's own.
	File string `yaml:"-"`
}

// Unconfirmed reports whether the identifier was only seen at grade B.
func (i Identifier) Unconfirmed() bool { return i.Grade == GradeB }

// Signer returns the team by which a Mac is told to block the app, empty where none is
// known well enough. A team of grade B counts only where the identifier is of grade B too,
// and so is shown as unconfirmed wherever it is used: a block that may miss its app must
// not be called one that holds.
func (i Identifier) Signer() string {
	if i.TeamGrade == GradeB && !i.Unconfirmed() {
		return ""
	}
	return i.Team
}

// App is one messaging app, or a family of forks that is handled as one.
type App struct {
	Slug     string   `yaml:"slug"`
	Name     string   `yaml:"name"`
	Category string   `yaml:"category"`
	Status   Status   `yaml:"status"`
	Aliases  []string `yaml:"aliases"`
	// ForksOf is the slug of the app that this row modifies, wraps or uses the servers of.
	ForksOf string `yaml:"forks_of"`
	// SharesWith are slugs of rows with which this one has identifiers or hosts in common:
	// blocking one blocks the other.
	SharesWith []string `yaml:"shares_with"`
	// NeverBlock marks an app whose block would take away more than messaging; Caution
	// says what. Such an app may be named by a policy but its id is never sent.
	NeverBlock bool   `yaml:"never_block"`
	Caution    string `yaml:"caution"`
	Notes      string `yaml:"notes"` // what is good to know, in sentences; may be empty

	IOS      []Identifier `yaml:"ios"`       // bundle ids
	AppStore []Identifier `yaml:"app_store"` // numeric App Store ids
	Android  []Identifier `yaml:"android"`   // package names
	MacOS    []Identifier `yaml:"macos"`     // bundle ids
	Windows  []Identifier `yaml:"windows"`   // package family names, package names and executables: WindowsForm tells which
	Linux    []Identifier `yaml:"linux"`     // flatpak:, snap:, deb: and exec: names
	Web      []Identifier `yaml:"web"`       // hosts of the web version
	Network  []Identifier `yaml:"network"`   // names that the app's servers have; each stands for those beneath it too
}

// BundleIDs returns the app's iOS bundle ids in the catalogue's order.
func (a App) BundleIDs() []string {
	ids := make([]string, len(a.IOS))
	for i, id := range a.IOS {
		ids[i] = id.ID
	}
	return ids
}

// Identifiers returns what an app is called by a platform, in the catalogue's order; nil
// for a platform that is not known.
func (a App) Identifiers(p ward.Platform) []Identifier {
	switch p {
	case ward.IOS:
		return a.IOS
	case ward.Android:
		return a.Android
	case ward.MacOS:
		return a.MacOS
	case ward.Windows:
		return a.Windows
	case ward.Linux:
		return a.Linux
	}
	return nil
}

// BlockableWeb returns the hosts of the app's web version without those that must stay
// reachable, in the catalogue's order.
func (a App) BlockableWeb() []Identifier { return blockable(a.Web) }

// BlockableNetwork returns the names of the app's servers without those that must stay
// reachable, in the catalogue's order.
func (a App) BlockableNetwork() []Identifier { return blockable(a.Network) }

func blockable(hosts []Identifier) []Identifier {
	var kept []Identifier
	for _, h := range hosts {
		if _, refused := Refused(h.ID); !refused && !h.Shared {
			kept = append(kept, h)
		}
	}
	return kept
}

// Kinds returns the kinds of identifier in the order in which people read them, by the
// key that the data file uses.
func Kinds() []string {
	return []string{"ios", "app_store", "android", "macos", "windows", "linux", "web", "network"}
}

// Platforms returns the app's identifiers by kind.
func (a App) Platforms() map[string][]Identifier {
	return map[string][]Identifier{
		"ios": a.IOS, "app_store": a.AppStore, "android": a.Android, "macos": a.MacOS,
		"windows": a.Windows, "linux": a.Linux, "web": a.Web, "network": a.Network,
	}
}

// list returns where the identifiers of a kind stand, nil if there is no such kind.
func (a *App) list(kind string) *[]Identifier {
	return map[string]*[]Identifier{
		"ios": &a.IOS, "app_store": &a.AppStore, "android": &a.Android, "macos": &a.MacOS,
		"windows": &a.Windows, "linux": &a.Linux, "web": &a.Web, "network": &a.Network,
	}[kind]
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

// Parse reads a catalogue from YAML. Unknown fields, and names used twice, are errors;
// Problems tells what else may be wrong. For a file of a site's own there is Extend.
func Parse(data []byte) (*Catalogue, error) {
	var apps []App
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&apps); err != nil {
		return nil, fmt.Errorf("parse catalogue: %w", err)
	}
	taken := map[string]bool{}
	for i, a := range apps {
		for _, name := range append([]string{a.Slug}, a.Aliases...) {
			if taken[name] || name == "" {
				return nil, fmt.Errorf("parse catalogue: app %d: the name %q is empty or used twice", i, name)
			}
			taken[name] = true
		}
	}
	return newCatalogue(apps), nil
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
