package post

import (
	"bytes"
	"context"
	"io"
	"maps"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward/server/notify"
)

func TestMailSends(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		how  Security
		user string
	}{
		{"STARTTLS", StartTLS, ""},
		{"STARTTLS and sign in", StartTLS, "ward"},
		{"TLS", TLS, ""},
		{"TLS and sign in", TLS, "ward"},
		{"plain, on this machine", Plain, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRelay(t, tt.how)
			r.sign = tt.user != ""
			r.serve(t)
			m := r.mail(t, func(c *MailConfig) {
				if tt.user != "" {
					c.Username, c.Password = tt.user, "s3cret"
				}
			})
			if err := m.Send(t.Context(), aMessage()); err != nil {
				t.Fatal(err)
			}
			got := r.took()
			if len(got) != 1 {
				t.Fatalf("the relay took %d letters, want 1", len(got))
			}
			headers, body := read(t, got[0].text)
			want := map[string]string{
				"From": `"Ward" <ward@example.org>`, "To": "<oncall@example.org>", "Subject": "[Ward] URGENT: The brake holds erasures – 4 in an hour",
				"Message-Id": "<ntf-1@example.org>", "Date": "Sun, 01 Mar 2026 03:00:00 +0000", "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All",
				"Importance": "urgent", "Priority": "1", "X-Priority": "1", "X-Msmail-Priority": "1",
				"Mime-Version": "1.0", "Content-Type": "text/plain; charset=UTF-8", "Content-Transfer-Encoding": "quoted-printable",
			}
			if diff := cmp.Diff(want, headers); diff != "" {
				t.Errorf("headers mismatch (-want +got):\n%s", diff)
			}
			const text = "Four phones.\n\nRelease it, or cancel.\n\nhttps://mdm.example.org/brake\n\nOrder: order-1\nDevice: device-1\nTime: 1 March 2026 03:00:00 UTC\n\n-- \nWard sent this by itself. Nobody reads answers to it.\n"
			if diff := cmp.Diff(text, body); diff != "" {
				t.Errorf("text mismatch (-want +got):\n%s", diff)
			}
			got[0].text = ""
			if want := (letter{"mdm.example.org", "ward@example.org", "oncall@example.org", tt.user, ""}); got[0] != want {
				t.Errorf("it came as %+v, want %+v", got[0], want)
			}
		})
	}
}

// read takes an e-mail apart.
func read(t *testing.T, text string) (headers map[string]string, body string) {
	t.Helper()
	msg, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	headers = map[string]string{}
	for name, values := range msg.Header {
		if len(values) != 1 {
			t.Errorf("%s stands there %d times", name, len(values))
		}
		if headers[name], err = new(mime.WordDecoder).DecodeHeader(values[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	b, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
	if err != nil {
		t.Error(err)
	}
	return headers, strings.ReplaceAll(string(b), "\r\n", "\n")
}

func TestMailFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want string
		relay      Security
		to         string
		change     func(*MailConfig)
	}{
		{"no STARTTLS where it is needed", "STARTTLS", Plain, "", func(c *MailConfig) { c.Security = StartTLS }},
		{"a stranger's certificate", "certificate", StartTLS, "", func(c *MailConfig) { c.Roots = nil }},
		{"a stranger's certificate from the start", "certificate", TLS, "", func(c *MailConfig) { c.Roots = nil }},
		{"a wrong password", "Authentication failed", StartTLS, "", func(c *MailConfig) { c.Username, c.Password = "ward", "wr0ng" }},
		{"no sign-in where it is needed", "authenticate", StartTLS, "", nil},
		{"no such recipient", "550", StartTLS, "bad@example.org", func(c *MailConfig) { c.Username, c.Password = "ward", "s3cret" }},
		{"no address", "address is none", StartTLS, "a@b\r\nRCPT TO:<c@d>", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRelay(t, tt.relay)
			r.sign = true
			r.serve(t)
			d := aMessage()
			if tt.to != "" {
				d.To = tt.to
			}
			err := r.mail(t, tt.change).Send(t.Context(), d)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Send() = %v, want an error with %q", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), "s3cret")) {
				t.Errorf("the error tells the password: %v", err)
			}
			if got := r.took(); len(got) != 0 {
				t.Errorf("the relay took %+v", got)
			}
		})
	}
}

// TestMailWaitsNotForEver: a relay that accepts a connection and says nothing.
func TestMailWaitsNotForEver(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	connected := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		connected <- c
	}()
	r := newRelay(t, StartTLS)
	r.address = l.Addr().String()
	m := r.mail(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Send(ctx, aMessage()) }()
	c := <-connected
	defer c.Close()
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("it was sent")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the end of the context does not end it")
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
}

func TestNewMailRefuses(t *testing.T) {
	t.Parallel()
	good := MailConfig{Host: "relay.example", From: "ward@example.org", Hello: "h"}
	for name, change := range map[string]func(*MailConfig){
		"no host":            func(c *MailConfig) { c.Host = "" },
		"no sender":          func(c *MailConfig) { c.From = "" },
		"two senders":        func(c *MailConfig) { c.From = "a@b.c, d@e.f" },
		"a header":           func(c *MailConfig) { c.From = "a@b.c\r\nBcc: d@e.f" },
		"a user without":     func(c *MailConfig) { c.Username = "u" },
		"plain over the net": func(c *MailConfig) { c.Security = Plain },
		"plain sign-in":      func(c *MailConfig) { c.Security, c.Host, c.Username, c.Password = Plain, "localhost", "u", "p" },
		"opportunistic":      func(c *MailConfig) { c.Security = "maybe" },
	} {
		c := good
		change(&c)
		if _, err := NewMail(c); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	for hello, want := range map[string]string{"mdm.example.org": "mdm.example.org", "192.0.2.1": "[192.0.2.1]", "2001:db8::1": "[IPv6:2001:db8::1]"} {
		c := good
		c.Hello = hello
		m, err := NewMail(c)
		if err != nil || m.c.Hello != want || m.c.Port != 587 {
			t.Errorf("NewMail() with %s greets as %q at port %d, %v; want %q", hello, m.c.Hello, m.c.Port, err, want)
		}
	}
}

// FuzzLetter: whatever stands in a message and its recipient, an e-mail has the headers that
// Ward gives it and one recipient.
func FuzzLetter(f *testing.F) {
	f.Add("Brake", "text", "a@b.example")
	f.Add("x\r\nBcc: evil@example.org", "a\r\n.\r\nMAIL FROM:<x@y>", "a@b.example")
	f.Add("=?utf-8?q?Subject?= \u202e ünï \x00\x7f", strings.Repeat("ä", 400), `"a b"@b.example`)
	f.Add("a\n\nbody", "", "a@b, c@d")
	f.Fuzz(func(t *testing.T, subject, body, to string) {
		m, err := NewMail(MailConfig{Host: "h", From: "Ward <ward@example.org>", Hello: "h"})
		if err != nil {
			t.Fatal(err)
		}
		msg, err := m.letter(notify.Delivery{ID: "ntf-1", To: to, Since: happened, Message: notify.Message{Subject: subject, Body: body, Order: "o", At: happened}})
		if err != nil {
			return // the recipient is none
		}
		var b bytes.Buffer
		if _, err := msg.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		parsed, err := mail.ReadMessage(&b)
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		want := []string{"Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To", "X-Auto-Response-Suppress"}
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(parsed.Header))); diff != "" {
			t.Errorf("headers of %q mismatch (-want +got):\n%s", subject, diff)
		}
		recipients, err := parsed.Header.AddressList("To")
		if err != nil || len(recipients) != 1 {
			t.Errorf("To: %q has %v, %v; want one recipient", parsed.Header.Get("To"), recipients, err)
		}
		if _, err := msg.GetRecipients(); err != nil || len(msg.GetTo()) != 1 {
			t.Errorf("it goes to %v, %v; want one recipient", msg.GetToString(), err)
		}
		if s := parsed.Header.Get("Subject"); !strings.HasPrefix(s, "[Ward]") && !strings.HasPrefix(s, "=?UTF-8?q?[Ward]") {
			t.Errorf("the subject %q does not say whom it is from", s)
		}
	})
}
