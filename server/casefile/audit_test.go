package casefile_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(storetest.Main(m))
}

// The log is a Notary as it is.
var _ casefile.Notary = (*audit.Service)(nil)

// stranger checks what a pack says of the audit log, and returns each action, with the
// JSON of its openings or "-".
func stranger(t *testing.T, p casefile.Pack, key string) []string {
	t.Helper()
	o, _, err := open(p.JSON, p.PDF, key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(o.Audit.Checkpoint), note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(n.Text, "\n")
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range o.Audit.Entries {
		proof := tlog.RecordProof{}
		for _, h := range e.Proof {
			proof = append(proof, tlog.Hash(h))
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, e.Index, tlog.RecordHash(e.Record)); err != nil {
			t.Errorf("entry %d: %v", e.Index, err)
		}
		var record struct{ Action, Who, What string }
		if err := json.Unmarshal(e.Record, &record); err != nil {
			t.Fatal(err)
		}
		line := record.Action
		for _, part := range []struct {
			commitment string
			opening    *struct {
				Salt []byte `json:"salt"`
				JSON string `json:"json"`
			}
		}{{record.Who, e.Who}, {record.What, e.What}} {
			if part.opening == nil {
				line += " -"
				continue
			}
			sum := sha256.Sum256(append(part.opening.Salt, part.opening.JSON...))
			if base64.RawURLEncoding.EncodeToString(sum[:]) != part.commitment {
				t.Errorf("entry %d: an opening does not open its commitment", e.Index)
			}
			line += " " + part.opening.JSON
		}
		out = append(out, line)
	}
	return out
}

// TestStranger: what stands in a pack of the real log proves itself under one checkpoint,
// before and after the reporter is forgotten, and so does a pack from before.
func TestStranger(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		_, _, secret := noteKey(t)
		key, err := audit.ParseKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		now := at("03:00:00")
		log, err := audit.New(audit.Config{Store: db.Audit(), Master: storetest.Master(), Key: key, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		reporter := ward.Actor{Person: "per-hana", Name: "Hana", Via: ward.ViaSession}
		record := func(a ward.Actor, e audit.Entry) {
			t.Helper()
			now = now.Add(time.Second)
			if err := log.Record(ward.WithActor(t.Context(), a), e); err != nil {
				t.Fatal(err)
			}
		}
		file := func() casefile.Pack {
			t.Helper()
			e, err := log.Evidence(t.Context(), audit.About{Subject: "case-7q"}, audit.About{Subject: "dev-31", From: at("03:00:02")})
			if err != nil {
				t.Fatal(err)
			}
			src := night()
			src.Audit = casefile.AuditOf(e)
			return render(t, src, casefile.Options{Note: log})
		}
		record(ward.System, audit.Entry{Action: "device.enrolled", Subject: "dev-31"})
		record(reporter, audit.Entry{Action: "case.opened", Subject: "case-7q", Detail: map[string]string{"device": "dev-31"}})
		record(ward.System, audit.Entry{Action: "policy.published"})
		record(ward.System, audit.Entry{Action: "device.locked", Subject: "dev-31"})
		before := file()
		want := []string{
			`case.opened {"person":"per-hana","name":"Hana","via":"session"} {"subject":"case-7q","detail":{"device":"dev-31"}}`,
			`device.locked {"name":"Ward","via":"system"} {"subject":"dev-31"}`,
		}
		if diff := cmp.Diff(want, stranger(t, before, key.Public())); diff != "" {
			t.Errorf("mismatch (-want +got)\n%s", diff)
		}
		if _, err := log.ForgetPerson(ward.WithActor(t.Context(), ward.System), "per-hana"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, stranger(t, before, key.Public())); diff != "" {
			t.Errorf("the pack from before: mismatch (-want +got)\n%s", diff)
		}
		want[0] = `case.opened - {"subject":"case-7q","detail":{"device":"dev-31"}}`
		after := file()
		if diff := cmp.Diff(want, stranger(t, after, key.Public())); diff != "" {
			t.Errorf("after the reporter was forgotten: mismatch (-want +got)\n%s", diff)
		}
	})
}
