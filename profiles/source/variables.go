package source

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// TokenVariable is the variable that stands for the one-time token with which an app
// proves itself; CertVariable for the alias of the certificate that an Android app uses.
const (
	TokenVariable = "enrolment_token" //nolint:gosec // the name of a variable, not a secret
	CertVariable  = "cert.alias"
)

const serverVariable = "server.url"

// networkPrefix begins the variables with which Ward's own profiles ask for a certificate:
// a one-time challenge is among them, so no text of a policy may hold one.
const networkPrefix = "network."

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

// plainText reports a text that holds a variable where none belongs. All that Ward makes
// of a policy is filled in when it is delivered, the names that people read too.
func (d *document) plainText(n *yaml.Node, what, text string) {
	if strings.Contains(text, "{{") || strings.Contains(text, "}}") {
		d.wrong(n, "%s may hold no variable, nor {{ or }}: those belong in config, in the addresses of links and in own profiles", what)
	}
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
