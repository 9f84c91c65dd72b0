package declare

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/fleet"
)

// merger gathers the facts that a report changes.
type merger struct {
	facts map[fleet.FactKind]fleet.Fact
	now   time.Time
	set   []fleet.Fact
	news  bool
	err   error
}

// put has a fact kept.
func (m *merger) put(kind fleet.FactKind, v any, at time.Time, news bool) {
	b, err := json.Marshal(v)
	if err != nil {
		m.err = cmp.Or(m.err, fmt.Errorf("fact %s: %w", kind, err))
		return
	}
	m.set = append(m.set, fleet.Fact{Kind: kind, Value: b, Observed: at})
	m.news = m.news || news
}

// mergeDeclarations lays a report over what was told before. A report that is not full
// may leave out what has not changed; what it leaves out and nobody wants any more is
// gone, so that the list does not grow for ever.
func mergeDeclarations(old []Declaration, r Report, wanted Set, now time.Time) (list []Declaration, differs bool) {
	was := make(map[string]Declaration, len(old))
	next := make(map[string]Declaration, len(old)+len(r.Declarations))
	for _, d := range old {
		was[d.Identifier] = d
		if _, ok := wanted.Item(d.Identifier); ok && !r.Full {
			next[d.Identifier] = d
		}
	}
	for _, d := range r.Declarations {
		d.At = now
		next[d.Identifier] = d
	}
	for id, d := range next {
		before, ok := was[id]
		differs = differs || !ok || !sameDeclaration(before, d)
	}
	list = slices.SortedFunc(maps.Values(next), func(a, b Declaration) int { return strings.Compare(a.Identifier, b.Identifier) })
	if list == nil {
		list = []Declaration{}
	}
	return list, differs || len(was) != len(next)
}

func sameDeclaration(a, b Declaration) bool {
	return a.Kind == b.Kind && a.Token == b.Token && a.Active == b.Active && a.Valid == b.Valid && slices.Equal(a.Reasons, b.Reasons)
}

// mergeItems lays a report's items over those told before.
func mergeItems(old Items, r Report, now time.Time) (items Items, differs bool) {
	items = make(Items, len(old)+len(r.Items))
	if !r.Full {
		maps.Copy(items, old)
	}
	for name, v := range r.Items {
		differs = differs || !bytes.Equal(old[name].Value, v)
		items[name] = StatusItem{Value: v, At: now}
	}
	return items, differs || len(old) != len(items)
}

// mergeApps lays a report's apps over those told before.
func mergeApps(old, told []App, full bool, now time.Time) (list []App, differs bool) {
	next := map[string]App{}
	if !full {
		for _, a := range old {
			next[a.BundleID] = a
		}
	}
	for _, a := range told {
		if a.Removed {
			delete(next, a.BundleID)
			continue
		}
		a.At = now
		next[a.BundleID] = a
	}
	list = slices.SortedFunc(maps.Values(next), func(a, b App) int { return strings.Compare(a.BundleID, b.BundleID) })
	if list == nil {
		list = []App{}
	}
	return list, !slices.EqualFunc(old, list, func(a, b App) bool {
		return a.BundleID == b.BundleID && a.Declaration == b.Declaration && a.Name == b.Name && a.Version == b.Version && a.State == b.State && a.Update == b.Update &&
			slices.Equal(a.Reasons, b.Reasons)
	})
}

// part is a part of a fact that the status channel tells, too.
type part struct {
	item, field string
	same        func(v json.RawMessage) bool // whether a value is of the part's form
}

func isText(v json.RawMessage) bool {
	var s string
	return json.Unmarshal(v, &s) == nil && s != "" && len(s) <= 255
}

func isTruth(v json.RawMessage) bool {
	var b bool
	return json.Unmarshal(v, &b) == nil && string(v) != "null"
}

func informationParts() []part {
	return []part{{ItemOSVersion, "os_version", isText}, {ItemModel, "model", isText}, {ItemSerial, "serial", isText}}
}

func securityParts() []part {
	return []part{{ItemPasscodePresent, "passcode_present", isTruth}, {ItemPasscodeCompliant, "passcode_compliant", isTruth}, {ItemFileVault, "encrypted", isTruth}}
}

// fold puts parts of a fact right that an answer to a command told. after, which may be
// nil, puts right what follows from them; it is given the values as they were.
func (m *merger) fold(kind fleet.FactKind, r Report, parts []part, after func(was, is map[string]json.RawMessage)) {
	f, ok := m.facts[kind]
	if !ok {
		return
	}
	var was map[string]json.RawMessage
	if err := json.Unmarshal(f.Value, &was); err != nil {
		m.err = cmp.Or(m.err, fmt.Errorf("fact %s: %w", kind, err))
		return
	}
	is := maps.Clone(was)
	if is == nil {
		is = map[string]json.RawMessage{}
	}
	for _, p := range parts {
		if v, ok := r.Items[p.item]; ok && p.same(v) {
			is[p.field] = v
		}
	}
	if after != nil {
		after(was, is)
	}
	if !maps.EqualFunc(was, is, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		m.put(kind, is, f.Observed, true)
	}
}

// encryption follows the passcode of an iPhone: without one its storage is not
// protected, and with one that was set since, nobody knows before the device is asked
// again.
func encryption(was, is map[string]json.RawMessage) {
	if bytes.Equal(was["passcode_present"], is["passcode_present"]) || !bytes.Equal(was["encrypted"], is["encrypted"]) {
		return
	}
	if _, known := is["encrypted"]; !known {
		return
	}
	if string(is["passcode_present"]) == "false" {
		is["encrypted"] = json.RawMessage("false")
	} else {
		delete(is, "encrypted")
	}
}

// managedApps puts right what a command told of the apps that commands manage.
func (m *merger) managedApps(r Report) {
	f, ok := m.facts[fleet.ManagedApps]
	if !ok || r.CommandApps == nil {
		return
	}
	var old []fleet.ManagedApp
	if err := json.Unmarshal(f.Value, &old); err != nil {
		m.err = cmp.Or(m.err, fmt.Errorf("fact %s: %w", fleet.ManagedApps, err))
		return
	}
	next := map[string]fleet.ManagedApp{}
	for _, a := range old {
		next[a.BundleID] = a
	}
	told := map[string]bool{}
	for _, a := range r.CommandApps {
		if a.Removed {
			delete(next, a.BundleID)
			continue
		}
		n := next[a.BundleID]
		n.BundleID = a.BundleID
		if a.State != "" {
			n.Status = commandWord(a.State)
		}
		next[a.BundleID], told[a.BundleID] = n, true
	}
	if r.Full {
		maps.DeleteFunc(next, func(id string, _ fleet.ManagedApp) bool { return !told[id] })
	}
	byBundle := func(a, b fleet.ManagedApp) int { return strings.Compare(a.BundleID, b.BundleID) }
	list := slices.SortedFunc(maps.Values(next), byBundle)
	if list == nil {
		list = []fleet.ManagedApp{}
	}
	if !slices.Equal(slices.SortedFunc(slices.Values(old), byBundle), list) {
		m.put(fleet.ManagedApps, list, f.Observed, true)
	}
}

// commandWord turns a state of the status channel, such as managed-but-uninstalled, into
// the word of ManagedApplicationList, ManagedButUninstalled.
// Source: https://developer.apple.com/documentation/devicemanagement/managedapplicationlistresponse
func commandWord(state string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(state, "-") {
		if word != "" {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}
