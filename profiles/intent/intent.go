// Package intent holds the words in which a policy says what it wants of a device,
// before it is known of which: what to keep off, what to provide, what to contain. The
// compilers of each platform read Wanted and answer with what the platform makes of it.
// It compiles nothing and decides nothing.
package intent

import (
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
)

// ID names one intent of a policy. It is stable: machines compare it.
type ID string

// The intents that are no switch. Those that are stand in Switches.
const (
	BlockApps    ID = "block-apps"    // named apps do not run
	AllowOnly    ID = "allow-only"    // only listed apps run
	BlockWeb     ID = "block-web"     // web versions do not open in browsers
	BlockNetwork ID = "block-network" // network names do not resolve
	BlockStores  ID = "block-stores"  // no app from another store, the web or a file
	InstallApp   ID = "install-app"   // an approved app is there
	CertifyApp   ID = "certify-app"   // an approved app has a certificate to prove itself by
	Passcode     ID = "passcode"
	Encryption   ID = "encryption"
	UpdateOS     ID = "update-os"
	JoinWiFi     ID = "wifi"
	ConnectVPN   ID = "vpn"
	UseRelay     ID = "relay"
	WebClips     ID = "web-clip"
	StaffPage    ID = "staff-page" // a link to the page for staff on the home screen
	OwnProfile   ID = "own-profile"
	LoseDevice   ID = "lost" // lock and find a lost device
)

// Wanted is what a policy wants of one device: categories are resolved to apps, groups
// and exceptions applied. Its slices and maps are shared: nobody changes them. A zero
// part is not wanted.
type Wanted struct {
	Name   string // of the policy, shown to staff in Settings
	Notice string // the words staff read

	Block    Block
	Apps     []App       // approved apps for this device, in the order of the file
	On       map[ID]bool // the switches that are on
	Passcode PasscodeRule
	// Encryption asks that the device's storage is encrypted.
	Encryption bool
	Update     Update // for the device's platform
	WiFi       []WiFi
	VPN        []VPN
	Relays     []Relay
	DNS        DNS
	WebClips   []WebClip
	// StaffPage is the address of the page for staff, a template for variables; empty: no link.
	StaffPage string
	Own       []Own
}

// Block says what is kept off.
type Block struct {
	// Apps are kept off, or watched for where they can't be. Identifiers of approved apps
	// are left out, and so are apps that may never be blocked.
	Apps []catalogue.App
	// Spared are apps that the policy names and that may never be blocked as such.
	Spared []catalogue.App
	// AllowOnly lets nothing run but Allow, the approved apps and what the platform needs.
	AllowOnly bool
	Allow     map[ward.Platform][]string // identifiers in exact case, sorted
	// Web are hosts of web versions, Network names that only these services use; both are
	// sorted, in lower case, and hold no host that must stay reachable.
	Web     []string
	Network []string
	// Teams are the team ids of the signers of Mac apps, by bundle id, as far as they are
	// known. Without one a Mac can only watch for an app.
	Teams map[string]string
	// Stores closes other app stores, installation from the web, and unknown sources.
	Stores bool
}

// App is an approved app.
type App struct {
	Name     string
	IOS      AppleApp
	MacOS    AppleApp
	Android  AndroidApp
	Windows  WindowsApp
	Linux    LinuxApp
	Config   map[string]any // managed configuration with variables; nil for none
	Required bool           // the person can't remove it
	// NeedsCertificate is set for an app that proves itself by a client certificate.
	NeedsCertificate bool
	Certificate      Certificate // where it needs one
	NoBackup         bool
	// MinimumVersion is compared with the version the device tells; empty for none.
	MinimumVersion map[ward.Platform]string
}

// AppleApp says how an Apple device gets an app: exactly one of StoreID and ManifestURL
// is set where BundleID is. Empty BundleID: the platform has no such app.
type AppleApp struct {
	BundleID    string
	StoreID     int64
	ManifestURL string // template for variables
	TeamID      string // of the signer; a Mac's block and allow lists need it; may be empty
}

// AndroidApp is an app of the managed Play store. Empty Package: none.
type AndroidApp struct {
	Package            string
	MinimumVersionCode int64
}

// WindowsApp names an app on Windows. All empty: none.
type WindowsApp struct {
	PackageFamilyName, Executable string
}

// LinuxApp names an app on Linux. All empty: none.
type LinuxApp struct {
	Flatpak, Snap, Executable string
}

// PasscodeRule is what a passcode must be. The zero rule asks for none.
type PasscodeRule struct {
	Required      bool
	MinimumLength int  // characters, 0: the platform's own; at most 16
	Complex       bool // no simple sequences; letters and digits where the platform can ask
	// LockAfter is how long a device may lie idle before it locks; 0: not asked.
	LockAfter time.Duration
}

// Update is an enforced update of the operating system. Empty Version: none.
type Update struct {
	Version string
	// By is the day and hour, in the device's own time zone, by which it must be installed.
	By time.Time
}

// WiFi is a network that devices join with a certificate of their own (EAP-TLS).
type WiFi struct {
	SSID          string
	Hidden        bool
	ServerNames   []string // of the RADIUS servers, sorted
	TrustedRoots  [][]byte // DER certificates
	NoPrivateAddr bool     // the network needs the device's real hardware address
}

// VPN is an IKEv2 connection with the device's own certificate.
type VPN struct {
	Name         string
	Server       string // host name
	RemoteID     string // empty: Server
	PerApp       bool   // carries approved apps only
	TrustedRoots [][]byte
}

// Relay is a MASQUE network relay.
type Relay struct {
	Name    string
	URL     string   // https, HTTP/3
	Domains []string // that go through it, sorted; empty: all
	PerApp  bool
}

// WebClip is a link on the home screen.
type WebClip struct {
	Label string
	URL   string // template for variables
	Icon  []byte // PNG; nil: the page's own
}

// Own is a profile that the organisation wrote itself. It was checked when the policy
// was read: it is an unsigned, well-formed .mobileconfig with no management payload.
type Own struct {
	Name     string
	Platform ward.Platform // IOS or MacOS
	Data     []byte        // XML property list
	// Types are its payload types, sorted.
	Types []string
}
