package agent

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Facts are what a device tells about itself when it enrols. UDID is required; empty
// ones are not sent. Source: Apple, "AuthenticateRequest".
type Facts struct {
	UDID, SerialNumber, DeviceName, Model, ModelName, ProductName, OSVersion, BuildVersion string
	// EnrollmentID names the device in place of its UDID and serial number, which user
	// enrolment keeps from the server. Empty for every other kind of enrolment.
	EnrollmentID string
}

// Config says how a Client works. Facts, Handler and Transport are required.
type Config struct {
	Facts     Facts
	Handler   Handler
	Transport *Transport
	// Keeper keeps the enrolment; nil keeps it in memory.
	Keeper Keeper
	// ProfileRoots are the authorities that may sign an enrolment profile; nil means
	// those of the transport.
	ProfileRoots *x509.CertPool
	// UserAgent is sent when an invitation link is opened; empty sends that of the
	// engine.
	UserAgent string
	// Keys makes identity keys; nil makes each when it is needed, which is slow.
	Keys func(ctx context.Context) (*rsa.PrivateKey, error)
	// Hardware makes the keys that are to stay in it, and attests them; nil is a device
	// without any.
	Hardware Hardware
	// Accept is asked before an enrolment profile is installed, and refuses it by an error;
	// nil takes every profile that is well formed.
	Accept func(p *Profile) error
	// ClientCertificate presents the identity in TLS even if the profile asks for
	// signed messages. Without SignMessage it is always presented.
	ClientCertificate bool
	// PushURL is the base address of the push service; empty means that only Wake
	// and CheckIn make the device ask for commands.
	PushURL string
	// PushTransport reaches the push service, which may have an authority of its own;
	// nil means Transport.
	PushTransport *Transport
	// UnlockToken is escrowed with the server if the rights allow the removal of the
	// passcode; empty escrows nothing.
	UnlockToken []byte
	// OnRelease is told when management ends, before the call that ended it returns.
	// It must not call the Client.
	OnRelease func(Cause)
	// RetryMin and RetryMax bound the pause between attempts to reach a server; zero
	// means half a second and one minute.
	RetryMin, RetryMax time.Duration
	// Now is the clock, required.
	Now func() time.Time
	Log *zap.Logger // nil logs nothing
}

// Cause is why management ended.
type Cause string

// The causes.
const (
	Removed Cause = "removed" // the management profile was removed
	Erased  Cause = "erased"  // the device was erased
	Refused Cause = "refused" // the server does not know the device any more
)

// Client is the engine of one device. It is safe for concurrent use; what it says to
// the server is said one message at a time.
type Client struct {
	cfg  Config
	turn chan struct{} // holds one token: who has it speaks to the server
	wake chan struct{} // holds at most one wish for a check-in

	pending []byte        // a report that no server has taken yet; guarded by turn
	after   Errand        // what follows pending; guarded by turn
	due     chan struct{} // holds at most one wish to run the errands

	mu   sync.Mutex // guards what follows
	now  *Enrolment // nil when not enrolled
	own  *http.Transport
	push *pushStream   // open from Enrol until Run takes it
	gone chan struct{} // closed when the present enrolment ends
	todo []Errand      // that wait for the end of a session
}

// New returns an engine; it continues the enrolment that the keeper has, if any.
func New(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Facts.UDID == "" || cfg.Handler == nil || cfg.Transport == nil || cfg.Now == nil {
		return nil, errors.New("new agent: Facts.UDID, Handler, Transport and Now are required")
	}
	if cfg.Keeper == nil {
		cfg.Keeper = &MemoryKeeper{}
	}
	if cfg.ProfileRoots == nil {
		cfg.ProfileRoots = cfg.Transport.roots
	}
	if cfg.PushTransport == nil {
		cfg.PushTransport = cfg.Transport
	}
	if cfg.Keys == nil {
		cfg.Keys = NewKey
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "Ward-Agent/1.0"
	}
	if cfg.RetryMin <= 0 {
		cfg.RetryMin = 500 * time.Millisecond
	}
	if cfg.RetryMax <= 0 {
		cfg.RetryMax = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	c := &Client{cfg: cfg, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), due: make(chan struct{}, 1)}
	e, err := cfg.Keeper.Load(ctx)
	switch {
	case errors.Is(err, ErrNotEnrolled):
	case err != nil:
		return nil, fmt.Errorf("new agent: %w", err)
	default:
		c.adopt(e)
	}
	return c, nil
}

// Enrolment returns the present enrolment, or ErrNotEnrolled.
func (c *Client) Enrolment() (*Enrolment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil {
		return nil, ErrNotEnrolled
	}
	return c.now, nil
}

// adopt makes e the present enrolment.
func (c *Client) adopt(e *Enrolment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.gone = e, make(chan struct{})
	if e.presents(c.cfg.ClientCertificate) {
		c.own = newHTTP(c.cfg.Transport.roots, e.tls())
	}
}

// take waits for the turn to speak to the server.
func (c *Client) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) give() { <-c.turn }

// release ends management. The caller has the turn. Nothing here can fail it: a device
// that was erased has nothing left to be asked.
func (c *Client) release(ctx context.Context, e *Enrolment, why Cause) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	log := c.cfg.Log.With(zap.String("udid", e.UDID), zap.String("cause", string(why)))
	c.mu.Lock()
	stream, gone, own := c.push, c.gone, c.own
	c.now, c.push, c.own, c.todo = nil, nil, nil, nil
	c.mu.Unlock()
	c.pending, c.after = nil, nil
	if err := c.cfg.Keeper.Drop(ctx); err != nil {
		log.Error("enrolment not dropped", zap.Error(err))
	}
	if c.cfg.PushURL != "" {
		if err := closePush(ctx, c.cfg.PushTransport.shared, pushAddress(c.cfg.PushURL, e.MDM.Topic, e.Token)); err != nil {
			log.Warn("push token not unregistered", zap.Error(err))
		}
	}
	if stream != nil {
		if err := stream.close(); err != nil {
			log.Debug("push stream closed badly", zap.Error(err))
		}
	}
	if own != nil {
		own.CloseIdleConnections()
	}
	close(gone)
	log.Info("management ended")
	if c.cfg.OnRelease != nil {
		c.cfg.OnRelease(why)
	}
}
