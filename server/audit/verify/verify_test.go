package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward/server/audit/verify"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// log is a small log of the test's own making.
type log struct {
	t      testing.TB
	signer note.Signer
	key    string
	lines  []string // entries
	hashes []tlog.Hash
	notes  []string // checkpoints by size
}

// newLog makes the same log for the same seed, so that a corpus stays good.
func newLog(t testing.TB, name string, seed byte, entries int) *log {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	public, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Split(public, "+")[1]
	signer, err := note.NewSigner("PRIVATE+KEY+" + name + "+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...)))
	if err != nil {
		t.Fatal(err)
	}
	l := &log{t: t, signer: signer, key: public}
	l.notes = append(l.notes, l.sign(0))
	for i := range entries {
		l.add(fmt.Sprintf("device.deed-%c", 'a'+i%3), i)
		l.notes = append(l.notes, l.sign(int64(i+1)))
	}
	return l
}

func (l *log) read(positions []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(positions))
	for i, p := range positions {
		out[i] = l.hashes[p]
	}
	return out, nil
}

// disclosed returns a part's line text and its commitment.
func disclosed(text string) (string, string) {
	salt := sha256.Sum256([]byte(text)) // any 32 bytes
	sum := sha256.Sum256(append(salt[:], text...))
	e := base64.RawURLEncoding
	b, err := json.Marshal(map[string]string{"salt": e.EncodeToString(salt[:]), "json": text})
	if err != nil {
		panic(err)
	}
	return string(b), e.EncodeToString(sum[:])
}

func (l *log) add(action string, i int) {
	who, whoIs := disclosed(fmt.Sprintf(`{"person":"p%d"}`, i))
	what, whatIs := disclosed(fmt.Sprintf(`{"subject":"d%d"}`, i))
	leaf := fmt.Sprintf(`{"v":1,"at":"2026-03-12T09:00:%02dZ","action":%q,"who":%q,"what":%q}`, i, action, whoIs, whatIs)
	hashes, err := tlog.StoredHashes(int64(i), []byte(leaf), tlog.HashReaderFunc(l.read))
	if err != nil {
		l.t.Fatal(err)
	}
	l.hashes = append(l.hashes, hashes...)
	quoted, err := json.Marshal(leaf)
	if err != nil {
		l.t.Fatal(err)
	}
	line := fmt.Sprintf(`{"type":"entry","index":%d,"leaf":%s,"who":%s,"what":%s}`, i, quoted, who, what)
	if i%4 == 3 { // the actor of every fourth is erased
		line = fmt.Sprintf(`{"type":"entry","index":%d,"leaf":%s,"what":%s}`, i, quoted, what)
	}
	l.lines = append(l.lines, line)
}

func (l *log) sign(size int64) string {
	root, err := tlog.TreeHash(size, tlog.HashReaderFunc(l.read))
	if err != nil {
		l.t.Fatal(err)
	}
	b, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", l.signer.Name(), size, root)}, l.signer)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

// export writes the entries under the checkpoint of the size.
func (l *log) export(size int) string {
	return export(l.key, l.notes[size], l.lines[:size])
}

func export(key, checkpoint string, lines []string) string {
	name, _, _ := strings.Cut(key, "+")
	h, err := json.Marshal(map[string]any{"type": "header", "v": 1, "log": name, "key": key, "checkpoint": checkpoint})
	if err != nil {
		panic(err)
	}
	return string(h) + "\n" + strings.Join(append(slices.Clone(lines), ""), "\n")
}

func TestVerify(t *testing.T) {
	t.Parallel()
	l := newLog(t, "ward.example", 1, 11)
	for size := range 12 {
		o := verify.Options{PublicKey: l.key + "\n"}
		for earlier := size; earlier >= 0; earlier-- { // every earlier checkpoint, in no good order
			o.Earlier = append(o.Earlier, []byte(l.notes[earlier]))
		}
		got, err := verify.Verify(strings.NewReader(l.export(size)), o)
		if err != nil {
			t.Errorf("size %d: %v", size, err)
			continue
		}
		root, err := tlog.TreeHash(int64(size), tlog.HashReaderFunc(l.read))
		if err != nil {
			t.Fatal(err)
		}
		want := verify.Report{Log: "ward.example", Size: int64(size), Root: root, Actions: map[string]int64{}, Sealed: int64(size / 4), Disclosed: int64(2*size - size/4)}
		for i := range size + 1 {
			want.Earlier = append(want.Earlier, int64(i))
		}
		for i := range size {
			want.Actions[fmt.Sprintf("device.deed-%c", 'a'+i%3)]++
		}
		if size > 0 {
			want.First = time.Date(2026, 3, 12, 9, 0, 0, 0, time.UTC)
			want.Last = want.First.Add(time.Duration(size-1) * time.Second)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("size %d: report mismatch (-want +got)\n%s", size, diff)
		}
	}
}

// TestTampering: each way in which a log can be made to lie.
func TestTampering(t *testing.T) {
	t.Parallel()
	l := newLog(t, "ward.example", 1, 8)
	forger := newLog(t, "ward.example", 2, 8) // the same name, another key, other content
	forger.key = l.key
	other := newLog(t, "elsewhere.example", 1, 8)
	edit := func(i int, old, new string) []string { //nolint:revive // old and new say it best
		lines := slices.Clone(l.lines)
		lines[i] = strings.Replace(lines[i], old, new, 1)
		if lines[i] == l.lines[i] {
			t.Fatalf("%q is not in line %d", old, i)
		}
		return lines
	}
	swapped := slices.Clone(l.lines)
	swapped[2], swapped[3] = swapped[3], swapped[2]
	renumbered := slices.Clone(swapped)
	renumbered[2] = strings.Replace(renumbered[2], `"index":3`, `"index":2`, 1)
	renumbered[3] = strings.Replace(renumbered[3], `"index":2`, `"index":3`, 1)
	rewritten := newLog(t, "ward.example", 1, 0) // the operator himself, with the key, rewrites the past
	rewritten.signer, rewritten.key = l.signer, l.key
	for i := range 8 {
		rewritten.add("device.deed-z", i)
	}
	tests := []struct {
		name    string
		export  string
		earlier string
		want    string
	}{
		{"text of an entry edited", export(l.key, l.notes[8], edit(2, "device.deed-c", "device.deed-a")), "", "do not give the root"},
		{"time of an entry edited", export(l.key, l.notes[8], edit(2, "09:00:02", "09:00:03")), "", "do not give the root"},
		{"disclosed content edited", export(l.key, l.notes[8], edit(2, `p2`, `p1`)), "", "entry 2: its actor is not what was committed to"},
		{"disclosed content of another entry", export(l.key, l.notes[8], edit(2, `{\"subject\":\"d2\"}`, `{\"subject\":\"d1\"}`)), "", "entry 2: its subject is not what was committed to"},
		{"salt cut", export(l.key, l.notes[8], edit(2, `"salt":"`, `"salt":"AA`)), "", "entry 2: the salt of its actor is malformed"},
		{"damaged part", export(l.key, l.notes[8], edit(2, `"who":{`, `"who":{"damaged":true,`)), "", "entry 2: the server itself found its actor altered"},
		{"entry deleted", export(l.key, l.notes[8], slices.Delete(slices.Clone(l.lines), 3, 4)), "", "entry 3: the line has index 4"},
		{"entry deleted, the rest renumbered", renumber(slices.Delete(slices.Clone(l.lines), 3, 4), l), "", "ends after 7 entries and its checkpoint states 8"},
		{"entries reordered", export(l.key, l.notes[8], swapped), "", "entry 2: the line has index 3"},
		{"entries reordered and renumbered", export(l.key, l.notes[8], renumbered), "", "do not give the root"},
		{"end cut off", export(l.key, l.notes[8], l.lines[:6]), "", "ends after 6 entries and its checkpoint states 8"},
		{"cut back to an older checkpoint", l.export(5), l.notes[7], "states 7: entries were removed"},
		{"an entry repeated", export(l.key, l.notes[8], slices.Insert(slices.Clone(l.lines), 3, l.lines[2])), "", "entry 3: the line has index 2"},
		{"an entry added at the end", export(l.key, l.notes[7], l.lines), "", "entry 7: the export holds more than the 7 entries"},
		{"an entry repeated at the end", export(l.key, l.notes[8], append(slices.Clone(l.lines), l.lines[7])), "", "more than the 8 entries"},
		{"checkpoint forged with another key", forger.export(8), "", "not signed with the given key"},
		{"checkpoint edited", export(l.key, strings.Replace(l.notes[8], "\n8\n", "\n7\n", 1), l.lines[:7]), "", "signature does not hold"},
		{"checkpoint unsigned", export(l.key, "ward.example\n8\n\n", l.lines), "", "signature does not hold"},
		{"another log", other.export(8), "", `of the log "elsewhere.example"`},
		{"checkpoint of another log", export(l.key, other.notes[8], l.lines), "", "not signed with the given key"},
		{"checkpoint of another size", export(l.key, l.notes[7], l.lines[:6]), "", "ends after 6 entries"},
		{"earlier checkpoint forged", l.export(8), strings.Replace(l.notes[5], "\n5\n", "\n6\n", 1), "earlier checkpoint 1: its signature does not hold"},
		{"earlier checkpoint of another key", l.export(8), other.notes[5], "earlier checkpoint 1: it is not signed with the given key"},
		{"past rewritten with the true key", export(l.key, rewritten.sign(8), rewritten.lines), l.notes[5], "the first 5 entries are not those of the earlier checkpoint"},
		{"past rewritten, nothing added", export(l.key, rewritten.sign(8), rewritten.lines), l.notes[8], "the first 8 entries are not those of the earlier checkpoint"},
		{"empty", "", "", "the export is empty"},
		{"not an export", "hello\n", "", "not the header"},
		{"of a later version", strings.Replace(l.export(8), `"v":1`, `"v":2`, 1), "", "version 2"},
		{"two headers", strings.Split(l.export(8), "\n")[0] + "\n" + l.export(8), "", "entry 0: the line is not an entry"},
		{"a line without end", export(l.key, l.notes[8], []string{strings.Repeat("x", 2<<20)}), "", "longer than"},
	}
	for _, tt := range tests {
		o := verify.Options{PublicKey: l.key}
		if tt.earlier != "" {
			o.Earlier = [][]byte{[]byte(tt.earlier)}
		}
		_, err := verify.Verify(strings.NewReader(tt.export), o)
		if _, ok := errors.AsType[*verify.Problem](err); !ok || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Verify = %v, want a problem that says %q", tt.name, err, tt.want)
		}
	}
}

// renumber gives lines the indexes in their order.
func renumber(lines []string, l *log) string {
	out := make([]string, len(lines))
	for i, line := range lines {
		_, rest, _ := strings.Cut(line, `,"leaf"`)
		out[i] = fmt.Sprintf(`{"type":"entry","index":%d,"leaf"%s`, i, rest)
	}
	return export(l.key, l.notes[8], out)
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

// TestCannotJudge: what is no verdict on the log is no *Problem.
func TestCannotJudge(t *testing.T) {
	t.Parallel()
	l := newLog(t, "ward.example", 1, 1)
	_, err := verify.Verify(strings.NewReader(l.export(1)), verify.Options{PublicKey: "no key"})
	if _, ok := errors.AsType[*verify.Problem](err); err == nil || ok {
		t.Errorf("a malformed key: Verify = %v, want an error that is no problem of the log", err)
	}
	_, err = verify.Verify(brokenReader{}, verify.Options{PublicKey: l.key})
	if _, ok := errors.AsType[*verify.Problem](err); err == nil || ok {
		t.Errorf("an unreadable file: Verify = %v, want an error that is no problem of the log", err)
	}
}

// FuzzVerify: nothing but the very export verifies, and nothing crashes.
func FuzzVerify(f *testing.F) {
	l := newLog(f, "ward.example", 1, 5)
	whole := []byte(l.export(5))
	f.Add(whole)
	f.Add([]byte(l.export(0)))
	f.Add(bytes.TrimSuffix(whole, []byte("\n")))
	f.Add([]byte("{}\n{}\n"))
	want, err := verify.Verify(bytes.NewReader(whole), verify.Options{PublicKey: l.key})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := verify.Verify(bytes.NewReader(b), verify.Options{PublicKey: l.key, Earlier: [][]byte{[]byte(l.notes[5])}})
		if err == nil && got.Root != want.Root {
			t.Errorf("a log with the root %v verifies, want only %v", got.Root, want.Root)
		}
	})
}
