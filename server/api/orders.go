package api

import (
	"context"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/order"
)

type listOrdersInput struct {
	Paging
	State  string `query:"state" enum:"requested,approved,issued,refused,cancelled,expired"`
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
	return answer(page(os, f.Limit, func(o order.Order) string { return string(o.ID) }, s.orderOf)), nil
}

// OrderPath names an order in a path.
type OrderPath struct {
	ID ward.OrderID `path:"id" maxLength:"100"`
}

func (s *server) showOrder(ctx context.Context, in *OrderPath) (*reply[Order], error) {
	return s.told(ctx)(s.Orders.Order(ctx, in.ID))
}

// OrderChoice are the options that are chosen for an order. What does not fit its kind is
// refused.
type OrderChoice struct {
	PreserveDataPlan       *bool         `json:"preserve_data_plan,omitempty" doc:"Erase: keep the mobile data plan of an eSIM; true if left out."`
	DisallowProximitySetup bool          `json:"disallow_proximity_setup,omitempty" doc:"Erase, iPhone and iPad: no set-up by a phone held near it."`
	ReturnToService        *ReturnChoice `json:"return_to_service,omitempty" doc:"Erase, iPhone and iPad, outside a case: the device enrols again by itself."`
	Obliteration           string        `json:"obliteration,omitempty" enum:"Default,DoNotObliterate,ObliterateWithWarning,Always" doc:"Erase, Mac: what it does where it can't erase by its keys; Apple's default if left out."`
	Message                string        `json:"message,omitempty" doc:"lock_pin: shown on the locked Mac."`
	Phone                  string        `json:"phone,omitempty" doc:"lock_pin: shown on the locked Mac."`
	Campaign               *Campaign     `json:"campaign,omitempty" doc:"erase and remove_management of many devices: a planned refresh, announced a day ahead."`
	Brake                  *BrakeTurn    `json:"brake,omitempty" doc:"release_brake and lift_brake: what is meant."`
	Drill                  bool          `json:"drill,omitempty" doc:"A rehearsal: everything but the command."`
}

// ReturnChoice says how an erased device finds its way back.
type ReturnChoice struct {
	WiFiProfile []byte `json:"wifi_profile,omitempty" doc:"A configuration profile, in base64, by which the device reaches Ward; left out where it needs none. Whoever may ask for orders or read the audit log can read it."`
}

func (c *OrderChoice) options(k order.Kind) order.Options {
	erase := k == order.Erase
	if c == nil {
		return order.Options{PreserveDataPlan: erase}
	}
	o := order.Options{
		PreserveDataPlan: chosen(c.PreserveDataPlan, erase), DisallowProximitySetup: c.DisallowProximitySetup, Obliteration: c.Obliteration,
		Message: c.Message, Phone: c.Phone, Drill: c.Drill,
	}
	if c.ReturnToService != nil {
		o.ReturnToService = &order.ReturnToService{WiFiProfile: c.ReturnToService.WiFiProfile}
	}
	if c.Campaign != nil {
		o.Campaign = &order.Campaign{Start: c.Campaign.Start, PerHour: c.Campaign.PerHour}
	}
	if c.Brake != nil {
		o.Brake = &order.Brake{Kind: c.Brake.Kind, Hours: c.Brake.Hours}
	}
	return o
}

// chosen returns what was chosen, or else what is safe.
func chosen(v *bool, safe bool) bool {
	if v == nil {
		return safe
	}
	return *v
}

type requestOrderInput struct {
	Body struct {
		Kind    order.Kind   `json:"kind" enum:"erase,clear_passcode,remove_management,lock_pin,release_brake,lift_brake"`
		Devices []string     `json:"devices,omitempty" maxItems:"10000" nullable:"false" doc:"Id, serial number, UDID or exact name of each; left out for release_brake and lift_brake."`
		Reason  string       `json:"reason" doc:"Why; whoever approves reads it."`
		Case    ward.CaseID  `json:"case,omitempty" doc:"A case of one of the devices."`
		Options *OrderChoice `json:"options,omitempty"`
	} `nameHint:"OrderRequest"`
}

func (s *server) requestOrder(ctx context.Context, in *requestOrderInput) (*reply[Order], error) {
	b := in.Body
	ids, err := s.findAll(ctx, b.Devices, "Nothing was asked for, for not every device is known.")
	if err != nil {
		return nil, err
	}
	return s.told(ctx)(s.Orders.Request(ctx, order.Request{Kind: b.Kind, Devices: ids, Reason: b.Reason, Case: b.Case, Options: b.Options.options(b.Kind)}))
}

// findAll finds devices by what they are called. If not every one is known the error says
// so in the words given, and names each that is not.
func (s *server) findAll(ctx context.Context, words []string, otherwise string) ([]ward.DeviceID, error) {
	ids := make([]ward.DeviceID, 0, len(words))
	unknown := &ward.Error{Kind: ward.NotFound, Message: otherwise}
	for _, word := range words {
		d, err := s.Posture.Find(ctx, word)
		if k := ward.KindOf(err); k == ward.NotFound || k == ward.Conflict {
			unknown.Details = append(unknown.Details, httpd.ProblemOf(ctx, err).Detail)
			continue
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, d.ID)
	}
	if len(unknown.Details) > 0 {
		return nil, unknown
	}
	return ids, nil
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

type cancelAllInput struct {
	Body struct {
		Reason string `json:"reason" doc:"Why; everyone is told."`
	} `nameHint:"CancelAllRequest"`
}

// CancelledAll says what was taken back.
type CancelledAll struct {
	Orders   int `json:"orders" doc:"Taken back, as far as no device held their commands."`
	Commands int `json:"commands" doc:"Taken off the queue."`
	TooLate  int `json:"too_late" doc:"Destructive commands that devices hold already."`
}

func (s *server) cancelAll(ctx context.Context, in *cancelAllInput) (*reply[CancelledAll], error) {
	n, err := s.Orders.CancelAll(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return answer(CancelledAll{Orders: n.Orders, Commands: n.Commands, TooLate: n.TooLate}), nil
}

// approveOrder says where an order is approved, for here it never is: a token is a secret in
// a file, and an approval is a person with their passkey.
func (s *server) approveOrder(ctx context.Context, in *OrderPath) (*none, error) {
	o, err := s.Orders.Order(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, ward.Errorf(ward.Forbidden, "No token approves an order. Two people sign it in a browser, each with their own passkey: %s", s.orderPage(o.ID))
}

type glassInput struct {
	OrderPath
	Body struct {
		Hash      string `json:"hash" minLength:"64" maxLength:"64" doc:"Of the order that the person was shown."`
		Signature []byte `json:"signature" doc:"By the sealed key over the hash, in base64. The key's two parts stay with their keepers."`
	} `nameHint:"BreakGlassRequest"`
}

// breakGlass has the sealed key stand for the two signatures.
func (s *server) breakGlass(ctx context.Context, in *glassInput) (*reply[Order], error) {
	return s.told(ctx)(s.Orders.BreakGlass(ctx, in.ID, in.Body.Hash, in.Body.Signature))
}
