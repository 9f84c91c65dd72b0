package source_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

func exemption() source.Exception {
	day := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	return source.Exception{
		Exception: intent.Exception{ID: "EX-9", App: "signal", Who: "Jo Smith: palliative care", Reason: "Families \"abroad\" # have no other way\nand none will come", Approver: "Sam Jones", Expires: day.AddDate(0, 1, 0), Review: "2027-01-02"},
		For:       source.Scope{Kind: source.ForWard, Value: "Ward 7, east"}, From: day,
	}
}

// TestExempt: a line is added where exceptions stand, or a section where none does; every
// line that was there stays.
func TestExempt(t *testing.T) {
	t.Parallel()
	everything, named := full(t)
	files := source.Inputs{Files: named}
	e := exemption()
	for name, text := range map[string]string{
		"none yet":          string(profiles.ExamplePolicy()),
		"none, no new line": strings.TrimRight(string(profiles.ExamplePolicy()), "\n"),
		"in the middle":     everything,
		"at the end":        string(profiles.ExamplePolicy()) + "\nexceptions:\n# first\n- {id: E, app: signal, for: {device: d1}, who: a, reason: b, approver: c, from: 2026-10-01, expires: 2026-10-02, review: d}\n",
	} {
		out, err := source.Exempt([]byte(text), files, e)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
			continue
		}
		p, err := source.Parse(out, files)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := p.Exceptions[len(p.Exceptions)-1]
		if diff := cmp.Diff(e.Exception, got.Exception, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".AppName" }, cmp.Ignore())); diff != "" || got.For != e.For {
			t.Errorf("%s: exception mismatch (-want +got)\n%s", name, diff)
		}
		rest := string(out)
		for l := range strings.Lines(strings.TrimRight(text, "\n")) {
			i := strings.Index(rest, strings.TrimRight(l, "\n"))
			if i < 0 {
				t.Fatalf("%s: the line %q is gone", name, l)
			}
			rest = rest[i+len(strings.TrimRight(l, "\n")):]
		}
	}
}

func TestExemptRefuses(t *testing.T) {
	t.Parallel()
	flow := string(profiles.ExamplePolicy()) + "\nexceptions: [{id: E, app: signal, for: {device: d1}, who: a, reason: b, approver: c, from: 2026-10-01, expires: 2026-10-02, review: d}]\n"
	if _, err := source.Exempt([]byte(flow), source.Inputs{}, exemption()); ward.KindOf(err) != ward.Conflict {
		t.Errorf("a list in one line: %v, want a conflict", err)
	}
	bad := exemption()
	bad.Approver = bad.Who
	if _, err := source.Exempt(profiles.ExamplePolicy(), source.Inputs{}, bad); ward.KindOf(err) != ward.Invalid {
		t.Errorf("approved by who asked: %v, want it refused", err)
	}
	if _, err := source.Exempt([]byte("nonsense"), source.Inputs{}, exemption()); ward.KindOf(err) != ward.Invalid {
		t.Errorf("no policy: %v", err)
	}
}

func TestConcerns(t *testing.T) {
	t.Parallel()
	p, err := source.Parse(profiles.ExamplePolicy(), source.Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	d := ward.Device{ID: "d1", Serial: "S1", Email: "jo@example.org", Group: "Ward 7", Site: "North"}
	for scope, want := range map[source.Scope]bool{
		{Kind: source.ForDevice, Value: "d1"}: true, {Kind: source.ForDevice, Value: "S1"}: true, {Kind: source.ForDevice, Value: ""}: false,
		{Kind: source.ForOwner, Value: "Jo@example.org"}: true, {Kind: source.ForWard, Value: "ward 7"}: true, {Kind: source.ForSite, Value: "South"}: false,
		{Kind: source.ForGroup, Value: "nobody"}: false,
	} {
		if got := p.Concerns(source.Exception{For: scope}, d); got != want {
			t.Errorf("Concerns(%s) = %v, want %v", scope, got, want)
		}
	}
}
