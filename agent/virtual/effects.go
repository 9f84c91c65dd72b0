package virtual

import (
	"fmt"
	"slices"
)

// The bundle identifiers of Apple's apps that rules speak of. The last stands for all web
// clips. Source: Apple, Restrictions, blockedAppBundleIDs.
const (
	bundleSettings = "com.apple.Preferences"
	bundlePhone    = "com.apple.mobilephone"
	bundleMessages = "com.apple.MobileSMS"
	bundleFaceTime = "com.apple.facetime"
	bundleSafari   = "com.apple.mobilesafari"
	bundleStore    = "com.apple.AppStore"
	bundleWebClip  = "com.apple.webapp"
)

// systemApps come with every iPhone. They are there whether anybody installed them or not.
func systemApps() []Installed {
	return []Installed{
		{BundleID: bundleStore, Name: "App Store"},
		{BundleID: bundleFaceTime, Name: "FaceTime"},
		{BundleID: bundleMessages, Name: "Messages"},
		{BundleID: bundlePhone, Name: "Phone"},
		{BundleID: bundleSafari, Name: "Safari"},
		{BundleID: bundleSettings, Name: "Settings"},
	}
}

// allowList is one list of all that may run.
type allowList struct {
	by  string // the key that made it
	ids map[string]bool
}

// effects is what follows from all that the device holds. It is worked out once after
// each change.
type effects struct {
	restrictions map[string]any
	denied       map[string]string // bundle id to the key that denies it
	allowed      []allowList       // each of them must list an app
	hidden       map[string]string // Apple's own apps that a key takes away
	binaries     binaries
	web          webRules
	rules        PasscodeRules
}

// effects returns what is in force. The caller holds b.mu.
func (b *body) effects() *effects {
	if b.kept != nil {
		return b.kept
	}
	e := &effects{restrictions: b.sumRestrictions(), denied: map[string]string{}, hidden: map[string]string{}}
	for _, key := range []string{"blockedAppBundleIDs", "blacklistedAppBundleIDs"} {
		list, _ := e.restrictions[key].([]string)
		for _, id := range list {
			e.denied[id] = key
		}
	}
	for _, key := range []string{"allowListedAppBundleIDs", "whitelistedAppBundleIDs"} {
		if list, ok := e.restrictions[key].([]string); ok {
			e.allowed = append(e.allowed, newAllowList(key, list))
		}
	}
	for _, h := range [][2]string{
		{"allowVideoConferencing", bundleFaceTime}, {"allowSafari", bundleSafari}, {"allowAppInstallation", bundleStore}, {"allowUIAppInstallation", bundleStore},
	} {
		if e.restrictions[h[0]] == false {
			e.hidden[h[1]] = h[0]
		}
	}
	b.addAppSettings(e)
	e.web = b.sumWeb()
	e.rules = b.sumPasscode()
	b.kept = e
	return e
}

func newAllowList(by string, ids []string) allowList {
	l := allowList{by, make(map[string]bool, len(ids))}
	for _, id := range ids {
		l.ids[id] = true
	}
	return l
}

// blocked returns why the device keeps an app from running, or nil. Settings and Phone
// are never kept off. The caller holds b.mu.
func (b *body) blocked(id string) error {
	e := b.effects()
	if b.mac() {
		return b.blockedBinary(id)
	}
	if alwaysAllowed(id) {
		return nil
	}
	if by, ok := e.denied[id]; ok {
		return fmt.Errorf("%s: %w: %s", id, ErrBlocked, by)
	}
	if by, ok := e.hidden[id]; ok {
		return fmt.Errorf("%s: %w: %s", id, ErrBlocked, by)
	}
	for _, l := range e.allowed {
		if !l.ids[id] {
			return fmt.Errorf("%s: %w: not in %s", id, ErrBlocked, l.by)
		}
	}
	return nil
}

// alwaysAllowed names the apps that no list hides: Settings and Phone.
func alwaysAllowed(id string) bool { return id == bundleSettings || id == bundlePhone }

// system reports whether an app comes with the device.
func (b *body) system(id string) bool {
	return !b.mac() && slices.ContainsFunc(systemApps(), func(a Installed) bool { return a.BundleID == id })
}
