package ward_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// treeFile is a text file of the project.
type treeFile struct{ name, text string }

// tree reads every text file under the root but what git does not keep.
func tree(t *testing.T) []treeFile {
	t.Helper()
	var out []treeFile
	root := os.DirFS(".")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case skipped(d):
			return fs.SkipDir
		case !d.Type().IsRegular() || name == "go.sum":
			return nil
		}
		b, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 {
			out = append(out, treeFile{name, string(b)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPackagesSayWhatTheyAreFor wants one doc comment for each package, in one file,
// that begins as the go command expects.
func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	docs := map[string][]string{}
	for _, f := range sources(t) {
		if _, ok := docs[f.pkg]; !ok {
			docs[f.pkg] = nil
		}
		if f.syntax.Doc == nil {
			continue
		}
		docs[f.pkg] = append(docs[f.pkg], f.name)
		want := "Package " + f.syntax.Name.Name + " "
		if f.syntax.Name.Name == "main" {
			want = "Command " + path.Base(f.pkg) + " "
		}
		if text := f.syntax.Doc.Text(); !strings.HasPrefix(text, want) {
			t.Errorf("%s: the doc comment begins %q, want %q", f.name, text[:min(len(text), 30)], want)
		}
	}
	for pkg, files := range docs {
		if len(files) != 1 {
			t.Errorf("package %s has %d doc comments %v, want 1", pkg, len(files), files)
		}
	}
}

// foreign are words that speak of a machine on which somebody happened to work.
var foreign = regexp.MustCompile(`(?i)(^|[\s"'=(:])/(work|farm|root|home/[a-z]+|users/[a-z]+|tmp/[a-z0-9])` +
	`|artifactory|\bGOPROXY=|proxy\.golang\.org|registry\.npmjs|pypi\.org/simple`)

// unfinished are the words of what was left for another day.
var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b|lorem ipsum`)

func TestTextSpeaksOfTheProjectOnly(t *testing.T) {
	t.Parallel()
	for _, f := range tree(t) {
		if f.name == "docs_test.go" {
			continue
		}
		for i, line := range strings.Split(f.text, "\n") {
			if m := foreign.FindString(line); m != "" {
				t.Errorf("%s:%d: %q belongs to one machine", f.name, i+1, strings.TrimSpace(m))
			}
			if m := unfinished.FindString(line); m != "" {
				t.Errorf("%s:%d: %q: finish it, or file an issue", f.name, i+1, m)
			}
		}
	}
}

var markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLead(t *testing.T) {
	t.Parallel()
	for _, f := range tree(t) {
		if path.Ext(f.name) != ".md" {
			continue
		}
		for _, m := range markdownLink.FindAllStringSubmatch(f.text, -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to := f.name
			if target != "" {
				to = path.Join(path.Dir(f.name), target)
			}
			b, err := os.ReadFile(filepath.FromSlash(to))
			if _, dirErr := os.Stat(filepath.FromSlash(to)); dirErr != nil {
				t.Errorf("%s links to %s, which is not there", f.name, m[1])
				continue
			}
			if fragment != "" && (err != nil || !hasHeading(string(b), fragment)) {
				t.Errorf("%s links to %s, which has no such heading", f.name, m[1])
			}
		}
	}
}

var notInAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)

// hasHeading reports whether a heading of the Markdown text has this anchor.
func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		if h, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok {
			h = strings.ToLower(strings.TrimSpace(strings.TrimLeft(h, "#")))
			if strings.ReplaceAll(notInAnchor.ReplaceAllString(h, ""), " ", "-") == anchor {
				return true
			}
		}
	}
	return false
}

// TestDocumentedCommandsExist runs each ward command that a document shows with
// --help, and looks there for each flag that the document gives it.
func TestDocumentedCommandsExist(t *testing.T) {
	t.Parallel()
	shown := map[string][]string{} // command line without values -> documents
	for _, f := range tree(t) {
		if path.Ext(f.name) != ".md" {
			continue
		}
		for _, line := range shownCommands(f.text) {
			shown[line] = append(shown[line], f.name)
		}
	}
	if len(shown) < 20 {
		t.Fatalf("found %d ward commands in the documents; has their form changed?", len(shown))
	}
	program := filepath.Join(t.TempDir(), "ward")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "./cmd/ward").CombinedOutput(); err != nil {
		t.Fatalf("build ward: %v\n%s", err, out)
	}
	help := map[string]string{}
	for line, where := range shown {
		words := strings.Fields(line)
		command, flags := splitCommand(t, program, help, words)
		for _, flag := range flags {
			if !regexp.MustCompile(regexp.QuoteMeta(flag) + `(\s|,|$)`).MatchString(help[command]) {
				t.Errorf("%v: %q: ward %s has no flag %s", where, line, command, flag)
			}
		}
		_, subcommands, group := strings.Cut(help[command], "\nCOMMANDS:")
		if group && strings.Count(subcommands, "\n   --") == 1 { // --help alone: it does nothing by itself
			t.Errorf("%v: %q: ward %s needs a further command", where, line, command)
		}
	}
}

// splitCommand finds how many of the words name a command, and returns its name and
// the flags that follow. What each command prints as help is kept in help.
func splitCommand(t *testing.T, program string, help map[string]string, words []string) (command string, flags []string) {
	t.Helper()
	ask := func(command string) string {
		if _, ok := help[command]; !ok {
			out, err := exec.CommandContext(t.Context(), program, append(strings.Fields(command), "--help")...).CombinedOutput()
			if err != nil {
				out = nil
			}
			help[command] = string(out)
		}
		return help[command]
	}
	for _, w := range words {
		if strings.HasPrefix(w, "-") {
			name, _, _ := strings.Cut(w, "=")
			flags = append(flags, name)
			continue
		}
		_, subcommands, _ := strings.Cut(ask(command), "\nCOMMANDS:")
		if len(flags) == 0 && regexp.MustCompile(`(?m)^\s+`+regexp.QuoteMeta(w)+`(\s|,|$)`).MatchString(subcommands) {
			command = strings.TrimSpace(command + " " + w)
		}
	}
	ask(command)
	return command, flags
}

var commandLine = regexp.MustCompile(`^\s*(?:\$ |# )?(?:[A-Z_]+=\S+ )*(?:sudo (?:-u \S+ )?)?(?:go run \./cmd/ward|(?:\./|/usr/local/bin/)?ward)((?: .*)?)$`)

// shownCommands returns what follows "ward" on the command lines of a document: in
// its blocks of code, with lines that end in a backslash joined.
func shownCommands(text string) []string {
	var out []string
	text = strings.ReplaceAll(text, "\\\n", " ")
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if m := commandLine.FindStringSubmatch(line); m != nil && (fenced || strings.HasPrefix(line, "    ")) {
			rest, _, _ := strings.Cut(m[1], " #")
			rest, _, _ = strings.Cut(rest, " | ")
			rest, _, _ = strings.Cut(rest, " > ")
			rest, _, _ = strings.Cut(rest, ")")
			out = append(out, strings.TrimSpace(rest))
		}
	}
	return out
}
