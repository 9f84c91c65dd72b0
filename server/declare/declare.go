// Package declare tells devices what they should be by declarations, and takes in what
// they say of it: the set of declarations with its token, the device's own values in
// them, the links to declared profiles, the status reports. It decides nothing about what
// is wanted, compiles nothing, and knows no HTTP, no SQL and no Apple message.
package declare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/unit"
)

// maxToken is how many octets an identifier or a token may have.
// Source: https://developer.apple.com/documentation/devicemanagement/declarationbase
const maxToken = 64

// Item is one declaration. Its payload is the same for every device of a class.
type Item struct {
	Identifier string // at most 64 octets
	Type       string // such as com.apple.configuration.legacy
	Token      string // changes with Type and Payload; at most 64 octets
	Payload    []byte // canonical JSON, an object, with variables in its texts
}

// Kind returns which of Apple's four manifests the declaration stands in: activation,
// configuration, asset or management; "" for none.
func (i Item) Kind() string {
	rest, ok := strings.CutPrefix(i.Type, "com.apple.")
	kind, _, _ := strings.Cut(rest, ".")
	if ok && slices.Contains([]string{"activation", "configuration", "asset", "management"}, kind) {
		return kind
	}
	return ""
}

// Set is all that one enrolment should have by declarations. The zero Set is none at
// all: a device that has any then removes them.
type Set struct {
	// Token names the set: the same items give the same token. At most 64 octets.
	Token string
	Items []Item
}

// NewSet returns the set of items with its token, which does not depend on their order.
func NewSet(items []Item) Set {
	sorted := slices.SortedFunc(slices.Values(items), func(a, b Item) int { return strings.Compare(a.Identifier, b.Identifier) })
	h := sha256.New()
	for _, i := range sorted {
		fmt.Fprintf(h, "%q %q %q\n", i.Identifier, i.Type, i.Token)
	}
	return Set{Token: hex.EncodeToString(h.Sum(nil)), Items: sorted}
}

// Item returns the declaration of an identifier.
func (s Set) Item(identifier string) (Item, bool) {
	i := slices.IndexFunc(s.Items, func(i Item) bool { return i.Identifier == identifier })
	if i < 0 {
		return Item{}, false
	}
	return s.Items[i], true
}

// Check says what is wrong with a set that would confuse a device: identifiers that are
// missing, too long or there twice, tokens likewise, types of no manifest, payloads that
// are no JSON object. All mistakes are joined.
func (s Set) Check() error {
	var errs []error
	bad := func(i Item, what string) { errs = append(errs, fmt.Errorf("declaration %q: %s", i.Identifier, what)) }
	if s.Token == "" || len(s.Token) > maxToken {
		errs = append(errs, fmt.Errorf("the set's token has %d octets, want 1 to %d", len(s.Token), maxToken))
	}
	seen := make(map[string]bool, len(s.Items))
	for _, i := range s.Items {
		if i.Identifier == "" || len(i.Identifier) > maxToken {
			bad(i, "its identifier has no or too many octets")
		}
		if i.Token == "" || len(i.Token) > maxToken {
			bad(i, "its token has no or too many octets")
		}
		if i.Kind() == "" {
			bad(i, fmt.Sprintf("the type %q is none of a declaration", i.Type))
		}
		var payload map[string]json.RawMessage
		if err := json.Unmarshal(i.Payload, &payload); err != nil || payload == nil {
			bad(i, "its payload is no JSON object")
		}
		if seen[i.Identifier] {
			bad(i, "it stands in the set twice")
		}
		seen[i.Identifier] = true
	}
	return errors.Join(errs...)
}

// Wanted tells what enrolments should have. Neither method changes anything.
type Wanted interface {
	// Wanted returns the set of a device's enrolment; the zero Set where none is wanted.
	Wanted(ctx context.Context, id ward.EnrolmentID) (Set, error)
	// Profile returns the profile of a hash with its variables, if the enrolment's set
	// names it; otherwise a *ward.Error of kind NotFound.
	Profile(ctx context.Context, id ward.EnrolmentID, hash string) ([]byte, error)
}

// Binder puts a device's own values into a profile: names, addresses, a fresh challenge.
// It is asked each time that a device fetches the profile, outside a unit of work.
type Binder interface {
	Bind(ctx context.Context, d ward.Device, e ward.Enrolment, raw []byte) ([]byte, error)
}

// Fleet is what is needed of the record of devices.
type Fleet interface {
	unit.Unit
	Device(ctx context.Context, id ward.DeviceID) (ward.Device, error)
	UpdateDevice(ctx context.Context, d ward.Device) error
	// Hold keeps other units of work that hold the device waiting until this one ends.
	Hold(ctx context.Context, id ward.DeviceID) error
	Enrolment(ctx context.Context, id ward.EnrolmentID) (ward.Enrolment, error)
	Facts(ctx context.Context, id ward.EnrolmentID) ([]fleet.Fact, error)
	SetFact(ctx context.Context, id ward.EnrolmentID, f fleet.Fact) error
}

// Reports keeps the last status report of each enrolment.
type Reports interface {
	// KeepReport replaces the enrolment's report. size is how long it was before it was cut.
	KeepReport(ctx context.Context, id ward.EnrolmentID, r RawReport) error
}

// RawReport is a status report as it came, for whoever looks into a problem.
type RawReport struct {
	Received time.Time
	Full     bool
	Size     int    // octets as it came
	Body     []byte // its first MaxRaw octets
}

// MaxRaw is how much of a status report is kept, in octets.
const MaxRaw = 64 << 10
