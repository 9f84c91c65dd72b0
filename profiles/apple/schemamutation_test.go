package apple_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/micromdm/plist"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/intent"
)

// The checker is worth only what it catches. These tests break what is right in every
// way that matters and see each break reported.

func goodTarget() intent.Target {
	return intent.Target{Platform: ward.IOS, OS: intent.Version{Major: 18, Minor: 4}, Supervised: true, Ownership: ward.Corporate, Enrolment: intent.ByAutomation}
}

// walk visits every dictionary beneath v.
func walk(v any, visit func(dict map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, x := range v {
			walk(x, visit)
		}
	case []any:
		for _, x := range v {
			walk(x, visit)
		}
	}
}

// breaks yields copies of a document, each broken in one place: a key renamed or a value
// of another type. Keys of free dictionaries are left alone.
func breaks(t *testing.T, doc map[string]any, clone func() map[string]any, try func(what string, broken map[string]any)) {
	t.Helper()
	n := 0
	walk(doc, func(map[string]any) { n++ })
	for i := range n {
		keys := []string{}
		j := 0
		walkSorted(doc, func(dict map[string]any) {
			if j == i {
				for k := range dict {
					keys = append(keys, k)
				}
			}
			j++
		})
		slices.Sort(keys)
		for _, key := range keys {
			for what, change := range map[string]func(dict map[string]any){
				"renamed": func(dict map[string]any) { dict[key+"X"] = dict[key]; delete(dict, key) },
				"of another type": func(dict map[string]any) {
					if _, ok := dict[key].([]any); ok {
						dict[key] = true
						return
					}
					dict[key] = []any{true}
				},
			} {
				broken := clone()
				j := 0
				walkSorted(broken, func(dict map[string]any) {
					if j == i {
						change(dict)
					}
					j++
				})
				try(fmt.Sprintf("%s %s", key, what), broken)
			}
		}
	}
}

// walkSorted is walk in an order that does not change.
func walkSorted(v any, visit func(dict map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		visit(v)
		for _, k := range keys {
			walkSorted(v[k], visit)
		}
	case []any:
		for _, x := range v {
			walkSorted(x, visit)
		}
	}
}

func TestCheckerCatchesBrokenProfiles(t *testing.T) {
	t.Parallel()
	s := loadSchema(t)
	at := onTarget(goodTarget())
	tried := 0
	for _, p := range mustCompile(t, full(), goodTarget()).Profiles {
		read := func() map[string]any {
			var doc map[string]any
			if err := plist.Unmarshal(p.Data, &doc); err != nil {
				t.Fatal(err)
			}
			return doc
		}
		if strings.Contains(p.Identifier, ".own.") {
			continue // not of Ward's making
		}
		breaks(t, read(), read, func(what string, broken map[string]any) {
			tried++
			raw, err := plist.Marshal(broken)
			if err != nil {
				t.Fatal(err)
			}
			if len(s.profile(at, raw, map[string]int{})) == 0 {
				t.Errorf("%s: %s is not caught", p.Identifier, what)
			}
		})
	}
	if tried < 500 {
		t.Errorf("only %d mutations were tried", tried)
	}
}

func TestCheckerCatchesBrokenDeclarations(t *testing.T) {
	t.Parallel()
	s := loadSchema(t)
	at := goodTarget()
	at.OS = intent.Version{Major: 27}
	r := mustCompile(t, full(), at)
	caught := func(what string, change func(all []apple.Declaration) []apple.Declaration) {
		t.Helper()
		known := map[string]apple.Profile{}
		for _, p := range r.Profiles {
			known[p.Hash] = p
		}
		if len(s.declarations(onTarget(at), change(slices.Clone(r.Declarations)), known)) == 0 {
			t.Errorf("%s is not caught", what)
		}
	}
	for i, d := range r.Declarations {
		read := func() map[string]any {
			var doc map[string]any
			if err := json.Unmarshal(d.Payload, &doc); err != nil {
				t.Fatal(err)
			}
			return doc
		}
		breaks(t, read(), read, func(what string, broken map[string]any) {
			raw, err := json.Marshal(broken)
			if err != nil {
				t.Fatal(err)
			}
			caught(d.Identifier+": "+what, func(all []apple.Declaration) []apple.Declaration { all[i].Payload = raw; return all })
		})
		caught(d.Identifier+" of an unknown type", func(all []apple.Declaration) []apple.Declaration { all[i].Type += "x"; return all })
		caught(d.Identifier+" without a token", func(all []apple.Declaration) []apple.Declaration { all[i].Token = ""; return all })
		caught(d.Identifier+" with a long identifier", func(all []apple.Declaration) []apple.Declaration {
			all[i].Identifier += strings.Repeat("x", 60)
			return all
		})
		caught(d.Identifier+" twice", func(all []apple.Declaration) []apple.Declaration { return append(all, all[i]) })
		if d.Type != "com.apple.activation.simple" {
			caught(d.Identifier+" missing", func(all []apple.Declaration) []apple.Declaration { return slices.Delete(all, i, i+1) })
		}
	}
}

// TestCheckerCatchesWrongTargets holds what was made for one device against others.
func TestCheckerCatchesWrongTargets(t *testing.T) {
	t.Parallel()
	s := loadSchema(t)
	ios := func(major, minor int) intent.Version { return intent.Version{Major: major, Minor: minor} }
	for _, tt := range []struct {
		name     string
		made     func(t *intent.Target)
		held     func(t *intent.Target)
		finding  string
		platform ward.Platform
	}{
		{"unsupervised", nil, func(t *intent.Target) { t.Supervised, t.Enrolment = false, intent.ByDevice }, "allowChat: needs a supervised device", ward.IOS},
		{"user enrolment", nil, func(t *intent.Target) { t.Supervised, t.Enrolment = false, intent.ByUser }, "allowCloudBackup: forbidden under user enrolment", ward.IOS},
		{"older", nil, func(t *intent.Target) { t.OS = ios(17, 0) }, "allowRCSMessaging: needs iOS 18.1", ward.IOS},
		{"newer", nil, func(t *intent.Target) { t.OS = ios(27, 0) }, "blockedAppBundleIDs: deprecated in 27.0", ward.IOS},
		{"old list", func(t *intent.Target) { t.OS = ios(14, 5) }, func(t *intent.Target) { t.OS = ios(15, 0) }, "blacklistedAppBundleIDs: deprecated in 15.0", ward.IOS},
		{"passcode in user enrolment", func(t *intent.Target) { t.OS = ios(15, 0) }, func(t *intent.Target) { t.Supervised, t.Enrolment = false, intent.ByUser }, "forcePIN: ignored under user enrolment", ward.IOS},
		{"on a Mac", nil, func(t *intent.Target) { t.Platform = ward.MacOS; t.OS = ios(15, 0) }, "allowChat: not on macOS", ward.IOS},
		{"Mac's on a phone", nil, func(t *intent.Target) { t.Platform = ward.IOS; t.OS = ios(18, 4) }, "allowTimeMachineBackup: not on iOS", ward.MacOS},
		{"update in user enrolment", nil, func(t *intent.Target) { t.Supervised, t.Enrolment = false, intent.ByUser }, "com.apple.configuration.softwareupdate.enforcement.specific: not under enrolment user", ward.IOS},
		{"a person's links on the device", func(t *intent.Target) { t.UserChannel = true }, func(t *intent.Target) { t.UserChannel = false }, "com.apple.webClip.managed: not on the device's channel", ward.MacOS},
	} {
		made := goodTarget()
		made.Platform = tt.platform
		if tt.platform == ward.MacOS {
			made.OS = ios(15, 0)
		}
		if tt.made != nil {
			tt.made(&made)
		}
		held := made
		tt.held(&held)
		if wrong := s.result(onTarget(held), mustCompile(t, full(), made)); !slices.Contains(wrong, tt.finding) {
			t.Errorf("%s: %q is not among\n%s", tt.name, tt.finding, strings.Join(wrong, "\n"))
		}
	}
}

// TestCheckerCatchesEverySchemaKey breaks every top-level key of every payload,
// declaration and command that the schema knows, one by one.
func TestCheckerCatchesEverySchemaKey(t *testing.T) {
	t.Parallel()
	s := loadSchema(t)
	tried := 0
	for i := range s.Items {
		it := &s.Items[i]
		if !slices.Contains([]string{"profile", "declaration", "command"}, it.Kind) {
			continue
		}
		for _, k := range it.Keys {
			n := s.Nodes[k]
			if n.Key == "ANY" {
				continue
			}
			for _, platform := range []string{"iOS", "macOS"} {
				tried += s.breakKey(t, it, n, on{platform: platform, version: [3]int{26, 3, 0}, supervised: true})
			}
		}
	}
	if tried < 3000 {
		t.Errorf("only %d mutations were tried", tried)
	}
}

func (s *schema) breakKey(t *testing.T, it *schemaItem, n schemaNode, at on) (tried int) {
	t.Helper()
	expect := func(what string, wrong []string, part string) {
		t.Helper()
		tried++
		if !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, part) }) {
			t.Errorf("%s %s: %s is not caught: %v", it.Type, n.Key, what, wrong)
		}
	}
	expect("misspelt", s.dictionary(at, "", it.Keys, map[string]any{n.Key + "x?": true}), "unknown key")
	if n.Type != "any" {
		expect("wrong type", s.value(at, n.Key, n, struct{}{}), "is not "+n.Type)
	}
	if n.Required {
		if c := n.OS[at.platform]; c.Introduced != "n/a" {
			expect("missing", s.dictionary(at, "", it.Keys, map[string]any{}), n.Key+": missing")
		}
	}
	if len(n.Allowed) > 0 && n.Type == "string" {
		expect("value", n.scalar(n.Key, "no such value"), "is not among")
	}
	if n.Max != nil && len(n.Allowed) == 0 {
		expect("range", n.scalar(n.Key, *n.Max+1), "out of range")
	}
	c, ok := n.OS[at.platform]
	if !ok {
		return tried
	}
	if c.Introduced == "n/a" {
		expect("platform", at.allows(n.Key, n.OS), "not on "+at.platform)
		return tried
	}
	if c.Introduced != "" && c.Introduced != "all" {
		old := at
		old.version = [3]int{}
		expect("too old", old.allows(n.Key, n.OS), "needs "+at.platform)
	}
	if c.Supervised {
		loose := at
		loose.supervised = false
		expect("unsupervised", loose.allows(n.Key, n.OS), "supervised")
	}
	if c.UserEnrol == "forbidden" {
		user := at
		user.user = true
		expect("user enrolment", user.allows(n.Key, n.OS), "user enrolment")
	}
	return tried
}

// TestCheckerCatchesProse breaks what Apple says in prose only.
func TestCheckerCatchesProse(t *testing.T) {
	t.Parallel()
	s := loadSchema(t)
	at := onTarget(goodTarget())
	loose := at
	loose.supervised = false
	user := loose
	user.user = true
	for _, tt := range []struct {
		name string
		on   on
		dict map[string]any
		want string
	}{
		{"filter", loose, map[string]any{"PayloadType": "com.apple.webcontent-filter"}, "needs ContentFilterUUID"},
		{"address", at, map[string]any{"PayloadType": "com.apple.webcontent-filter", "DenyListURLs": []any{"example.org"}}, "has no scheme"},
		{"relay", user, map[string]any{"PayloadType": "com.apple.relay.managed"}, "needs RelayUUID"},
		{"backup", loose, map[string]any{"PayloadType": "com.apple.applicationaccess", "allowCloudBackup": false}, "deprecated without supervision"},
		{"pasteboard", at, map[string]any{"PayloadType": "com.apple.applicationaccess", "requireManagedPasteboard": true}, "does nothing without"},
	} {
		if wrong := s.payload(tt.on, tt.dict); !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, tt.want) }) {
			t.Errorf("%s: %q is not among %v", tt.name, tt.want, wrong)
		}
	}
	for name, cmd := range map[string]map[string]any{
		"two sources":    {"iTunesStoreID": uint64(1), "ManifestURL": "https://example.org"},
		"no source":      {},
		"wrong flags":    {"iTunesStoreID": uint64(1), "ManagementFlags": uint64(2)},
		"unknown option": {"iTunesStoreID": uint64(1), "Options": map[string]any{"Purchase": uint64(1)}},
	} {
		if len(s.command(at, cmd)) == 0 {
			t.Errorf("%s: not caught", name)
		}
	}
	if len(s.command(user, map[string]any{"iTunesStoreID": uint64(1)})) == 0 {
		t.Error("no PurchaseMethod under user enrolment: not caught")
	}
}
