// Package trialserver is a small MDM server with an authority and a push service, for
// the tests of the engine and of the virtual phone. It keeps everything in memory, trusts
// whoever knows the challenge, and is no example for a server that is meant.
package trialserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
)

// Topic is the push topic of the server.
const Topic = "com.apple.mgmt.External.trial"

// EnrolmentProfile is the identifier of the enrolment profile.
const EnrolmentProfile = "test.ward.enrolment"

// Server is the server. Its exported fields may be set before the first request.
type Server struct {
	URL       string
	Roots     *x509.CertPool
	CA        *x509.Certificate
	Challenge string
	Rights    ward.AccessRights
	// SignMessage asks for the Mdm-Signature header; otherwise the TLS certificate counts.
	SignMessage bool
	// StayWhenRemoved leaves CheckOutWhenRemoved out of the profile.
	StayWhenRemoved bool
	// Edit changes the enrolment profile before it is signed.
	Edit func(profile map[string]any)
	// Intercept answers a request itself by returning true.
	Intercept func(w http.ResponseWriter, r *http.Request) bool

	key     *rsa.PrivateKey
	mu      sync.Mutex
	mux     *http.ServeMux
	devices map[string]*device
	changed chan struct{}
	acme    ACME
	fresh   map[string]bool // certificates that no device has used yet, by their bytes
}

type device struct {
	checkins []map[string]any
	queue    [][]byte
	answers  map[string]map[string]any
	reports  []map[string]any // all of them, repetitions too
	idles    int
	cert     []byte
	shown    [][]byte // the certificate of each message about commands, in order
	token    string
	magic    string
	stream   chan string // nil while the device does not listen
	dead     bool        // the token was unregistered

	declarations map[string]Declaration // by identifier; nil: none
	asked        []string               // endpoints, in order
	statuses     []map[string]any
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		Challenge: "trial-challenge", Rights: ward.RightsAll, SignMessage: true,
		devices: map[string]*device{}, changed: make(chan struct{}), fresh: map[string]bool{}, mux: http.NewServeMux(), Roots: x509.NewCertPool(),
	}
	s.key, s.CA = authority(t)
	s.Roots.AddCert(s.CA)
	s.routes()
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Intercept == nil || !s.Intercept(w, r) {
			s.mux.ServeHTTP(w, r)
		}
	}))
	h.EnableHTTP2 = true
	h.TLS = &tls.Config{Certificates: []tls.Certificate{s.serverCertificate(t)}, ClientAuth: tls.RequestClientCert}
	h.StartTLS()
	s.URL = h.URL
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
	})
	return s
}

// Handle adds a handler to the server.
func (s *Server) Handle(pattern string, h http.HandlerFunc) { s.mux.HandleFunc(pattern, h) }

// sharedKey is one key for all authorities of a process, for keys take long to make.
// Their names differ, so that none is taken for another.
var sharedKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func authority(t testing.TB) (*rsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := sharedKey()
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Trial authority " + uuid.NewString()}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature,
	}
	return key, issue(t, tmpl, tmpl, key.Public(), key)
}

func issue(t testing.TB, tmpl, parent *x509.Certificate, pub any, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *Server) serverCertificate(t testing.TB) tls.Certificate {
	t.Helper()
	c := issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: loopback(),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, s.CA, s.key.Public(), s.key)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: s.key, Leaf: c}
}

// Issue signs a client certificate for a key.
func (s *Server) Issue(name string, pub any) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, s.CA, pub, s.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Enqueue queues a command for a device, pushes it awake, and returns the command's
// UUID. fields may be nil.
func (s *Server) Enqueue(t testing.TB, udid, requestType string, fields map[string]any) string {
	t.Helper()
	id := uuid.NewString()
	cmd := map[string]any{"RequestType": requestType}
	maps.Copy(cmd, fields)
	raw, err := agent.EncodePlist(map[string]any{"CommandUUID": id, "Command": cmd})
	if err != nil {
		t.Fatal(err)
	}
	s.EnqueueRaw(udid, raw)
	return id
}

// EnqueueRaw queues any bytes as a command and pushes the device awake.
func (s *Server) EnqueueRaw(udid string, raw []byte) {
	s.mu.Lock()
	d := s.device(udid)
	d.queue = append(d.queue, raw)
	magic := d.magic
	s.mu.Unlock()
	s.Push(udid, magic)
}

// Push sends a push with any magic; it reports whether the device listens.
func (s *Server) Push(udid, magic string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.device(udid)
	if d.stream == nil || d.dead {
		return false
	}
	select {
	case d.stream <- magic:
		return true
	default:
		return false
	}
}

// Answer waits for the answer to a command.
func (s *Server) Answer(t testing.TB, udid, id string) map[string]any {
	t.Helper()
	var a map[string]any
	s.Await(t, func() bool {
		a = s.device(udid).answers[id]
		return a != nil
	})
	return a
}

// Do queues a command and waits for its answer.
func (s *Server) Do(t testing.TB, udid, requestType string, fields map[string]any) map[string]any {
	t.Helper()
	return s.Answer(t, udid, s.Enqueue(t, udid, requestType, fields))
}

// Await waits until cond is true. cond is called with the server locked.
func (s *Server) Await(t testing.TB, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("the device did not do in 20 s what the test waits for")
		}
	}
}

// AwaitCheckins waits until the device has sent n check-in messages and returns their
// types.
func (s *Server) AwaitCheckins(t testing.TB, udid string, n int) []string {
	t.Helper()
	var out []string
	s.Await(t, func() bool {
		out = nil
		for _, m := range s.device(udid).checkins {
			out = append(out, m["MessageType"].(string))
		}
		return len(out) >= n
	})
	return out
}

// Checkin returns the last check-in message of a type, nil if there is none.
func (s *Server) Checkin(udid, messageType string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out map[string]any
	for _, m := range s.device(udid).checkins {
		if m["MessageType"] == messageType {
			out = m
		}
	}
	return out
}

// Reports returns every report of a device but Idle, in order.
func (s *Server) Reports(udid string) []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]map[string]any(nil), s.device(udid).reports...)
}

// Shown returns the certificates under which a device asked for commands or answered them,
// in order and without repetitions in a row.
func (s *Server) Shown(udid string) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.CompactFunc(slices.Clone(s.device(udid).shown), bytes.Equal)
}

// Idles returns how often the device asked for work.
func (s *Server) Idles(udid string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.device(udid).idles
}

// AwaitListening waits until the device's push stream is open.
func (s *Server) AwaitListening(t testing.TB, udid string) {
	t.Helper()
	s.Await(t, func() bool { return s.device(udid).stream != nil })
}

// TokenDead reports whether the device has unregistered its push token.
func (s *Server) TokenDead(udid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.device(udid).dead
}

// device returns the record of a device; the caller holds s.mu.
func (s *Server) device(udid string) *device {
	if s.devices[udid] == nil {
		s.devices[udid] = &device{answers: map[string]map[string]any{}}
	}
	return s.devices[udid]
}

func (s *Server) note() {
	close(s.changed)
	s.changed = make(chan struct{})
}
