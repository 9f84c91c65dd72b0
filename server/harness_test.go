package server

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/posture"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestMain is also the server that TestKill and TestKillOrders kill: the test binary runs
// itself as one.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killOrdersFolder); dir != "" {
		os.Exit(obeyUntilKilled(dir, os.Getenv(killDatabase), os.Getenv(killURL)))
	}
	if dir := os.Getenv(killFolder); dir != "" {
		os.Exit(serveUntilKilled(dir, os.Getenv(killDatabase), os.Getenv(killURL)))
	}
	os.Exit(storetest.Main(m))
}

// both runs f on each engine, with the URL of an empty database: "" is SQLite in the
// server's own folder.
func both(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, "")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		f(t, storetest.PostgresURL(t))
	})
}

// clock is the machine's, moved forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().UTC().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// world is a whole server on loopback with a person who may do anything.
type world struct {
	*Server
	clock   *clock
	logs    *observer.ObservedLogs
	ctx     context.Context // with the person acting
	token   string          // the person's
	devices *agent.Transport
	people  *http.Client
	stop    func()
}

// trialConfig is the configuration of a trial on the listener.
func trialConfig(t testing.TB, l net.Listener, url string) Config {
	t.Helper()
	c := DefaultConfig()
	c.Data, c.Listen, c.PublicURL, c.Trial, c.DatabaseURL = t.TempDir(), l.Addr().String(), "https://"+l.Addr().String(), true, url
	c.Organisation, c.Log, c.workFactor = "Test Hospital", Log{Level: "fatal", Format: "json"}, 10
	return c
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start runs a trial server until the test ends; change, which may be nil, changes its
// configuration first.
func start(t testing.TB, url string, change func(*Config)) *world {
	t.Helper()
	l := listen(t)
	c := trialConfig(t, l, url)
	if change != nil {
		change(&c)
	}
	if c.Keys == "" && c.CA.IssuerKey == "" && c.Organisation == "Test Hospital" {
		readyKeys(t, filepath.Join(c.Data, "keys"))
	}
	return run(t, l, c)
}

// made is the keys folder of a trial's first start, but for the key of the audit log, which
// is named after the address: making an issuer's key takes longer than most tests.
var made = sync.OnceValues(func() (_ fs.FS, err error) {
	dir, err := os.MkdirTemp("", "wardkeys")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := DefaultConfig()
	c.Data, c.Listen, c.PublicURL, c.Trial = dir, "127.0.0.1:8443", "https://127.0.0.1:8443", true
	c.Organisation, c.Log, c.workFactor = "Test Hospital", Log{Level: "fatal", Format: "json"}, 10
	s, err := New(context.Background(), c)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	kept := fstest.MapFS{}
	keys := os.DirFS(filepath.Join(dir, "keys"))
	err = fs.WalkDir(keys, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || name == "audit.key" {
			return err
		}
		b, err := fs.ReadFile(keys, name)
		kept[name] = &fstest.MapFile{Data: b, Mode: 0o600}
		return err
	})
	return kept, err
})

// readyKeys fills a new keys folder.
func readyKeys(t testing.TB, dir string) {
	t.Helper()
	keys, err := made()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, keys); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "master.key"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a server until the test ends or its stop is called. It fails the test if the
// server logs an error of its own.
func run(t testing.TB, l net.Listener, c Config) *world {
	t.Helper()
	w := &world{clock: &clock{}}
	c.now = w.clock.now
	var err error
	if w.Server, err = New(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.InfoLevel)
	w.Log, w.logs = zap.New(core), logs
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- w.Run(ctx, l, func() { close(started) }) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
		for _, e := range logs.FilterLevelExact(zap.ErrorLevel).All() {
			t.Errorf("the server logged an error: %s %v", e.Message, e.ContextMap())
		}
	})
	t.Cleanup(w.stop)
	select {
	case <-started:
	case err := <-ended:
		t.Fatalf("Run() = %v before it served", err)
	}
	w.connect(t)
	return w
}

// connect makes the person and the ways to reach the server.
func (w *world) connect(t testing.TB) {
	t.Helper()
	console := ward.WithActor(context.WithoutCancel(t.Context()), ward.Actor{Name: "console", Via: ward.ViaConsole})
	p, err := w.Access.PersonByName(console, "Robin Lee")
	if ward.KindOf(err) == ward.NotFound {
		p, err = w.Access.CreatePerson(console, access.NewPerson{Name: "Robin Lee", Roles: ward.Roles})
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, w.token, err = w.Access.CreateToken(console, access.NewToken{Person: p.ID, Name: "test"}); err != nil {
		t.Fatal(err)
	}
	w.ctx = ward.WithActor(context.WithoutCancel(t.Context()), ward.Actor{Person: p.ID, Name: p.Name, Via: ward.ViaToken, Roles: p.Roles})
	roots := w.Authority.Pool()
	rt := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	w.people = &http.Client{Transport: rt, Timeout: 30 * time.Second}
	all := roots.Clone()
	if s := w.StandIn(); s != nil {
		all.AppendCertsFromPEM(s.CAPEM())
	}
	w.devices = agent.NewTransport(all)
	t.Cleanup(func() {
		rt.CloseIdleConnections()
		w.devices.Close()
	})
}

// call asks the API as the person and decodes the answer into v, which may be nil.
func (w *world) call(t testing.TB, method, path string, body io.Reader, v any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.URL()+"/api/v1"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/xml")
	}
	res, err := w.people.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if v != nil {
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatalf("%s %s answered %d %s: %v", method, path, res.StatusCode, b, err)
		}
	}
	return res.StatusCode
}

func firstOf(errs ...error) error {
	if i := slices.IndexFunc(errs, func(e error) bool { return e != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// Making keys is not what is tested: all devices share one. What tells them apart is
// their certificates.
var oneKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func sharedKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := oneKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// phone returns a virtual iPhone that is not enrolled yet.
func (w *world) phone(t testing.TB, name string, change func(*virtual.Options)) *virtual.Phone {
	t.Helper()
	key := sharedKey(t)
	o := virtual.Options{
		UDID: "00008120-" + name, Serial: "SN" + name, Name: "iPhone " + name, PasscodeSet: true, Latitude: 55.7765, Longitude: -4.0471,
		Transport: w.devices, ProfileRoots: w.Authority.Pool(), Clock: time.Now, RetryMin: 5 * time.Millisecond, RetryMax: 100 * time.Millisecond,
		Keys: func(context.Context) (*rsa.PrivateKey, error) { return key, nil },
		Apps: []virtual.Installed{{BundleID: whatsApp, Name: "WhatsApp", Version: "25.1"}, {BundleID: photos, Name: "Holiday Photos", Version: "3.1"}},
	}
	if s := w.StandIn(); s != nil {
		o.PushURL = s.URL()
	}
	if change != nil {
		change(&o)
	}
	p, err := virtual.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	whatsApp  = "net.whatsapp.WhatsApp"
	photos    = "com.example.photos"
	messenger = "org.example.wardmessenger"
)

// invite makes an invitation; change, which may be nil, changes the request first.
func (w *world) invite(t testing.TB, o ward.Ownership, change func(*enrollment.Request)) enrollment.Invited {
	t.Helper()
	r := enrollment.Request{Name: "Ada", Email: "ada@hospital.example", Ownership: o, Group: "Ward 7"}
	if change != nil {
		change(&r)
	}
	inv, err := w.Enrolment.Create(w.ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// enrol enrols a phone by an invitation of its own and returns its device.
func (w *world) enrol(t testing.TB, p *virtual.Phone, o ward.Ownership) ward.DeviceID {
	t.Helper()
	inv := w.invite(t, o, nil)
	if err := p.Enrol(t.Context(), w.InviteURL(inv.Token)); err != nil {
		t.Fatalf("enrol %s: %v", p.Serial(), err)
	}
	return w.show(t, p.Serial()).Device.ID
}

// on keeps the phone on until the test ends.
func (w *world) on(t testing.TB, p *virtual.Phone) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	end := make(chan error, 1)
	go func() { end <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-end; err != nil {
			t.Errorf("phone %s: %v", p.Serial(), err)
		}
	})
}

func (w *world) show(t testing.TB, word string) posture.Detail {
	t.Helper()
	d, err := w.Devices.Show(w.ctx, word)
	if err != nil {
		t.Fatalf("show %s: %v", word, err)
	}
	return d
}

const patience = 15 * time.Second

// await waits until cond is true of the phone.
func await(t testing.TB, p *virtual.Phone, what string, cond func(*virtual.Phone) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Await(ctx, cond); err != nil {
		t.Fatalf("%s: %v; it did: %s", what, err, deeds(p))
	}
}

func deeds(p *virtual.Phone) string {
	var b strings.Builder
	for _, e := range p.Log() {
		fmt.Fprintf(&b, "%s %s; ", e.RequestType, e.Answer.Status)
	}
	return b.String()
}

func asked(p *virtual.Phone, requestType string) (n int) {
	for _, e := range p.Log() {
		if e.RequestType == requestType {
			n++
		}
	}
	return n
}

// eventually waits until cond is true of the server.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s did not come about in %s", what, patience)
		}
	}
}

// certificateOf returns what a phone proves itself by.
func certificateOf(t testing.TB, p *virtual.Phone) (*x509.Certificate, *agent.Enrolment) {
	t.Helper()
	e, err := p.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	return e.Certificate, e
}

// reopen listens on an address again that a server was at.
func reopen(t testing.TB, address string) (net.Listener, error) {
	t.Helper()
	var lc net.ListenConfig
	return lc.Listen(t.Context(), "tcp", address)
}
