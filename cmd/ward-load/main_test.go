package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain is also the server that is measured: the test binary runs itself as one.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := run(context.Background(), os.Args, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestQuick: every phase is measured and nothing fails. How long it takes is not tested.
func TestQuick(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flags  []string
		phases int
	}{
		{[]string{"--devices", "10", "--rounds", "1", "--history", "20", "--history-devices", "5"}, 6},
		{[]string{"--lost", "--devices", "5", "--reports", "2", "--traffic", "20"}, 0},
		{[]string{"--authorize", "--devices", "30"}, 2},
		{[]string{"--pages", "--devices", "60"}, 0},
		{[]string{"--idle-rss"}, 0},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), append([]string{"ward-load", "--quick", "--json"}, c.flags...), nil, &out); err != nil {
			t.Fatalf("%v: %v", c.flags, err)
		}
		var r report
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v printed %s: %v", c.flags, out.Bytes(), err)
		}
		if len(r.Phases) != c.phases || r.ServerMemory == 0 || r.failures() != 0 {
			t.Errorf("%v: %d phases, %d bytes, %d failures; want %d phases, some memory, no failure", c.flags, len(r.Phases), r.ServerMemory, r.failures(), c.phases)
		}
		for _, f := range r.Phases {
			if f.Requests == 0 || f.P50 <= 0 || f.P99 < f.P50 {
				t.Errorf("%s: %d requests, p50 %v, p99 %v", f.Name, f.Requests, f.P50, f.P99)
			}
		}
		if c.flags[0] == "--pages" && (len(r.Pages) != 4 || r.Visit == nil || r.Visit.Page == 0 || r.Visit.Style == 0 || r.Pages[0].P95 <= 0) {
			t.Errorf("pages: %+v, first visit %+v", r.Pages, r.Visit)
		}
		if l := r.Losses; c.flags[0] == "--lost" && (l == nil || l.Reports != 2 || l.P99 <= 0 || l.Returns != 3 || l.ReturnP99 <= 0 || l.Connected != 8) {
			t.Errorf("losses: %+v", l)
		}
	}
}

// TestMistakes runs by itself: the library keeps its help flag in a package variable,
// which two commands in one process would both write.
func TestMistakes(t *testing.T) {
	for _, flags := range [][]string{{"--devices", "0"}, {"--lost", "--devices", "5", "--reports", "6"}, {"--lost", "--returns", "0"}, {"more"}, {"--no-such-flag"}} {
		if err := run(t.Context(), append([]string{"ward-load"}, flags...), nil, new(bytes.Buffer)); err == nil {
			t.Errorf("%v is understood, want an error", flags)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1)*time.Millisecond)
	}
	for _, c := range []struct {
		sorted  []time.Duration
		percent int
		want    float64
	}{{nil, 99, 0}, {hundred[:1], 99, 1}, {hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}} {
		if got := milliseconds(c.sorted, c.percent); got != c.want {
			t.Errorf("percentile %d of %d: %v, want %v", c.percent, len(c.sorted), got, c.want)
		}
	}
}
