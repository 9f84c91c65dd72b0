package intent_test

import (
	"slices"
	"testing"

	"github.com/wardmdm/ward/profiles/intent"
)

func TestList(t *testing.T) {
	t.Parallel()
	words := []string{"a", "b", "c", "d", "e"}
	for n, want := range []string{"nothing", "a", "a and b", "a, b and c", "a, b, c and 1 other", "a, b, c and 2 others"} {
		if got := intent.List(words[:n]); got != want {
			t.Errorf("List of %d = %q, want %q", n, got, want)
		}
	}
}

func TestSorted(t *testing.T) {
	t.Parallel()
	words := []string{"b", "a", "b"}
	if got := intent.Sorted(words); !slices.Equal(got, []string{"a", "b"}) || words[0] != "b" || intent.Sorted(nil) != nil {
		t.Errorf("Sorted = %v of %v, want a copy in order", got, words)
	}
}
