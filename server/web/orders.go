package web

import (
	"net/http"
	"net/url"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/report"
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
	Ask    bool // the reader may ask for one
}

type stateLink struct {
	Text    string
	Href    string
	Current bool
}

type orderRow struct {
	Href   string
	Title  string
	Reason string
	By     string
	Tag    tag
	Asked  moment
}

// orders lists orders: GET /orders?state=&after=.
func (s *Server) orders(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := order.Filter{State: order.State(q.Get("state")), After: ward.OrderID(q.Get("after")), Limit: ordersListed}
	now := s.Now()
	v := &ordersPage{Page: Page{Title: "Orders", Section: "orders", Exports: ordersAddress(f.State, "")}, State: f.State, Ask: access.Allows(ward.ActorFrom(r.Context()), access.OrderRequest)}
	known := false
	for _, st := range []struct {
		state order.State
		text  string
	}{{"", "All"}, {order.Requested, "Waiting for signatures"}, {order.Approved, "Cooling or planned"}, {order.Issued, "Approved"}, {order.Refused, "Refused"}, {order.Cancelled, "Cancelled"}, {order.Expired, "Expired"}} {
		known = known || st.state == f.State
		v.States = append(v.States, stateLink{st.text, ordersAddress(st.state, ""), st.state == f.State})
	}
	if !known {
		return ward.Errorf(ward.NotFound, "There is no state %q of orders.", string(f.State))
	}
	if done, err := s.export(w, r, func() (report.Table, error) { return s.ordersTable(r.Context(), f.State) }); done || err != nil { //nolint:contextcheck // the rows are read in the context of the request
		return err
	}
	list, err := s.Orders.List(r.Context(), f)
	if err != nil {
		return err
	}
	for _, o := range list {
		v.Rows = append(v.Rows, orderRow{orderAddress(o.ID), orderTitle(o), o.Reason, o.RequestedName, orderTag(o, now), at(o.Created, now)})
	}
	if len(list) == ordersListed {
		v.Next = ordersAddress(f.State, list[len(list)-1].ID)
	}
	if f.After != "" {
		v.Start = ordersAddress(f.State, "")
	}
	return render(s, w, r, http.StatusOK, s.pages.orders, v)
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

func (s *Server) refuse(w http.ResponseWriter, r *http.Request) error {
	_, err := s.Orders.Refuse(r.Context(), ward.OrderID(r.PathValue("id")), field(r, "note"))
	return s.answered(w, r, err, "note", "Refused. Nothing reaches the device.")
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) error {
	o, err := s.Orders.Cancel(r.Context(), ward.OrderID(r.PathValue("id")), field(r, "note"))
	return s.answered(w, r, err, "note", "Cancelled. "+orderState(o, s.Now()))
}

// answered leads back to the order, or shows it again with what stood in the way.
func (s *Server) answered(w http.ResponseWriter, r *http.Request, err error, problem, done string) error {
	if err == nil {
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

// orderFile gives the signed file of an order: GET /orders/{id}/file/{part}.
func (s *Server) orderFile(w http.ResponseWriter, r *http.Request) error {
	pack, err := s.Files.OrderFile(r.Context(), ward.OrderID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return s.download(w, r, pack)
}
