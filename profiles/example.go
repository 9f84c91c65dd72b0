package profiles

import (
	_ "embed"
	"slices"
)

//go:embed testdata/messaging.yaml
var example []byte

// ExamplePolicy returns the text of a policy to start from: it approves one messenger
// and keeps consumer messaging apps off. Each call returns a copy.
func ExamplePolicy() []byte { return slices.Clone(example) }
