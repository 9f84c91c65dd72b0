package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/posture"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"github.com/wardmdm/ward/server/web"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const (
	messenger  = "org.example.wardmessenger"
	whatsApp   = "net.whatsapp.WhatsApp"
	passphrase = "lamp otter quiet seven"
)

// compiler makes commands that a phone of these tests understands.
type compiler struct{ n *atomic.Int64 }

func (c compiler) NewUUID() string { return fmt.Sprintf("UUID-%d", c.n.Add(1)) }

func (compiler) Compile(_ context.Context, s reconcile.Step, _ ward.Device, _ ward.Enrolment, _ string) (string, []byte, error) {
	types := map[reconcile.Deed]string{
		reconcile.AskInformation: "DeviceInformation", reconcile.AskSecurity: "SecurityInfo", reconcile.AskApps: "InstalledApplicationList",
		reconcile.AskManagedApps: "ManagedApplicationList", reconcile.AskProfiles: "ProfileList", reconcile.InstallProfile: "InstallProfile", reconcile.Declare: "DeclarativeManagement",
		reconcile.RemoveProfile: "RemoveProfile", reconcile.InstallApp: "InstallApplication", reconcile.ConfigureApp: "Settings",
		reconcile.RemoveApp: "RemoveApplication", reconcile.EnableLostMode: "EnableLostMode", reconcile.DisableLostMode: "DisableLostMode",
		reconcile.Locate: "DeviceLocation", reconcile.Lock: "DeviceLock", reconcile.RemoveManagement: "RemoveProfile",
	}
	return types[s.Deed], bodyOf(types[s.Deed]), nil
}

// bodyOf is a body that names its request type, for typeOf.
func bodyOf(requestType string) []byte { return []byte("<string>" + requestType + "</string>") }

// typeOf reads what bodyOf made. Only what an order may send is destructive here.
func typeOf(body []byte) (string, bool, error) {
	is := strings.TrimSuffix(strings.TrimPrefix(string(body), "<string>"), "</string>")
	return is, is == "EraseDevice" || is == "ClearPasscode", nil
}

func (compiler) Ask(string) (string, []byte, error) {
	return "DeviceInformation", bodyOf("DeviceInformation"), nil
}

func (compiler) Lock(ward.Device, string, string) (string, []byte, error) {
	return "DeviceLock", bodyOf("DeviceLock"), nil
}

func (compiler) Sound() (string, []byte, error) {
	return "PlayLostModeSound", bodyOf("PlayLostModeSound"), nil
}

func (compiler) Locate() (string, []byte, error) {
	return "DeviceLocation", bodyOf("DeviceLocation"), nil
}

func (compiler) Restart(ward.Device) (string, []byte, error) {
	return "RestartDevice", bodyOf("RestartDevice"), nil
}

// deeds makes the commands of orders.
type deeds struct{ compiler }

func (d deeds) made(requestType string) (string, string, []byte, error) {
	return d.NewUUID(), requestType, bodyOf(requestType), nil
}

func (d deeds) Erase(context.Context, ward.Device, ward.Enrolment, order.Options) (string, string, []byte, error) {
	return d.made("EraseDevice")
}

func (d deeds) ClearPasscode(context.Context, ward.Device, ward.Enrolment) (string, string, []byte, error) {
	return d.made("ClearPasscode")
}

func (d deeds) RemoveManagement(context.Context, ward.Device, ward.Enrolment) (string, string, []byte, error) {
	return d.made("RemoveProfile")
}

func (d deeds) LockPIN(context.Context, ward.Device, ward.Enrolment, order.Options) (string, string, []byte, error) {
	return d.made("DeviceLock")
}

// log is the audit log as the parts that know only texts want it.
type log struct{ *audit.Service }

func (l log) Record(ctx context.Context, action, subject string, detail map[string]string) error {
	return l.Service.Record(ctx, audit.Entry{Action: action, Subject: subject, Detail: detail})
}

// wallet holds the app certificates of every phone: valid until its device is lost.
type wallet struct {
	now     func() time.Time
	fleet   store.Fleet
	revoked sync.Map // device to time
}

func (w *wallet) RevokeApps(_ context.Context, id ward.DeviceID, _ string) ([]string, error) {
	w.revoked.Store(id, w.now())
	return []string{"5e11a1"}, nil
}

func (w *wallet) Credentials(ctx context.Context, id ward.EnrolmentID) (map[string]reconcile.Credential, error) {
	if id == "" {
		return nil, nil
	}
	e, err := w.fleet.Enrolment(ctx, id)
	if err != nil {
		return nil, err
	}
	if at, ok := w.revoked.Load(e.Device); ok {
		return map[string]reconcile.Credential{messenger: {Revoked: at.(time.Time)}}, nil
	}
	return map[string]reconcile.Credential{messenger: {ValidUntil: w.now().Add(60 * 24 * time.Hour), Life: 90 * 24 * time.Hour}}, nil
}

// cases tells the loop of the open case of a device.
type cases struct{ store.Cases }

func (c cases) OpenCase(ctx context.Context, id ward.DeviceID) (*profiles.Case, error) {
	k, err := c.Cases.OpenCase(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return nil, nil
	}
	return &profiles.Case{ID: k.ID, Kind: profiles.CaseKind(k.Kind), Reported: k.Reported}, err
}

// CaseDevice meets order.Cases.
func (c cases) CaseDevice(ctx context.Context, id ward.CaseID) (ward.DeviceID, error) {
	k, err := c.Case(ctx, id)
	return k.Device, err
}

// open tells orders of the open case of a device, and whether it is a rehearsal.
func (c cases) open(ctx context.Context, id ward.DeviceID) (ward.CaseID, bool, error) {
	k, err := c.Cases.OpenCase(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return "", false, nil
	}
	return k.ID, k.Drill != lost.Real, err
}

// proposals lets a case ask for an order as Ward.
type proposals struct{ *order.Service }

func (p proposals) Propose(ctx context.Context, id ward.CaseID, device ward.DeviceID, reason string) (ward.OrderID, error) {
	o, err := p.Request(ward.WithActor(ctx, ward.System), order.Request{Kind: order.Erase, Devices: []ward.DeviceID{device}, Case: id, Reason: reason})
	return o.ID, err
}

// onCall is who is told.
type onCall struct{}

func (onCall) Emails(context.Context) ([]string, error) { return nil, nil }

func (onCall) Send(context.Context, notify.Delivery) error { return nil }

// world is the pages on real services and a real database.
type world struct {
	t           *testing.T
	db          *store.DB
	access      *access.Service
	audit       *audit.Service
	operate     *operating
	invitations *enrollment.Service
	signIn      *access.SignIn
	loop        *reconcile.Loop
	lost        *lost.Service
	orders      *order.Service
	approvers   *approver.Service
	brake       *brake.Service
	notify      *notify.Service
	files       *files
	anchor      string // file of the brake's anchor
	posture     *posture.Reader
	policies    *policy.Service
	estate      *past
	record      log
	asked       []ward.DeviceID // for news, many at once
	web         *web.Server
	url         string
	logs        *observer.ObservedLogs // everything that the pages and what wraps them logged
	now         func() time.Time
	ahead       atomic.Int64 // of the clock
	provider    access.Provider
}

// later moves the clock on.
func (w *world) later(d time.Duration) { w.ahead.Add(int64(d)) }

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, nil)
}

// newWorldWith is newWorld with its options changed before it serves.
func newWorldWith(t *testing.T, change func(w *world, o *web.Options)) *world {
	t.Helper()
	w := &world{t: t, db: storetest.SQLite(t)}
	w.now = func() time.Time { return time.Now().UTC().Add(time.Duration(w.ahead.Load())) }
	srv := httptest.NewUnstartedServer(nil)
	t.Cleanup(srv.Close)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	w.must(err)
	w.url = "http://localhost:" + port // the one host for which browsers have passkeys without TLS
	key, err := audit.LoadKey(filepath.Join(t.TempDir(), "audit.key"), "ward.example/audit")
	w.must(err)
	entries, err := audit.New(audit.Config{Store: w.db.Audit(), Master: storetest.Master(), Key: key, Now: w.now})
	w.must(err)
	w.audit, w.record = entries, log{entries}
	record, purse, c := w.record, &wallet{now: w.now, fleet: w.db.Fleet()}, compiler{new(atomic.Int64)}
	w.access, err = access.New(access.Config{Store: w.db.Access(), Audit: entries, Now: w.now})
	w.must(err)
	w.signIn, err = access.NewSignIn(access.SignInConfig{Access: w.access, Store: w.db.SignIn(), RPID: "localhost", Origin: w.url, Organisation: "St Example’s Hospital"})
	w.must(err)
	w.policies = policy.New(w.db.Policies(), record, w.now, func() {})
	w.loop = &reconcile.Loop{Fleet: w.db.Fleet(), Policies: w.policies, Cases: cases{w.db.Cases()}, Credentials: purse, Drift: w.db.Drift(), Queue: w.db.Commands(), Compiler: c, Now: w.now}
	w.notify, err = notify.New(notify.Config{Store: w.db.Notifications(), People: onCall{}, Audit: record, Now: w.now, Logger: zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)), PublicURL: "https://ward.example.nhs.uk", Email: onCall{}, To: []string{"oncall@example.org"}})
	w.must(err)
	w.approvers, err = approver.New(approver.Config{Store: w.db.Approvers(), Root: &approvertest.Root{}, Audit: record, Now: w.now, RPID: "localhost", Origin: w.url, Organisation: "St Example’s Hospital"})
	w.must(err)
	w.anchor = filepath.Join(t.TempDir(), "brake.head")
	w.brake, err = brake.New(brake.Config{Journal: w.db.Journal(), Anchor: brake.FileAnchor(w.anchor), Fleet: w.db.Journal(), Key: make([]byte, 32), Now: w.now})
	w.must(err)
	w.orders, err = order.New(order.Config{
		Store: w.db.Orders(), Fleet: w.db.Fleet(), Cases: cases{w.db.Cases()}, Approvers: w.approvers, Journal: w.brake, Queue: w.db.Commands(), Compiler: deeds{c}, Notify: w.notify, Audit: record, Now: w.now,
		TypeOf: typeOf, OpenCase: cases{w.db.Cases()}.open, Subject: w.subject,
	})
	w.must(err)
	w.db.SetGuard(w.orders.Deliverable)
	w.lost, err = lost.New(lost.Config{
		Store: w.db.Cases(), Fleet: w.db.Fleet(), Brake: w.brake, Certificates: purse, Planner: w.loop, Orders: proposals{w.orders}, Queue: w.db.Commands(), Compiler: c, Audit: record, Now: w.now, Notify: w.notify,
	})
	w.must(err)
	w.files = &files{w: w}
	w.posture = &posture.Reader{Store: w.db.Fleet(), Loop: w.loop, Commands: w.db.Commands(), Queue: w.db.Commands(), Audit: record, Now: w.now}
	kept, err := estate.New(estate.Options{Store: w.db.Estate(), Assess: w.posture.Assess, Now: w.now})
	w.must(err)
	w.estate, w.loop.Judged = &past{Service: kept, now: w.now}, kept.Record
	seen, logs := observer.New(zap.DebugLevel)
	w.logs = logs
	logger := zap.New(zapcore.NewTee(zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)).Core(), seen))
	o := web.Options{
		Posture: w.posture, Lost: w.lost, Orders: w.orders, Approvers: w.approvers, Brake: w.brake, Notify: w.notify, Files: w.files, Recovery: w.files, Access: w.access, Sessions: w.db.Sessions(),
		Fleet: w.fleetParts(), Operate: w.operateParts(), Evidence: w.evidence(entries), Accounts: web.AccountParts{SignIn: w.signIn}, Now: w.now, Log: logger, Policies: w.policies, Name: "St Example’s Hospital", PublicURL: "https://ward.example.nhs.uk",
		Rules: web.RuleParts{Policy: w.policies, Audit: entries},
	}
	if change != nil {
		change(w, &o)
	}
	w.web, err = web.New(o)
	w.must(err)
	srv.Config.Handler = httpd.Wrap(httpd.Options{Log: logger, Now: w.now}, w.web)
	srv.Start()
	return w
}

// subject says who the human being behind an account is.
func (w *world) subject(ctx context.Context, id ward.PersonID) (string, error) {
	a, err := w.approvers.ByPerson(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return "", nil
	}
	return a.Subject, err
}

// seed makes people approvers who stand: the first two are founders.
func (w *world) seed(people ...access.Person) (out []*approvertest.Person) {
	w.t.Helper()
	who := make([]approvertest.Who, len(people))
	for i, p := range people {
		who[i] = approvertest.Who{Person: p.ID, Name: p.Name, Subject: "staff " + string(p.ID), Roles: p.Roles}
	}
	out, err := approvertest.Seed(w.t.Context(), w.approvers, who...)
	w.must(err)
	return out
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) system() context.Context { return ward.WithActor(w.t.Context(), ward.System) }

func (w *world) publish() {
	w.t.Helper()
	_, err := w.policies.Publish(w.system(), profiles.ExamplePolicy())
	w.must(err)
}

// person adds someone with a passphrase.
func (w *world) person(name string, roles ...ward.Role) access.Person {
	w.t.Helper()
	return w.mailed(name, "", roles...)
}

// mailed adds someone with a passphrase and an e-mail address.
func (w *world) mailed(name, email string, roles ...ward.Role) access.Person {
	w.t.Helper()
	p, err := w.access.CreatePerson(w.system(), access.NewPerson{Name: name, Email: email, Roles: roles})
	w.must(err)
	w.must(w.access.SetPassphrase(w.system(), p.ID, passphrase))
	return p
}

// as acts as a person who has signed in, beside the pages.
func (w *world) as(p access.Person) context.Context {
	return ward.WithActor(w.t.Context(), ward.Actor{Person: p.ID, Name: p.Name, Via: ward.ViaSession, Roles: p.Roles})
}

// phone is what a device of these tests is like.
type phone struct {
	ward.Device
	supervised bool
	apps       []string
	noPasscode bool
	noApp      bool          // its owner has not let the app be installed
	holds      bool          // the messaging profile
	seen       time.Duration // ago
}

// add makes a device known that is not enrolled.
func (w *world) add(d ward.Device) ward.Device {
	w.t.Helper()
	d.Platform, d.Created = ward.IOS, w.now().Add(-30*24*time.Hour)
	if d.State == "" {
		d.State = ward.Invited
	}
	w.must(w.db.Fleet().InsertDevice(w.t.Context(), d))
	return d
}

// enrol makes a device that has enrolled, checked in and done what it was told.
func (w *world) enrol(p phone) ward.Enrolment {
	w.t.Helper()
	d := w.add(p.Device)
	ctx := fleet.WithAdmission(w.t.Context(), fleet.Admission{Device: d.ID, Rights: ward.RightsFor(d.Ownership)})
	r := mdm.NewRequestWithContext(ctx, nil)
	udid := "00008120-" + strings.ToUpper(string(d.ID))
	r.EnrollID = &mdm.EnrollID{Type: mdm.Device, ID: udid}
	from := mdm.Enrollment{UDID: udid}
	w.must(w.db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: from, Topic: "t", Raw: []byte("raw")}))
	w.must(w.db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: from, Push: mdm.Push{Topic: "t", PushMagic: "m", Token: []byte{1}}, Raw: []byte("raw")}))
	w.must(w.db.Fleet().SetDeviceState(ctx, d.ID, ward.Managed))
	e, err := w.db.Fleet().Current(ctx, d.ID)
	w.must(err)
	w.must(w.loop.Replan(w.system(), d.ID))
	w.checkIn(e, p)
	w.db.Seen(e.ID, w.now().Add(-p.seen))
	w.judge(d.ID)
	return e
}

// judge has the posture of a device judged anew.
func (w *world) judge(id ward.DeviceID) {
	w.t.Helper()
	w.must(w.db.Do(w.system(), func(ctx context.Context) error {
		v, _, err := w.posture.Assess(ctx, id)
		if err == nil {
			_, err = w.estate.Record(ctx, v)
		}
		return err
	}))
}

// checkIn has a phone fetch and accept commands until none is left.
func (w *world) checkIn(e ward.Enrolment, p phone) {
	w.t.Helper()
	ctx := ward.WithActor(w.t.Context(), ward.Actor{Device: e.Device, Via: ward.ViaDevice})
	for range 40 {
		r, body, _, err := w.db.Commands().Next(ctx, e.ID)
		w.must(err)
		if body == nil {
			return
		}
		tried, err := w.db.Fleet().Attempts(ctx, e.ID)
		w.must(err)
		p.holds = slices.ContainsFunc(tried, func(a reconcile.Attempt) bool {
			return a.State == command.Accepted && strings.HasPrefix(a.Key, "profile:"+profiles.MessagingProfile+":")
		})
		told := p.answer(r.RequestType, w.now())
		if r.RequestType == "DeclarativeManagement" {
			told = w.declared(ctx, e)
		}
		w.must(w.db.Do(ctx, func(ctx context.Context) error {
			rec, known, err := w.db.Commands().Report(ctx, e.ID, store.Answer{UUID: r.UUID, State: command.Accepted})
			if err != nil {
				return err
			}
			return w.loop.Answered(ctx, e, rec, known, told)
		}))
	}
	w.t.Fatalf("the commands for %s do not end", e.Device)
}

// declared tells that the phone holds every declaration that is wanted.
func (w *world) declared(ctx context.Context, e ward.Enrolment) reconcile.Told {
	w.t.Helper()
	d, err := w.db.Fleet().Device(ctx, e.Device)
	w.must(err)
	v, err := w.loop.View(ctx, d, e)
	w.must(err)
	var all []fleet.Declaration
	for _, x := range v.Want.Declarations {
		all = append(all, fleet.Declaration{Identifier: x.Identifier, Token: x.Token, Active: true, Valid: reconcile.Valid})
	}
	raw, err := json.Marshal(all)
	w.must(err)
	return reconcile.Told{Facts: []fleet.Fact{{Kind: fleet.Declarations, Value: raw, Observed: w.now()}}}
}

// answer tells what the phone tells when asked.
func (p phone) answer(requestType string, now time.Time) reconcile.Told {
	fact := func(k fleet.FactKind, v any) reconcile.Told {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return reconcile.Told{Facts: []fleet.Fact{{Kind: k, Value: raw, Observed: now}}}
	}
	set := !p.noPasscode
	switch requestType {
	case "DeviceInformation":
		i := reconcile.Information{Supervised: &p.supervised, OSVersion: "19.2", Model: "iPhone15,4", Battery: .81}
		t := fact(fleet.Information, i)
		t.Information = &i
		return t
	case "SecurityInfo":
		return fact(fleet.Security, reconcile.Security{PasscodePresent: &set, PasscodeCompliant: &set, Encrypted: &set})
	case "InstalledApplicationList":
		apps := []fleet.App{{BundleID: messenger, Name: "Ward Messenger", Version: "4.2"}}
		for _, a := range p.apps {
			apps = append(apps, fleet.App{BundleID: a})
		}
		return fact(fleet.Apps, apps)
	case "ManagedApplicationList":
		if p.noApp {
			return fact(fleet.ManagedApps, []fleet.ManagedApp{{BundleID: messenger, Status: "Prompting"}})
		}
		return fact(fleet.ManagedApps, []fleet.ManagedApp{{BundleID: messenger, Status: "Managed", HasConfiguration: true}})
	case "ProfileList":
		list := []fleet.Profile{{Identifier: "org.wardmdm.enrolment", Name: "Ward enrolment", Managed: true}}
		if p.holds {
			list = append(list, fleet.Profile{Identifier: profiles.MessagingProfile, Managed: true})
		}
		return fact(fleet.Profiles, list)
	}
	return reconcile.Told{}
}

// browser keeps cookies and follows no redirect by itself.
func (w *world) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	w.must(err)
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
