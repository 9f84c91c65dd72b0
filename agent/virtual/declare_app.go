package virtual

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/wardmdm/ward/agent"
)

// placeApp puts an app of an app.managed configuration on the device. On a supervised
// device it comes without a question, elsewhere the user is asked; an optional one waits
// until the user wants it. The caller holds b.mu.
// Source: Apple, AppManaged declaration, InstallBehavior.
func (b *body) placeApp(d *declaration) error {
	in, err := b.declaredApp(d)
	if err != nil {
		return err
	}
	install := nestedIn(d.payload, "InstallBehavior")
	required := install["Install"] == "Required"
	flags := int64(flagRemoveWithMDM)
	if d.payload["IncludeInBackup"] == false {
		flags |= flagNoBackup
	}
	config, err := b.assetConfig(d)
	if err != nil {
		return err
	}
	old := b.apps[in.BundleID]
	if other := b.declarer(in.BundleID); other != "" && other != d.id {
		return fmt.Errorf("%s is managed by the declaration %s", in.BundleID, other)
	}
	if q := b.prompts[in.BundleID]; q != nil && q.app.declared == d.id {
		return nil // the user has not answered yet
	}
	if old == nil && !required || b.ddm.declined[in.BundleID] {
		return nil
	}
	next := &app{Installed: in, managed: true, flags: flags, config: config, attributes: map[string]any{}, declared: d.id}
	maps.Copy(next.attributes, nestedIn(d.payload, "Attributes"))
	if required {
		next.attributes["Removable"] = false
	}
	asks, state := !b.opt.Supervised, statePrompting
	if old != nil {
		next.data = old.data
		asks, state = asks && !old.managed, statePromptingMg
	}
	if asks && b.opt.HoldPrompts {
		b.prompts[in.BundleID] = &prompt{next, state}
		return nil
	}
	b.apps[in.BundleID] = next
	return nil
}

// declaredApp returns the app that a configuration names.
func (b *body) declaredApp(d *declaration) (Installed, error) {
	if d.payload["ManifestURL"] != nil {
		if d.got.wanted == nil {
			return Installed{}, errors.New("the manifest was not read yet")
		}
		return d.got.wanted.Installed, nil
	}
	store, _ := d.payload["AppStoreID"].(string)
	bundle, _ := d.payload["BundleID"].(string)
	i := slices.IndexFunc(b.opt.Store, func(a StoreApp) bool {
		return store != "" && strconv.FormatInt(a.ID, 10) == store || bundle != "" && a.BundleID == bundle
	})
	if i < 0 {
		return Installed{}, errors.New("the App Store does not know the app")
	}
	return b.opt.Store[i].Installed, nil
}

// assetConfig returns the managed configuration that LegacyAppConfigAssetReference names,
// nil for none. Source: Apple, AppManaged declaration (iOS 18.4).
func (b *body) assetConfig(d *declaration) (map[string]any, error) {
	id, ok := d.payload["LegacyAppConfigAssetReference"].(string)
	if !ok {
		return nil, nil //nolint:nilnil // no configuration is no error
	}
	a := b.ddm.held[id]
	if a == nil || a.got.data == nil {
		return nil, errors.New("the asset of the configuration is not there")
	}
	var m map[string]any
	if err := agent.DecodePlist(a.got.data, maxDeclaration, &m); err != nil {
		return nil, &reasonError{reasonAssetForm, err}
	}
	return m, nil
}

// declarer returns the configuration that manages an app, empty for none.
func (b *body) declarer(bundleID string) string {
	if a := b.apps[bundleID]; a != nil {
		return a.declared
	}
	if q := b.prompts[bundleID]; q != nil {
		return q.app.declared
	}
	return ""
}

// removeDeclaredApps removes the apps, and the questions about them, whose configuration
// is no longer in force.
func (b *body) removeDeclaredApps() {
	gone := func(id string) bool {
		d := b.ddm.held[id]
		return id != "" && (d == nil || !d.active)
	}
	for id, a := range b.apps {
		if gone(a.declared) {
			delete(b.apps, id)
		}
	}
	for id, q := range b.prompts {
		if gone(q.app.declared) {
			delete(b.prompts, id)
		}
	}
}
