package virtual

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wardmdm/ward/agent"
)

// flagRemoveWithMDM is the bit of ManagementFlags that takes an app away with the
// management profile. Source: Apple, InstallApplication.
const flagRemoveWithMDM = 1

// States of a managed app. Source: Apple, ManagedApplicationList.
const (
	statePrompting   = "Prompting"
	statePromptingMg = "PromptingForManagement"
	stateManaged     = "Managed"
	stateRejected    = "UserRejected"
	stateMgRejected  = "ManagementRejected"
	stateQueued      = "Queued"
)

// app is an app on the phone with what the server has attached to it.
type app struct {
	Installed
	managed    bool
	flags      int64
	config     map[string]any // nil without one
	attributes map[string]any
	data       *appData // what the app itself has stored; nil until it runs
	declared   string   // the configuration that manages it; empty if a command does
}

// release makes a managed app the user's own.
func (a *app) release() {
	a.managed, a.flags, a.config, a.attributes, a.declared = false, 0, nil, nil, ""
}

// prompt is an installation that waits for the user.
type prompt struct {
	app   *app
	state string
}

// wanted is what an InstallApplication command asks for.
type wanted struct {
	Installed
	flags      int64
	config     map[string]any
	attributes map[string]any
	takeOver   bool
}

func (b *body) installApplication(ctx context.Context, c agent.Command) agent.Response {
	w, refusal := b.wanted(ctx, c)
	if refusal != nil {
		return *refusal
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.apps[w.BundleID]
	if b.declarer(w.BundleID) != "" {
		return rejected(codeAppInstalled, "NotSupported", "a declaration manages the app")
	}
	if old != nil && !old.managed && !w.takeOver {
		r := fail(domainMDM, codeAppInstalled, "the app is already installed")
		r.Fields = map[string]any{"Identifier": w.BundleID, "RejectionReason": "AppAlreadyInstalled"}
		return r
	}
	if b.prompts[w.BundleID] != nil {
		return rejected(codeAppInstalled, "AppAlreadyQueued", "the app is already queued")
	}
	next := &app{Installed: w.Installed, managed: true, flags: w.flags, config: w.config, attributes: w.attributes}
	asks, state := !b.opt.Supervised, statePrompting
	if old != nil {
		next.data = old.data
		asks = asks && !old.managed // an update of a managed app is not asked for
		state = statePromptingMg
	}
	answer := map[string]any{"Identifier": w.BundleID, "State": stateQueued}
	delete(b.notices, w.BundleID)
	if !asks {
		b.apps[w.BundleID] = next
		return done(answer)
	}
	answer["State"] = state
	if b.opt.HoldPrompts {
		b.prompts[w.BundleID] = &prompt{next, state}
		return done(answer)
	}
	b.apps[w.BundleID] = next
	return done(answer)
}

func rejected(code int, reason, text string) agent.Response {
	r := fail(domainMDM, code, text)
	r.Fields = map[string]any{"RejectionReason": reason}
	return r
}

// wanted reads the command. Exactly one of the three ways to name an app must be used.
func (b *body) wanted(ctx context.Context, c agent.Command) (wanted, *agent.Response) {
	refuse := func(r agent.Response) (wanted, *agent.Response) { return wanted{}, &r }
	var w wanted
	var ok1, ok2 bool
	w.config, ok1 = optional[map[string]any](c.Payload, "Configuration")
	w.attributes, ok2 = optional[map[string]any](c.Payload, "Attributes")
	if !ok1 || !ok2 {
		return refuse(malformed("Configuration and Attributes must be dictionaries"))
	}
	w.flags = number(c.Payload["ManagementFlags"])
	w.takeOver = c.String("ChangeManagementState") == "Managed"
	if w.takeOver && b.opt.UserEnrolment {
		return refuse(rejected(codeNotAuthorised, "ManagementChangeNotSupported", "user enrolment does not take over apps"))
	}
	store, manifest, bundle := number(c.Payload["iTunesStoreID"]), c.String("ManifestURL"), c.String("Identifier")
	ways := 0
	for _, used := range []bool{store != 0, manifest != "", bundle != ""} {
		if used {
			ways++
		}
	}
	switch {
	case ways != 1:
		return refuse(malformed("exactly one of iTunesStoreID, ManifestURL and Identifier is needed"))
	case manifest != "" && !strings.HasPrefix(manifest, "https://"):
		return refuse(rejected(codeNotHTTPS, "Other", "ManifestURL must be an https address"))
	case manifest != "":
		var err error
		if w.Installed, err = b.readManifest(ctx, manifest); err != nil {
			return refuse(rejected(codeManifest, "Other", err.Error()))
		}
		return w, nil
	}
	if b.opt.UserEnrolment && number(nestedIn(c.Payload, "Options")["PurchaseMethod"]) != 1 {
		return refuse(rejected(codeNotAuthorised, "PurchaseMethodNotSupported", "in user enrolment apps of the App Store need a licence"))
	}
	i := slices.IndexFunc(b.opt.Store, func(a StoreApp) bool { return store != 0 && a.ID == store || bundle != "" && a.BundleID == bundle })
	if i < 0 {
		return refuse(rejected(12023, "CouldNotVerifyAppID", "the App Store does not know the app"))
	}
	w.Installed = b.opt.Store[i].Installed
	return w, nil
}

// readManifest fetches a manifest and returns the app it describes. The package that it
// points to is code, which this phone does not run, and is not fetched.
// Source: Apple, "ManifestURL" (items, metadata, bundle-identifier).
func (b *body) readManifest(ctx context.Context, address string) (Installed, error) {
	raw, err := b.link.fetch(ctx, address, true)
	if err != nil {
		return Installed{}, fmt.Errorf("manifest: %w", err)
	}
	var m struct {
		Items []struct {
			Metadata struct {
				BundleID string `plist:"bundle-identifier"`
				Version  string `plist:"bundle-version"`
				Title    string `plist:"title"`
			} `plist:"metadata"`
		} `plist:"items"`
	}
	if err := agent.DecodePlist(raw, 1<<20, &m); err != nil {
		return Installed{}, fmt.Errorf("manifest: %w", err)
	}
	if len(m.Items) == 0 || m.Items[0].Metadata.BundleID == "" {
		return Installed{}, errors.New("manifest: it names no app")
	}
	d := m.Items[0].Metadata
	return Installed{BundleID: d.BundleID, Name: d.Title, Version: d.Version}, nil
}

// Answer is the user answering a question of InstallApplication. It reports whether
// there was one.
func (b *body) Answer(bundleID string, yes bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.prompts[bundleID]
	if q == nil {
		return false
	}
	delete(b.prompts, bundleID)
	switch {
	case yes:
		b.apps[bundleID] = q.app
	case q.app.declared != "":
		if b.ddm.declined == nil {
			b.ddm.declined = map[string]bool{}
		}
		b.ddm.declined[bundleID] = true
	case q.state == statePromptingMg:
		b.notices[bundleID] = stateMgRejected
	default:
		b.notices[bundleID] = stateRejected
	}
	b.touchLocked()
	return true
}

// InstallByUser is the user installing an app from the App Store; it returns false where
// a restriction has taken the App Store away.
func (b *body) InstallByUser(a Installed) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off("allowAppInstallation") || b.off("allowUIAppInstallation") || b.erased || b.lost != nil {
		return false
	}
	if b.apps[a.BundleID] == nil {
		b.apps[a.BundleID] = &app{Installed: a}
		b.touchLocked()
	}
	return true
}

// RemoveByUser is the user deleting an app; it returns false if it is not there or may
// not be removed.
func (b *body) RemoveByUser(bundleID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.apps[bundleID]
	if a == nil || a.managed && a.attributes["Removable"] == false {
		return false
	}
	if b.off("allowAppRemoval") {
		return false
	}
	delete(b.apps, bundleID)
	b.touchLocked()
	return true
}

func (b *body) removeApplication(_ context.Context, c agent.Command) agent.Response {
	id := c.String("Identifier")
	if id == "" {
		return malformed("Identifier is missing")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.apps[id]; a == nil || !a.managed || a.declared != "" {
		return fail(domainMDM, codeAppNotManaged, "no command manages the app")
	}
	delete(b.apps, id)
	return done(nil)
}

func (b *body) installedApplicationList(_ context.Context, c agent.Command) agent.Response {
	onlyManaged, ok1 := optional[bool](c.Payload, "ManagedAppsOnly")
	_, ok2 := optional[[]any](c.Payload, "Identifiers")
	items, ok3 := optional[[]any](c.Payload, "Items")
	if !ok1 || !ok2 || !ok3 {
		return malformed("ManagedAppsOnly, Identifiers or Items is of the wrong type")
	}
	chosen := stringsOf(c.Payload["Identifiers"])
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []any{}
	all := maps.Clone(b.apps)
	if b.since("26.0", never) {
		for _, a := range systemApps() { // which were left out before
			all[a.BundleID] = &app{Installed: Installed{BundleID: a.BundleID, Name: a.Name, Version: b.os}}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		a := all[id]
		if (onlyManaged || b.opt.UserEnrolment) && (!a.managed || a.declared != "") || len(chosen) > 0 && !slices.Contains(chosen, id) {
			continue
		}
		m := map[string]any{
			"Identifier": id, "Name": a.Name, "Version": a.Version, "ShortVersion": a.Version,
			"IsValidated": true, "Installing": false, "AppStoreVendable": true, "BundleSize": 64 << 20,
		}
		if len(items) > 0 {
			maps.DeleteFunc(m, func(k string, _ any) bool { return !slices.Contains(items, any(k)) })
		}
		list = append(list, m)
	}
	return done(map[string]any{"InstalledApplicationList": list})
}

func (b *body) managedApplicationList(_ context.Context, c agent.Command) agent.Response {
	chosen := stringsOf(c.Payload["Identifiers"])
	want := func(id string) bool { return len(chosen) == 0 || slices.Contains(chosen, id) }
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]any{}
	add := func(id, state string, flags int64, config bool) {
		if want(id) {
			out[id] = map[string]any{"Status": state, "ManagementFlags": flags, "HasConfiguration": config, "HasFeedback": false, "IsValidated": true}
		}
	}
	for id, a := range b.apps {
		if a.managed && a.declared == "" {
			add(id, stateManaged, a.flags, a.config != nil)
		}
	}
	for id, q := range b.prompts {
		if q.app.declared != "" {
			continue
		}
		add(id, q.state, q.app.flags, q.app.config != nil)
	}
	for id, state := range b.notices { // said once and then forgotten
		add(id, state, 0, false)
		if want(id) {
			delete(b.notices, id)
		}
	}
	return done(map[string]any{"ManagedApplicationList": out})
}
