package declare

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func item(id, token string) Item {
	return Item{Identifier: id, Type: "com.apple.configuration.legacy", Token: token, Payload: []byte(`{}`)}
}

// TestNewSet: the token names the set, whatever the order, and nothing but the set.
func TestNewSet(t *testing.T) {
	t.Parallel()
	a, b := item("a", "1"), item("b", "2")
	set := NewSet([]Item{b, a})
	if set.Token != NewSet([]Item{a, b}).Token || set.Items[0].Identifier != "a" || len(set.Token) != 64 {
		t.Errorf("NewSet() depends on the order: %+v", set)
	}
	tokens := []string{set.Token, NewSet(nil).Token}
	for _, items := range [][]Item{
		{a}, {a, item("b", "3")}, {item("b", "1"), item("a", "2")}, {a, item("c", "2")}, // the same contents under another name are another set
		{a, {Identifier: "b", Type: "com.apple.configuration.passcode.settings", Token: "2", Payload: []byte(`{}`)}},
	} {
		token := NewSet(items).Token
		if slices.Contains(tokens, token) {
			t.Errorf("NewSet(%v) has the token of another set", items)
		}
		tokens = append(tokens, token)
	}
	if err := NewSet(nil).Check(); err != nil {
		t.Errorf("Check() of the empty set = %v", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 65)
	for _, tc := range []struct {
		name string
		set  Set
		want string // part of the error, "" for none
	}{
		{"a good set", NewSet([]Item{item("a", "1"), item("b", "1")}), ""},
		{"no token", Set{}, "token has 0"},
		{"a long token", Set{Token: long}, "token has 65"},
		{"a nameless item", NewSet([]Item{item("", "1")}), "its identifier"},
		{"a long identifier", NewSet([]Item{item(long, "1")}), "its identifier"},
		{"an item without a token", NewSet([]Item{item("a", "")}), "its token"},
		{"a long item token", NewSet([]Item{item("a", long)}), "its token"},
		{"twice the same", NewSet([]Item{item("a", "1"), item("a", "2")}), "twice"},
		{"another type", NewSet([]Item{{Identifier: "a", Type: "org.example.configuration.x", Token: "1", Payload: []byte(`{}`)}}), "none of a declaration"},
		{"another manifest", NewSet([]Item{{Identifier: "a", Type: "com.apple.other.x", Token: "1", Payload: []byte(`{}`)}}), "none of a declaration"},
		{"no payload", NewSet([]Item{{Identifier: "a", Type: "com.apple.asset.data", Token: "1"}}), "no JSON object"},
		{"a null payload", NewSet([]Item{{Identifier: "a", Type: "com.apple.asset.data", Token: "1", Payload: []byte(`null`)}}), "no JSON object"},
		{"a list for a payload", NewSet([]Item{{Identifier: "a", Type: "com.apple.asset.data", Token: "1", Payload: []byte(`[]`)}}), "no JSON object"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.set.Check()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Check() = %v, want %q", err, tc.want)
			}
		})
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, typ := range []string{
		"com.apple.activation.simple", "com.apple.configuration.legacy", "com.apple.asset.data", "com.apple.management.properties",
		"com.apple.management", "com.apple.", "", "com.example.activation.simple", "com.apple.activations.simple",
	} {
		got[typ] = Item{Type: typ}.Kind()
	}
	want := map[string]string{
		"com.apple.activation.simple": "activation", "com.apple.configuration.legacy": "configuration", "com.apple.asset.data": "asset",
		"com.apple.management.properties": "management", "com.apple.management": "management",
		"com.apple.": "", "": "", "com.example.activation.simple": "", "com.apple.activations.simple": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Kind() mismatch (-want +got):\n%s", diff)
	}
}

// TestItemNames: the names are sorted and there once each.
func TestItemNames(t *testing.T) {
	t.Parallel()
	names := ItemNames()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("ItemNames() = %q, want sorted names, each once", names)
	}
}
