// Package post carries what people on call are told: by e-mail through an SMTP relay, and
// by webhook. It tries once and says what became of it; when to try again, and who is told
// what, is decided by package notify. It receives nothing.
package post

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"strings"
	"unicode"

	"github.com/wardmdm/ward/server/notify"
	gomail "github.com/wneessen/go-mail"
)

// Security says how the connection to a relay is protected.
type Security string

// The ways. There is none that takes TLS only where it is offered.
const (
	StartTLS Security = "starttls" // by STARTTLS, or not at all
	TLS      Security = "tls"      // from the first byte
	Plain    Security = "none"     // for a relay on this machine only
)

// Valid reports whether s is one of the ways.
func (s Security) Valid() bool { return s == StartTLS || s == TLS || s == Plain }

// Port returns the port that is usual for s.
func (s Security) Port() int {
	switch s {
	case TLS:
		return 465
	case Plain:
		return 25
	default:
		return 587
	}
}

// MailConfig says by which relay e-mail goes.
type MailConfig struct {
	Host     string
	Port     int            // Security's usual one for 0
	Security Security       // StartTLS if empty
	Roots    *x509.CertPool // nil for those of the system
	Username string         // empty where the relay asks for none
	Password string
	From     string // such as "Ward <ward@example.org>"
	Hello    string // the name by which Ward greets: its host
}

// Mail sends e-mail through a relay. It may be used by several goroutines.
type Mail struct {
	c      MailConfig
	from   *mail.Address
	domain string // of From
}

var _ notify.Sender = (*Mail)(nil)

// NewMail returns what sends e-mail, or a sentence that says what is wrong with c.
func NewMail(c MailConfig) (*Mail, error) {
	if c.Security == "" {
		c.Security = StartTLS
	}
	if c.Port == 0 {
		c.Port = c.Security.Port()
	}
	from, err := CheckFrom(c.From)
	switch {
	case err != nil:
		return nil, fmt.Errorf("e-mail: %w", err)
	case c.Host == "" || c.Hello == "" || !c.Security.Valid():
		return nil, errors.New("e-mail: Host, Hello and a valid Security are needed")
	case c.Security == Plain && !Loopback(c.Host):
		return nil, errors.New("e-mail: without TLS the relay must be on this machine")
	case c.Security == Plain && c.Username != "":
		return nil, errors.New("e-mail: without TLS nobody signs in")
	case (c.Username == "") != (c.Password == ""):
		return nil, errors.New("e-mail: Username and Password need each other")
	}
	if ip, err := netip.ParseAddr(c.Hello); err == nil { // RFC 5321 section 4.1.3
		c.Hello = "[" + ip.String() + "]"
		if ip.Is6() {
			c.Hello = "[IPv6:" + ip.String() + "]"
		}
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	return &Mail{c, from, domain}, nil
}

// CheckFrom reads the address that e-mail is from.
func CheckFrom(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil || strings.ContainsFunc(a.Address, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' || strings.ContainsRune(`<>"`, r) }) {
		return nil, fmt.Errorf("%q is not an address such as Ward <ward@example.org>", text)
	}
	return a, nil
}

// Send sends a delivery to its one recipient. It returns nil once the relay took it.
func (m *Mail) Send(ctx context.Context, d notify.Delivery) error {
	letter, err := m.letter(d)
	if err != nil {
		return fmt.Errorf("e-mail: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dial, hangUp := m.dialler(ctx)
	defer hangUp()
	client, err := gomail.NewClient(m.c.Host, m.options(dial)...)
	if err != nil {
		return fmt.Errorf("e-mail: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, letter)
	switch {
	case letter.IsDelivered(): // if the relay then left in a rude way, it is still responsible
		return nil
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("relay %s: %w", m.c.Host, ctx.Err())
	case err != nil:
		return fmt.Errorf("relay %s: %w", m.c.Host, err)
	}
	return errors.New("e-mail: the relay did not say that it took the message")
}

func (m *Mail) options(dial gomail.DialContextFunc) []gomail.Option {
	o := []gomail.Option{
		gomail.WithPort(m.c.Port), gomail.WithTimeout(patience), gomail.WithHELO(m.c.Hello), gomail.WithDialContextFunc(dial),
		gomail.WithTLSConfig(m.c.tls()),
	}
	switch m.c.Security {
	case TLS:
		o = append(o, gomail.WithSSL())
	case Plain:
		o = append(o, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		o = append(o, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if m.c.Username != "" {
		// Under TLS the plain ways are as good as any, and every relay has one of them.
		o = append(o, gomail.WithUsername(m.c.Username), gomail.WithPassword(m.c.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return o
}

func (c MailConfig) tls() *tls.Config {
	return &tls.Config{ServerName: c.Host, RootCAs: c.Roots, MinVersion: tls.VersionTLS12}
}

// dialler returns what connects to the relay, and what closes that connection. It ends with
// ctx, however the relay dawdles, and is closed also where go-mail leaves it open: when the
// greeting, STARTTLS or the sign-in fails.
func (m *Mail) dialler(ctx context.Context) (dial gomail.DialContextFunc, hangUp func()) {
	var d interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{}
	if m.c.Security == TLS {
		d = &tls.Dialer{Config: m.c.tls()}
	}
	last := func() {}
	return func(dialling context.Context, network, address string) (net.Conn, error) {
		conn, err := d.DialContext(dialling, network, address)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // whoever uses it is told
		last = func() {
			stop()
			_ = conn.Close() // mostly closed already
		}
		return conn, nil
	}, func() { last() }
}

// letter makes the e-mail of a delivery. Its Message-ID is the same at every attempt, so
// that a mailbox which got it twice can tell.
func (m *Mail) letter(d notify.Delivery) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(m.from)
	if err := msg.To(d.To); err != nil {
		return nil, errors.New("the recipient's address is none")
	}
	msg.Subject(header(subject(d.Message)))
	msg.SetMessageIDWithValue(d.ID + "@" + m.domain)
	msg.SetDateWithValue(d.Since)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 section 5
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")  // what Exchange heeds
	if d.Message.Urgent {
		msg.SetImportance(gomail.ImportanceUrgent)
	}
	msg.SetBodyString(gomail.TypeTextPlain, text(d.Message))
	return msg, nil
}

// header makes a text fit for a header, whoever made it: one line, and no encoded word that
// a reader would decode (RFC 2047 section 2).
func header(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar }), " ")
	return strings.ReplaceAll(text, "=?", "= ?")
}

// text is the body of an e-mail.
func text(m notify.Message) string {
	var b strings.Builder
	if m.Body != "" {
		b.WriteString(m.Body + "\n\n")
	}
	if m.Link != "" {
		b.WriteString(m.Link + "\n\n")
	}
	for _, f := range []struct{ name, value string }{
		{"Order", string(m.Order)}, {"Case", string(m.Case)}, {"Device", string(m.Device)}, {"Time", m.At.UTC().Format("2 January 2006 15:04:05 UTC")},
	} {
		if f.value != "" {
			b.WriteString(f.name + ": " + f.value + "\n")
		}
	}
	b.WriteString("\n-- \nWard sent this by itself. Nobody reads answers to it.\n")
	return b.String()
}
