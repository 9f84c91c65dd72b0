package server

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/ca"
)

// TestOnlyKeyGivenUp: a server with TLS of its own making whose only issuer has lost its key
// says what to do first; then it starts at once, and its status tells of the loss.
func TestOnlyKeyGivenUp(t *testing.T) {
	t.Parallel()
	l := listen(t)
	c := trialConfig(t, l, "")
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(c.keysOfCA(), "1")
	if err := firstOf(s.Close(), os.Remove(filepath.Join(folder, "issuer.key")), os.WriteFile(filepath.Join(folder, "lost"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), c); ward.KindOf(err) != ward.Unavailable || !strings.Contains(err.Error(), "ward ca rotate --key file --in 0s") {
		t.Fatalf("New = %v, want kind unavailable with the cure", err)
	}
	k, err := OpenConsoleConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Rotate(k.Context(t.Context()), ca.Rotation{Key: ca.KeyInFile})
	if err := firstOf(err, k.Close()); err != nil {
		t.Fatal(err)
	}
	w := run(t, l, c)
	var v api.AuthorityStatus
	if code := w.call(t, http.MethodGet, "/ca", nil, &v); code != http.StatusOK {
		t.Fatalf("status = %d", code)
	}
	type said struct{ Signs, Lost, Cure bool }
	got := map[string]said{}
	for _, a := range v.Certificates {
		if strings.HasPrefix(a.Name, "issuer") {
			got[a.Name] = said{a.Signs, a.KeyLost, a.Cure != ""}
		}
	}
	if diff := cmp.Diff(map[string]said{"issuer": {Lost: true, Cure: true}, "issuer 2": {Signs: true}}, got); diff != "" {
		t.Errorf("issuers mismatch (-want +got)\n%s", diff)
	}
	w.enrol(t, w.phone(t, "AFTER", nil), ward.Corporate)
}
