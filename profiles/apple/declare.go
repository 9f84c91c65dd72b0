package apple

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward/profiles/intent"
)

const (
	typeLegacy        = "com.apple.configuration.legacy"
	typeActivation    = "com.apple.activation.simple"
	typeSubscriptions = "com.apple.configuration.management.status-subscriptions"
)

// mostIdentifier is how long an identifier of a declaration should be at most.
// Source: https://developer.apple.com/documentation/devicemanagement/declarationbase
const mostIdentifier = 64

// compliant is true while the passcode is as asked, and while nothing is asked of it:
// so the passcode itself must not depend on it.
// Source: declarative/status/passcode.is-compliant.yaml.
const compliant = "@status(passcode.is-compliant) == TRUE"

// config is a configuration before it is written.
type config struct {
	last    string // of the identifier
	kind    string
	payload map[string]any
	grants  bool // only while the passcode is as asked
	// app is the bundle id of the app whose identity it brings, and bare its payload
	// without that, nil for none: see Declaration.
	app  string
	bare map[string]any
}

// declareProfile has a declaration bring a profile.
func (c *compiler) declareProfile(p Profile, grants bool) {
	c.configs = append(c.configs, config{
		last:    "profile." + strings.TrimPrefix(p.Identifier, ProfileIdentifiers),
		kind:    typeLegacy,
		payload: map[string]any{"ProfileURL": "{{profile:" + p.Hash + "}}"},
		grants:  grants && c.gates(),
	})
}

// declare writes the declarations: the configurations, what the device is to report, and
// the activations that put them in force. Where a device is managed by declarations and
// something is wanted of it, it reports at least.
func (c *compiler) declare() {
	if !c.d.declares() || len(asked(c.w, c.d.Platform)) == 0 {
		return
	}
	c.configs = append(c.configs, config{last: "subscriptions", kind: typeSubscriptions, payload: c.subscriptions()})
	var always, while []string
	for _, f := range c.configs {
		id := c.declaration(f)
		if f.grants {
			while = append(while, id)
		} else {
			always = append(always, id)
		}
	}
	c.activate("activation", always, "")
	if len(while) > 0 {
		c.activate("activation.compliant", while, compliant)
	}
}

func (c *compiler) activate(last string, configurations []string, predicate string) {
	slices.Sort(configurations)
	payload := map[string]any{"StandardConfigurations": configurations}
	if predicate != "" {
		payload["Predicate"] = predicate
	}
	c.declaration(config{last: last, kind: typeActivation, payload: payload})
}

// declaration adds one and returns its identifier.
func (c *compiler) declaration(f config) string {
	id := c.unique(DeclarationIdentifiers+f.last, mostIdentifier)
	payload, err := canonical(f.payload)
	if err != nil {
		c.failed(fmt.Errorf("write declaration %s: %w", id, err))
		return id
	}
	d := Declaration{Identifier: id, Type: f.kind, Token: digest(slices.Concat([]byte(f.kind+"\n"), payload)), Payload: payload, App: f.app}
	if f.bare != nil {
		if d.Bare, err = canonical(f.bare); err != nil {
			c.failed(fmt.Errorf("write declaration %s: %w", id, err))
			return id
		}
	}
	c.result.Declarations = append(c.result.Declarations, d)
	return id
}

// canonical writes JSON with sorted keys, without white space.
func canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // addresses stay readable
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// status is an item that a device can report.
type status struct {
	name     string
	ios, mac intent.Version // zero: never
	noUser   bool           // not under user enrolment
}

// statuses is a table, never changed. Source: declarative/status, the enrolments of each
// file. Not asked: what nothing in Ward reads, and accounts.
var statuses = []status{
	{name: "app.managed.list", ios: ver(17, 2)},
	{name: "device.identifier.serial-number", ios: ver(16, 0), mac: ver(13, 0), noUser: true},
	{name: "device.identifier.udid", ios: ver(16, 0), mac: ver(13, 0), noUser: true},
	{name: "device.model.family", ios: ver(15, 0), mac: ver(13, 0)},
	{name: "device.model.identifier", ios: ver(15, 0), mac: ver(13, 0)},
	{name: "device.operating-system.build-version", ios: ver(15, 0), mac: ver(13, 0)},
	{name: "device.operating-system.supplemental.build-version", ios: ver(16, 1), mac: ver(13, 0)},
	{name: "device.operating-system.supplemental.extra-version", ios: ver(16, 1), mac: ver(13, 0)},
	{name: "device.operating-system.version", ios: ver(15, 0), mac: ver(13, 0)},
	{name: "diskmanagement.filevault.enabled", mac: ver(14, 0), noUser: true},
	{name: "management.declarations", ios: ver(15, 0), mac: ver(13, 0)},
	{name: "mdm.app", ios: ver(16, 0)},
	{name: "passcode.is-compliant", ios: ver(16, 0)},
	{name: "passcode.is-present", ios: ver(16, 0)},
	{name: "security.certificate.list", ios: ver(17, 0), mac: ver(14, 0)},
	{name: "softwareupdate.failure-reason", ios: ver(17, 0), mac: ver(14, 0), noUser: true},
	{name: "softwareupdate.install-reason", ios: ver(17, 0), mac: ver(14, 0), noUser: true},
	{name: "softwareupdate.install-state", ios: ver(17, 0), mac: ver(14, 0), noUser: true},
	{name: "softwareupdate.pending-version", ios: ver(17, 0), mac: ver(14, 0), noUser: true},
}

// subscriptions asks for the items that the device has.
func (c *compiler) subscriptions() map[string]any {
	var items []any
	for _, s := range statuses {
		since := s.mac
		if c.d.ios() {
			since = s.ios
		}
		if since.Known() && c.d.OS.AtLeast(since) && (!s.noUser || !c.d.user) {
			items = append(items, map[string]any{"Name": s.name})
		}
	}
	return map[string]any{"StatusItems": items}
}
