// Package model_test runs Spin on the model of the order protocol: each property over
// every state, and each property once more with a rule taken away, which must fail.
package model_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// run is one exhaustive search.
type run struct {
	name    string
	defines string // for spin, without the -D
	live    bool   // a property in LTL, under weak fairness
	broken  string // what Spin must complain about; empty where it must find nothing
	fewest  int    // states that an unbroken search must have visited: a model that can't move holds every property
}

// The sizes are the smallest in which each property can fail in every way that the model
// knows; README.md says why.
const (
	p1  = "P1 ORDERS=1 TAMPERS=2"
	p2  = "P2 TAMPERS=0 ACCOUNTS=3"
	p2t = "P2 TAMPERS=1 ACCOUNTS=3 WINDOW=1 ONE_ASKER ROWS_ONLY" // the same with rows that the thief put in
	p3  = "P3 ORDERS=1 TAMPERS=2"
	p4  = "P4 TAMPERS=0 ACCOUNTS=3 CRASHES=1 WINDOW=1 ONE_ASKER"
	p4t = "P4 ORDERS=1 TAMPERS=1 CRASHES=2" // the same with the thief at the database
)

func runs() []run {
	return []run{
		{name: "P4", defines: p4, live: true, fewest: 500_000},
		{name: "P4 with a thief", defines: p4t, live: true, fewest: 100_000},
		{name: "P2", defines: p2, fewest: 1_000_000},
		{name: "P2 with a thief", defines: p2t, fewest: 1_000_000},
		{name: "P1", defines: p1, fewest: 500_000},
		{name: "P3", defines: p3, fewest: 500_000},

		{name: "accounts count, not people", defines: p1 + " BREAK_TWO", broken: "assertion violated"},
		{name: "a yes to another list counts", defines: p1 + " BREAK_LIST", broken: "assertion violated"},
		{name: "nothing waits to cool off", defines: p1 + " BREAK_COOLING", broken: "assertion violated  !(cooling"},
		{name: "the brake counts before the gate is closed", defines: p2 + " BREAK_BRAKE", broken: "assertion violated"},
		{name: "those involved release", defines: p2 + " BREAK_RELEASE", broken: "assertion violated ((yes"},
		{name: "the guard ignores what was cancelled", defines: p3 + " BREAK_CANCEL", broken: "assertion violated  !(cancelled"},
		{name: "the guard looks before the gate is closed", defines: p3 + " BREAK_GATE", broken: "assertion violated  !(cancelled"},
		{name: "a crash loses what was due", defines: p4 + " BREAK_FORGET", live: true, broken: "acceptance cycle"},
		{name: "a release owes no push", defines: p4 + " BREAK_PUSH", live: true, broken: "acceptance cycle"},
	}
}

// TestOrders checks every property and every break of the model. Two searches run at a
// time, each in less than 500 MB.
func TestOrders(t *testing.T) {
	t.Parallel()
	need(t, "spin", "cc")
	model, err := filepath.Abs("orders.pml")
	if err != nil {
		t.Fatal(err)
	}
	seen := &reached{missing: map[string]int{}}
	slots := make(chan struct{}, 2)
	t.Run("runs", func(t *testing.T) {
		for _, r := range runs() {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				out := r.search(t, model)
				if r.judge(t, out) && r.broken == "" {
					seen.add(out)
				}
			})
		}
	})
	if !t.Failed() {
		for _, line := range seen.never() {
			t.Errorf("no search reaches %s: what stands there is not checked", line)
		}
	}
}

// need skips the test where a program is missing, and fails it in continuous integration.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing: the model of the orders can't be checked: %v", p, err)
			}
			t.Skipf("%s is missing: THE MODEL OF THE ORDERS IS NOT CHECKED (apt install spin gcc): %v", p, err)
		}
	}
}

// search makes the verifier of a run and lets it look at every state.
func (r run) search(t *testing.T, model string) string {
	t.Helper()
	dir := t.TempDir()
	var defines []string
	for d := range strings.FieldsSeq(r.defines) {
		defines = append(defines, "-D"+d)
	}
	compile, check := []string{"-O2", "-w", "-o", "pan", "pan.c", "-DSAFETY"}, []string{"-m100000", "-w22"}
	if r.live {
		compile[len(compile)-1] = "-DNFAIR=3"
		check = append(check, "-a", "-f")
	}
	if r.broken != "" { // it ends soon: the compiler would take longer
		compile[0] = "-O0"
	}
	command(t, dir, "spin", slices.Concat([]string{"-a"}, defines, []string{model})...)
	command(t, dir, "cc", compile...)
	return command(t, dir, "./pan", check...)
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	// pan ends with the number of errors that it found; its output says more.
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && (!ended || name != "./pan") {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

var (
	errorCount = regexp.MustCompile(`errors: (\d+)`)
	stateCount = regexp.MustCompile(`(\d+)(?:e\+\d+)? states, stored`)
)

// judge reads what pan printed. It reports whether all is as it should be.
func (r run) judge(t *testing.T, out string) bool {
	t.Helper()
	bad := func(why string) bool {
		t.Errorf("%s: %s\nspin -a %s\n%s", r.name, why, r.defines, out)
		return false
	}
	count := errorCount.FindStringSubmatch(out)
	switch {
	case count == nil:
		return bad("pan did not finish")
	case !strings.Contains(out, "Full statespace search"):
		return bad("the search is not exhaustive")
	case strings.Contains(out, "max search depth too small"), strings.Contains(out, "out of memory"):
		return bad("the search was cut off")
	case r.live && !strings.Contains(out, "(fairness enabled)"):
		return bad("the search knew no fairness")
	case r.broken == "" && count[1] != "0":
		return bad("the property does not hold")
	case r.broken != "" && count[1] == "0":
		return bad("a rule was taken away and nothing failed: the property checks nothing")
	case r.broken != "" && !strings.Contains(out, r.broken):
		return bad("it failed for another reason than " + r.broken)
	case r.broken == "" && strings.Contains(out, "Search not completed"):
		return bad("the search was not completed")
	}
	states := stateCount.FindStringSubmatch(out)
	if states == nil {
		return bad("pan does not say how many states there are")
	}
	n, err := strconv.Atoi(states[1])
	if err != nil {
		t.Fatal(err)
	}
	if n < r.fewest {
		return bad("only " + states[1] + " states were reached: the model can't do what it should")
	}
	t.Logf("%s: %s errors, %d states (-D %s)", r.name, count[1], n, r.defines)
	return true
}

// reached collects which lines of the model no search reaches. A part of the model that
// cannot happen would hold every property.
type reached struct {
	mu       sync.Mutex
	missing  map[string]int // line and statement -> searches that did not reach it
	searches int
}

var unreachedLine = regexp.MustCompile(`(?m)^\t.*orders\.pml:(\d+), state \d+, "(.*)"$`)

func (s *reached) add(out string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.searches++
	once := map[string]bool{}
	for _, m := range unreachedLine.FindAllStringSubmatch(out, -1) {
		once["line "+m[1]+" "+m[2]] = true
	}
	for line := range once {
		s.missing[line]++
	}
}

// never returns what no search reached, but for the ends of processes that don't end.
func (s *reached) never() []string {
	var out []string
	for line, n := range s.missing {
		if n == s.searches && !strings.HasSuffix(line, "-end-") {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}
