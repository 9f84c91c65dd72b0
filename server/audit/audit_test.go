package audit_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/audit/verify"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var (
	start = time.Date(2026, 3, 12, 9, 0, 0, 0, time.UTC)
	maud  = ward.Actor{Person: "person-maud", Name: "Maud Ellery", Via: ward.ViaToken, Token: "token-1", Roles: []ward.Role{ward.RoleSupport}}
	phone = ward.Actor{Device: "device-7", Name: "device-7", Via: ward.ViaDevice}
)

func newKey(t *testing.T) *audit.Key {
	t.Helper()
	k, err := audit.LoadKey(filepath.Join(t.TempDir(), "audit.key"), "ward.example/audit")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newService(t *testing.T, db *store.DB, k *audit.Key) *audit.Service {
	t.Helper()
	s, err := audit.New(audit.Config{Store: db.Audit(), Master: storetest.Master(), Key: k, Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func record(t *testing.T, s *audit.Service, a ward.Actor, e audit.Entry) {
	t.Helper()
	if err := s.Record(ward.WithActor(t.Context(), a), e); err != nil {
		t.Fatal(err)
	}
}

func sequence(t *testing.T, s *audit.Service) int {
	t.Helper()
	n, err := s.Sequence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func export(t *testing.T, s *audit.Service) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Export(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRecordAndList(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newService(t, db, newKey(t))
		record(t, s, maud, audit.Entry{Action: "device.lost", Subject: "device-7", Person: "staff-3", Detail: map[string]string{"note": "left on a <bus>"}})
		record(t, s, phone, audit.Entry{Action: "device.enrolled", Subject: "device-7"})
		record(t, s, ward.System, audit.Entry{Action: "policy.published"})
		if n := sequence(t, s); n != 3 {
			t.Errorf("Sequence = %d, want 3", n)
		}
		record(t, s, maud, audit.Entry{Action: "device.found", Subject: "device-8"})

		lost := audit.Recorded{
			ID: 1, Index: 0, At: start, Action: "device.lost", Subject: "device-7", Person: "staff-3",
			Actor:  ward.Actor{Person: maud.Person, Name: maud.Name, Via: maud.Via, Token: maud.Token},
			Detail: map[string]string{"note": "left on a <bus>"},
		}
		enrolled := audit.Recorded{ID: 2, Index: 1, At: start, Action: "device.enrolled", Subject: "device-7", Actor: phone}
		published := audit.Recorded{ID: 3, Index: 2, At: start, Action: "policy.published", Actor: ward.System}
		found := audit.Recorded{ID: 4, Index: -1, At: start, Action: "device.found", Subject: "device-8", Actor: lost.Actor}
		tests := []struct {
			name   string
			filter audit.Filter
			want   []audit.Recorded
		}{
			{"everything", audit.Filter{}, []audit.Recorded{found, published, enrolled, lost}},
			{"oldest first", audit.Filter{Oldest: true, Limit: 2}, []audit.Recorded{lost, enrolled}},
			{"oldest first, second page", audit.Filter{Oldest: true, After: 2}, []audit.Recorded{published, found}},
			{"newest first, second page", audit.Filter{After: 3, Limit: 1}, []audit.Recorded{enrolled}},
			{"by action", audit.Filter{Action: "device.lost"}, []audit.Recorded{lost}},
			{"by subject", audit.Filter{Subject: "device-7"}, []audit.Recorded{enrolled, lost}},
			{"by person", audit.Filter{Actor: "person-maud"}, []audit.Recorded{found, lost}},
			{"by device that acted", audit.Filter{Actor: "device-7"}, []audit.Recorded{enrolled}},
			{"by all", audit.Filter{Actor: "person-maud", Subject: "device-8", Action: "device.found", After: 9}, []audit.Recorded{found}},
			{"nothing", audit.Filter{Subject: "device-9"}, nil},
		}
		for _, tt := range tests {
			got, err := s.List(t.Context(), tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: List(%+v) mismatch (-want +got)\n%s", tt.name, tt.filter, diff)
			}
		}
		got, err := s.Entry(t.Context(), 4)
		if diff := cmp.Diff(found, got); err != nil || diff != "" {
			t.Errorf("Entry(4): error %v, mismatch (-want +got)\n%s", err, diff)
		}
		if _, err := s.Entry(t.Context(), 5); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Entry(5) = %v, want NotFound", err)
		}
	})
}

// TestOneTransaction: an entry lives and dies with the deed.
func TestOneTransaction(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newService(t, db, newKey(t))
		boom := errors.New("boom")
		err := db.Do(ward.WithActor(t.Context(), maud), func(ctx context.Context) error {
			if err := s.Record(ctx, audit.Entry{Action: "device.lost"}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatalf("Do = %v, want boom", err)
		}
		select {
		case <-s.Wanted():
			t.Error("a deed that failed asks for sequencing")
		default:
		}
		got, err := s.List(t.Context(), audit.Filter{})
		if err != nil || len(got) != 0 {
			t.Errorf("List = %v, %v; want nothing", got, err)
		}
		record(t, s, maud, audit.Entry{Action: "device.lost"})
		select {
		case <-s.Wanted():
		default:
			t.Error("a committed deed does not ask for sequencing")
		}
	})
}

func TestRecordRefuses(t *testing.T) {
	t.Parallel()
	s := newService(t, storetest.SQLite(t), newKey(t))
	for _, tt := range []struct {
		name  string
		actor ward.Actor
		entry audit.Entry
	}{
		{"nobody acts", ward.Actor{}, audit.Entry{Action: "device.lost"}},
		{"no action", maud, audit.Entry{}},
		{"an action that is a sentence", maud, audit.Entry{Action: "Maud lost it"}},
	} {
		if err := s.Record(ward.WithActor(t.Context(), tt.actor), tt.entry); err == nil {
			t.Errorf("%s: Record = nil, want an error", tt.name)
		}
	}
}

// TestForgetPerson: what was said of a person cannot be read again and the tree still
// verifies against a checkpoint from before.
func TestForgetPerson(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newService(t, db, newKey(t))
		record(t, s, maud, audit.Entry{Action: "device.lost", Subject: "device-7"})
		record(t, s, ward.System, audit.Entry{Action: "person.created", Subject: "person-maud", Person: "person-maud", Detail: map[string]string{"name": "Maud Ellery"}})
		sequence(t, s)
		before, err := s.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(export(t, s), []byte("Maud Ellery")) {
			t.Fatal("the export does not disclose the name of someone not forgotten")
		}
		parts, err := s.ForgetPerson(ward.WithActor(t.Context(), ward.System), "person-maud")
		if err != nil || parts != 2 {
			t.Fatalf("ForgetPerson = %d, %v; want 2 parts", parts, err)
		}
		if _, err := s.ForgetPerson(ward.WithActor(t.Context(), ward.System), "person-maud"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("ForgetPerson again = %v, want NotFound", err)
		}
		sequence(t, s)
		got, err := s.List(t.Context(), audit.Filter{Oldest: true})
		if err != nil || len(got) != 3 {
			t.Fatalf("List = %d entries, %v; want 3", len(got), err)
		}
		want := audit.Recorded{ID: 1, At: start, Action: "device.lost", Subject: "device-7", ActorErased: true}
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Errorf("the forgotten actor: mismatch (-want +got)\n%s", diff)
		}
		want = audit.Recorded{ID: 2, Index: 1, At: start, Action: "person.created", Actor: ward.System, SubjectErased: true}
		if diff := cmp.Diff(want, got[1]); diff != "" {
			t.Errorf("the forgotten subject: mismatch (-want +got)\n%s", diff)
		}
		if got, err := s.List(t.Context(), audit.Filter{Actor: "person-maud"}); err != nil || len(got) != 0 {
			t.Errorf("the forgotten person is still found: %v, %v", got, err)
		}
		text := export(t, s)
		if bytes.Contains(text, []byte("Maud")) || bytes.Contains(text, []byte("person-maud")) {
			t.Errorf("the export still names the forgotten person:\n%s", text)
		}
		report, err := verify.Verify(bytes.NewReader(text), verify.Options{PublicKey: s.PublicKey(), Earlier: [][]byte{before.Note}})
		if err != nil || report.Sealed != 2 || report.Disclosed != 4 {
			t.Errorf("Verify = %+v, %v; want 2 parts sealed and 4 disclosed", report, err)
		}
		record(t, s, maud, audit.Entry{Action: "device.lost", Subject: "device-7"})
		if got, err := s.List(t.Context(), audit.Filter{Actor: "person-maud"}); err != nil || len(got) != 1 || got[0].Actor.Name != "Maud Ellery" {
			t.Errorf("a later deed: List = %v, %v; want it readable under a new key", got, err)
		}
	})
}

// TestCopies: several copies of the server record and sequence at once; every entry
// gets one place, and the whole verifies.
func TestCopies(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		key := newKey(t)
		const copies, each = 4, 60
		var wg sync.WaitGroup
		for range copies {
			s := newService(t, db, key)
			wg.Go(func() {
				ctx := ward.WithActor(t.Context(), maud)
				for i := range each {
					if err := s.Record(ctx, audit.Entry{Action: "device.lost", Subject: "device-7", Person: "staff-3"}); err != nil {
						t.Error(err)
						return
					}
					if i%7 == 0 {
						if _, err := s.Sequence(ctx); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		s := newService(t, db, key)
		sequence(t, s)
		report, err := verify.Verify(bytes.NewReader(export(t, s)), verify.Options{PublicKey: key.Public()})
		if err != nil || report.Size != copies*each || report.Disclosed != 2*copies*each {
			t.Errorf("Verify = %+v, %v; want %d entries", report, err, copies*each)
		}
	})
}

// TestBatches: more entries than one unit of work takes.
func TestBatches(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	s := newService(t, db, newKey(t))
	const entries = 450
	err := db.Do(ward.WithActor(t.Context(), maud), func(ctx context.Context) error {
		for range entries {
			if err := s.Record(ctx, audit.Entry{Action: "device.lost", Subject: "device-7"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := sequence(t, s); n != entries {
		t.Errorf("Sequence = %d, want %d", n, entries)
	}
	if n := sequence(t, s); n != 0 {
		t.Errorf("Sequence again = %d, want 0", n)
	}
	report, err := verify.Verify(bytes.NewReader(export(t, s)), verify.Options{PublicKey: s.PublicKey()})
	if err != nil || report.Size != entries {
		t.Errorf("Verify = %+v, %v; want %d entries", report, err, entries)
	}
}

func root(t *testing.T, s *audit.Service, text []byte) tlog.Tree {
	t.Helper()
	v, err := note.NewVerifier(s.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(text, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(n.Text, "\n")
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestProofs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s := newService(t, db, newKey(t))
		if _, err := s.Checkpoint(ctx); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Checkpoint before the first Sequence = %v, want NotFound", err)
		}
		sequence(t, s) // an empty log is signed too
		var trees []tlog.Tree
		for range 9 {
			c, err := s.Checkpoint(ctx)
			if err != nil {
				t.Fatal(err)
			}
			trees = append(trees, root(t, s, c.Note))
			record(t, s, maud, audit.Entry{Action: "device.lost", Subject: "device-7"})
			sequence(t, s)
		}
		for id := int64(1); id <= 9; id++ {
			p, err := s.InclusionProof(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			now := root(t, s, p.Checkpoint)
			if err := tlog.CheckRecord(p.Hashes, p.Size, now.Hash, p.Index, tlog.RecordHash([]byte(p.Leaf))); err != nil {
				t.Errorf("entry %d: %v", id, err)
			}
		}
		for _, old := range trees[1:] {
			p, err := s.ConsistencyProof(ctx, old.N)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckTree(p.Hashes, p.Size, root(t, s, p.Checkpoint).Hash, old.N, old.Hash); err != nil {
				t.Errorf("since %d: %v", old.N, err)
			}
		}
		record(t, s, maud, audit.Entry{Action: "device.lost"})
		if _, err := s.InclusionProof(ctx, 10); ward.KindOf(err) != ward.Unavailable {
			t.Errorf("proof of an entry not in the tree = %v, want Unavailable", err)
		}
		for _, size := range []int64{0, 10} {
			if _, err := s.ConsistencyProof(ctx, size); ward.KindOf(err) != ward.Invalid {
				t.Errorf("ConsistencyProof(%d) = %v, want Invalid", size, err)
			}
		}
	})
}
