package verify

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// entryFormat names the file of one entry.
const entryFormat = "ward-audit-proof/1"

// EntryReport is what was verified of the file of one entry.
type EntryReport struct {
	Log       string // the name in the key
	Size      int64  // of the log at the checkpoint in the file
	Root      tlog.Hash
	Index     int64
	At        time.Time
	Action    string
	Who, What string // as JSON, where the file shows them; they are what was committed to
}

// entryFile is that file. The key in it is not believed.
type entryFile struct {
	Format     string        `json:"format"`
	Checkpoint string        `json:"checkpoint"`
	Index      int64         `json:"index"`
	Record     string        `json:"record"`
	Proof      [][]byte      `json:"proof"`
	Who        *entryOpening `json:"who"`
	What       *entryOpening `json:"what"`
}

type entryOpening struct {
	Salt string `json:"salt"`
	JSON string `json:"json"`
}

// VerifyEntry reads the file of one entry and checks that it stands in the log that the signed
// checkpoint in the file states, and that what the file shows of it is what was committed to.
// It returns a *Problem for the first thing that is not as it should be.
func VerifyEntry(file io.Reader, publicKey string) (EntryReport, error) {
	var r EntryReport
	v, err := note.NewVerifier(strings.TrimSpace(publicKey))
	if err != nil {
		return r, fmt.Errorf("the public key is not one: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(file, maxLine))
	if err != nil {
		return r, fmt.Errorf("read the file of an entry: %w", err)
	}
	var f entryFile
	if err := json.Unmarshal(b, &f); err != nil || f.Format != entryFormat {
		return r, problem(-1, "the file is not that of an entry: this program knows %q", entryFormat)
	}
	tree, err := openCheckpoint(v, []byte(f.Checkpoint))
	if err != nil {
		return r, problem(-1, "the checkpoint in the file: %v", err)
	}
	proof := make(tlog.RecordProof, len(f.Proof))
	for i, h := range f.Proof {
		if len(h) != len(proof[i]) {
			return r, problem(f.Index, "its proof is malformed")
		}
		copy(proof[i][:], h)
	}
	if f.Index < 0 || f.Index >= tree.N || tlog.CheckRecord(proof, tree.N, tree.Hash, f.Index, tlog.RecordHash([]byte(f.Record))) != nil {
		return r, problem(f.Index, "it does not stand in the log that the checkpoint states: it was altered, or never recorded")
	}
	l, err := readLeaf(f.Record)
	if err != nil {
		return r, problem(f.Index, "its record is malformed: %v", err)
	}
	r = EntryReport{Log: v.Name(), Size: tree.N, Root: tree.Hash, Index: f.Index, At: l.At, Action: l.Action}
	if r.Who, err = f.Who.open(f.Index, "who", l.Who); err != nil {
		return r, err
	}
	r.What, err = f.What.open(f.Index, "what", l.What)
	return r, err
}

// open checks what is shown of an entry, "" where nothing is.
func (o *entryOpening) open(at int64, name, commitment string) (string, error) {
	if o == nil {
		return "", nil
	}
	salt, err := base64.RawURLEncoding.DecodeString(o.Salt)
	if err != nil {
		return "", problem(at, "the salt of %q is malformed", name)
	}
	return o.JSON, opens(at, name, salt, o.JSON, commitment)
}
