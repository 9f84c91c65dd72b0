// Package audit keeps the record of who did what, in a Merkle tree that a stranger
// can check with the log, the public key and any earlier checkpoint. Personal data
// stands beside the tree under a key per person. The package appends; it never edits
// or deletes an entry, and it does not decide who may read one.
package audit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/unit"
)

// Entry is a deed to record. Who did it comes from the context.
type Entry struct {
	// Action is a constant such as "device.lost": lower-case words joined by dots and
	// hyphens. It stands readable in the tree for ever, so it names no one.
	Action string
	// Subject is the id of what the deed was done to: a device, an order, a person. It
	// may be empty.
	Subject string
	// Person is whose personal data Subject and Detail are; they can be read until
	// ForgetPerson. Empty means nobody's.
	Person ward.PersonID
	// Detail is what else should be known, such as a reason. No secret belongs here.
	Detail map[string]string
}

// Row is an entry as it is stored.
type Row struct {
	ID     int64 // counts from 1 in the order of writing
	At     time.Time
	Action string
	Leaf   string // the exact text that the tree holds
	Who    Part
	What   Part
	Index  int64 // position in the tree from 0, -1 until it is sequenced
}

// Part is the personal half of an entry, sealed.
type Part struct {
	Key    string // the id of the key it is sealed under; empty is the installation's own
	Lookup string // blind index of the actor or subject; empty once forgotten
	Sealed []byte
}

// PersonKey is the key of one person's parts, itself sealed.
type PersonKey struct {
	ID     string // random, so that a part says nothing of its person once the key is gone
	Sealed []byte
}

// SignedCheckpoint is a signed note that states the root of the tree at a size.
type SignedCheckpoint struct {
	Size int64
	Note []byte
	At   time.Time
}

// Entries keeps entries. Every method joins the unit of work in ctx.
type Entries interface {
	// AddEntry keeps r, whose ID and Index it ignores.
	AddEntry(ctx context.Context, r Row) error
	// Entry returns one entry, or a *ward.Error of kind NotFound.
	Entry(ctx context.Context, id int64) (Row, error)
	// Entries returns a page of the entries that match q.
	Entries(ctx context.Context, q Query) ([]Row, error)
	// Unsequenced returns up to limit entries that are not in the tree, by id.
	Unsequenced(ctx context.Context, limit int) ([]Row, error)
	// Sequenced returns up to limit entries by tree index, from the index given and
	// below the end given.
	Sequenced(ctx context.Context, from, end int64, limit int) ([]Row, error)
}

// Keys keeps the keys of persons. Every method joins the unit of work in ctx.
type Keys interface {
	// PersonKey returns the key of person, or a *ward.Error of kind NotFound. Within a
	// unit of work the key cannot be deleted until the unit ends.
	PersonKey(ctx context.Context, person ward.PersonID) (PersonKey, error)
	// AddPersonKey keeps k for person, unless person has a key already.
	AddPersonKey(ctx context.Context, person ward.PersonID, k PersonKey) error
	// KeyByID returns a key by its id, or a *ward.Error of kind NotFound.
	KeyByID(ctx context.Context, id string) (PersonKey, error)
	// DeletePersonKey deletes person's key and the blind indexes of the parts sealed
	// under it. It returns the key's id and how many parts it had sealed, or a
	// *ward.Error of kind NotFound.
	DeletePersonKey(ctx context.Context, person ward.PersonID) (id string, parts int64, err error)
}

// Tree keeps the Merkle tree. Every method joins the unit of work in ctx.
type Tree interface {
	// LockTree keeps every other copy of the server from sequencing until the unit of
	// work ends.
	LockTree(ctx context.Context) error
	// Append gives entry id its index in the tree and keeps the hashes that it
	// completes, which are stored from position first on.
	Append(ctx context.Context, id, index, first int64, hashes [][sha256.Size]byte) error
	// Hashes returns the stored hashes at the given positions, in their order.
	Hashes(ctx context.Context, positions []int64) ([][sha256.Size]byte, error)
	// AddCheckpoint keeps a checkpoint.
	AddCheckpoint(ctx context.Context, c SignedCheckpoint) error
	// LatestCheckpoint returns the largest checkpoint, or a *ward.Error of kind NotFound.
	LatestCheckpoint(ctx context.Context) (SignedCheckpoint, error)
}

// Store is what the log is kept in.
type Store interface {
	unit.Unit
	Entries
	Keys
	Tree
}

// Service is the audit log. Its methods may be called by several goroutines.
type Service struct {
	store  Store
	key    *Key
	box    *seal.Box // the installation's own parts
	keys   *seal.Box // the keys of persons
	lookup []byte
	now    func() time.Time
	wanted chan struct{}
}

// Config says what a Service stands on. Every field is needed.
type Config struct {
	Store  Store
	Master *seal.Master
	Key    *Key
	Now    func() time.Time
}

// New returns the log.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Master == nil || c.Key == nil || c.Now == nil {
		return nil, errors.New("audit log: Store, Master, Key and Now are needed")
	}
	return &Service{
		store:  c.Store,
		key:    c.Key,
		box:    c.Master.Box("audit"),
		keys:   c.Master.Box("audit person keys"),
		lookup: c.Master.Derive("audit lookup"),
		now:    c.Now,
		wanted: make(chan struct{}, 1),
	}, nil
}

// actionForm is what an action looks like.
var actionForm = regexp.MustCompile(`^[a-z]+(?:[.-][a-z]+)*$`)

// Record writes e in the unit of work in ctx, so that neither the deed nor its entry
// exists without the other. The actor of ctx did it; without an actor Record refuses,
// for a deed that nobody did is a fault in the caller. The entry enters the tree
// after the commit: see Sequence.
func (s *Service) Record(ctx context.Context, e Entry) error {
	if !actionForm.MatchString(e.Action) {
		return fmt.Errorf("audit: %q is not the name of an action", e.Action)
	}
	actor := ward.ActorFrom(ctx)
	if actor.Via == "" {
		return fmt.Errorf("audit %s: no one acts in this context", e.Action)
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.record(ctx, actor, e); err != nil {
			return fmt.Errorf("audit %s: %w", e.Action, err)
		}
		unit.AfterCommit(ctx, s.want)
		return nil
	})
}

func (s *Service) record(ctx context.Context, actor ward.Actor, e Entry) error {
	at := s.now().UTC().Truncate(time.Microsecond)
	who, whoIs, err := s.sealPart(ctx, actor.Person, whoPart{actor.Person, actor.Name, actor.Via, actor.Token, actor.Device})
	if err != nil {
		return err
	}
	what, whatIs, err := s.sealPart(ctx, e.Person, whatPart{e.Subject, e.Person, e.Detail})
	if err != nil {
		return err
	}
	who.Lookup = s.blind("actor", actorID(actor))
	what.Lookup = s.blind("subject", e.Subject)
	text, err := leaf{Version: 1, At: at.Format(time.RFC3339Nano), Action: e.Action, Who: whoIs, What: whatIs}.text()
	if err != nil {
		return err
	}
	return s.store.AddEntry(ctx, Row{At: at, Action: e.Action, Leaf: text, Who: who, What: what})
}

// actorID is what an actor is found by: the person, else the device, else the name.
func actorID(a ward.Actor) string {
	switch {
	case a.Person != "":
		return string(a.Person)
	case a.Device != "":
		return string(a.Device)
	default:
		return a.Name
	}
}

// blind returns an index under which id can be found but not read, "" for "".
func (s *Service) blind(kind, id string) string {
	if id == "" {
		return ""
	}
	m := hmac.New(sha256.New, s.lookup)
	m.Write([]byte(kind + "\x00" + id))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func (s *Service) want() {
	select {
	case s.wanted <- struct{}{}:
	default: // one is waiting already
	}
}

// Wanted receives after a commit in this process that left entries to sequence. It
// holds one signal at most. Entries of other copies of the server, and those that a
// crash left behind, do not signal: call Sequence at the start and from time to time.
func (s *Service) Wanted() <-chan struct{} { return s.wanted }
