package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/order"
)

// Order is a request for a deed that can't be undone, and what became of it.
type Order struct {
	ID          ward.OrderID `json:"id"`
	Kind        order.Kind   `json:"kind" enum:"erase,clear_passcode,remove_management,lock_pin,release_brake,lift_brake"`
	State       order.State  `json:"state" enum:"requested,approved,issued,refused,cancelled,expired" doc:"requested: it waits for signatures; approved: two people signed and it waits for due; issued: its commands are queued, or it is carried out."`
	Waiting     string       `json:"waiting,omitempty" doc:"What it waits for, for people."`
	Needs       int          `json:"signatures_needed" doc:"How many signatures are missing."`
	ApproveAt   string       `json:"approve_at,omitempty" doc:"The page where an approver signs with their passkey, while it waits for signatures. No token approves."`
	Hash        string       `json:"hash" doc:"SHA-256 of the order's statement; a signature is for exactly this."`
	Statement   string       `json:"statement,omitempty" doc:"What hash is the SHA-256 of, as text; told of a single order to those who may ask for orders."`
	Reason      string       `json:"reason"`
	Case        ward.CaseID  `json:"case,omitempty"`
	Options     OrderOptions `json:"options"`
	RequestedBy Someone      `json:"requested_by"`
	Created     time.Time    `json:"created"`
	Expires     time.Time    `json:"expires" doc:"It can't be approved from then on; a campaign ends then."`
	Due         *time.Time   `json:"due,omitempty" doc:"When it may be carried out, or the next devices of a campaign may; left out if it waits for no time."`
	Targets     []Target     `json:"targets" nullable:"false"`
	Approvals   []Approval   `json:"approvals" nullable:"false"`
	Closing     *Closing     `json:"closing,omitempty" doc:"Who ended it without its being carried out."`
}

// OrderOptions are the options of an order.
type OrderOptions struct {
	PreserveDataPlan       bool             `json:"preserve_data_plan" doc:"Of an erase: the mobile data plan of an eSIM is kept."`
	DisallowProximitySetup bool             `json:"disallow_proximity_setup,omitempty"`
	ReturnToService        *ReturnToService `json:"return_to_service,omitempty" doc:"Of an erase: the device enrols again by itself."`
	Obliteration           string           `json:"obliteration,omitempty" enum:"Default,DoNotObliterate,ObliterateWithWarning,Always"`
	Message                string           `json:"message,omitempty"`
	Phone                  string           `json:"phone,omitempty"`
	Campaign               *Campaign        `json:"campaign,omitempty"`
	Brake                  *BrakeTurn       `json:"brake,omitempty"`
	Drill                  bool             `json:"drill,omitempty" doc:"A rehearsal: nothing is queued."`
}

// ReturnToService tells of the Wi-Fi profile of an order, which may hold a password.
type ReturnToService struct {
	WiFiProfileSHA256 string `json:"wifi_profile_sha256,omitempty" doc:"Hexadecimal; left out where it needs none."`
}

// Campaign is a planned refresh of many devices, with a limit of its own.
type Campaign struct {
	Start   time.Time `json:"start" doc:"A day ahead at the least."`
	PerHour int       `json:"per_hour" minimum:"1" doc:"Devices in any hour."`
}

// BrakeTurn is what an order does to the brake.
type BrakeTurn struct {
	Kind  brake.Kind `json:"kind" enum:"erase,clear_passcode,remove_management,lock_pin,lock,report,revoke,recovery_code" doc:"Of the deeds whose brake is meant."`
	Hours int        `json:"hours,omitempty" minimum:"0" maximum:"24" doc:"Of lift_brake only: for how long."`
}

// Target is one device of an order.
type Target struct {
	Device    ward.DeviceID    `json:"device"`
	Enrolment ward.EnrolmentID `json:"enrolment" doc:"The epoch at the time of the request: no other is reached."`
	Name      string           `json:"name"`
	Outcome   order.Outcome    `json:"outcome" enum:",waiting,delivered,not now,held,accepted,refused,superseded,cancelled,withheld,rehearsed,expired" doc:"Empty before anything was queued."`
	Words     string           `json:"words,omitempty" doc:"What is truly known, for people."`
	Command   string           `json:"command,omitempty"`
	Issued    *time.Time       `json:"issued,omitempty" doc:"When the command was queued."`
	Delivered *time.Time       `json:"delivered,omitempty"`
	Answered  *time.Time       `json:"answered,omitempty"`
	Error     string           `json:"error,omitempty" doc:"Why, for an outcome that is not accepted."`
}

// Approval is one person's signed yes.
type Approval struct {
	Person   Someone   `json:"person"`
	Subject  string    `json:"subject,omitempty" doc:"Who the human being is: a staff number or an e-mail address."`
	Approver string    `json:"approver,omitempty" doc:"The approver's id; left out for the sealed key."`
	Hash     string    `json:"hash"`
	At       time.Time `json:"at"`
	Glass    bool      `json:"glass,omitempty" doc:"The sealed key signed, which stands for two people; person is who used it."`
}

// Closing says who ended an order, when and why.
type Closing struct {
	By     Someone   `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

func (s *server) orderOf(o order.Order) Order {
	out := Order{
		ID: o.ID, Kind: o.Kind, State: o.State, Waiting: o.Why, Hash: o.Hash, Reason: o.Reason, Case: o.Case, Options: orderOptionsOf(o.Options),
		RequestedBy: by(o.RequestedBy, o.RequestedName), Created: o.Created.UTC(), Expires: o.Expires.UTC(), Due: when(o.Due),
		Targets: shapes(o.Targets, targetOf), Approvals: shapes(o.Approvals, approvalOf),
	}
	if o.State == order.Requested {
		out.Needs, out.ApproveAt = o.Needs(), s.orderPage(o.ID)
	}
	if !o.Closing.At.IsZero() {
		out.Closing = &Closing{By: by(o.Closing.Person, o.Closing.Name), At: o.Closing.At.UTC(), Reason: o.Closing.Reason}
	}
	return out
}

// orderPage is where people see an order, and sign it.
func (s *server) orderPage(id ward.OrderID) string { return s.PublicURL + "/orders/" + string(id) }

func orderOptionsOf(o order.Options) OrderOptions {
	out := OrderOptions{
		PreserveDataPlan: o.PreserveDataPlan, DisallowProximitySetup: o.DisallowProximitySetup, Obliteration: o.Obliteration,
		Message: o.Message, Phone: o.Phone, Drill: o.Drill,
	}
	if r := o.ReturnToService; r != nil {
		out.ReturnToService = &ReturnToService{}
		if len(r.WiFiProfile) > 0 {
			sum := sha256.Sum256(r.WiFiProfile)
			out.ReturnToService.WiFiProfileSHA256 = hex.EncodeToString(sum[:])
		}
	}
	if c := o.Campaign; c != nil {
		out.Campaign = &Campaign{Start: c.Start.UTC(), PerHour: c.PerHour}
	}
	if b := o.Brake; b != nil {
		out.Brake = &BrakeTurn{Kind: b.Kind, Hours: b.Hours}
	}
	return out
}

func targetOf(t order.Target) Target {
	return Target{
		Device: t.Device, Enrolment: t.Enrolment, Name: t.Name, Outcome: t.Outcome, Command: t.Command,
		Issued: when(t.Issued), Delivered: when(t.Delivered), Answered: when(t.Answered), Error: t.Error,
	}
}

func approvalOf(a order.Approval) Approval {
	return Approval{Person: by(a.Person, a.Name), Subject: a.Subject, Approver: a.Approver, Hash: a.Hash, At: a.At.UTC(), Glass: a.Glass}
}

// told answers with an order in words, or with the error.
func (s *server) told(ctx context.Context) func(order.Order, error) (*reply[Order], error) {
	return func(o order.Order, err error) (*reply[Order], error) {
		if err != nil {
			return nil, err
		}
		out, err := s.inWords(ctx, o)
		return answer(out), err
	}
}

// inWords adds what is truly known of each erase that a device accepted, which it does
// before it carries it out, and the statement, which may hold a Wi-Fi password.
func (s *server) inWords(ctx context.Context, o order.Order) (Order, error) {
	out := s.orderOf(o)
	if access.Allows(ward.ActorFrom(ctx), access.OrderRequest) {
		text, err := o.Statement()
		if err != nil {
			return out, err
		}
		out.Statement = string(text)
	}
	if o.Kind != order.Erase {
		return out, nil
	}
	for i, t := range o.Targets {
		if t.Outcome != order.Accepted {
			continue
		}
		e, err := s.Posture.Store.Enrolment(ctx, t.Enrolment)
		if err != nil {
			return out, err
		}
		out.Targets[i].Words = compliance.ErasedWords(t.Answered, e.LastSeen)
	}
	return out, nil
}
