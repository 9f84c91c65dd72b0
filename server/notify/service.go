package notify

import (
	"context"
	"errors"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/rs/xid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/logkey"
	"github.com/wardmdm/ward/server/unit"
	"go.uber.org/zap"
)

// Config is what a Service needs. Email may be nil, and To and Webhooks empty: then
// messages are kept and sent to nobody.
type Config struct {
	Store     Store
	People    People
	Audit     Recorder
	Now       func() time.Time
	Logger    *zap.Logger
	PublicURL string // https://host[:port], to which links are added

	Email    Sender
	To       []string // the addresses of those on call, who are told everything
	Webhooks []Webhook
}

// Service tells people. It may be used by several goroutines.
type Service struct {
	Config
	senders map[string]Sender // by channel
	wanted  chan struct{}
}

// New returns a service.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.People == nil || c.Audit == nil || c.Now == nil || c.Logger == nil {
		return nil, errors.New("notify service: Store, People, Audit, Now and Logger are needed")
	}
	if len(c.To) > 0 && c.Email == nil {
		return nil, errors.New("notify service: To needs Email")
	}
	s := &Service{Config: c, senders: map[string]Sender{}, wanted: make(chan struct{}, 1)}
	if c.Email != nil {
		s.senders[Email] = c.Email
	}
	for _, w := range c.Webhooks {
		channel := WebhookPrefix + w.Name
		if _, taken := s.senders[channel]; taken || w.Name == "" || w.Sender == nil {
			return nil, errors.New("notify service: each webhook needs a Sender and a Name of its own")
		}
		s.senders[channel] = w.Sender
	}
	return s, nil
}

// Configured reports whether there is anybody to tell at all.
func (s *Service) Configured() bool { return len(s.To) > 0 || len(s.Webhooks) > 0 }

// Wanted signals that a delivery may have become due in this process.
func (s *Service) Wanted() <-chan struct{} { return s.wanted }

func (s *Service) wake() {
	select {
	case s.wanted <- struct{}{}:
	default: // it is awake already
	}
}

// Tell keeps a message for everyone who is to be told it, within the unit of work in ctx: a
// deed that fails tells nobody. It is sent once that is committed. A message that nobody is
// configured to be told is kept on the channel None, and logged. A message without a topic
// or subject, or with a link that is no path, is an error of the program's own.
func (s *Service) Tell(ctx context.Context, m Message) error {
	m, err := s.clean(m)
	if err != nil {
		return err
	}
	return s.Store.Do(ctx, func(ctx context.Context) error {
		_, _, err := s.tell(ctx, m)
		return err
	})
}

// tell returns how many deliveries it kept, and whether they go to anybody.
func (s *Service) tell(ctx context.Context, m Message) (kept int, anybody bool, err error) {
	all, err := s.address(ctx, m)
	if err != nil || len(all) == 0 {
		return 0, false, err
	}
	if kept, err = s.Store.Add(ctx, all); err != nil {
		return 0, false, err
	}
	anybody = all[0].Channel != None
	switch {
	case kept == 0:
	case anybody:
		unit.AfterCommit(ctx, s.wake)
	default:
		unit.AfterCommit(ctx, func() { s.nobody(m) })
	}
	return kept, anybody, nil
}

// clean makes the texts of m fit to be sent, and fills what is empty.
func (s *Service) clean(m Message) (Message, error) {
	m.Subject, m.Body = oneLine(m.Subject, maxSubject), lines(m.Body, maxBody)
	if m.Topic == "" || m.Subject == "" {
		return m, errors.New("tell: a message needs a topic and a subject")
	}
	if m.Link != "" && (!strings.HasPrefix(m.Link, "/") || oneLine(m.Link, len(m.Link)) != m.Link || strings.Contains(m.Link, " ")) {
		return m, errors.New("tell: the link of a message is a path")
	}
	now := s.Now()
	if m.At.IsZero() {
		m.At = now
	}
	if m.ID == "" {
		m.ID = "msg-" + xid.NewWithTime(now).String()
	}
	return m, nil
}

// address returns the deliveries of m, one for each recipient, so that one that can't be
// reached stops no other; at least one, but for a topic that nobody asked for.
func (s *Service) address(ctx context.Context, m Message) ([]Delivery, error) {
	now := s.Now()
	var all []Delivery
	add := func(channel, to string) {
		all = append(all, Delivery{ID: "ntf-" + xid.NewWithTime(now).String(), Message: m, Channel: channel, To: to, Made: now, Since: now, Due: now})
	}
	for _, w := range s.Webhooks {
		if w.wants(m) {
			add(WebhookPrefix+w.Name, w.Name)
		}
	}
	if s.Email != nil && !m.Topic.Asked() {
		to, err := s.recipients(ctx, m)
		if err != nil {
			return nil, err
		}
		for _, address := range to {
			add(Email, address)
		}
	}
	if len(all) == 0 && !m.Topic.Asked() {
		add(None, "")
		all[0].GivenUp, all[0].Error = now, "nobody is configured to be told"
	}
	return all, nil
}

// recipients returns each address that m goes to once, whatever its case.
func (s *Service) recipients(ctx context.Context, m Message) (out []string, err error) {
	to := s.To
	if m.Everyone {
		people, err := s.People.Emails(ctx)
		if err != nil {
			return nil, err
		}
		to = append(slices.Clip(to), people...)
	}
	seen := map[string]bool{}
	for _, address := range to {
		if key := strings.ToLower(address); !seen[key] {
			seen[key] = true
			if _, err := mail.ParseAddress(address); err == nil { // else no relay would take it
				out = append(out, address)
			}
		}
	}
	return out, nil
}

// nobody logs a message that nobody is told. Its texts name devices, and stay out.
func (s *Service) nobody(m Message) {
	s.Logger.Warn("nobody is configured to be told", zap.String("message", m.ID), zap.String(logkey.Topic, string(m.Topic)), zap.Bool("urgent", m.Urgent),
		zap.String(logkey.Order, string(m.Order)), zap.String(logkey.Case, string(m.Case)), zap.String(logkey.Device, string(m.Device)))
}

// SendTest tells everyone on call, and every webhook, that this is a test. It needs
// access.NotifyWrite and is audited. A *ward.Error of kind Conflict says that there is
// nobody to tell.
func (s *Service) SendTest(ctx context.Context) error {
	if err := access.Check(ctx, access.NotifyWrite); err != nil {
		return err
	}
	if !s.Configured() {
		return errNobody()
	}
	m := Message{Topic: Test, Subject: "This is a test", Body: "Ward can reach you. " + ward.ActorFrom(ctx).Name + " asked for this test; nothing has happened.", Link: "/notifications"}
	return s.Store.Do(ctx, func(ctx context.Context) error {
		m, err := s.clean(m) // for its id
		if err != nil {
			return err
		}
		if err := s.Tell(ctx, m); err != nil {
			return err
		}
		return s.Audit.Record(ctx, ActionTested, m.ID, nil)
	})
}

func errNobody() error {
	return ward.Errorf(ward.Conflict, "There is nobody to tell. Name people or a webhook under notify in the configuration, and start the server anew.")
}

// Replay has a delivery be sent again, whatever became of it, and tried for as long as a
// new one. One on the channel None goes to those who are configured now. It needs
// access.NotifyWrite and is audited. A *ward.Error is of kind NotFound where there is no
// such delivery, and Conflict where there is nobody to send it to.
func (s *Service) Replay(ctx context.Context, id string) error {
	if err := access.Check(ctx, access.NotifyWrite); err != nil {
		return err
	}
	return s.Store.Do(ctx, func(ctx context.Context) error {
		d, err := s.Store.Delivery(ctx, id)
		if err != nil {
			return err
		}
		if err := s.again(ctx, d); err != nil {
			return err
		}
		return s.Audit.Record(ctx, ActionAgain, id, map[string]string{"message": d.Message.ID, "channel": d.Channel})
	})
}

func (s *Service) again(ctx context.Context, d Delivery) error {
	switch {
	case d.Channel == None:
		kept, anybody, err := s.tell(ctx, d.Message)
		switch {
		case err != nil:
			return err
		case !anybody:
			return errNobody()
		case kept == 0:
			return ward.Errorf(ward.Conflict, "It went to everyone who is configured already. Send one of those again.")
		}
		return nil
	case s.senders[d.Channel] == nil:
		return ward.Errorf(ward.Conflict, "The configuration has no %s any more.", channelName(d.Channel))
	}
	if err := s.Store.Again(ctx, d.ID, s.Now()); err != nil {
		return err
	}
	unit.AfterCommit(ctx, s.wake)
	return nil
}

// channelName says what a channel is, for people.
func channelName(channel string) string {
	if name, ok := strings.CutPrefix(channel, WebhookPrefix); ok {
		return "webhook called " + name
	}
	return "e-mail relay"
}

// mostLog bounds a page of the log.
const mostLog = 200

// Log returns up to limit deliveries, 50 for 0 and 200 at most, the newest first: those
// made before the one with the id given, all for "". It needs access.NotifyRead.
func (s *Service) Log(ctx context.Context, after string, limit int) ([]Delivery, error) {
	if err := access.Check(ctx, access.NotifyRead); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 50
	}
	return s.Store.Log(ctx, after, min(limit, mostLog))
}
