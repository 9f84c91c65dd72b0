package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/health"
	"github.com/wardmdm/ward/server/notify"
)

// How often health is looked at, and how old a look may be that is shown.
const (
	healthEvery = 15 * time.Second
	healthOld   = time.Minute
)

// lateWork is how long work may wait before it is counted, recentDays how far back messages
// and withheld commands count.
const (
	lateWork   = 10 * time.Minute
	recentDays = 7
)

// Health says what is wrong with the installation: as of the last look, or of now where that
// is too long ago.
func (s *Server) Health(ctx context.Context) (health.Report, error) {
	if r := s.looked.Load(); r != nil && s.now().Sub(r.At) < healthOld && s.now().Sub(r.At) >= 0 {
		return *r, nil
	}
	if err := s.lookAtHealth(ctx); err != nil {
		return health.Report{}, err
	}
	return *s.looked.Load(), nil
}

func (s *Server) lookAtHealth(ctx context.Context) error {
	r := health.Judge(s.measure(ctx))
	if err := ctx.Err(); err != nil {
		return err
	}
	s.looked.Store(&r)
	return nil
}

// measure takes every measurement. One that fails keeps no other from being taken.
func (s *Server) measure(ctx context.Context) health.Facts {
	f := health.Facts{Now: s.now().UTC(), Version: version(), Trial: s.config.Trial, Started: s.started}
	for _, m := range []struct {
		code string
		take func(ctx context.Context, f *health.Facts) error
	}{
		{"database-slow", s.measureDatabase},
		{"certificate-ends", s.measureCertificates},
		{"token-ends", s.measureTokens},
		{"backup-old", s.measureBackup},
		{"disk-full", s.measureDisk},
		{"audit-broken", s.measureAudit},
		{"push-late", s.measureWork},
		{"brake-holds", s.measureBrake},
		{"command-forged", s.measureForged},
		{"approvers-few", s.measurePeople},
	} {
		if err := m.take(ctx, &f); err != nil {
			f.Unmeasured = append(f.Unmeasured, health.Unmeasured{Code: m.code, Why: err.Error()})
		}
	}
	since, states := s.book.States()
	f.Started = since
	for _, j := range states {
		one := health.Job{Name: j.Name, Every: j.Every, Good: j.Good, Failed: j.Failed, Running: j.Running()}
		if j.Err != nil {
			one.Error = j.Err.Error()
		}
		f.Jobs = append(f.Jobs, one)
	}
	return f
}

func (s *Server) measureDatabase(ctx context.Context, f *health.Facts) (err error) {
	f.Database.Engine = s.db.Engine()
	began := time.Now()
	if err := s.db.Ping(ctx); err != nil {
		return err
	}
	f.Database.Latency = time.Since(began)
	f.Database.Size, f.Database.Clock, err = s.db.Size(ctx, time.Now())
	return err
}

func (s *Server) measureCertificates(ctx context.Context, f *health.Facts) error {
	all, err := authority{s}.watch().All(ctx)
	for _, w := range all {
		e := health.Expiry{Name: w.Name, Ends: w.NotAfter, Renews: w.Renews, Lost: w.Lost, Count: w.Count, Cure: w.Cure}
		if w.Device != "" {
			e.Href = "/devices/" + string(w.Device)
		}
		f.Expiries = append(f.Expiries, e)
	}
	topics, failed := s.mdm.PushTopics(ctx)
	f.Push = len(topics) > 0
	return errors.Join(err, failed)
}

func (s *Server) measureTokens(ctx context.Context, f *health.Facts) error {
	ending, err := s.db.TokensEnding(ctx, f.Now, f.Now.AddDate(0, 0, 14))
	for _, t := range ending {
		f.Tokens = append(f.Tokens, health.Expiry{Name: t.Name, Ends: t.Expires, Href: "/settings/tokens"})
	}
	return err
}

func (s *Server) measureBackup(ctx context.Context, f *health.Facts) error {
	text, err := s.db.Setting(ctx, backupKey)
	if err != nil || text == "" {
		return err
	}
	f.Backup, err = time.Parse(time.RFC3339, text)
	return err
}

func (s *Server) measureDisk(_ context.Context, f *health.Facts) (err error) {
	f.Disk.Free, f.Disk.Total, err = diskSpace(s.config.Data)
	return err
}

func (s *Server) measureAudit(ctx context.Context, f *health.Facts) (err error) {
	f.Audit.Broken = s.auditBroken.Load()
	if f.Audit.Waiting, f.Audit.Oldest, err = s.Audit.Unsequenced(ctx, 1000); err != nil {
		return err
	}
	last, err := s.Verifier.Last(ctx)
	f.Audit.Verified, f.Audit.Sound, f.Audit.Problem = last.At, last.Sound, last.Problem
	return err
}

func (s *Server) measureWork(ctx context.Context, f *health.Facts) error {
	w, err := s.db.Health(ctx, f.Now.Add(-lateWork), f.Now.AddDate(0, 0, -recentDays))
	f.Pushes, f.Commands, f.Plans = health.Queue(w.Pushes), health.Queue(w.Commands), health.Queue(w.Plans)
	f.Notices = health.Notices{Configured: s.Notify.Configured(), GivenUp: w.GivenUp, Untold: w.Untold, Waiting: health.Queue(w.Messages)}
	f.Devices = w.Enrolled
	return err
}

func (s *Server) measureBrake(ctx context.Context, f *health.Facts) error {
	held, err := s.Brake.Holds(ctx)
	if errors.Is(err, brake.ErrTampered) {
		f.Tampered = true
		return nil
	}
	for _, h := range held {
		_, many := brake.Words(h.Kind)
		f.Holds = append(f.Holds, health.Hold{What: many, Since: h.Since})
	}
	return err
}

func (s *Server) measureForged(ctx context.Context, f *health.Facts) error {
	list, err := s.Audit.List(ctx, audit.Filter{Action: "command.withheld", From: f.Now.AddDate(0, 0, -recentDays), Limit: 100})
	f.Forged = len(list)
	return err
}

func (s *Server) measurePeople(ctx context.Context, f *health.Facts) error {
	all, err := s.Approvers.List(ctx)
	if err != nil {
		return fmt.Errorf("approvers: %w", err)
	}
	for _, a := range all {
		if a.State == approver.Stands {
			f.Approvers++
		}
	}
	in, err := s.Policy.InForce(ctx)
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	p, _ := in.Current()
	f.Policy = p != nil
	return nil
}

// SetupSteps says what is left to do on the first day.
func (s *Server) SetupSteps(ctx context.Context) ([]health.Step, error) {
	first := health.First{Facts: s.measure(ctx), Organisation: s.config.Organisation, PublicURL: s.config.PublicURL, TLS: s.tlsWords(), KeysApart: s.keysApart()}
	first.OIDC, first.Logo = len(s.config.SignIn.OIDC) > 0, s.config.Logo != ""
	in, err := s.Policy.InForce(ctx)
	if err != nil {
		return nil, err
	}
	if p, _ := in.Current(); p != nil {
		for _, a := range p.Register {
			first.Register++
			if a.DPIA != "" {
				first.Assessed++
			}
		}
		first.Notice, first.Words = len(noticeTexts(p)) > 0, p.Lost.Phone != ""
	}
	words, err := s.lostWords(ctx)
	if err != nil {
		return nil, err
	}
	first.Words = first.Words || words.Phone != ""
	tested, err := s.Audit.List(ctx, audit.Filter{Action: notify.ActionTested, Limit: 1})
	if err != nil {
		return nil, err
	}
	first.Tested = len(tested) > 0
	enrolled, err := s.Audit.List(ctx, audit.Filter{Action: "device.enrolled", Limit: 1})
	if err != nil {
		return nil, err
	}
	first.Enrolled = max(first.Devices, len(enrolled))
	return health.Setup(first), nil
}

// noticeTexts are the texts that a policy has for staff, for work phones and for their own.
func noticeTexts(p *profiles.Policy) (out []string) {
	for _, o := range []ward.Ownership{ward.Corporate, ward.Personal} {
		for _, text := range p.Notices(ward.Device{Ownership: o}) {
			out = append(out, text)
		}
	}
	return out
}

// tlsWords says how connections are protected, "" where by a certificate that nobody knows.
func (s *Server) tlsWords() string {
	if s.config.Trial || s.config.TLS.Mode == TLSSelfMade {
		return ""
	}
	return s.config.TLS.Mode
}

// keysApart reports whether the keys stand in another folder than the data, or the issuer's
// key outside of files.
func (s *Server) keysApart() bool {
	rel, err := filepath.Rel(s.config.Data, s.config.keysDir())
	return err != nil || strings.HasPrefix(rel, "..") || s.config.CA.IssuerKey != ""
}

// version is that of the program, as the build noted it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, x := range info.Settings {
		if x.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = x.Value[:min(len(x.Value), 12)]
		}
	}
	if v == "" || v == "(devel)" {
		return "of a build without a version"
	}
	return v
}
