// Package workstation compiles what a policy wants into what a computer with Ward's
// agent gets: the agent's own policy document, policies of browsers and, on Windows,
// AppLocker rules; and it says what becomes of every intent there. It touches no
// computer, and it promises only what an agent can do: on Linux prevention for ordinary
// users and not against root, on Windows what AppLocker prevents, on a Mac that an app
// is ended after it started. A personal computer is asked about named apps and nothing
// on it is changed.
package workstation

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// The names of the documents.
const (
	AgentDocument   = "agent-policy.json"
	ChromeDocument  = "chrome.json"
	EdgeDocument    = "edge.json"
	FirefoxDocument = "firefox-policies.json"
	LockerDocument  = "applocker.xml"
)

// Result is what a computer gets and what it does with it.
type Result struct {
	// Documents begins with the agent's policy; the others are those that it names.
	Documents []intent.Artifact
	// Hash is a SHA-256 over the names and bytes of all documents, in hexadecimal.
	Hash string
	// Outcomes has at least one entry for everything that is wanted.
	Outcomes []intent.Outcome
}

// Compile makes the documents for a computer: the same bytes for the same wishes,
// platform and ownership; the version of its system plays no part. A platform that is no
// workstation's is an error, and so is a target that nothing can be made for.
func Compile(w intent.Wanted, t intent.Target) (Result, error) {
	if Bands(t.Platform) == nil {
		return Result{}, fmt.Errorf("compile workstation policy: %q is no platform of workstations", t.Platform)
	}
	c := newCompiler(w, t)
	c.blockApps()
	c.allowOnly()
	c.blockHosts()
	c.blockStores()
	c.approvedApps()
	c.device()
	c.networks()
	c.dns()
	c.links()
	c.switches()
	docs, err := c.documents()
	if err != nil {
		return Result{}, fmt.Errorf("compile workstation policy: %w", err)
	}
	return Result{Documents: docs, Hash: hash(docs), Outcomes: c.out}, nil
}

// Artifacts returns what Compile made as files.
func Artifacts(r Result) []intent.Artifact { return r.Documents }

// Bands returns the versions at which output changes: for the platforms of workstations
// none but the zero Version, and nothing for others.
func Bands(p ward.Platform) []intent.Version {
	switch p {
	case ward.Windows, ward.MacOS, ward.Linux:
		return []intent.Version{{}}
	}
	return nil
}

// Band returns the zero Version, for one set of documents serves all versions.
func Band(ward.Platform, intent.Version) intent.Version { return intent.Version{} }

// documents writes all that was made, the agent's policy first.
func (c *compiler) documents() ([]intent.Artifact, error) {
	browsers, err := c.browserDocuments()
	if err != nil {
		return nil, err
	}
	locker, err := c.lockerDocument()
	if err != nil {
		return nil, err
	}
	agent, err := canonical(c.policy)
	if err != nil {
		return nil, err
	}
	docs := append([]intent.Artifact{{Name: AgentDocument, Kind: "agent-policy", Data: agent}}, browsers...)
	return append(docs, locker...), nil
}

func hash(docs []intent.Artifact) string {
	h := sha256.New()
	for _, d := range docs {
		fmt.Fprintf(h, "%d %s %d ", len(d.Name), d.Name, len(d.Data))
		h.Write(d.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// canonical writes a value as indented JSON with sorted keys and a line feed at the end.
func canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // a number stays as it was written
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("sort JSON: %w", err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(tree); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return out.Bytes(), nil
}
