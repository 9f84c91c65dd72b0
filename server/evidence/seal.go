package evidence

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/unit"
	"golang.org/x/mod/sumdb/tlog"
)

// ActionSealed stands in the audit log for each seal over changes of postures.
const ActionSealed = "posture.sealed"

// recordFormat begins what is hashed of a change.
const recordFormat = "ward-posture/1"

// sealSize is how many changes one seal is over at most: few enough that the tree is made
// anew in an instant, many enough that a year of a large fleet takes few seals.
const sealSize = 4096

// Change is one change of a device's posture as it is kept.
type Change struct {
	Seq    int64
	Device ward.DeviceID
	At     time.Time
	Prev   int64  // the change of the same device before it; 0 for its first
	Body   string // the posture after it, as the record has it; empty: the device was deleted
}

// record is what is hashed of a change: everything that the record has of it, in the order
// of these fields.
type record struct {
	Format string `json:"format"`
	Seq    int64  `json:"seq"`
	Device string `json:"device"`
	At     string `json:"at"` // UTC
	Prev   int64  `json:"prev"`
	Body   string `json:"body"`
}

// Record returns the bytes of a change that its seal is over.
func (c Change) Record() ([]byte, error) {
	return json.Marshal(record{recordFormat, c.Seq, string(c.Device), c.At.UTC().Format(time.RFC3339Nano), c.Prev, c.Body})
}

// Seal is a Merkle tree (RFC 6962) over a run of changes.
type Seal struct {
	ID          int64
	Size        int64
	Root        string    // base64
	First, Last time.Time // of its changes, by when they happened
	At          time.Time // when it was made
}

// Subject is what the audit log knows the seal by.
func (s Seal) Subject() string { return "seal-" + strconv.FormatInt(s.ID, 10) }

// Seals keeps seals, and finds changes. Every method joins the unit of work in ctx.
type Seals interface {
	unit.Unit
	// Unsealed returns up to limit changes that no seal is over, by Seq.
	Unsealed(ctx context.Context, limit int) ([]Change, error)
	// AddSeal keeps a seal over these changes and returns it with its ID. A *ward.Error of
	// kind Conflict means that another copy of the server has sealed one of them.
	AddSeal(ctx context.Context, s Seal, over []Change) (Seal, error)
	// SealOf returns the seal over a change, or a *ward.Error of kind NotFound.
	SealOf(ctx context.Context, seq int64) (Seal, error)
	// Sealed returns what a seal is over, by Seq. What was deleted since is missing.
	Sealed(ctx context.Context, seal int64) ([]Change, error)
	// Around returns the last change of a device up to a moment, and the first after it;
	// Seq is 0 where there is none. Prev is right only of changes that are sealed.
	Around(ctx context.Context, d ward.DeviceID, at time.Time) (last, next Change, err error)
}

// Auditor is the audit log. *audit.Service meets it.
type Auditor interface {
	Record(ctx context.Context, e audit.Entry) error
	List(ctx context.Context, f audit.Filter) ([]audit.Recorded, error)
	Evidence(ctx context.Context, about ...audit.About) (audit.Evidence, error)
	Sign(text string) ([]byte, error)
}

// Seal seals every change that is not sealed yet, and records the root of each seal in the
// audit log, so that whoever holds a checkpoint of the log can tell that none was altered
// since. It returns how many changes it sealed.
func (s *Service) Seal(ctx context.Context) (n int, err error) {
	for ctx.Err() == nil {
		over, err := s.Seals.Unsealed(ctx, sealSize)
		if err != nil {
			return n, fmt.Errorf("changes to seal: %w", err)
		}
		if len(over) == 0 {
			return n, nil
		}
		err = s.seal(ctx, over)
		if ward.KindOf(err) == ward.Conflict {
			return n, nil // another copy of the server is at it
		}
		if err != nil {
			return n, fmt.Errorf("seal changes: %w", err)
		}
		n += len(over)
	}
	return n, ctx.Err()
}

func (s *Service) seal(ctx context.Context, over []Change) error {
	t, err := treeOf(over)
	if err != nil {
		return err
	}
	seal := Seal{Size: int64(len(over)), Root: base64.StdEncoding.EncodeToString(t.root[:]), First: over[0].At, Last: over[0].At, At: s.Now().UTC().Truncate(time.Microsecond)}
	for _, c := range over {
		if c.At.Before(seal.First) {
			seal.First = c.At
		}
		if c.At.After(seal.Last) {
			seal.Last = c.At
		}
	}
	return s.Seals.Do(ctx, func(ctx context.Context) error {
		kept, err := s.Seals.AddSeal(ctx, seal, over)
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, audit.Entry{Action: ActionSealed, Subject: kept.Subject(), Detail: map[string]string{
			"changes": strconv.Itoa(len(over)), "root": kept.Root, "from": stamp(kept.First), "to": stamp(kept.Last),
		}})
	})
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// tree is a Merkle tree in memory.
type tree struct {
	hashes []tlog.Hash
	size   int64
	root   tlog.Hash
}

// ReadHashes meets tlog.HashReader.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(t.hashes)) {
			return nil, errors.New("a hash that the tree does not have")
		}
		out[i] = t.hashes[x]
	}
	return out, nil
}

func treeOf(over []Change) (*tree, error) {
	t := &tree{}
	for _, c := range over {
		b, err := c.Record()
		if err != nil {
			return nil, err
		}
		more, err := tlog.StoredHashes(t.size, b, t)
		if err != nil {
			return nil, err
		}
		t.hashes, t.size = append(t.hashes, more...), t.size+1
	}
	var err error
	t.root, err = tlog.TreeHash(t.size, t)
	return t, err
}

// ProvenChange is a change with what shows that it is under its seal:
// tlog.CheckRecord(Proof, Size, Root, Index, tlog.RecordHash(Record)).
type ProvenChange struct {
	Record []byte   `json:"record"`
	Seal   string   `json:"seal"` // the subject of the entry of the audit log
	Index  int64    `json:"index"`
	Proof  [][]byte `json:"proof"`
}

// prover proves changes, making the tree of each seal once.
type prover struct {
	seals Seals
	trees map[int64]*provenSeal
}

type provenSeal struct {
	Seal
	tree *tree
	at   map[int64]int64 // position by seq
	over []Change
	bad  string // why nothing can be proven under it; empty if it can
}

func (p *prover) seal(ctx context.Context, s Seal) (*provenSeal, error) {
	if have, ok := p.trees[s.ID]; ok {
		return have, nil
	}
	out := &provenSeal{Seal: s, at: map[int64]int64{}}
	p.trees[s.ID] = out
	var err error
	if out.over, err = p.seals.Sealed(ctx, s.ID); err != nil {
		return nil, fmt.Errorf("changes under %s: %w", s.Subject(), err)
	}
	if int64(len(out.over)) != s.Size {
		out.bad = "some of the changes under " + s.Subject() + " were deleted, as the retention says"
		return out, nil
	}
	if out.tree, err = treeOf(out.over); err != nil {
		return nil, err
	}
	if base64.StdEncoding.EncodeToString(out.tree.root[:]) != s.Root {
		out.bad = "the changes under " + s.Subject() + " are not those that were sealed: the record was altered"
		return out, nil
	}
	for i, c := range out.over {
		out.at[c.Seq] = int64(i)
	}
	return out, nil
}

// prove proves a change. why says in words why it can't be proven.
func (p *prover) prove(ctx context.Context, seq int64) (out ProvenChange, why string, err error) {
	s, err := p.seals.SealOf(ctx, seq)
	if ward.KindOf(err) == ward.NotFound {
		return out, "it is not sealed yet", nil
	}
	if err != nil {
		return out, "", fmt.Errorf("seal of change %d: %w", seq, err)
	}
	under, err := p.seal(ctx, s)
	if err != nil || under.bad != "" {
		if err == nil {
			why = under.bad
		}
		return out, why, err
	}
	at, ok := under.at[seq]
	if !ok {
		return out, "it was deleted", nil
	}
	c := under.over[at]
	hashes, err := tlog.ProveRecord(s.Size, at, under.tree)
	if err != nil {
		return out, "", fmt.Errorf("prove change %d: %w", seq, err)
	}
	out = ProvenChange{Seal: s.Subject(), Index: at, Proof: [][]byte{}}
	for _, h := range hashes {
		out.Proof = append(out.Proof, h[:])
	}
	out.Record, err = c.Record()
	return out, "", err
}
