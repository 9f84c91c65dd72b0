package api_test

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
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/audit"
)

// asker is somebody who tries every operation.
type asker struct {
	name  string
	token string
	actor ward.Actor // as whom the token should act
}

// askers are everybody that the matrix tries: every role that comes with Ward, one that
// somebody made, a help desk that is bounded to a site, a token that is narrowed, and nobody.
func (w *world) askers() []asker {
	w.t.Helper()
	console := ward.WithActor(w.t.Context(), ward.Actor{Name: "operator", Via: ward.ViaConsole})
	made := must(w.access.CreateRole(console, access.Role{ID: "ward-manager", Name: "Ward manager", Permissions: []access.Permission{access.DeviceRead, access.DeviceLost, access.PersonRead}}))(w.t)
	var out []asker
	for _, r := range append(slices.Clone(ward.Roles), made.ID) {
		p, token := w.person("Holder of "+string(r), r)
		a := must(w.access.Authenticate(w.t.Context(), token))(w.t)
		if a.Person != p.ID {
			w.t.Fatalf("the token of %s acts as %s", p.ID, a.Person)
		}
		out = append(out, asker{string(r), token, a})
	}
	p, token := w.person("Bounded", ward.RoleSupport, ward.RoleAdmin)
	w.must(w.access.SetScope(console, p.ID, ward.Scope{Sites: []string{"North"}}))
	out = append(out, asker{"bounded", token, must(w.access.Authenticate(w.t.Context(), token))(w.t)})
	_, narrow, err := w.access.CreateToken(console, access.NewToken{Person: out[0].actor.Person, Scopes: []access.Permission{access.DeviceRead, access.LocationRead}})
	w.must(err)
	return append(out, asker{"narrowed", narrow, must(w.access.Authenticate(w.t.Context(), narrow))(w.t)}, asker{name: "nobody"})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// entries is the number of the newest entry of the audit log.
func (w *world) entries() int64 {
	w.t.Helper()
	newest := must(w.audit.List(ward.WithActor(w.t.Context(), ward.System), audit.Filter{Limit: 1}))(w.t)
	if len(newest) == 0 {
		return 0
	}
	return newest[0].ID
}

// TestEveryRoleOnEveryOperation asks every operation as everybody, for things that are not
// there. Who gets through is what testdata/operations.golden says, which is to be read when it
// changes; who does not is told why and changes nothing.
func TestEveryRoleOnEveryOperation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := w.askers()
	_, paths := w.document()
	var lines []string
	for path, methods := range paths {
		for method, op := range methods {
			method, at := strings.ToUpper(method), strings.TrimPrefix(parameter.ReplaceAllString(path, "x"), api.Prefix)
			var through []string
			for _, a := range all {
				before := w.entries()
				got := w.do(a.token, method, at, map[string]any{}).Code
				may := op.Permission == "signed-in" && a.token != "" || access.Allows(a.actor, op.Permission)
				switch {
				case a.token == "" && got != 401:
					t.Errorf("%s %s = %d to nobody, want 401", method, at, got)
				case a.token != "" && got == 401:
					t.Errorf("%s %s = 401 to %s, who has a token", method, at, a.name)
				case may && got == 403 && op.Permission != "signed-in", !may && a.token != "" && got != 403:
					t.Errorf("%s %s = %d to %s; with the permission %s it should be %v", method, at, got, a.name, op.Permission, may)
				case !may && w.entries() != before:
					t.Errorf("%s %s was refused to %s and left its mark in the audit log", method, at, a.name)
				}
				if may {
					through = append(through, a.name)
				}
			}
			lines = append(lines, fmt.Sprintf("%-6s %s\t%s\t%s", method, path, op.Permission, strings.Join(through, " ")))
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[7:]+a[:6], b[7:]+b[:6]) })
	got, file := strings.Join(lines, "\n")+"\n", filepath.Join("testdata", "operations.golden")
	if *update {
		w.must(os.MkdirAll("testdata", 0o755))
		w.must(os.WriteFile(file, []byte(got), 0o600))
	}
	if diff := cmp.Diff(string(must(os.ReadFile(file))(t)), got); diff != "" {
		t.Errorf("%s mismatch (-want +got):\n%s", file, diff)
	}
}
