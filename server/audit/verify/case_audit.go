package verify

import (
	"encoding/json"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// caseAudit is what a case file says of the audit log.
type caseAudit struct {
	Origin     string      `json:"origin"`
	Key        string      `json:"key"`
	Checkpoint string      `json:"checkpoint"`
	Entries    []caseEntry `json:"entries"`
	Pending    []struct{}  `json:"pending"`
	Problem    string      `json:"problem"`
}

type caseEntry struct {
	Index   int64        `json:"index"`
	At      time.Time    `json:"time"`
	Action  string       `json:"action"`
	Subject string       `json:"subject"`
	Actor   string       `json:"actor"`
	Record  []byte       `json:"record"`
	Proof   [][]byte     `json:"proof"`
	Who     *caseOpening `json:"who"`
	What    *caseOpening `json:"what"`
	Damaged bool         `json:"damaged"`
}

type caseOpening struct {
	Salt []byte `json:"salt"`
	JSON string `json:"json"`
}

// audit checks the positions in the log.
func (r *caseRun) audit(a caseAudit) error {
	switch {
	case a.Problem != "":
		return problem(-1, "the server itself could not prove its log when it made the file: %s", a.Problem)
	case a.Origin != r.verifier.Name():
		return problem(-1, "the file is of the log %q, not %q", a.Origin, r.verifier.Name())
	}
	var err error
	if r.tree, err = openCheckpoint(r.verifier, []byte(a.Checkpoint)); err != nil {
		return problem(-1, "the checkpoint in the file: %v", err)
	}
	r.report.Size, r.report.Root, r.report.Pending = r.tree.N, r.tree.Hash, len(a.Pending)
	last := int64(-1)
	for _, e := range a.Entries {
		if e.Index <= last {
			return problem(e.Index, "it is repeated or out of order")
		}
		last = e.Index
		if err := r.entry(e); err != nil {
			return err
		}
	}
	return nil
}

// entry checks that the record is in the tree, that what is shown of it is what was
// committed to, and that the words beside it say the same.
func (r *caseRun) entry(e caseEntry) error {
	if e.Damaged {
		return problem(e.Index, "the server itself found it altered")
	}
	proof := make(tlog.RecordProof, len(e.Proof))
	for i, h := range e.Proof {
		if len(h) != tlog.HashSize {
			return problem(e.Index, "its proof is malformed")
		}
		proof[i] = tlog.Hash(h)
	}
	hash := tlog.RecordHash(e.Record)
	if e.Index < 0 || e.Index >= r.tree.N || tlog.CheckRecord(proof, r.tree.N, r.tree.Hash, e.Index, hash) != nil {
		return problem(e.Index, "it is not in the log: the proof does not lead to the root that the checkpoint states")
	}
	r.nodes.prove(proof, 0, r.tree.N, e.Index, hash)
	l, err := readLeaf(string(e.Record))
	if err != nil {
		return problem(e.Index, "%v", err)
	}
	subject, err := r.opening(e.Index, "subject", e.What, l.What)
	if err != nil {
		return err
	}
	actor, err := r.opening(e.Index, "actor", e.Who, l.Who)
	if err != nil {
		return err
	}
	switch {
	case e.Action != l.Action:
		return problem(e.Index, "the file calls it %q and the log %q", e.Action, l.Action)
	case !e.At.Equal(l.At.Truncate(time.Microsecond)):
		return problem(e.Index, "the file dates it %s and the log %s", e.At.Format(time.RFC3339Nano), l.At.Format(time.RFC3339Nano))
	case e.Subject != subject.Subject:
		return problem(e.Index, "the file says that it was done to %q and the log to %q", e.Subject, subject.Subject)
	case e.Actor != actor.Name:
		return problem(e.Index, "the file says that %q did it and the log %q", e.Actor, actor.Name)
	}
	if l.Action == sealAction {
		if err := r.seal(e.Index, subject); err != nil {
			return err
		}
	}
	r.report.Entries = append(r.report.Entries, CaseEntry{Index: e.Index, At: l.At, Action: l.Action, Subject: subject.Subject, Actor: actor.Name})
	return nil
}

// shown is what a part says, as far as a file repeats it.
type shown struct {
	Subject string            `json:"subject"`
	Name    string            `json:"name"`
	Detail  map[string]string `json:"detail"`
}

func (r *caseRun) opening(at int64, name string, o *caseOpening, commitment string) (s shown, err error) {
	if o == nil {
		r.report.Sealed++
		return s, nil
	}
	if err := opens(at, name, o.Salt, o.JSON, commitment); err != nil {
		return s, err
	}
	r.report.Disclosed++
	if err := json.Unmarshal([]byte(o.JSON), &s); err != nil {
		return s, problem(at, "its %s is malformed", name)
	}
	return s, nil
}
