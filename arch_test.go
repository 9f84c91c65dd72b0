package ward_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/wardmdm/ward"

// How long a file and a function may be before they must be divided.
const (
	maxLines    = 400
	maxFunction = 60
)

// rule says what the packages of one part may import of this module. The longest
// part that a package lies in decides. A part is a folder under the root, "." the
// root itself; it stands for the folders beneath it too.
type rule struct {
	part string
	may  []string
	why  string
}

// domain and shared are the packages of the server that hold its rules, and the
// words that rules and adapters share. They are named, so that a new package has to
// be put on one side or the other.
var (
	domain = []string{
		"server/access", "server/approver", "server/audit", "server/brake", "server/casefile", "server/authorize", "server/command", "server/compliance", "server/credential", "server/declare", "server/fleet",
		"server/estate", "server/seed", "server/evidence", "server/health", "server/lost", "server/notice", "server/notify", "server/order", "server/policy", "server/posture", "server/reconcile", "server/report", "server/view", "server/wording",
	}
	shared   = []string{"server/unit", "server/seal", "server/logkey"}
	adapters = []string{
		"server/api", "server/apns", "server/appgate", "server/applemdm", "server/ca", "server/jobs", "server/post", "server/scim", "server/siem", "server/signin", "server/web",
	}
)

// rules is the direction of every arrow between packages.
func rules() []rule {
	below := []string{".", "profiles", "enrollment"}
	out := []rule{
		{".", nil, "the vocabulary stands on the standard library alone"},
		{"profiles", []string{".", "profiles"}, "a policy compiles without a server"},
		{"enrollment", []string{".", "profiles", "enrollment"}, "who may join is decided without storage or HTTP"},
		{"agent", []string{".", "profiles", "agent"}, "no server code reaches a device"},
		{"agent/virtual", []string{".", "agent"}, "it judges what the compilers make, so it shares no code with them"},
		{"server", slices.Concat(below, []string{"server"}), "only cmd and tests start an agent"},
		{"server/store", slices.Concat(below, domain, shared, []string{"server/store", "server/ca"}), "the store meets the interfaces of the rules and of the authority, and knows no other adapter"},
		{"server/audit/verify", nil, "a stranger's verifier shares no code with the server that it checks"},
		{"server/httpd", []string{".", "server/logkey", "server/httpd"}, "the edge knows errors and no rules"},
		{"cmd", slices.Concat(below, []string{"agent", "server", "cmd"}), "a command is run, not imported"},
	}
	for _, p := range domain {
		out = append(out, rule{p, slices.Concat(below, domain, shared), "rules never import adapters"})
	}
	for _, p := range shared {
		out = append(out, rule{p, []string{"."}, "what all share leans on nothing"})
	}
	for _, p := range adapters {
		out = append(out, rule{p, slices.Concat(below, domain, shared, []string{"server/httpd", p}), "adapters import neither each other nor the store"})
	}
	return out
}

// impure are standard packages that a pure part must do without.
var impure = []struct{ part, bans, why string }{
	{".", "net/http database/sql os log", "the vocabulary does nothing"},
	{"profiles", "net net/http database/sql os os/exec", "a policy compiles without a network, a database or files"},
	{"server/reconcile", "net net/http database/sql os", "the plan is a function of what it is given"},
	{"server/order", "net/http database/sql os", "rules know no protocol and no SQL"},
	{"server/lost", "net/http database/sql os", "rules know no protocol and no SQL"},
	{"server/api", "database/sql", "SQL stands in the store"},
	{"server/web", "database/sql", "SQL stands in the store"},
}

// sourceFile is a parsed file of this module that is no test.
type sourceFile struct {
	name, pkg string // name is its path under the root, pkg its folder
	lines     int
	fset      *token.FileSet
	syntax    *ast.File
}

// sources parses every Go file of the module but tests. It reads the files itself:
// what the go command answers is not among the things by which go test tells
// whether a kept result still holds.
func sources(t *testing.T) []sourceFile {
	t.Helper()
	var out []sourceFile
	fset := token.NewFileSet()
	for _, f := range tree(t) {
		if !strings.HasSuffix(f.name, ".go") || strings.HasSuffix(f.name, "_test.go") {
			continue
		}
		syntax, err := parser.ParseFile(fset, f.name, f.text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sourceFile{name: f.name, pkg: path.Dir(f.name), lines: strings.Count(f.text, "\n"), fset: fset, syntax: syntax})
	}
	if len(out) == 0 {
		t.Fatal("found no Go files")
	}
	return out
}

func (f *sourceFile) imports(t *testing.T, visit func(pos token.Position, to string)) {
	t.Helper()
	for _, imp := range f.syntax.Imports {
		to, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		visit(f.fset.Position(imp.Pos()), to)
	}
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	all := rules()
	for _, f := range sources(t) {
		r, ok := ruleFor(all, f.pkg)
		if !ok {
			t.Errorf("%s: package %s belongs to no part: name it in arch_test.go", f.name, f.pkg)
			continue
		}
		f.imports(t, func(pos token.Position, to string) {
			to, ours := inModule(to)
			if ours && to != f.pkg && !slices.ContainsFunc(r.may, func(p string) bool { return within(to, p) }) {
				t.Errorf("%s: %s imports %s: %s", pos, f.pkg, to, r.why)
			}
		})
	}
}

// TestServerPackagesHaveASide makes sure that no package of the server falls back on
// the loose rule of the composition root.
func TestServerPackagesHaveASide(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if r, _ := ruleFor(rules(), f.pkg); r.part == "server" && f.pkg != "server" {
			t.Errorf("%s: package %s is neither a rule nor an adapter: name it in arch_test.go", f.name, f.pkg)
		}
	}
}

func TestPurePartsStayPure(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		f.imports(t, func(pos token.Position, to string) {
			for _, i := range impure {
				if within(f.pkg, i.part) && slices.Contains(strings.Fields(i.bans), to) {
					t.Errorf("%s: %s imports %s: %s", pos, f.pkg, to, i.why)
				}
			}
			if _, ours := inModule(to); f.pkg == "." && !ours && strings.Contains(strings.Split(to, "/")[0], ".") {
				t.Errorf("%s: the root imports %s: the vocabulary stands on the standard library alone", pos, to)
			}
		})
	}
}

// TestRulesCatch proves that the rules refuse what they are there to refuse: a test
// that can't fail guards nothing.
func TestRulesCatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"server/order", "server/command", true},
		{"server/order", "server/store", false},
		{"server/order", "server/applemdm", false},
		{"server/web", "server/api", false},
		{"server/web", "server/store", false},
		{"server/web", "server/lost", true},
		{"server/store", "server/order", true},
		{"server/store", "server/web", false},
		{"server", "server/store", true},
		{"server", "agent", false},
		{"server/apns/standin", "agent", false},
		{"server/audit/verify", "server/audit", false},
		{"agent", "server/fleet", false},
		{"agent/virtual", "profiles", false},
		{"agent/virtual", "agent", true},
		{"profiles/apple", "server", false},
		{"enrollment", "server", false},
		{"cmd/ward", "agent/virtual", true},
		{".", "profiles", false},
	} {
		r, ok := ruleFor(rules(), c.from)
		got := ok && slices.ContainsFunc(r.may, func(p string) bool { return within(c.to, p) })
		if got != c.want {
			t.Errorf("may %s import %s? got %t, want %t", c.from, c.to, got, c.want)
		}
	}
}

func ruleFor(all []rule, pkg string) (best rule, ok bool) {
	for _, r := range all {
		if within(pkg, r.part) && (!ok || len(r.part) > len(best.part)) {
			best, ok = r, true
		}
	}
	return best, ok
}

// within reports whether the folder pkg is part or lies under it. The root contains
// only itself.
func within(pkg, part string) bool {
	return pkg == part || part != "." && strings.HasPrefix(pkg, part+"/")
}

// inModule returns the folder of an import path of this module.
func inModule(importPath string) (folder string, ours bool) {
	if importPath == modulePath {
		return ".", true
	}
	return strings.CutPrefix(importPath, modulePath+"/")
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if ast.IsGenerated(f.syntax) {
			continue
		}
		if f.lines > maxLines {
			t.Errorf("%s has %d lines, %d at most: divide it by what it is about", f.name, f.lines, maxLines)
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, %d at most: name its steps", f.fset.Position(fn.Pos()), fn.Name.Name, n, maxFunction)
			}
		}
	}
}

// TestNoSleepNoPrint keeps two habits out: waiting for time to pass rather than for
// what is awaited, and writing to a terminal that a part does not own.
func TestNoSleepNoPrint(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			call, pos := pkg.Name+"."+sel.Sel.Name, f.fset.Position(n.Pos())
			switch {
			case call == "time.Sleep":
				t.Errorf("%s: time.Sleep: wait for what is awaited, or for a timer and the context", pos)
			case slices.Contains([]string{"fmt.Print", "fmt.Printf", "fmt.Println"}, call):
				t.Errorf("%s: %s: write to the writer that was passed in", pos, call)
			}
			return true
		})
	}
}

// TestNoInit refuses init functions: what a package needs is passed in.
func TestNoInit(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init: what a package needs is passed in", f.fset.Position(fn.Pos()))
			}
		}
	}
}

// skipped are folders that hold nothing of the project's own text.
func skipped(d fs.DirEntry) bool {
	name := d.Name()
	return d.IsDir() && name != "." && (name == "testdata" || name == "node_modules" || name == "data" || name == "dist" || strings.HasPrefix(name, ".") && name != ".ci")
}
