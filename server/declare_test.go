package server

import (
	"net/http"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/profiles"
)

// TestDeclarations: a phone that knows declarations gets what the policy wants by them,
// says that it holds them, and is given no profile by a command.
func TestDeclarations(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		p := w.phone(t, "S", func(o *virtual.Options) { o.Supervised = true })
		w.enrol(t, p, ward.Corporate)
		w.on(t, p)
		if _, err := w.Policy.Publish(w.ctx, profiles.ExamplePolicy()); err != nil {
			t.Fatal(err)
		}
		await(t, p, "the messaging profile", func(p *virtual.Phone) bool { return p.ProfileInstalled(profiles.MessagingProfile) })
		eventually(t, "the phone's word that it holds every declaration", func() bool {
			v := w.show(t, p.Serial()).View
			for _, d := range v.Want.Declarations {
				if !v.Holds(d) {
					return false
				}
			}
			return len(v.Want.Declarations) > 0
		})
		if n, m := asked(p, "InstallProfile"), asked(p, "DeclarativeManagement"); n != 0 || m != 1 {
			t.Errorf("it was sent %d InstallProfile and %d DeclarativeManagement, want none and one", n, m)
		}
		res, err := w.people.Get(w.URL() + "/mdm/v1/declared/enr_x/00/x")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("a link that is none was answered %d, want 404", res.StatusCode)
		}
	})
}
