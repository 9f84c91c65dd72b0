package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/health"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/posture"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var start = time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)

// compiler stands for the protocol: it makes commands that no device reads.
type compiler struct{ n *atomic.Int64 }

func (c compiler) NewUUID() string { return fmt.Sprintf("UUID-%d", c.n.Add(1)) }

func (c compiler) Compile(_ context.Context, s reconcile.Step, _ ward.Device, _ ward.Enrolment, _ string) (string, []byte, error) {
	return string(s.Deed), []byte(s.Deed), nil
}

func (c compiler) Profile(_ context.Context, _ enrollment.Invitation, t enrollment.Ticket) ([]byte, error) {
	return []byte(t.Challenge), nil
}

func (c compiler) RevokeApps(context.Context, ward.DeviceID, string) ([]string, error) {
	return nil, nil
}

// openCases tells the loop of cases.
type openCases struct{ s store.Cases }

func (o openCases) OpenCase(ctx context.Context, id ward.DeviceID) (*profiles.Case, error) {
	c, err := o.s.OpenCase(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return nil, nil
	}
	return &profiles.Case{ID: c.ID, Kind: profiles.CaseKind(c.Kind), Message: c.Message, Reported: c.Reported}, err
}

// recorder writes the domain's deeds to the audit log.
type recorder struct{ log *audit.Service }

func (r recorder) Record(ctx context.Context, action, subject string, detail map[string]string) error {
	return r.log.Record(ctx, audit.Entry{Action: action, Subject: subject, Detail: detail})
}

// outside is what the API asks of parts that this test does without.
type outside struct {
	backup func(w io.Writer) error
	raw    []api.RawCommand
}

func (o *outside) Status(context.Context) ([]api.PushStatus, error) {
	return []api.PushStatus{{Topic: "com.apple.mgmt.External.x", NotAfter: start.AddDate(0, 0, 10), DaysLeft: 10, RenewSoon: true}}, nil
}

func (o *outside) Request(context.Context, string, string) ([]byte, error) {
	return []byte("-----BEGIN CERTIFICATE REQUEST-----\n"), nil
}

func (o *outside) Import(_ context.Context, certPEM, _ []byte) (api.PushStatus, error) {
	if !bytes.HasPrefix(certPEM, []byte("-----BEGIN")) {
		return api.PushStatus{}, ward.Errorf(ward.Invalid, "This is no certificate: %s", certPEM)
	}
	return api.PushStatus{Topic: "com.apple.mgmt.External.x"}, nil
}

func (o *outside) Queue(_ context.Context, c api.RawCommand) (api.Enqueued, error) {
	o.raw = append(o.raw, c)
	if !bytes.Contains(c.Body, []byte("<plist")) {
		return api.Enqueued{}, ward.Errorf(ward.Invalid, "The command can't be read: %s", c.Body)
	}
	e := api.Enqueued{CommandUUID: "C-1", RequestType: "DeviceInformation", Failed: map[string]error{}}
	for _, id := range c.Channels {
		if strings.HasPrefix(id, "unknown") {
			e.Failed[id] = ward.Errorf(ward.NotFound, "%s is not enrolled.", id)
		}
	}
	return e, nil
}

func (o *outside) Write(_ context.Context, w io.Writer) error { return o.backup(w) }

// world is the API over real services on a real database.
type world struct {
	t        *testing.T
	db       *store.DB
	access   *access.Service
	audit    *audit.Service
	outside  *outside
	register *register
	handler  http.Handler
	engine   *engine
	log      *buffer
	zap      *zap.Logger

	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }

// buffer is a log in memory.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) Sync() error                 { return nil }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: start, log: &buffer{}}
	w.zap = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), w.log, zapcore.DebugLevel))
	w.db = must(store.Open(t.Context(), store.Options{URL: filepath.Join(t.TempDir(), "ward.db"), Master: storetest.Master(), Now: w.clock}))(t)
	t.Cleanup(func() {
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
	w.outside = &outside{backup: func(out io.Writer) error { _, err := out.Write([]byte("all of it")); return err }}
	w.register = &register{now: w.clock}
	key := must(audit.LoadKey(filepath.Join(t.TempDir(), "audit.key"), "ward.example/audit"))(t)
	w.audit = must(audit.New(audit.Config{Store: w.db.Audit(), Master: storetest.Master(), Key: key, Now: w.clock}))(t)
	w.access = must(access.New(access.Config{Store: w.db.Access(), Audit: w.audit, Now: w.clock}))(t)
	rec, comp := recorder{w.audit}, compiler{&atomic.Int64{}}
	policies := policy.New(w.db.Policies(), rec, w.clock, func() {})
	loop := &reconcile.Loop{Fleet: w.db.Fleet(), Policies: policies, Cases: openCases{w.db.Cases()}, Credentials: w.db.AppTokens(), Drift: w.db.Drift(), Queue: w.db.Commands(), Compiler: comp, Now: w.clock}
	w.engine = newEngine(t, w, rec, comp, loop)
	n := 0
	invitations := must(enrollment.New(enrollment.Options{
		Store: w.db.Invitations(), Unit: w.db, Devices: w.db.Fleet(), Profiles: comp, Now: w.clock, Record: rec.Record,
		NewDevice: func() ward.DeviceID { n++; return ward.DeviceID(fmt.Sprintf("dev_new%d", n)) },
	}))(t)
	reader := &posture.Reader{Store: w.db.Fleet(), Loop: loop, Commands: w.db.Commands(), Queue: w.db.Commands(), Audit: rec, Now: w.clock}
	present := must(estate.New(estate.Options{Store: w.db.Estate(), Assess: reader.Assess, Overlap: w.db.PostureOverlap(), Now: w.clock}))(t)
	handler := must(api.New(api.Options{
		PublicURL: publicURL, InviteURL: func(token string) string { return publicURL + "/enrol/" + token },
		Unit: w.db, Access: w.access, SignIn: w.signIn(), Lost: w.engine.cases, Orders: w.engine.orders, Approvers: w.engine.approvers, Brake: w.engine.brake, Notify: w.engine.notify,
		CaseFile: w.engine.caseFile, OrderFile: w.engine.orderFile, Reports: reports{}, MacPIN: w.engine.macPIN, Invitations: invitations, Policies: policies, Audit: w.audit,
		Posture: reader, Estate: present,
		Pushes: w.outside, Authority: w.register, Enqueuer: w.outside, Backups: w.outside, Now: w.clock,
		Health: func(context.Context) (health.Report, error) {
			return health.Judge(health.Facts{Now: w.clock(), Version: "1"}), nil
		},
	}))(t)
	w.handler = httpd.Wrap(httpd.Options{Log: w.zap, Now: w.clock}, handler)
	return w
}

// must returns v unless there is an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// person adds a person and returns a token of theirs.
func (w *world) person(name string, roles ...ward.Role) (access.Person, string) {
	w.t.Helper()
	ctx := ward.WithActor(w.t.Context(), ward.Actor{Name: "operator", Via: ward.ViaConsole})
	p := must(w.access.CreatePerson(ctx, access.NewPerson{Name: name, Roles: roles}))(w.t)
	_, secret, err := w.access.CreateToken(ctx, access.NewToken{Person: p.ID, Name: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	return p, secret
}

// phone enrols a supervised phone and has it tell about itself.
func (w *world) phone(id ward.DeviceID) ward.Enrolment {
	w.t.Helper()
	return w.device(ward.Device{ID: id, Name: "Phone " + string(id), Platform: ward.IOS, OSVersion: "18.6"})
}

// mac enrols a Mac.
func (w *world) mac(id ward.DeviceID) ward.Enrolment {
	w.t.Helper()
	return w.device(ward.Device{ID: id, Name: "Mac " + string(id), Platform: ward.MacOS, OSVersion: "15.6"})
}

func (w *world) device(d ward.Device) ward.Enrolment {
	w.t.Helper()
	f, id := w.db.Fleet(), d.ID
	d.Serial, d.Ownership, d.State, d.Created = "S-"+string(id), ward.Corporate, ward.Managed, start
	err := f.InsertDevice(w.t.Context(), d)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx := fleet.WithAdmission(w.t.Context(), fleet.Admission{Device: id, Rights: ward.RightsAll})
	r := mdm.NewRequestWithContext(ctx, nil)
	r.EnrollID = &mdm.EnrollID{Type: mdm.Device, ID: "udid-" + string(id)}
	from := mdm.Enrollment{UDID: r.EnrollID.ID}
	if err := w.db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: from, Topic: "t", Raw: []byte("raw")}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: from, Push: mdm.Push{Topic: "t", PushMagic: "m", Token: []byte{1}}, Raw: []byte("raw")}); err != nil {
		w.t.Fatal(err)
	}
	e := must(f.Current(w.t.Context(), id))(w.t)
	if err := f.SetSupervised(w.t.Context(), e.ID, ward.Supervised); err != nil {
		w.t.Fatal(err)
	}
	for kind, value := range map[fleet.FactKind]string{
		fleet.Information: `{"supervised":true,"lost_mode":false,"os_version":"18.6","battery":0.8}`,
		fleet.Security:    `{"passcode_present":true,"passcode_compliant":true,"encrypted":true}`,
		fleet.Apps:        `[{"bundle_id":"net.whatsapp.WhatsApp","name":"WhatsApp","version":"25.1"}]`,
		fleet.Profiles:    `[{"identifier":"com.example.wifi","name":"Wi-Fi","managed":true}]`,
	} {
		if err := f.SetFact(w.t.Context(), e.ID, fleet.Fact{Kind: kind, Value: json.RawMessage(value), Observed: start}); err != nil {
			w.t.Fatal(err)
		}
	}
	return e
}

// accept has the device fetch and accept its commands, one of which must be of the type.
func (w *world) accept(e ward.Enrolment, requestType string) {
	w.t.Helper()
	if got := w.drain(e); !slices.Contains(got, requestType) {
		w.t.Fatalf("delivered = %q, want %s", got, requestType)
	}
}

// drain has the device fetch and accept whatever it is given, and returns the request types.
func (w *world) drain(e ward.Enrolment) (got []string) {
	w.t.Helper()
	for {
		r, body, _, err := w.db.Commands().Next(w.t.Context(), e.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if body == nil {
			return got
		}
		if _, _, err := w.db.Commands().Report(w.t.Context(), e.ID, store.Answer{UUID: r.UUID, State: command.Accepted}); err != nil {
			w.t.Fatal(err)
		}
		got = append(got, r.RequestType)
	}
}

// do sends a request; body is sent as it is if it is text, else as JSON.
func (w *world) do(token, method, path string, body any) *httptest.ResponseRecorder {
	w.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		in = bytes.NewReader(must(json.Marshal(b))(w.t))
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, api.Prefix+path, in)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, r)
	return out
}

// ok sends a request that must be answered with status, and reads the answer into v
// unless that is nil.
func (w *world) ok(status int, token, method, path string, body, v any) string {
	w.t.Helper()
	out := w.do(token, method, path, body)
	if out.Code != status {
		w.t.Fatalf("%s %s = %d, want %d\n%s", method, path, out.Code, status, out.Body)
	}
	if v != nil {
		reflect.ValueOf(v).Elem().SetZero() // what an answer leaves out is not what was there before
		if err := json.Unmarshal(out.Body.Bytes(), v); err != nil {
			w.t.Fatalf("%s %s: %v\n%s", method, path, err, out.Body)
		}
	}
	return out.Body.String()
}

// problem sends a request that must be answered with a problem of status.
func (w *world) problem(status int, token, method, path string, body any) httpd.Problem {
	w.t.Helper()
	out := w.do(token, method, path, body)
	var p httpd.Problem
	if out.Code != status || out.Header().Get("Content-Type") != httpd.ProblemType {
		w.t.Fatalf("%s %s = %d %s, want %d and a problem\n%s", method, path, out.Code, out.Header().Get("Content-Type"), status, out.Body)
	}
	if err := json.Unmarshal(out.Body.Bytes(), &p); err != nil {
		w.t.Fatal(err)
	}
	if p.Status != status || p.Detail == "" || p.RequestID != out.Header().Get("X-Request-Id") || p.RequestID == "" {
		w.t.Errorf("%s %s: the problem %+v does not say its status, what is wrong and the request's id", method, path, p)
	}
	return p
}

// signIn is how people sign in.
func (w *world) signIn() *access.SignIn {
	w.t.Helper()
	s, err := access.NewSignIn(access.SignInConfig{Access: w.access, Store: w.db.SignIn(), RPID: "ward.example", Origin: "https://ward.example"})
	w.must(err)
	return s
}
