// Command ward-verify checks an exported audit log. It is a program of its own, so
// that whoever checks need not run, or trust, the server whose log it is. It contacts
// nobody and writes nothing.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/audit/verify"
)

// The exit statuses.
const (
	exitVerified = 0
	exitDoubt    = 1
	exitUsage    = 2
)

const usage = `Usage: ward-verify --key KEY [--checkpoint FILE]... [--json] EXPORT

Checks an audit log that was exported with "ward audit export". EXPORT is a file, or
- for standard input.

  --key KEY          the log's public key, or a file that holds it. Get it when the
                     server is set up and keep it elsewhere.
  --checkpoint FILE  a checkpoint that was kept elsewhere; may be repeated. The log
                     must begin with what it states.
  --json             print the result as JSON

Exit status: 0 verified, 1 not to be trusted, 2 could not be checked.
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ", ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("ward-verify", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	key := fs.String("key", "", "")
	asJSON := fs.Bool("json", false, "")
	var checkpoints list
	fs.Var(&checkpoints, "checkpoint", "")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitVerified
	}
	if err == nil && (*key == "" || fs.NArg() != 1) {
		err = errors.New("one EXPORT and --key are needed")
	}
	if err != nil {
		fmt.Fprintf(stderr, "ward-verify: %v\n\n%s", err, usage)
		return exitUsage
	}
	report, err := check(fs.Arg(0), *key, checkpoints, stdin)
	found, doubt := errors.AsType[*verify.Problem](err)
	switch {
	case doubt && *asJSON:
		err = printJSON(stdout, result{Problem: found.Error()})
	case doubt:
		_, err = fmt.Fprintf(stdout, "NOT VERIFIED. Do not rely on this log.\n%s\n", found.Error())
	case err == nil && *asJSON:
		err = printJSON(stdout, resultOf(report))
	case err == nil:
		err = printReport(stdout, report)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "ward-verify:", err)
		return exitUsage
	case doubt:
		return exitDoubt
	}
	return exitVerified
}

// check opens the files and verifies.
func check(export, key string, checkpoints []string, stdin io.Reader) (verify.Report, error) {
	o := verify.Options{PublicKey: key}
	b, err := os.ReadFile(key)
	switch {
	case err == nil:
		o.PublicKey = string(b)
	case !strings.Contains(key, "+"): // not a key as text either
		return verify.Report{}, fmt.Errorf("read the key: %w", err)
	}
	for _, name := range checkpoints {
		b, err := os.ReadFile(name)
		if err != nil {
			return verify.Report{}, fmt.Errorf("read the checkpoint: %w", err)
		}
		o.Earlier = append(o.Earlier, b)
	}
	if export == "-" {
		return verify.Verify(stdin, o)
	}
	f, err := os.Open(export)
	if err != nil {
		return verify.Report{}, fmt.Errorf("read the export: %w", err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	return verify.Verify(f, o)
}

// result is what --json prints.
type result struct {
	Verified  bool             `json:"verified"`
	Problem   string           `json:"problem,omitempty"`
	Log       string           `json:"log,omitempty"`
	Size      int64            `json:"size"`
	Root      string           `json:"root,omitempty"`
	Earlier   []int64          `json:"earlier,omitempty"`
	First     *time.Time       `json:"first,omitempty"`
	Last      *time.Time       `json:"last,omitempty"`
	Disclosed int64            `json:"disclosed"`
	Sealed    int64            `json:"sealed"`
	Actions   map[string]int64 `json:"actions,omitempty"`
}

func resultOf(r verify.Report) result {
	out := result{Verified: true, Log: r.Log, Size: r.Size, Root: r.Root.String(), Earlier: r.Earlier, Disclosed: r.Disclosed, Sealed: r.Sealed, Actions: r.Actions}
	if r.Size > 0 {
		out.First, out.Last = &r.First, &r.Last
	}
	return out
}

func printJSON(w io.Writer, r result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// printReport says in plain words what was verified and what was not.
func printReport(w io.Writer, r verify.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Verified: the audit log %s is whole and unaltered.\n\n", r.Log)
	fmt.Fprintf(&b, "  entries    %d\n", r.Size)
	if r.Size > 0 {
		fmt.Fprintf(&b, "  from       %s\n  to         %s\n", r.First.Format(time.RFC3339), r.Last.Format(time.RFC3339))
	}
	fmt.Fprintf(&b, "  root       %s\n", r.Root)
	for _, size := range r.Earlier {
		fmt.Fprintf(&b, "  earlier    checkpoint of size %d: the log begins with it\n", size)
	}
	fmt.Fprintf(&b, "  content    %d parts shown and as they were committed to, %d not shown (erased, or withheld from this export)\n", r.Disclosed, r.Sealed)
	if len(r.Actions) > 0 {
		b.WriteString("\nWhat it records:\n")
		for _, a := range slices.Sorted(maps.Keys(r.Actions)) {
			fmt.Fprintf(&b, "  %6d  %s\n", r.Actions[a], a)
		}
	}
	if len(r.Earlier) == 0 {
		b.WriteString("\nNo earlier checkpoint was given, so entries at the end may have been removed: keep checkpoints elsewhere and check against them.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
