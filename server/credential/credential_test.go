package credential_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// authority signs in no time and records in a unit of work, as the real one does.
type authority struct {
	unit   *store.DB
	signed atomic.Int64 // certificates that were recorded
	signer func() error // what happens while it signs
}

func (a *authority) IssueApp(ctx context.Context, _ *x509.CertificateRequest, _ credential.Grant, record func(ctx context.Context) error) ([]*x509.Certificate, error) {
	if a.signer != nil {
		if err := a.signer(); err != nil {
			return nil, err
		}
	}
	if err := a.unit.Do(ctx, record); err != nil {
		return nil, err
	}
	a.signed.Add(1)
	return []*x509.Certificate{{}}, nil
}

// log counts what was recorded.
type log struct{ n atomic.Int64 }

func (l *log) Record(context.Context, string, string, map[string]string) error {
	l.n.Add(1)
	return nil
}

type fixture struct {
	*credential.Service
	authority *authority
	db        *store.DB
	grant     credential.Grant
	now       time.Time
}

func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	f := &fixture{db: db, authority: &authority{unit: db}, now: time.Now().UTC()}
	f.Service = &credential.Service{Store: db.AppTokens(), Authority: f.authority, Devices: db.Fleet(), Audit: &log{}, Now: func() time.Time { return f.now }}
	f.grant = credential.Grant{Device: "d1", Enrolment: f.enrol(t, "d1", "U1"), App: "org.example.m"}
	return f
}

func (f *fixture) issue(t *testing.T) string {
	t.Helper()
	token, err := f.Issue(t.Context(), f.grant)
	if err != nil || len(token) < 40 {
		t.Fatalf("Issue() = %q, %v", token, err)
	}
	return token
}

func (f *fixture) refused(t *testing.T, what, token string) {
	t.Helper()
	before := f.authority.signed.Load()
	if _, _, err := f.Exchange(t.Context(), token, nil); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("%s: %v, want forbidden", what, err)
	}
	if got := f.authority.signed.Load(); got != before {
		t.Errorf("%s: a certificate was recorded", what)
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		token := f.issue(t)
		chain, g, err := f.Exchange(t.Context(), token, nil)
		if err != nil || len(chain) != 1 || g != f.grant {
			t.Fatalf("Exchange() = %v, %+v, %v; want one certificate for %+v", chain, g, err, f.grant)
		}
		f.refused(t, "a token used twice", token)
		f.refused(t, "a token that never was", "made-up")
		f.refused(t, "no token", "")
		old := f.issue(t)
		f.issue(t)
		f.refused(t, "a token that another replaced", old)
		late := f.issue(t)
		f.now = f.now.Add(credential.TokenLife)
		f.refused(t, "an expired token", late)
		void := f.issue(t)
		if err := f.Store.Void(t.Context(), "d1"); err != nil {
			t.Fatal(err)
		}
		f.refused(t, "a token made void", void)
		other := f.grant
		other.App = "org.example.n"
		one, err := f.Issue(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		f.issue(t)
		if _, g, err := f.Exchange(t.Context(), one, nil); err != nil || g != other {
			t.Errorf("another app's token after this one's: %+v, %v; want it to work", g, err)
		}
		ended := f.issue(t)
		if err := db.Fleet().EndEnrolment(t.Context(), f.grant.Enrolment, "checked out"); err != nil {
			t.Fatal(err)
		}
		f.refused(t, "a token of an ended enrolment", ended)
	})
}

// TestExchangeOnce: of many at once one gets a certificate.
func TestExchangeOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		token := f.issue(t)
		var wg sync.WaitGroup
		var got atomic.Int64
		for range 16 {
			wg.Go(func() {
				_, _, err := f.Exchange(t.Context(), token, nil)
				switch ward.KindOf(err) {
				case "":
					got.Add(1)
				case ward.Forbidden:
				default:
					t.Errorf("Exchange() = %v, want success or forbidden", err)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 || f.authority.signed.Load() != 1 {
			t.Errorf("%d got a certificate and %d were recorded, want 1", got.Load(), f.authority.signed.Load())
		}
	})
}

// TestExchangeLost: a device that is not managed now gets none, whenever that became so.
func TestExchangeLost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		set := func(s ward.DeviceState) error {
			return db.Fleet().SetDeviceState(context.WithoutCancel(t.Context()), "d1", s)
		}
		for _, s := range []ward.DeviceState{ward.Lost, ward.Unenrolled, ward.Erased, ward.Invited} {
			if err := set(s); err != nil {
				t.Fatal(err)
			}
			f.refused(t, "a device that is "+string(s), f.issue(t))
		}
		if err := set(ward.Managed); err != nil {
			t.Fatal(err)
		}
		token := f.issue(t)
		f.authority.signer = func() error { return set(ward.Lost) }
		f.refused(t, "a report of loss while the key is signed", token)
		f.authority.signer = nil
		if err := set(ward.Managed); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Exchange(t.Context(), token, nil); err != nil {
			t.Errorf("the token that bought nothing, once the device is found: %v, want it to work", err)
		}
		boom := errors.New("boom")
		token = f.issue(t)
		f.authority.signer = func() error { return boom }
		if _, _, err := f.Exchange(t.Context(), token, nil); !errors.Is(err, boom) {
			t.Errorf("Exchange() = %v, want %v", err, boom)
		}
		f.authority.signer = nil
		if _, _, err := f.Exchange(t.Context(), token, nil); err != nil {
			t.Errorf("after the authority failed: %v, want the token unspent", err)
		}
	})
}
