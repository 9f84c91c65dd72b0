package lost_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// good is what is known of a device of which everything is as it should be.
func good() lost.Known {
	yes := lost.Fact{Value: lost.Yes, At: start.Add(-time.Hour)}
	return lost.Known{
		Encrypted: yes, PasscodeSet: yes, PasscodeComplies: yes, AppPresent: yes, Compliant: lost.Fact{Value: lost.Yes, At: start, Text: "compliant"},
		ExceptionsAt: start, UsesKnown: true, CertificateUsed: start.Add(-2 * time.Hour),
	}
}

// TestAssessLevels: the rules, one by one, from a case in which nothing is wrong.
func TestAssessLevels(t *testing.T) {
	t.Parallel()
	calm := func(r *lost.Report) { r.WasUnlocked, r.DataOpen = lost.No, lost.No }
	unknown := func(f func(k *lost.Known) *lost.Fact) func(*lost.Report, *lost.Known) {
		return func(_ *lost.Report, k *lost.Known) { *f(k) = lost.Fact{} }
	}
	no := func(f func(k *lost.Known) *lost.Fact) func(*lost.Report, *lost.Known) {
		return func(_ *lost.Report, k *lost.Known) { f(k).Value = lost.No }
	}
	encrypted := func(k *lost.Known) *lost.Fact { return &k.Encrypted }
	passcode := func(k *lost.Known) *lost.Fact { return &k.PasscodeSet }
	complies := func(k *lost.Known) *lost.Fact { return &k.PasscodeComplies }
	compliant := func(k *lost.Known) *lost.Fact { return &k.Compliant }
	app := func(k *lost.Known) *lost.Fact { return &k.AppPresent }
	tests := []struct {
		name  string
		with  func(r *lost.Report, k *lost.Known)
		loose bool // it has not accepted its lock
		want  lost.Level
		says  string
	}{
		{"all good", nil, false, lost.Low, "was encrypted"},
		{"app not known", unknown(app), false, lost.Low, "was encrypted"},
		{"data open", func(r *lost.Report, _ *lost.Known) { r.DataOpen = lost.Yes }, false, lost.High, "Patient data was open"},
		{"data not known", func(r *lost.Report, _ *lost.Known) { r.DataOpen = lost.Unknown }, false, lost.Medium, "not known whether patient data"},
		{"unlocked, locked since", func(r *lost.Report, _ *lost.Known) { r.WasUnlocked = lost.Yes }, false, lost.Medium, "It was unlocked when it went missing."},
		{"unlocked, and loose", func(r *lost.Report, _ *lost.Known) { r.WasUnlocked = lost.Yes }, true, lost.High, "has not accepted a lock so far"},
		{"loose", nil, true, lost.Medium, "has not accepted a lock"},
		{"unlocked not known", func(r *lost.Report, _ *lost.Known) { r.WasUnlocked = lost.Unknown }, false, lost.Medium, "not known whether it was unlocked"},
		{"not encrypted", no(encrypted), false, lost.High, "not encrypted"},
		{"encryption not known", unknown(encrypted), false, lost.Medium, "not known whether it was encrypted"},
		{"no passcode", no(passcode), false, lost.High, "had no passcode"},
		{"passcode not known", unknown(passcode), false, lost.Medium, "not known whether it had a passcode"},
		{"weak passcode", no(complies), false, lost.Medium, "did not comply with the policy"},
		{"passcode's quality not known", unknown(complies), false, lost.Medium, "not known whether its passcode"},
		{"not compliant", no(compliant), false, lost.Medium, "did not comply when"},
		{"never judged", unknown(compliant), false, lost.Medium, "not known whether it complied"},
		{"an exception", func(_ *lost.Report, k *lost.Known) { k.Exceptions = []string{"no passcode on trolleys"} }, false, lost.Medium, "Exceptions"},
		{"exceptions not known", func(_ *lost.Report, k *lost.Known) { k.ExceptionsAt = time.Time{} }, false, lost.Medium, "not known whether exceptions"},
		{"certificate used since", func(_ *lost.Report, k *lost.Known) { k.CertificateUsed = start.Add(time.Minute) }, false, lost.High, "certificate was used"},
		{"certificate used after it was last seen", func(r *lost.Report, k *lost.Known) {
			r.LastSeenAt, k.CertificateUsed = start.Add(-time.Hour), start.Add(-time.Minute)
		}, false, lost.High, "certificate was used"},
		{"certificate never used", func(_ *lost.Report, k *lost.Known) { k.CertificateUsed = time.Time{} }, false, lost.Low, "was encrypted"},
		{"uses not known", func(_ *lost.Report, k *lost.Known) { k.UsesKnown = false }, false, lost.Medium, "certificate was used since"},
	}
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := ward.DeviceID(tt.name)
			e := w.device(id)
			r, k := lost.Report{Devices: []ward.DeviceID{id}}, good()
			calm(&r)
			if tt.with != nil {
				tt.with(&r, &k)
			}
			w.facts.known = k
			cs, err := w.Report(w.as(ward.PersonID(tt.name)), r) // one person may not report so many
			if err != nil {
				t.Fatal(err)
			}
			if !tt.loose {
				w.accept(e)
			}
			a, err := w.Assess(t.Context(), cs[0].ID)
			if err != nil {
				t.Fatal(err)
			}
			if a.Level != tt.want || !slices.ContainsFunc(a.Reasons, func(s string) bool { return strings.Contains(s, tt.says) }) {
				t.Errorf("level %s because %q, want %s because of %q", a.Level, a.Reasons, tt.want, tt.says)
			}
			if bad := slices.ContainsFunc(a.Findings, func(f lost.Finding) bool { return f.Bad }); bad != (a.Level != lost.Low) {
				t.Errorf("findings that count against it: %v, at level %s", bad, a.Level)
			}
		})
	}
}

// TestAssessWithoutFacts: what nobody can tell is not known, with no time, and never good.
func TestAssessWithoutFacts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	w.Facts = nil
	w.device("d1")
	a, err := w.Assess(t.Context(), w.report("d1").ID)
	if err != nil {
		t.Fatal(err)
	}
	if a.Level != lost.Medium || !a.Aware.Equal(start) || !a.Deadline.Equal(start.Add(72*time.Hour)) {
		t.Errorf("assessment %+v", a)
	}
	for _, f := range a.Findings {
		switch f.Key {
		case lost.FindLocked, lost.FindErased, lost.FindContact:
			continue
		}
		if f.Value != lost.Unknown || f.Text != "Not known" || !f.At.IsZero() || f.Name == "" {
			t.Errorf("finding %+v is known", f)
		}
	}
}

// TestAssessAsItWas: what the device tells after the report changes no finding but the use of
// its certificates; an erase is told in true words.
func TestAssessAsItWas(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		e := w.device("d1")
		w.facts.known = good()
		c := w.report("d1")
		w.facts.known = lost.Known{}
		w.accept(e)
		w.erase(c)
		if got := w.accept(e); got != "EraseDevice" {
			t.Fatalf("accepted %s", got)
		}
		find := func(key string) lost.Finding {
			t.Helper()
			a, err := w.Assess(t.Context(), c.ID)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(a.Findings, func(f lost.Finding) bool { return f.Key == key })
			return a.Findings[i]
		}
		want := lost.Finding{Key: lost.FindEncrypted, Name: "Was it encrypted?", Value: lost.Yes, At: start.Add(-time.Hour), Text: "Yes"}
		if diff := cmp.Diff(want, find(lost.FindEncrypted)); diff != "" {
			t.Errorf("finding mismatch (-want +got)\n%s", diff)
		}
		if f := find(lost.FindErased); f.Value != lost.Yes || !strings.HasSuffix(f.Text, ", not seen since") {
			t.Errorf("erased: %+v", f)
		}
		if f := find(lost.FindLocked); f.Value != lost.Yes || f.At.IsZero() || f.Bad {
			t.Errorf("locked: %+v", f)
		}
		w.enrol("d1")
		if f := find(lost.FindErased); f.Value != lost.Yes || !strings.Contains(f.Text, "came back fresh") {
			t.Errorf("erased and back: %+v", f)
		}
	})
}

func TestDecide(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		e := w.device("d1")
		w.facts.known = good()
		c := w.report("d1")
		w.accept(e)
		for name, d := range map[string]lost.Decision{
			"no reasons": {Reasoning: " "}, "too many words": {Reasoning: strings.Repeat("x", 2001)}, "a link that is none": {Reasoning: "x", Link: "javascript:alert(1)"},
			"a link in the clear": {Reasoning: "x", Link: "http://incidents.example/1"}, "a link with a password": {Reasoning: "x", Link: "https://a:b@incidents.example/1"},
			"a long reference": {Reasoning: "x", Reference: strings.Repeat("x", 201)},
		} {
			_, err := w.Decide(w.as("ada"), c.ID, d)
			wantKind(t, name, err, ward.Invalid)
		}
		_, err := w.Decide(ward.WithActor(t.Context(), ward.System), c.ID, lost.Decision{Reasoning: "x"})
		wantKind(t, "decided by Ward", err, ward.Forbidden)
		first, err := w.Decide(w.as("ada"), c.ID, lost.Decision{Reportable: true, Reasoning: "Not sure.", Reference: "IC-1", Link: "https://incidents.example/1"})
		if err != nil || first.Person != "ada" || first.Assessed.Level == "" {
			t.Fatalf("Decide = %+v, %v", first, err)
		}
		w.pass(time.Hour)
		second, err := w.Decide(w.as("ben"), c.ID, lost.Decision{Reasoning: " It was found in the ward. "})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := db.Cases().Decisions(t.Context(), c.ID)
		if diff := cmp.Diff([]lost.Decision{first, second}, kept, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("Decisions mismatch, %v (-want +got)\n%s", err, diff)
		}
		if second.Reasoning != "It was found in the ward." || !second.At.Equal(start.Add(time.Hour)) {
			t.Errorf("the second is %+v", second)
		}
		by := w.audit.all(lost.ActionDecided)
		if len(by) != 2 || by[0].detail["reportable"] != "true" || by[1].detail["reasoning"] != second.Reasoning || by[1].by.Person != "ben" {
			t.Errorf("audited %+v", by)
		}
		if _, err := w.Found(w.as("ada"), c.ID, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Close(w.as("ada"), c.ID, "done"); err != nil {
			t.Fatal(err)
		}
		_, err = w.Decide(w.as("ada"), c.ID, lost.Decision{Reasoning: "x"})
		wantKind(t, "a closed case", err, ward.Conflict)
	})
}

func TestSetAware(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	w.device("d1")
	c := w.report("d1")
	at := start.Add(-3 * time.Hour)
	set := func(ctx context.Context, at time.Time, reason string) error {
		_, err := w.SetAware(ctx, c.ID, at, reason)
		return err
	}
	wantKind(t, "no reason", set(w.as("ada"), at, ""), ward.Invalid)
	wantKind(t, "in the future", set(w.as("ada"), start.Add(time.Second), "x"), ward.Invalid)
	wantKind(t, "never", set(w.as("ada"), time.Time{}, "x"), ward.Invalid)
	wantKind(t, "by nobody", set(t.Context(), at, "x"), ward.Forbidden)
	wantKind(t, "set", set(w.as("ada"), at, "The porter told the ward then."), "")
	wantKind(t, "set again", set(w.as("ada"), at, "x"), ward.Conflict)
	got, err := w.Case(t.Context(), c.ID)
	if err != nil || !got.Aware.Equal(at) || !lost.Deadline(got).Equal(at.Add(72*time.Hour)) {
		t.Errorf("aware at %s, %v", got.Aware, err)
	}
	if n, text := w.says(c, lost.EventAware); n != 1 || !strings.HasSuffix(text, ": The porter told the ward then.") || w.audit.count(lost.ActionAware) != 1 {
		t.Errorf("the timeline says %d times %q, audited %d times", n, text, w.audit.count(lost.ActionAware))
	}
}

// TestFactsAway: that nothing can be told of a device holds no report up.
func TestFactsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	e := w.device("d1")
	w.facts.err = errors.New("the facts are away")
	c := w.report("d1")
	if got := w.open(e); len(got) != 1 {
		t.Errorf("queued %v", got)
	}
	if n, text := w.says(c, lost.EventReported); n != 2 || !strings.Contains(text, "could not be read") {
		t.Errorf("the timeline says %d times %q", n, text)
	}
}
