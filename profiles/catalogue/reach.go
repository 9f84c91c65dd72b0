package catalogue

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

//go:embed must_reach.yaml
var mustReach []byte

// Needed is a host that must stay reachable.
type Needed struct {
	Host   string `yaml:"host"`
	Under  bool   `yaml:"under"`  // every name beneath it is needed as well
	Reason string `yaml:"reason"` // what needs it, in words that follow a colon
}

// reachIndex finds what stands in the way of blocking a host.
type reachIndex struct {
	all     []Needed
	exact   map[string]Needed
	parents map[string]Needed // a needed host by each name above it
}

var reach = sync.OnceValue(func() reachIndex {
	index := reachIndex{exact: map[string]Needed{}, parents: map[string]Needed{}}
	dec := yaml.NewDecoder(bytes.NewReader(mustReach))
	dec.KnownFields(true)
	if err := dec.Decode(&index.all); err != nil {
		panic(fmt.Sprintf("catalogue: must_reach.yaml: %v", err))
	}
	for _, n := range index.all {
		index.exact[n.Host] = n
		for above := parent(n.Host); above != ""; above = parent(above) {
			if _, known := index.parents[above]; !known {
				index.parents[above] = n
			}
		}
	}
	return index
})

// MustReach returns the hosts that are never blocked, in the order of the data file.
func MustReach() []Needed { return slices.Clone(reach().all) }

// Refused reports whether a host may not be blocked, because it, something beneath it or
// everything above it must stay reachable, with the reason in a sentence. A leading "*."
// and a dot at the end are allowed; what is no host name is refused.
func Refused(host string) (reason string, refused bool) {
	name := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(host), "*."), ".")
	if _, err := netip.ParseAddr(name); err == nil {
		return fmt.Sprintf("%s is an address: only names are blocked.", name), true
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil || ascii == "" {
		return fmt.Sprintf("%q is no host name.", host), true
	}
	name = strings.ToLower(ascii)
	index := reach()
	for up := name; up != ""; up = parent(up) {
		if n, needed := index.exact[up]; needed && (up == name || n.Under) {
			if up == name {
				return fmt.Sprintf("%s must stay reachable: %s.", name, n.Reason), true
			}
			return fmt.Sprintf("%s must stay reachable, because all of %s is needed: %s.", name, up, n.Reason), true
		}
	}
	if n, needed := index.parents[name]; needed {
		return fmt.Sprintf("%s must stay reachable, because %s is beneath it: %s.", name, n.Host, n.Reason), true
	}
	if suffix, _ := publicsuffix.PublicSuffix(name); suffix == name {
		return fmt.Sprintf("%s must stay reachable: the names beneath it belong to many owners (https://publicsuffix.org).", name), true
	}
	return "", false
}

// parent returns the name above a name, "" above the last label.
func parent(name string) string {
	_, above, _ := strings.Cut(name, ".")
	return above
}
