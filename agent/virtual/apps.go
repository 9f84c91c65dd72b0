package virtual

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
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

func (p *Phone) installApplication(ctx context.Context, c agent.Command) agent.Response {
	w, refusal := p.wanted(ctx, c)
	if refusal != nil {
		return *refusal
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.apps[w.BundleID]
	if old != nil && !old.managed && !w.takeOver {
		r := fail(domainMDM, codeAppInstalled, "the app is already installed")
		r.Fields = map[string]any{"Identifier": w.BundleID, "RejectionReason": "AppAlreadyInstalled"}
		return r
	}
	if p.prompts[w.BundleID] != nil {
		return rejected(codeAppInstalled, "AppAlreadyQueued", "the app is already queued")
	}
	next := &app{Installed: w.Installed, managed: true, flags: w.flags, config: w.config, attributes: w.attributes}
	asks, state := !p.opt.Supervised, statePrompting
	if old != nil {
		next.data = old.data
		asks = asks && !old.managed // an update of a managed app is not asked for
		state = statePromptingMg
	}
	answer := map[string]any{"Identifier": w.BundleID, "State": stateQueued}
	delete(p.notices, w.BundleID)
	if !asks {
		p.apps[w.BundleID] = next
		return done(answer)
	}
	answer["State"] = state
	if p.opt.HoldPrompts {
		p.prompts[w.BundleID] = &prompt{next, state}
		return done(answer)
	}
	p.apps[w.BundleID] = next
	return done(answer)
}

func rejected(code int, reason, text string) agent.Response {
	r := fail(domainMDM, code, text)
	r.Fields = map[string]any{"RejectionReason": reason}
	return r
}

// wanted reads the command. Exactly one of the three ways to name an app must be used.
func (p *Phone) wanted(ctx context.Context, c agent.Command) (wanted, *agent.Response) {
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
		if w.Installed, err = p.readManifest(ctx, manifest); err != nil {
			return refuse(rejected(codeManifest, "Other", err.Error()))
		}
		return w, nil
	}
	i := slices.IndexFunc(p.opt.Store, func(a StoreApp) bool { return store != 0 && a.ID == store || bundle != "" && a.BundleID == bundle })
	if i < 0 {
		return refuse(rejected(12023, "CouldNotVerifyAppID", "the App Store does not know the app"))
	}
	w.Installed = p.opt.Store[i].Installed
	return w, nil
}

// readManifest fetches a manifest and returns the app it describes. The package that it
// points to is code, which this phone does not run, and is not fetched.
// Source: Apple, "ManifestURL" (items, metadata, bundle-identifier).
func (p *Phone) readManifest(ctx context.Context, address string) (Installed, error) {
	b, err := p.opt.Transport.Get(ctx, address, http.Header{"User-Agent": {"itunesstored/1.0"}}, 1<<20)
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
	if err := agent.DecodePlist(b, 1<<20, &m); err != nil {
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
func (p *Phone) Answer(bundleID string, yes bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.prompts[bundleID]
	if q == nil {
		return false
	}
	delete(p.prompts, bundleID)
	switch {
	case yes:
		p.apps[bundleID] = q.app
	case q.state == statePromptingMg:
		p.notices[bundleID] = stateMgRejected
	default:
		p.notices[bundleID] = stateRejected
	}
	p.touchLocked()
	return true
}

// InstallByUser is the user installing an app from the App Store; it returns false where
// a restriction has taken the App Store away.
func (p *Phone) InstallByUser(a Installed) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range []string{"allowAppInstallation", "allowUIAppInstallation"} {
		if v, ok := p.restriction(key); ok && v == false {
			return false
		}
	}
	if p.erased || p.lost != nil {
		return false
	}
	if p.apps[a.BundleID] == nil {
		p.apps[a.BundleID] = &app{Installed: a}
		p.touchLocked()
	}
	return true
}

// RemoveByUser is the user deleting an app; it returns false if it is not there or may
// not be removed.
func (p *Phone) RemoveByUser(bundleID string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.apps[bundleID]
	if a == nil || a.managed && a.attributes["Removable"] == false {
		return false
	}
	if v, ok := p.restriction("allowAppRemoval"); ok && v == false {
		return false
	}
	delete(p.apps, bundleID)
	p.touchLocked()
	return true
}

func (p *Phone) removeApplication(_ context.Context, c agent.Command) agent.Response {
	id := c.String("Identifier")
	if id == "" {
		return malformed("Identifier is missing")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.apps[id]; a == nil || !a.managed {
		return fail(domainMDM, codeAppNotManaged, "the app is not managed")
	}
	delete(p.apps, id)
	return done(nil)
}

func (p *Phone) installedApplicationList(_ context.Context, c agent.Command) agent.Response {
	onlyManaged, ok1 := optional[bool](c.Payload, "ManagedAppsOnly")
	_, ok2 := optional[[]any](c.Payload, "Identifiers")
	items, ok3 := optional[[]any](c.Payload, "Items")
	if !ok1 || !ok2 || !ok3 {
		return malformed("ManagedAppsOnly, Identifiers or Items is of the wrong type")
	}
	chosen := stringsOf(c.Payload["Identifiers"])
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []any{}
	for _, id := range slices.Sorted(maps.Keys(p.apps)) {
		a := p.apps[id]
		if onlyManaged && !a.managed || len(chosen) > 0 && !slices.Contains(chosen, id) {
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

func (p *Phone) managedApplicationList(_ context.Context, c agent.Command) agent.Response {
	chosen := stringsOf(c.Payload["Identifiers"])
	want := func(id string) bool { return len(chosen) == 0 || slices.Contains(chosen, id) }
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]any{}
	add := func(id, state string, flags int64, config bool) {
		if want(id) {
			out[id] = map[string]any{"Status": state, "ManagementFlags": flags, "HasConfiguration": config, "HasFeedback": false, "IsValidated": true}
		}
	}
	for id, a := range p.apps {
		if a.managed {
			add(id, stateManaged, a.flags, a.config != nil)
		}
	}
	for id, q := range p.prompts {
		add(id, q.state, q.app.flags, q.app.config != nil)
	}
	for id, state := range p.notices { // said once and then forgotten
		add(id, state, 0, false)
		if want(id) {
			delete(p.notices, id)
		}
	}
	return done(map[string]any{"ManagedApplicationList": out})
}
