package siem_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/siem"
)

func now() time.Time { return time.Date(2026, 11, 3, 3, 0, 0, 123456000, time.UTC) }

// log is an audit log of so many entries.
type log int

func (l log) Sequenced(_ context.Context, from int64, limit int) (out []audit.Recorded, err error) {
	for i := from; i < int64(l) && len(out) < limit; i++ {
		out = append(out, audit.Recorded{
			ID: i + 100, Index: i, At: now().Add(time.Duration(i) * time.Second), Action: "device.lost", Subject: "dev_1",
			Actor: ward.Actor{Person: "person-1", Name: "Zoë “Z” O’Neil\n", Via: ward.ViaSession}, Detail: map[string]string{"where": "ward 7"},
		})
	}
	return out, nil
}

// places keeps one place in memory.
type places struct {
	mu    sync.Mutex
	place siem.Place
	until time.Time
}

func (p *places) Lease(_ context.Context, name string, begin int64, now, until time.Time) (siem.Place, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until.After(now) {
		return siem.Place{}, false, nil
	}
	if p.place.Name == "" {
		p.place = siem.Place{Name: name, Next: begin}
	}
	p.until = until
	return p.place, true, nil
}

func (p *places) Keep(_ context.Context, q siem.Place) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place, p.until = q, time.Time{}
	return nil
}

func (p *places) Places(context.Context) ([]siem.Place, error) { return []siem.Place{p.place}, nil }

// taker takes events, or fails.
type taker struct {
	fail error
	got  []int64
}

func (s *taker) Send(_ context.Context, events []siem.Event) error {
	if s.fail != nil {
		return s.fail
	}
	for _, e := range events {
		s.got = append(s.got, e.Index)
	}
	return nil
}

// TestDo follows the log over batches, failures and another copy's lease: each entry comes
// once and in order.
func TestDo(t *testing.T) {
	t.Parallel()
	p, to := &places{}, &taker{}
	s := &siem.Service{Entries: log(450), Places: p, Streams: []siem.Stream{{"soc", to}}, Host: "mdm.example.org", Now: now}
	if err := s.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Entries = log(453)
	to.fail = errors.New("no route")
	if err := s.Do(t.Context()); err == nil || !strings.Contains(err.Error(), "stream soc: no route") {
		t.Errorf("Do = %v, want the stream's error", err)
	}
	if p.place.LastError != "no route" || p.place.Failed.IsZero() || p.place.Next != 450 {
		t.Errorf("the place after a failure is %+v", p.place)
	}
	to.fail, p.until = nil, now().Add(time.Minute)
	if err := s.Do(t.Context()); err != nil || len(to.got) != 450 {
		t.Errorf("a stream that another copy holds was sent to: %d events, %v", len(to.got), err)
	}
	p.until = time.Time{}
	if err := s.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want []int64
	for i := range int64(453) {
		want = append(want, i)
	}
	if diff := cmp.Diff(want, to.got); diff != "" {
		t.Errorf("events mismatch (-want +got):\n%s", diff)
	}
	if p.place.Next != 453 || p.place.LastError != "" || !p.place.Failed.IsZero() || !p.place.Sent.Equal(now()) {
		t.Errorf("the place at the end is %+v", p.place)
	}
}

// certificate is one of the standard library's test server, and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return srv.TLS.Certificates[0], pool
}

// TestSyslog sends to a receiver that parses by another's parser, over TLS; the receiver
// hangs up in between.
func TestSyslog(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got, closed := make(chan *rfc5424.SyslogMessage, 10), make(chan struct{}, 2)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			parser := octetcounting.NewParser(syslog.WithListener(func(r *syslog.Result) {
				if m, ok := r.Message.(*rfc5424.SyslogMessage); ok && r.Error == nil {
					got <- m
					if strings.Contains(*m.Message, `"index":1,`) {
						_ = c.Close()
						closed <- struct{}{}
					}
				}
			}))
			go parser.Parse(c)
		}
	}()
	s := &siem.Syslog{Address: l.Addr().String(), TLS: &tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS12}}
	t.Cleanup(func() { _ = s.Close() })
	send := &siem.Service{Entries: log(2), Places: &places{}, Streams: []siem.Stream{{"soc", s}}, Host: "mdm.example.org", Now: now}
	if err := send.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-closed
	send.Entries = log(3)
	if err := send.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		m := <-got
		var e siem.Event
		if err := json.Unmarshal([]byte(*m.Message), &e); err != nil {
			t.Fatal(err)
		}
		want := siem.Event{
			Host: "mdm.example.org", Index: int64(i), At: now().Add(time.Duration(i) * time.Second), Action: "device.lost", Subject: "dev_1",
			Actor: siem.Actor{Person: "person-1", Name: "Zoë “Z” O’Neil\n", Via: "session"}, Detail: map[string]any{"where": "ward 7"},
		}
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("event mismatch (-want +got):\n%s", diff)
		}
		if *m.Hostname != "mdm.example.org" || *m.Appname != "ward" || *m.MsgID != "device.lost" || *m.Facility != 13 || *m.Severity != 5 || !m.Timestamp.Equal(want.At) {
			t.Errorf("the header of message %d is %+v", i, m)
		}
	}
}

// TestSyslogUnknown does not talk to a receiver that does not prove who it is.
func TestSyslogUnknown(t *testing.T) {
	t.Parallel()
	cert, _ := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	s := &siem.Syslog{Address: l.Addr().String(), TLS: &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "example.com", MinVersion: tls.VersionTLS12}}
	if err := s.Send(t.Context(), []siem.Event{{Action: "a"}}); err == nil {
		t.Error("a receiver without a known certificate was sent events")
	}
	var lc net.ListenConfig
	if free, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0"); err == nil {
		_ = free.Close()
		if err := (&siem.Syslog{Address: free.Addr().String()}).Send(t.Context(), []siem.Event{{}}); err == nil {
			t.Error("a receiver that is not there took events")
		}
	}
}

// TestCollector posts batches in both shapes, and keeps them where they are not taken.
func TestCollector(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	var bodies []string
	var header http.Header
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies, header = append(bodies, string(b)), r.Header
		w.WriteHeader(status)
	}))
	t.Cleanup(srv.Close)
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	events := []siem.Event{{Host: "h", Index: 7, At: now(), Action: "a.b"}, {Host: "h", Index: 8, At: now(), Action: "c.d"}}
	for shape, want := range map[siem.Shape]string{
		siem.Lines: `{"host":"h","index":7,"at":"2026-11-03T03:00:00.123456Z","action":"a.b","actor":{}}` + "\n" + `{"host":"h","index":8,"at":"2026-11-03T03:00:00.123456Z","action":"c.d","actor":{}}` + "\n",
		siem.HEC: `{"time":"1793674800.123","host":"h","source":"ward","event":{"host":"h","index":7,"at":"2026-11-03T03:00:00.123456Z","action":"a.b","actor":{}}}` + "\n" +
			`{"time":"1793674800.123","host":"h","source":"ward","event":{"host":"h","index":8,"at":"2026-11-03T03:00:00.123456Z","action":"c.d","actor":{}}}` + "\n",
	} {
		bodies = nil
		c, err := siem.NewCollector(srv.URL+"/services/collector?key=s3cret", shape, http.Header{"Authorization": {"Splunk k3y"}}, pool)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(t.Context(), events); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{want}, bodies); diff != "" {
			t.Errorf("%s mismatch (-want +got):\n%s", shape, diff)
		}
		if header.Get("Authorization") != "Splunk k3y" {
			t.Errorf("the header came as %q", header.Get("Authorization"))
		}
		status = http.StatusForbidden
		if err := c.Send(t.Context(), events); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a refused batch gave %v, want an error without the address's query", err)
		}
		status = http.StatusOK
	}
	for _, address := range []string{"http://h/", "https://u:p@h/", "ftp://h", "", "https://h/#x"} {
		if _, err := siem.NewCollector(address, siem.Lines, nil, nil); err == nil {
			t.Errorf("the address %q was taken", address)
		}
	}
}

// TestFile appends, and makes the file anew after it was moved away.
func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := siem.File{Path: path}
	for range 2 {
		if err := f.Send(t.Context(), []siem.Event{{Index: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Send(t.Context(), []siem.Event{{Index: 2}}); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path + ".1")
	after, _ := os.ReadFile(path)
	if strings.Count(string(before), "\n") != 2 || !strings.Contains(string(after), `"index":2`) {
		t.Errorf("the files hold %q and %q", before, after)
	}
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v: others may read it", i.Mode(), err)
	}
}
