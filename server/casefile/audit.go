package casefile

import (
	"time"

	"github.com/wardmdm/ward/server/audit"
)

// Audit is where the deeds stand in the audit log, proven under one checkpoint.
type Audit struct {
	Origin     string    `json:"origin,omitempty"`
	Key        string    `json:"key,omitempty"`
	Checkpoint string    `json:"checkpoint,omitempty"` // the signed note
	Size       int64     `json:"-"`                    // of its tree
	Entries    []Entry   `json:"entries"`
	Pending    []Pending `json:"pending,omitempty"`
	Problem    string    `json:"problem,omitempty"` // why nothing could be proven; empty if it could
}

// Entry is one entry of the log.
type Entry struct {
	Index   int64     `json:"index"`
	Time    time.Time `json:"time,omitzero"`
	Action  string    `json:"action"`
	Subject string    `json:"subject,omitempty"`
	Actor   string    `json:"actor,omitempty"`
	Record  []byte    `json:"record"` // the exact bytes in the tree
	Proof   [][]byte  `json:"proof"`
	Who     *Opening  `json:"who,omitempty"`
	What    *Opening  `json:"what,omitempty"`
	Damaged bool      `json:"damaged,omitempty"`
}

// Opening opens a commitment of a record.
type Opening struct {
	Salt []byte `json:"salt"`
	JSON string `json:"json"`
}

// Pending is an entry that has no position yet.
type Pending struct {
	Time    time.Time `json:"time,omitzero"`
	Action  string    `json:"action"`
	Subject string    `json:"subject,omitempty"`
}

// AuditOf returns evidence in the words of a file.
func AuditOf(e audit.Evidence) Audit {
	out := Audit{Origin: e.Origin, Key: e.Key, Checkpoint: string(e.Checkpoint), Size: e.Size}
	for _, p := range e.Entries {
		x := Entry{
			Index: p.Index, Time: p.At, Action: p.Action, Subject: p.Subject, Actor: p.Actor.Name,
			Record: []byte(p.Leaf), Proof: [][]byte{}, Who: opening(p.Who), What: opening(p.What), Damaged: p.Damaged,
		}
		for _, h := range p.Hashes {
			x.Proof = append(x.Proof, h[:])
		}
		out.Entries = append(out.Entries, x)
	}
	for _, p := range e.Pending {
		out.Pending = append(out.Pending, Pending{Time: p.At, Action: p.Action, Subject: p.Subject})
	}
	return out
}

func opening(o *audit.Opening) *Opening {
	if o == nil {
		return nil
	}
	return &Opening{Salt: o.Salt, JSON: o.JSON}
}
