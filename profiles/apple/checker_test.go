package apple_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/wardmdm/ward/profiles/apple"
)

// rule is one line of testdata/keys.tsv.
type rule struct {
	kind       string
	since      apple.Version
	supervised bool
	user       bool
}

// checker judges profiles by the table in testdata and shares nothing with the compiler.
type checker map[string]map[string]rule

func newChecker(t *testing.T) checker {
	t.Helper()
	raw, err := os.ReadFile("testdata/keys.tsv")
	if err != nil {
		t.Fatal(err)
	}
	c := checker{}
	for line := range strings.SplitSeq(strings.TrimSpace(string(raw)), "\n") {
		f := strings.Split(line, "\t")
		if strings.HasPrefix(line, "#") || f[0] == "payload" {
			continue
		}
		if c[f[0]] == nil {
			c[f[0]] = map[string]rule{}
		}
		c[f[0]][f[1]] = rule{kind: f[2], since: apple.ParseVersion(f[3]), supervised: f[4] == "yes", user: f[5] == "yes"}
	}
	return c
}

var uuidShape = regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-5[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)

// profile returns what is wrong with a decoded .mobileconfig for a target.
func (c checker) profile(target apple.Target, doc map[string]any) []string {
	var wrong []string
	if doc["PayloadType"] != "Configuration" {
		wrong = append(wrong, "PayloadType is not Configuration")
	}
	wrong = append(wrong, envelope("profile", doc)...)
	content, ok := doc["PayloadContent"].([]any)
	if !ok || len(content) == 0 {
		return append(wrong, "PayloadContent is not a list of payloads")
	}
	once, uuids := map[string]bool{}, map[any]bool{doc["PayloadUUID"]: true}
	for i, x := range content {
		dict, ok := x.(map[string]any)
		if !ok {
			wrong = append(wrong, fmt.Sprintf("payload %d is no dictionary", i))
			continue
		}
		kind, _ := dict["PayloadType"].(string)
		if once[kind] {
			wrong = append(wrong, kind+" stands twice")
		}
		if uuids[dict["PayloadUUID"]] {
			wrong = append(wrong, kind+" has a PayloadUUID that is taken")
		}
		once[kind], uuids[dict["PayloadUUID"]] = true, true
		wrong = append(wrong, envelope(kind, dict)...)
		wrong = append(wrong, c.payload(target, kind, dict)...)
	}
	return wrong
}

func envelope(what string, dict map[string]any) []string {
	var wrong []string
	if id, _ := dict["PayloadUUID"].(string); !uuidShape.MatchString(id) {
		wrong = append(wrong, what+" has no version 5 PayloadUUID")
	}
	for _, key := range []string{"PayloadIdentifier", "PayloadDisplayName"} {
		if s, _ := dict[key].(string); s == "" {
			wrong = append(wrong, what+" has no "+key)
		}
	}
	if v, ok := dict["PayloadVersion"].(uint64); !ok || v != 1 {
		wrong = append(wrong, what+" has a PayloadVersion other than 1")
	}
	return wrong
}

func (c checker) payload(target apple.Target, kind string, dict map[string]any) []string {
	rules, known := c[kind]
	if !known {
		return []string{"unknown payload type " + kind}
	}
	var wrong []string
	for key, value := range dict {
		if strings.HasPrefix(key, "Payload") {
			continue
		}
		r, known := rules[key]
		if !known {
			wrong = append(wrong, "unknown key "+key)
			continue
		}
		wrong = append(wrong, r.allows(target, key)...)
		switch r.kind {
		case "boolean":
			if _, ok := value.(bool); !ok {
				wrong = append(wrong, key+" is not a boolean")
			}
		case "strings":
			wrong = append(wrong, stringList(key, value)...)
		case "notifications":
			wrong = append(wrong, c.notifications(target, value)...)
		}
	}
	return wrong
}

func (r rule) allows(target apple.Target, key string) []string {
	var wrong []string
	if !target.OS.AtLeast(r.since) {
		wrong = append(wrong, fmt.Sprintf("%s needs iOS %s", key, r.since))
	}
	if r.supervised && !target.Supervised {
		wrong = append(wrong, key+" needs a supervised device")
	}
	if !r.user && target.UserEnrolment {
		wrong = append(wrong, key+" is forbidden under user enrolment")
	}
	return wrong
}

func stringList(key string, value any) []string {
	items, ok := value.([]any)
	if !ok || len(items) == 0 {
		return []string{key + " is not a list with something in it"}
	}
	var wrong []string
	for i, x := range items {
		s, ok := x.(string)
		if !ok || s == "" {
			wrong = append(wrong, fmt.Sprintf("%s[%d] is not text", key, i))
			continue
		}
		if previous, _ := items[max(i-1, 0)].(string); i > 0 && previous >= s {
			wrong = append(wrong, fmt.Sprintf("%s[%d] is out of order", key, i))
		}
	}
	return wrong
}

func (c checker) notifications(target apple.Target, value any) []string {
	items, ok := value.([]any)
	if !ok || len(items) == 0 {
		return []string{"NotificationSettings is not a list with something in it"}
	}
	wrong := c["com.apple.notificationsettings"]["PreviewType"].allows(target, "PreviewType")
	for i, x := range items {
		dict, _ := x.(map[string]any)
		if id, _ := dict["BundleIdentifier"].(string); id == "" {
			wrong = append(wrong, fmt.Sprintf("NotificationSettings[%d] has no BundleIdentifier", i))
		}
		if p, ok := dict["PreviewType"].(uint64); !ok || p > 2 {
			wrong = append(wrong, fmt.Sprintf("NotificationSettings[%d] has a PreviewType outside 0 to 2", i))
		}
		if len(dict) != 2 {
			wrong = append(wrong, fmt.Sprintf("NotificationSettings[%d] has other keys", i))
		}
	}
	return wrong
}
