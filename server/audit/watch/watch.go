// Package watch verifies the whole audit log again and again, as a stranger would, and keeps
// what that found. It decides nothing on what it finds, and changes nothing in the log.
package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/audit/verify"
)

// ActionVerified is what the audit log calls a verification that somebody asked for.
const ActionVerified = "audit.verified"

// Log is the log that is verified. *audit.Service meets it.
type Log interface {
	Export(ctx context.Context, w io.Writer) error
	Checkpoint(ctx context.Context) (audit.SignedCheckpoint, error)
	PublicKey() string
	Record(ctx context.Context, e audit.Entry) error
}

// Settings keep the last result.
type Settings interface {
	Setting(ctx context.Context, key string) (string, error)
	SetSetting(ctx context.Context, key, value string) error
}

// The settings.
const (
	resultKey     = "audit_verified"
	checkpointKey = "audit_verified_checkpoint"
)

// Result is what a verification found.
type Result struct {
	At        time.Time     `json:"at"` // when it ended; zero if there was none
	Took      time.Duration `json:"took"`
	Size      int64         `json:"size"` // entries
	Root      string        `json:"root,omitempty"`
	Sound     bool          `json:"sound"`
	Problem   string        `json:"problem,omitempty"`
	Disclosed int64         `json:"disclosed"` // parts that are shown and are what was committed to
	Sealed    int64         `json:"sealed"`    // parts that were erased
	Earlier   int64         `json:"earlier"`   // the size at the verification before, of which this log is the continuation; 0 at the first
}

// Progress is how far a verification has come.
type Progress struct {
	Running bool
	Began   time.Time
	Done    int64 // entries so far
	Of      int64
}

// Service verifies. Its methods may be called by several goroutines.
type Service struct {
	log      Log
	settings Settings
	now      func() time.Time
	wanted   chan struct{}

	mu       sync.Mutex
	progress Progress
	asked    bool
}

// New returns a Service.
func New(l Log, s Settings, now func() time.Time) *Service {
	return &Service{log: l, settings: s, now: now, wanted: make(chan struct{}, 1)}
}

// Wanted receives when somebody asked for a verification.
func (s *Service) Wanted() <-chan struct{} { return s.wanted }

// Ask has the log verified soon. That it was asked for is audited.
func (s *Service) Ask(ctx context.Context) error {
	if err := s.log.Record(ctx, audit.Entry{Action: ActionVerified}); err != nil {
		return fmt.Errorf("ask for a verification: %w", err)
	}
	s.mu.Lock()
	s.asked = true
	s.mu.Unlock()
	select {
	case s.wanted <- struct{}{}:
	default: // it is asked for already
	}
	return nil
}

// Progress returns how far the verification is that runs in this process, or that one was
// asked for and has not begun.
func (s *Service) Progress() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.progress
	p.Running = p.Running || s.asked
	return p
}

// Last returns the last result; its At is zero where there was none.
func (s *Service) Last(ctx context.Context) (r Result, err error) {
	text, err := s.settings.Setting(ctx, resultKey)
	if err != nil || text == "" {
		return r, err
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return Result{}, fmt.Errorf("last verification of the audit log: %w", err)
	}
	return r, nil
}

// When the log is verified without being asked to: at night, or whenever a day was missed.
const (
	nightFrom, nightUntil = 1, 5 // hours
	often                 = 18 * time.Hour
	seldom                = 30 * time.Hour
)

// Do verifies the log if somebody asked for it, or if it is due.
func (s *Service) Do(ctx context.Context) error {
	s.mu.Lock()
	asked := s.asked
	s.mu.Unlock()
	if !asked {
		last, err := s.Last(ctx)
		if err != nil {
			return err
		}
		since, hour := s.now().Sub(last.At), s.now().Hour()
		night := hour >= nightFrom && hour < nightUntil
		if since < often || !night && since < seldom {
			return nil
		}
	}
	_, err := s.Verify(ctx)
	return err
}

// Verify verifies the whole log now and keeps the result. An error means that it could not be
// judged; a log that is not to be relied on is a Result that is not Sound. Of an empty log
// nothing is kept.
func (s *Service) Verify(ctx context.Context) (Result, error) {
	began := s.now()
	c, err := s.log.Checkpoint(ctx)
	if ward.KindOf(err) == ward.NotFound { // nothing was recorded yet
		s.end()
		return Result{}, nil
	}
	if err != nil {
		s.end()
		return Result{}, fmt.Errorf("verify the audit log: %w", err)
	}
	s.mu.Lock()
	s.asked, s.progress = false, Progress{Running: true, Began: began, Of: c.Size}
	s.mu.Unlock()
	defer s.end()
	before, err := s.settings.Setting(ctx, checkpointKey)
	if err != nil {
		return Result{}, err
	}
	o := verify.Options{PublicKey: s.log.PublicKey()}
	if before != "" {
		o.Earlier = [][]byte{[]byte(before)}
	}
	report, err := s.read(ctx, o)
	r := Result{At: s.now().UTC(), Took: s.now().Sub(began), Size: report.Size, Root: report.Root.String(), Sound: err == nil, Disclosed: report.Disclosed, Sealed: report.Sealed}
	if len(report.Earlier) > 0 {
		r.Earlier = report.Earlier[0]
	}
	if problem, ok := errors.AsType[*verify.Problem](err); ok {
		r.Problem, r.Root, r.Size = problem.Error(), "", c.Size
	} else if err != nil {
		return Result{}, fmt.Errorf("verify the audit log: %w", err)
	}
	return r, s.keep(ctx, r, c.Note)
}

// keep keeps the result; what was found sound is what the next has to continue.
func (s *Service) keep(ctx context.Context, r Result, note []byte) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keep verification: %w", err)
	}
	if err := s.settings.SetSetting(ctx, resultKey, string(text)); err != nil {
		return err
	}
	if !r.Sound {
		return nil
	}
	return s.settings.SetSetting(ctx, checkpointKey, string(note))
}

func (s *Service) end() {
	s.mu.Lock()
	s.progress.Running, s.asked = false, false
	s.mu.Unlock()
}

// read verifies the log as it is exported.
func (s *Service) read(ctx context.Context, o verify.Options) (verify.Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	exported := make(chan error, 1)
	go func() {
		err := s.log.Export(ctx, w)
		w.CloseWithError(err)
		exported <- err
	}()
	report, err := verify.Verify(&counter{r: r, s: s}, o)
	cancel()
	r.CloseWithError(context.Canceled)
	failed := <-exported
	if _, found := errors.AsType[*verify.Problem](err); !found && failed != nil && !errors.Is(failed, context.Canceled) {
		return report, failed
	}
	return report, err
}

// counter counts the lines that pass.
type counter struct {
	r io.Reader
	s *Service
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	var lines int64
	for _, b := range p[:n] {
		if b == '\n' {
			lines++
		}
	}
	c.s.mu.Lock()
	c.s.progress.Done = min(c.s.progress.Done+lines, c.s.progress.Of)
	c.s.mu.Unlock()
	return n, err
}
