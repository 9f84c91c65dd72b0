package source

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What the value of an envelope's key is.
type valueKind string

const (
	textValue  valueKind = "text"
	nameValue  valueKind = "text without a variable" // text by which a device tells payloads apart
	wholeValue valueKind = "a whole number"
	oneValue   valueKind = "the number 1"
	dateValue  valueKind = "a date"
	scopeValue valueKind = "System or User"
	wordsValue valueKind = "a dictionary of texts"
)

// envelopeKey is one key of the envelope that every profile and every payload has.
type envelopeKey struct {
	name string
	kind valueKind
	need bool
}

// profileKeys are those of a whole profile but for its PayloadContent and forbiddenKeys.
// A table, never changed.
// Source: https://developer.apple.com/documentation/devicemanagement/toplevel
var profileKeys = []envelopeKey{
	{"PayloadType", nameValue, true},
	{"PayloadVersion", oneValue, true},
	{"PayloadIdentifier", nameValue, true},
	{"PayloadUUID", nameValue, true},
	{"PayloadDisplayName", textValue, false},
	{"PayloadDescription", textValue, false},
	{"PayloadOrganization", textValue, false},
	{"PayloadScope", scopeValue, false},
	{"PayloadExpirationDate", dateValue, false},
	{"TargetDeviceType", wholeValue, false},
	{"ConsentText", wordsValue, false},
}

// payloadKeys are those of each payload in a profile. PayloadIdentifier and PayloadUUID
// are unique within it. A table, never changed.
// Source: https://developer.apple.com/documentation/devicemanagement/commonpayloadkeys
var payloadKeys = []envelopeKey{
	{"PayloadType", nameValue, true},
	{"PayloadVersion", oneValue, true},
	{"PayloadIdentifier", nameValue, true},
	{"PayloadUUID", nameValue, true},
	{"PayloadDisplayName", textValue, false},
	{"PayloadDescription", textValue, false},
	{"PayloadOrganization", textValue, false},
}

// envelopeProblems tells which keys of an envelope are missing or hold what they can't.
// where is empty for the whole profile, and says which payload it is elsewhere.
func envelopeProblems(dict map[string]any, where string, keys []envelopeKey) []string {
	var out []string
	lacks, holds := "has no %s%s", "has a %s that is not %s%s"
	if where != "" {
		lacks, holds = "has a payload without %s%s", "has a payload whose %s is not %s%s"
	}
	for _, k := range keys {
		v, given := dict[k.name]
		switch {
		case !given || v == "":
			if k.need {
				out = append(out, fmt.Sprintf(lacks, k.name, where))
			}
		case !k.kind.takes(v):
			out = append(out, fmt.Sprintf(holds, k.name, k.kind, where))
		}
	}
	return out
}

func (k valueKind) takes(v any) bool {
	switch v := v.(type) {
	case string:
		switch k {
		case textValue:
			return true
		case nameValue:
			return !variable.MatchString(v) && strings.TrimSpace(v) != ""
		case scopeValue:
			return v == "System" || v == "User"
		}
	case int64, uint64:
		return k == wholeValue || k == oneValue && fmt.Sprint(v) == "1"
	case time.Time:
		return k == dateValue
	case map[string]any:
		for _, text := range v {
			if _, ok := text.(string); !ok {
				return false
			}
		}
		return k == wordsValue
	}
	return false
}

// boundProblems tells of variables in the texts of an own profile that Ward would not fill
// in there, or must not.
func boundProblems(x any) []string {
	var out []string
	switch x := x.(type) {
	case string:
		for _, m := range variable.FindAllStringSubmatch(x, -1) {
			if why := boundProblem(m[1]); why != "" {
				out = append(out, why)
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(x)) {
			out = append(out, boundProblems(x[key])...)
		}
	case []any:
		for _, v := range x {
			out = append(out, boundProblems(v)...)
		}
	}
	return out
}

// boundProblem says why an own profile can't hold a variable, "" if it can.
func boundProblem(name string) string {
	known := slices.DeleteFunc(Variables(), func(v string) bool { return v == TokenVariable })
	switch {
	case slices.Contains(known, name):
		return ""
	case name == TokenVariable:
		return fmt.Sprintf("holds {{%s}}, which is for the config of an approved app", name)
	case strings.HasPrefix(name, networkPrefix):
		return fmt.Sprintf("holds {{%s}}, which is for the profiles that Ward makes itself: name the network under networks, and Ward asks for its certificate", name)
	}
	return fmt.Sprintf("holds the unknown variable {{%s}}%s", name, suggest(name, known))
}
