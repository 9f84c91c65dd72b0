package policy

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/wardmdm/ward/profiles"
)

// Diff is what changed from one version to another.
type Diff struct {
	From, To int64
	Words    []string // what it means, a sentence each
	Unified  string   // of the text and the files, as diff -u has it; empty where they are the same
}

// Diff compares two versions; from 0 compares with the version that was in force when
// the other was made, or with nothing where none was.
func (s *Service) Diff(ctx context.Context, from, to int64) (Diff, error) {
	b, err := s.store.Version(ctx, to)
	if err != nil {
		return Diff{}, err
	}
	if from == 0 {
		from = b.Base
	}
	var a Version
	if from > 0 {
		if a, err = s.store.Version(ctx, from); err != nil {
			return Diff{}, err
		}
	}
	return Compare(a, b, s.now())
}

// Compare says what changed from a to b; a zero a is no policy. A version that can't be
// read any more is compared by its text alone.
func Compare(a, b Version, now time.Time) (Diff, error) {
	d := Diff{From: a.Generation, To: b.Generation}
	var text strings.Builder
	if err := unified(&text, "policy", []byte(a.Text), []byte(b.Text), a.Generation, b.Generation); err != nil {
		return d, err
	}
	names := map[string]bool{}
	for _, files := range []map[string][]byte{a.Files, b.Files} {
		for name := range files {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := unified(&text, name, a.Files[name], b.Files[name], a.Generation, b.Generation); err != nil {
			return d, err
		}
	}
	d.Unified = text.String()
	q, err := b.Read()
	if err != nil {
		return d, nil //nolint:nilerr // an old text that no longer parses still has its differences
	}
	var p *profiles.Policy
	if a.Generation > 0 {
		if p, err = a.Read(); err != nil {
			return d, nil //nolint:nilerr // as above
		}
	}
	d.Words = inWords(p, q, now)
	return d, nil
}

func unified(w *strings.Builder, name string, a, b []byte, from, to int64) error {
	if bytes.Equal(a, b) {
		return nil
	}
	if !utf8.Valid(a) || !utf8.Valid(b) || bytes.ContainsRune(a, 0) || bytes.ContainsRune(b, 0) {
		fmt.Fprintf(w, "The file %s differs.\n", name)
		return nil
	}
	u := difflib.UnifiedDiff{
		A: lines(a), B: lines(b), Context: 3,
		FromFile: fmt.Sprintf("%s, generation %d", name, from), ToFile: fmt.Sprintf("%s, generation %d", name, to),
	}
	if err := difflib.WriteUnifiedDiff(w, u); err != nil {
		return fmt.Errorf("compare %s: %w", name, err)
	}
	return nil
}

// lines splits a text after its line breaks. The last line gets one, so that every line
// of the difference is one.
func lines(b []byte) (out []string) {
	for l := range strings.Lines(string(b)) {
		out = append(out, strings.TrimSuffix(l, "\n")+"\n")
	}
	return out
}

// inWords says what changed from p, which may be nil, to q.
func inWords(p, q *profiles.Policy, now time.Time) (out []string) {
	var was profiles.Summary
	if p != nil {
		was = p.Summary(now)
	}
	is := q.Summary(now)
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	changed := func(verbAdded, verbRemoved string, a, b []string) {
		if names := without(b, a); len(names) > 0 {
			add("%s: %s.", verbAdded, some(names))
		}
		if names := without(a, b); len(names) > 0 {
			add("%s: %s.", verbRemoved, some(names))
		}
	}
	approved := func(s profiles.Summary) []string {
		return names(s.Approved, func(a profiles.ApprovedLine) string { return a.Name })
	}
	blocked := func(s profiles.Summary) []string {
		return names(s.Blocked, func(b profiles.BlockedLine) string { return b.Name })
	}
	changed("Approved", "No longer approved", approved(was), approved(is))
	changed("Blocked", "No longer blocked", blocked(was), blocked(is))
	changed("Laid over the baseline", "No longer laid over the baseline", was.Baselines, is.Baselines)
	changed("Exception that holds", "Exception that holds no longer", was.Excepted, is.Excepted)
	changed("New group", "Group that is gone", was.Groups, is.Groups)
	changed("Switched on", "Switched off", was.Containment, is.Containment)
	for _, a := range is.Approved {
		i := slices.IndexFunc(was.Approved, func(o profiles.ApprovedLine) bool { return o.Name == a.Name })
		if i >= 0 && fmt.Sprintf("%+v", was.Approved[i]) != fmt.Sprintf("%+v", a) {
			add("What is said of the approved app %s changed.", a.Name)
		}
	}
	if was.AllowOnly != is.AllowOnly {
		add("Only approved and allowed apps run: %s.", map[bool]string{true: "yes", false: "no longer"}[is.AllowOnly])
	}
	if p != nil && was.Notice != is.Notice {
		add("The words that staff see changed.")
	}
	return out
}

func names[T any](all []T, name func(T) string) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = name(v)
	}
	return out
}

// without returns what is in a and not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// some names a few and counts the others.
func some(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d others", strings.Join(names[:most], ", "), len(names)-most)
}
