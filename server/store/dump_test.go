package store_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestDump: what is dumped from one engine and loaded into the other dumps as the same,
// opens its seals, and grows on.
func TestDump(t *testing.T) {
	t.Parallel()
	for name, open := range map[string][2]func(testing.TB) *store.DB{
		"sqlite to postgres":   {storetest.SQLite, storetest.Postgres},
		"postgres to sqlite":   {storetest.Postgres, storetest.SQLite},
		"sqlite to sqlite":     {storetest.SQLite, storetest.SQLite},
		"postgres to postgres": {storetest.Postgres, storetest.Postgres},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := open[0](t), open[1](t)
			p := enrolled(t, from)
			e, err := from.Fleet().Latest(t.Context(), p.id)
			if err != nil {
				t.Fatal(err)
			}
			fill(t, from, e)
			first := dump(t, from)
			if err := to.Load(t.Context(), strings.NewReader(first)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(byTable(first), byTable(dump(t, to))); diff != "" {
				t.Errorf("dumps mismatch (-first +loaded):\n%s", diff)
			}
			if b, err := to.Secret(t.Context(), "s"); err != nil || string(b) != "secret" {
				t.Errorf("Secret() = %q, %v; want it", b, err)
			}
			if _, body, forged, err := to.Commands().Next(t.Context(), e.ID); err != nil || string(body) != "body 0" || len(forged) != 0 {
				t.Errorf("Next() = %q, %d forged, %v; want the first command", body, len(forged), err)
			}
			if _, err := to.Commands().Enqueue(t.Context(), command.New{Enrolment: e.ID, RequestType: "ProfileList", Body: []byte("later")}); err != nil {
				t.Errorf("a command after the load: %v", err)
			}
			list, err := to.Commands().List(t.Context(), e.ID, 0, 1)
			if err != nil || len(list) != 1 || list[0].Seq <= 5 {
				t.Errorf("the newest command is %+v, %v; want one behind the loaded ones", list, err)
			}
			if err := to.Load(t.Context(), strings.NewReader(first)); ward.KindOf(err) != ward.Conflict {
				t.Errorf("Load() again = %v, want a conflict", err)
			}
		})
	}
}

// fill puts something of every kind of value into a database.
func fill(t *testing.T, db *store.DB, e ward.Enrolment) {
	t.Helper()
	ctx := t.Context()
	errs := []error{
		db.Fleet().InsertDevice(ctx, ward.Device{ID: "d1", Name: `"quotes" \ 雨 <b>`, Platform: ward.IOS, Ownership: ward.Personal, State: ward.Managed, Created: time.Unix(1, 2000)}),
		db.Fleet().SetReenrol(ctx, "d1", true),
		db.SetSetting(ctx, "empty", ""), db.SetSetting(ctx, "digits", "0123"), db.SetSetting(ctx, "base64", "AAAA"),
		db.SetSecret(ctx, "s", []byte("secret")), once(db.Certificates().UseOnce(ctx, "expiring", "root 60", []byte{}, time.Unix(3, 0))),
		db.Policies().Insert(ctx, policy.Version{Generation: 1<<53 + 1, Text: "a: b\n", Published: time.Unix(2, 0)}),
	}
	for i := range 5 {
		_, err := db.Commands().Enqueue(ctx, command.New{UUID: fmt.Sprint("C", i), Enrolment: e.ID, RequestType: "ProfileList", Body: fmt.Appendf(nil, "body %d", i), StepKey: fmt.Sprint("s", i)})
		errs = append(errs, err)
	}
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func once(_ bool, err error) error { return err }

func dump(t *testing.T, db *store.DB) string {
	t.Helper()
	var b bytes.Buffer
	if err := db.Dump(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// byTable counts lines: the order within a table is the engine's.
func byTable(dump string) map[string]int {
	n := map[string]int{}
	for line := range strings.Lines(dump) {
		n[line]++
	}
	return n
}

// TestLoadRefuses: what is no whole dump of this schema changes nothing.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		source := storetest.SQLite(t)
		p := enrolled(t, source)
		e, err := source.Fleet().Latest(t.Context(), p.id)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, source, e)
		good := dump(t, source)
		head, rest, _ := strings.Cut(good, "\n")
		before := byTable(dump(t, db))
		for name, tc := range map[string]struct {
			text string
			want ward.Kind
		}{
			"nothing":          {"", ward.Invalid},
			"another file":     {"{}\n" + rest, ward.Invalid},
			"another schema":   {`{"ward":"dump","schema":999}` + "\n" + rest, ward.Conflict},
			"cut off":          {good[:len(good)-20], ward.Invalid},
			"an unknown table": {head + "\n" + `{"t":"person; DROP TABLE device","r":{}}` + "\n", ward.Invalid},
			"a wild column":    {head + "\n" + `{"t":"setting","r":{"key\"":"a"}}` + "\n", ward.Invalid},
			"half way":         {good + "nonsense", ward.Invalid},
		} {
			if err := db.Load(context.WithoutCancel(t.Context()), strings.NewReader(tc.text)); ward.KindOf(err) != tc.want {
				t.Errorf("%s: %v, want %s", name, err, tc.want)
			}
			if diff := cmp.Diff(before, byTable(dump(t, db))); diff != "" {
				t.Errorf("%s changed the database:\n%s", name, diff)
			}
		}
	})
}
