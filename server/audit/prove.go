package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// About says which entries evidence is wanted of: those whose subject is the id, at a
// time from From on and before Until. A zero time does not bound.
type About struct {
	Subject string
	From    time.Time
	Until   time.Time
}

// covers reports whether the entry's time is asked for. The text in the tree counts, not
// the column beside it; an entry whose text was made nonsense is covered.
func (a About) covers(r Row) bool {
	var l leaf
	if json.Unmarshal([]byte(r.Leaf), &l) != nil {
		return true
	}
	at, err := time.Parse(time.RFC3339Nano, l.At)
	return err != nil || !at.Before(a.From) && (a.Until.IsZero() || at.Before(a.Until))
}

// Opening opens a commitment: base64url(SHA-256(Salt || JSON)), without padding.
type Opening struct {
	Salt []byte
	JSON string
}

// Proven is an entry with what a stranger needs to find it in the tree of the checkpoint
// that came with it: tlog.CheckRecord(Hashes, size, root, Index, tlog.RecordHash(Leaf)).
type Proven struct {
	Recorded
	Leaf   string // the exact text that the tree holds
	Hashes []tlog.Hash
	Who    *Opening // nil once the actor is forgotten, or if the row was altered
	What   *Opening // nil once the person that the subject belongs to is forgotten
}

// Evidence is some entries with proofs under one checkpoint.
type Evidence struct {
	Origin     string // the name of the log
	Key        string // its public key. A stranger has to have it from elsewhere
	Checkpoint []byte
	Size       int64 // of the tree of the checkpoint
	Entries    []Proven
	Pending    []Recorded // committed, and not in that tree yet
}

// Evidence sequences what is not in the tree yet and returns every entry that any of the
// abouts asks for, once and in the order of the log, with its proof. Entries that were
// altered in the database are among them, Damaged. Those whose subject was forgotten are
// not found: use Prove with their positions. It writes, in units of work of its own: call
// it outside of one.
func (s *Service) Evidence(ctx context.Context, about ...About) (Evidence, error) {
	if _, err := s.Sequence(ctx); err != nil {
		return Evidence{}, err
	}
	var rows []Row
	for _, a := range about {
		found, err := s.rowsAbout(ctx, a)
		if err != nil {
			return Evidence{}, fmt.Errorf("audit entries about %s: %w", a.Subject, err)
		}
		rows = append(rows, found...)
	}
	return s.evidence(ctx, rows)
}

// Prove returns the entries at the given positions, once and in the order of the log, with
// their proofs. A *ward.Error of kind NotFound means that the log has no such position yet.
func (s *Service) Prove(ctx context.Context, indices []int64) (Evidence, error) {
	var rows []Row
	for _, i := range indices {
		found, err := s.store.Sequenced(ctx, i, i+1, 1)
		if err != nil {
			return Evidence{}, fmt.Errorf("audit entry at %d: %w", i, err)
		}
		if len(found) == 0 {
			return Evidence{}, ward.Errorf(ward.NotFound, "The audit log has no entry at position %d.", i)
		}
		rows = append(rows, found...)
	}
	return s.evidence(ctx, rows)
}

// rowsAbout returns every entry that a asks for, oldest first.
func (s *Service) rowsAbout(ctx context.Context, a About) ([]Row, error) {
	if a.Subject == "" {
		return nil, errors.New("the subject is empty")
	}
	var out []Row
	for after := int64(0); ; {
		page, err := s.store.Entries(ctx, Query{SubjectLookup: s.blind("subject", a.Subject), After: after, Oldest: true, Limit: maxPage})
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if a.covers(r) {
				out = append(out, r)
			}
		}
		if len(page) < maxPage {
			return out, nil
		}
		after = page[len(page)-1].ID
	}
}

// evidence proves rows, of which it drops what is there twice.
func (s *Service) evidence(ctx context.Context, rows []Row) (Evidence, error) {
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.ID, b.ID) })
	rows = slices.CompactFunc(rows, func(a, b Row) bool { return a.ID == b.ID })
	c, err := s.store.LatestCheckpoint(ctx)
	if err != nil {
		return Evidence{}, err
	}
	tree, err := s.openCheckpoint(c.Note)
	if err != nil {
		return Evidence{}, fmt.Errorf("the latest checkpoint was altered, or the signing key is not the one that made it: %w", err)
	}
	out := Evidence{Origin: s.key.Name(), Key: s.key.Public(), Checkpoint: c.Note, Size: tree.N}
	have, hashes := boxes{}, s.hashes(ctx)
	for _, r := range rows {
		if r.Index < 0 || r.Index >= tree.N {
			read, err := s.read(ctx, have, r)
			if err != nil {
				return Evidence{}, fmt.Errorf("audit entry %d: %w", r.ID, err)
			}
			out.Pending = append(out.Pending, read)
			continue
		}
		p, err := s.prove(ctx, have, r, tree, hashes.reader)
		if err != nil {
			return Evidence{}, fmt.Errorf("prove audit entry %d: %w", r.ID, err)
		}
		out.Entries = append(out.Entries, p)
	}
	slices.SortFunc(out.Entries, func(a, b Proven) int { return cmp.Compare(a.Index, b.Index) })
	return out, nil
}

func (s *Service) prove(ctx context.Context, have boxes, r Row, tree tlog.Tree, hashes tlog.HashReader) (p Proven, err error) {
	p.Leaf = r.Leaf
	if p.Recorded, err = s.read(ctx, have, r); err != nil {
		return p, err
	}
	if p.Hashes, err = tlog.ProveRecord(tree.N, r.Index, hashes); err != nil {
		return p, err
	}
	if tlog.CheckRecord(p.Hashes, tree.N, tree.Hash, r.Index, tlog.RecordHash([]byte(r.Leaf))) != nil {
		p.Damaged = true
	}
	var l leaf
	if json.Unmarshal([]byte(r.Leaf), &l) != nil {
		return p, nil // read has called it damaged
	}
	if p.Who, err = s.opening(ctx, have, r.Who, l.Who); err != nil {
		return p, err
	}
	p.What, err = s.opening(ctx, have, r.What, l.What)
	return p, err
}

// opening returns what opens a commitment, nil if it is erased or damaged.
func (s *Service) opening(ctx context.Context, have boxes, p Part, commitment string) (*Opening, error) {
	o, err := s.open(ctx, have, p, commitment)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Opening{Salt: o.salt, JSON: string(o.text)}, nil
}

// Sign signs a text by the key of the log, as a note. Every line ends in a newline. The
// first says what the text is, such as "ward-case/1": a text that begins as a checkpoint
// of this log does is refused, so that no statement can be taken for the state of the log.
func (s *Service) Sign(text string) ([]byte, error) {
	first, _, _ := strings.Cut(text, "\n")
	if first == "" || first == s.key.Name() {
		return nil, fmt.Errorf("sign: a text that begins with %q could be taken for something else", first)
	}
	signed, err := note.Sign(&note.Note{Text: text}, s.key.signer)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", first, err)
	}
	return signed, nil
}
