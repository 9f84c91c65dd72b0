package notify

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/unit"
)

// The channels. A webhook's channel is WebhookPrefix and its name.
const (
	Email         = "email"
	WebhookPrefix = "webhook/"
	// None is the channel of a message that nobody is configured to be told. It is kept
	// to be seen, and sent to nobody.
	None = "none"
)

// State says how far a delivery has come.
type State string

// The states of a delivery.
const (
	Waiting   State = "waiting"   // it is tried until it arrives or is given up
	Delivered State = "delivered" // the relay or the webhook took it; more nobody can know
	GivenUp   State = "given up"
)

// Delivery is one message on its way to one recipient: a row of the outbox.
type Delivery struct {
	ID        string // "ntf-…"; those made later sort after
	Message   Message
	Channel   string
	To        string    // an e-mail address, or the name of a webhook; empty for None
	Made      time.Time // when it was told
	Since     time.Time // since when it is tried: when it was told, or sent again
	Due       time.Time // when it is tried next
	Leased    time.Time // until when one copy of the server has it; zero for none
	Attempts  int       // since Since
	Error     string    // why the last attempt failed; empty where none did
	Delivered time.Time // zero until it is
	GivenUp   time.Time // zero unless it is
}

// State says how far the delivery has come.
func (d Delivery) State() State {
	switch {
	case !d.Delivered.IsZero():
		return Delivered
	case !d.GivenUp.IsZero():
		return GivenUp
	default:
		return Waiting
	}
}

// Store keeps the outbox. Methods join the unit of work in ctx.
type Store interface {
	unit.Unit
	// Add keeps deliveries and returns how many it kept: one whose message, channel and
	// recipient are kept already changes nothing.
	Add(ctx context.Context, all []Delivery) (int, error)
	// Lease returns up to limit waiting deliveries of a channel that are due at now and that
	// no copy has, urgent ones first, and keeps them for the caller until the time given.
	// It counts an attempt for each.
	Lease(ctx context.Context, channel string, now, until time.Time, limit int) ([]Delivery, error)
	// Settle keeps Due, Error, Delivered and GivenUp of d and ends its lease. It reports
	// false, and changes nothing, if d waits no more or its lease is not d.Leased any more.
	Settle(ctx context.Context, d Delivery) (bool, error)
	// Again has a delivery wait anew, due at once, as if it had been told at the time given.
	Again(ctx context.Context, id string, at time.Time) error
	// Delivery returns one delivery, or a *ward.Error of kind NotFound.
	Delivery(ctx context.Context, id string) (Delivery, error)
	// Log returns up to limit deliveries, the newest first: those made before the one with
	// the id given, all for "".
	Log(ctx context.Context, before string, limit int) ([]Delivery, error)
	// Stale returns up to limit deliveries that wait, that no copy has at now, and that have
	// been tried since before the time given, by none of the channels given.
	Stale(ctx context.Context, now, before time.Time, channels []string, limit int) ([]Delivery, error)
	// Purge deletes what was made before the time given and waits no more.
	Purge(ctx context.Context, before time.Time) error
}

// People knows who uses Ward.
type People interface {
	// Emails returns the e-mail address of every person who may act and has one.
	Emails(ctx context.Context) ([]string, error)
}

// Recorder keeps the audit log, within the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// The actions that stand in the audit log.
const (
	ActionTested = "notify.tested"
	ActionAgain  = "notify.sent-again"
)

// Sender takes a delivery to its recipient. The link of the message it is given is a whole
// address. It returns nil once the other side took it; an error never holds a secret.
type Sender interface {
	Send(ctx context.Context, d Delivery) error
}

// Webhook is a program that is told.
type Webhook struct {
	Name   string // unique; it never changes its meaning while messages wait for it
	Topics []Topic
	Sender Sender
}

// wants reports whether the webhook is told m: what is in its topics, and, whatever those
// are, what everyone must know and tests.
func (w Webhook) wants(m Message) bool {
	return len(w.Topics) == 0 && !m.Topic.Asked() || m.Everyone || m.Topic == Test || slices.Contains(w.Topics, m.Topic)
}

// anonymous takes the recipient out of a text that is logged: an address names a person.
func (d Delivery) anonymous(text string) string {
	if d.Channel != Email || d.To == "" {
		return text
	}
	return strings.ReplaceAll(text, d.To, "the recipient")
}
