// Package verify checks an exported audit log, or the file of a case, as a stranger
// would: with the file, the log's public key, and checkpoints that were kept elsewhere. It shares no code
// with the server, whose word it does not take, and reads nothing but what it is
// given.
package verify

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxLine bounds a line of an export, so that a hostile file cannot fill the memory.
const maxLine = 1 << 20

// Options are what the stranger holds.
type Options struct {
	// PublicKey is the log's key as text, name+hash+data, obtained apart from the export.
	PublicKey string
	// Earlier are signed checkpoints that were kept elsewhere. The export must begin
	// with what each of them states. Without one, a log that was cut back to an older
	// checkpoint of its own cannot be told from a whole one.
	Earlier [][]byte
}

// Report is what was verified.
type Report struct {
	Log     string    // the name in the key
	Size    int64     // entries in the log
	Root    tlog.Hash // root of the tree of that size
	Earlier []int64   // sizes of the earlier checkpoints, ascending

	Actions   map[string]int64 // entries by action
	First     time.Time        // time of the first entry; zero in an empty log
	Last      time.Time        // time of the last entry
	Disclosed int64            // parts whose content is shown and is what was committed to
	Sealed    int64            // parts that are not shown: erased, or withheld from this export
}

// Problem is why an export is not to be trusted. Any other error means that it could
// not be judged: it could not be read, or the public key is malformed.
type Problem struct {
	Index int64 // the entry it was found at, -1 if it belongs to none
	Text  string
}

// Error returns the text with the entry it belongs to.
func (p *Problem) Error() string {
	if p.Index < 0 {
		return p.Text
	}
	return fmt.Sprintf("entry %d: %s", p.Index, p.Text)
}

func problem(index int64, format string, args ...any) *Problem {
	return &Problem{index, fmt.Sprintf(format, args...)}
}

// header is the first line.
type header struct {
	Type       string `json:"type"`
	Version    int    `json:"v"`
	Log        string `json:"log"`
	Checkpoint string `json:"checkpoint"`
}

// entry is each further line.
type entry struct {
	Type  string `json:"type"`
	Index *int64 `json:"index"`
	Leaf  string `json:"leaf"`
	Who   *part  `json:"who"`
	What  *part  `json:"what"`
}

type part struct {
	Salt    string `json:"salt"`
	JSON    string `json:"json"`
	Damaged bool   `json:"damaged"`
}

// leaf is what the tree holds.
type leaf struct {
	Version int       `json:"v"`
	At      time.Time `json:"at"`
	Action  string    `json:"action"`
	Who     string    `json:"who"`
	What    string    `json:"what"`
}

// run is one verification.
type run struct {
	verifier note.Verifier
	final    tlog.Tree
	earlier  []tlog.Tree // ascending by size
	tree     compact
	report   Report
}

// Verify reads an export and recomputes everything in it. It returns a *Problem for
// the first thing that is not as it should be.
func Verify(export io.Reader, o Options) (Report, error) {
	r := &run{report: Report{Actions: map[string]int64{}}}
	var err error
	if r.verifier, err = note.NewVerifier(strings.TrimSpace(o.PublicKey)); err != nil {
		return Report{}, fmt.Errorf("the public key is not one: %w", err)
	}
	r.report.Log = r.verifier.Name()
	if r.earlier, err = earlierTrees(r.verifier, o.Earlier); err != nil {
		return Report{}, err
	}
	for _, t := range r.earlier {
		r.report.Earlier = append(r.report.Earlier, t.N)
	}
	if err := r.read(bufio.NewReader(export)); err != nil {
		return Report{}, err
	}
	if err := r.finish(); err != nil {
		return Report{}, err
	}
	return r.report, nil
}

// openNote checks a note's signature.
func openNote(v note.Verifier, text []byte) (*note.Note, error) {
	n, err := note.Open(text, note.VerifierList(v))
	if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return nil, errors.New("it is not signed with the given key")
	}
	if err != nil {
		return nil, fmt.Errorf("its signature does not hold: %w", err)
	}
	return n, nil
}

// openCheckpoint opens a signed checkpoint. Source of its form: https://c2sp.org/tlog-checkpoint
func openCheckpoint(v note.Verifier, text []byte) (tlog.Tree, error) {
	n, err := openNote(v, text)
	if err != nil {
		return tlog.Tree{}, err
	}
	origin, rest, _ := strings.Cut(n.Text, "\n")
	if origin != v.Name() {
		return tlog.Tree{}, fmt.Errorf("it is of the log %q, not %q", origin, v.Name())
	}
	// The two lines after the origin are those of Go's own checkpoints.
	t, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	if err != nil {
		return tlog.Tree{}, errors.New("it is malformed")
	}
	return t, nil
}

func (r *run) read(in *bufio.Reader) error {
	line, err := readLine(in)
	if errors.Is(err, io.EOF) {
		return problem(-1, "the export is empty")
	}
	if err != nil {
		return err
	}
	if err := r.header(line); err != nil {
		return err
	}
	for {
		if err := r.match(); err != nil {
			return err
		}
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.entry(line); err != nil {
			return err
		}
	}
}

// readLine returns the next line without its end, io.EOF when there is none.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		b, err := in.ReadSlice('\n')
		line = append(line, b...)
		if len(line) > maxLine {
			return nil, problem(-1, "a line is longer than %d bytes", maxLine)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case errors.Is(err, io.EOF):
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("read export: %w", err)
		}
	}
}

func (r *run) header(line []byte) error {
	var h header
	if err := json.Unmarshal(line, &h); err != nil || h.Type != "header" {
		return problem(-1, "the first line is not the header of an export")
	}
	if h.Version != 1 {
		return problem(-1, "the export has version %d; this program knows version 1", h.Version)
	}
	if h.Log != r.verifier.Name() {
		return problem(-1, "the export is of the log %q, not %q", h.Log, r.verifier.Name())
	}
	var err error
	if r.final, err = openCheckpoint(r.verifier, []byte(h.Checkpoint)); err != nil {
		return problem(-1, "the checkpoint of the export: %v", err)
	}
	if n := len(r.earlier); n > 0 && r.earlier[n-1].N > r.final.N {
		return problem(-1, "the export has %d entries and an earlier checkpoint states %d: entries were removed, or the export is older than the checkpoint", r.final.N, r.earlier[n-1].N)
	}
	return nil
}

// match compares the tree so far with every earlier checkpoint of its size.
func (r *run) match() error {
	for _, t := range r.earlier {
		if t.N == r.tree.size && t.Hash != r.tree.root() {
			return problem(-1, "the first %d entries are not those of the earlier checkpoint: the past was altered", t.N)
		}
	}
	return nil
}

func (r *run) entry(line []byte) error {
	at := r.tree.size
	if at >= r.final.N {
		return problem(at, "the export holds more than the %d entries of its checkpoint", r.final.N)
	}
	var e entry
	if err := json.Unmarshal(line, &e); err != nil || e.Type != "entry" || e.Index == nil {
		return problem(at, "the line is not an entry")
	}
	if *e.Index != at {
		return problem(at, "the line has index %d: an entry is missing, repeated or out of order", *e.Index)
	}
	l, err := readLeaf(e.Leaf)
	if err != nil {
		return problem(at, "%v", err)
	}
	if err := r.part(at, "actor", e.Who, l.Who); err != nil {
		return err
	}
	if err := r.part(at, "subject", e.What, l.What); err != nil {
		return err
	}
	r.tree.add([]byte(e.Leaf))
	r.report.Actions[l.Action]++
	if at == 0 {
		r.report.First = l.At
	}
	r.report.Last = l.At
	return nil
}

func readLeaf(text string) (l leaf, err error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil || l.Version != 1 || l.Action == "" || l.Who == "" || l.What == "" {
		return l, errors.New("its text is malformed")
	}
	return l, nil
}

// part checks a disclosed part.
func (r *run) part(at int64, name string, p *part, commitment string) error {
	if p == nil {
		r.report.Sealed++
		return nil
	}
	if p.Damaged {
		return problem(at, "the server itself found its %s altered", name)
	}
	salt, err := base64.RawURLEncoding.DecodeString(p.Salt)
	if err != nil {
		return problem(at, "the salt of its %s is malformed", name)
	}
	if err := opens(at, name, salt, p.JSON, commitment); err != nil {
		return err
	}
	r.report.Disclosed++
	return nil
}

// opens checks what is shown of a part: commitment = base64url(SHA-256(salt || text)).
func opens(at int64, name string, salt []byte, text, commitment string) error {
	if len(salt) != sha256.Size {
		return problem(at, "the salt of its %s is malformed", name)
	}
	sum := sha256.Sum256(append(bytes.Clone(salt), text...))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != commitment {
		return problem(at, "its %s is not what was committed to", name)
	}
	return nil
}

func (r *run) finish() error {
	if r.tree.size < r.final.N {
		return problem(-1, "the export ends after %d entries and its checkpoint states %d", r.tree.size, r.final.N)
	}
	if r.tree.root() != r.final.Hash {
		return problem(-1, "the entries do not give the root that the checkpoint states: at least one was altered, swapped or replaced")
	}
	r.report.Size, r.report.Root = r.final.N, r.final.Hash
	return nil
}

// compact is a Merkle tree of which only the roots of its complete subtrees are kept,
// largest first. Source: RFC 6962, section 2.1.
type compact struct {
	size  int64
	roots []tlog.Hash
}

func (c *compact) add(record []byte) {
	h := tlog.RecordHash(record)
	for n := c.size; n&1 == 1; n >>= 1 {
		last := len(c.roots) - 1
		h = tlog.NodeHash(c.roots[last], h)
		c.roots = c.roots[:last]
	}
	c.roots = append(c.roots, h)
	c.size++
}

func (c *compact) root() tlog.Hash {
	if c.size == 0 {
		return sha256.Sum256(nil)
	}
	h := c.roots[len(c.roots)-1]
	for i := len(c.roots) - 2; i >= 0; i-- {
		h = tlog.NodeHash(c.roots[i], h)
	}
	return h
}
