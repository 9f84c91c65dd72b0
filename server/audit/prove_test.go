package audit_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// clocked returns a log whose time the test sets.
func clocked(t *testing.T, db *store.DB, k *audit.Key, now *time.Time) *audit.Service {
	t.Helper()
	s, err := audit.New(audit.Config{Store: db.Audit(), Master: storetest.Master(), Key: k, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// actions lists the positions and actions of evidence, after checking each proof.
func actions(t *testing.T, s *audit.Service, e audit.Evidence) []string {
	t.Helper()
	tree := root(t, s, e.Checkpoint)
	if tree.N != e.Size {
		t.Errorf("the evidence is of size %d and its checkpoint of %d", e.Size, tree.N)
	}
	var out []string
	for _, p := range e.Entries {
		if err := tlog.CheckRecord(p.Hashes, tree.N, tree.Hash, p.Index, tlog.RecordHash([]byte(p.Leaf))); err != nil && !p.Damaged {
			t.Errorf("entry at %d: %v", p.Index, err)
		}
		line := p.Action
		if p.Damaged {
			line += " damaged"
		}
		out = append(out, line)
	}
	return out
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := start
		s := clocked(t, db, newKey(t), &now)
		for i, e := range []audit.Entry{
			{Action: "device.enrolled", Subject: "device-7"},
			{Action: "case.opened", Subject: "case-1"},
			{Action: "device.locked", Subject: "device-7"},
			{Action: "device.locked", Subject: "device-8"},
			{Action: "order.issued", Subject: "order-1"},
			{Action: "device.unlocked", Subject: "device-7"},
		} {
			now = start.Add(time.Duration(i) * time.Minute)
			record(t, s, maud, e)
		}
		minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
		for _, tt := range []struct {
			name  string
			about []audit.About
			want  []string
		}{
			{"one subject", []audit.About{{Subject: "device-7"}}, []string{"device.enrolled", "device.locked", "device.unlocked"}},
			{"from a time on", []audit.About{{Subject: "device-7", From: minute(2)}}, []string{"device.locked", "device.unlocked"}},
			{"until a time", []audit.About{{Subject: "device-7", From: minute(2), Until: minute(5)}}, []string{"device.locked"}},
			{"several, in the order of the log, each once", []audit.About{{Subject: "order-1"}, {Subject: "case-1"}, {Subject: "case-1"}, {Subject: "device-7", Until: minute(1)}}, []string{"device.enrolled", "case.opened", "order.issued"}},
			{"what nobody did", []audit.About{{Subject: "case-9"}}, nil},
			{"nothing", nil, nil},
		} {
			e, err := s.Evidence(t.Context(), tt.about...)
			if err != nil {
				t.Fatal(err)
			}
			if e.Origin != "ward.example/audit" || e.Key != s.PublicKey() || e.Size != 6 || len(e.Pending) != 0 {
				t.Errorf("%s: Evidence of %q, key %q, size %d, %d pending", tt.name, e.Origin, e.Key, e.Size, len(e.Pending))
			}
			if diff := cmp.Diff(tt.want, actions(t, s, e)); diff != "" {
				t.Errorf("%s: Evidence mismatch (-want +got)\n%s", tt.name, diff)
			}
		}
		if _, err := s.Evidence(t.Context(), audit.About{}); err == nil {
			t.Error("Evidence about no subject = nil, want an error")
		}
		e, err := s.Prove(t.Context(), []int64{5, 1, 5})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"case.opened", "device.unlocked"}, actions(t, s, e)); diff != "" {
			t.Errorf("Prove mismatch (-want +got)\n%s", diff)
		}
		for _, at := range []int64{6, -1} {
			if _, err := s.Prove(t.Context(), []int64{at}); ward.KindOf(err) != ward.NotFound {
				t.Errorf("Prove(%d) = %v, want NotFound", at, err)
			}
		}
	})
}

// TestEvidenceOfTheForgotten: an entry proves itself without its openings, and one whose
// subject was forgotten is found by its position alone.
func TestEvidenceOfTheForgotten(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newService(t, db, newKey(t))
		record(t, s, maud, audit.Entry{Action: "case.opened", Subject: "case-1"})
		record(t, s, phone, audit.Entry{Action: "case.found", Subject: "case-1", Person: "person-maud"})
		sequence(t, s)
		if _, err := s.ForgetPerson(ward.WithActor(t.Context(), ward.System), "person-maud"); err != nil {
			t.Fatal(err)
		}
		e, err := s.Evidence(t.Context(), audit.About{Subject: "case-1"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"case.opened"}, actions(t, s, e)); diff != "" {
			t.Errorf("Evidence mismatch (-want +got)\n%s", diff)
		}
		if p := e.Entries[0]; p.Who != nil || p.What == nil || !p.ActorErased {
			t.Errorf("the actor is shown (%v) or the subject is not (%v)", p.Who, p.What)
		}
		if e, err = s.Prove(t.Context(), []int64{1}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"case.found"}, actions(t, s, e)); diff != "" {
			t.Errorf("Prove mismatch (-want +got)\n%s", diff)
		}
		if p := e.Entries[0]; p.What != nil || p.Who == nil {
			t.Errorf("the subject is shown (%v) or the actor is not (%v)", p.What, p.Who)
		}
	})
}

// TestEvidencePages: a subject with more entries than a page, and more than enter the tree
// at once.
func TestEvidencePages(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	s := newService(t, db, newKey(t))
	const entries = 1001
	err := db.Do(ward.WithActor(t.Context(), phone), func(ctx context.Context) error {
		for range entries {
			if err := s.Record(ctx, audit.Entry{Action: "device.located", Subject: "case-1"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Evidence(t.Context(), audit.About{Subject: "case-1"})
	if err != nil || len(actions(t, s, e)) != entries {
		t.Errorf("Evidence has %d entries, %v; want %d", len(e.Entries), err, entries)
	}
}

// altered opens a log of two entries in a file, and lets sql change it.
func altered(t *testing.T, statements string) *audit.Service {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ward.db")
	db, err := store.Open(t.Context(), store.Options{URL: path, Master: storetest.Master(), Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	s := newService(t, db, newKey(t))
	for range 2 {
		record(t, s, maud, audit.Entry{Action: "device.lost", Subject: "device-7"})
	}
	sequence(t, s)
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEvidenceOfTheAltered: what was changed in the database is shown as damaged, and a
// changed column hides nothing.
func TestEvidenceOfTheAltered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, sql string
		want      []string
	}{
		{"untouched", `SELECT 1`, []string{"device.lost", "device.lost"}},
		{"a leaf rewritten", `UPDATE audit_entry SET leaf = replace(leaf, 'device.lost', 'device.seen') WHERE id = 1`, []string{"device.seen damaged", "device.lost"}},
		{"a leaf made nonsense", `UPDATE audit_entry SET leaf = 'x' WHERE id = 1`, []string{" damaged", "device.lost"}},
		{"a part replaced", `UPDATE audit_entry SET what = who WHERE id = 2`, []string{"device.lost", "device.lost damaged"}},
		{"the time beside the leaf", `UPDATE audit_entry SET at = 1`, []string{"device.lost", "device.lost"}},
		{"entries swapped", `UPDATE audit_entry SET tree_index = 3 - tree_index; UPDATE audit_entry SET tree_index = tree_index - 2`, []string{"device.lost damaged", "device.lost damaged"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := altered(t, tt.sql)
			e, err := s.Evidence(t.Context(), audit.About{Subject: "device-7", From: start})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, actions(t, s, e)); diff != "" {
				t.Errorf("mismatch (-want +got)\n%s", diff)
			}
		})
	}
}

// late is a store to which somebody adds entries just before each reading.
type late struct {
	audit.Store
	add func()
}

func (l late) Entries(ctx context.Context, q audit.Query) ([]audit.Row, error) {
	l.add()
	return l.Store.Entries(ctx, q)
}

// TestPending: what is committed after the sequencing has no position yet.
func TestPending(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		key := newKey(t)
		other := newService(t, db, key)
		record(t, other, maud, audit.Entry{Action: "case.opened", Subject: "case-1"})
		s, err := audit.New(audit.Config{Store: late{db.Audit(), func() {
			record(t, other, maud, audit.Entry{Action: "case.found", Subject: "case-1"})
		}}, Master: storetest.Master(), Key: key, Now: func() time.Time { return start }})
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.Evidence(t.Context(), audit.About{Subject: "case-1"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"case.opened"}, actions(t, s, e)); diff != "" {
			t.Errorf("entries mismatch (-want +got)\n%s", diff)
		}
		if len(e.Pending) != 1 || e.Pending[0].Action != "case.found" || e.Pending[0].Index != -1 {
			t.Errorf("pending: %+v, want case.found without a position", e.Pending)
		}
	})
}

func TestSign(t *testing.T) {
	t.Parallel()
	s := newService(t, storetest.SQLite(t), newKey(t))
	v, err := note.NewVerifier(s.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	const text = "ward-case/1\ncase-1\nabc\n"
	signed, err := s.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil || n.Text != text {
		t.Errorf("Open = %+v, %v; want the text", n, err)
	}
	for _, bad := range []string{"", "\n", "ward-case/1", "ward.example/audit\n3\n" + strings.Repeat("A", 43) + "=\n"} {
		if _, err := s.Sign(bad); err == nil {
			t.Errorf("Sign(%q) = nil, want an error", bad)
		}
	}
}
