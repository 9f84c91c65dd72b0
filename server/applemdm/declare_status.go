package applemdm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/jessepeterson/kmfddm/ddm"
	"github.com/micromdm/nanohub/ddmadapter"
	"github.com/valyala/fastjson"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
)

// Limits of a status report. One that lists a thousand apps has about 300 KB.
const (
	maxStatus      = 1 << 20
	maxStatusDepth = 32
	maxItem        = 4 << 10 // of one status item that is kept
	maxReasons     = 16      // of one declaration or app
)

// errStatus marks what is wrong with a report that can't be read.
var errStatus = errors.New("the status report can't be read")

// guardStatus refuses a report that its readers must not see: one that is too large, no
// JSON, not in UTF-8, or so deep that it exhausts the stack.
func guardStatus(raw []byte) error {
	if len(raw) > maxStatus {
		return fmt.Errorf("%w: it has %d octets, %d at most", errStatus, len(raw), maxStatus)
	}
	depth, quoted, escaped := 0, false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			if depth++; depth > maxStatusDepth {
				return fmt.Errorf("%w: it is nested deeper than %d", errStatus, maxStatusDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return fmt.Errorf("%w: it is no JSON in UTF-8", errStatus)
	}
	return nil
}

type statusKey struct{}

// statusReader gathers what the library's own handlers leave out or take apart.
type statusReader struct {
	full         bool
	declarations bool // it speaks of declarations at all
	items        map[string]json.RawMessage
	declared     []declare.App
	commanded    []declare.App
}

// withStatus checks a report and returns a context in which the library has this reader
// read it.
func withStatus(ctx context.Context, raw []byte) (context.Context, error) {
	if err := guardStatus(raw); err != nil {
		return ctx, err
	}
	s := &statusReader{items: map[string]json.RawMessage{}}
	ctx, mux := ddmadapter.ContextJSONMux(ctx)
	mux.HandleFunc(".FullReport", func(_ string, v *fastjson.Value) ([]string, error) {
		s.full = v.Type() == fastjson.TypeTrue
		return nil, nil
	})
	mux.HandleFunc(".StatusItems.management.declarations", func(_ string, v *fastjson.Value) ([]string, error) {
		if v.Type() != fastjson.TypeObject {
			return nil, fmt.Errorf("%w: management.declarations is no object", errStatus)
		}
		s.declarations = true
		return nil, nil
	})
	for _, name := range declare.ItemNames() {
		mux.HandleFunc(".StatusItems."+name, func(path string, v *fastjson.Value) ([]string, error) {
			value := v.MarshalTo(nil)
			if len(value) > maxItem {
				return []string{path}, nil
			}
			s.items[name] = value
			return nil, nil
		})
	}
	mux.HandleFunc(".StatusItems.app.managed.list", appsInto(&s.declared))
	mux.HandleFunc(".StatusItems.mdm.app", appsInto(&s.commanded))
	return context.WithValue(ctx, statusKey{}, s), nil
}

// statusApp is an app as app.managed.list and mdm.app list it.
type statusApp struct {
	Identifier   string         `json:"identifier"`
	Removed      bool           `json:"_removed"`
	Declaration  string         `json:"declaration-identifier"`
	Name         string         `json:"name"`
	Version      string         `json:"version"`
	ShortVersion string         `json:"short-version"`
	State        string         `json:"state"`
	Update       string         `json:"update-state"`
	Reasons      []statusReason `json:"reasons"`
}

// appsInto reads a list of apps. A list in another form counts as not told.
func appsInto(list *[]declare.App) func(path string, v *fastjson.Value) ([]string, error) {
	return func(path string, v *fastjson.Value) ([]string, error) {
		var apps []statusApp
		if err := json.Unmarshal(v.MarshalTo(nil), &apps); err != nil || apps == nil {
			return []string{path}, nil //nolint:nilerr // the library is told of what was left
		}
		*list = make([]declare.App, 0, len(apps))
		for _, a := range apps {
			if a.Identifier == "" || len(a.Identifier) > maxName {
				continue
			}
			version := a.ShortVersion
			if version == "" {
				version = a.Version
			}
			*list = append(*list, declare.App{
				BundleID: a.Identifier, Declaration: short(a.Declaration), Name: short(a.Name), Version: short(version), State: short(a.State), Update: short(a.Update),
				Reasons: reasons(a.Reasons), Removed: a.Removed,
			})
		}
		return nil, nil
	}
}

// report joins what the library and this reader read.
func (s *statusReader) report(status *ddm.StatusReport) declare.Report {
	r := declare.Report{Full: s.full, Items: s.items, DeclaredApps: s.declared, CommandApps: s.commanded, Raw: status.Raw}
	if !s.declarations {
		return r
	}
	r.Declarations = make([]declare.Declaration, 0, len(status.Declarations))
	for _, d := range status.Declarations {
		if d.Identifier == "" || len(d.Identifier) > maxName {
			continue
		}
		var why []statusReason
		if len(d.ReasonsJSON) > 0 && json.Unmarshal(d.ReasonsJSON, &why) != nil {
			why = []statusReason{{Code: "the device gave reasons that can't be read"}}
		}
		r.Declarations = append(r.Declarations, declare.Declaration{Kind: manifests[d.ManifestType], Declaration: fleet.Declaration{
			Identifier: d.Identifier, Token: short(d.ServerToken), Active: d.Active, Valid: validity3(d.Valid), Reasons: reasons(why),
		}})
	}
	return r
}

// manifests names the kind of the declarations that each list of a report holds.
var manifests = map[string]string{"activations": "activation", "configurations": "configuration", "assets": "asset", "management": "management"}

// validity3 reads one of Apple's three words; any other is what Apple calls unknown.
func validity3(word string) string {
	if word == declare.Valid || word == declare.Invalid {
		return word
	}
	return declare.Unknown
}

// statusReason is why a declaration or an app is as it is.
// Source: https://developer.apple.com/documentation/devicemanagement/statusreason
type statusReason struct {
	Code        string          `json:"code"`
	Description string          `json:"description"`
	Details     json.RawMessage `json:"details"`
}

// String joins the parts of a reason as people read them.
func (r statusReason) String() string {
	s := r.Code
	if r.Description != "" {
		s += ": " + r.Description
	}
	if len(r.Details) > 2 && len(r.Details) <= maxName { // more than {}
		s += " " + string(r.Details)
	}
	return s
}

// reasons bounds the reasons that a device gives, and puts each into words.
func reasons(list []statusReason) (out []string) {
	for _, r := range list[:min(len(list), maxReasons)] {
		r.Code, r.Description = short(r.Code), short(r.Description)
		out = append(out, r.String())
	}
	return out
}
