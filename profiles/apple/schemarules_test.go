package apple_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/micromdm/plist"

	"github.com/wardmdm/ward/profiles/apple"
)

// result checks all that a device gets: each part by itself, then what must fit together.
func (s *schema) result(o on, r apple.Result) []string {
	var wrong []string
	types := map[string]int{}
	known := map[string]apple.Profile{}
	for _, p := range r.Profiles {
		wrong = append(wrong, s.profile(o, p.Data, types)...)
		if _, taken := known[p.Hash]; taken {
			wrong = append(wrong, p.Identifier+": stands twice")
		}
		known[p.Hash] = p
	}
	for kind, n := range types {
		if c := s.byType["profile "+kind]; n > 1 && len(c) > 0 {
			if m := c[0].OS[o.platform].Multiple; m != nil && !*m {
				wrong = append(wrong, kind+": stands twice on a device")
			}
		}
	}
	wrong = append(wrong, s.declarations(o, r.Declarations, known)...)
	wrong = append(wrong, s.assets(o, r)...)
	for _, a := range r.Apps {
		if !a.Declared {
			raw, err := plist.Marshal(a.Command)
			var cmd map[string]any
			if err == nil {
				err = plist.Unmarshal(raw, &cmd)
			}
			if err != nil {
				return append(wrong, err.Error())
			}
			wrong = append(wrong, s.command(o, cmd)...)
		}
	}
	return wrong
}

func (s *schema) command(o on, cmd map[string]any) []string {
	wrong := s.item(o, "command", "InstallApplication", cmd)
	if oneOf(cmd, "iTunesStoreID", "Identifier", "ManifestURL") != 1 {
		wrong = append(wrong, "InstallApplication: needs exactly one source")
	}
	options, _ := cmd["Options"].(map[string]any)
	if method, _ := number(options["PurchaseMethod"]); o.user && method != 1 {
		wrong = append(wrong, "InstallApplication PurchaseMethod: must be 1 under user enrolment")
	}
	return wrong
}

func oneOf(dict map[string]any, keys ...string) (n int) {
	for _, k := range keys {
		if dict[k] != nil {
			n++
		}
	}
	return n
}

var uuidForm = regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-[45][0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)

// profile checks a .mobileconfig and counts its payload types.
func (s *schema) profile(o on, raw []byte, types map[string]int) []string {
	var doc map[string]any
	if err := plist.Unmarshal(raw, &doc); err != nil {
		return []string{err.Error()}
	}
	wrong := s.item(o, "profile", "TopLevel", doc)
	content, _ := doc["PayloadContent"].([]any)
	uuids := map[string]string{text(doc["PayloadUUID"]): "Configuration"}
	for _, x := range content {
		dict, _ := x.(map[string]any)
		kind, _ := dict["PayloadType"].(string)
		if id, _ := dict["PayloadUUID"].(string); uuids[id] != "" || !uuidForm.MatchString(id) {
			wrong = append(wrong, kind+": its PayloadUUID is taken or malformed")
		}
		uuids[text(dict["PayloadUUID"])] = kind
		types[kind]++
	}
	for _, x := range content {
		dict, ok := x.(map[string]any)
		if !ok {
			return append(wrong, "a payload is no dictionary")
		}
		wrong = append(wrong, s.payload(o, dict)...)
		wrong = append(wrong, references(dict, uuids)...)
	}
	return wrong
}

func (s *schema) payload(o on, dict map[string]any) []string {
	kind, _ := dict["PayloadType"].(string)
	extra := []string{"profile CommonPayloadKeys"}
	if kind == "com.apple.vpn.managed.applayer" {
		extra = append(extra, "profile com.apple.vpn.managed")
	}
	wrong := s.item(o, "profile", kind, dict, extra...)
	switch { // what Apple says in prose only
	case kind == "com.apple.webcontent-filter" && !o.supervised && dict["ContentFilterUUID"] == nil:
		wrong = append(wrong, kind+": needs ContentFilterUUID without supervision")
	case kind == "com.apple.relay.managed" && o.user && dict["RelayUUID"] == nil:
		wrong = append(wrong, kind+": needs RelayUUID under user enrolment")
	}
	for _, key := range []string{"allowCloudBackup", "allowCloudKeychainSync", "allowCloudPhotoLibrary"} {
		if dict[key] != nil && o.platform == "iOS" && !o.supervised {
			wrong = append(wrong, key+": deprecated without supervision")
		}
	}
	open := dict["allowOpenFromManagedToUnmanaged"]
	for _, key := range []string{"requireManagedPasteboard", "allowUnmanagedToReadManagedContacts", "forceAirDropUnmanaged"} {
		if dict[key] != nil && open != false {
			wrong = append(wrong, key+": does nothing without managed open-in")
		}
	}
	urls, _ := dict["DenyListURLs"].([]any)
	if len(urls) > 500 {
		wrong = append(wrong, "DenyListURLs: too many")
	}
	for _, u := range urls {
		if text, _ := u.(string); !strings.HasPrefix(text, "http://") && !strings.HasPrefix(text, "https://") {
			wrong = append(wrong, "DenyListURLs: "+text+" has no scheme")
		}
	}
	return wrong
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// references checks that what a payload names by UUID stands in the same profile and is
// what it should be.
func references(v any, uuids map[string]string) []string {
	var wrong []string
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			switch key {
			case "PayloadCertificateUUID":
				if uuids[text(x)] != "com.apple.security.scep" {
					wrong = append(wrong, fmt.Sprintf("%s: %v is no identity of this profile", key, x))
				}
			case "PayloadCertificateAnchorUUID":
				list, _ := x.([]any)
				for _, id := range list {
					if uuids[text(id)] != "com.apple.security.root" {
						wrong = append(wrong, fmt.Sprintf("%s: %v is no certificate of this profile", key, id))
					}
				}
			default:
				wrong = append(wrong, references(x, uuids)...)
			}
		}
	case []any:
		for _, x := range v {
			wrong = append(wrong, references(x, uuids)...)
		}
	}
	return wrong
}

var (
	boundProfile = regexp.MustCompile(`^\{\{profile:([0-9a-f]{64})\}\}$`)
	statusItem   = regexp.MustCompile(`@status\(([a-z.-]+)\)`)
)

// declarations checks each declaration and that the set holds together.
func (s *schema) declarations(o on, all []apple.Declaration, profiles map[string]apple.Profile) []string {
	var wrong []string
	kinds := map[string]string{}
	for _, d := range all {
		if kinds[d.Identifier] != "" {
			wrong = append(wrong, d.Identifier+": stands twice")
		}
		kinds[d.Identifier] = d.Type
	}
	active, brought, combined := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, d := range all {
		var payload map[string]any
		if err := json.Unmarshal(d.Payload, &payload); err != nil {
			return append(wrong, err.Error())
		}
		if len(d.Identifier) > 64 || len(d.Token) > 64 || d.Token == "" {
			wrong = append(wrong, d.Identifier+": identifier or token has the wrong length")
		}
		wrong = append(wrong, s.item(o, "declaration", d.Type, payload)...)
		wrong = append(wrong, s.fits(o, d.Type, payload, kinds, active)...)
		if url, _ := payload["ProfileURL"].(string); d.Type == "com.apple.configuration.legacy" {
			m := boundProfile.FindStringSubmatch(url)
			if m == nil || !profiles[m[1]].Declared || brought[m[1]] {
				wrong = append(wrong, d.Identifier+": brings no profile, or one that another brings")
				continue
			}
			brought[m[1]] = true
		}
		if s.byType["declaration "+d.Type] != nil && s.byType["declaration "+d.Type][0].Apply == "single" && combined[d.Type] {
			wrong = append(wrong, d.Type+": may stand once")
		}
		combined[d.Type] = true
	}
	for id, kind := range kinds {
		if strings.HasPrefix(kind, "com.apple.configuration.") && !active[id] {
			wrong = append(wrong, id+": no activation names it")
		}
	}
	for hash, p := range profiles {
		if p.Declared && !brought[hash] {
			wrong = append(wrong, p.Identifier+": no declaration brings it")
		}
	}
	return wrong
}

// fits checks what the schema says in prose of a declaration.
func (s *schema) fits(o on, kind string, payload map[string]any, kinds map[string]string, active map[string]bool) []string {
	var wrong []string
	switch kind {
	case "com.apple.activation.simple":
		list, _ := payload["StandardConfigurations"].([]any)
		for _, x := range list {
			id, _ := x.(string)
			if !strings.HasPrefix(kinds[id], "com.apple.configuration.") {
				wrong = append(wrong, "activation: "+id+" is no configuration")
			}
			active[id] = true
		}
		predicate, _ := payload["Predicate"].(string)
		for _, m := range statusItem.FindAllStringSubmatch(predicate, -1) {
			wrong = append(wrong, s.status(o, m[1])...)
		}
		if predicate != "" && slices.ContainsFunc(list, func(x any) bool { return !mayBeGated(kinds[text(x)]) }) {
			wrong = append(wrong, "activation: a restriction is gated by a predicate")
		}
	case "com.apple.configuration.management.status-subscriptions":
		list, _ := payload["StatusItems"].([]any)
		for _, x := range list {
			dict, _ := x.(map[string]any)
			name, _ := dict["Name"].(string)
			wrong = append(wrong, s.status(o, name)...)
		}
	case "com.apple.configuration.app.managed":
		if oneOf(payload, "AppStoreID", "BundleID", "ManifestURL") != 1 {
			wrong = append(wrong, "app.managed: needs exactly one source")
		}
		for _, m := range assetReference.FindAllStringSubmatch(fmt.Sprintf("%q", payload), -1) {
			if !strings.HasPrefix(kinds[m[1]], "com.apple.asset.") {
				wrong = append(wrong, "app.managed: "+m[1]+" is no asset")
			}
		}
	}
	return wrong
}

// mayBeGated: only profiles are, which give access.
func mayBeGated(kind string) bool { return kind == "com.apple.configuration.legacy" }

func (s *schema) status(o on, name string) []string {
	found := s.byType["status "+name]
	if len(found) == 0 {
		return []string{name + ": unknown status item"}
	}
	return o.allows(name, found[0].OS)
}

// assetReference finds them in a payload as it is printed.
var assetReference = regexp.MustCompile(`AssetReference":"([^"]*)"`)

var boundDocument = regexp.MustCompile(`^\{\{document:([0-9a-f]{64})\}\}$`)

// assets checks that assets refer to documents that are as Apple describes them, that
// configurations refer to assets that are there, and what a device gets that may not have
// an app's identity.
func (s *schema) assets(o on, r apple.Result) []string {
	var wrong []string
	documents, kinds, used := map[string]apple.Document{}, map[string]string{}, map[string]bool{}
	for _, d := range r.Documents {
		documents[d.Hash] = d
	}
	for _, d := range r.Declarations {
		kinds[d.Identifier] = d.Type
		if !strings.HasPrefix(d.Type, "com.apple.asset.") {
			continue
		}
		var asset struct {
			Reference struct{ DataURL, ContentType string }
		}
		if err := json.Unmarshal(d.Payload, &asset); err != nil {
			return append(wrong, err.Error())
		}
		m := boundDocument.FindStringSubmatch(asset.Reference.DataURL)
		if m == nil || documents[m[1]].ContentType != asset.Reference.ContentType {
			wrong = append(wrong, d.Identifier+": refers to no document, or to one of another kind")
			continue
		}
		doc := documents[m[1]]
		delete(documents, m[1])
		if (d.App != "") != doc.Identity || doc.Identity != strings.HasPrefix(d.Type, "com.apple.asset.credential.") || d.Bare != nil {
			wrong = append(wrong, d.Identifier+": it is not said whose identity it is")
		}
		if doc.Identity {
			var content map[string]any
			if err := json.Unmarshal(doc.Data, &content); err != nil {
				return append(wrong, err.Error())
			}
			wrong = append(wrong, s.item(o, "credential", strings.Replace(d.Type, ".asset.", ".", 1), content)...)
		} else if strings.Contains(string(doc.Data), "token") {
			wrong = append(wrong, d.Identifier+": holds a one-time token")
		}
	}
	for _, d := range r.Declarations {
		var app struct {
			AppConfig struct {
				Identities []struct{ AssetReference string }
			}
			LegacyAppConfigAssetReference string
		}
		if err := json.Unmarshal(d.Payload, &app); err != nil {
			return append(wrong, err.Error())
		}
		for _, i := range app.AppConfig.Identities {
			if !strings.HasPrefix(kinds[i.AssetReference], "com.apple.asset.credential.") || d.App == "" || strings.Contains(string(d.Bare), i.AssetReference) {
				wrong = append(wrong, d.Identifier+": refers to no identity, or also where there is none")
			}
			used[i.AssetReference] = true
		}
		if ref := app.LegacyAppConfigAssetReference; ref != "" {
			if kinds[ref] != "com.apple.asset.data" {
				wrong = append(wrong, d.Identifier+": refers to no configuration")
			}
			used[ref] = true
		}
		if d.Bare != nil {
			var bare map[string]any
			if err := json.Unmarshal(d.Bare, &bare); err != nil {
				return append(wrong, err.Error())
			}
			wrong = append(wrong, s.item(o, "declaration", d.Type, bare)...)
		}
	}
	for id, kind := range kinds {
		if strings.HasPrefix(kind, "com.apple.asset.") && !used[id] {
			wrong = append(wrong, id+": nothing refers to it")
		}
	}
	for _, d := range documents {
		wrong = append(wrong, d.App+": no asset refers to its document")
	}
	return wrong
}
