package apns_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/apns"
	"github.com/wardmdm/ward/server/apns/standin"
)

// TestHostileServer has a server answer what APNs never would.
func TestHostileServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   int
	}{
		{"endless error body", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			for {
				if _, err := w.Write([]byte(strings.Repeat("x", 1<<16))); err != nil {
					return
				}
			}
		}, 400},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<html>a proxy</html>")
		}, 403},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.invalid/", http.StatusTemporaryRedirect)
		}, 307},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewUnstartedServer(tt.answer)
			srv.EnableHTTP2 = true
			srv.StartTLS()
			t.Cleanup(srv.Close)
			s := startStandin(t)
			cert, _, _, err := s.IssueCertificate(topic)
			if err != nil {
				t.Fatal(err)
			}
			roots := s.Pool()
			roots.AddCert(srv.Certificate())
			c, err := apns.New(apns.Options{
				BaseURL: srv.URL, RootCAs: roots, Now: time.Now,
				Certificates: &keyring{certs: map[string]*tls.Certificate{topic: &cert}},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			e, ok := errors.AsType[*apns.Error](c.Send(t.Context(), target(1)))
			if !ok || e.Status != tt.want || e.Reason != "" {
				t.Errorf("Send() = %v, want status %d without a reason", e, tt.want)
			}
		})
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	t.Parallel()
	k := &keyring{}
	for _, o := range []apns.Options{
		{},
		{Certificates: k},
		{Certificates: k, Now: time.Now, BaseURL: "http://plain.example"},
		{Certificates: k, Now: time.Now, BaseURL: "https://"},
		{Certificates: k, Now: time.Now, BaseURL: ":"},
		{Certificates: k, Now: time.Now, Workers: -1},
	} {
		if c, err := apns.New(o); err == nil {
			t.Errorf("New(%+v) = %v, want an error", o, c)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	s, err := standin.Start(standin.Options{Now: time.Now, AcceptUnknown: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	cert, _, _, err := s.IssueCertificate(topic)
	if err != nil {
		b.Fatal(err)
	}
	c, err := apns.New(apns.Options{
		BaseURL: s.URL(), RootCAs: s.Pool(), Now: time.Now,
		Certificates: &keyring{certs: map[string]*tls.Certificate{topic: &cert}},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := c.Send(b.Context(), target(1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
