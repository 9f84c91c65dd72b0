package source

import (
	"fmt"
	"strings"
)

// wipeKeys have a device erase itself after wrong passcodes, in a profile's words and in
// a declaration's. An erase is an order of two persons, so no profile may hold them, at
// any depth: managed preferences nest another payload's keys.
// Source: https://developer.apple.com/documentation/devicemanagement/passcode
var wipeKeys = []string{"maxFailedAttempts", "MaximumFailedAttempts"}

// wipeProblems returns what in a profile would have a device erase itself.
func wipeProblems(v any) (problems []string) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			for _, w := range wipeKeys {
				if strings.EqualFold(strings.TrimSpace(key), w) {
					problems = append(problems, fmt.Sprintf("has the key %s: a device would erase itself after wrong passcodes, and an erase is an order that two persons approve", key))
				}
			}
			problems = append(problems, wipeProblems(inner)...)
		}
	case []any:
		for _, inner := range v {
			problems = append(problems, wipeProblems(inner)...)
		}
	}
	return problems
}
