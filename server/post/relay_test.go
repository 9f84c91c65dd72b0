package post

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/wardmdm/ward/server/notify"
)

var happened = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// certified makes a certificate for localhost, and a pool that trusts it.
func certified(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// letter is what the relay took.
type letter struct{ hello, from, to, user, text string }

// relay is a real SMTP server. It refuses recipients that begin with "bad".
type relay struct {
	address string
	cert    tls.Certificate
	roots   *x509.CertPool
	sign    bool // users must sign in, as ward with the password s3cret
	tls     Security

	mu  sync.Mutex
	got []letter
}

func newRelay(t *testing.T, how Security) *relay {
	t.Helper()
	r := &relay{address: "127.0.0.1:0", tls: how}
	r.cert, r.roots = certified(t)
	return r
}

// serve starts the relay, at the same address as before, and returns what stops it.
func (r *relay) serve(t *testing.T) (stop func()) {
	t.Helper()
	var l net.Listener
	var err error
	s := smtp.NewServer(r)
	s.Domain, s.ErrorLog = "relay.example", silent{}
	s.ReadTimeout, s.WriteTimeout = 10*time.Second, 10*time.Second
	config := &tls.Config{Certificates: []tls.Certificate{r.cert}, MinVersion: tls.VersionTLS12}
	if r.tls == StartTLS {
		s.TLSConfig = config
	}
	if l, err = net.Listen("tcp", r.address); err != nil {
		t.Fatal(err)
	}
	r.address = l.Addr().String()
	if r.tls == TLS {
		l = tls.NewListener(l, config)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			_ = l.Close() // where it was closed before it served at all
			if err := <-done; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func (r *relay) port(t *testing.T) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}

// mail returns what sends by the relay.
func (r *relay) mail(t *testing.T, change func(*MailConfig)) *Mail {
	t.Helper()
	c := MailConfig{Host: "127.0.0.1", Port: r.port(t), Security: r.tls, Roots: r.roots, From: "Ward <ward@example.org>", Hello: "mdm.example.org"}
	if change != nil {
		change(&c)
	}
	m, err := NewMail(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (r *relay) took() []letter {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

func (r *relay) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{r: r, c: c}, nil
}

type session struct {
	r *relay
	c *smtp.Conn
	l letter
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "ward" || password != "s3cret" {
			return smtp.ErrAuthFailed
		}
		s.l.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.r.sign && s.l.user == "" {
		return smtp.ErrAuthRequired
	}
	s.l.hello, s.l.from = s.c.Hostname(), from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "bad") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.l.to += to
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.l.text = string(b)
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.got = append(s.r.got, s.l)
	return nil
}

func (s *session) Reset() { s.l = letter{user: s.l.user} }

func (s *session) Logout() error { return nil }

func aMessage() notify.Delivery {
	return notify.Delivery{
		ID: "ntf-1", To: "oncall@example.org", Channel: notify.Email, Since: happened, Made: happened,
		Message: notify.Message{
			ID: "msg-1", Topic: notify.BrakeHeld, Subject: "The brake holds erasures – 4 in an hour", Body: "Four phones.\n\nRelease it, or cancel.", Link: "https://mdm.example.org/brake",
			Order: "order-1", Device: "device-1", Urgent: true, At: happened,
		},
	}
}
