package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"testing"
)

// row is one row of a table.
type row struct {
	Table string         `json:"t"`
	Row   map[string]any `json:"r"`
}

// dump returns all that the database holds.
func (w *world) dump(t testing.TB) (all []row) {
	t.Helper()
	var b bytes.Buffer
	if err := w.db.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(&b); ; {
		var r row
		switch err := dec.Decode(&r); {
		case err == io.EOF:
			return all
		case err != nil:
			t.Fatal(err)
		case r.Table != "":
			all = append(all, r)
		}
	}
}

// rows counts what the database holds, by row, without what any request may leave:
// heartbeats, pushes on their way, the revocation list, and the tree of the
// audit log and the postures of devices, which follow what is written when they may.
func (w *world) rows(t testing.TB) map[string]int {
	t.Helper()
	n := map[string]int{}
	for _, r := range w.dump(t) {
		switch r.Table {
		case "seen", "push", "certificate_list", "audit_hash", "audit_checkpoint", "posture", "posture_change", "posture_due",
			"finding_span", "posture_frame", "posture_day", "posture_seal", "posture_leaf":
			continue
		}
		for _, volatile := range []string{"tree_index", "last_used_at"} {
			delete(r.Row, volatile)
		}
		b, err := json.Marshal(r.Row)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		n[fmt.Sprintf("%s %.400s %x", r.Table, b, sum[:4])]++
	}
	return n
}
