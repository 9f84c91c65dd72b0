package virtual_test

import (
	"fmt"
	"testing"

	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
)

// BenchmarkJudge is one case of a property test: a device takes a profile that blocks
// sixty apps and says of each whether it launches, with the profile read before and not,
// and by declarations.
func BenchmarkJudge(b *testing.B) {
	var ids []any
	var apps []virtual.Installed
	for i := range 60 {
		id := fmt.Sprintf("org.example.messenger%d", i)
		ids, apps = append(ids, id), append(apps, virtual.Installed{BundleID: id})
	}
	data := restrictions(b, "test.bench", dict{"blockedAppBundleIDs": ids, "allowChat": false, "allowOpenFromManagedToUnmanaged": false})
	parsed, err := agent.ParseProfile(data)
	if err != nil {
		b.Fatal(err)
	}
	judge := func(b *testing.B, version string, give func(j *virtual.Judge) error) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			j := virtual.NewJudge(virtual.Options{OSVersion: version, Supervised: true, Apps: apps})
			if err := give(j); err != nil {
				b.Fatal(err)
			}
			for _, a := range apps {
				if j.CanLaunch(a.BundleID) == nil {
					b.Fatalf("%s launches", a.BundleID)
				}
			}
		}
	}
	b.Run("profile", func(b *testing.B) {
		judge(b, "18.6", func(j *virtual.Judge) error { return j.InstallProfile(data) })
	})
	b.Run("parsed", func(b *testing.B) {
		judge(b, "18.6", func(j *virtual.Judge) error { return j.InstallParsed(parsed) })
	})
	list := activated(b, "app.settings", dict{"Allowed": dict{"DeniedApps": ids}})
	b.Run("declarations", func(b *testing.B) {
		judge(b, "27.0", func(j *virtual.Judge) error {
			j.ApplyDeclarations(list, nil)
			return nil
		})
	})
}
