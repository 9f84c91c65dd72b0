// Command ward-verify checks an exported audit log, or the file of a case. It is a program of its own, so
// that whoever checks need not run, or trust, the server whose word it is. It contacts
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
       ward-verify case PACK --key KEY [--pdf FILE] [--checkpoint FILE]... [--log EXPORT] [--json]
       ward-verify entry FILE --key KEY [--json]

Checks an audit log that was exported with "ward audit export", the file of a case,
(CASE-ID.json), the signed JSON of a report, or one entry with its proof
(audit-entry-N.json). EXPORT, or PACK, is a file, or - for standard input.

  --key KEY          the log's public key, or a file that holds it. Get it when the
                     server is set up and keep it elsewhere.
  --checkpoint FILE  a checkpoint that was kept elsewhere; may be repeated. The log
                     must begin with what it states.
  --pdf FILE         the PDF that came with the file of a case
  --log EXPORT       an export of the log, made after the file of a case: needed where
                     the file alone does not show that its log goes with a checkpoint
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

// arguments are what the command line says.
type arguments struct {
	isCase      bool
	isEntry     bool
	file        string // EXPORT or PACK
	key         string
	checkpoints list
	pdf, log    string // of a case only
	asJSON      bool
}

// parse reads the command line. Flags may stand before and after the file.
func parse(args []string) (a arguments, err error) {
	a.isCase, a.isEntry = len(args) > 0 && args[0] == "case", len(args) > 0 && args[0] == "entry"
	need := "one EXPORT and --key are needed"
	fs := flag.NewFlagSet("ward-verify", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&a.key, "key", "", "")
	fs.BoolVar(&a.asJSON, "json", false, "")
	if !a.isEntry {
		fs.Var(&a.checkpoints, "checkpoint", "")
	}
	if a.isEntry {
		args, need = args[1:], "one FILE and --key are needed"
	}
	if a.isCase {
		args, need = args[1:], "one PACK and --key are needed"
		fs.StringVar(&a.pdf, "pdf", "", "")
		fs.StringVar(&a.log, "log", "", "")
	}
	var files []string
	for {
		if err := fs.Parse(args); err != nil {
			return a, err
		}
		if fs.NArg() == 0 {
			break
		}
		files, args = append(files, fs.Arg(0)), fs.Args()[1:]
	}
	if a.key == "" || len(files) != 1 {
		return a, errors.New(need)
	}
	a.file = files[0]
	if a.file == "-" && a.log == "-" {
		return a, errors.New("only one of PACK and --log can come from standard input")
	}
	return a, nil
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitVerified
	}
	if err != nil {
		fmt.Fprintf(stderr, "ward-verify: %v\n\n%s", err, usage)
		return exitUsage
	}
	verified, subject := checkLog, "log"
	if a.isCase {
		verified, subject = checkCase, "file"
	}
	if a.isEntry {
		verified, subject = checkEntry, "file"
	}
	asJSON, asText, err := verified(a, stdin)
	found, doubt := errors.AsType[*verify.Problem](err)
	switch {
	case doubt && a.asJSON:
		err = printJSON(stdout, result{Problem: found.Error()})
	case doubt:
		_, err = fmt.Fprintf(stdout, "NOT VERIFIED. Do not rely on this %s.\n%s\n", subject, found.Error())
	case err == nil && a.asJSON:
		err = printJSON(stdout, asJSON)
	case err == nil:
		_, err = io.WriteString(stdout, asText)
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

// held reads what the stranger holds: the key and the checkpoints.
func (a arguments) held() (key string, checkpoints [][]byte, err error) {
	key = a.key
	b, err := os.ReadFile(a.key)
	switch {
	case err == nil:
		key = string(b)
	case !strings.Contains(a.key, "+"): // not a key as text either
		return "", nil, fmt.Errorf("read the key: %w", err)
	}
	for _, name := range a.checkpoints {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", nil, fmt.Errorf("read the checkpoint: %w", err)
		}
		checkpoints = append(checkpoints, b)
	}
	return key, checkpoints, nil
}

// open opens a file, or standard input for "-". what says what it is.
func open(name, what string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", what, err)
	}
	return f, nil
}

// checkLog verifies an export. It returns the result for machines and for people.
func checkLog(a arguments, stdin io.Reader) (any, string, error) {
	key, checkpoints, err := a.held()
	if err != nil {
		return nil, "", err
	}
	f, err := open(a.file, "export", stdin)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	report, err := verify.Verify(f, verify.Options{PublicKey: key, Earlier: checkpoints})
	if err != nil {
		return nil, "", err
	}
	return resultOf(report), reportText(report), nil
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

func printJSON(w io.Writer, r any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// reportText says in plain words what was verified and what was not.
func reportText(r verify.Report) string {
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
	return b.String()
}
