package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward/server/audit/verify"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// object is a JSON object, so that a test can put into a file whatever a liar might.
type object = map[string]any

// content returns what is signed of a file with the entries at these positions, under the
// checkpoint of the size.
func (l *log) content(size int64, pdf string, at ...int) object {
	l.t.Helper()
	entries := []object{}
	for _, i := range at {
		var line struct {
			Leaf      string
			Who, What *struct{ Salt, JSON string }
		}
		if err := json.Unmarshal([]byte(l.lines[i]), &line); err != nil {
			l.t.Fatal(err)
		}
		proof, err := tlog.ProveRecord(size, int64(i), tlog.HashReaderFunc(l.read))
		if err != nil {
			l.t.Fatal(err)
		}
		hashes := make([][]byte, len(proof))
		for k, h := range proof {
			hashes[k] = h[:]
		}
		e := object{
			"index": i, "time": time.Date(2026, 3, 12, 9, 0, i, 0, time.UTC), "action": fmt.Sprintf("device.deed-%c", 'a'+i%3),
			"subject": fmt.Sprintf("d%d", i), "record": []byte(line.Leaf), "proof": hashes,
		}
		part := func(name string, p *struct{ Salt, JSON string }) {
			if p == nil {
				return
			}
			salt, err := base64.RawURLEncoding.DecodeString(p.Salt)
			if err != nil {
				l.t.Fatal(err)
			}
			e[name] = object{"salt": salt, "json": p.JSON}
		}
		part("who", line.Who)
		part("what", line.What)
		entries = append(entries, e)
	}
	sum := sha256.Sum256([]byte(pdf))
	return object{
		"format": "ward-case/1", "id": "case-7q", "made_at": time.Date(2026, 3, 12, 10, 0, 0, 0, time.UTC), "organisation": "St Mary's",
		"unheard_of": 1, "pdf_sha256": hex.EncodeToString(sum[:]),
		"audit": object{"origin": l.signer.Name(), "key": l.key, "checkpoint": l.notes[size], "entries": entries, "pending": []object{{"action": "case.closed"}}},
	}
}

// seal signs what a file says.
func (l *log) seal(content any) string {
	l.t.Helper()
	payload := encode(l.t, content)
	sum := sha256.Sum256(payload)
	return document(l.t, payload, l.note("ward-case/1\ncase-7q\n"+hex.EncodeToString(sum[:])+"\n"))
}

func (l *log) note(text string) string {
	l.t.Helper()
	b, err := note.Sign(&note.Note{Text: text}, l.signer)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

func document(t testing.TB, payload []byte, signature string) string {
	return string(encode(t, object{"payload": payload, "signature": signature}))
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVerifyCase(t *testing.T) {
	t.Parallel()
	l := newLog(t, "ward.example", 1, 11)
	file := l.seal(l.content(9, "a page", 2, 3, 6))
	got, err := verify.VerifyCase(strings.NewReader(file), verify.CaseOptions{PublicKey: l.key + "\n", PDF: []byte("a page")})
	if err != nil {
		t.Fatal(err)
	}
	root, err := tlog.TreeHash(9, tlog.HashReaderFunc(l.read))
	if err != nil {
		t.Fatal(err)
	}
	at := func(s int) time.Time { return time.Date(2026, 3, 12, 9, 0, s, 0, time.UTC) }
	var doc struct{ Payload []byte }
	if err := json.Unmarshal([]byte(file), &doc); err != nil {
		t.Fatal(err)
	}
	want := verify.CaseReport{
		Log: "ward.example", ID: "case-7q", Organisation: "St Mary's", Made: at(3600), Sum: fmt.Sprintf("%x", sha256.Sum256(doc.Payload)), PDF: true, Size: 9, Root: root,
		Entries: []verify.CaseEntry{
			{Index: 2, At: at(2), Action: "device.deed-c", Subject: "d2"},
			{Index: 3, At: at(3), Action: "device.deed-a", Subject: "d3"},
			{Index: 6, At: at(6), Action: "device.deed-a", Subject: "d6"},
		},
		Disclosed: 5, Sealed: 1, Pending: 1, Kind: "case",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report mismatch (-want +got)\n%s", diff)
	}
	got, err = verify.VerifyCase(strings.NewReader(file), verify.CaseOptions{PublicKey: l.key})
	if err != nil || got.PDF {
		t.Errorf("without a PDF: VerifyCase = %v, %v, want a report that does not vouch for it", got, err)
	}
}

// TestEarlierCheckpoints: whatever the file's proofs imply is right, and they imply much;
// with an export of the log nothing is left open.
func TestEarlierCheckpoints(t *testing.T) {
	t.Parallel()
	const size = 13
	l := newLog(t, "ward.example", 1, 16)
	rewritten := newLog(t, "ward.example", 1, 0) // by the operator himself, with the key
	for i := range 16 {
		rewritten.add("device.deed-z", i)
		rewritten.notes = append(rewritten.notes, rewritten.sign(int64(i+1)))
	}
	for at := range size {
		file := l.seal(l.content(size, "", at))
		for earlier := range 17 {
			check := func(checkpoint, export string) error {
				o := verify.CaseOptions{PublicKey: l.key, Earlier: [][]byte{[]byte(checkpoint)}}
				if export != "" {
					o.Log = strings.NewReader(export)
				}
				_, err := verify.VerifyCase(strings.NewReader(file), o)
				return err
			}
			err := check(l.notes[earlier], "")
			undecided := errors.Is(err, verify.ErrUndecided)
			// The proof of an entry holds the roots of all that stands before it.
			if certain := earlier == 0 || earlier == at || earlier == at+1 || earlier == size; certain && err != nil || err != nil && !undecided || earlier > size && !undecided {
				t.Errorf("entry %d, checkpoint %d: VerifyCase = %v", at, earlier, err)
			}
			if err := check(l.notes[earlier], l.export(16)); err != nil {
				t.Errorf("entry %d, checkpoint %d, with the log: VerifyCase = %v", at, earlier, err)
			}
			if earlier == 0 {
				continue
			}
			err = check(rewritten.notes[earlier], "")
			_, doubt := errors.AsType[*verify.Problem](err)
			if doubt == undecided || !doubt && !errors.Is(err, verify.ErrUndecided) {
				t.Errorf("entry %d, checkpoint %d of another past: VerifyCase = %v, undecided about the true one: %t", at, earlier, err, undecided)
			}
			err = check(rewritten.notes[earlier], l.export(16))
			if _, doubt := errors.AsType[*verify.Problem](err); !doubt {
				t.Errorf("entry %d, checkpoint %d of another past, with the log: VerifyCase = %v", at, earlier, err)
			}
		}
	}
}

// TestCaseTampering: each way in which a file can be made to lie, by a stranger who
// alters it, or by the server that signed it.
func TestCaseTampering(t *testing.T) {
	t.Parallel()
	l := newLog(t, "ward.example", 1, 11)
	other := newLog(t, "ward.example", 2, 11)
	whole := l.seal(l.content(9, "a page", 2, 3))
	var doc struct {
		Payload   []byte
		Signature string
	}
	if err := json.Unmarshal([]byte(whole), &doc); err != nil {
		t.Fatal(err)
	}
	lie := func(change func(content, audit, entry object)) string { // signed
		c := l.content(9, "a page", 2, 3)
		audit, ok := c["audit"].(object)
		if !ok {
			t.Fatal("no audit")
		}
		entries, ok := audit["entries"].([]object)
		if !ok {
			t.Fatal("no entries")
		}
		change(c, audit, entries[0])
		return l.seal(c)
	}
	entry := func(field string, value any) string {
		return lie(func(_, _, e object) { e[field] = value })
	}
	audit := func(field string, value any) string {
		return lie(func(_, a, _ object) { a[field] = value })
	}
	third := l.content(9, "", 3)["audit"].(object)["entries"].([]object)[0] //nolint:forcetypeassert // made by content
	tests := []struct{ name, file, want string }{
		{"a byte of the content", document(t, bytes.Replace(doc.Payload, []byte("St Mary"), []byte("St Mark"), 1), doc.Signature), "signature is of another content"},
		{"signature of another key", other.seal(l.content(9, "a page", 2)), "not signed with the given key"},
		{"signature edited", document(t, doc.Payload, strings.Replace(doc.Signature, "case-7q", "case-7r", 1)), "its signature does not hold"},
		{"no signature", document(t, doc.Payload, ""), "not a case file"},
		{"a checkpoint for a signature", document(t, doc.Payload, l.notes[9]), `what is signed is a "ward.example"`},
		{"a later form", document(t, doc.Payload, l.note("ward-case/2\ncase-7q\n00\n")), `"ward-case/2"`},
		{"of another case", lie(func(c, _, _ object) { c["id"] = "case-8" }), `content says that it is "ward-case/1" of "case-8"`},
		{"of another form", lie(func(c, _, _ object) { c["format"] = "ward-case/9" }), "ward-case/9"},
		{"another PDF", lie(func(c, _, _ object) { c["pdf_sha256"] = strings.Repeat("0", 64) }), "the PDF is not the one"},
		{"no PDF", lie(func(c, _, _ object) { delete(c, "pdf_sha256") }), "the PDF is not the one"},
		{"content that is no JSON", l.seal("x"), "content is malformed"},
		{"the log could not be proven", audit("problem", "the database was altered"), "could not prove its log"},
		{"of another log", audit("origin", "elsewhere.example"), "of the log"},
		{"no checkpoint", audit("checkpoint", ""), "the checkpoint in the file"},
		{"a checkpoint of another key", audit("checkpoint", other.notes[9]), "not signed with the given key"},
		{"another checkpoint", audit("checkpoint", l.notes[8]), "entry 2: it is not in the log"},
		{"a record edited", lie(func(_, _, e object) {
			e["record"] = bytes.Replace(e["record"].([]byte), []byte("deed-c"), []byte("deed-a"), 1) //nolint:forcetypeassert // made by content
		}), "entry 2: it is not in the log"},
		{"another position", entry("index", 1), "entry 1: it is not in the log"},
		{"a position outside", entry("index", -1), "out of order"},
		{"a position beyond", lie(func(_, a, e object) { e["index"], a["entries"] = 9, []object{e} }), "entry 9: it is not in the log"},
		{"no proof", entry("proof", [][]byte{}), "entry 2: it is not in the log"},
		{"half a hash", entry("proof", [][]byte{{1, 2}}), "its proof is malformed"},
		{"an entry twice", lie(func(_, a, e object) { a["entries"] = []object{e, e} }), "repeated or out of order"},
		{"another action", entry("action", "device.deed-a"), `the file calls it "device.deed-a" and the log "device.deed-c"`},
		{"another time", entry("time", "2026-03-12T09:00:03Z"), "the file dates it"},
		{"another subject", entry("subject", "d3"), `done to "d3" and the log to "d2"`},
		{"another actor", entry("actor", "Maud"), `says that "Maud" did it`},
		{"a subject of what is not shown", lie(func(_, _, e object) { delete(e, "what") }), `done to "d2" and the log to ""`},
		{"content of another entry", entry("what", third["what"]), "entry 2: its subject is not what was committed to"},
		{"a salt cut", entry("who", object{"salt": []byte("x"), "json": "{}"}), "the salt of its actor is malformed"},
		{"altered in the server", entry("damaged", true), "the server itself found it altered"},
		{"empty", "", "not a case file"},
		{"an export", l.export(9), "not a case file"},
		{"the content twice", strings.Replace(whole, "{", `{"payload":"e30=",`, 1), "has a field twice"},
		{"the content in capitals too", strings.Replace(whole, "{", `{"Payload":"e30=",`, 1), `it has a field "Payload"`},
		{"a payload that is no base64", `{"payload":"?","signature":"x"}`, "its payload is malformed"},
		{"cut off", whole[:len(whole)-1], "cut off"},
		{"something behind it", whole + whole, "not a case file"},
	}
	for _, tt := range tests {
		_, err := verify.VerifyCase(strings.NewReader(tt.file), verify.CaseOptions{PublicKey: l.key, PDF: []byte("a page")})
		if _, ok := errors.AsType[*verify.Problem](err); !ok || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: VerifyCase = %v, want a problem that says %q", tt.name, err, tt.want)
		}
	}
}

// passkey signs as an authenticator does.
type passkey struct {
	t   *testing.T
	key *ecdsa.PrivateKey
}

func newPasskey(t *testing.T) passkey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return passkey{t, key}
}

// public is the COSE_Key of an ES256 key. Source: RFC 9053, section 7.1.1.
func (p passkey) public() []byte {
	point, err := p.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		p.t.Fatal(err)
	}
	out := append([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, point[1:33]...)
	return append(append(out, 0x22, 0x58, 32), point[33:]...)
}

func parts(all ...[]byte) (out []byte) {
	for _, p := range all {
		out = append(binary.BigEndian.AppendUint64(out, uint64(len(p))), p...)
	}
	return out
}

func (p passkey) approve(hash string) object {
	nonce := []byte("0123456789abcdef")
	challenge := sha256.Sum256(parts([]byte("ward approver challenge v1"), []byte("order"), []byte(hash), nonce))
	return object{
		"name": "Maud", "hash": hash, "proven": true, "public_key": p.public(),
		"assertion": p.assertion(encode(p.t, object{"type": "webauthn.get", "challenge": base64.RawURLEncoding.EncodeToString(challenge[:])}), nonce, 5),
	}
}

func (p passkey) assertion(client, nonce []byte, flags byte) object {
	data := append(bytes.Repeat([]byte{7}, 32), flags, 0, 0, 0, 1)
	clientSum := sha256.Sum256(client)
	sum := sha256.Sum256(append(bytes.Clone(data), clientSum[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, p.key, sum[:])
	if err != nil {
		p.t.Fatal(err)
	}
	return object{"purpose": "order", "nonce": nonce, "client_data": client, "authenticator_data": data, "signature": sig}
}

func TestApprovals(t *testing.T) {
	t.Parallel()
	l := newLog(t, "ward.example", 1, 3)
	statement := []byte(`{"id":"ord-1"}`)
	sum := sha256.Sum256(statement)
	hash := hex.EncodeToString(sum[:])
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	maud, mallory := newPasskey(t), newPasskey(t)
	glass := object{"glass": true, "proven": true, "hash": hash, "public_key": []byte(public), "assertion": object{
		"signature": ed25519.Sign(private, parts([]byte("ward break glass v1"), []byte(hash))),
	}}
	check := func(hash string, approvals ...object) (verify.CaseReport, error) {
		c := l.content(3, "", 1)
		c["orders"] = []object{{"id": "ord-1", "hash": hash, "statement": statement, "approvals": approvals}}
		return verify.VerifyCase(strings.NewReader(l.seal(c)), verify.CaseOptions{PublicKey: l.key})
	}
	with := func(o object, field string, value any) object {
		out := maps.Clone(o)
		out[field] = value
		return out
	}
	// A signature that fits its key proves nothing where the server found no approver behind it.
	forged := with(with(maud.approve(hash), "proven", false), "unproven", "Whoever signed this is no approver.")
	silent := maud.approve(hash)
	delete(silent, "proven")
	another := strings.Repeat("0", 64)
	got, err := check(hash, maud.approve(hash), glass, object{"name": "Bob", "hash": hash, "proven": true}, forged, silent, with(maud.approve(another), "proven", false), with(glass, "proven", false))
	if err != nil {
		t.Fatal(err)
	}
	const mute = "the server does not say that it found it proven"
	want := []verify.CaseApproval{
		{Order: "ord-1", Name: "Maud", Holds: true},
		{Order: "ord-1", Glass: true, Holds: true},
		{Order: "ord-1", Name: "Bob", Unproven: "the file holds no signature"},
		{Order: "ord-1", Name: "Maud", Unproven: "the server did not find it proven: Whoever signed this is no approver."},
		{Order: "ord-1", Name: "Maud", Unproven: mute},
		{Order: "ord-1", Name: "Maud", Unproven: mute},
		{Order: "ord-1", Glass: true, Unproven: mute},
	}
	if diff := cmp.Diff(want, got.Approvals); diff != "" {
		t.Errorf("approvals mismatch (-want +got)\n%s", diff)
	}

	assertion := func(field string, value any) object {
		a := maud.approve(hash)
		return with(a, "assertion", with(a["assertion"].(object), field, value)) //nolint:forcetypeassert // made by approve
	}
	client := encode(t, object{"type": "webauthn.create", "challenge": ""})
	genuine := maud.approve(hash)["assertion"].(object)["client_data"].([]byte) //nolint:forcetypeassert // made by approve
	tests := []struct {
		name     string
		hash     string
		approval object
		want     string
	}{
		{"another statement", another, maud.approve(another), "its statement is not what was approved"},
		{"a yes to another order", hash, maud.approve(another), "what Maud approved is another order"},
		{"a yes to another order, renamed", hash, with(maud.approve(another), "hash", hash), "given for something else"},
		{"another's key", hash, with(maud.approve(hash), "public_key", mallory.public()), "not by that key"},
		{"no key", hash, with(maud.approve(hash), "public_key", []byte{0xa0}), "its key is malformed"},
		{"another purpose", hash, assertion("purpose", "approver"), "of another kind"},
		{"no nonce", hash, assertion("nonce", nil), "of another kind"},
		{"another nonce", hash, assertion("nonce", []byte("x")), "given for something else"},
		{"a registration", hash, with(maud.approve(hash), "assertion", maud.assertion(client, []byte("x"), 5)), "of another kind"},
		{"no person", hash, with(maud.approve(hash), "assertion", maud.assertion(genuine, []byte("0123456789abcdef"), 1)), "nobody proved to be there"},
		{"nothing collected", hash, assertion("client_data", nil), "malformed"},
		{"data of the authenticator cut", hash, assertion("authenticator_data", []byte{5}), "nobody proved to be there"},
		{"the signature cut", hash, assertion("signature", []byte{1}), "not by that key"},
		{"a sealed key's, of another", hash, with(glass, "assertion", object{"signature": make([]byte, 64)}), "by the sealed key does not hold"},
		{"a passkey for the sealed key", hash, with(glass, "public_key", maud.public()), "by the sealed key does not hold"},
	}
	for _, tt := range tests {
		_, err := check(tt.hash, tt.approval)
		if _, ok := errors.AsType[*verify.Problem](err); !ok || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: VerifyCase = %v, want a problem that says %q", tt.name, err, tt.want)
		}
	}
}

// TestCaseCannotJudge: what is no verdict on the file is no *Problem.
func TestCaseCannotJudge(t *testing.T) {
	t.Parallel()
	l := newLog(t, "ward.example", 1, 2)
	file := l.seal(l.content(2, "", 1))
	for name, err := range map[string]error{
		"a malformed key":     second(verify.VerifyCase(strings.NewReader(file), verify.CaseOptions{PublicKey: "no key"})),
		"an unreadable file":  second(verify.VerifyCase(brokenReader{}, verify.CaseOptions{PublicKey: l.key})),
		"an unreadable log":   second(verify.VerifyCase(strings.NewReader(file), verify.CaseOptions{PublicKey: l.key, Log: brokenReader{}})),
		"a later checkpoint":  second(verify.VerifyCase(strings.NewReader(l.seal(l.content(1, "", 0))), verify.CaseOptions{PublicKey: l.key, Earlier: [][]byte{[]byte(l.notes[2])}})),
		"no entry to go from": second(verify.VerifyCase(strings.NewReader(l.seal(l.content(2, ""))), verify.CaseOptions{PublicKey: l.key, Earlier: [][]byte{[]byte(l.notes[1])}})),
	} {
		if _, ok := errors.AsType[*verify.Problem](err); err == nil || ok {
			t.Errorf("%s: VerifyCase = %v, want an error that is no problem of the file", name, err)
		}
	}
}

func second(_ verify.CaseReport, err error) error { return err }

// FuzzVerifyCase: nothing but the very content that was signed verifies, and nothing
// crashes.
func FuzzVerifyCase(f *testing.F) {
	l := newLog(f, "ward.example", 1, 5)
	whole := l.seal(l.content(5, "", 1, 3))
	f.Add([]byte(whole))
	f.Add([]byte(l.seal(object{"format": "ward-case/1", "id": "case-7q"})))
	f.Add([]byte("{}"))
	want, err := verify.VerifyCase(strings.NewReader(whole), verify.CaseOptions{PublicKey: l.key})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := verify.VerifyCase(bytes.NewReader(b), verify.CaseOptions{PublicKey: l.key, Earlier: [][]byte{[]byte(l.notes[5])}})
		if err == nil && got.Sum != want.Sum {
			t.Errorf("a file with the content %s verifies, want only %s", got.Sum, want.Sum)
		}
	})
}
