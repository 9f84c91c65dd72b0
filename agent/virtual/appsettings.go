package virtual

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const typeAppSettings = "com.apple.configuration.app.settings"

// binary is one entry of a list of binaries. What is empty is not asked.
// Source: Apple, AppSettings declaration, BinaryIdentifier.
type binary struct{ CDHash, SigningID, TeamID, PathPrefix, SigningState string }

// binaries are the lists of a Mac, of all declarations together.
type binaries struct {
	denied         []binary
	allowed        []binary
	onlyAllowed    bool
	managedAllowed bool
}

// addAppSettings adds what the app.settings declarations in force say. Denied apps add
// up and allowed ones intersect. Source: Apple, AppSettings declaration, combinetype.
func (b *body) addAppSettings(e *effects) {
	var allowed []string
	limited := false
	for _, d := range b.inForce(typeAppSettings) {
		a, ok := d.payload["Allowed"].(map[string]any)
		if !ok {
			continue
		}
		if b.mac() {
			e.binaries.add(a)
			continue
		}
		for _, id := range stringsOf(a["DeniedApps"]) {
			e.denied[id] = "app.settings DeniedApps"
		}
		if a["AllowedApps"] == nil {
			continue
		}
		allowed = rule{how: common}.addList(allowed, limited, stringsOf(a["AllowedApps"]))
		limited = true
	}
	if limited {
		e.allowed = append(e.allowed, newAllowList("app.settings AllowedApps", allowed))
	}
}

func (s *binaries) add(a map[string]any) {
	s.denied = append(s.denied, readBinaries(a["DeniedBinaries"])...)
	s.managedAllowed = s.managedAllowed || a["AlwaysAllowManagedApps"] == true
	if a["AllowedBinaries"] == nil {
		return
	}
	list := readBinaries(a["AllowedBinaries"])
	if s.onlyAllowed {
		list = slices.DeleteFunc(list, func(x binary) bool { return !slices.Contains(s.allowed, x) })
	}
	s.allowed, s.onlyAllowed = list, true
}

func readBinaries(v any) []binary {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil // it came out of JSON: it can always go back
	}
	var out []binary
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil // the check of the declaration has refused it
	}
	return out
}

// matches reports whether every part that x names is the app's.
func (x binary) matches(a *app) bool {
	if x == (binary{}) || x.CDHash != "" {
		return false // nobody knows the code of an app that is not run
	}
	return (x.SigningID == "" || x.SigningID == a.BundleID) && (x.TeamID == "" || x.TeamID == a.TeamID) &&
		(x.PathPrefix == "" || strings.HasPrefix("/Applications/"+a.Name+".app", x.PathPrefix)) &&
		(x.SigningState == "" || x.SigningState == "All" || x.SigningState == "Apple" && strings.HasPrefix(a.BundleID, "com.apple.") || a.TeamID != "" && (x.SigningState == "DeveloperID" || x.SigningState == "AppStore"))
}

// blockedBinary is blocked for a Mac: an app is its bundle identifier and its team.
func (b *body) blockedBinary(id string) error {
	e, a := b.effects(), b.apps[id]
	if a == nil {
		return nil
	}
	match := func(x binary) bool { return x.matches(a) }
	switch {
	case slices.ContainsFunc(e.binaries.denied, match):
		return fmt.Errorf("%s: %w: app.settings DeniedBinaries", id, ErrBlocked)
	case !e.binaries.onlyAllowed, e.binaries.managedAllowed && a.managed, slices.ContainsFunc(e.binaries.allowed, match):
		return nil
	}
	return fmt.Errorf("%s: %w: not in app.settings AllowedBinaries", id, ErrBlocked)
}
