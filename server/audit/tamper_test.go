package audit_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/audit/verify"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestDatabaseWriter: whoever can write the database but has no key is found out, by
// the server or by a stranger with an earlier checkpoint.
func TestDatabaseWriter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		sql      string
		sequence string // part of the error of the next Sequence; empty for none
		damaged  bool   // the server's own list shows it
		verify   string // part of what the verifier says; empty if the export is good
	}{
		{"untouched", `SELECT 1`, "", false, ""},
		{"the content of a part replaced", `UPDATE audit_entry SET what = who WHERE id = 2`, "", true, "entry 1: the server itself found its subject altered"},
		{"a part moved to another entry", `UPDATE audit_entry SET who = (SELECT e.who FROM audit_entry e WHERE e.id = 1) WHERE id = 2`, "", true, "entry 1: the server itself found its actor altered"},
		{"the columns beside the leaf", `UPDATE audit_entry SET at = 1, action = 'device.other' WHERE id = 2`, "", false, ""},
		{"a leaf rewritten", `UPDATE audit_entry SET leaf = replace(leaf, 'device.lost', 'device.seen') WHERE id = 2`, "", false, "entries are not those of the earlier checkpoint"},
		{"a leaf made nonsense", `UPDATE audit_entry SET leaf = 'x' WHERE id = 2`, "", true, "entry 1: its text is malformed"},
		{"entries swapped", `UPDATE audit_entry SET tree_index = CASE tree_index WHEN 0 THEN 10 ELSE 11 END WHERE tree_index < 2;
			UPDATE audit_entry SET tree_index = CASE tree_index WHEN 10 THEN 1 ELSE 0 END WHERE tree_index >= 10`, "", false, "entries are not those of the earlier checkpoint"},
		{"a hash of the tree altered", `UPDATE audit_hash SET hash = (SELECT hash FROM audit_hash WHERE position = 0) WHERE position = 2`, "the database was altered", false, ""},
		{"a hash of the tree deleted", `DELETE FROM audit_hash WHERE position = 2`, "missing or damaged", false, ""},
		{"a checkpoint rewritten", `UPDATE audit_checkpoint SET note = replace(note, char(10) || '3' || char(10), char(10) || '2' || char(10))`, "the latest checkpoint was altered", false, "signature does not hold"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ward.db")
			db, err := store.Open(t.Context(), store.Options{URL: path, Master: storetest.Master(), Now: func() time.Time { return start }})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			s := newService(t, db, newKey(t))
			for range 3 {
				record(t, s, maud, audit.Entry{Action: "device.lost", Subject: "device-7", Person: "staff-3"})
			}
			sequence(t, s)
			earlier, err := s.Checkpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			raw, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			if _, err := raw.ExecContext(t.Context(), tt.sql); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := s.Export(t.Context(), &b); err != nil {
				t.Fatal(err)
			}
			_, err = verify.Verify(&b, verify.Options{PublicKey: s.PublicKey(), Earlier: [][]byte{earlier.Note}})
			if !says(err, tt.verify) {
				t.Errorf("Verify = %v, want %q", err, tt.verify)
			}
			list, err := s.List(t.Context(), audit.Filter{Oldest: true})
			if err != nil {
				t.Fatal(err)
			}
			if list[1].Damaged != tt.damaged {
				t.Errorf("entry 2 damaged: %v, want %v", list[1].Damaged, tt.damaged)
			}
			record(t, s, maud, audit.Entry{Action: "device.found", Subject: "device-7"})
			if _, err := s.Sequence(t.Context()); !says(err, tt.sequence) {
				t.Errorf("Sequence = %v, want %q", err, tt.sequence)
			}
		})
	}
}

func says(err error, part string) bool {
	if part == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), part)
}

// TestOtherKey: a server that was given another signing key does not go on as if
// nothing had happened.
func TestOtherKey(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	s := newService(t, db, newKey(t))
	record(t, s, maud, audit.Entry{Action: "device.lost"})
	sequence(t, s)
	other := newService(t, db, newKey(t))
	record(t, other, maud, audit.Entry{Action: "device.lost"})
	if _, err := other.Sequence(t.Context()); !says(err, "the signing key is not the one") {
		t.Errorf("Sequence = %v, want it to name the key", err)
	}
}

func TestExportLeaves(t *testing.T) {
	t.Parallel()
	s := newService(t, storetest.SQLite(t), newKey(t))
	record(t, s, maud, audit.Entry{Action: "device.lost", Subject: "device-7"})
	sequence(t, s)
	var b bytes.Buffer
	if err := s.ExportLeaves(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for _, personal := range []string{"Maud", "maud", "device-7"} {
		if strings.Contains(b.String(), personal) {
			t.Errorf("the export without content holds %q", personal)
		}
	}
	report, err := verify.Verify(&b, verify.Options{PublicKey: s.PublicKey()})
	if err != nil || report.Sealed != 2 || report.Disclosed != 0 {
		t.Errorf("Verify = %+v, %v; want 2 parts sealed", report, err)
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys", "audit.key")
	made, err := audit.LoadKey(path, "ward.example/audit")
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
	again, err := audit.LoadKey(path, "another.name")
	if err != nil || again.Public() != made.Public() || again.Name() != "ward.example/audit" {
		t.Errorf("loaded %s %q, %v; want %s again", again.Public(), again.Name(), err, made.Public())
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, secret[:len(secret)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.LoadKey(path, "x"); !says(err, "is damaged") || says(err, string(secret[:40])) {
		t.Errorf("half a key: %v, want it to be called damaged and not shown", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.LoadKey(path, "x"); !says(err, "chmod 600") {
		t.Errorf("a key that others may read: %v, want it refused", err)
	}
	if _, err := audit.LoadKey(filepath.Join(t.TempDir(), "k"), "a name with spaces"); err == nil {
		t.Error("a key with a name that notes do not allow was made")
	}
}

// BenchmarkRecord is what an audit entry adds to a deed, its share of a commit apart.
func BenchmarkRecord(b *testing.B) {
	db := storetest.SQLite(b)
	k, err := audit.LoadKey(filepath.Join(b.TempDir(), "audit.key"), "ward.example/audit")
	if err != nil {
		b.Fatal(err)
	}
	s, err := audit.New(audit.Config{Store: db.Audit(), Master: storetest.Master(), Key: k, Now: func() time.Time { return start }})
	if err != nil {
		b.Fatal(err)
	}
	ctx := ward.WithActor(b.Context(), maud)
	e := audit.Entry{Action: "device.lost", Subject: "device-7", Person: "staff-3", Detail: map[string]string{"reason": "left on a bus"}}
	const each = 100
	for b.Loop() {
		err := db.Do(ctx, func(ctx context.Context) error {
			for range each {
				if err := s.Record(ctx, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*each), "us/recorded")
}

// BenchmarkSequence is what the tree costs for each entry, apart from the deed.
func BenchmarkSequence(b *testing.B) {
	db := storetest.SQLite(b)
	k, err := audit.LoadKey(filepath.Join(b.TempDir(), "audit.key"), "ward.example/audit")
	if err != nil {
		b.Fatal(err)
	}
	s, err := audit.New(audit.Config{Store: db.Audit(), Master: storetest.Master(), Key: k, Now: func() time.Time { return start }})
	if err != nil {
		b.Fatal(err)
	}
	ctx := ward.WithActor(b.Context(), maud)
	for b.Loop() {
		b.StopTimer()
		err := db.Do(ctx, func(ctx context.Context) error {
			for range 200 {
				if err := s.Record(ctx, audit.Entry{Action: "device.lost", Subject: "device-7"}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.Sequence(ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*200), "us/entry")
}
