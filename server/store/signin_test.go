package store_test

import (
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestSittings: a session knows whose it is, moves to a new token and stays the same, and
// does not come back once it was ended.
func TestSittings(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, rows := db.Sessions(), db.SignIn()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		now := time.Now().UTC().Truncate(time.Microsecond)
		begun := access.Session{
			ID: "session-1", Person: "person-maud", How: access.ByProvider, Provider: "Trust", Subject: "sub", ProviderSession: "sid", Refresh: "canary-refresh",
			Address: "10.0.0.7", Browser: "Firefox on Linux", Begun: now, Seen: now, Checked: now.Add(-time.Hour), Answered: now,
		}
		ctx, st := access.WithSitting(t.Context())
		st.Begin = &begun
		must(s.CommitCtx(ctx, "first", []byte("1"), farOff))
		list, err := rows.SessionsOf(ctx, "person-maud", longAgo)
		if err != nil || len(list) != 1 || list[0] != begun {
			t.Fatalf("SessionsOf = %+v, %v; want %+v", list, err, begun)
		}

		ctx, st = access.WithSitting(t.Context())
		if _, found, err := s.FindCtx(ctx, "first"); !found || err != nil {
			t.Fatalf("Find(first) = %v, %v", found, err)
		}
		st.Rotate = true
		must(s.DeleteCtx(ctx, "first"))
		must(s.CommitCtx(ctx, "second", []byte("2"), farOff))
		for _, token := range []string{"first", "second"} { // the first for a minute, for what is on its way
			if data, found, err := s.Find(token); !found || err != nil || string(data) != "2" {
				t.Errorf("Find(%s) = %q, %v, %v; want 2", token, data, found, err)
			}
		}
		if list, _ := rows.SessionsOf(ctx, "person-maud", longAgo); len(list) != 1 || list[0].ID != "session-1" {
			t.Errorf("after the rotation there are %+v; want session-1", list)
		}

		due, err := rows.ProvidedSessions(ctx, "Trust", now, 10)
		if err != nil || len(due) != 1 || due[0].Refresh != "canary-refresh" {
			t.Errorf("ProvidedSessions = %+v, %v", due, err)
		}
		for _, q := range [][2]string{{"sub", ""}, {"", "sid"}, {"sub", "sid"}} {
			if got, err := rows.SessionsFor(ctx, "Trust", q[0], q[1]); err != nil || len(got) != 1 {
				t.Errorf("SessionsFor(%q) = %v, %v; want one", q, got, err)
			}
		}
		if got, err := rows.SessionsFor(ctx, "Trust", "other", "sid"); err != nil || len(got) != 0 {
			t.Errorf("SessionsFor(other, sid) = %v, %v; want none", got, err)
		}

		ctx, _ = access.WithSitting(t.Context()) // a request is on its way while the session ends
		_, _, err = s.FindCtx(ctx, "second")
		must(err)
		if n, err := rows.EndSessions(t.Context(), "person-maud", ""); n != 1 || err != nil {
			t.Errorf("EndSessions = %d, %v; want 1", n, err)
		}
		must(s.CommitCtx(ctx, "second", []byte("3"), farOff))
		if _, found, _ := s.Find("second"); found {
			t.Error("a session came back after it was ended")
		}
		if _, err := rows.Session(ctx, "session-1"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Session of one that ended: %v; want NotFound", err)
		}
	})
}

// TestFactorsAreSealed: what a code is made of, and what a provider is asked with, is not to be
// read in the database; a step of time is used once.
func TestFactorsAreSealed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.SignIn()
		if _, err := s.Factor(ctx, "p"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Factor of nobody: %v; want NotFound", err)
		}
		if err := s.SetFactor(ctx, "p", access.Factor{Secret: "CANARYSECRET", Step: 7, Confirmed: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if f, err := s.Factor(ctx, "p"); err != nil || f.Secret != "CANARYSECRET" || f.Step != 7 {
			t.Errorf("Factor = %+v, %v", f, err)
		}
		for _, c := range []struct {
			step int64
			want bool
		}{{7, false}, {8, true}, {8, false}, {6, false}, {9, true}} {
			if got, err := s.UseStep(ctx, "p", c.step); got != c.want || err != nil {
				t.Errorf("UseStep(%d) = %v, %v; want %v", c.step, got, err, c.want)
			}
		}
		if err := s.SetRecovery(ctx, "p", []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		for i, want := range []bool{true, false} {
			if got, err := s.TakeRecovery(ctx, "p", "a"); got != want || err != nil {
				t.Errorf("take %d of a recovery code = %v, %v; want %v", i, got, err, want)
			}
		}
		all, err := s.Accounts(ctx, "p", "q")
		if err != nil || !all["p"].App || all["p"].Recovery != 1 || all["q"].App || !all["q"].Local() {
			t.Errorf("Accounts = %+v, %v", all, err)
		}
	})
}
