package workstation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/wardmdm/ward"
)

// Format is the version of the agent's policy document. An agent refuses another one.
const Format = 1

// MaxPolicy is the largest document that Decode reads, in bytes.
const MaxPolicy = 4 << 20

// Policy is what an agent enforces, watches and asks. The zero Policy asks nothing.
type Policy struct {
	Format   int           `json:"format"` // of the document: Format
	Platform ward.Platform `json:"platform"`
	Name     string        `json:"name,omitempty"`   // of the policy, shown to staff
	Notice   string        `json:"notice,omitempty"` // the words staff read
	Mode     Mode          `json:"mode"`
	Block    []Rule        `json:"block,omitempty"` // sorted by app, then by identity
	// Allow are the programs that may run beside what the system needs, where Mode is
	// AllowList; sorted.
	Allow    []Identity `json:"allow,omitempty"`
	Apps     []App      `json:"apps,omitempty"`  // approved, in the order of the policy
	Hosts    []string   `json:"hosts,omitempty"` // browsers do not open them or what is beneath; sorted
	Browsers []Browser  `json:"browsers,omitempty"`
	// Resolver is what the system's names should be looked up at; nil: not asked for.
	Resolver *Resolver `json:"resolver,omitempty"`
	// AppLocker is the name of the document with rules for Windows; empty for none.
	AppLocker string     `json:"applocker,omitempty"`
	Questions []Question `json:"questions"` // what to report, sorted
}

// Mode says how the agent treats programs that no rule names.
type Mode string

// The modes.
const (
	DenyList  Mode = "deny-list"  // they run
	AllowList Mode = "allow-list" // they do not
)

// Act is what the agent does about a blocked program.
type Act string

// The acts, each with those below it: who prevents ends and reports too.
const (
	Prevent Act = "prevent" // it does not start
	End     Act = "end"     // it is ended when it is seen
	Report  Act = "report"  // it is reported
)

// Rule is one identity of a blocked app.
type Rule struct {
	App         string   `json:"app"`  // slug of the catalogue
	Name        string   `json:"name"` // for people
	Identity    Identity `json:"identity"`
	Act         Act      `json:"act"`
	Unconfirmed bool     `json:"unconfirmed,omitempty"` // the identity stands in unconfirmed lists only
}

// Identity names a program. One of PackageFamily, PackageName, Executable, Flatpak, Snap
// and BundleID is set. Windows compares without case, the others with it.
type Identity struct {
	PackageFamily string `json:"package_family_name,omitempty"` // Windows: name and publisher's id
	PackageName   string `json:"package_name,omitempty"`        // Windows: name, its publisher not known
	Publisher     string `json:"publisher,omitempty"`           // Windows: of PackageFamily, where known
	Executable    string `json:"executable,omitempty"`          // file name without a folder
	Flatpak       string `json:"flatpak,omitempty"`
	Snap          string `json:"snap,omitempty"`
	BundleID      string `json:"bundle_id,omitempty"` // macOS
	TeamID        string `json:"team_id,omitempty"`   // macOS: of BundleID's signer, where known
}

// App is an approved app that the agent looks for.
type App struct {
	Name           string     `json:"name"`
	Identities     []Identity `json:"identities"`
	Required       bool       `json:"required,omitempty"`
	MinimumVersion string     `json:"minimum_version,omitempty"`
}

// Browser says where a browser's policy goes.
type Browser struct {
	Name     string `json:"name"`     // chrome, edge or firefox
	Document string `json:"document"` // which document it is
	// Places are the files to write it to, or keys of the registry beneath HKLM: there a
	// list becomes a key with values named 1, 2, …; any other structure becomes its JSON text.
	Places []string `json:"places"`
}

// Question is a fact that the agent reports.
type Question string

// The questions.
const (
	ApprovedApps   Question = "approved-apps"   // which approved apps are there, with their versions
	BlockedApps    Question = "blocked-apps"    // which of the blocked identities are there
	DiskEncryption Question = "disk-encryption" // whether all fixed disks are encrypted
	NameServers    Question = "name-servers"    // which name servers the system asks; on a work computer only
	OSVersion      Question = "os-version"
	ScreenLock     Question = "screen-lock" // whether the screen locks by itself and asks for a password
)

// Decode reads an agent's policy document. An unknown field, another Format and anything
// after the document are errors: an agent must not carry out half a policy.
func Decode(data []byte) (Policy, error) {
	if len(data) > MaxPolicy {
		return Policy{}, fmt.Errorf("read agent policy: %d bytes are more than %d", len(data), MaxPolicy)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var p Policy
	if err := dec.Decode(&p); err != nil {
		return Policy{}, fmt.Errorf("read agent policy: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Policy{}, errors.New("read agent policy: something follows the document")
	}
	if p.Format != Format {
		return Policy{}, fmt.Errorf("read agent policy: format %d is not %d", p.Format, Format)
	}
	return p, nil
}
