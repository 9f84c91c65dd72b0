package audit

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/wardmdm/ward"
	"golang.org/x/mod/sumdb/tlog"
)

// exportPage is how many entries an export reads at a time.
const exportPage = 500

// exportHeader is the first line of an export.
type exportHeader struct {
	Type       string `json:"type"` // "header"
	Version    int    `json:"v"`
	Log        string `json:"log"`
	Key        string `json:"key"`
	Checkpoint string `json:"checkpoint"`
}

// exportEntry is each further line. The leaf is text, not nested JSON, for its exact
// bytes are what the tree holds.
type exportEntry struct {
	Type  string      `json:"type"` // "entry"
	Index int64       `json:"index"`
	Leaf  string      `json:"leaf"`
	Who   *exportPart `json:"who,omitempty"`
	What  *exportPart `json:"what,omitempty"`
}

// exportPart opens a commitment.
type exportPart struct {
	Salt    string `json:"salt,omitempty"` // base64url
	JSON    string `json:"json,omitempty"`
	Damaged bool   `json:"damaged,omitempty"`
}

// Export writes the log up to the latest checkpoint as JSON lines: a header with the
// name, the public key and the checkpoint, then each entry by index, with the parts
// whose key still exists. It holds personal data.
func (s *Service) Export(ctx context.Context, w io.Writer) error { return s.export(ctx, w, true) }

// ExportLeaves writes the same without any personal data: a stranger can verify it
// just as well.
func (s *Service) ExportLeaves(ctx context.Context, w io.Writer) error {
	return s.export(ctx, w, false)
}

func (s *Service) export(ctx context.Context, w io.Writer, disclose bool) error {
	c, err := s.store.LatestCheckpoint(ctx)
	if err != nil {
		return fmt.Errorf("export audit log: %w", err)
	}
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(exportHeader{"header", 1, s.key.Name(), s.key.Public(), string(c.Note)}); err != nil {
		return fmt.Errorf("export audit log: %w", err)
	}
	have := boxes{}
	for from := int64(0); from < c.Size; {
		rows, err := s.store.Sequenced(ctx, from, c.Size, exportPage)
		if err != nil {
			return fmt.Errorf("export audit log: %w", err)
		}
		if len(rows) == 0 {
			return fmt.Errorf("export audit log: the entries from index %d on are missing", from)
		}
		for _, r := range rows {
			line, err := s.exportLine(ctx, have, r, disclose)
			if err != nil {
				return fmt.Errorf("export audit entry %d: %w", r.ID, err)
			}
			if err := enc.Encode(line); err != nil {
				return fmt.Errorf("export audit log: %w", err)
			}
		}
		from = rows[len(rows)-1].Index + 1
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("export audit log: %w", err)
	}
	return nil
}

func (s *Service) exportLine(ctx context.Context, have boxes, r Row, disclose bool) (exportEntry, error) {
	line := exportEntry{Type: "entry", Index: r.Index, Leaf: r.Leaf}
	var l leaf
	if !disclose || json.Unmarshal([]byte(r.Leaf), &l) != nil {
		return line, nil // a leaf that was altered is exported as it stands: the verifier names it
	}
	var err error
	if line.Who, err = s.disclose(ctx, have, r.Who, l.Who); err != nil {
		return line, err
	}
	line.What, err = s.disclose(ctx, have, r.What, l.What)
	return line, err
}

// disclose returns the opened part, nil if it is erased.
func (s *Service) disclose(ctx context.Context, have boxes, p Part, commitment string) (*exportPart, error) {
	o, err := s.open(ctx, have, p, commitment)
	switch {
	case errors.Is(err, errErased):
		return nil, nil
	case errors.Is(err, errDamaged):
		return &exportPart{Damaged: true}, nil
	case err != nil:
		return nil, err
	}
	return &exportPart{Salt: base64.RawURLEncoding.EncodeToString(o.salt), JSON: string(o.text)}, nil
}

// Proof shows that something is in the tree of the checkpoint. Check an inclusion
// with tlog.CheckRecord(Hashes, Size, root, Index, tlog.RecordHash(Leaf)), and a
// consistency with tlog.CheckTree(Hashes, Size, root, OldSize, old root).
type Proof struct {
	Size       int64 // of the tree of the checkpoint
	Checkpoint []byte
	Hashes     []tlog.Hash

	Index int64  // inclusion: the position of the entry
	Leaf  string // inclusion: the text in the tree

	OldSize int64 // consistency: the size of the earlier tree
}

// InclusionProof proves that the entry is in the tree of the latest checkpoint. A
// *ward.Error of kind NotFound means that there is no such entry, Unavailable that it
// is not in the tree yet.
func (s *Service) InclusionProof(ctx context.Context, id int64) (Proof, error) {
	r, err := s.store.Entry(ctx, id)
	if err != nil {
		return Proof{}, err
	}
	c, err := s.store.LatestCheckpoint(ctx)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return Proof{}, fmt.Errorf("prove audit entry %d: %w", id, err)
	}
	if r.Index < 0 || r.Index >= c.Size {
		return Proof{}, ward.Errorf(ward.Unavailable, "Entry %d is not in the tree yet. Try again in a moment.", id)
	}
	hashes, err := tlog.ProveRecord(c.Size, r.Index, s.hashes(ctx).reader)
	if err != nil {
		return Proof{}, fmt.Errorf("prove audit entry %d: %w", id, err)
	}
	return Proof{Size: c.Size, Checkpoint: c.Note, Hashes: hashes, Index: r.Index, Leaf: r.Leaf}, nil
}

// ConsistencyProof proves that the tree of oldSize entries, at least 1, is the
// beginning of the tree of the latest checkpoint. A *ward.Error of kind Invalid means
// that the log never had that many.
func (s *Service) ConsistencyProof(ctx context.Context, oldSize int64) (Proof, error) {
	c, err := s.store.LatestCheckpoint(ctx)
	if err != nil {
		return Proof{}, err
	}
	if oldSize < 1 || oldSize > c.Size {
		return Proof{}, ward.Errorf(ward.Invalid, "The audit log has %d entries: a size from 1 to %d can be proven, not %d.", c.Size, c.Size, oldSize)
	}
	hashes, err := tlog.ProveTree(c.Size, oldSize, s.hashes(ctx).reader)
	if err != nil {
		return Proof{}, fmt.Errorf("prove audit log since %d: %w", oldSize, err)
	}
	return Proof{Size: c.Size, Checkpoint: c.Note, Hashes: hashes, OldSize: oldSize}, nil
}
