package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// sequenceBatch bounds the entries that enter the tree in one unit of work, so that
// the writer is never held for long.
const sequenceBatch = 200

// Sequence puts every committed entry that is not in the tree yet into it, in the
// order of ids, and signs a checkpoint. It returns how many entered. It runs apart
// from the deeds: several copies of the server may call it at once. Before it signs,
// it checks that the stored tree is the one that it signed last, and refuses to go
// on if it is not.
func (s *Service) Sequence(ctx context.Context) (int, error) {
	total := 0
	for {
		n, err := s.sequence(ctx)
		total += n
		if err != nil {
			return total, fmt.Errorf("sequence audit log: %w", err)
		}
		if n < sequenceBatch {
			return total, nil
		}
	}
}

func (s *Service) sequence(ctx context.Context) (n int, err error) {
	if idle, err := s.idle(ctx); err != nil || idle {
		return 0, err
	}
	err = s.store.Do(ctx, func(ctx context.Context) error {
		n = 0
		if err := s.store.LockTree(ctx); err != nil {
			return err
		}
		hashes := s.hashes(ctx)
		size, signed, err := s.signedSize(ctx, hashes.reader)
		if err != nil {
			return err
		}
		rows, err := s.store.Unsequenced(ctx, sequenceBatch)
		if err != nil {
			return err
		}
		if len(rows) == 0 && signed {
			return nil
		}
		for i, r := range rows {
			if err := s.append(ctx, r, size+int64(i), hashes); err != nil {
				return err
			}
		}
		n = len(rows)
		return s.sign(ctx, size+int64(n), hashes.reader)
	})
	return n, err
}

// idle reports, without holding the writer, that there is nothing to do.
func (s *Service) idle(ctx context.Context) (bool, error) {
	rows, err := s.store.Unsequenced(ctx, 1)
	if err != nil || len(rows) > 0 {
		return false, err
	}
	_, err = s.store.LatestCheckpoint(ctx)
	if ward.KindOf(err) == ward.NotFound {
		return false, nil // an empty log is signed too
	}
	return true, err
}

// append gives an entry its place in the tree.
func (s *Service) append(ctx context.Context, r Row, index int64, h *hashCache) error {
	hashes, err := tlog.StoredHashes(index, []byte(r.Leaf), h.reader)
	if err != nil {
		return fmt.Errorf("entry %d: %w", r.ID, err)
	}
	first := tlog.StoredHashIndex(0, index)
	raw := make([][sha256.Size]byte, len(hashes))
	for i, x := range hashes {
		raw[i] = x
		h.have[first+int64(i)] = x
	}
	if err := s.store.Append(ctx, r.ID, index, first, raw); err != nil {
		return fmt.Errorf("entry %d: %w", r.ID, err)
	}
	return nil
}

// signedSize returns the size of the tree that was signed last, after checking that
// the stored hashes still give its root.
func (s *Service) signedSize(ctx context.Context, r tlog.HashReader) (size int64, signed bool, err error) {
	c, err := s.store.LatestCheckpoint(ctx)
	if ward.KindOf(err) == ward.NotFound {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	tree, err := s.openCheckpoint(c.Note)
	if err != nil {
		return 0, false, fmt.Errorf("the latest checkpoint was altered, or the signing key is not the one that made it: %w", err)
	}
	root, err := tlog.TreeHash(tree.N, r)
	if err != nil {
		return 0, false, err
	}
	if root != tree.Hash || tree.N != c.Size {
		return 0, false, fmt.Errorf("the stored tree is not the one that was signed at size %d: the database was altered", tree.N)
	}
	return tree.N, true, nil
}

// sign keeps a checkpoint of the tree at size.
func (s *Service) sign(ctx context.Context, size int64, r tlog.HashReader) error {
	root, err := tlog.TreeHash(size, r)
	if err != nil {
		return err
	}
	text, err := note.Sign(&note.Note{Text: checkpointText(s.key.Name(), size, root)}, s.key.signer)
	if err != nil {
		return fmt.Errorf("sign checkpoint: %w", err)
	}
	return s.store.AddCheckpoint(ctx, SignedCheckpoint{Size: size, Note: text, At: s.now()})
}

// checkpointText is the body of a checkpoint. Source: https://c2sp.org/tlog-checkpoint
func checkpointText(origin string, size int64, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)
}

func (s *Service) openCheckpoint(text []byte) (tlog.Tree, error) {
	n, err := note.Open(text, note.VerifierList(s.key.verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.SplitN(n.Text, "\n", 4)
	if len(lines) < 4 || lines[0] != s.key.Name() {
		return tlog.Tree{}, errors.New("malformed checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return tlog.Tree{}, errors.New("malformed checkpoint")
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, err
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// hashCache reads stored hashes once, and remembers those not yet committed.
type hashCache struct {
	have   map[int64]tlog.Hash
	reader tlog.HashReader
}

// hashes returns a reader that is good within ctx.
func (s *Service) hashes(ctx context.Context) *hashCache {
	c := &hashCache{have: map[int64]tlog.Hash{}}
	c.reader = tlog.HashReaderFunc(func(positions []int64) ([]tlog.Hash, error) {
		var lack []int64
		for _, p := range positions {
			if _, ok := c.have[p]; !ok {
				lack = append(lack, p)
			}
		}
		if len(lack) > 0 {
			got, err := s.store.Hashes(ctx, lack)
			if err != nil {
				return nil, err
			}
			for i, h := range got {
				c.have[lack[i]] = h
			}
		}
		out := make([]tlog.Hash, len(positions))
		for i, p := range positions {
			out[i] = c.have[p]
		}
		return out, nil
	})
	return c
}

// Checkpoint returns the latest signed checkpoint, to be kept outside the
// installation; a *ward.Error of kind NotFound before the first Sequence.
func (s *Service) Checkpoint(ctx context.Context) (SignedCheckpoint, error) {
	return s.store.LatestCheckpoint(ctx)
}

// PublicKey returns the public key that checkpoints are verified with.
func (s *Service) PublicKey() string { return s.key.Public() }
