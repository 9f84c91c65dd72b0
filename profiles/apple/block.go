package apple

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

// typeAppSettings is the declaration that replaces the app lists of the Restrictions
// payload in iOS 27, and gives Macs such lists at all.
const typeAppSettings = "com.apple.configuration.app.settings"

// appSettingsSince is when a device's system has typeAppSettings.
func appSettingsSince() intent.Version { return ver(27, 0) }

// needBlock is what it takes to block an app.
func (d device) needBlock() need {
	if d.ios() {
		return need{since: ver(9, 3), supervised: true, noUser: true}
	}
	return need{since: appSettingsSince(), noUser: true}
}

// What an iPhone needs to be a phone and to be helped. Settings and Phone can't be
// blocked, Messages carries SMS.
const (
	phoneApp    = "com.apple.mobilephone"
	settingsApp = "com.apple.Preferences"
	messagesApp = "com.apple.MobileSMS"
	webClipApp  = "com.apple.webapp" // stands for every web clip
)

// neverDenied are identifiers that no block list may hold.
func neverDenied(id string) bool {
	return id == phoneApp || id == settingsApp || id == messagesApp || id == webClipApp
}

// identifiers are those by which this platform knows an app, without those that may
// never be blocked.
func (c *compiler) identifiers(a catalogue.App) []catalogue.Identifier {
	all := a.MacOS
	if c.d.ios() {
		all = a.IOS
	}
	return slices.DeleteFunc(slices.Clone(all), func(id catalogue.Identifier) bool { return neverDenied(id.ID) })
}

// known is an app with the identifiers that are blocked.
type known struct {
	catalogue.App
	ids []catalogue.Identifier
}

func names(apps []known) []string {
	out := make([]string, len(apps))
	for i, a := range apps {
		out[i] = a.Name
	}
	return out
}

// idsOf returns all identifiers, sorted, each once.
func idsOf(apps []known) []string {
	var ids []string
	for _, a := range apps {
		for _, id := range a.ids {
			ids = append(ids, id.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// blockApps keeps apps from running: by a list of those that may not, or of those that
// alone may.
func (c *compiler) blockApps() {
	var apps []known
	var never, unknown, foreign []catalogue.App
	for _, a := range c.w.Block.Spared {
		if len(a.Identifiers(c.d.Platform)) > 0 {
			never = append(never, a)
		}
	}
	for _, a := range c.w.Block.Apps {
		ids := c.identifiers(a)
		switch {
		case len(ids) > 0:
			apps = append(apps, known{a, ids})
		case c.d.ios() && len(a.AppStore) > 0:
			unknown = append(unknown, a)
		default:
			foreign = append(foreign, a)
		}
	}
	listed := c.allowOnly(apps)
	switch {
	case len(apps) > 0 && listed != "":
		c.tell(c.closed(apps, listed))
	case len(apps) > 0 && c.d.ios():
		c.denyApps(apps)
	case len(apps) > 0:
		c.denyBinaries(apps)
	case len(unknown)+len(never) == 0 && len(foreign) > 0:
		c.tell(c.absent(foreign))
	}
	if len(unknown) > 0 && listed == "" {
		c.tell(c.unknown(unknown))
	}
	for _, a := range never {
		c.tell(c.neverBlocked(a))
	}
}

// denyApps blocks apps of an iPhone. Up to iOS 26 a restriction does, from iOS 27, which
// deprecates it, a declaration. Apple: it stops showing and launching; nothing is removed.
func (c *compiler) denyApps(apps []known) {
	if r := c.d.lacks(c.d.needBlock()); r != takes {
		c.tell(c.unblocked(apps, r))
		return
	}
	o := c.closed(apps, c.listIDs("DeniedApps", "blockedAppBundleIDs", "blacklistedAppBundleIDs", idsOf(apps)))
	c.tell(o)
	if o, ok := c.unconfirmed(apps); ok {
		c.tell(o)
	}
}

// listIDs sets a list of bundle ids by the name that it has in the device's system, and
// returns the mechanism.
func (c *compiler) listIDs(declared, key, oldKey string, ids []string) string {
	if c.d.OS.AtLeast(appSettingsSince()) {
		c.appSettings(map[string]any{declared: anys(ids)})
		return typeAppSettings + " " + declared
	}
	if !c.d.OS.AtLeast(ver(15, 0)) {
		key = oldKey
	}
	c.restrictions[key] = anys(ids)
	return typeRestrictions + " " + key
}

func (c *compiler) appSettings(allowed map[string]any) {
	c.configs = append(c.configs, config{last: "app-settings", kind: typeAppSettings, payload: map[string]any{"Allowed": allowed}})
}

// denyBinaries blocks apps of a Mac, from macOS 27 on and by who signed them: an
// identifier alone is the program's own word. Apps without a known team are watched.
func (c *compiler) denyBinaries(apps []known) {
	if r := c.d.lacks(c.d.needBlock()); r != takes {
		c.tell(c.unblocked(apps, r))
		return
	}
	denied := c.split(apps, func(id string) bool { return c.binary(id) != nil })
	watched := c.split(apps, func(id string) bool { return c.binary(id) == nil })
	binaries := c.binaries(idsOf(denied))
	if len(denied) > 0 {
		c.appSettings(map[string]any{"DeniedBinaries": binaries})
		c.tell(c.closed(denied, typeAppSettings+" DeniedBinaries"))
		if o, ok := c.unconfirmed(denied); ok {
			c.tell(o)
		}
	}
	if len(watched) > 0 {
		o := c.unsigned(watched)
		if len(denied) > 0 {
			o.Subject = "unknown signer"
		}
		c.tell(o)
	}
}

// split returns the apps with those identifiers that are kept, without apps that have
// none of them.
func (c *compiler) split(apps []known, keep func(id string) bool) []known {
	var out []known
	for _, a := range apps {
		ids := slices.DeleteFunc(slices.Clone(a.ids), func(id catalogue.Identifier) bool { return !keep(id.ID) })
		if len(ids) > 0 {
			out = append(out, known{a.App, ids})
		}
	}
	return out
}

// binary names a Mac program by its identifier and who signed it, nil if that is not
// known.
func (c *compiler) binary(id string) map[string]any {
	if team := c.team(id); team != "" {
		return map[string]any{"SigningID": id, "TeamID": team}
	}
	if strings.HasPrefix(id, "com.apple.") {
		return map[string]any{"SigningID": id, "SigningState": "Apple"}
	}
	return nil
}

func (c *compiler) binaries(ids []string) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = c.binary(id)
	}
	return out
}

// team is the team id of the signer of a Mac app, empty if it is not known.
func (c *compiler) team(id string) string {
	for _, a := range c.w.Apps {
		if a.MacOS.BundleID == id && a.MacOS.TeamID != "" {
			return a.MacOS.TeamID
		}
	}
	return c.w.Block.Teams[id]
}

// allowOnly sets the list of apps that alone may run and tells what becomes of it. It
// returns the mechanism, empty where none is in force. What is to be blocked is in no
// such list.
func (c *compiler) allowOnly(blocked []known) string {
	if !c.w.Block.AllowOnly {
		return ""
	}
	ids := append(slices.Clone(c.w.Block.Allow[c.d.Platform]), c.approvedIDs()...)
	if c.d.ios() {
		ids = append(ids, phoneApp, settingsApp, messagesApp)
		if len(c.w.WebClips) > 0 || c.w.StaffPage != "" {
			ids = append(ids, webClipApp)
		}
	}
	slices.Sort(ids)
	out := idsOf(blocked)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return slices.Contains(out, id) })
	o := intent.Outcome{ID: intent.AllowOnly, Intent: "Let only listed apps run", Since: c.d.since(c.d.needBlock())}
	if r := c.d.lacks(c.d.needBlock()); r != takes {
		o.Verdict = intent.Impossible
		o.Why, o.Cure = c.d.refusal(r, c.d.needBlock())
		c.tell(o)
		return ""
	}
	o.Verdict, o.Covers = intent.Enforced, ids
	if c.d.ios() {
		o.Mechanism = c.listIDs("AllowedApps", "allowListedAppBundleIDs", "whitelistedAppBundleIDs", ids)
		o.Why = fmt.Sprintf("%s can be opened on this phone, Phone, Settings and Messages among them.", count(len(ids), "listed app"))
	} else {
		c.allowBinaries(&o, ids, slices.DeleteFunc(out, func(id string) bool { return !strings.HasPrefix(id, "com.apple.") }))
	}
	c.tell(o)
	return o.Mechanism
}

// allowBinaries lets a Mac run what is listed, what Apple signed but the policy blocks
// not, and what was installed by management. One program without a known team makes the
// list unusable, for it would stop that program.
func (c *compiler) allowBinaries(o *intent.Outcome, ids, denied []string) {
	var without []string
	binaries := []any{map[string]any{"SigningState": "Apple"}}
	for _, id := range ids {
		switch b := c.binary(id); {
		case b == nil:
			without = append(without, id)
		case b["TeamID"] != nil:
			binaries = append(binaries, b)
		}
	}
	if len(without) > 0 {
		o.Verdict, o.Covers = intent.NotEnforced, nil
		o.Why = "A Mac tells listed programs by the team that signed them, and that is not known of " + intent.List(without) + "."
		o.Cure = "Give these apps a team_id."
		return
	}
	allowed := map[string]any{"AllowedBinaries": binaries, "AlwaysAllowManagedApps": true}
	if len(denied) > 0 {
		allowed["DeniedBinaries"] = c.binaries(denied)
	}
	c.appSettings(allowed)
	o.Mechanism = typeAppSettings + " AllowedBinaries"
	o.Why = "Only listed programs, those signed by Apple and those that Ward installed run on this Mac."
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, x := range list {
		out[i] = x
	}
	return out
}
