package virtual

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
)

// Installed is an app on a device.
type Installed struct {
	BundleID string
	Name     string
	Version  string
	// TeamID is that of the app's signer; a Mac's lists of binaries ask for it.
	TeamID string
}

// StoreApp is an app that a device can get from the App Store.
type StoreApp struct {
	ID int64 // the iTunes store id
	Installed
}

// Options say what device it is. UDID, Serial, Transport and Clock are required.
type Options struct {
	UDID, Serial, Name string
	Platform           ward.Platform // ward.IOS, which is the default, or ward.MacOS
	Model              string        // Apple's product name; empty means iPhone15,4 or Mac15,12
	OSVersion          string        // empty means 18.6, on a Mac 15.6
	// Supervised is how a phone was prepared. It is not asked of a Mac.
	Supervised bool
	// UserEnrolment makes whatever enrolment follows one of the work side alone: the device
	// tells an EnrollmentID in place of UDID and serial number and refuses what Apple
	// forbids there.
	UserEnrolment bool
	// Ownership says whose it is. Nothing on the device depends on it.
	Ownership   ward.Ownership
	Apps        []Installed // that the user has installed
	Store       []StoreApp  // that InstallApplication finds by store id or bundle id
	FileVault   bool        // a Mac's disk is encrypted
	PasscodeSet bool
	// Passcode is what the user types; empty with PasscodeSet means a good one of six digits.
	Passcode string
	// HoldPrompts leaves every question that the system asks of the user unanswered until
	// Answer; otherwise the user says yes at once.
	HoldPrompts bool
	// WithholdUnlockToken keeps the token that removes the passcode on the phone.
	WithholdUnlockToken bool
	Latitude, Longitude float64
	// LocationUnknown is a phone without satellites in sight, Mute one that plays no sound.
	LocationUnknown, Mute bool
	// LostModeRefuses are request types that the phone refuses in lost mode, beside those
	// that it always does: Apple does not write down which these are.
	LostModeRefuses []string
	// SIMs are the cards and plans in the phone. Nil puts one card into an iPhone and none
	// into any other device.
	SIMs []SIM

	// Enclave is the Secure Enclave, of an AttestationRoot that the server believes; nil is
	// one under a root that nobody knows. Hardware keys and attestations are made by it as
	// Model can.
	Enclave *Enclave
	// Renewal is what the phone does when its enrolment profile is replaced.
	Renewal Renewal

	Clock     func() time.Time
	Transport *agent.Transport
	// The following are those of the engine, down to RetryMax.
	ProfileRoots       *x509.CertPool
	PushURL            string
	PushTransport      *agent.Transport
	Keys               func(ctx context.Context) (*rsa.PrivateKey, error)
	Keeper             agent.Keeper
	ClientCertificate  bool
	RetryMin, RetryMax time.Duration
	UserAgent          string // empty means that of Safari on this device
	Log                *zap.Logger
}

// LostMode is what the screen of a phone in lost mode shows.
type LostMode struct {
	Message, PhoneNumber, Footnote string
	Since                          time.Time
}

// Phone is a virtual iPhone, iPad or Mac with a server. It is safe for concurrent use.
type Phone struct {
	*body
	client *agent.Client

	syncing sync.Mutex // one conversation about declarations at a time
	due     bool       // an errand is on its way; guarded by body.mu
}

// New returns a device as it is after its setup: with the user's apps, not enrolled
// unless the keeper has an enrolment.
func New(ctx context.Context, o Options) (*Phone, error) {
	if o.UDID == "" || o.Serial == "" || o.Clock == nil || o.Transport == nil {
		return nil, errors.New("new phone: UDID, Serial, Clock and Transport are required")
	}
	p := &Phone{}
	p.body = newBody(o, p)
	o = p.opt
	p.unlockToken = make([]byte, 32)
	if _, err := rand.Read(p.unlockToken); err != nil {
		return nil, fmt.Errorf("new phone: %w", err)
	}
	cfg := agent.Config{
		Facts: agent.Facts{
			UDID: o.UDID, SerialNumber: o.Serial, DeviceName: o.Name, Model: "MTP03", ModelName: p.family(),
			ProductName: o.Model, OSVersion: o.OSVersion, BuildVersion: buildOf(o.OSVersion),
		},
		Handler: agent.HandlerFunc(p.handle), OnRelease: p.released, Hardware: silicon{p.body}, Accept: p.admissible,
		Transport: o.Transport, Keeper: o.Keeper, ProfileRoots: o.ProfileRoots, UserAgent: o.UserAgent, Keys: o.Keys,
		ClientCertificate: o.ClientCertificate, PushURL: o.PushURL, PushTransport: o.PushTransport, RetryMin: o.RetryMin, RetryMax: o.RetryMax, Now: o.Clock, Log: o.Log,
	}
	if !o.WithholdUnlockToken && !p.mac() {
		cfg.UnlockToken = p.unlockToken
	}
	if o.UserEnrolment {
		cfg.Facts.EnrollmentID = uuid.NewSHA1(uuid.NameSpaceOID, []byte(o.UDID)).String()
	}
	var err error
	if p.client, err = agent.New(ctx, cfg); err != nil {
		return nil, fmt.Errorf("new phone: %w", err)
	}
	return p, nil
}

// Enrol opens an invitation link and installs the enrolment profile behind it. An
// erased phone must be Reset first.
func (p *Phone) Enrol(ctx context.Context, link string) error {
	if p.Erased() {
		return errors.New("enrol: the phone was erased")
	}
	defer p.touch()
	return p.client.Enrol(ctx, link)
}

// EnrolByProfile installs a signed enrolment profile that came by another way.
func (p *Phone) EnrolByProfile(ctx context.Context, data []byte) error {
	if p.Erased() {
		return errors.New("enrol: the phone was erased")
	}
	defer p.touch()
	return p.client.EnrolByProfile(ctx, data)
}

// Run keeps the phone on: it waits for pushes and obeys commands until ctx ends or
// management does, and then returns nil.
func (p *Phone) Run(ctx context.Context) error { return p.client.Run(ctx) }

// CheckIn makes the phone ask for commands now.
func (p *Phone) CheckIn(ctx context.Context) error { return p.client.CheckIn(ctx) }

// TokenUpdate makes the phone tell its push token again.
func (p *Phone) TokenUpdate(ctx context.Context) error { return p.client.TokenUpdate(ctx) }

// RemoveManagement is the user taking the management profile off in Settings.
func (p *Phone) RemoveManagement(ctx context.Context) error { return p.client.Leave(ctx) }

// Close lets go of what Enrol opened, if Run never ran.
func (p *Phone) Close() error { return p.client.Close() }

// Reset returns the phone as it comes out of its setup after it was erased: the same
// hardware, supervised if it was prepared so, and nothing of its former life. It is an
// error if the phone was not erased.
func (p *Phone) Reset(ctx context.Context) (*Phone, error) {
	if !p.Erased() {
		return nil, errors.New("reset: the phone was not erased")
	}
	o := p.opt
	o.Apps, o.PasscodeSet, o.Passcode, o.Name = nil, false, "", ""
	o.OSVersion = p.OSVersion()
	p.mu.Lock()
	o.Enclave, o.Renewal, o.SIMs = p.se, p.renewal, append([]SIM{}, p.sims...)
	if p.wiped != nil && !p.wiped.PreserveDataPlan {
		o.SIMs = slices.DeleteFunc(o.SIMs, func(s SIM) bool { return s.EID != "" })
	}
	p.mu.Unlock()
	next, err := New(ctx, o)
	if err == nil {
		next.destroyed = p.destroyed
	}
	return next, err
}

// Enrolment returns what the engine holds, or agent.ErrNotEnrolled.
func (p *Phone) Enrolment() (*agent.Enrolment, error) { return p.client.Enrolment() }

// Enrolled reports whether a management profile is on the phone.
func (p *Phone) Enrolled() bool {
	_, err := p.client.Enrolment()
	return err == nil
}

// AccessRights returns the rights of the server over the phone, 0 if not enrolled. User
// enrolment ignores them: they are all there, and much is forbidden whatever they say.
func (p *Phone) AccessRights() ward.AccessRights { return p.rights() }

// released ends management on the phone. Apps that were installed with the flag to go
// with the management profile, and those of declarations, go with all of their data; the
// others stay and are the user's. Source: Apple, InstallApplication, ManagementFlags.
func (p *Phone) released(why agent.Cause) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touchLocked()
	p.lost, p.prompts, p.notices, p.ddm, p.due = nil, map[string]*prompt{}, map[string]string{}, ddm{}, false
	if why == agent.Erased {
		p.erased, p.locked, p.pin, p.passcode, p.name = true, false, "", passcode{}, p.family()
		p.apps, p.profiles = map[string]*app{}, map[string]*held{}
		return
	}
	maps.DeleteFunc(p.profiles, func(_ string, h *held) bool { return h.by != byHand })
	for id, a := range p.apps {
		if a.managed && (a.flags&flagRemoveWithMDM != 0 || a.declared != "") {
			delete(p.apps, id)
		}
		a.release()
	}
}

// Await returns nil as soon as cond is true of the phone, and the error of ctx if that
// comes first. It asks at every change, and cond may call any question of the phone.
func (p *Phone) Await(ctx context.Context, cond func(*Phone) bool) error {
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		if cond(p) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("await %s: %w", p.opt.UDID, ctx.Err())
		}
	}
}
