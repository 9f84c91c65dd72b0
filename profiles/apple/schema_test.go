package apple_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// schema is Apple's schema in the condensed form that the file named by
// WARD_APPLE_SCHEMA has. It shares nothing with the compiler.
type schema struct {
	Items []schemaItem `json:"items"`
	Nodes []schemaNode `json:"nodes"`

	byType map[string][]*schemaItem // kind and type
}

type schemaItem struct {
	Kind, Type, File string
	OS               map[string]schemaOS
	Keys             []int
	Apply            string
}

type schemaNode struct {
	Key      string              `json:"k"`
	Type     string              `json:"t"`
	Required bool                `json:"req"`
	Allowed  []any               `json:"rl"`
	Min      *float64            `json:"min"`
	Max      *float64            `json:"max"`
	RepMin   *int                `json:"rmin"`
	RepMax   *int                `json:"rmax"`
	Format   string              `json:"fmt"`
	Subtype  string              `json:"st"`
	Assets   []string            `json:"at"`
	OS       map[string]schemaOS `json:"os"`
	Children []int               `json:"s"`
}

type schemaOS struct {
	Introduced string   `json:"i"`
	Deprecated string   `json:"d"`
	Removed    string   `json:"r"`
	Supervised bool     `json:"sup"`
	Multiple   *bool    `json:"mul"`
	Device     *bool    `json:"dc"`
	User       *bool    `json:"uc"`
	UserEnrol  string   `json:"ue"`
	Enrolments []string `json:"en"`
	Scopes     []string `json:"sc"`
}

// loadSchema reads the schema, or skips the test where there is none.
func loadSchema(t *testing.T) *schema {
	t.Helper()
	path := os.Getenv("WARD_APPLE_SCHEMA")
	if path == "" {
		t.Skip("WARD_APPLE_SCHEMA names no file: NOTHING IS CHECKED AGAINST APPLE'S SCHEMA")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &schema{byType: map[string][]*schemaItem{}}
	if err := json.Unmarshal(raw, s); err != nil {
		t.Fatal(err)
	}
	for i := range s.Items {
		it := &s.Items[i]
		s.byType[it.Kind+" "+it.Type] = append(s.byType[it.Kind+" "+it.Type], it)
	}
	return s
}

// on is a target in Apple's words.
type on struct {
	platform   string // iOS or macOS
	version    [3]int
	supervised bool
	user       bool // user enrolment
	person     bool // the channel of a person
}

func onTarget(t intent.Target) on {
	o := on{platform: "iOS", version: [3]int{t.OS.Major, t.OS.Minor, 0}, supervised: t.Supervised, user: t.Enrolment == intent.ByUser, person: t.UserChannel}
	// Nothing but install commands goes to an unknown system: those of the oldest.
	if !t.OS.Known() {
		o.version = [3]int{9, 3}
	}
	if t.Platform == ward.MacOS {
		if !t.OS.Known() {
			o.version = [3]int{11}
		}
		o.platform = "macOS"
		o.supervised = !o.user // a Mac that enrolled as a device counts as supervised
	}
	return o
}

func (o on) enrolment() string {
	switch {
	case o.user:
		return "user"
	case o.supervised:
		return "supervised"
	}
	return "device"
}

func schemaVersion(s string) (v [3]int) {
	for i, part := range strings.SplitN(s, ".", 3) {
		v[i], _ = strconv.Atoi(part)
	}
	return v
}

func (o on) atLeast(s string) bool {
	v := schemaVersion(s)
	return slices.Compare(o.version[:], v[:]) >= 0
}

// tolerated are deprecated keys that Ward still sets: what replaces them stands in a
// declaration that the schema knows by name only.
var tolerated = []string{"allowAssistantWhileLocked"}

// allows holds a target against the conditions of an item or a key.
func (o on) allows(what string, all map[string]schemaOS) []string {
	c, ok := all[o.platform]
	if !ok {
		return nil // inherited
	}
	var wrong []string
	switch {
	case c.Introduced == "n/a":
		return []string{what + ": not on " + o.platform}
	case c.Introduced != "" && !o.atLeast(c.Introduced):
		wrong = append(wrong, fmt.Sprintf("%s: needs %s %s", what, o.platform, c.Introduced))
	}
	if c.Removed != "" && o.atLeast(c.Removed) {
		wrong = append(wrong, what+": removed in "+c.Removed)
	}
	if c.Deprecated != "" && o.atLeast(c.Deprecated) && !slices.Contains(tolerated, what) {
		wrong = append(wrong, what+": deprecated in "+c.Deprecated)
	}
	if c.Supervised && !o.supervised {
		wrong = append(wrong, what+": needs a supervised device")
	}
	if o.user && (c.UserEnrol == "forbidden" || c.UserEnrol == "ignored") {
		wrong = append(wrong, what+": "+c.UserEnrol+" under user enrolment")
	}
	if !o.person && c.Device != nil && !*c.Device {
		wrong = append(wrong, what+": not on the device's channel")
	}
	if o.person && c.User != nil && !*c.User {
		wrong = append(wrong, what+": not on the channel of a person")
	}
	if len(c.Enrolments) > 0 && !slices.Contains(c.Enrolments, o.enrolment()) {
		wrong = append(wrong, what+": not under enrolment "+o.enrolment())
	}
	if len(c.Scopes) > 0 && !slices.Contains(c.Scopes, "system") {
		wrong = append(wrong, what+": not in the system's scope")
	}
	return wrong
}

// dictionary checks the keys of a dictionary against its nodes.
func (s *schema) dictionary(o on, path string, nodes []int, dict map[string]any) []string {
	var wrong []string
	for _, key := range slices.Sorted(maps.Keys(dict)) {
		i := s.child(nodes, key)
		if i < 0 {
			wrong = append(wrong, path+key+": unknown key")
			continue
		}
		wrong = append(wrong, s.value(o, path+key, s.Nodes[i], dict[key])...)
	}
	for _, i := range nodes {
		if n := s.Nodes[i]; n.Required && n.Key != "ANY" && dict[n.Key] == nil {
			if c, ok := n.OS[o.platform]; ok && c.Introduced == "n/a" {
				continue
			}
			wrong = append(wrong, path+n.Key+": missing")
		}
	}
	return wrong
}

// child finds the node of a key, or the one that stands for any.
func (s *schema) child(nodes []int, key string) int {
	free := -1
	for _, i := range nodes {
		switch s.Nodes[i].Key {
		case key:
			return i
		case "ANY":
			free = i
		}
	}
	return free
}

func (s *schema) value(o on, path string, n schemaNode, v any) []string {
	what := path[strings.LastIndexAny(path, "./ ")+1:]
	wrong := o.allows(what, n.OS)
	if !hasType(n.Type, v) {
		return append(wrong, fmt.Sprintf("%s: %T is not %s", path, v, n.Type))
	}
	switch v := v.(type) {
	case map[string]any:
		if n.Type != "any" {
			wrong = append(wrong, s.dictionary(o, path+".", n.Children, v)...)
		}
	case []any:
		if len(n.Children) == 0 {
			break
		}
		of := s.Nodes[n.Children[0]]
		if of.RepMin != nil && len(v) < *of.RepMin || of.RepMax != nil && len(v) > *of.RepMax {
			wrong = append(wrong, fmt.Sprintf("%s: has %d elements", path, len(v)))
		}
		if len(v) == 0 {
			wrong = append(wrong, path+": is empty")
		}
		for i, x := range v {
			wrong = append(wrong, s.value(o, fmt.Sprintf("%s.%d", path, i), of, x)...)
		}
	default:
		wrong = append(wrong, n.scalar(path, v)...)
	}
	return wrong
}

func (n schemaNode) scalar(path string, v any) []string {
	var wrong []string
	num, isNum := number(v)
	inRange := isNum && (n.Min != nil || n.Max != nil) && (n.Min == nil || num >= *n.Min) && (n.Max == nil || num <= *n.Max)
	if len(n.Allowed) > 0 && !inRange && !slices.ContainsFunc(n.Allowed, func(a any) bool { return sameScalar(a, v) }) {
		wrong = append(wrong, fmt.Sprintf("%s: %v is not among %v", path, v, n.Allowed))
	}
	if isNum && len(n.Allowed) == 0 && (n.Min != nil && num < *n.Min || n.Max != nil && num > *n.Max) {
		wrong = append(wrong, fmt.Sprintf("%s: %v is out of range", path, v))
	}
	text, isText := v.(string)
	if isText && n.Format != "" && !regexp.MustCompile(n.Format).MatchString(text) {
		wrong = append(wrong, fmt.Sprintf("%s: %q has the wrong form", path, text))
	}
	if isText && n.Subtype == "url" && !strings.HasPrefix(text, "https://") && !strings.HasPrefix(text, "{{server.url}}/") {
		wrong = append(wrong, fmt.Sprintf("%s: %q is no address", path, text))
	}
	if isText && text == "" {
		wrong = append(wrong, path+": is empty")
	}
	return wrong
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func sameScalar(a, b any) bool {
	x, ok := number(a)
	y, ok2 := number(b)
	if ok && ok2 {
		return x == y
	}
	return a == b
}

func hasType(kind string, v any) bool {
	switch kind {
	case "any":
		return true
	case "string":
		_, ok := v.(string)
		return ok
	case "integer":
		f, ok := v.(float64)
		_, isNum := number(v)
		return isNum && (!ok || f == float64(int64(f)))
	case "real":
		_, ok := number(v)
		return ok
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "data":
		_, ok := v.([]byte)
		return ok
	case "date":
		_, ok := v.(time.Time)
		return ok
	case "array":
		_, ok := v.([]any)
		return ok
	case "dictionary":
		_, ok := v.(map[string]any)
		return ok
	}
	return false
}

// item checks the conditions and keys of a payload, declaration or command that may be
// described in several files; extra are keys of other items that it takes too.
func (s *schema) item(o on, kind, name string, dict map[string]any, extra ...string) []string {
	found := s.byType[kind+" "+name]
	if len(found) == 0 {
		return []string{name + ": unknown type"}
	}
	var nodes []int
	best := found[0].OS
	for _, it := range found {
		nodes = append(nodes, it.Keys...)
		if _, ok := it.OS[o.platform]; ok {
			best = it.OS
		}
	}
	for _, e := range extra {
		nodes = append(nodes, s.byType[e][0].Keys...)
	}
	if _, ok := best[o.platform]; !ok {
		return []string{name + ": not on " + o.platform}
	}
	return append(o.allows(name, best), s.dictionary(o, name+" ", nodes, dict)...)
}
