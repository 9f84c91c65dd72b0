package web

import (
	"net/http"

	"github.com/wardmdm/ward"
)

// signPage is the page on which a passkey signs exactly one order.
type signPage struct {
	Page
	Address string
	Order   *orderPage
	Ask     string // what the browser gives to the passkey, JSON
	Second  bool   // with this signature it is carried out
}

// sign asks the passkey: POST /orders/{id}/sign. The question is good for minutes and once,
// so it is made only when somebody is about to answer it.
func (s *Server) sign(w http.ResponseWriter, r *http.Request) error {
	options, hash, err := s.Orders.Begin(r.Context(), ward.OrderID(r.PathValue("id")))
	if err != nil {
		return s.answered(w, r, err, "", "")
	}
	o, err := s.orderView(r)
	if err != nil {
		return err
	}
	if o.Hash != hash {
		return ward.Errorf(ward.Conflict, "This order changed while you looked at it. Look at it again before you decide.")
	}
	v := &signPage{
		Page:    Page{Title: "Sign this order", Section: "orders", Narrow: true, Backlink: o.Address, Backname: "The order"},
		Address: o.Address, Order: o, Ask: string(options), Second: o.Signed == 1,
	}
	return render(s, w, r, http.StatusOK, s.pages.sign, v)
}

// approve takes the passkey's answer: POST /orders/{id}/approve.
func (s *Server) approve(w http.ResponseWriter, r *http.Request) error {
	response := field(r, "response")
	if response == "" {
		return s.answered(w, r, ward.Errorf(ward.Invalid, "No passkey signed, so nothing was done. It takes a browser with scripts switched on, and the device that holds your passkey."), "", "")
	}
	o, err := s.Orders.Approve(r.Context(), ward.OrderID(r.PathValue("id")), field(r, "hash"), []byte(response))
	return s.answered(w, r, err, "", "You have signed it. "+orderState(o, s.Now()))
}
