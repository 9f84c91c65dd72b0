package web

import (
	"testing"
	"time"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/posture"
	"github.com/wardmdm/ward/server/reconcile"
)

// TestDeclaredApp: an app that a declaration installs is told of by the device's own
// reports, never by its answer about managed apps, which leaves it out.
func TestDeclaredApp(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const id = "org.example.messenger"
	reports := func(state string) reconcile.Observed {
		o := reconcile.Observed{Managed: &reconcile.Known[[]fleet.ManagedApp]{At: now}, DeclaredApps: &reconcile.Known[[]declare.App]{At: now}}
		if state != "" {
			o.DeclaredApps.Value = []declare.App{{BundleID: id, State: state}}
		}
		return o
	}
	for _, c := range []struct {
		name     string
		declared bool
		got      reconcile.Observed
		want     string
	}{
		{"declared and there", true, reports("managed"), "Installed"},
		{"declared and failed", true, reports("failed"), "On its way"},
		{"declared and not there", true, reports(""), "Not installed yet"},
		{"nothing told", true, reconcile.Observed{}, "Not known yet"},
		{"by command and there", false, reconcile.Observed{Managed: &reconcile.Known[[]fleet.ManagedApp]{Value: []fleet.ManagedApp{{BundleID: id, Status: "Managed"}}, At: now}}, "Installed"},
	} {
		var d posture.Detail
		d.View.Want.Apps = []profiles.App{{Name: "Messenger", BundleID: id, Declared: c.declared}}
		d.View.Got = c.got
		all := apps(d, now)
		if len(all) != 1 || all[0].Tag.Text != c.want {
			t.Errorf("%s: %+v, want %s", c.name, all, c.want)
		}
	}
}
