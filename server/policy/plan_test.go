package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

const (
	hasBoth     = `[{"bundle_id":"net.whatsapp.WhatsApp","name":"WhatsApp"},{"bundle_id":"org.whispersystems.signal","name":"Signal"}]`
	hasWhatsApp = `[{"bundle_id":"net.whatsapp.WhatsApp","name":"WhatsApp"}]`
)

func TestPlan(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, id := range []string{"s1", "s2", "s3"} {
			w.device(ward.DeviceID(id), "Ward 7", true)
		}
		w.device("u1", "Ward 7", false)
		w.has("s1", hasBoth)
		w.has("s2", hasWhatsApp)
		w.has("u1", hasBoth)
		p, err := w.Plan(t.Context(), version("first"), nil)
		if err != nil || p.Base != 0 || p.Devices != 4 || p.Changed != 4 || p.SecondPerson || len(p.Kinds) != 2 || p.Kinds[0].Devices != 3 {
			t.Fatalf("the first plan = %d of %d, %v", p.Changed, p.Devices, err)
		}
		if diff := cmp.Diff([]policy.AppCount{{"whatsapp", "WhatsApp", 2}, {"signal", "Signal", 1}}, p.Vanish); diff != "" {
			t.Errorf("what vanishes mismatch (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff([]policy.AppCount{{"signal", "Signal", 1}, {"whatsapp", "WhatsApp", 1}}, p.Breach); diff != "" || p.Breaching != 1 {
			t.Errorf("what breaches mismatch (-want +got)\n%s", diff)
		}
		if !slices.ContainsFunc(p.Warnings, func(s string) bool {
			return strings.Contains(s, "WhatsApp is on 2 devices") && strings.Contains(s, "moved to the record first")
		}) {
			t.Errorf("warnings = %q, want one that asks for evidence to be kept", p.Warnings)
		}
		if _, err := w.Publish(w.as("ada", "1"), version("first", "signal")); err != nil {
			t.Fatal(err)
		}
		if p, err = w.Plan(t.Context(), version("other words", "signal"), nil); err != nil || p.Changed != 0 || len(p.Vanish) != 0 || len(p.Breach) != 0 || len(p.Kinds[0].Changes) != 0 {
			t.Errorf("a plan that changes nothing = %d of %d, %v", p.Changed, p.Devices, err)
		}
		if p, err = w.Plan(t.Context(), version("second"), nil); err != nil || p.Base != 1 || p.Changed != 4 {
			t.Fatalf("the second plan = %d of %d, %v", p.Changed, p.Devices, err)
		}
		if diff := cmp.Diff([]policy.AppCount{{"signal", "Signal", 1}}, p.Vanish); diff != "" {
			t.Errorf("what vanishes then mismatch (-want +got)\n%s", diff)
		}
		if c := p.Kinds[1].Changes; len(c) != 1 || c[0].What != "setting" || !strings.Contains(c[0].Name, "detected only (now org.whispersystems.signal)") {
			t.Errorf("on the unsupervised phone %+v changes, want what is watched", c)
		}
		var hows []string
		for _, c := range p.Kinds[0].Changes {
			hows = append(hows, c.How+" "+c.What)
		}
		if !slices.Contains(hows, "changed profile") || p.Kinds[0].Kind == "" || len(p.Kinds[0].Limits) == 0 {
			t.Errorf("what changes = %v, want the profile among it", p.Kinds[0])
		}
		posture := append(version("second"), "posture:\n  minimum_os: {ios: 18.7, severity: breach}\n"...)
		if p, err = w.Plan(t.Context(), posture, nil); err != nil || p.OldSystem != 4 || p.Breaching != 4 || p.Changed != 4 {
			t.Errorf("a newer system: %d old, %d breach, %d change, %v", p.OldSystem, p.Breaching, p.Changed, err)
		}
		w.Rule = strict()
		if p, err = w.Plan(t.Context(), version("second"), nil); err != nil || !p.SecondPerson {
			t.Errorf("a second person is asked for: %v, %v", p.SecondPerson, err)
		}
		if _, err := w.Plan(t.Context(), []byte("nonsense: 1\n"), nil); err == nil {
			t.Error("a policy with mistakes was planned")
		}
	})
}

func TestDiff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	for _, d := range []policy.Draft{{Text: version("first")}, {Text: version("second", "signal"), Files: map[string][]byte{"list.txt": []byte("a\nb"), "icon.png": {0, 255}}}} {
		if _, err := w.Submit(w.as("ada", "1"), d); err != nil {
			t.Fatal(err)
		}
	}
	d, err := w.Diff(t.Context(), 0, 2)
	if err != nil || d.From != 1 || d.To != 2 {
		t.Fatalf("Diff() = %+v, %v", d, err)
	}
	for _, line := range []string{"--- policy, generation 1\n", "+++ policy, generation 2\n", "-note: first\n", "+note: second\n", "+  except: [signal]\n", "+b\n", "The file icon.png differs.\n"} {
		if !strings.Contains(d.Unified, line) {
			t.Errorf("the difference lacks %q:\n%s", line, d.Unified)
		}
	}
	if diff := cmp.Diff([]string{"No longer blocked: Signal."}, d.Words); diff != "" {
		t.Errorf("words mismatch (-want +got)\n%s", diff)
	}
	if d, err = w.Diff(t.Context(), 0, 1); err != nil || d.From != 0 || len(d.Words) == 0 || !strings.Contains(d.Unified, "+name: Messaging\n") {
		t.Errorf("the first version compared with nothing = %+v, %v", d, err)
	}
	if d, err = w.Diff(t.Context(), 2, 2); err != nil || d.Unified != "" || len(d.Words) != 0 {
		t.Errorf("a version compared with itself = %+v, %v", d, err)
	}
}

func ExampleRings_String() {
	fmt.Println(policy.Rings{Canary: []string{"IT"}, Percent: []int{10, 100}, Pause: pause, StopAt: 0.05})
	// Output: IT, to 10 %, to 100 %; 30m0s between rings; stops at 5 % failures
}

// TestPlanDroppedApp: an app that is approved no longer goes with its data, and the plan
// says so before.
func TestPlanDroppedApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.device("s1", "Ward 7", true)
	if _, err := w.Publish(w.as("ada", "1"), profiles.ExamplePolicy()); err != nil {
		t.Fatal(err)
	}
	text := "name: Messaging\nblock: {categories: [consumer-messaging], reason_without_alternative: none is bought yet}\n"
	p, err := w.Plan(t.Context(), []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(p.Warnings, func(s string) bool {
		return strings.HasPrefix(s, "Ward Messenger is approved no longer: it is removed from 1 device with its data")
	}) {
		t.Errorf("warnings = %q, want one that says that the app's data goes", p.Warnings)
	}
}
