package notify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var start = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// side is the other side of a channel: it takes what it is sent, or fails.
type side struct {
	mu     sync.Mutex
	got    []notify.Delivery
	failed error
	block  chan struct{} // if set, sending waits for it or for the end of the context
}

func (s *side) Send(ctx context.Context, d notify.Delivery) error {
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	s.got = append(s.got, d)
	return nil
}

// took returns "recipient: subject" of all that it took, and forgets it.
func (s *side) took() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.got {
		out = append(out, d.To+": "+d.Message.Subject)
	}
	s.got = nil
	slices.Sort(out)
	return out
}

func (s *side) fails(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
}

type recorded struct{ actions []string }

func (r *recorded) Record(_ context.Context, action, _ string, _ map[string]string) error {
	r.actions = append(r.actions, action)
	return nil
}

type people []string

func (p people) Emails(context.Context) ([]string, error) { return p, nil }

// world is a service on a database, with a clock that only the test moves.
type world struct {
	*notify.Service
	db                *store.DB
	mail, chat, pager *side
	audit             *recorded
	logs              *observer.ObservedLogs
	ctx               context.Context // of an administrator
	mu                sync.Mutex
	now               time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// service returns another copy of the server on the same database.
func (w *world) service(t *testing.T, change func(*notify.Config)) *notify.Service {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	w.logs = logs
	c := notify.Config{
		Store: w.db.Notifications(), People: people{"ann@example.org", "Bob@example.org", "no address"}, Audit: w.audit, Now: w.clock, Logger: zap.New(core), PublicURL: "https://mdm.example.org",
		Email: w.mail, To: []string{"oncall@example.org", "bob@example.org"},
		Webhooks: []notify.Webhook{{Name: "chat", Sender: w.chat}, {Name: "pager", Topics: []notify.Topic{notify.BrakeHeld}, Sender: w.pager}},
	}
	if change != nil {
		change(&c)
	}
	s, err := notify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func nobodyConfigured(c *notify.Config) { c.Email, c.To, c.Webhooks = nil, nil, nil }

func newWorld(t *testing.T, db *store.DB, change func(*notify.Config)) *world {
	t.Helper()
	w := &world{
		db: db, mail: &side{}, chat: &side{}, pager: &side{}, audit: &recorded{}, now: start,
		ctx: ward.WithActor(t.Context(), ward.Actor{Person: "p", Name: "Ada", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleAdmin}}),
	}
	w.Service = w.service(t, change)
	return w
}

func (w *world) tell(t *testing.T, m notify.Message) {
	t.Helper()
	if err := w.Tell(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func (w *world) do(t *testing.T) {
	t.Helper()
	if err := w.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// states returns "channel recipient: state" of the log, sorted.
func (w *world) states(t *testing.T) (out []string) {
	t.Helper()
	all, err := w.Log(w.ctx, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		out = append(out, fmt.Sprintf("%s %s: %s", d.Channel, d.To, d.State()))
	}
	slices.Sort(out)
	return out
}

func (w *world) only(t *testing.T) notify.Delivery {
	t.Helper()
	all, err := w.Log(w.ctx, "", 0)
	if err != nil || len(all) != 1 {
		t.Fatalf("Log() = %+v, %v; want one delivery", all, err)
	}
	return all[0]
}

// onlyMail leaves one recipient.
func onlyMail(c *notify.Config) { c.To, c.Webhooks = []string{"oncall@example.org"}, nil }

// TestAskedTopics are told to nobody but the webhooks that name them, and kept for nobody else.
func TestAskedTopics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), func(c *notify.Config) {
		c.Webhooks = []notify.Webhook{{Name: "chat", Sender: c.Webhooks[0].Sender}, {Name: "pager", Topics: []notify.Topic{notify.NonCompliant}, Sender: c.Webhooks[1].Sender}}
	})
	w.tell(t, notify.Message{ID: "a", Topic: notify.NonCompliant, Subject: "s"})
	w.tell(t, notify.Message{ID: "b", Topic: notify.Compliant, Subject: "s"})
	w.do(t)
	got := [][]string{w.mail.took(), w.chat.took(), w.pager.took()}
	if diff := cmp.Diff([][]string{nil, nil, {"pager: s"}}, got); diff != "" {
		t.Errorf("told mismatch (-want +got):\n%s", diff)
	}
	kept, err := w.Log(w.ctx, "", 10)
	if err != nil || len(kept) != 1 {
		t.Errorf("%d deliveries are kept, %v; want the pager's alone", len(kept), err)
	}
}

func TestTellGoesTo(t *testing.T) {
	t.Parallel()
	oncall := []string{"bob@example.org: s", "oncall@example.org: s"}
	for _, tt := range []struct {
		name              string
		m                 notify.Message
		mail, chat, pager []string
	}{
		{"a topic of the pager's", notify.Message{Topic: notify.BrakeHeld}, oncall, []string{"chat: s"}, []string{"pager: s"}},
		{"another topic", notify.Message{Topic: notify.CaseOpened}, oncall, []string{"chat: s"}, nil},
		{
			"everyone, each address once whatever its case",
			notify.Message{Topic: notify.BreakGlass, Everyone: true},
			[]string{"ann@example.org: s", "bob@example.org: s", "oncall@example.org: s"},
			[]string{"chat: s"},
			[]string{"pager: s"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.SQLite(t), nil)
			tt.m.Subject = "s"
			w.tell(t, tt.m)
			select {
			case <-w.Wanted():
			default:
				t.Error("nobody was woken")
			}
			w.do(t)
			got := [][]string{w.mail.took(), w.chat.took(), w.pager.took()}
			if diff := cmp.Diff([][]string{tt.mail, tt.chat, tt.pager}, got); diff != "" {
				t.Errorf("told mismatch (-want +got):\n%s", diff)
			}
			w.later(time.Hour)
			w.do(t)
			if again := slices.Concat(w.mail.took(), w.chat.took(), w.pager.took()); len(again) != 0 {
				t.Errorf("told again: %v", again)
			}
		})
	}
}

// TestTellKeeps: what is sent is the message, on one line and with a whole address.
func TestTellKeeps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), onlyMail)
	w.tell(t, notify.Message{
		ID: "m", Topic: notify.Forged, Subject: " Erase\r\nBcc: x@evil.example\x00 of \u202eMac  ", Body: "One.\r\n\tTwo\x1b[31m\xff.\n\n\nThree.\n", Link: "/orders/o", Order: "o", Case: "c", Device: "d", Urgent: true,
		At: start.Add(-time.Minute),
	})
	w.do(t)
	want := notify.Message{
		ID: "m", Topic: notify.Forged, Subject: "Erase Bcc: x@evil.example of Mac", Body: "One.\nTwo [31m\uFFFD.\n\n\nThree.", Link: "https://mdm.example.org/orders/o", Order: "o", Case: "c", Device: "d", Urgent: true,
		At: start.Add(-time.Minute),
	}
	if diff := cmp.Diff(want, w.mail.got[0].Message); diff != "" {
		t.Errorf("sent mismatch (-want +got):\n%s", diff)
	}
	if got := w.only(t).Message.Link; got != "/orders/o" {
		t.Errorf("the log has the link %q, want the path", got)
	}
}

func TestTellRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), nil)
	for name, m := range map[string]notify.Message{
		"no topic": {Subject: "s"}, "no subject": {Topic: notify.Forged}, "nothing to see": {Topic: notify.Forged, Subject: "\r\n"},
		"an address": {Topic: notify.Forged, Subject: "s", Link: "https://evil.example"}, "two lines": {Topic: notify.Forged, Subject: "s", Link: "/a\n/b"},
	} {
		if err := w.Tell(t.Context(), m); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	long := notify.Message{Topic: notify.Forged, Subject: strings.Repeat("ä", 300), Body: strings.Repeat("b", 9000)}
	w.tell(t, long)
	w.do(t)
	if m := w.chat.got[0].Message; len([]rune(m.Subject)) != 200 || len([]rune(m.Body)) != 8000 || !strings.HasSuffix(m.Subject, "ä…") {
		t.Errorf("long texts became %d and %d characters, want 200 and 8000", len([]rune(m.Subject)), len([]rune(m.Body)))
	}
}

// TestTellWithTheDeed: on both databases, a deed that fails tells nobody, and one that is
// tried again tells once.
func TestTellWithTheDeed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, onlyMail)
		failed := errors.New("the deed failed")
		err := db.Do(t.Context(), func(ctx context.Context) error {
			if err := w.Tell(ctx, notify.Message{Topic: notify.OrderIssued, Subject: "not done"}); err != nil {
				return err
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		select {
		case <-w.Wanted():
			t.Error("a deed that failed woke the sender")
		default:
		}
		for range 2 {
			w.tell(t, notify.Message{ID: "reminder", Topic: notify.CaseDeadline, Subject: "once"})
			w.do(t)
		}
		if diff := cmp.Diff([]string{"oncall@example.org: once"}, w.mail.took()); diff != "" {
			t.Errorf("told mismatch (-want +got):\n%s", diff)
		}
	})
}

// TestRetries: a relay that is down is tried at growing intervals, and takes the message
// when it is up again; one address that it refuses stops no other.
func TestRetries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), nil)
	w.mail.fails(errors.New("450 try later, oncall@example.org or bob@example.org"))
	w.tell(t, notify.Message{Topic: notify.CaseOpened, Subject: "s"})
	var waits []time.Duration
	last := start
	for range 10 {
		w.do(t)
		all, err := w.Log(w.ctx, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(d notify.Delivery) bool { return d.To == "oncall@example.org" })
		waits = append(waits, all[i].Due.Sub(last))
		last = all[i].Due
		if want := "450 try later, oncall@example.org or bob@example.org"; all[i].Error != want {
			t.Errorf("the error kept is %q, want %q", all[i].Error, want)
		}
		w.later(last.Sub(w.clock()))
	}
	const s, m = time.Second, time.Minute
	if diff := cmp.Diff([]time.Duration{10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 320 * s, 640 * s, 1280 * s, 30 * m, 30 * m}, waits); diff != "" {
		t.Errorf("waits mismatch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"chat: s"}, w.chat.took()); diff != "" {
		t.Errorf("the webhook mismatch (-want +got):\n%s", diff)
	}
	for _, line := range w.logs.FilterMessage("notification failed").All() {
		if why := fmt.Sprint(line.ContextMap()); strings.Count(why, "@") != 1 { // the other's address, which only a relay that mixes them up tells
			t.Errorf("a log line names its recipient: %s", why)
		}
	}
	w.mail.fails(nil)
	w.do(t)
	if diff := cmp.Diff([]string{"bob@example.org: s", "oncall@example.org: s"}, w.mail.took()); diff != "" {
		t.Errorf("up again, told mismatch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"email bob@example.org: delivered", "email oncall@example.org: delivered", "webhook/chat chat: delivered"}, w.states(t)); diff != "" {
		t.Errorf("log mismatch (-want +got):\n%s", diff)
	}
}

// TestGivenUp: after a day, and not before; it is logged, kept, and sent again when asked.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), onlyMail)
	w.mail.fails(errors.New("550 no such user"))
	w.tell(t, notify.Message{Topic: notify.CaseOpened, Subject: "s"})
	for w.only(t).State() == notify.Waiting {
		w.do(t)
		if d := w.only(t); d.State() == notify.Waiting {
			w.later(d.Due.Sub(w.clock()))
		}
	}
	d := w.only(t)
	if d.State() != notify.GivenUp || !d.GivenUp.Equal(start.Add(notify.Life)) || d.Error != "550 no such user" {
		t.Fatalf("it ended as %+v, want given up after a day", d)
	}
	if n := w.logs.FilterMessage("notification given up").FilterLevelExact(zap.ErrorLevel).Len(); n != 1 {
		t.Errorf("giving up was logged %d times, want once", n)
	}
	w.mail.fails(nil)
	w.later(time.Hour)
	w.do(t)
	if got := w.mail.took(); len(got) != 0 {
		t.Errorf("what was given up was sent: %v", got)
	}
	if err := w.Replay(w.ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	w.do(t)
	if got := w.only(t); got.State() != notify.Delivered || len(w.mail.took()) != 1 || !slices.Equal(w.audit.actions, []string{notify.ActionAgain}) {
		t.Errorf("sent again it is %+v, audited as %v", got, w.audit.actions)
	}
}

// TestNobody: without anybody to tell, messages are kept and logged, and can be sent when
// there is somebody.
func TestNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), nobodyConfigured)
	if err := w.SendTest(w.ctx); ward.KindOf(err) != ward.Conflict || len(w.audit.actions) != 0 {
		t.Errorf("SendTest() = %v, want Conflict", err)
	}
	w.tell(t, notify.Message{Topic: notify.BrakeHeld, Subject: "Ann's phone", Urgent: true, Order: "o"})
	w.do(t)
	d := w.only(t)
	if d.Channel != notify.None || d.State() != notify.GivenUp || d.Error == "" {
		t.Errorf("it is kept as %+v", d)
	}
	lines := w.logs.FilterMessage("nobody is configured to be told").FilterLevelExact(zap.WarnLevel).All()
	if len(lines) != 1 || lines[0].ContextMap()["order"] != "o" || strings.Contains(fmt.Sprint(lines[0].ContextMap()), "Ann") {
		t.Errorf("it is logged as %v", lines)
	}
	if err := w.Replay(w.ctx, d.ID); ward.KindOf(err) != ward.Conflict {
		t.Errorf("Replay() with nobody to tell = %v, want Conflict", err)
	}
	now := w.service(t, onlyMail)
	if err := now.Replay(w.ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	if err := now.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"oncall@example.org: Ann's phone"}, w.mail.took()); diff != "" {
		t.Errorf("told mismatch (-want +got):\n%s", diff)
	}
	if err := now.Replay(w.ctx, d.ID); ward.KindOf(err) != ward.Conflict {
		t.Errorf("Replay() of what everyone got = %v, want Conflict", err)
	}
}

// TestChannelGone: what waits for a webhook that the configuration has no more is left to
// copies that have it, and given up after a day.
func TestChannelGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), func(c *notify.Config) { c.Email, c.To, c.Webhooks = nil, nil, c.Webhooks[:1] })
	w.tell(t, notify.Message{Topic: notify.BrakeHeld, Subject: "s"})
	other := w.service(t, onlyMail)
	tidy := func() {
		t.Helper()
		if err := errors.Join(other.Do(t.Context()), other.Tidy(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	w.later(notify.Life)
	tidy()
	if got := w.only(t); got.State() != notify.Waiting {
		t.Errorf("before its day was over it became %+v", got)
	}
	w.later(time.Second)
	tidy()
	got := w.only(t)
	if got.State() != notify.GivenUp || got.Error != "the configuration has no webhook called chat any more" {
		t.Errorf("after a day it is %+v, want given up", got)
	}
	if err := other.Replay(w.ctx, got.ID); ward.KindOf(err) != ward.Conflict {
		t.Errorf("Replay() to a webhook that is gone = %v, want Conflict", err)
	}
	w.later(notify.Kept)
	tidy()
	if all, err := w.Log(w.ctx, "", 0); err != nil || len(all) != 0 {
		t.Errorf("after 90 days the log has %+v, %v", all, err)
	}
}

// TestTwoCopies: copies that send at the same time send each message once, on both databases.
func TestTwoCopies(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, onlyMail)
		other := w.service(t, onlyMail)
		var want []string
		for i := range 40 {
			subject := fmt.Sprintf("message %02d", i)
			want = append(want, "oncall@example.org: "+subject)
			w.tell(t, notify.Message{Topic: notify.CaseOpened, Subject: subject})
		}
		var copies sync.WaitGroup
		for _, s := range []*notify.Service{w.Service, other} {
			copies.Go(func() {
				if err := s.Do(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		copies.Wait()
		if diff := cmp.Diff(want, w.mail.took()); diff != "" {
			t.Errorf("told mismatch (-want +got):\n%s", diff)
		}
	})
}

// TestStopping: what was on its way when the server stopped is sent after its lease.
func TestStopping(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), onlyMail)
	w.mail.block = make(chan struct{})
	w.tell(t, notify.Message{Topic: notify.CaseOpened, Subject: "s"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Do(ctx) }()
	w.mail.block <- struct{}{} // it sends; and a second time it would wait
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.tell(t, notify.Message{Topic: notify.CaseOpened, Subject: "t"})
	go func() { done <- w.Do(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Fatalf("stopped, Do() = %v", err)
	}
	close(w.mail.block)
	w.later(time.Minute)
	w.do(t)
	if diff := cmp.Diff([]string{"oncall@example.org: s", "oncall@example.org: t"}, w.mail.took()); diff != "" {
		t.Errorf("told mismatch (-want +got):\n%s", diff)
	}
}

// TestWhoMay: the log, tests and sending again each need their permission.
func TestWhoMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), nil)
	auditor := ward.WithActor(t.Context(), ward.Actor{Person: "q", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleAuditor}})
	support := ward.WithActor(t.Context(), ward.Actor{Person: "r", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleSupport}})
	if err := w.SendTest(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.do(t)
	want := [][]string{{"bob@example.org: This is a test", "oncall@example.org: This is a test"}, {"chat: This is a test"}, {"pager: This is a test"}}
	if diff := cmp.Diff(want, [][]string{w.mail.took(), w.chat.took(), w.pager.took()}); diff != "" {
		t.Errorf("a test goes everywhere; mismatch (-want +got):\n%s", diff)
	}
	all, err := w.Log(auditor, "", 2)
	if err != nil || len(all) != 2 {
		t.Fatalf("Log() of an auditor = %v, %v", all, err)
	}
	for name, err := range map[string]error{"test": w.SendTest(auditor), "again": w.Replay(auditor, all[0].ID)} {
		if ward.KindOf(err) != ward.Forbidden {
			t.Errorf("%s by an auditor = %v, want Forbidden", name, err)
		}
	}
	if _, err := w.Log(support, "", 0); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Log() of support = %v, want Forbidden", err)
	}
	if err := w.Replay(w.ctx, "ntf-none"); ward.KindOf(err) != ward.NotFound {
		t.Errorf("Replay(none) = %v, want NotFound", err)
	}
	if diff := cmp.Diff([]string{notify.ActionTested}, w.audit.actions); diff != "" {
		t.Errorf("audited mismatch (-want +got):\n%s", diff)
	}
}
