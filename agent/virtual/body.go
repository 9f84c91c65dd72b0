package virtual

import (
	"context"
	"strings"
	"sync"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
)

// link is how a body reaches its server.
type link interface {
	// enrolment is what the engine holds, or agent.ErrNotEnrolled.
	enrolment() (*agent.Enrolment, error)
	// rights are the server's over the device, 0 if not enrolled.
	rights() ward.AccessRights
	// replace puts a newer enrolment profile with its identity in place, and may have the
	// device authenticate anew by it. It is for the handling of a command.
	replace(ctx context.Context, prof *agent.Profile, i agent.Identity, authenticate bool) error
	// tell sends the push token again, and before it Authenticate if asked to.
	tell(ctx context.Context, authenticate bool) error
	// fetch gets what a declaration or a command points to, by proving who the device is or
	// by a plain request.
	fetch(ctx context.Context, address string, prove bool) ([]byte, error)
	// identify gets the identity that a SCEP or ACME payload asks for.
	identify(ctx context.Context, q agent.Payload) (agent.Identity, error)
	// sync brings the declarations up to date, by a TokensResponse or by asking for one.
	sync(ctx context.Context, tokens []byte) error
	// stir is called with the body locked when what it holds has changed.
	stir()
}

// body is what a device holds and the rules by which it holds it. It is safe for
// concurrent use.
type body struct {
	opt         Options
	link        link
	unlockToken []byte

	mu       sync.Mutex
	name     string
	os       string // the version that runs now
	apps     map[string]*app
	prompts  map[string]*prompt // installs that wait for the user, by bundle id
	notices  map[string]string  // states of apps that are reported once
	profiles map[string]*held
	passcode passcode
	locked   bool
	lost     *LostMode
	erased   bool
	pin      string // by which a Mac is locked
	sims     []SIM
	wiped    *Erasure // by the last erase
	back     []byte   // the profile by which the phone comes back from it
	sounds   int
	restarts int

	deactivated bool    // a Mac that a lock put out of use
	destroyed   *ledger // of all lives of the device
	notNow      func(requestType string) bool
	log         []Entry
	changed     chan struct{} // closed and replaced when anything changes
	kept        *effects      // of what is held now; nil when it has to be worked out again
	ddm         ddm
	se          *Enclave // nil until it is needed if the options had none
	renewal     Renewal
}

// settleOptions fills in what was left open.
func settleOptions(o Options) Options {
	if o.Platform == "" {
		o.Platform = ward.IOS
	}
	mac := o.Platform == ward.MacOS
	model, version, name := "iPhone15,4", "18.6", "iPhone"
	if mac {
		model, version, name = "Mac15,12", "15.6", "Mac"
		o.Supervised = !o.UserEnrolment // a Mac that is enrolled as a device counts as supervised
	}
	if o.Model == "" {
		o.Model = model
	}
	if strings.HasPrefix(o.Model, "iPad") {
		name = "iPad"
	}
	if o.OSVersion == "" {
		o.OSVersion = version
	}
	if o.Name == "" {
		o.Name = name
	}
	if o.UserEnrolment {
		o.Supervised = false
	}
	if o.UserAgent == "" {
		o.UserAgent = userAgent(o)
	}
	return o
}

func userAgent(o Options) string {
	dashed := strings.ReplaceAll(o.OSVersion, ".", "_")
	switch {
	case o.Platform == ward.MacOS:
		return "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/" + o.OSVersion + " Safari/605.1.15"
	case strings.HasPrefix(o.Model, "iPad"):
		return "Mozilla/5.0 (iPad; CPU OS " + dashed + " like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/" + o.OSVersion + " Mobile/15E148 Safari/604.1"
	}
	return "Mozilla/5.0 (iPhone; CPU iPhone OS " + dashed + " like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/" + o.OSVersion + " Mobile/15E148 Safari/604.1"
}

func newBody(o Options, l link) *body {
	o = settleOptions(o)
	b := &body{
		opt: o, link: l, name: o.Name, os: o.OSVersion, passcode: passcode{o.PasscodeSet, o.Passcode},
		apps: map[string]*app{}, prompts: map[string]*prompt{}, notices: map[string]string{},
		profiles: map[string]*held{}, changed: make(chan struct{}), se: o.Enclave, renewal: o.Renewal,
		sims: settleSIMs(o), destroyed: &ledger{},
	}
	if o.Passcode != "" {
		b.passcode.set = true
	}
	for _, a := range o.Apps {
		b.apps[a.BundleID] = &app{Installed: a}
	}
	return b
}

// buildOf makes a build number that is the same for the same version.
func buildOf(version string) string { return "22" + strings.ReplaceAll(version, ".", "G") }

// mac reports whether the device is a Mac.
func (b *body) mac() bool { return b.opt.Platform == ward.MacOS }

// family is Apple's name of the kind of device.
func (b *body) family() string {
	switch {
	case b.mac():
		return "Mac"
	case strings.HasPrefix(b.opt.Model, "iPad"):
		return "iPad"
	}
	return "iPhone"
}

// since reports whether the device has something that came with a version of iOS or of
// macOS. Empty is always, "never" never.
func (b *body) since(ios, mac string) bool {
	if b.mac() {
		ios = mac
	}
	return ios != never && atLeast(b.os, ios)
}

// never stands for a version that will not come.
const never = "never"

// atLeast compares dotted versions; an empty bound is always met.
func atLeast(version, bound string) bool {
	for version != "" || bound != "" {
		var x, y int
		x, version = head(version)
		y, bound = head(bound)
		if x != y {
			return x > y
		}
	}
	return true
}

// head splits the first number off a dotted version. What is no number is 0.
func head(v string) (n int, rest string) {
	for i := range len(v) {
		switch c := v[i]; {
		case c == '.':
			return n, v[i+1:]
		case c >= '0' && c <= '9' && n < 1<<20:
			n = n*10 + int(c-'0')
		}
	}
	return n, ""
}

// UDID returns the device's identifier.
func (b *body) UDID() string { return b.opt.UDID }

// Serial returns the device's serial number.
func (b *body) Serial() string { return b.opt.Serial }

// Supervised reports whether the device was prepared as supervised. A Mac always is,
// but in user enrolment.
func (b *body) Supervised() bool { return b.opt.Supervised }

// Platform returns ward.IOS or ward.MacOS.
func (b *body) Platform() ward.Platform { return b.opt.Platform }

// Ownership says whose device it is, as the options did.
func (b *body) Ownership() ward.Ownership { return b.opt.Ownership }

// UserEnrolment reports whether the device enrols only the work side of its owner.
func (b *body) UserEnrolment() bool { return b.opt.UserEnrolment }

// OSVersion returns the version that runs now.
func (b *body) OSVersion() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.os
}

// touch tells those who wait that the device has changed.
func (b *body) touch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.touchLocked()
}

func (b *body) touchLocked() {
	b.notice()
	if b.ddm.on {
		b.link.stir()
	}
}

// notice is touch for what the declarations themselves have changed.
func (b *body) notice() {
	close(b.changed)
	b.changed = make(chan struct{})
	b.kept = nil
}
