package view_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/store/storetest"
	"github.com/wardmdm/ward/server/view"
)

// noted gathers what the audit log is told.
type noted struct{ lines []string }

func (n *noted) Record(_ context.Context, action, subject string, detail map[string]string) error {
	n.lines = append(n.lines, action+" "+detail["shared"])
	if subject == "" {
		return fmt.Errorf("%s names nothing", action)
	}
	return nil
}

func TestViews(t *testing.T) {
	t.Parallel()
	log := &noted{}
	now := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	s := &view.Service{Store: storetest.SQLite(t).SavedViews(), Audit: log, Now: func() time.Time { return now }}
	as := func(p ward.PersonID) context.Context {
		return ward.WithActor(t.Context(), ward.Actor{Person: p, Via: ward.ViaSession})
	}
	maud, ben := as("maud"), as("ben")
	save := func(ctx context.Context, name, query string, shared bool) view.View {
		t.Helper()
		v, err := s.Save(ctx, name, query, shared)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	own := save(maud, "  My   ward ", "group=Ward+7", false)
	shared := save(maud, "Lost ones", "state=lost", true)
	save(ben, "My ward", "group=Theatres", false)

	names := func(ctx context.Context) (out []string) {
		t.Helper()
		all, err := s.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			out = append(out, v.Name+" "+v.Query)
		}
		return out
	}
	if diff := cmp.Diff([]string{"Lost ones state=lost", "My ward group=Ward+7"}, names(maud)); diff != "" {
		t.Errorf("Maud's mismatch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Lost ones state=lost", "My ward group=Theatres"}, names(ben)); diff != "" {
		t.Errorf("Ben's mismatch (-want +got):\n%s", diff)
	}

	for _, c := range []struct {
		name, view, query string
		ctx               context.Context
		want              ward.Kind
	}{
		{"no name", " ", "q=x", maud, ward.Invalid},
		{"a long name", strings.Repeat("x", 61), "q=x", maud, ward.Invalid},
		{"a long filter", "x", strings.Repeat("x", 2001), maud, ward.Invalid},
		{"a name that is there", "LOST ONES", "q=x", ben, ward.Conflict},
		{"nobody", "x", "q=x", t.Context(), ward.Forbidden},
	} {
		if _, err := s.Save(c.ctx, c.view, c.query, false); ward.KindOf(err) != c.want {
			t.Errorf("%s: Save = %v, want %v", c.name, err, c.want)
		}
	}
	for _, c := range []struct {
		name string
		id   string
		want ward.Kind
	}{{"another's own", own.ID, ward.NotFound}, {"another's that is shared", shared.ID, ward.Forbidden}, {"none", "none", ward.NotFound}} {
		if _, err := s.Remove(ben, c.id); ward.KindOf(err) != c.want {
			t.Errorf("%s: Remove = %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := s.Remove(maud, shared.ID); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"My ward group=Theatres"}, names(ben)); diff != "" {
		t.Errorf("Ben's after the removal mismatch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"view.saved no", "view.saved yes", "view.saved no", "view.removed yes"}, log.lines); diff != "" {
		t.Errorf("audit mismatch (-want +got):\n%s", diff)
	}
}

// TestTooMany bounds what one person keeps.
func TestTooMany(t *testing.T) {
	t.Parallel()
	s := &view.Service{Store: storetest.SQLite(t).SavedViews(), Audit: &noted{}, Now: func() time.Time { return time.Unix(0, 0) }}
	ctx := ward.WithActor(t.Context(), ward.Actor{Person: "maud", Via: ward.ViaSession})
	for i := range 100 {
		if _, err := s.Save(ctx, fmt.Sprint("view ", i), "q=x", false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Save(ctx, "one more", "q=x", false); ward.KindOf(err) != ward.Conflict {
		t.Errorf("Save = %v, want Conflict", err)
	}
}
