package virtual

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// declarativeSince are the systems that know declarations. Source: Apple,
// DeclarativeManagement command.
const (
	declarativeIOS = "15.0"
	declarativeMac = "13.0"
)

// hasStatus reports whether the device has a status item.
func (b *body) hasStatus(name string) bool {
	r, ok := statusRules[name]
	return ok && b.supports(declarationRule{ios: r.ios, mac: r.mac, onIOS: r.onIOS, onMac: r.onMac})
}

// statusItem returns the present value of a status item in the form of JSON; ok is false
// if the device has no such item. The caller holds b.mu.
func (b *body) statusItem(name string) (v any, ok bool) {
	if !b.hasStatus(name) {
		return nil, false
	}
	o := b.opt
	switch name {
	case "device.identifier.serial-number":
		return o.Serial, true
	case "device.identifier.udid":
		return o.UDID, true
	case "device.model.family":
		return b.family(), true
	case "device.model.identifier":
		return o.Model, true
	case "device.model.marketing-name":
		return b.family(), true
	case "device.model.number":
		return "MTP03B/A", true
	case "device.operating-system.build-version", "device.operating-system.supplemental.build-version":
		return buildOf(b.os), true
	case "device.operating-system.family":
		return map[string]string{"Mac": "macOS", "iPad": "iPadOS", "iPhone": "iOS"}[b.family()], true
	case "device.operating-system.marketing-name":
		return map[string]string{"Mac": "macOS ", "iPad": "iPadOS ", "iPhone": "iOS "}[b.family()] + b.os, true
	case "device.operating-system.supplemental.extra-version":
		return "", true
	case "device.operating-system.version":
		return b.os, true
	case "device.power.battery-health":
		return "normal", true
	case "diskmanagement.filevault.enabled":
		return b.opt.FileVault, true
	case "passcode.is-compliant":
		return b.compliant(), true
	case "passcode.is-present":
		return b.passcode.set, true
	}
	return b.listItem(name), true
}

// listItem returns the items that are lists or say something of management itself.
func (b *body) listItem(name string) any {
	switch name {
	case "management.client-capabilities":
		return b.capabilities()
	case "management.declarations":
		return b.declarationItem()
	case "mdm.app":
		return b.appItem()
	case "app.managed.list":
		return b.declaredAppItem()
	case "security.certificate.list":
		return b.certificateItem()
	case "softwareupdate.install-state", "softwareupdate.install-reason":
		return b.updateItem(name)
	case "softwareupdate.pending-version":
		u, ok := b.updateEnforced()
		if !ok {
			return map[string]any{}
		}
		return map[string]any{"os-version": u.Version, "build-version": buildOf(u.Version), "target-local-date-time": u.By}
	}
	return map[string]any{} // softwareupdate.failure-reason: no update has failed
}

func (b *body) updateItem(name string) any {
	_, ok := b.updateEnforced()
	switch {
	case name == "softwareupdate.install-reason" && ok:
		return map[string]any{"reason": []any{"declaration"}}
	case name == "softwareupdate.install-reason":
		return map[string]any{"reason": []any{}}
	case ok:
		return "prepared"
	}
	return "none"
}

// appItem lists the apps that commands manage.
func (b *body) appItem() any {
	out := []any{}
	for _, id := range slices.Sorted(maps.Keys(b.apps)) {
		if a := b.apps[id]; a.managed && a.declared == "" {
			out = append(out, map[string]any{"identifier": id, "name": a.Name, "version": a.Version, "short-version": a.Version, "state": "managed"})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.prompts)) {
		if q := b.prompts[id]; q.app.declared == "" {
			state := "prompting"
			if q.state == statePromptingMg {
				state = "prompting-for-management"
			}
			out = append(out, map[string]any{"identifier": id, "name": q.app.Name, "state": state})
		}
	}
	return out
}

// declaredAppItem lists the apps of the app.managed configurations in force.
func (b *body) declaredAppItem() any {
	out := []any{}
	for _, d := range b.inForce(typeAppManaged) {
		in, err := b.declaredApp(d)
		if err != nil {
			continue // it is not in force then
		}
		m := map[string]any{"identifier": in.BundleID, "declaration-identifier": d.id, "name": in.Name, "state": "optional"}
		a, q := b.apps[in.BundleID], b.prompts[in.BundleID]
		switch {
		case a != nil && a.declared == d.id:
			m["state"], m["version"], m["short-version"] = "managed", a.Version, a.Version
		case q != nil && q.state == statePromptingMg:
			m["state"] = "prompting-for-management"
		case q != nil:
			m["state"] = "prompting-for-consent"
		case b.ddm.declined[in.BundleID]:
			m["state"] = "failed"
		}
		out = append(out, m)
	}
	return out
}

// certificateItem lists the certificates that management brought.
func (b *body) certificateItem() any {
	out := []any{}
	add := func(h *held, id string, c *x509.Certificate, identity bool) {
		m := map[string]any{"identifier": id, "subject-summary": c.Subject.CommonName, "is-identity": identity, "data": base64.StdEncoding.EncodeToString(c.Raw)}
		if d, ok := strings.CutPrefix(h.by, byDeclaration); ok {
			m["declaration-identifier"] = d
		}
		out = append(out, m)
	}
	for _, id := range slices.Sorted(maps.Keys(b.profiles)) {
		h := b.profiles[id]
		for _, u := range slices.Sorted(maps.Keys(h.identities)) {
			if c := h.identities[u].Certificate; c != nil {
				add(h, u, c, true)
			}
		}
		roots, err := h.profile.Roots()
		if err != nil {
			continue // acceptable has read them before
		}
		for _, c := range roots {
			add(h, hex.EncodeToString(c.SubjectKeyId)+c.SerialNumber.Text(16), c, false)
		}
	}
	return out
}

// declarationItem is the state of all declarations.
func (b *body) declarationItem() any {
	lists := map[string][]any{kindActivation + "s": {}, kindConfiguration + "s": {}, kindAsset + "s": {}, kindManagement: {}}
	for _, s := range b.states() {
		key := s.Kind + "s"
		if s.Kind == kindManagement {
			key = kindManagement
		}
		m := map[string]any{"identifier": s.Identifier, "server-token": s.ServerToken, "active": s.Active, "valid": s.Valid}
		if len(s.Reasons) > 0 {
			m["reasons"] = s.Reasons
		}
		lists[key] = append(lists[key], m)
	}
	return lists
}

// capabilities says which declarations and status items the device knows.
func (b *body) capabilities() any {
	types := map[string][]string{}
	for _, table := range []map[string]declarationRule{configurations, otherDeclarations} {
		for _, name := range slices.Sorted(maps.Keys(table)) {
			if !b.supports(table[name]) {
				continue
			}
			key := kindOf(name) + "s"
			if kindOf(name) == kindManagement {
				key = kindManagement
			}
			types[key] = append(types[key], name)
		}
	}
	items := []string{}
	for _, name := range slices.Sorted(maps.Keys(statusRules)) {
		if b.hasStatus(name) {
			items = append(items, name)
		}
	}
	return map[string]any{
		"supported-versions": []string{"1.0.0"}, "supported-features": map[string]any{},
		"supported-payloads": map[string]any{"declarations": types, "status-items": items},
	}
}
