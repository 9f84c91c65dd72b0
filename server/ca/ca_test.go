package ca_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// gate is a small Challenges on the real database: it knows a fixed set.
type gate struct {
	grants map[string]ca.Grant
	store  *store.Certificates
}

func (g gate) Lookup(_ context.Context, challenge string) (ca.Grant, error) {
	grant, ok := g.grants[challenge]
	if !ok {
		return ca.Grant{}, ward.Errorf(ward.Forbidden, "This challenge is not known.")
	}
	return grant, nil
}

func (gate) Permit(context.Context, string, ca.Attested) error { return nil }

func (g gate) Redeem(ctx context.Context, challenge string, c ca.Certificate) error {
	fresh, err := g.store.UseOnce(ctx, "challenge", challenge, []byte(c.Serial), c.NotBefore)
	if err == nil && !fresh {
		return ward.Errorf(ward.Forbidden, "This challenge was used already.")
	}
	return err
}

// clock is a clock that a test may turn.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.at.Store(time.Now().UnixNano())
	return c
}
func (c *clock) now() time.Time        { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) turn(by time.Duration) { c.at.Add(int64(by)) }

// keys is one bootstrapped folder that most tests start from: making keys is slow.
var keys = sync.OnceValues(func() (fs.FS, error) {
	dir, err := os.MkdirTemp("", "wardca")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system clears its temporary folder
	db, err := store.Open(context.Background(), store.Options{URL: filepath.Join(dir, "db"), Master: storetest.Master(), Now: newClock().now})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if _, err := ca.Open(context.Background(), options(db, filepath.Join(dir, "ca"), newClock().now, zap.NewNop())); err != nil {
		return nil, err
	}
	kept := fstest.MapFS{}
	names, err := filepath.Glob(filepath.Join(dir, "ca", "1", "*"))
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			return nil, err
		}
		kept["1/"+filepath.Base(n)] = &fstest.MapFile{Data: b, Mode: 0o600}
	}
	return kept, err
})

func options(db *store.DB, dir string, now func() time.Time, log *zap.Logger) ca.Options {
	return ca.Options{
		Dir: dir, Passphrase: []byte("a passphrase apart from the database"),
		Organisation: "Example Trust", PublicURL: "https://ward.example:8443",
		Unit: db, Store: db.Certificates(), Now: now, Log: log,
		Challenges: gate{map[string]ca.Grant{
			"one": {Invitation: "inv 1", CommonName: "Ward phone", Device: "d1"},
			"two": {Invitation: "inv2", CommonName: "Ward phone"},
		}, db.Certificates()},
	}
}

// fixture is an authority on an empty database.
type fixture struct {
	*ca.Authority
	o     ca.Options
	db    *store.DB
	clock *clock
	logs  *observer.ObservedLogs
}

// newFixture opens an authority with the keys that most tests share.
func newFixture(t testing.TB, db *store.DB) *fixture {
	t.Helper()
	shared, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "ca")
	if err := os.CopyFS(dir, shared); err != nil {
		t.Fatal(err)
	}
	return fixtureIn(t, db, dir)
}

// fixtureIn opens the authority in dir, making it where there is none.
func fixtureIn(t testing.TB, db *store.DB, dir string) *fixture {
	t.Helper()
	f := &fixture{db: db, clock: newClock()}
	core, logs := observer.New(zapcore.DebugLevel)
	f.logs = logs
	f.o = options(db, dir, f.clock.now, zap.New(core))
	var err error
	if f.Authority, err = ca.Open(t.Context(), f.o); err != nil {
		t.Fatalf("Open: %v", err)
	}
	return f
}

// rsaKey is made once: keys are slow to make, and these tests are not about them.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func ecRequest(t testing.TB, curve elliptic.Curve) (*x509.CertificateRequest, *ecdsa.PrivateKey) {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return request(t, k), k
}

// request asks for names that it must not get.
func request(t testing.TB, key any) *x509.CertificateRequest {
	t.Helper()
	tmpl := &x509.CertificateRequest{DNSNames: []string{"ward.example"}, EmailAddresses: []string{"admin@ward.example"}}
	tmpl.Subject.CommonName = "administrator"
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func TestOpen(t *testing.T) {
	t.Parallel()
	f := fixtureIn(t, storetest.SQLite(t), filepath.Join(t.TempDir(), "keys", "ca"))
	again, err := ca.Open(t.Context(), f.o)
	if err != nil {
		t.Fatalf("second Open: %v", err)
	}
	if !again.Root().Equal(f.Root()) || !again.Issuer().Equal(f.Issuer()) {
		t.Error("the second Open made another authority")
	}
	if err := filepath.WalkDir(f.o.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o: others may read it", path, info.Mode().Perm())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root.key", "issuer.key"} {
		b, err := os.ReadFile(filepath.Join(f.o.Dir, "1", name))
		if err != nil || !bytes.HasPrefix(b, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----")) {
			t.Errorf("%s is not an encrypted PKCS#8 key (%v)", name, err)
		}
	}
	if err := os.Remove(filepath.Join(f.o.Dir, "1", "root.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Open(t.Context(), f.o); err != nil {
		t.Errorf("Open with the root's key put away: %v", err)
	}
}

func TestAuthorityCertificates(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	root, issuer := f.Root(), f.Issuer()
	if root.SignatureAlgorithm != x509.ECDSAWithSHA384 || !root.IsCA || root.NotAfter.Before(f.clock.now().AddDate(19, 11, 0)) {
		t.Errorf("root: %s, CA %v, until %s", root.SignatureAlgorithm, root.IsCA, root.NotAfter)
	}
	key, ok := issuer.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() != 2048 || !issuer.MaxPathLenZero || issuer.NotAfter.Before(f.clock.now().AddDate(9, 11, 0)) {
		t.Errorf("issuer: key %T, path length zero %v, until %s", issuer.PublicKey, issuer.MaxPathLenZero, issuer.NotAfter)
	}
	want := x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	if issuer.KeyUsage != want {
		t.Errorf("issuer key usage = %b, want %b: SCEP clients encrypt to it", issuer.KeyUsage, want)
	}
	if diff := cmp.Diff([]ca.Expiry{{Name: "root", NotAfter: root.NotAfter}, {Name: "issuer", NotAfter: issuer.NotAfter}}, f.Expiries()); diff != "" {
		t.Errorf("Expiries mismatch (-want +got)\n%s", diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	other := fixtureIn(t, storetest.SQLite(t), t.TempDir())
	tests := []struct {
		name string
		edit func(*ca.Options)
		want ward.Kind
	}{
		{"wrong passphrase", func(o *ca.Options) { o.Passphrase = []byte("wrong") }, ward.Forbidden},
		{"no passphrase", func(o *ca.Options) { o.Passphrase = nil }, ward.Internal},
		{"keys lost, certificates in the database", func(o *ca.Options) { o.Dir = t.TempDir() }, ward.Conflict},
		{"keys of another database", func(o *ca.Options) { o.Dir = other.o.Dir }, ward.Conflict},
		{"public URL without TLS", func(o *ca.Options) { o.PublicURL = "http://ward.example" }, ward.Invalid},
		{"public URL with a path", func(o *ca.Options) { o.PublicURL = "https://ward.example/mdm" }, ward.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := f.o
			tt.edit(&o)
			if _, err := ca.Open(t.Context(), o); ward.KindOf(err) != tt.want {
				t.Errorf("Open = %v, want kind %s", err, tt.want)
			}
			if found, err := filepath.Glob(filepath.Join(o.Dir, "*")); err != nil || (o.Dir != f.o.Dir && o.Dir != other.o.Dir && len(found) > 0) {
				t.Errorf("a refused Open left %v (%v)", found, err)
			}
		})
	}
}

// TestFirstRunTogether: several processes that start on an empty folder and database
// agree on one authority.
func TestFirstRunTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := ca.Options{
			Dir: t.TempDir(), Passphrase: []byte("p"), Organisation: "Example Trust", PublicURL: "https://ward.example",
			Unit: db, Store: db.Certificates(), Challenges: gate{}, Now: newClock().now, Log: zap.NewNop(),
		}
		var wg sync.WaitGroup
		got := make([]*ca.Authority, 4)
		for i := range got {
			wg.Go(func() {
				a, err := ca.Open(t.Context(), o)
				if err != nil {
					t.Errorf("Open %d: %v", i, err)
				}
				got[i] = a
			})
		}
		wg.Wait()
		for i, a := range got {
			if a == nil || got[0] == nil || !a.Issuer().Equal(got[0].Issuer()) {
				t.Errorf("process %d has another issuer than process 0", i)
			}
		}
		if left, err := filepath.Glob(filepath.Join(o.Dir, ".new-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

var errBoom = errors.New("boom")
