// Package apple turns what a policy wants into what an iPhone, an iPad or a Mac takes:
// configuration profiles, declarations and the install commands of apps. For everything
// that is wanted it says what becomes of it on that device. It sends nothing, signs
// nothing, asks no device and knows no values of a device: those are bound at delivery.
//
// Facts about payload types, keys, commands and declarations (from which version, for
// which enrolment) are Apple's: https://github.com/apple/device-management.
package apple

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// Beginnings of the identifiers that Compile gives. What a device has under one of them
// and is not in a Result is Ward's own and is to be removed.
const (
	ProfileIdentifiers     = "org.wardmdm.policy."
	DeclarationIdentifiers = "org.wardmdm.declaration."
)

// Texts that are bound at delivery, beside those that a policy may use.
const (
	variableDevice    = "{{device.id}}"
	variableChallenge = "{{network.challenge}}" // a one-time SCEP challenge
	variableSCEP      = "{{network.scep_url}}"  // address of the SCEP service
	variableSCEPName  = "{{network.scep_name}}" // what it calls its authority

	// In documents: a one-time SCEP challenge for an app, the ACME directory of one that asks
	// for attestation, and what a device calls itself there.
	variableAppChallenge = "{{app.challenge}}"
	variableDirectory    = "{{app.directory}}"
	variableIdentifier   = "{{device.identifier}}"
)

// Result is what a device gets and what becomes of each intent.
type Result struct {
	Profiles     []Profile
	Declarations []Declaration
	Apps         []App
	Documents    []Document
	Outcomes     []intent.Outcome
}

// Profile is a configuration profile, the same for all devices of a kind: what belongs
// to one device stands in it as {{…}}.
type Profile struct {
	Identifier string // begins with ProfileIdentifiers
	Name       string // shown to staff in Settings
	Hash       string // SHA-256 of Data in hexadecimal
	Data       []byte // XML property list
	// Declared is set where a declaration of the Result brings the profile: it must not
	// be installed by InstallProfile too.
	Declared bool
	Types    []string // of its payloads, sorted, each once
}

// Declaration is one declaration of declarative management.
// Source: https://github.com/apple/device-management, declarative/declarations.
type Declaration struct {
	Identifier string // begins with DeclarationIdentifiers, 64 octets at most
	Type       string // such as com.apple.configuration.passcode.settings
	Token      string // the ServerToken: SHA-256 of type and payload, 64 octets
	// Payload is canonical JSON. A profile is named in it by {{profile:<Profile.Hash>}},
	// which is bound to an address at delivery.
	Payload []byte
	// App is the bundle id of the app to whose identity the declaration belongs, empty for
	// most. A device that may not have the identity gets Bare for its payload, or where that
	// is nil the declaration not at all.
	App  string
	Bare []byte
}

// Document is what an asset refers to: the device fetches it when it takes the asset up, and
// what is its own is put in then. {{document:<Document.Hash>}} in a declaration is bound to
// its address.
type Document struct {
	Hash        string // SHA-256 of the application, the purpose and Data in hexadecimal
	ContentType string
	Data        []byte // with variables in its texts
	// App is the bundle id of the app that it is for.
	App string
	// Identity is set for what brings the app's identity: whoever may not have that is not
	// given it. Attested then says that the key has to be attested.
	Identity, Attested bool
}

// Compile turns what is wanted into what the target takes. The same input gives the same
// bytes. Nothing is emitted that the target would reject or ignore; what is left out is
// told in the outcomes, of which there is at least one for everything wanted and always
// one for a lost device. Apple's user enrolment is assumed where the kind of enrolment is
// not known and the device is not supervised, for it takes least. An error means a bug
// of the caller: a platform that is not Apple's, or an own profile that is none.
//
// From iOS 16 and macOS 13 profiles are delivered by declarations, on older and unknown
// systems by InstallProfile. The channel of a person gets web clips only.
func Compile(w intent.Wanted, t intent.Target) (Result, error) {
	if t.Platform != ward.IOS && t.Platform != ward.MacOS {
		return Result{}, fmt.Errorf("compile %s for %s: it is not an Apple platform", w.Name, t.Platform)
	}
	c := &compiler{w: w, d: newDevice(t), restrictions: map[string]any{}, taken: map[string]bool{}}
	if t.UserChannel {
		c.userChannel()
	} else {
		c.deviceChannel()
	}
	c.finish()
	if c.err != nil {
		return Result{}, fmt.Errorf("compile %s for %s: %w", w.Name, t.Platform, c.err)
	}
	return c.result, nil
}

// compiler holds one compilation.
type compiler struct {
	w intent.Wanted
	d device

	restrictions map[string]any // keys of com.apple.applicationaccess
	messaging    []payload      // further payloads of the messaging profile
	drafts       []draft
	configs      []config        // native declarations
	taken        map[string]bool // identifiers of profiles and declarations

	vpnUUID, relayUUID string // of what carries the approved apps; empty: none
	gatekeeper         gatekeeper
	resolver           reach  // of the organisation's resolver
	dnsType            string // of what sets it; empty: nothing does

	result Result
	err    error // the first that came up
}

func (c *compiler) failed(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *compiler) tell(o intent.Outcome) {
	slices.Sort(o.Covers)
	o.Covers = slices.Compact(o.Covers)
	c.result.Outcomes = append(c.result.Outcomes, o)
}

func (c *compiler) deviceChannel() {
	resolver := c.dns() // before the names that it may block
	c.blockApps()
	c.blockWeb()
	c.blockNetwork()
	c.blockStores()
	// What carries apps comes before the apps, which name it.
	networks := slices.Concat(c.wifi(), c.vpn(), c.relays(), resolver)
	c.apps()
	c.switches()
	c.passcode()
	c.encryption()
	c.updates()
	for _, o := range networks {
		c.tell(o)
	}
	c.webClips()
	c.staffPage()
	c.gatekeeperProfile()
	c.own()
	c.tell(c.lost())
}

// userChannel sets what a Mac or a shared iPad takes for the person who is signed in:
// web clips. Everything else goes to the device itself.
func (c *compiler) userChannel() {
	for _, o := range asked(c.w, c.d.Platform) {
		if o.ID == intent.WebClips || o.ID == intent.StaffPage {
			continue
		}
		o.Verdict = intent.NotEnforced
		o.Why = "This is set on the device's own channel, not on that of the person who is signed in."
		c.tell(o)
	}
	c.webClips()
	c.staffPage()
}

// finish writes what was gathered: the messaging profile first, then the others in the
// order in which they were drafted.
func (c *compiler) finish() {
	messaging := c.messaging
	if len(c.restrictions) > 0 {
		messaging = append([]payload{{Type: typeRestrictions, Name: "Restrictions", Keys: c.restrictions}}, messaging...)
	}
	drafts := c.drafts
	if len(messaging) > 0 {
		drafts = append([]draft{{
			id: ProfileIdentifiers + "messaging", name: "Ward: " + c.w.Name, description: c.w.Notice, payloads: messaging,
		}}, drafts...)
	}
	for _, d := range drafts {
		data, err := d.write(c.d)
		if err != nil {
			c.failed(err)
			return
		}
		p := Profile{Identifier: d.id, Name: d.name, Hash: digest(data), Data: data, Declared: c.d.declares(), Types: d.types()}
		c.result.Profiles = append(c.result.Profiles, p)
		if p.Declared {
			c.declareProfile(p, d.grants)
		}
	}
	c.declare()
}

// profileID returns the identifier of a further profile.
func (c *compiler) profileID(last string) string { return c.unique(ProfileIdentifiers+last, 100) }

// unique returns an identifier of at most size octets that nothing else has.
func (c *compiler) unique(id string, size int) string {
	id = fit(id, size)
	free := id
	for n := 2; c.taken[free]; n++ {
		suffix := fmt.Sprintf("-%d", n)
		free = fit(id, size-len(suffix)) + suffix
	}
	c.taken[free] = true
	return free
}

// fit shortens an identifier to size octets and keeps it telling: what is cut off is
// replaced by a hash of the whole.
func fit(id string, size int) string {
	if len(id) <= size {
		return id
	}
	return id[:size-13] + "-" + digest([]byte(id))[:12]
}

// slug makes a short part of an identifier from a name, with a hash that tells apart
// names that look alike.
func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == 16 {
			break
		}
	}
	head := strings.Trim(b.String(), "-")
	if head == "" {
		return digest([]byte(name))[:8]
	}
	return head + "-" + digest([]byte(name))[:8]
}
