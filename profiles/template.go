package profiles

import (
	"regexp"
	"strings"

	"github.com/wardmdm/ward/profiles/source"
)

// Values are one device's own values, bound when a command is delivered.
type Values struct {
	DeviceID       string
	DeviceName     string
	UserEmail      string
	ServerURL      string // scheme, host and port, without a slash at the end
	EnrolmentToken string // one-time; a secret
}

// String names the device only, so that the token can't slip into a log.
func (v Values) String() string { return "values of device " + v.DeviceID }

// TokenVariable is the variable that stands for the one-time token.
const TokenVariable = source.TokenVariable

var variable = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

func (v Values) of(name string) (string, bool) {
	switch name {
	case "device.id":
		return v.DeviceID, true
	case "device.name":
		return v.DeviceName, true
	case "user.email":
		return v.UserEmail, true
	case "server.url":
		return v.ServerURL, true
	case TokenVariable:
		return v.EnrolmentToken, true
	case source.CertVariable:
		return "ward-" + v.DeviceID, true
	}
	return "", false
}

// Render returns a copy of a managed configuration with its variables replaced. Only
// string values hold variables; a value that was put in is not read again. Names were
// checked by Parse, so nothing can be unknown here. A nil template gives nil.
func Render(config map[string]any, v Values) map[string]any {
	if config == nil {
		return nil
	}
	out := make(map[string]any, len(config))
	for k, x := range config {
		out[k] = render(x, v)
	}
	return out
}

func render(x any, v Values) any {
	switch x := x.(type) {
	case string:
		return RenderText(x, v)
	case map[string]any:
		return Render(x, v)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = render(x[i], v)
		}
		return out
	}
	return x
}

// RenderText replaces the variables of one text, such as App.ManifestURL.
func RenderText(text string, v Values) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		value, ok := v.of(variable.FindStringSubmatch(found)[1])
		if !ok {
			return found
		}
		return value
	})
}
