package apns

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync"
	"time"
)

// connection is the HTTP/2 transport of one push certificate.
type connection struct {
	stale     string // names the certificate it was made with
	client    *http.Client
	transport *http.Transport
	users     int  // requests in flight
	retired   bool // another certificate took its place
}

// connections keeps one connection for each topic and replaces it when the
// certificate changes; requests in flight finish on the old one.
type connections struct {
	roots   *x509.CertPool
	mu      sync.Mutex
	byTopic map[string]*connection
}

// acquire returns the connection for this certificate. The caller must release it.
func (cs *connections) acquire(topic, stale string, cert *tls.Certificate) *connection {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.byTopic[topic]
	if c == nil || c.stale != stale {
		if c != nil {
			cs.retire(c)
		}
		c = newConnection(stale, cert, cs.roots)
		cs.byTopic[topic] = c
	}
	c.users++
	return c
}

func (cs *connections) release(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.users--
	if c.retired && c.users == 0 {
		c.transport.CloseIdleConnections()
	}
}

func (cs *connections) retire(c *connection) {
	c.retired = true
	if c.users == 0 {
		c.transport.CloseIdleConnections()
	}
}

func (cs *connections) closeIdle() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.byTopic {
		c.transport.CloseIdleConnections()
	}
}

func newConnection(stale string, cert *tls.Certificate, roots *x509.CertPool) *connection {
	var only2 http.Protocols
	only2.SetHTTP2(true) // APNs speaks nothing else
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{
			MinVersion:   tls.VersionTLS12,
			RootCAs:      roots,
			Certificates: []tls.Certificate{*cert},
		},
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     time.Hour, // Apple wants connections kept open
		Protocols:           &only2,
		HTTP2: &http.HTTP2Config{
			// A firewall that forgets a silent connection must not cost the next push.
			SendPingTimeout:  time.Minute,
			PingTimeout:      10 * time.Second,
			WriteByteTimeout: 10 * time.Second,
		},
	}
	return &connection{
		stale:     stale,
		transport: t,
		client: &http.Client{
			Transport:     t,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}
