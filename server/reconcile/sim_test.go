package reconcile_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// factStore keeps the facts of enrolments that no device is bound to.
type factStore struct {
	reconcile.Fleet
	facts map[ward.EnrolmentID]map[fleet.FactKind]fleet.Fact
}

func (s *factStore) SetFact(_ context.Context, id ward.EnrolmentID, f fleet.Fact) error {
	if s.facts[id] == nil {
		s.facts[id] = map[fleet.FactKind]fleet.Fact{}
	}
	s.facts[id][f.Kind] = f
	return nil
}

func (s *factStore) Facts(_ context.Context, id ward.EnrolmentID) (out []fleet.Fact, err error) {
	for _, f := range s.facts[id] {
		out = append(out, f)
	}
	return out, nil
}

// TestSIMIsKeptAsAMark: that there is another card is told from what is kept, which card it
// is can't be, and the answer overwrites nothing else.
func TestSIMIsKeptAsAMark(t *testing.T) {
	t.Parallel()
	const one, two = "CTSubscriptionSlotOne", "CTSubscriptionSlotTwo"
	at := now
	s := &factStore{facts: map[ward.EnrolmentID]map[fleet.FactKind]fleet.Fact{}}
	l := &reconcile.Loop{Fleet: s, Now: func() time.Time { return at }}
	information := fleet.Fact{Kind: fleet.Information, Value: []byte(`{"supervised":true}`), Observed: now}
	if err := s.SetFact(t.Context(), "e1", information); err != nil {
		t.Fatal(err)
	}
	tell := func(e ward.EnrolmentID, cards []reconcile.Card) reconcile.Observed {
		t.Helper()
		at = at.Add(30 * time.Minute)
		told := reconcile.Told{Cards: cards, Information: &reconcile.Information{}, Facts: []fleet.Fact{{Kind: fleet.Information, Value: []byte(`{}`), Observed: at}}}
		if err := l.Answered(t.Context(), ward.Enrolment{ID: e}, command.Record{StepKey: "sim:c1"}, true, told); err != nil {
			t.Fatal(err)
		}
		facts, err := s.Facts(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		o, err := reconcile.Observe(facts)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	theirs := []reconcile.Card{{Slot: one, ICCID: "8944100030201234567"}, {Slot: two}}
	for _, tc := range []struct {
		name    string
		cards   []reconcile.Card
		changed bool
		known   bool
	}{
		{"the first time", theirs, false, false},
		{"the same card", theirs, false, true},
		{"in another order", []reconcile.Card{theirs[1], theirs[0]}, false, true},
		{"nothing told", nil, false, true},
		{"another card", []reconcile.Card{{Slot: one, ICCID: "8944100030201234575"}}, true, true},
		{"the old one again", theirs, true, true},
	} {
		o := tell("e1", tc.cards)
		if changed, known := o.SIMChanged(now); changed != tc.changed || known != tc.known {
			t.Errorf("%s: changed %v, known %v; want %v, %v", tc.name, changed, known, tc.changed, tc.known)
		}
	}
	if diff := cmp.Diff(string(information.Value), string(s.facts["e1"][fleet.Information].Value)); diff != "" {
		t.Errorf("the question about the SIM changed what else is known (-want +got):\n%s", diff)
	}
	kept := string(s.facts["e1"][reconcile.SIMs].Value)
	if strings.Contains(kept, "8944") || strings.Contains(kept, "1234567") {
		t.Errorf("the card is kept: %s", kept)
	}
	tell("e2", theirs)
	var a, b reconcile.SIM
	for raw, into := range map[string]*reconcile.SIM{kept: &a, string(s.facts["e2"][reconcile.SIMs].Value): &b} {
		if err := json.Unmarshal([]byte(raw), into); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.Marks) != 1 || len(b.Marks) != 1 || len(a.Marks[0].Mark) != 8 || a.Marks[0].Mark == b.Marks[0].Mark {
		t.Errorf("the marks of one card on two enrolments are %v and %v, want eight digits each that differ", a.Marks, b.Marks)
	}
	if o := tell("e3", []reconcile.Card{}); o.SIM == nil || len(o.SIM.Value.Marks) != 0 {
		t.Errorf("a phone without a card: %+v, want that it has none", o.SIM)
	}
	if changed, known := tell("e3", theirs).SIMChanged(now); !changed || !known {
		t.Errorf("a card where there was none: changed %v, known %v; want both", changed, known)
	}
}
