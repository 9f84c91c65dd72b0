// Package apns wakes Apple devices: it sends MDM push notifications to Apple, and it
// makes, checks and reports on the certificate that Apple wants for that. It keeps no
// record of what it sent and stores no key: who asks for a push keeps both.
package apns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/micromdm/nanomdm/push"
)

// Apple's own servers. Source: Apple, "Sending notification requests to APNs",
// https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
const (
	Production  = "https://api.push.apple.com:443"
	Development = "https://api.sandbox.push.apple.com:443"
)

// Target is one enrolment to wake: what its TokenUpdate told.
type Target struct {
	Topic string // the UID of the push certificate, such as com.apple.mgmt.External.…
	Token []byte // the device token, raw
	Magic string // PushMagic: without it the device ignores the push
}

// Certificates hands out the push certificate of a topic with its private key. The
// second value changes whenever the certificate does; the Client then opens new
// connections. It is asked before every push, so it should answer from memory.
type Certificates interface {
	PushCertificate(ctx context.Context, topic string) (*tls.Certificate, string, error)
}

// Options configure a Client. Only Certificates and Now are required.
type Options struct {
	// BaseURL is the server to push to; empty means Production. It must be https.
	BaseURL string
	// Certificates hands out push certificates.
	Certificates Certificates
	// RootCAs verify the server; nil means the system's.
	RootCAs *x509.CertPool
	// Workers bounds the requests in flight over all calls; 0 means 16.
	Workers int
	// Expiration is how long APNs keeps a push for a device that is off; 0 means 7 days.
	Expiration time.Duration
	// Tries is the most requests made for one push; 0 means 4.
	Tries int
	// Timeout bounds one try; 0 means 15 seconds.
	Timeout time.Duration
	// Backoff is about how long the first wait between tries is; it doubles, with
	// jitter. 0 means 200 ms.
	Backoff time.Duration
	// MaxWait is the longest wait between tries. If APNs asks for a longer one, the
	// error is returned at once and its RetryAfter says how long. 0 means 5 seconds.
	MaxWait time.Duration
	// Now is the clock, used for the expiration header and for Retry-After dates.
	Now func() time.Time
	// OnResult, if set, is called once for each push with its final error, nil for one
	// that APNs accepted. It must be safe for concurrent use and quick.
	OnResult func(err error)
}

func (o Options) withDefaults() Options {
	if o.BaseURL == "" {
		o.BaseURL = Production
	}
	if o.Workers == 0 {
		o.Workers = 16
	}
	if o.Expiration == 0 {
		o.Expiration = 7 * 24 * time.Hour
	}
	if o.Tries == 0 {
		o.Tries = 4
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Backoff == 0 {
		o.Backoff = 200 * time.Millisecond
	}
	if o.MaxWait == 0 {
		o.MaxWait = 5 * time.Second
	}
	if o.OnResult == nil {
		o.OnResult = func(error) {}
	}
	return o
}

func (o Options) check() (*url.URL, error) {
	var errs []error
	base, err := url.Parse(o.BaseURL)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("base URL: %w", err))
	case base.Scheme != "https" || base.Host == "":
		errs = append(errs, fmt.Errorf("base URL %q is not https://host[:port]", o.BaseURL))
	}
	if o.Certificates == nil {
		errs = append(errs, errors.New("no source of push certificates"))
	}
	if o.Now == nil {
		errs = append(errs, errors.New("no clock"))
	}
	if o.Workers < 0 || o.Tries < 0 || o.Timeout < 0 || o.Backoff < 0 || o.MaxWait < 0 || o.Expiration < 0 {
		errs = append(errs, errors.New("a number or duration is negative"))
	}
	return base, errors.Join(errs...)
}

// Client sends pushes. It is safe for concurrent use and keeps one set of
// connections for each certificate, as Apple asks.
type Client struct {
	opts     Options
	base     *url.URL
	inFlight chan struct{}
	conns    connections
}

var _ push.PushProvider = (*Client)(nil)

// New returns a Client that is ready to send; it connects at the first push.
func New(o Options) (*Client, error) {
	o = o.withDefaults()
	base, err := o.check()
	if err != nil {
		return nil, fmt.Errorf("apns client: %w", err)
	}
	return &Client{
		opts:     o,
		base:     base,
		inFlight: make(chan struct{}, o.Workers),
		conns:    connections{roots: o.RootCAs, byTopic: make(map[string]*connection)},
	}, nil
}

// Close closes the connections that are idle. The Client may be used again.
func (c *Client) Close() { c.conns.closeIdle() }
