// Package server is the server: it puts the parts together, each knowing only what it
// needs, and runs them. No rule of the business stands here.
package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/xid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/apns"
	"github.com/wardmdm/ward/server/apns/standin"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/audit/watch"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/evidence"
	"github.com/wardmdm/ward/server/health"
	"github.com/wardmdm/ward/server/jobs"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notice"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/posture"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/siem"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/web"
	"github.com/wardmdm/ward/server/wording"
	"go.uber.org/zap"
)

// Server is a server with all its parts. New makes one, Run runs it.
type Server struct {
	Access      *access.Service
	Approvers   *approver.Service
	Audit       *audit.Service
	Authority   *ca.Authority
	Authorizer  *authorize.Service
	Brake       *brake.Service
	Devices     *posture.Reader
	Enrolment   *enrollment.Service
	Estate      *estate.Service
	Evidence    *evidence.Service
	Log         *zap.Logger
	Loop        *reconcile.Loop
	Lost        *lost.Service
	Notify      *notify.Service
	Orders      *order.Service
	Policy      *policy.Service
	SignIn      *access.SignIn
	Credentials *credential.Service
	Texts       *wording.Service
	Verifier    *watch.Service

	Acknowledgements *notice.Service

	config      Config
	db          *store.DB
	fleet       store.Fleet
	queue       queue
	mdm         store.MDM
	apple       *applemdm.Service
	compiler    *applemdm.Compiler
	declared    *declare.Service
	appCerts    appCertificates
	profiles    *enrollment.Profiles
	outside     *outside // nil: none
	record      recorder
	pusher      *apns.Client
	standin     *standin.Server // in a trial
	metrics     *metrics
	tracer      tracer
	streaming   *siem.Service
	now         func() time.Time
	crlStale    chan struct{}
	stopping    chan struct{} // closed when Run ends, for those who follow what changes
	planNow     chan struct{}
	ready       atomic.Bool
	auditBroken atomic.Bool
	tls         *tlsFiles
	web         *web.Server
	providers   []web.NamedProvider
	signer      signer
	book        *jobs.Book // how the server's own jobs fare
	started     time.Time
	looked      atomic.Pointer[health.Report]
	setup       string // the first administrator's one-time secret, in the first run only
}

// New opens the database and the keys and puts the parts together. Close it when it is
// not run. Mistakes in the configuration are reported all at once.
func New(ctx context.Context, c Config) (_ *Server, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	s := &Server{config: c, now: c.clock(), crlStale: make(chan struct{}, 1), stopping: make(chan struct{}), planNow: make(chan struct{}, 1), metrics: newMetrics()}
	if s.Log, err = newLog(c.Log); err != nil {
		return nil, err
	}
	if s.tracer, err = newTracer(ctx, c.Tracing); err != nil {
		return nil, err
	}
	master, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	steps := []func(context.Context, *seal.Master) error{
		s.openAudit, s.openOperate, s.openAccess, s.fixURL, s.openSignIn, s.openPush, s.openNotify, s.openEnrolment, s.openLoop, s.openOrders, s.openLost, s.openAuthorize,
		s.openEstate,
		s.openEvidence,
		s.openProtocol,
		s.openStreams,
		s.openTLS,
	}
	for _, step := range steps {
		if err := step(ctx, master); err != nil {
			return nil, err
		}
	}
	if c.selfMade() {
		if err := os.WriteFile(s.RootFile(), s.Authority.RootPEM(), 0o600); err != nil {
			return nil, err
		}
	}
	if err := s.adoptCases(ward.WithActor(ctx, ward.System)); err != nil {
		return nil, err
	}
	if s.setup, err = s.Access.EnsureFirstAdministrator(ward.WithActor(ctx, ward.System)); err != nil {
		return nil, err
	}
	return s, s.firstBreaksGlass(ward.WithActor(ctx, ward.System))
}

// open opens the database and the master key.
func (s *Server) open(ctx context.Context) (*seal.Master, error) {
	if err := os.MkdirAll(s.config.Data, 0o700); err != nil {
		return nil, ward.Errorf(ward.Invalid, "The data folder can't be made: %v.", err)
	}
	master, err := seal.LoadMaster(filepath.Join(s.config.keysDir(), "master.key"))
	if err != nil {
		return nil, err
	}
	url, err := s.config.database()
	if err != nil {
		return nil, err
	}
	if s.db, err = store.Open(ctx, store.Options{URL: url, Master: master, Now: s.now}); err != nil {
		return nil, err
	}
	s.fleet, s.queue = s.db.Fleet(), queue{s.db.Commands()}
	return master, nil
}

// Close closes what New opened.
func (s *Server) Close() error {
	errs := []error{s.closeStreams(), s.tracer.close(context.Background())}
	if s.pusher != nil {
		s.pusher.Close()
	}
	if s.standin != nil {
		errs = append(errs, s.standin.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	_ = s.Log.Sync() // standard error can't always be synced, and nothing is lost
	return errors.Join(errs...)
}

// SetupLink returns the first administrator's one-time link, "" after the first run.
func (s *Server) SetupLink() string {
	if s.setup == "" {
		return ""
	}
	return s.config.PublicURL + "/setup/" + s.setup
}

// RootFile returns the path of the certificate that a trial's clients must trust.
func (s *Server) RootFile() string { return filepath.Join(s.config.Data, "root.pem") }

// URL returns the public address.
func (s *Server) URL() string { return s.config.PublicURL }

// fixURL keeps the public address that devices know.
func (s *Server) fixURL(ctx context.Context, _ *seal.Master) error {
	const key = "public_url"
	was, err := s.db.Setting(ctx, key)
	if err != nil || was == s.config.PublicURL {
		return err
	}
	if was != "" {
		n, err := s.db.CountEnrolments(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return ward.Errorf(ward.Conflict, "public_url is %s, but %d enrolled devices know this server as %s and keep that for life. Set it back, or have them enrol anew.", s.config.PublicURL, n, was)
		}
	}
	return s.db.SetSetting(ctx, key, s.config.PublicURL)
}

func (s *Server) openAudit(_ context.Context, master *seal.Master) error {
	key, err := audit.LoadKey(filepath.Join(s.config.keysDir(), "audit.key"), auditName(s.config.PublicURL))
	if err != nil {
		return err
	}
	s.Audit, err = audit.New(audit.Config{Store: s.db.Audit(), Master: master, Key: key, Now: s.now})
	s.record = recorder{s.Audit, s.fleet}
	return err
}

// auditName names the log after the server's host.
func auditName(publicURL string) string {
	return strings.NewReplacer("https://", "", ":", "-", "+", "-", " ", "-").Replace(publicURL) + "/audit"
}

func (s *Server) openAccess(_ context.Context, _ *seal.Master) (err error) {
	s.Access, err = access.New(access.Config{Store: s.db.Access(), Audit: s.Audit, Now: s.now, Forget: s.Audit.ForgetPerson, Stands: s.stands, Erased: s.erased})
	return err
}

func (s *Server) openEnrolment(ctx context.Context, master *seal.Master) (err error) {
	dir := filepath.Join(s.config.keysDir(), "ca")
	holder := &challenges{}
	roots, err := s.config.Enrolment.roots()
	if err != nil {
		return err
	}
	s.Authority, err = ca.Open(ctx, ca.Options{
		Dir: dir, Passphrase: master.Derive("certificate authority"), Organisation: s.config.Organisation, PublicURL: s.config.PublicURL, StatusURL: s.config.CA.StatusURL,
		Unit: s.db, Store: s.db.Certificates(), Challenges: holder, Refused: s.refused, AppleRoots: roots, DeviceLife: s.config.deviceLife, NetworkLife: networkLife, Now: s.now, Log: s.Log.Named("ca"),
		IssuerKey: s.config.CA.IssuerKey, Outside: s.config.CA.outside(),
	})
	if err != nil {
		return err
	}
	s.profiles, err = enrollment.NewProfiles(s.config.Organisation, s.config.PublicURL, s.topic, s.profileRoots()...)
	if err != nil {
		return err
	}
	if s.outside, err = s.openOutside(); err != nil {
		return err
	}
	if s.outside.serves(outsideIdentity) {
		s.profiles.From(s.outside)
	}
	s.Enrolment, err = enrollment.New(enrollment.Options{
		Store: s.db.Invitations(), Unit: s.db, Devices: s.fleet, Profiles: s.profiles, NewDevice: newDevice, Now: s.now,
		Attestation: s.config.attestation(), OffBecause: s.config.attestationOff(), AllowUnlisted: s.config.Enrolment.AllowUnlisted, Outside: s.outside.serves(outsideIdentity),
		Record: func(ctx context.Context, action, subject string, detail map[string]string) error {
			return s.Audit.Record(ctx, audit.Entry{Action: action, Subject: subject, Detail: detail})
		},
	})
	holder.s, holder.held = s.Enrolment, grants{s.challenges(), s.fleet, judge{s}}
	s.appCerts = appCertificates{s.Authority, s.db.AppTokens(), s.now}
	return err
}

const devicePrefix = "dev_"

func newDevice() ward.DeviceID { return ward.DeviceID(devicePrefix + xid.New().String()) }

// topic returns the push topic that new devices enrol under, "" without a certificate.
func (s *Server) topic(ctx context.Context) (string, error) {
	topics, err := s.mdm.PushTopics(ctx)
	if err != nil || len(topics) == 0 {
		return "", err
	}
	return topics[0], nil
}

func (s *Server) openLoop(_ context.Context, _ *seal.Master) error {
	s.Policy = policy.New(s.db.Policies(), s.record, s.now, s.PlanSoon)
	s.Policy.Rule = policy.Rule{Above: s.config.Policy.Above, From: s.config.Policy.From}
	s.Policy.NetworkLife = networkLife
	s.Policy.People = accounts{s.Access}
	s.Credentials = &credential.Service{Store: s.db.AppTokens(), Authority: appAuthority{s}, Devices: s.fleet, Judge: tokenJudge{judge{s}}, Audit: s.record, Now: s.now}
	s.compiler = &applemdm.Compiler{
		PIN: pins{s.db}.ofCase, ReturnProfile: s.returnProfile,
		ServerURL: s.config.PublicURL, ManagementProfile: enrollment.ManagementProfileIdentifier, Now: s.now, Bind: s.binder().Bind,
		Token: func(ctx context.Context, d ward.DeviceID, e ward.EnrolmentID, bundle string) (string, error) {
			return s.Credentials.Issue(ctx, credential.Grant{Device: d, Enrolment: e, App: bundle})
		},
	}
	s.Loop = &reconcile.Loop{Fleet: s.fleet, Policies: s.Policy, Cases: openCases{s.db.Cases(), s.lostWords}, Credentials: s.db.AppTokens(), Drift: s.db.Drift(), Queue: s.queue, Compiler: s.compiler, Now: s.now}
	s.Loop.NetworkLife = networkLife
	s.Loop.Identities, s.Loop.Wake, s.compiler.Renewal = s.fleet, s.wake, s.renewal
	s.Loop.Watch, s.Loop.Keep = consumerApps(), (&keeper{db: s.db.Declarations()}).keep
	s.Loop.Standing = judge{s}.standing
	s.Devices = &posture.Reader{Store: s.fleet, Loop: s.Loop, Commands: s.queue, Queue: s.queue, Audit: s.record, Wake: s.db.OwePush, Now: s.now}
	return nil
}

// openLost puts the cases of lost devices together.
func (s *Server) openLost(_ context.Context, _ *seal.Master) (err error) {
	facts := lostFacts{s}
	s.Lost, err = lost.New(lost.Config{
		Store: s.db.Cases(), Fleet: s.fleet, Brake: s.Brake, Certificates: s.appCerts, Planner: s.Loop, Orders: proposals{s.Orders, s.fleet}, Queue: s.queue,
		Compiler: s.compiler, Audit: s.record, Now: s.now,
		Notify: s.Notify, People: accountHolders{addresses{s.db.Access()}, s.now}, Facts: facts, Escalations: facts, Rehearsal: facts, Answers: s.db.Answers(),
		AfterRevoke: s.remakeCRL, DrillEvery: time.Duration(s.config.Lost.DrillDays) * 24 * time.Hour,
	})
	return err
}

// remakeCRL has the revocation list made anew soon, and what was revoked refused at once.
func (s *Server) remakeCRL() {
	s.Authorizer.Forget()
	select {
	case s.crlStale <- struct{}{}:
	default: // it is on its way
	}
}

// Queue returns the command queue; tests and the demonstration put commands there
// behind the parts that decide.
func (s *Server) Queue() interface {
	Enqueue(ctx context.Context, c command.New) (string, error)
} {
	return s.queue
}

// StandIn returns the trial's stand-in for Apple's push service, nil outside a trial.
func (s *Server) StandIn() *standin.Server { return s.standin }
