package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestCaseScripts runs the program on the file of a real case: entries of a real log, an
// order that two approvers signed with their passkeys, and one by the sealed key.
func TestCaseScripts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCase(t, dir)
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/case",
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"replace": replace, "usage": usageStatus},
		Setup: func(e *testscript.Env) error { return os.CopyFS(e.WorkDir, os.DirFS(dir)) },
	})
}

// recorder writes what approvers do into the log.
type recorder struct{ *audit.Service }

func (r recorder) Record(ctx context.Context, action, subject string, detail map[string]string) error {
	return r.Service.Record(ctx, audit.Entry{Action: action, Subject: subject, Detail: detail})
}

// writeCase writes a file of a case, its PDF, the key, checkpoints from before and after
// it, and an export of the log from after it.
func writeCase(t *testing.T, dir string) {
	t.Helper()
	minute := 0
	now := func() time.Time {
		minute++
		return time.Date(2026, 3, 12, 9, minute, 0, 0, time.UTC)
	}
	key, err := audit.LoadKey(filepath.Join(t.TempDir(), "audit.key"), "ward.example")
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.SQLite(t)
	log, err := audit.New(audit.Config{Store: db.Audit(), Master: storetest.Master(), Key: key, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	checkpoint := func(name string) {
		if _, err := log.Sequence(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := log.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		write(name, c.Note)
	}
	hana := ward.WithActor(t.Context(), ward.Actor{Person: "person-hana", Name: "Hana", Via: ward.ViaSession})
	record := func(action, subject string) {
		if err := log.Record(hana, audit.Entry{Action: action, Subject: subject}); err != nil {
			t.Fatal(err)
		}
	}
	orders := signedOrders(t, recorder{log}, db.Approvers(), now)
	checkpoint("early")
	for i := range 5 { // so that the file's own proofs say nothing of the early checkpoint
		record("policy.published", "policy-"+string(rune('a'+i)))
	}
	record("case.opened", "case-7q")
	checkpoint("then")
	record("device.locked", "device-31")
	evidence, err := log.Evidence(t.Context(), audit.About{Subject: "case-7q"}, audit.About{Subject: "device-31"})
	if err != nil {
		t.Fatal(err)
	}
	src := casefile.Source{MadeAt: now(), Organisation: "St Mary's", Case: &casefile.Case{ID: "case-7q", Kind: "lost", State: "open", Reported: now()}, Orders: orders, Audit: casefile.AuditOf(evidence)}
	pack, err := casefile.Render(t.Context(), src, casefile.Options{Note: log})
	if err != nil {
		t.Fatal(err)
	}
	write("case-7q.json", pack.JSON)
	write("case-7q.pdf", pack.PDF)
	record("case.closed", "case-7q")
	checkpoint("late")
	var export strings.Builder
	if err := log.ExportLeaves(t.Context(), &export); err != nil {
		t.Fatal(err)
	}
	write("audit.jsonl", []byte(export.String()))
	write("key", []byte(log.PublicKey()+"\n"))
}

// signedOrders returns two orders: one that two people signed, one by the sealed key with a
// forged approval beside it.
func signedOrders(t *testing.T, log recorder, s approver.Store, now func() time.Time) []casefile.Order {
	t.Helper()
	service, err := approver.New(approver.Config{Store: s, Root: &approvertest.Root{}, Audit: log, Now: now, RPID: "ward.example", Origin: "https://ward.example"})
	if err != nil {
		t.Fatal(err)
	}
	people, err := approvertest.Seed(t.Context(), service, approvertest.Who{Person: "person-maud", Name: "Maud"}, approvertest.Who{Person: "person-bob", Name: "Bob"})
	if err != nil {
		t.Fatal(err)
	}
	order := func(id ward.OrderID) casefile.Order {
		statement := []byte(`{"id":"` + string(id) + `"}`)
		sum := sha256.Sum256(statement)
		return casefile.Order{ID: id, Kind: "erase", State: "issued", Requested: now(), Hash: hex.EncodeToString(sum[:]), Statement: statement}
	}
	signed, sealed := order("order-1"), order("order-2")
	for _, p := range people {
		a, err := p.Assert(t.Context(), service, approver.ForOrder, signed.Hash)
		if err != nil {
			t.Fatal(err)
		}
		signed.Approvals = append(signed.Approvals, casefile.Approval{
			Person: p.Person, Name: p.Name, Subject: p.Subject, Approver: p.ID, At: a.At, Hash: a.Hash, Proven: true, PublicKey: p.Key.Public,
			Assertion: &casefile.Assertion{Purpose: string(a.Purpose), Nonce: a.Nonce, ClientData: a.ClientData, AuthenticatorData: a.AuthenticatorData, Signature: a.Signature},
		})
	}
	parts, glass, err := approver.NewGlass()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := approver.SignGlass(parts[0], parts[1], sealed.Hash)
	if err != nil {
		t.Fatal(err)
	}
	sealed.Approvals = []casefile.Approval{{At: now(), Hash: sealed.Hash, Glass: true, Proven: true, PublicKey: glass.Public, Assertion: &casefile.Assertion{Signature: sig}}}
	forged := signed.Approvals[0]
	forged.Name, forged.Hash, forged.Proven, forged.Unproven = "Professor Innocent", sealed.Hash, false, "Whoever signed this is no approver."
	sealed.Approvals = append(sealed.Approvals, forged)
	return []casefile.Order{signed, sealed}
}
