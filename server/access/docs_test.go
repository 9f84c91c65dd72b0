package access_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// TestDocs: the tables of docs/access.md are those of the code. -update writes them.
func TestDocs(t *testing.T) {
	t.Parallel()
	file := filepath.Join("..", "..", "docs", "access.md")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var roles, whole, matrix strings.Builder
	roles.WriteString("| role | name | what for |\n|---|---|---|\n")
	matrix.WriteString("| permission | lets one |")
	for _, r := range access.BuiltIn() {
		fmt.Fprintf(&roles, "| `%s` | %s | %s |\n", r.ID, r.Name, r.Description)
		fmt.Fprintf(&matrix, " %s |", r.ID)
	}
	matrix.WriteString("\n|---|---|" + strings.Repeat("---|", len(ward.Roles)) + "\n")
	for _, p := range access.Permissions() {
		if p.Whole() {
			fmt.Fprintf(&whole, "- %s (`%s`)\n", p.Words(), p)
		}
		fmt.Fprintf(&matrix, "| `%s` | %s |", p, p.Words())
		for _, r := range access.BuiltIn() {
			mark := " |"
			if slices.Contains(r.Permissions, p) {
				mark = " yes |"
			}
			matrix.WriteString(mark)
		}
		matrix.WriteByte('\n')
	}
	got := string(raw)
	for name, text := range map[string]string{"roles": roles.String(), "whole": whole.String(), "matrix": matrix.String()} {
		before, rest, ok := strings.Cut(got, "<!-- "+name+": ")
		head, rest, found := strings.Cut(rest, "-->\n")
		_, after, ended := strings.Cut(rest, "<!-- /"+name+" -->")
		if !ok || !found || !ended {
			t.Fatalf("%s has no place for %s", file, name)
		}
		got = before + "<!-- " + name + ": " + head + "-->\n" + text + "<!-- /" + name + " -->" + after
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(raw), got); diff != "" {
		t.Errorf("%s mismatch (-want +got), -update writes it anew:\n%s", file, diff)
	}
}
