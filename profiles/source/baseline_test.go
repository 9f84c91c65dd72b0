package source_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

// Every setting of a baseline cites what it rests on, and every citation has a setting.
func TestBaselinesCiteTheirSources(t *testing.T) {
	t.Parallel()
	for _, name := range source.Baselines() {
		p := parse(t, record+"baseline: "+name)
		raw, ok := source.Baseline(name)
		if !ok {
			t.Fatalf("there is no baseline %s", name)
		}
		sources, _ := plain(node(t, string(raw))).(map[string]any)["sources"].(map[string]any)
		settings := 0
		for _, o := range p.Base(ward.IOS).Origins {
			if o.Layer != "baseline "+name {
				continue
			}
			settings++
			if o.Source == "" || o.File != name+".yaml" || o.Line == 0 {
				t.Errorf("%s: %s has the origin %+v", name, o.Path, o)
			}
			for path := range sources {
				if o.Path == path || strings.HasPrefix(o.Path, path+"[") || strings.HasPrefix(o.Path, path+".") {
					delete(sources, path)
				}
			}
		}
		if settings < 8 {
			t.Errorf("%s has %d settings", name, settings)
		}
		if len(sources) > 0 {
			t.Errorf("%s cites for what it does not set: %v", name, slices.Sorted(maps.Keys(sources)))
		}
	}
}

func TestBaselines(t *testing.T) {
	t.Parallel()
	if _, ok := source.Baseline("../policy"); ok {
		t.Error("Baseline found a file that is none")
	}
	ncsc := parse(t, record+"baseline: ncsc-corporate").Base(ward.IOS).Wanted
	if !ncsc.Block.AllowOnly || !ncsc.Block.Stores || !ncsc.On[intent.NoAppStore] || !ncsc.Encryption {
		t.Errorf("ncsc-corporate wants %+v", ncsc)
	}
	byod := parse(t, record+"baseline: byod-contained").Base(ward.IOS).Wanted
	if diff := cmp.Diff(intent.Block{}, byod.Block); diff != "" {
		t.Errorf("byod-contained blocks something (-want +got):\n%s", diff)
	}
	shared := parse(t, record+"baseline: [shared-ward-phone]").Base(ward.IOS).Wanted
	if !shared.On[intent.NoAccountChanges] || shared.StaffPage != source.StaffPage {
		t.Errorf("shared-ward-phone wants %+v", shared)
	}
	overridden := parse(t, record+"baseline: shared-ward-phone\nhardening: {no_account_changes: false}\nstaff_page: false\nposture: {passcode: {minimum_length: 8}}").Base(ward.IOS).Wanted
	if overridden.On[intent.NoAccountChanges] || overridden.StaffPage != "" || overridden.Passcode.MinimumLength != 8 {
		t.Errorf("over shared-ward-phone a policy wants %+v", overridden)
	}
}
