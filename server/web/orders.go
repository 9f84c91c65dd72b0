package web

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/order"
)

// ordersListed is how many orders stand on one page.
const ordersListed = 50

type ordersPage struct {
	Page
	States []stateLink
	State  order.State
	Rows   []orderRow
	Next   string
	Start  string
}

type stateLink struct {
	Text    string
	Href    string
	Current bool
}

type orderRow struct {
	Href    string
	Deed    string
	Targets string
	Reason  string
	By      string
	Tag     tag
	Asked   moment
}

type orderPage struct {
	Page
	Address   string
	Hash      string
	Short     string // the beginning of the hash, to compare by eye
	Deed      string
	Tag       tag
	Reason    string
	By        string
	Asked     moment
	Expires   moment
	Options   []string
	InCase    bool
	Targets   []targetView
	Approvals []approvalView
	Closed    string // who ended it and why; empty if nobody did
	ClosedAt  moment
	Open      bool // waits for an approval

	Approve, Refuse, Cancel bool
	Own                     bool // the reader asked for it, and so can't approve it
	Note                    string
}

type targetView struct {
	Name, Href string
	Tag        tag
	Words      string
}

type approvalView struct {
	Name string
	At   moment
}

// orders lists orders: GET /orders?state=&after=.
func (s *Server) orders(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := order.Filter{State: order.State(q.Get("state")), After: ward.OrderID(q.Get("after")), Limit: ordersListed}
	now := s.Now()
	v := &ordersPage{Page: Page{Title: "Orders", Section: "orders"}, State: f.State}
	known := false
	for _, st := range []struct {
		state order.State
		text  string
	}{{"", "All"}, {order.Requested, "Waiting"}, {order.Issued, "Approved"}, {order.Refused, "Refused"}, {order.Cancelled, "Cancelled"}, {order.Expired, "Expired"}} {
		known = known || st.state == f.State
		v.States = append(v.States, stateLink{st.text, ordersAddress(st.state, ""), st.state == f.State})
	}
	if !known {
		return ward.Errorf(ward.NotFound, "There is no state %q of orders.", string(f.State))
	}
	list, err := s.Orders.List(r.Context(), f)
	if err != nil {
		return err
	}
	for _, o := range list {
		v.Rows = append(v.Rows, orderRow{orderAddress(o.ID), orderName(o.Kind), subjects(o), o.Reason, o.RequestedName, orderTag(o, now), at(o.Created, now)})
	}
	if len(list) == ordersListed {
		v.Next = ordersAddress(f.State, list[len(list)-1].ID)
	}
	if f.After != "" {
		v.Start = ordersAddress(f.State, "")
	}
	return render(s, w, r, http.StatusOK, s.pages.orders, v)
}

// subjects names the devices of an order.
func subjects(o order.Order) string {
	names := make([]string, len(o.Targets))
	for i, t := range o.Targets {
		names[i] = cmp.Or(t.Name, string(t.Device))
	}
	return strings.Join(names, ", ")
}

func ordersAddress(st order.State, after ward.OrderID) string {
	q := url.Values{}
	if st != "" {
		q.Set("state", string(st))
	}
	if after != "" {
		q.Set("after", string(after))
	}
	if len(q) == 0 {
		return "/orders"
	}
	return "/orders?" + q.Encode()
}

func orderAddress(id ward.OrderID) string { return "/orders/" + url.PathEscape(string(id)) }

// order shows one order: GET /orders/{id}.
func (s *Server) order(w http.ResponseWriter, r *http.Request) error {
	v, err := s.orderView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.order, v)
}

func (s *Server) orderView(r *http.Request) (*orderPage, error) {
	o, err := s.Orders.Order(r.Context(), ward.OrderID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	now, a := s.Now(), ward.ActorFrom(r.Context())
	v := &orderPage{
		Page:    Page{Title: orderName(o.Kind) + " " + subjects(o), Section: "orders", Narrow: true, Backlink: "/orders", Backname: "Orders"},
		Address: orderAddress(o.ID), Hash: o.Hash, Short: short(o.Hash), Deed: orderName(o.Kind), Tag: orderTag(o, now), Reason: o.Reason, By: o.RequestedName,
		Asked: at(o.Created, now), Expires: at(o.Expires, now), InCase: o.Case != "",
		Open: o.State == order.Requested && now.Before(o.Expires), Own: o.RequestedBy == a.Person,
	}
	if o.Options.PreserveDataPlan {
		v.Options = append(v.Options, "Keep the mobile data plan of the eSIM")
	}
	if o.Options.DisallowProximitySetup {
		v.Options = append(v.Options, "No set-up by another phone held near it")
	}
	for _, t := range o.Targets {
		v.Targets = append(v.Targets, targetView{cmp.Or(t.Name, string(t.Device)), deviceAddress(t.Device), outcomeTag(t.Outcome), s.outcome(t)})
	}
	for _, p := range o.Approvals {
		v.Approvals = append(v.Approvals, approvalView{p.Name, at(p.At, now)})
	}
	if !o.Closing.At.IsZero() {
		v.Closed, v.ClosedAt = cmp.Or(o.Closing.Name, "Ward")+": "+o.Closing.Reason, at(o.Closing.At, now)
	}
	approver := access.Allows(a, access.OrderApprove) && v.Open && !v.Own
	v.Approve, v.Refuse = approver, approver
	v.Cancel = (v.Open || o.State == order.Issued && pending(o)) && access.Allows(a, access.OrderRequest) && (v.Own || access.Allows(a, access.OrderCancel))
	return v, nil
}

// pending reports whether a command of the order may still be taken back.
func pending(o order.Order) bool {
	for _, t := range o.Targets {
		if !t.Outcome.Final() {
			return true
		}
	}
	return false
}

// short is the beginning of a hash in groups that the eye can compare.
func short(hash string) string {
	if len(hash) < 12 {
		return hash
	}
	return hash[:4] + " " + hash[4:8] + " " + hash[8:12]
}

// outcome says what became of an order on one device. A phone accepts an erase before
// it does it, so acceptance is all that is said here.
func (s *Server) outcome(t order.Target) string {
	now := s.Now()
	switch t.Outcome {
	case "":
		return ""
	case order.Waiting:
		return "Queued; the device has not fetched it yet."
	case order.Delivered:
		return "Fetched " + at(t.Delivered, now).Exact + ", not answered yet."
	case order.Deferred:
		return "The device asked to be asked later."
	case order.Accepted:
		return "Accepted by the device at " + at(t.Answered, now).Exact + "."
	}
	if t.Error != "" {
		return sentence(t.Error)
	}
	return ""
}

func (s *Server) approve(w http.ResponseWriter, r *http.Request) error {
	_, err := s.Orders.Approve(r.Context(), ward.OrderID(r.PathValue("id")), field(r, "hash"))
	return s.answered(w, r, err, "", "Approved. The command is queued for the device; this page says what the device answers.")
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request) error {
	_, err := s.Orders.Refuse(r.Context(), ward.OrderID(r.PathValue("id")), field(r, "note"))
	return s.answered(w, r, err, "note", "Refused. Nothing reaches the device.")
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) error {
	_, err := s.Orders.Cancel(r.Context(), ward.OrderID(r.PathValue("id")), field(r, "note"))
	return s.answered(w, r, err, "note", "Cancelled.")
}

// answered leads back to the order, or shows it again with what stood in the way.
func (s *Server) answered(w http.ResponseWriter, r *http.Request, err error, problem, done string) error {
	if err == nil {
		s.overview.forget(r.Context())
		s.flash(r, "%s", done)
		return see(w, r, orderAddress(ward.OrderID(r.PathValue("id"))))
	}
	p, err := problemOf(err, problem)
	if err != nil {
		return err
	}
	v, err := s.orderView(r)
	if err != nil {
		return err
	}
	if !v.Refuse && !v.Cancel {
		p.Field = "" // the form is gone
	}
	v.Problem, v.Note = p, field(r, "note")
	return render(s, w, r, p.status, s.pages.order, v)
}
