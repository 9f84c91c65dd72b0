package virtual

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/wardmdm/ward/agent"
)

// Installed is an app on a phone.
type Installed struct {
	BundleID string
	Name     string
	Version  string
}

// StoreApp is an app that a phone can get from the App Store.
type StoreApp struct {
	ID int64 // the iTunes store id
	Installed
}

// Options say what phone it is. UDID, Serial, Transport and Clock are required.
type Options struct {
	UDID, Serial, Name string
	Model              string // Apple's product name; empty means iPhone15,4
	OSVersion          string // empty means 18.6
	Supervised         bool
	Apps               []Installed // that the user has installed
	Store              []StoreApp  // that InstallApplication finds by store id or bundle id
	PasscodeSet        bool
	// HoldPrompts leaves every question that iOS asks of the user unanswered until
	// Answer; otherwise the user says yes at once.
	HoldPrompts bool
	// WithholdUnlockToken keeps the token that removes the passcode on the phone.
	WithholdUnlockToken bool
	Latitude, Longitude float64
	// LocationUnknown is a phone without satellites in sight.
	LocationUnknown bool

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
	UserAgent          string // empty means that of Safari on this phone
	Log                *zap.Logger
}

// LostMode is what the screen of a phone in lost mode shows.
type LostMode struct {
	Message, PhoneNumber, Footnote string
	Since                          time.Time
}

// Phone is a virtual iPhone. It is safe for concurrent use.
type Phone struct {
	opt         Options
	unlockToken []byte
	client      *agent.Client

	mu       sync.Mutex
	name     string
	apps     map[string]*app
	prompts  map[string]*prompt // installs that wait for the user, by bundle id
	notices  map[string]string  // states of apps that are reported once
	profiles map[string]*held
	passcode bool
	locked   bool
	lost     *LostMode
	erased   bool
	notNow   func(requestType string) bool
	log      []Entry
	changed  chan struct{} // closed and replaced when anything changes
}

// New returns a phone as it is after its setup: with the user's apps, not enrolled
// unless the keeper has an enrolment.
func New(ctx context.Context, o Options) (*Phone, error) {
	if o.UDID == "" || o.Serial == "" || o.Clock == nil || o.Transport == nil {
		return nil, errors.New("new phone: UDID, Serial, Clock and Transport are required")
	}
	if o.Model == "" {
		o.Model = "iPhone15,4"
	}
	if o.OSVersion == "" {
		o.OSVersion = "18.6"
	}
	if o.Name == "" {
		o.Name = "iPhone"
	}
	if o.UserAgent == "" {
		o.UserAgent = "Mozilla/5.0 (iPhone; CPU iPhone OS " + strings.ReplaceAll(o.OSVersion, ".", "_") +
			" like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/" + o.OSVersion + " Mobile/15E148 Safari/604.1"
	}
	p := &Phone{
		opt: o, name: o.Name, passcode: o.PasscodeSet, unlockToken: make([]byte, 32),
		apps: map[string]*app{}, prompts: map[string]*prompt{}, notices: map[string]string{},
		profiles: map[string]*held{}, changed: make(chan struct{}),
	}
	for _, a := range o.Apps {
		p.apps[a.BundleID] = &app{Installed: a}
	}
	if _, err := rand.Read(p.unlockToken); err != nil {
		return nil, fmt.Errorf("new phone: %w", err)
	}
	cfg := agent.Config{
		Facts: agent.Facts{
			UDID: o.UDID, SerialNumber: o.Serial, DeviceName: o.Name, Model: "MTP03", ModelName: "iPhone",
			ProductName: o.Model, OSVersion: o.OSVersion, BuildVersion: buildOf(o.OSVersion),
		},
		Handler: agent.HandlerFunc(p.handle), OnRelease: p.released,
		Transport: o.Transport, Keeper: o.Keeper, ProfileRoots: o.ProfileRoots, UserAgent: o.UserAgent, Keys: o.Keys,
		ClientCertificate: o.ClientCertificate, PushURL: o.PushURL, PushTransport: o.PushTransport, RetryMin: o.RetryMin, RetryMax: o.RetryMax, Now: o.Clock, Log: o.Log,
	}
	if !o.WithholdUnlockToken {
		cfg.UnlockToken = p.unlockToken
	}
	var err error
	if p.client, err = agent.New(ctx, cfg); err != nil {
		return nil, fmt.Errorf("new phone: %w", err)
	}
	return p, nil
}

// buildOf makes a build number that is the same for the same version.
func buildOf(version string) string { return "22" + strings.ReplaceAll(version, ".", "G") }

// UDID returns the phone's identifier.
func (p *Phone) UDID() string { return p.opt.UDID }

// Serial returns the phone's serial number.
func (p *Phone) Serial() string { return p.opt.Serial }

// Supervised reports whether the phone was prepared as supervised.
func (p *Phone) Supervised() bool { return p.opt.Supervised }

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
	o.Apps, o.PasscodeSet, o.Name = nil, false, "iPhone"
	return New(ctx, o)
}

// Enrolment returns what the engine holds, or agent.ErrNotEnrolled.
func (p *Phone) Enrolment() (*agent.Enrolment, error) { return p.client.Enrolment() }

// released ends management on the phone. Apps that were installed with the flag to go
// with the management profile go with all of their data; the others stay and are the
// user's. Source: Apple, InstallApplication, ManagementFlags.
func (p *Phone) released(why agent.Cause) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.touchLocked()
	p.lost, p.prompts, p.notices = nil, map[string]*prompt{}, map[string]string{}
	if why == agent.Erased {
		p.erased, p.locked, p.passcode, p.name = true, false, false, "iPhone"
		p.apps, p.profiles = map[string]*app{}, map[string]*held{}
		return
	}
	p.profiles = map[string]*held{} // all of them came by the server
	for id, a := range p.apps {
		if a.managed && a.flags&flagRemoveWithMDM != 0 {
			delete(p.apps, id)
		}
		a.managed, a.flags, a.config, a.attributes = false, 0, nil, nil
	}
}

// touch tells those who wait that the phone has changed.
func (p *Phone) touch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.touchLocked()
}

func (p *Phone) touchLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
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
