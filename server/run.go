package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/jobs"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Limits of a connection. A body is read in time or not at all; an answer may be a
// backup, which takes longer.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 15 * time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeader         = 64 << 10
	stopGrace         = 20 * time.Second
)

// Run serves on the listener, or on the configured address if it is nil, and does the
// server's own jobs until ctx ends; then it lets requests finish and closes everything.
// started, which may be nil, is called once connections are accepted.
func (s *Server) Run(ctx context.Context, l net.Listener, started func()) (err error) {
	defer func() { err = errors.Join(err, s.Close()) }()
	h, err := s.Handler()
	if err != nil {
		return err
	}
	s.metrics.registry.MustRegister(s.counted())
	if l == nil {
		var lc net.ListenConfig
		if l, err = lc.Listen(ctx, "tcp", s.config.Listen); err != nil {
			return ward.Errorf(ward.Unavailable, "Can't listen on %s: %v.", s.config.Listen, err)
		}
	}
	srv := s.httpServer(h)
	g, working := errgroup.WithContext(ctx)
	g.Go(func() error {
		if s.tls != nil {
			srv.TLSConfig = s.tlsConfig()
			return closed(srv.ServeTLS(l, "", ""))
		}
		return closed(srv.Serve(l))
	})
	g.Go(func() error { return jobs.Run(working, s.Log.Named("jobs"), stopGrace, s.jobs()...) })
	g.Go(func() error {
		<-working.Done()
		s.ready.Store(false)
		close(s.stopping)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			return errors.Join(fmt.Errorf("requests did not finish in %s: %w", stopGrace, err), srv.Close())
		}
		return nil
	})
	if _, err := s.Estate.Current(ward.WithActor(ctx, ward.System)); err != nil {
		s.Log.Error("the posture of the devices can't be read; it is tried again", zap.Error(err))
	}
	s.ready.Store(true)
	s.Log.Info("serving", zap.String("listen", l.Addr().String()), zap.String("public_url", s.config.PublicURL), zap.String("database", s.db.Engine()))
	if started != nil {
		started()
	}
	err = g.Wait()
	s.Log.Info("stopped")
	return err
}

// httpServer bounds what a connection may cost: a client that is slow or says too much
// is cut off.
func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: log.New(quiet{s.Log.Named("http")}, "", 0),
	}
}

// closed turns the error of an ordinary stop into none.
func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// quiet logs what net/http says of broken connections at debug: anyone can cause it.
type quiet struct{ l *zap.Logger }

func (q quiet) Write(p []byte) (int, error) {
	q.l.Debug("connection", zap.ByteString("what", p))
	return len(p), nil
}

// jobs are what the server does by itself.
func (s *Server) jobs() []jobs.Job {
	system := func(f func(ctx context.Context) error) func(ctx context.Context) error {
		return func(ctx context.Context) error { return f(ward.WithActor(ctx, ward.System)) }
	}
	pusher := &jobs.Pusher{Outbox: outbox{s.db.Outbox()}, Sender: pushSender{s.pusher}, Workers: 16, Now: s.now, Log: s.Log.Named("push")}
	all := slices.Concat(s.signInJobs(), s.operateJobs(), []jobs.Job{
		{Name: "push", Every: time.Second, Wake: s.db.PushesOwed(), Do: pusher.Do},
		{Name: "plan", Every: 2 * time.Second, Wake: s.planNow, Do: system(s.plan)},
		s.sealJob(),
		{Name: "estate", Every: time.Second, Wake: s.db.PosturesDue(), Settle: 100 * time.Millisecond, Do: system(s.Estate.Follow)},
		{Name: "midnight", Every: 10 * time.Minute, Do: system(s.Estate.Midnight)},
		{Name: "audit", Every: 10 * time.Second, Wake: s.Audit.Wanted(), Settle: 250 * time.Millisecond, Do: system(s.sequence)},
		{Name: "last seen", Every: 5 * time.Second, Do: s.db.FlushSeen},
		{Name: "use of certificates", Every: time.Second, Wake: s.Authorizer.Wanted(), Settle: 250 * time.Millisecond, Do: system(s.Authorizer.Flush)},
		{Name: "revocation list", Every: 6 * time.Hour, Wake: s.crlStale, Do: s.Authority.RemakeCRL},
		{Name: "issuers", Every: 15 * time.Second, Do: s.Authority.Reload},
		{Name: "expiry", Every: time.Hour, Do: system(authority{s}.watch().Do)},
		{Name: "rollout", Every: 15 * time.Second, Do: system(func(ctx context.Context) error { return s.Policy.Advance(ctx, s.now()) })},
		{Name: "exceptions", Every: time.Minute, Do: system(func(ctx context.Context) error { return s.Policy.TellEnded(ctx, s.now()) })},
		{Name: "orders", Every: 5 * time.Second, Do: system(s.advanceOrders)},
		{Name: "cases", Every: time.Minute, Do: system(s.Lost.Escalate)},
		{Name: "brake", Every: time.Hour, Wake: s.Brake.Wanted(), Do: system(s.Brake.Check)},
		{Name: "notify", Every: 5 * time.Second, Wake: s.Notify.Wanted(), Do: system(s.Notify.Do)},
		{Name: "streams", Every: 5 * time.Second, Do: system(s.streaming.Do)},
		{Name: "tokens", Every: time.Minute, Do: s.Access.Flush},
		{Name: "retention", Every: time.Hour, Do: system(s.retain)},
	})
	for i := range all {
		all[i].Do = s.tracer.job(all[i].Name, all[i].Do)
	}
	return s.book.Watch(all)
}

// plan plans the devices that are due, in batches, until none is.
func (s *Server) plan(ctx context.Context) error {
	for ctx.Err() == nil {
		n, errs := s.Loop.Due(ctx, 100)
		if len(errs) > 0 || n == 0 {
			return errors.Join(errs...)
		}
	}
	return nil
}

// PlanSoon has the due devices planned at once, after a policy was published.
func (s *Server) PlanSoon() {
	select {
	case s.planNow <- struct{}{}:
	default: // it is on its way
	}
}

// sequence puts new audit entries into the tree. When the tree can't be continued
// nobody should trust what is written from then on: the server says that it is not
// ready.
func (s *Server) sequence(ctx context.Context) error {
	_, err := s.Audit.Sequence(ctx)
	s.auditBroken.Store(err != nil && ctx.Err() == nil)
	return err
}

// retain deletes what retention says.
func (s *Server) retain(ctx context.Context) error {
	now := s.now()
	_, commands := s.db.PurgeAnswers(ctx, now.AddDate(0, 0, -s.config.Retention.Commands))
	_, locations := s.Lost.PurgeLocations(ctx, now.AddDate(0, 0, -s.config.Retention.Locations))
	_, once := s.db.Certificates().PurgeOnce(ctx, now.AddDate(0, 0, -30))
	_, orders := s.Authority.PurgeACME(ctx)
	_, drift := s.db.Policies().PurgeDrift(ctx, now.AddDate(0, 0, -s.config.Retention.Commands))
	_, attempts := s.db.Policies().PurgeAttempts(ctx, now.AddDate(0, 0, -7))
	_, compiled := declare.PurgeArtifacts(ctx, s.db.Declarations(), now)
	_, sessions := s.db.Sessions().DeleteExpired(ctx)
	return errors.Join(s.forgetPostures(ctx, now), s.Notify.Tidy(ctx), s.db.Approvers().PurgeNonces(ctx, now), commands, locations, once, orders, drift, attempts, compiled, sessions, s.Access.Purge(ctx))
}
