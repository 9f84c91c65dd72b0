package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// sealAction is what the log calls a seal over changes of devices' postures.
const sealAction = "posture.sealed"

// changeFormat begins the record of such a change.
const changeFormat = "ward-posture/1"

// seal is the Merkle tree that an entry of the log states.
type seal struct {
	size int64
	root tlog.Hash
}

// caseChange is a change as a report shows it.
type caseChange struct {
	Record []byte   `json:"record"`
	Seal   string   `json:"seal"` // the subject of the entry
	Index  int64    `json:"index"`
	Proof  [][]byte `json:"proof"`
}

// CaseChange is one change of a device's posture, as it was recorded and sealed.
type CaseChange struct {
	Seq    int64
	Device string
	At     time.Time
	Prev   int64           // the change of the same device before it; 0 for its first
	Body   json.RawMessage // the posture after it; empty if the device was deleted then
	Seal   string
	Linked bool // another change in the file names this one as the one before it: none was left out between the two
}

// seal keeps what an entry of the log states of a seal.
func (r *caseRun) seal(at int64, s shown) error {
	if s.Subject == "" {
		return nil // erased: nothing can be proven under it
	}
	size, err := strconv.ParseInt(s.Detail["changes"], 10, 64)
	root, wrong := base64.StdEncoding.DecodeString(s.Detail["root"])
	if err != nil || wrong != nil || size < 1 || len(root) != tlog.HashSize {
		return problem(at, "it states no seal")
	}
	if _, twice := r.seals[s.Subject]; twice {
		return problem(at, "there are two seals with the name %q", s.Subject)
	}
	r.seals[s.Subject] = seal{size, tlog.Hash(root)}
	return nil
}

// changes checks that each change is under its seal, whose entry was found in the log.
func (r *caseRun) changes(all []caseChange) error {
	named := map[int64]bool{}
	seen := map[int64]bool{}
	for i, c := range all {
		s, ok := r.seals[c.Seal]
		if !ok {
			return problem(-1, "change %d of a device stands under %q, of which the file shows no entry of the log", i+1, c.Seal)
		}
		proof := make(tlog.RecordProof, len(c.Proof))
		for n, h := range c.Proof {
			if len(h) != tlog.HashSize {
				return problem(-1, "the proof of change %d of a device is malformed", i+1)
			}
			proof[n] = tlog.Hash(h)
		}
		if c.Index < 0 || c.Index >= s.size || tlog.CheckRecord(proof, s.size, s.root, c.Index, tlog.RecordHash(c.Record)) != nil {
			return problem(-1, "change %d of a device is not under %s: it was altered, or never recorded", i+1, c.Seal)
		}
		x, err := readChange(c.Record)
		if err != nil {
			return problem(-1, "change %d of a device: %v", i+1, err)
		}
		x.Seal = c.Seal
		named[x.Prev] = true
		if !seen[x.Seq] {
			seen[x.Seq] = true
			r.report.Changes = append(r.report.Changes, x)
		}
	}
	for i := range r.report.Changes {
		r.report.Changes[i].Linked = named[r.report.Changes[i].Seq]
	}
	return nil
}

// readChange reads the record of a change strictly.
func readChange(b []byte) (x CaseChange, err error) {
	var text struct {
		Format string `json:"format"`
		Seq    int64  `json:"seq"`
		Device string `json:"device"`
		At     string `json:"at"`
		Prev   int64  `json:"prev"`
		Body   string `json:"body"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&text); err != nil {
		return x, errors.New("its record is malformed")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return x, errors.New("something stands behind its record")
	}
	at, err := time.Parse(time.RFC3339Nano, text.At)
	if err != nil || text.Format != changeFormat || text.Device == "" {
		return x, errors.New("its record is not one of a change")
	}
	if text.Body != "" && !json.Valid([]byte(text.Body)) {
		return x, errors.New("the posture in its record is malformed")
	}
	return CaseChange{Seq: text.Seq, Device: text.Device, At: at, Prev: text.Prev, Body: json.RawMessage(text.Body)}, nil
}
