package source

import (
	"regexp"
	"slices"
	"strings"
)

// TokenVariable is the variable that stands for the one-time token with which an app
// proves itself; CertVariable for the alias of the certificate that an Android app uses.
const (
	TokenVariable = "enrolment_token" //nolint:gosec // the name of a variable, not a secret
	CertVariable  = "cert.alias"
)

const serverVariable = "server.url"

// Variables lists the names that a managed configuration may hold between {{ and }}. A
// device's own values take their place when a command is delivered.
func Variables() []string {
	return []string{"device.id", "device.name", "user.email", serverVariable, TokenVariable, CertVariable}
}

var variable = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

// unknownVariables returns the names in text that are no variables, and "{{" itself
// where one was opened but not closed.
func unknownVariables(text string) []string {
	if !strings.Contains(text, "{{") && !strings.Contains(text, "}}") {
		return nil
	}
	var unknown []string
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(Variables(), m[1]) {
			unknown = append(unknown, m[1])
		}
	}
	rest := variable.ReplaceAllString(text, "")
	if strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
		unknown = append(unknown, "{{")
	}
	return unknown
}

// uses reports whether any text of a configuration holds the variable.
func uses(x any, name string) bool {
	switch x := x.(type) {
	case string:
		for _, m := range variable.FindAllStringSubmatch(x, -1) {
			if m[1] == name {
				return true
			}
		}
	case map[string]any:
		for _, v := range x {
			if uses(v, name) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(x, func(v any) bool { return uses(v, name) })
	}
	return false
}
