package approver_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"github.com/wardmdm/ward/server/unit"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const (
	rpID   = "ward.example"
	origin = "https://ward.example"
)

var (
	start  = time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
	hash   = strings.Repeat("ab", 32)
	other  = strings.Repeat("cd", 32)
	people = []approvertest.Who{{Person: "ada", Name: "Ada", Subject: "Staff 1"}, {Person: "bob", Name: "Bob", Subject: "staff 2"}, {Person: "cy", Name: "Cy", Subject: "cy@care.example", Outside: true}}
)

// journal is an audit log in memory.
type journal struct {
	mu      sync.Mutex
	actions []string
	fail    string // the action that can't be recorded
}

func (j *journal) Record(_ context.Context, action, subject string, _ map[string]string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if action == j.fail {
		return errors.New("the audit log is full")
	}
	if subject == "" {
		return errors.New("the subject is missing")
	}
	j.actions = append(j.actions, action)
	return nil
}

func (j *journal) count(action string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, a := range j.actions {
		if a == action {
			n++
		}
	}
	return n
}

// world is a service on a real database.
type world struct {
	*approver.Service
	t     *testing.T
	db    *store.DB
	raw   *sql.DB // the database's file
	root  approver.Root
	audit *journal

	mu    sync.Mutex
	now   time.Time
	added []string
	ended []string
	email map[ward.PersonID]string
}

// Email meets approver.People.
func (w *world) Email(_ context.Context, p ward.PersonID) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e, ok := w.email[p]; ok {
		return e, nil
	}
	return "", ward.Errorf(ward.NotFound, "There is no person %s.", p)
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, root: &approvertest.Root{}, audit: &journal{}, now: start}
	w.Service = w.copy(w.root)
	return w
}

// newFileWorld is a service on SQLite, whose file others may write too.
func newFileWorld(t *testing.T) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ward.db")
	db, err := store.Open(t.Context(), store.Options{URL: path, Master: storetest.Master(), Now: func() time.Time { return start }})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(raw.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, db)
	w.raw = raw
	return w
}

// copy is another copy of the server on the same database.
func (w *world) copy(root approver.Root) *approver.Service {
	w.t.Helper()
	s, err := approver.New(approver.Config{
		Store: w.db.Approvers(), Root: root, Audit: w.audit, RPID: rpID, Origin: origin, Organisation: "Example Trust",
		Now: func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now },
		OnAdded: func(_ context.Context, a approver.Approver) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.added = append(w.added, string(a.Person))
			return nil
		},
		OnEnded: func(ctx context.Context, a approver.Approver, by, reason string) error {
			if reason == "nobody can be told" {
				return errors.New("the outbox is full")
			}
			unit.AfterCommit(ctx, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.ended = append(w.ended, string(a.Person)+" by "+by+": "+reason)
			})
			return nil
		},
		People: w,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// seed has ada and bob stand as founders, and cy by their vouches, each a minute later.
func (w *world) seed() (ada, bob, cy *approvertest.Person) {
	w.t.Helper()
	out, err := approvertest.Seed(w.t.Context(), w.Service, people...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pass(time.Minute)
	return out[0], out[1], out[2]
}

// register has somebody become pending.
func (w *world) register(who approvertest.Who) *approvertest.Person {
	w.t.Helper()
	p, err := approvertest.Register(w.t.Context(), w.Service, who)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// assert has somebody sign an order's hash.
func (w *world) assert(p *approvertest.Person, purpose approver.Purpose, hash string) approver.Assertion {
	w.t.Helper()
	a, err := p.Assert(w.t.Context(), w.Service, purpose, hash)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) console() context.Context {
	return ward.WithActor(w.t.Context(), ward.Actor{Name: "Operator", Via: ward.ViaConsole})
}

// sql changes the database behind everyone's back, as a thief with SQL would.
func (w *world) sql(q string, args ...any) {
	w.t.Helper()
	r, err := w.raw.ExecContext(w.t.Context(), q, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", q, err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		w.t.Fatalf("%s: %d rows changed, %v", q, n, err)
	}
}

// states are the states of all records by person, joined where there are several.
func (w *world) states() map[string]string {
	w.t.Helper()
	all, err := w.List(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for _, s := range all {
		p := string(s.Person)
		out[p] = strings.TrimSpace(out[p] + " " + string(s.State))
	}
	return out
}

// wantKind checks the kind of an error; the empty kind is none.
func wantKind(t *testing.T, what string, err error, want ward.Kind) {
	t.Helper()
	if got := ward.KindOf(err); got != want {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, got, want)
	}
}

// edit changes the client data of an answer.
func edit(t *testing.T, response []byte, change func(map[string]any)) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(response, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func flipped(b []byte, i int) []byte {
	c := slices.Clone(b)
	c[i] ^= 1
	return c
}

// parse reads a passkey's answer.
func parse(t *testing.T, response []byte) protocol.AuthenticatorAssertionResponse {
	t.Helper()
	var r protocol.CredentialAssertionResponse
	if err := json.Unmarshal(response, &r); err != nil {
		t.Fatal(err)
	}
	return r.AssertionResponse
}
