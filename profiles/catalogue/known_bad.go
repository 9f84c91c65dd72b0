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

//go:embed known_bad.yaml
var knownBad []byte

// Wrong is an identifier that public lists give and that is wrong.
type Wrong struct {
	Kind  string `yaml:"platform"` // one of Kinds
	ID    string `yaml:"id"`       // exact case; one that ends in .* stands for all that begin so
	Right string `yaml:"right"`    // empty where none is known
	Why   string `yaml:"why"`
}

var wrongs = sync.OnceValue(func() []Wrong {
	var all []Wrong
	dec := yaml.NewDecoder(bytes.NewReader(knownBad))
	dec.KnownFields(true)
	if err := dec.Decode(&all); err != nil {
		panic(fmt.Sprintf("catalogue: known_bad.yaml: %v", err))
	}
	return all
})

// KnownWrong returns every identifier that is known to be wrong.
func KnownWrong() []Wrong { return slices.Clone(wrongs()) }

// FindWrong looks an identifier up among those that are known to be wrong.
func FindWrong(kind, id string) (Wrong, bool) {
	for _, w := range wrongs() {
		if w.Kind == kind && (w.ID == id || strings.HasSuffix(w.ID, ".*") && strings.HasPrefix(id, strings.TrimSuffix(w.ID, "*"))) {
			return w, true
		}
	}
	return Wrong{}, false
}

// String says what is wrong and what is right in a sentence without its full stop.
func (w Wrong) String() string {
	if w.Right == "" {
		return fmt.Sprintf("is known to be wrong: %s, and no right one is known", w.Why)
	}
	return fmt.Sprintf("is known to be wrong: %s; right is %s", w.Why, w.Right)
}
