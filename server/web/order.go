package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/order"
)

// targetsShown is how many devices of an order stand open, and targetsListed how many stand
// on one page at all.
const (
	targetsShown  = 20
	targetsListed = 200
)

type orderPage struct {
	Page
	Address   string
	Hash      string
	Short     string // the beginning of the hash, to compare by eye
	ListHash  string // of the list of devices
	Tag       tag
	State     string // in words
	Why       string // what it waits for besides; empty if for nothing
	Meaning   string
	Reason    string
	By        string
	Asked     moment
	Expires   moment
	Options   []string
	Case      string // address; empty outside a case
	Number    int    // of devices
	Targets   []targetView
	Folded    []targetView
	Next      string // address of the next devices
	Approvals []approvalView
	Signed    int
	May       []string // names of who may still sign; nil where the reader may not know
	MayCount  int
	Closed    string // who ended it and why; empty if nobody did
	ClosedAt  moment
	Open      bool   // waits for a signature
	Not       string // why the reader can't sign it

	Sign, Refuse, Cancel, File bool
	Note                       string
}

type targetView struct {
	Name, Href string
	Tag        tag
	Words      string
}

type approvalView struct {
	Name    string
	Subject string
	Glass   bool
	At      moment
}

// order shows one order: GET /orders/{id}?from=.
func (s *Server) order(w http.ResponseWriter, r *http.Request) error {
	v, err := s.orderView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.order, v)
}

func (s *Server) orderView(r *http.Request) (*orderPage, error) {
	ctx := r.Context()
	o, err := s.Orders.Order(ctx, ward.OrderID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	now, a := s.Now(), ward.ActorFrom(ctx)
	v := &orderPage{
		Page:    Page{Title: orderTitle(o), Section: "orders", Narrow: true, Backlink: "/orders", Backname: "Orders"},
		Address: orderAddress(o.ID), Hash: o.Hash, Short: short(o.Hash), Tag: orderTag(o, now), State: orderState(o, now), Meaning: meaning(o.Kind),
		Reason: o.Reason, By: o.RequestedName, Asked: at(o.Created, now), Expires: at(o.Expires, now), Options: s.optionWords(o),
		Open: o.State == order.Requested && now.Before(o.Expires), Signed: 2 - o.Needs(),
	}
	if o.State == order.Issued {
		v.Why = sentence(o.Why)
	}
	if o.Case != "" {
		v.Case = caseAddress(o.Case)
	}
	if v.ListHash, err = listHash(o); err != nil {
		return nil, err
	}
	v.targets(r, s, o)
	for _, p := range o.Approvals {
		v.Approvals = append(v.Approvals, approvalView{p.Name, p.Subject, p.Glass, at(p.At, now)})
	}
	if !o.Closing.At.IsZero() {
		v.Closed, v.ClosedAt = cmp.Or(o.Closing.Name, "Ward")+": "+o.Closing.Reason, at(o.Closing.At, now)
	}
	if v.Open {
		if err := s.signers(ctx, o, v); err != nil {
			return nil, err
		}
	}
	own := o.RequestedBy == a.Person
	v.Refuse = v.Open && !own && access.Allows(a, access.OrderRefuse)
	v.Cancel = (v.Open || o.State == order.Approved || o.State == order.Issued && pending(o)) && access.Allows(a, access.OrderRequest) && (own || access.Allows(a, access.OrderCancel))
	v.File = o.Case == ""
	return v, nil
}

// targets fills in the devices, those of the page that ?from= names.
func (v *orderPage) targets(r *http.Request, s *Server, o order.Order) {
	v.Number = len(o.Targets)
	from, err := strconv.Atoi(r.URL.Query().Get("from"))
	if err != nil || from < 0 || from >= len(o.Targets) {
		from = 0
	}
	to := min(from+targetsListed, len(o.Targets))
	if to < len(o.Targets) {
		v.Next = v.Address + "?from=" + strconv.Itoa(to)
	}
	for i, t := range o.Targets[from:to] {
		row := targetView{cmp.Or(t.Name, string(t.Device)), deviceAddress(t.Device), outcomeTag(t.Outcome), outcomeWords(t, s.Now())}
		if i < targetsShown {
			v.Targets = append(v.Targets, row)
		} else {
			v.Folded = append(v.Folded, row)
		}
	}
}

// signers says who may still sign an order, and why the reader may not.
func (s *Server) signers(ctx context.Context, o order.Order, v *orderPage) error {
	all, err := s.Approvers.List(ctx)
	if err != nil {
		return err
	}
	asked := ""
	if !strings.HasPrefix(string(o.RequestedBy), "via ") {
		if asked, err = s.Orders.Subject(ctx, o.RequestedBy); err != nil {
			return err
		}
	}
	a := ward.ActorFrom(ctx)
	mine := slices.IndexFunc(all, func(x approver.Standing) bool { return x.State == approver.Stands && x.Person == a.Person })
	for i, x := range all {
		why := cantSign(o, x.Approver, asked)
		if i == mine {
			v.Not = why
		}
		if x.State == approver.Stands && why == "" {
			v.MayCount++
			v.May = append(v.May, x.Name)
		}
	}
	switch {
	case mine < 0:
		v.Not = "You can’t sign it: you are not an approver. An approver has registered a passkey, and two approvers have vouched for them."
	case !access.Allows(a, access.OrderApprove):
		v.Not = "You can’t sign it: your account lacks the role “approver”. An administrator can give it to you."
	}
	v.Sign = v.Not == ""
	if !access.Allows(a, access.ApproverRead) {
		v.May = nil
	}
	return nil
}

// cantSign says why a standing approver can't sign an order, as the engine would; asked is
// who the human being is that asked for it.
func cantSign(o order.Order, x approver.Approver, asked string) string {
	for _, p := range o.Approvals {
		switch {
		case p.Person == x.Person:
			return "You have signed it. Another person has to sign it too."
		case p.Subject == x.Subject:
			return "You have signed it with another account of yours. Another person has to sign it too."
		}
	}
	if x.Person != o.RequestedBy && asked != "" && asked == x.Subject {
		return "You asked for it with another account of yours: sign it with that one. Another person has to sign it too."
	}
	return ""
}

// listHash is the SHA-256 of the list of devices as it stands in what is signed.
func listHash(o order.Order) (string, error) {
	if len(o.Targets) == 0 {
		return "", nil
	}
	text, err := o.Statement()
	if err != nil {
		return "", err
	}
	var said struct {
		Hash    string          `json:"targets_sha256"`
		Targets json.RawMessage `json:"targets"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return "", err
	}
	if sum := sha256.Sum256(said.Targets); said.Hash != hex.EncodeToString(sum[:]) {
		return "", ward.Errorf(ward.Internal, "the list of devices of order %s has another hash", o.ID)
	}
	return said.Hash, nil
}

// pending reports whether a command of the order may still be taken back.
func pending(o order.Order) bool {
	return slices.ContainsFunc(o.Targets, func(t order.Target) bool { return !t.Outcome.Final() })
}

// short is the beginning of a hash in groups that the eye can compare.
func short(hash string) string {
	if len(hash) < 12 {
		return hash
	}
	return hash[:4] + " " + hash[4:8] + " " + hash[8:12]
}
