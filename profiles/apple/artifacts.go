package apple

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/micromdm/plist"

	"github.com/wardmdm/ward/profiles/intent"
)

// Artifacts writes what a device would get as files: profiles, whole declarations, the
// documents that assets refer to, and the install commands of apps that no declaration manages. Variables are not bound.
// Names are unique. It panics on a Result that did not come from Compile.
func Artifacts(r Result) []intent.Artifact {
	var all []intent.Artifact
	for _, p := range r.Profiles {
		all = append(all, intent.Artifact{
			Name: strings.TrimPrefix(p.Identifier, ProfileIdentifiers) + ".mobileconfig", Kind: "profile", Data: p.Data,
		})
	}
	for _, d := range r.Declarations {
		all = append(all, intent.Artifact{
			Name: strings.TrimPrefix(d.Identifier, DeclarationIdentifiers) + ".declaration.json", Kind: "declaration", Data: d.JSON(),
		})
	}
	for _, d := range r.Documents {
		all = append(all, intent.Artifact{Name: d.name(), Kind: "document", Data: d.Data})
	}
	taken := map[string]int{}
	for _, a := range r.Apps {
		if a.Declared {
			continue
		}
		name := "install-" + a.BundleID
		if taken[name]++; taken[name] > 1 {
			name += fmt.Sprintf("-%d", taken[name])
		}
		all = append(all, intent.Artifact{Name: name + ".plist", Kind: "command", Data: a.plist()})
	}
	return all
}

// JSON is the whole declaration as a device fetches it, its variables not bound.
// Source: https://developer.apple.com/documentation/devicemanagement/declarationbase
func (d Declaration) JSON() []byte {
	raw, err := canonical(map[string]any{
		"Identifier": d.Identifier, "Type": d.Type, "ServerToken": d.Token, "Payload": json.RawMessage(d.Payload),
	})
	if err != nil {
		panic(fmt.Sprintf("apple: a declaration that Compile did not make: %v", err))
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		panic(fmt.Sprintf("apple: %v", err)) // raw was written a line above
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// name is a file name for the document.
func (d Document) name() string {
	if d.Identity {
		return "identity-" + d.App + ".json"
	}
	return "config-" + d.App + ".plist"
}

// plist is the whole command. Its CommandUUID follows from the app.
func (a App) plist() []byte {
	command := map[string]any{"RequestType": "InstallApplication"}
	maps.Copy(command, a.Command)
	raw, err := plist.MarshalIndent(map[string]any{"CommandUUID": uuidOf([]byte(a.Hash)), "Command": command}, "\t")
	if err != nil {
		panic(fmt.Sprintf("apple: an app that Compile did not make: %v", err))
	}
	return raw
}
