package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/order"
)

// Order is a request for a deed that can't be undone, and what became of it.
type Order struct {
	ID          ward.OrderID `json:"id"`
	Kind        order.Kind   `json:"kind" enum:"erase,clear_passcode"`
	State       order.State  `json:"state" enum:"requested,issued,refused,cancelled,expired"`
	Hash        string       `json:"hash" doc:"SHA-256 of the order; an approval is for exactly this."`
	Reason      string       `json:"reason"`
	Case        ward.CaseID  `json:"case,omitempty"`
	Options     OrderOptions `json:"options"`
	RequestedBy Someone      `json:"requested_by"`
	Created     time.Time    `json:"created"`
	Expires     time.Time    `json:"expires" doc:"It can't be approved from then on."`
	Targets     []Target     `json:"targets" nullable:"false"`
	Approvals   []Approval   `json:"approvals" nullable:"false"`
	Closing     *Closing     `json:"closing,omitempty" doc:"Who ended it without its being carried out."`
}

// OrderOptions are the options of an order.
type OrderOptions struct {
	PreserveDataPlan       bool `json:"preserve_data_plan,omitempty"`
	DisallowProximitySetup bool `json:"disallow_proximity_setup,omitempty"`
}

// Target is one device of an order.
type Target struct {
	Device    ward.DeviceID    `json:"device"`
	Enrolment ward.EnrolmentID `json:"enrolment" doc:"The epoch at the time of the request: no other is reached."`
	Name      string           `json:"name"`
	Outcome   order.Outcome    `json:"outcome" enum:",waiting,delivered,not now,accepted,refused,superseded,cancelled,withheld" doc:"Empty before anything was queued."`
	Words     string           `json:"words,omitempty" doc:"What is truly known, for people."`
	Command   string           `json:"command,omitempty"`
	Delivered *time.Time       `json:"delivered,omitempty"`
	Answered  *time.Time       `json:"answered,omitempty"`
	Error     string           `json:"error,omitempty"`
}

// Approval is one person's yes.
type Approval struct {
	Person Someone   `json:"person"`
	Hash   string    `json:"hash"`
	Via    ward.Via  `json:"via"`
	At     time.Time `json:"at"`
}

// Closing says who ended an order, when and why.
type Closing struct {
	By     Someone   `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

func orderOf(o order.Order) Order {
	out := Order{
		ID: o.ID, Kind: o.Kind, State: o.State, Hash: o.Hash, Reason: o.Reason, Case: o.Case,
		Options:     OrderOptions{PreserveDataPlan: o.Options.PreserveDataPlan, DisallowProximitySetup: o.Options.DisallowProximitySetup},
		RequestedBy: Someone{ID: o.RequestedBy, Name: o.RequestedName}, Created: o.Created.UTC(), Expires: o.Expires.UTC(),
		Targets: shapes(o.Targets, targetOf),
		Approvals: shapes(o.Approvals, func(a order.Approval) Approval {
			return Approval{Person: Someone{ID: a.Person, Name: a.Name}, Hash: a.Hash, Via: a.Via, At: a.At.UTC()}
		}),
	}
	if !o.Closing.At.IsZero() {
		out.Closing = &Closing{By: Someone{ID: o.Closing.Person, Name: o.Closing.Name}, At: o.Closing.At.UTC(), Reason: o.Closing.Reason}
	}
	return out
}

func targetOf(t order.Target) Target {
	return Target{
		Device: t.Device, Enrolment: t.Enrolment, Name: t.Name, Outcome: t.Outcome, Command: t.Command,
		Delivered: when(t.Delivered), Answered: when(t.Answered), Error: t.Error,
	}
}

// inWords adds what is truly known of each erase that a device accepted: it accepts
// before it does.
func (s *server) inWords(ctx context.Context, o order.Order) (Order, error) {
	out := orderOf(o)
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

type listOrdersInput struct {
	Paging
	State  string `query:"state" enum:"requested,issued,refused,cancelled,expired"`
	Device string `query:"device" maxLength:"200" doc:"Id, serial number, UDID or exact name."`
	Case   string `query:"case" maxLength:"100"`
}

func (s *server) listOrders(ctx context.Context, in *listOrdersInput) (*reply[List[Order]], error) {
	f := order.Filter{State: order.State(in.State), Case: ward.CaseID(in.Case), After: ward.OrderID(in.After), Limit: min(in.Limit, maxPage)}
	if in.Device != "" {
		d, err := s.Posture.Find(ctx, in.Device)
		if err != nil {
			return nil, err
		}
		f.Device = d.ID
	}
	os, err := s.Orders.List(ctx, f)
	if err != nil {
		return nil, err
	}
	return answer(page(os, f.Limit, func(o order.Order) string { return string(o.ID) }, orderOf)), nil
}

// OrderPath names an order in a path.
type OrderPath struct {
	ID ward.OrderID `path:"id" maxLength:"100"`
}

func (s *server) showOrder(ctx context.Context, in *OrderPath) (*reply[Order], error) {
	return s.told(ctx)(s.Orders.Order(ctx, in.ID))
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

type requestOrderInput struct {
	Body struct {
		Kind    order.Kind  `json:"kind" enum:"erase,clear_passcode"`
		Devices []string    `json:"devices" minItems:"1" nullable:"false" doc:"Id, serial number, UDID or exact name of each."`
		Reason  string      `json:"reason" doc:"Why; whoever approves reads it."`
		Case    ward.CaseID `json:"case,omitempty" doc:"A case of one of the devices."`
		OrderOptions
	} `nameHint:"OrderRequest"`
}

func (s *server) requestOrder(ctx context.Context, in *requestOrderInput) (*reply[Order], error) {
	r := order.Request{
		Kind: in.Body.Kind, Reason: in.Body.Reason, Case: in.Body.Case,
		Options: order.Options{PreserveDataPlan: in.Body.PreserveDataPlan, DisallowProximitySetup: in.Body.DisallowProximitySetup},
	}
	for _, word := range in.Body.Devices {
		d, err := s.Posture.Find(ctx, word)
		if err != nil {
			return nil, err
		}
		r.Devices = append(r.Devices, d.ID)
	}
	return s.told(ctx)(s.Orders.Request(ctx, r))
}

type approveInput struct {
	OrderPath
	Body struct {
		Hash string `json:"hash" doc:"The hash of the order that the person was shown."`
	} `nameHint:"ApproveRequest"`
}

func (s *server) approveOrder(ctx context.Context, in *approveInput) (*reply[Order], error) {
	return s.told(ctx)(s.Orders.Approve(ctx, in.ID, in.Body.Hash))
}

type endOrderInput struct {
	OrderPath
	Body struct {
		Reason string `json:"reason" doc:"Why; it stands in the order and in the audit log."`
	} `nameHint:"EndOrderRequest"`
}

func (s *server) refuseOrder(ctx context.Context, in *endOrderInput) (*reply[Order], error) {
	return s.told(ctx)(s.Orders.Refuse(ctx, in.ID, in.Body.Reason))
}

func (s *server) cancelOrder(ctx context.Context, in *endOrderInput) (*reply[Order], error) {
	return s.told(ctx)(s.Orders.Cancel(ctx, in.ID, in.Body.Reason))
}
