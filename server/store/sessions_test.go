package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

var (
	longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	farOff  = time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC)
)

func TestSessions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s := db.Sessions()
		commit := func(token, data string, expiry time.Time) {
			t.Helper()
			if err := s.CommitCtx(ctx, token, []byte(data), expiry); err != nil {
				t.Fatal(err)
			}
		}
		want := func(token, data string) {
			t.Helper()
			got, found, err := s.Find(token)
			if err != nil || found != (data != "") || string(got) != data {
				t.Errorf("Find(%s) = %q, %v, %v; want %q", token, got, found, err, data)
			}
		}
		want("a", "")
		commit("a", "1", farOff)
		commit("b", "2", farOff)
		commit("a", "3", farOff)
		commit("old", "4", longAgo)
		want("a", "3")
		want("b", "2")
		want("old", "")
		if n, err := s.DeleteExpired(ctx); n != 1 || err != nil {
			t.Errorf("DeleteExpired = %d, %v; want 1", n, err)
		}
		for range 2 {
			if err := s.Delete("a"); err != nil {
				t.Fatal(err)
			}
		}
		want("a", "")
		want("b", "2")
	})
}

// TestSessionManager: scs works on the store, and a renewed token leaves nothing of
// the old one.
func TestSessionManager(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	m := scs.New()
	m.Store = db.Sessions()
	load := func(token string) context.Context {
		t.Helper()
		ctx, err := m.Load(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return ctx
	}
	ctx := load("")
	m.Put(ctx, "person", "person-maud")
	first, _, err := m.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ctx = load(first)
	if got := m.GetString(ctx, "person"); got != "person-maud" {
		t.Errorf("the session holds %q, want person-maud", got)
	}
	if err := m.RenewToken(ctx); err != nil {
		t.Fatal(err)
	}
	second, _, err := m.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.GetString(load(first), "person"); got != "" {
		t.Errorf("the old token still gives %q", got)
	}
	if got := m.GetString(load(second), "person"); got != "person-maud" {
		t.Errorf("the new token gives %q, want person-maud", got)
	}
}

// TestSessionsAreSealed: what a session holds is not read in the database, and one that somebody
// wrote there, or moved to a token of their own, is nobody's.
func TestSessionsAreSealed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Sessions()
		if err := s.CommitCtx(ctx, "token of theirs", []byte("person-maud canary"), farOff); err != nil {
			t.Fatal(err)
		}
		var dump bytes.Buffer
		if err := db.Dump(ctx, &dump); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(dump.Bytes(), []byte("canary")) || bytes.Contains(dump.Bytes(), []byte(base64.StdEncoding.EncodeToString([]byte("person-maud canary")))) {
			t.Error("a backup holds what a session holds in clear")
		}
		mine := sha256.Sum256([]byte("token of mine"))
		for name, q := range map[string]string{
			"moved":   `UPDATE session SET hash = $1`,
			"written": `UPDATE session SET hash = $1, data = 'person-maud'`,
		} {
			if err := db.Tamper(ctx, q, hex.EncodeToString(mine[:])); err != nil {
				t.Fatal(err)
			}
			if data, found, err := s.Find("token of mine"); found || err != nil {
				t.Errorf("a session that was %s = %q, %v, %v; want none", name, data, found, err)
			}
		}
	})
}
