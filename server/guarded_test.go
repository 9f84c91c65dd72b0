package server

import (
	"testing"

	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/store"
)

// TestGuardSeesAll: whatever Apple's side counts as destructive, the store asks about when it
// is handed out.
func TestGuardSeesAll(t *testing.T) {
	t.Parallel()
	for requestType, why := range applemdm.DestructiveTypes() {
		if !store.MayBeDangerous(requestType) {
			t.Errorf("%s %s, and nobody is asked before it is handed out", requestType, why)
		}
	}
}
