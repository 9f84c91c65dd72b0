package verify

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// nodes are the hashes of subtrees that are known to be in a tree, by the records that
// each is over: from the first to before the second number.
type nodes map[[2]int64]tlog.Hash

// prove keeps every hash of a record's inclusion proof, which must have been checked, and
// returns the root of the subtree over the records lo to before hi.
// Source of the order of hashes in a proof: RFC 6962, section 2.1.1.
func (n nodes) prove(proof tlog.RecordProof, lo, hi, index int64, record tlog.Hash) tlog.Hash {
	h := record
	if hi-lo > 1 {
		rest, sibling := proof[:len(proof)-1], proof[len(proof)-1]
		if mid := lo + split(hi-lo); index < mid {
			n[[2]int64{mid, hi}] = sibling
			h = tlog.NodeHash(n.prove(rest, lo, mid, index, record), sibling)
		} else {
			n[[2]int64{lo, mid}] = sibling
			h = tlog.NodeHash(sibling, n.prove(rest, mid, hi, index, record))
		}
	}
	n[[2]int64{lo, hi}] = h
	return h
}

// root returns the root of the tree over the records lo to before hi, if it follows from
// what is known.
func (n nodes) root(lo, hi int64) (h tlog.Hash, ok bool) {
	if h, ok = n[[2]int64{lo, hi}]; ok || hi-lo < 2 {
		return h, ok
	}
	mid := lo + split(hi-lo)
	left, ok := n.root(lo, mid)
	if !ok {
		return h, false
	}
	right, ok := n.root(mid, hi)
	return tlog.NodeHash(left, right), ok
}

// split returns the largest power of two that is less than n, which is at least 2.
func split(n int64) int64 {
	k := int64(1)
	for k*2 < n {
		k *= 2
	}
	return k
}

// earlierTrees opens checkpoints that were kept elsewhere, and sorts them by size.
func earlierTrees(v note.Verifier, texts [][]byte) (out []tlog.Tree, err error) {
	for i, text := range texts {
		t, err := openCheckpoint(v, text)
		if err != nil {
			return nil, problem(-1, "earlier checkpoint %d: %v", i+1, err)
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b tlog.Tree) int { return cmp.Compare(a.N, b.N) })
	return out, nil
}

// consistent checks that the log of the file and every earlier checkpoint are of one log
// that only grew: by the export of it, or else by what the file's own proofs imply.
func (r *caseRun) consistent(checkpoint string, o CaseOptions) error {
	for _, t := range r.earlier {
		r.report.Earlier = append(r.report.Earlier, t.N)
	}
	if o.Log != nil {
		_, err := Verify(o.Log, Options{PublicKey: o.PublicKey, Earlier: append(slices.Clone(o.Earlier), []byte(checkpoint))})
		if p, ok := errors.AsType[*Problem](err); ok {
			return problem(p.Index, "the export of the log: %s", p.Text)
		}
		return err
	}
	if r.tree.N > 0 {
		r.nodes[[2]int64{0, r.tree.N}] = r.tree.Hash
	}
	r.nodes[[2]int64{0, 0}] = (&compact{}).root()
	undecided := int64(-1)
	for _, t := range r.earlier {
		root, ok := r.nodes.root(0, t.N)
		switch {
		case !ok || t.N > r.tree.N:
			undecided = t.N
		case root != t.Hash:
			return problem(-1, "the first %d entries of the log are not those of the earlier checkpoint: the past was altered", t.N)
		}
	}
	if undecided >= 0 {
		return fmt.Errorf("the file alone does not show whether its log of %d entries and the checkpoint of %d are of one log: %w", r.tree.N, undecided, ErrUndecided)
	}
	return nil
}
