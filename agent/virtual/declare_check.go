package virtual

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// enrolledBy is the set of enrolments that a declaration is for.
type enrolledBy uint8

const (
	bySupervised enrolledBy = 1 << iota
	byDevice
	byUser
)

// declarationRule says which devices take a type of declaration, and what may stand in it.
type declarationRule struct {
	ios, mac     string
	onIOS, onMac enrolledBy
	keys         map[string]keyRule
}

// jsonKind is the type of a value.
type jsonKind uint8

const (
	anything jsonKind = iota
	str
	boolean
	integer
	dict
	list
)

// keyRule says what may stand under one key.
type keyRule struct {
	kind        jsonKind
	required    bool
	least, most int64  // for integers, where most is not 0
	oneOf       string // for strings: the values, separated by spaces
	ios, mac    string // version from which there is such a key
	gone        string // iOS version from which there is none
	supervised  bool   // on iOS only with supervision
	asset       bool   // names an asset
}

// ruleOf returns the rule of a type of declaration.
func ruleOf(name string) (declarationRule, bool) {
	if r, ok := configurations[name]; ok {
		return r, true
	}
	r, ok := otherDeclarations[name]
	return r, ok
}

// supports reports whether this device takes declarations of a type.
func (b *body) supports(r declarationRule) bool {
	how, may := byDevice, r.onIOS
	if b.opt.Supervised {
		how = bySupervised
	}
	if b.opt.UserEnrolment {
		how = byUser
	}
	if b.mac() {
		may = r.onMac
	}
	return b.since(r.ios, r.mac) && may&how != 0
}

// checkDeclaration returns the first fault that a declaration has for this device, or
// nil. It notes the assets that the declaration names.
func (b *body) checkDeclaration(d *declaration) *Reason {
	r, ok := ruleOf(d.name)
	if !ok && d.kind != kindConfiguration {
		return &Reason{Code: reasonUnknownType, Details: map[string]any{"UnknownDeclarationType": d.name}}
	}
	if !ok || !b.supports(r) {
		return &Reason{Code: reasonNotSupported, Description: d.name + " is not supported for this platform, scope or enrolment"}
	}
	if d.payload == nil {
		return &Reason{Code: reasonInvalidPayload, Description: "there is no Payload"}
	}
	c := checker{b: b, keys: r.keys}
	c.dict("", d.payload)
	d.refs, d.at = c.assets, c.at
	switch {
	case len(c.unknown) > 0:
		slices.Sort(c.unknown)
		return &Reason{Code: reasonUnknownKeys, Description: "Unknown Payload Keys: " + strings.Join(c.unknown, ", "), Details: map[string]any{"UnknownPayloadKeys": c.unknown}}
	case len(c.wrong) > 0:
		return &Reason{Code: reasonInvalidPayload, Description: strings.Join(c.wrong, "; ")}
	}
	return b.checkMeaning(d)
}

// checker walks through a payload by the rules of its type.
type checker struct {
	b              *body
	keys           map[string]keyRule
	unknown, wrong []string
	assets         []string
	at             map[string]string // the path of each
}

// rule finds the rule of the key at a path, which may be any key of an open dictionary.
func (c *checker) rule(parent, key string) (string, keyRule, bool) {
	path := key
	if parent != "" {
		path = parent + "." + key
	}
	r, ok := c.keys[path]
	if !ok {
		path = strings.TrimPrefix(parent+".*", ".")
		r, ok = c.keys[path]
	}
	return path, r, ok && c.b.since(r.ios, r.mac) && (r.gone == "" || c.b.mac() || !atLeast(c.b.os, r.gone)) &&
		(!r.supervised || c.b.mac() || c.b.opt.Supervised)
}

// dict checks a dictionary at a path.
func (c *checker) dict(path string, m map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		at, r, ok := c.rule(path, key)
		if !ok {
			c.unknown = append(c.unknown, strings.TrimPrefix(path+"."+key, "."))
			continue
		}
		c.value(at, r, m[key])
	}
	prefix := path
	if prefix != "" {
		prefix += "."
	}
	for at, r := range c.keys {
		key, under := strings.CutPrefix(at, prefix)
		if r.required && under && key != "*" && !strings.ContainsAny(key, ".[") && m[key] == nil && c.b.since(r.ios, r.mac) {
			c.wrong = append(c.wrong, at+" is missing")
		}
	}
	slices.Sort(c.wrong)
}

// value checks what stands at a path.
func (c *checker) value(at string, r keyRule, v any) {
	ok := true
	switch r.kind {
	case anything:
	case boolean:
		_, ok = v.(bool)
	case integer:
		var n float64
		n, ok = v.(float64)
		ok = ok && n == float64(int64(n)) && (r.most == 0 && r.least == 0 || int64(n) >= r.least && (r.most == 0 || int64(n) <= r.most))
	case str:
		var s string
		s, ok = v.(string)
		ok = ok && (r.oneOf == "" || slices.Contains(strings.Fields(r.oneOf), s))
		if ok && r.asset && !slices.Contains(c.assets, s) {
			if c.assets = append(c.assets, s); c.at == nil {
				c.at = map[string]string{}
			}
			c.at[s] = at
		}
	case dict:
		var m map[string]any
		if m, ok = v.(map[string]any); ok {
			c.dict(at, m)
		}
	case list:
		var l []any
		if l, ok = v.([]any); ok {
			for _, x := range l {
				c.value(at+"[]", c.keys[at+"[]"], x)
			}
		}
	}
	if !ok {
		c.wrong = append(c.wrong, fmt.Sprintf("%s cannot be %v", at, v))
	}
}

// checkMeaning holds a declaration against what its description says in prose.
func (b *body) checkMeaning(d *declaration) *Reason {
	bad := func(text string) *Reason { return &Reason{Code: reasonIsInvalid, Description: text} }
	https := func(key string) bool {
		s, _ := d.payload[key].(string)
		return strings.HasPrefix(s, "https://")
	}
	switch d.name {
	case typeLegacy, typeLegacyInteractive:
		if !https("ProfileURL") {
			return bad("ProfileURL must be an https address")
		}
	case typeUpdate:
		due, _ := d.payload["TargetLocalDateTime"].(string)
		if _, err := time.Parse("2006-01-02T15:04:05", due); err != nil {
			return bad("TargetLocalDateTime must be yyyy-mm-ddThh:mm:ss")
		}
	case typeDNSDeclaration:
		if fault := faultOfDNS(d.payload); fault != "" {
			return bad(fault)
		}
	case typeAppManaged:
		ways := 0
		for _, key := range []string{"AppStoreID", "BundleID", "ManifestURL", "AppComposedIdentifier"} {
			if d.payload[key] != nil {
				ways++
			}
		}
		switch {
		case ways != 1:
			return bad("exactly one of AppStoreID, BundleID, ManifestURL and AppComposedIdentifier is needed")
		case d.payload["ManifestURL"] != nil && !https("ManifestURL"):
			return bad("ManifestURL must be an https address")
		case d.payload["ManifestURL"] == nil && nestedIn(nestedIn(d.payload, "InstallBehavior"), "License")["Assignment"] == nil:
			return bad("an app of the App Store needs InstallBehavior.License.Assignment")
		}
	}
	if d.kind != kindAsset {
		return nil
	}
	if ref := nestedIn(d.payload, "Reference"); ref != nil {
		if s, _ := ref["DataURL"].(string); !strings.HasPrefix(s, "https://") {
			return bad("Reference.DataURL must be an https address")
		}
		media, told := ref["ContentType"].(string)
		if list := documentTypes[d.name]; told && list != nil && !slices.Contains(list, media) {
			return bad("Reference.ContentType must be " + strings.Join(list, " or "))
		}
	}
	return nil
}
