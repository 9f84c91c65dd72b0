package siem

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"
)

const (
	// audits is the facility "log audit" (13) and the severity "notice" (5), as one number.
	// Source: RFC 5424 section 6.2.1.
	audits = 13*8 + 5
	// patience bounds a connection and a batch.
	patience = 30 * time.Second
)

// Syslog sends events over TCP, each framed by its length as RFC 5425 section 4.3 says for
// TLS and RFC 6587 section 3.4.1 without. The message is the event in JSON. Syslog knows no
// receipt: what lay in a connection that broke may be lost, and of a batch that failed the
// beginning may come twice.
type Syslog struct {
	Address string      // host:port
	TLS     *tls.Config // nil: without, which is for this machine alone

	mu   sync.Mutex
	conn net.Conn
}

// Send meets Sender.
func (s *Syslog) Send(ctx context.Context, events []Event) error {
	var b bytes.Buffer
	for _, e := range events {
		m, err := message(e)
		if err != nil {
			return err
		}
		b.WriteString(strconv.Itoa(len(m)))
		b.WriteByte(' ')
		b.WriteString(m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.connect(ctx); err != nil {
		return err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(patience)
	}
	err := s.conn.SetDeadline(deadline)
	if err == nil {
		_, err = s.conn.Write(b.Bytes())
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("syslog: %w", err), s.conn.Close())
		s.conn = nil
	}
	return err
}

// connect connects where it is not, or the other side has hung up: it never says anything,
// so that a read that is over at once tells.
func (s *Syslog) connect(ctx context.Context) error {
	if s.conn != nil {
		if !hungUp(s.conn) {
			return nil
		}
		s.conn.Close() //nolint:errcheck // the other side closed it
		s.conn = nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{}
	if s.TLS != nil {
		d = &tls.Dialer{Config: s.TLS}
	}
	conn, err := d.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	s.conn = conn
	return nil
}

func hungUp(c net.Conn) bool {
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return true
	}
	var b [1]byte
	_, err := c.Read(b[:])
	var timeout net.Error
	return err == nil || !errors.As(err, &timeout) || !timeout.Timeout()
}

// Close closes the connection.
func (s *Syslog) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// message is an event as RFC 5424 writes it. The action is its MSGID, which has at most 32
// characters.
func message(e Event) (string, error) {
	text, err := line(e)
	if err != nil {
		return "", err
	}
	id := e.Action
	if len(id) > 32 {
		id = id[:32]
	}
	if id == "" {
		id = "-"
	}
	m := &rfc5424.SyslogMessage{}
	m.SetPriority(audits).SetVersion(1).SetTimestamp(e.At.UTC().Format(rfc5424.RFC3339MICRO)).
		SetHostname(e.Host).SetAppname("ward").SetMsgID(id).SetMessage(string(text))
	out, err := m.String()
	if err != nil {
		return "", fmt.Errorf("event %d: %w", e.Index, err)
	}
	return out, nil
}
