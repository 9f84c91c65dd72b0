package api_test

import (
	"testing"

	"github.com/wardmdm/ward"
)

// TestNamesAreNotGuessed: who may see nobody's sessions is told the same of a person who is
// there and of one who is not.
func TestNamesAreNotGuessed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.person("Maud Ellery", ward.RoleSupport)
	_, staff := w.person("Sam", ward.RoleStaff)
	for _, name := range []string{"Maud%20Ellery", "Nobody"} {
		for _, method := range []string{get, remove} {
			w.problem(403, staff, method, "/people/"+name+"/sessions", nil)
		}
	}
	w.ok(200, staff, get, "/people/Sam/sessions", nil, nil)
}
