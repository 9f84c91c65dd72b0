// Package standin is a local stand-in for Apple's push service, for trials and tests:
// real TLS and HTTP/2 on loopback, Apple's answers and refusals, and a stream on which
// virtual devices receive what was pushed to them. It trusts only certificates it
// issued itself, keeps everything in memory, and never talks to Apple.
package standin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options configure a stand-in. Only Now is required.
type Options struct {
	// Addr is where to listen; empty means a free port on 127.0.0.1.
	Addr string
	// Now is the clock.
	Now func() time.Time
	// KeepAlive is how often an empty line is sent on a silent device stream; 0 means
	// 25 seconds.
	KeepAlive time.Duration
	// AcceptUnknown keeps a push for a token that has never registered, as if it had,
	// instead of answering BadDeviceToken. A trial server wants that, because the
	// stand-in forgets all tokens when it stops and Apple never does.
	AcceptUnknown bool
}

// Server is a running stand-in.
type Server struct {
	opts Options
	ca   *authority
	http *http.Server
	url  string
	done chan error // what Serve returned
	stop chan struct{}
	once sync.Once

	mu      sync.Mutex
	devices map[string]*device // by token in hexadecimal
	script  func(token string) Fault
	stats   Stats
}

// Start makes a stand-in with a new authority of its own and has it listen. The caller
// must Close it.
func Start(o Options) (*Server, error) {
	if o.Now == nil {
		return nil, errors.New("apns stand-in: no clock")
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 25 * time.Second
	}
	ca, err := newAuthority(o.Now)
	if err != nil {
		return nil, fmt.Errorf("apns stand-in: %w", err)
	}
	ln, err := net.Listen("tcp", o.Addr) //nolint:noctx // to listen takes no time
	if err != nil {
		return nil, fmt.Errorf("apns stand-in: %w", err)
	}
	tcp, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.Join(fmt.Errorf("apns stand-in: %s is not a TCP address", ln.Addr()), ln.Close())
	}
	cert, err := ca.issueServer(tcp.IP)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("apns stand-in: %w", err), ln.Close())
	}
	s := &Server{
		opts:    o,
		ca:      ca,
		url:     "https://" + ln.Addr().String(),
		done:    make(chan error, 1),
		stop:    make(chan struct{}),
		devices: make(map[string]*device),
		script:  func(string) Fault { return Fault{} },
		stats:   Stats{Refused: make(map[string]int)},
	}
	s.http = s.newHTTP(cert)
	go func() { s.done <- s.http.ServeTLS(ln, "", "") }()
	return s, nil
}

func (s *Server) newHTTP(cert tls.Certificate) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /device/{token}", s.stream)
	mux.HandleFunc("DELETE /device/{token}", s.unregister)
	mux.HandleFunc("/", s.push)
	return &http.Server{
		Handler: mux,
		TLSConfig: &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{cert},
			// Devices show no certificate and providers get an answer, not a failed
			// handshake, for a wrong one: push checks it.
			ClientAuth: tls.RequestClientCert,
		},
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 4000, // many virtual devices share one connection
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     10 * time.Second,
		},
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // dropped connections are its trade
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, &conn{Conn: c})
		},
	}
}

// connKey finds the conn of a request in its context.
type connKey struct{}

// conn is a provider's connection with what is known of its certificate.
type conn struct {
	net.Conn
	verify sync.Once
	topic  string // of the verified certificate
	reason string // why there is none, in Apple's words
}

// URL is the base URL, for providers and devices alike.
func (s *Server) URL() string { return s.url }

// CAPEM is the certificate of the stand-in's own authority, which signs its server
// certificate too.
func (s *Server) CAPEM() []byte { return s.ca.pem() }

// Pool returns a pool with that authority alone.
func (s *Server) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.ca.cert)
	return p
}

// IssueCertificate makes a push certificate for the topic, such as com.apple.mgmt.Ward,
// with a new key. It is valid for one year.
func (s *Server) IssueCertificate(topic string) (cert tls.Certificate, certPEM, keyPEM []byte, err error) {
	return s.ca.issuePush(topic)
}

// Certify issues a push certificate for a signing request, as Apple's portal does for a
// countersigned one. The stand-in asks for no countersignature.
func (s *Server) Certify(csrPEM []byte, topic string) (certPEM []byte, err error) {
	return s.ca.certify(csrPEM, topic)
}

// Script has fault decide, for every push, whether and how it goes wrong. The token is
// in lower-case hexadecimal; fault must be safe for concurrent use. Nil ends the script.
func (s *Server) Script(fault func(token string) Fault) {
	if fault == nil {
		fault = func(string) Fault { return Fault{} }
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = fault
}

// Stats counts what happened since the start.
type Stats struct {
	Accepted   int            // pushes answered with 200
	Delivered  int            // pushes written to a device's stream
	Refused    map[string]int // pushes refused, by reason; GOAWAY counts as GoAway
	Registered int            // devices that are registered now
	Streams    int            // device streams that are open now
	MaxAtOnce  int            // most pushes in progress at one time

	inProgress int
}

// Stats returns a copy of the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Refused = make(map[string]int, len(s.stats.Refused))
	maps.Copy(out.Refused, s.stats.Refused)
	for _, d := range s.devices {
		if d.gone.IsZero() {
			out.Registered++
		}
	}
	return out
}

// Close ends every stream and connection and waits for the listener to stop. Calling
// it again does nothing.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.stop)
		err = s.http.Close()
		if e := <-s.done; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	})
	return err
}
