package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// caseFormat is the form of a case file that this program knows. docs/case-file.md
// describes it.
const caseFormat = "ward-case/1"

// evidenceFormat is the form of a signed report. docs/evidence.md describes it.
const evidenceFormat = "ward-evidence/1"

// maxCase bounds a case file, so that a hostile one cannot fill the memory.
const maxCase = 64 << 20

// CaseOptions are what the stranger holds.
type CaseOptions struct {
	// PublicKey is as in Options. The key that stands in the file proves nothing.
	PublicKey string
	// PDF is the page that came with the file. Nil leaves it unchecked.
	PDF []byte
	// Earlier are signed checkpoints of the log that were kept elsewhere: the file's own
	// must be of the same log, with nothing altered or removed.
	Earlier [][]byte
	// Log is an export of the log, made after the file and after every earlier checkpoint.
	// It may be nil: the file's own proofs often suffice. An ErrUndecided says when not.
	Log io.Reader
}

// ErrUndecided is the error of VerifyCase, wrapped, when all is well with the file and it
// just cannot be told from it alone whether its log begins with an earlier checkpoint.
var ErrUndecided = errors.New("give an export of the log too")

// CaseReport is what was verified.
type CaseReport struct {
	Log          string // the name in the key
	ID           string // of the case, or of an order without one
	Organisation string // as the file says
	Made         time.Time
	Sum          string // SHA-256 of what is signed, lower-case hexadecimal
	PDF          bool   // the PDF that was given is the one that the file names

	Size    int64     // of the log at the checkpoint in the file
	Root    tlog.Hash // likewise
	Earlier []int64   // sizes of the earlier checkpoints, ascending; the log is consistent with each

	Entries   []CaseEntry // by position; each is in the log
	Disclosed int         // parts of them whose content is shown and is what was committed to
	Sealed    int         // parts that are not shown: erased since
	Pending   int         // entries that had no position yet: nothing is proven of them
	Approvals []CaseApproval

	Kind    string       // "case", or "report" for one that evidence was put together for
	Changes []CaseChange // of devices; each was sealed into the log and not altered since
}

// CaseEntry is an entry of the log, as it was recorded.
type CaseEntry struct {
	Index   int64
	At      time.Time
	Action  string
	Subject string // empty if it was erased
	Actor   string // likewise
}

// caseDocument is the file.
type caseDocument struct {
	Payload   []byte
	Signature string
}

// casePayload is what is signed, as far as it is checked.
type casePayload struct {
	Format       string      `json:"format"`
	ID           string      `json:"id"`
	Made         time.Time   `json:"made_at"`
	Organisation string      `json:"organisation"`
	Orders       []caseOrder `json:"orders"`
	Audit        caseAudit   `json:"audit"`
	PDF          string      `json:"pdf_sha256"`

	Changes []caseChange `json:"posture_changes"` // of a report
}

// caseRun is one verification.
type caseRun struct {
	verifier note.Verifier
	earlier  []tlog.Tree // ascending by size
	tree     tlog.Tree   // of the checkpoint in the file
	nodes    nodes
	seals    map[string]seal // that the log shows, by their subjects
	report   CaseReport
}

// VerifyCase reads a case file and checks what it can of it: its signature, its PDF, that
// each entry of the audit log that it shows stands there, and that each approval that the
// server calls proven is a signature over its order. It returns a *Problem for the first thing that is not as it
// should be. What the file tells beside that is the word of the server that signed it.
func VerifyCase(file io.Reader, o CaseOptions) (CaseReport, error) {
	r := &caseRun{nodes: nodes{}, seals: map[string]seal{}}
	var err error
	if r.verifier, err = note.NewVerifier(strings.TrimSpace(o.PublicKey)); err != nil {
		return CaseReport{}, fmt.Errorf("the public key is not one: %w", err)
	}
	r.report.Log = r.verifier.Name()
	if r.earlier, err = earlierTrees(r.verifier, o.Earlier); err != nil {
		return CaseReport{}, err
	}
	p, err := r.open(file)
	if err != nil {
		return CaseReport{}, err
	}
	if err := r.pdf(p, o.PDF); err != nil {
		return CaseReport{}, err
	}
	if err := r.audit(p.Audit); err != nil {
		return CaseReport{}, err
	}
	if err := r.changes(p.Changes); err != nil {
		return CaseReport{}, err
	}
	for _, order := range p.Orders {
		if err := r.order(order); err != nil {
			return CaseReport{}, err
		}
	}
	if err := r.consistent(p.Audit.Checkpoint, o); err != nil {
		return CaseReport{}, err
	}
	return r.report, nil
}

// open checks the signature and returns what is signed.
func (r *caseRun) open(file io.Reader) (p casePayload, err error) {
	b, err := io.ReadAll(io.LimitReader(file, maxCase+1))
	switch {
	case err != nil:
		return p, fmt.Errorf("read case file: %w", err)
	case len(b) > maxCase:
		return p, problem(-1, "the file is longer than %d bytes", maxCase)
	}
	doc, err := readDocument(b)
	if err != nil {
		return p, problem(-1, "the file is not a case file: %v", err)
	}
	n, err := openNote(r.verifier, []byte(doc.Signature))
	if err != nil {
		return p, problem(-1, "the signature of the file: %v", err)
	}
	format, rest, _ := strings.Cut(n.Text, "\n")
	switch format {
	case caseFormat:
		r.report.Kind = "case"
	case evidenceFormat:
		r.report.Kind = "report"
	default:
		return p, problem(-1, "what is signed is a %q; this program knows %q and %q", format, caseFormat, evidenceFormat)
	}
	id, rest, _ := strings.Cut(rest, "\n")
	sum := sha256.Sum256(doc.Payload)
	r.report.Sum = hex.EncodeToString(sum[:])
	if rest != r.report.Sum+"\n" {
		return p, problem(-1, "the signature is of another content: the file was altered")
	}
	if err := json.Unmarshal(doc.Payload, &p); err != nil {
		return p, problem(-1, "its content is malformed: %v", err)
	}
	if p.Format != format || p.ID != id || id == "" {
		return p, problem(-1, "its content says that it is %q of %q, its signature %q of %q", p.Format, p.ID, format, id)
	}
	r.report.ID, r.report.Made, r.report.Organisation = p.ID, p.Made, p.Organisation
	return p, nil
}

// readDocument reads the file's outer form strictly: were a field there twice, or once
// more in capitals, another program could show what was not signed.
func readDocument(b []byte) (doc caseDocument, err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return doc, errors.New("it is no JSON object")
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok || seen[name] {
			return doc, errors.New("it is malformed, or has a field twice")
		}
		seen[name] = true
		switch name {
		case "payload":
			err = dec.Decode(&doc.Payload)
		case "signature":
			err = dec.Decode(&doc.Signature)
		default:
			return doc, fmt.Errorf("it has a field %q", name)
		}
		if err != nil {
			return doc, fmt.Errorf("its %s is malformed", name)
		}
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return doc, errors.New("it is cut off")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return doc, errors.New("something stands behind it")
	}
	if len(doc.Payload) == 0 || doc.Signature == "" {
		return doc, errors.New("it has no payload, or no signature")
	}
	return doc, nil
}

func (r *caseRun) pdf(p casePayload, pdf []byte) error {
	if pdf == nil {
		return nil
	}
	sum := sha256.Sum256(pdf)
	want, err := hex.DecodeString(p.PDF)
	if err != nil || !bytes.Equal(want, sum[:]) {
		return problem(-1, "the PDF is not the one that belongs to this file")
	}
	r.report.PDF = true
	return nil
}
