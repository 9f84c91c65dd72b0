package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/health"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/posture"
	"github.com/wardmdm/ward/server/unit"
)

// Options say what the API stands on. Every field is needed.
type Options struct {
	// PublicURL is https://host[:port], under which people redeem their one-time links, at
	// /setup/{secret} and /signin/{secret}.
	PublicURL string
	// InviteURL returns the link of an invitation's token.
	InviteURL func(token string) string
	// Unit makes a deed and its audit entry one.
	Unit        unit.Unit
	Access      *access.Service
	SignIn      *access.SignIn
	Posture     *posture.Reader
	Estate      Estate
	Lost        *lost.Service
	Orders      *order.Service
	Approvers   Approvers
	Brake       Brake
	Notify      Notifications
	Invitations *enrollment.Service
	Policies    *policy.Service
	Audit       *audit.Service
	Pushes      Pushes
	Authority   Authority
	Enqueuer    Enqueuer
	Backups     Backups
	// CaseFile and OrderFile make the signed file of a case, and of an order that belongs to
	// none. That one was made is audited.
	CaseFile  func(ctx context.Context, id ward.CaseID) (casefile.Pack, error)
	OrderFile func(ctx context.Context, id ward.OrderID) (casefile.Pack, error)
	// MacPIN returns the PINs that a Mac was locked or erased with, by what each is for.
	// Each look is audited before it is answered; NotFound means that there is none.
	MacPIN func(ctx context.Context, id ward.DeviceID) (map[string]string, error)
	// Health says what is wrong with the installation.
	Health func(ctx context.Context) (health.Report, error)
	Now    func() time.Time
	// Reports makes what is handed out as evidence.
	Reports Reports
}

// PushStatus is what an operator wants to know of a push certificate.
type PushStatus struct {
	Topic     string
	Serial    string // hexadecimal
	Issuer    string
	NotAfter  time.Time
	DaysLeft  int // whole days; negative once it has expired
	Expired   bool
	RenewSoon bool
}

// Pushes keeps the push certificate and the key of the request for the next one.
type Pushes interface {
	// Status returns one entry for each topic that there is a certificate for.
	Status(ctx context.Context) ([]PushStatus, error)
	// Request makes a key, keeps it, and returns the certificate signing request for it.
	Request(ctx context.Context, organisation, email string) (csrPEM []byte, err error)
	// Import takes the certificate that Apple issued. keyPEM is empty for one that was
	// issued for the last Request. Mistakes are a *ward.Error. It is audited.
	Import(ctx context.Context, certPEM, keyPEM []byte) (PushStatus, error)
}

// Approvers knows who may approve orders.
type Approvers interface {
	List(ctx context.Context) ([]approver.Standing, error)
	// Invite returns the secret of the one-time link by which a person registers a passkey.
	Invite(ctx context.Context, p ward.PersonID, subject string, outside bool) (secret string, err error)
}

// Brake counts dangerous deeds, and holds those that come too fast.
type Brake interface {
	Meters(ctx context.Context) ([]brake.Meter, error)
	Holds(ctx context.Context) ([]brake.Hold, error)
	Ledger(ctx context.Context) (*brake.Ledger, error)
}

// Notifications tells the people on call.
type Notifications interface {
	Log(ctx context.Context, after string, limit int) ([]notify.Delivery, error)
	SendTest(ctx context.Context) error
	Replay(ctx context.Context, id string) error
}

// RawCommand is a command that a script hands in.
type RawCommand struct {
	Channels []string
	Body     []byte // the property list, which must not be kept
	NoPush   bool
	Expires  time.Time // past it the command is not handed out any more; zero for never
}

// Enqueued is what became of a raw command.
type Enqueued struct {
	CommandUUID string
	RequestType string
	Failed      map[string]error // by channel; the others have the command in their queue
}

// Enqueuer queues raw commands for channels, UDIDs or EnrollmentIDs.
type Enqueuer interface {
	// Queue queues one command property list for each channel, within one unit of work and
	// audited. A command that can't be read or may not be queued raw is a *ward.Error for
	// all.
	Queue(ctx context.Context, c RawCommand) (Enqueued, error)
}

// Backups writes the whole record as it is at one moment.
type Backups interface {
	Write(ctx context.Context, w io.Writer) error
}

// check returns every mistake in o.
func (o Options) check() error {
	var errs []error
	v := reflect.ValueOf(o)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			errs = append(errs, fmt.Errorf("api: %s is needed", v.Type().Field(i).Name))
		}
	}
	if u, err := url.Parse(o.PublicURL); err != nil || o.PublicURL != "" && (u.Host == "" || strings.TrimSuffix(u.Path, "/") != "") {
		errs = append(errs, fmt.Errorf("api: PublicURL %q is not scheme://host[:port]", o.PublicURL))
	}
	return errors.Join(errs...)
}
