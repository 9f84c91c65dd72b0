package ca_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestServerTLS serves HTTPS with a certificate of the authority: clients need the
// root alone, and a new certificate appears when a third of the life is left.
func TestServerTLS(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	choose, err := f.ServerTLS(t.Context(), []string{"ward.example"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Listener = tls.NewListener(srv.Listener, &tls.Config{GetCertificate: choose}) // StartTLS would prefer its own
	srv.Start()
	t.Cleanup(srv.Close)
	serve := func(wantLeft time.Duration) {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: rootOnly(f), Time: f.clock.now, ServerName: "127.0.0.1"}}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Get("https://" + srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		leaf := res.TLS.PeerCertificates[0]
		if left := leaf.NotAfter.Sub(f.clock.now()); left < wantLeft-time.Minute || left > wantLeft+time.Minute {
			t.Errorf("the certificate has %s left, want %s", left, wantLeft)
		}
		if err := leaf.VerifyHostname("ward.example"); err != nil {
			t.Error(err)
		}
		e := f.Expiries()
		if last := e[len(e)-1]; last.Name != "server" || !last.NotAfter.Equal(leaf.NotAfter) {
			t.Errorf("Expiries ends with %+v, want the server's %s", last, leaf.NotAfter)
		}
	}
	const day = 24 * time.Hour
	serve(30 * day)
	f.clock.turn(19 * day)
	serve(11 * day)
	f.clock.turn(2 * day)
	serve(30 * day)
}

func TestIssueServerRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	if _, err := f.IssueServer(t.Context(), nil, nil); ward.KindOf(err) != ward.Invalid {
		t.Errorf("IssueServer without a name = %v, want kind invalid", err)
	}
	got, err := f.IssueServer(t.Context(), nil, []net.IP{net.IPv6loopback})
	if err != nil {
		t.Fatal(err)
	}
	if got.Leaf.Subject.CommonName != "::1" || len(got.Leaf.ExtKeyUsage) != 1 || got.Leaf.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
		t.Errorf("subject %s, purposes %v", got.Leaf.Subject, got.Leaf.ExtKeyUsage)
	}
}
