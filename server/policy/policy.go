// Package policy keeps the life of the messaging policy: versions with author, approver
// and reason, the second person that a large change needs, rings and their automatic
// stop, the way back, and what drifted. Publishing commits a number and nothing else:
// devices are planned for it in batches and as they check in. What a policy means is the
// business of package profiles.
package policy

import (
	"context"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/unit"
)

// State is where a version stands.
type State string

// The states of a version. At most one is current, and at most one is rolling or
// stopped.
const (
	Proposed   State = "proposed"   // it waits for a second person
	Rolling    State = "rolling"    // it holds for the devices of the open rings
	Stopped    State = "stopped"    // as rolling, but no further ring opens
	Current    State = "current"    // it holds for every device that no open ring takes
	Superseded State = "superseded" // it was current once
	Withdrawn  State = "withdrawn"  // it never was current, and never will be
)

// Version is one version of the policy.
type Version struct {
	Generation int64 // counts from 1
	State      State
	Text       string
	Files      map[string][]byte // what the text names, by the name as written; nil for none
	Note       string            // what is new, as the text itself says
	Reason     string            // why it was published; may be empty
	Rings      Rings             // zero: for every device at once
	Base       int64             // the current generation when it was made; 0: none was
	Devices    int               // enrolled when it was made
	Changed    int               // of them, those for which something would change, at once or later
	// Together counts those and the ones for which something was changed without a second
	// person in the 24 hours before. Rule looks at it.
	Together     int
	Published    time.Time     // when it was made
	PublishedBy  ward.PersonID // who made it; empty for Ward itself
	AuthorName   string
	Approver     ward.PersonID // the second person; empty where none was needed
	ApproverName string
	Approved     time.Time // zero where nobody has
	Ended        time.Time // when it was superseded or withdrawn; zero before
	EndReason    string
	Told         []string // what who published it should know of its rings; it is not kept
}

// Store keeps versions and rollouts. Its methods join the unit of work in ctx; a missing
// row is a *ward.Error of kind NotFound.
type Store interface {
	unit.Unit
	Versions
	Epochs
	Rollouts
	Fleet
	Drifts
	Settings
}

// Versions keeps versions.
type Versions interface {
	// Newest returns the newest generation of any state, 0 before the first.
	Newest(ctx context.Context) (int64, error)
	Version(ctx context.Context, generation int64) (Version, error)
	// List returns up to limit versions before a generation, the newest first, without
	// their texts and files. Before 0 is the newest of all.
	List(ctx context.Context, before int64, limit int) ([]Version, error)
	// Standing returns the versions that are current, rolling or stopped.
	Standing(ctx context.Context) ([]Version, error)
	// Insert keeps a version. A generation that exists is a Conflict.
	Insert(ctx context.Context, v Version) error
	// Turn takes a version from one state to that in v, and keeps of v who approved it and
	// how it ended. It reports false, and changes nothing, if it is in another state.
	Turn(ctx context.Context, v Version, from State) (bool, error)
}

// Epochs counts the moments at which a device's version may have become another.
type Epochs interface {
	// Epoch returns the count, and a word that is another after every change.
	Epoch(ctx context.Context) (epoch int64, stamp string, err error)
	// SetEpoch adds one to the count if any device may have moved, and sets the word.
	SetEpoch(ctx context.Context, moved bool, stamp string) error
	// HoldPolicy keeps other units of work that hold the policy waiting until this one ends.
	HoldPolicy(ctx context.Context) error
}

// Recorder writes the audit log in the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// The actions that stand in the audit log; their subject is the generation.
const (
	ActionProposed   = "policy.proposed"
	ActionPublished  = "policy.published"
	ActionApproved   = "policy.approved"
	ActionWithdrawn  = "policy.withdrawn"
	ActionOpened     = "policy.ring-opened"
	ActionStopped    = "policy.stopped"
	ActionResumed    = "policy.resumed"
	ActionRolledBack = "policy.rolled-back"
	ActionDenied     = "policy.denied" // an attempt that the rules forbid
)

// Rule says from when on a change needs a second person. What one person after another
// changes within 24 hours counts as one change.
type Rule struct {
	// Above is the share of the enrolled devices, 0 to 1, above which a change needs a
	// second person. 1: never.
	Above float64
	// From is how many devices must change at least for the share to matter.
	From int
}

// DefaultRule is what holds where the configuration says nothing.
func DefaultRule() Rule { return Rule{Above: 0.25, From: 25} }

// needs reports whether a change of so many devices needs a second person.
func (r Rule) needs(changed, devices int) bool {
	return changed > r.From && float64(changed) > r.Above*float64(devices)
}

// Service publishes and reads policies. It may be used by several goroutines, and by
// several processes on one database.
type Service struct {
	// Rule is DefaultRule unless it is set before the service is used.
	Rule Rule
	// NetworkLife is how long a network certificate lives, as reconcile.Loop knows it; zero
	// where none is renewed. It is set before the service is used.
	NetworkLife time.Duration
	// People is asked whether whoever approves has had their account for long enough; nil:
	// nobody is. It is set before the service is used.
	People People

	store Store
	audit Recorder
	now   func() time.Time
	after func() // once a device's version may be another

	mu    sync.Mutex
	known *InForce
}

// New returns a service. moved, which may be nil, is called once a device's version may
// be another; it must not block.
func New(s Store, a Recorder, now func() time.Time, moved func()) *Service {
	if moved == nil {
		moved = func() {}
	}
	return &Service{Rule: DefaultRule(), store: s, audit: a, now: now, after: moved}
}

// Published returns the current version with its text, NotFound before the first.
func (s *Service) Published(ctx context.Context) (Version, error) {
	vs, err := s.store.Standing(ctx)
	if err != nil {
		return Version{}, err
	}
	for _, v := range vs {
		if v.State == Current {
			return v, nil
		}
	}
	if len(vs) > 0 {
		return Version{}, ward.Errorf(ward.NotFound, "Generation %d, the first policy, is still being rolled out: ward policy rollout tells how far it is.", vs[0].Generation)
	}
	return Version{}, ward.Errorf(ward.NotFound, "No policy is published yet: ward policy publish FILE publishes one.")
}

// Version returns a version with its text and files.
func (s *Service) Version(ctx context.Context, generation int64) (Version, error) {
	return s.store.Version(ctx, generation)
}

// Versions returns up to limit versions before a generation, the newest first, without
// texts and files. Before 0 is the newest of all.
func (s *Service) Versions(ctx context.Context, before int64, limit int) ([]Version, error) {
	return s.store.List(ctx, before, min(max(limit, 1), 500))
}

// Read parses a version's text with its files.
func (v Version) Read() (*profiles.Policy, error) { return parse([]byte(v.Text), v.Files) }
