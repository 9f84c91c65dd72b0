package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/logkey"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"go.uber.org/zap"
)

type casePage struct {
	Page
	Address   string
	Reference string
	Device    string
	DeviceURL string
	EraseURL  string // asks for an erase within the case
	Tag       tag
	Banner    string
	Reported  moment
	Made      string
	Head      []casefile.Section // what is needed at once
	Risk      []casefile.Section
	Rest      []casefile.Section
	Next      string   // what Ward does next by itself
	Signs     []string // of a thief, that the device told
	Proposed  string   // address of the erase that Ward proposed and that waits; empty if none
	Orders    []orderRow
	Located   moment
	Deeds     caseDeeds
	Clock     clockView
	Decision  decisionForm
	Purpose   string
}

// caseDeeds are what the reader may do to a case here and now.
type caseDeeds struct {
	Found, Close, Sound, Locate, Show, Restart, Erase, PIN, Decide, Aware bool
}

// clockView is how much of the 72 hours is left.
type clockView struct {
	Aware, Deadline moment
	Left            string
	Late, Decided   bool
	Level           tag
}

type decisionForm struct {
	Reportable, Reasoning, Reference, Link string
	At, Why                                string // of when the organisation became aware
}

// theCase shows one case: GET /cases/{id}.
func (s *Server) theCase(w http.ResponseWriter, r *http.Request) error {
	v, err := s.caseOf(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.theCase, v)
}

func (s *Server) caseOf(r *http.Request) (*casePage, error) {
	ctx, now, id := r.Context(), s.Now(), ward.CaseID(r.PathValue("id"))
	c, err := s.Lost.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	file, err := s.Files.CaseView(ctx, id)
	if err != nil {
		return nil, err
	}
	row, err := s.caseRow(ctx, c)
	if err != nil {
		return nil, err
	}
	v := &casePage{
		Page:    Page{Title: file.Title, Section: "cases", Backlink: "/cases", Backname: "Cases"},
		Address: caseAddress(id), Reference: row.Reference, Device: row.Device, DeviceURL: deviceAddress(c.Device), EraseURL: "/orders/new?" + url.Values{"kind": {string(order.Erase)}, "case": {string(id)}}.Encode(), Tag: row.Tag, Banner: file.Banner,
		Reported: at(c.Reported, now), Made: file.Made, Located: at(c.Located, now),
	}
	for _, x := range file.Sections {
		switch {
		case x.Anchor == "in-short" || x.Anchor == "commands":
			v.Head = append(v.Head, x)
		case x.Anchor == "assessment":
			v.Risk = append(v.Risk, x)
		case strings.HasPrefix(x.Anchor, "order-"): // each has a page of its own
		default:
			v.Rest = append(v.Rest, x)
		}
	}
	if err := s.caseOrders(ctx, v, id); err != nil {
		return nil, err
	}
	if v.Next, err = s.nextStep(ctx, c); err != nil {
		return nil, err
	}
	if v.Signs, err = s.signs(ctx, c); err != nil {
		return nil, err
	}
	if v.Deeds, err = s.caseDeeds(ctx, c); err != nil {
		return nil, err
	}
	v.Clock, err = s.clock(ctx, c)
	v.Decision.At = c.Aware.In(s.zone()).Format(localTime)
	return v, err
}

// caseOrders lists the orders of a case, the newest first.
func (s *Server) caseOrders(ctx context.Context, v *casePage, id ward.CaseID) error {
	list, err := s.Orders.List(ctx, order.Filter{Case: id, Limit: 100})
	if err != nil {
		return err
	}
	for _, o := range list {
		v.Orders = append(v.Orders, orderRow{orderAddress(o.ID), orderTitle(o), o.Reason, o.RequestedName, orderTag(o, s.Now()), at(o.Created, s.Now())})
		if o.State == order.Requested && s.Now().Before(o.Expires) && o.Kind == order.Erase {
			v.Proposed = orderAddress(o.ID)
		}
	}
	return nil
}

// nextStep says what Ward does by itself while the device is not found.
func (s *Server) nextStep(ctx context.Context, c lost.Case) (string, error) {
	if c.State != lost.Open {
		return "", nil
	}
	steps, err := s.Lost.Store.Steps(ctx, c.ID)
	if err != nil {
		return "", err
	}
	if t, done := steps["propose"]; done {
		return "An erase was looked into at " + at(t, s.Now()).Exact + "; what came of it stands below. Nothing further happens by itself.", nil
	}
	p := lost.DefaultEscalation()
	if s.Lost.Escalations != nil {
		if p, err = s.Lost.Escalations.For(ctx, c.Device); err != nil {
			return "", err
		}
	}
	var said []string
	if until := c.Reported.Add(p.LocateFor); p.LocateEvery > 0 && s.Now().Before(until) {
		said = append(said, "If it is in lost mode, it is asked where it is every "+spanName(p.LocateEvery)+" until "+at(until, s.Now()).Exact+".")
	}
	if p.ProposeAfter > 0 {
		said = append(said, "If it is not found, an erase is proposed at "+at(c.Reported.Add(p.ProposeAfter), s.Now()).Exact+". Two people have to sign it.")
	}
	var signs []string
	for _, sign := range p.ProposeOn {
		signs = append(signs, map[string]string{lost.SignSIM: "its SIM is changed", lost.SignPasscode: "its passcode is switched off"}[sign])
	}
	if signs = slices.DeleteFunc(signs, func(x string) bool { return x == "" }); len(signs) > 0 {
		said = append(said, "It is proposed at once if "+strings.Join(signs, " or ")+".")
	}
	return strings.Join(said, " "), nil
}

// signs says what an open case's device told of a thief's doings.
func (s *Server) signs(ctx context.Context, c lost.Case) (out []string, err error) {
	if s.Lost.Facts == nil || c.State != lost.Open {
		return nil, nil
	}
	told, err := s.Lost.Facts.Signs(ctx, c.Device, c.Reported)
	if err != nil {
		return nil, err
	}
	if !told.SIMChanged.IsZero() {
		out = append(out, "Its SIM was changed: the device told so at "+at(told.SIMChanged, s.Now()).Exact+".")
	}
	if !told.PasscodeOff.IsZero() {
		out = append(out, "Its passcode was switched off: the device told so at "+at(told.PasscodeOff, s.Now()).Exact+".")
	}
	return out, nil
}

func (s *Server) caseDeeds(ctx context.Context, c lost.Case) (caseDeeds, error) {
	a := ward.ActorFrom(ctx)
	may := func(p access.Permission) bool { return access.Allows(a, p) }
	open := c.State == lost.Open
	d, err := s.Lost.Fleet.Device(ctx, c.Device)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return caseDeeds{}, err
	}
	corporate := d.Ownership == ward.Corporate
	return caseDeeds{
		Found: may(access.DeviceLost) && (open || c.State == lost.Rehearsal), Close: may(access.DeviceLost) && c.State != lost.Closed,
		Sound: may(access.DeviceLost) && open && corporate, Locate: may(access.LocationRead) && open && corporate, Show: may(access.LocationRead) && !c.Located.IsZero(),
		Restart: may(access.DeviceLock) && open && corporate, Erase: may(access.OrderRequest) && open && corporate, PIN: may(access.PINRead) && d.Platform == ward.MacOS,
		Decide: may(access.CaseDecide) && c.State != lost.Closed, Aware: may(access.CaseDecide) && c.State != lost.Closed && c.Aware.Equal(c.Reported),
	}, nil
}

// clock says how much of the time for the decision is left, and what is suggested.
func (s *Server) clock(ctx context.Context, c lost.Case) (clockView, error) {
	a, err := s.Lost.Assess(ctx, c.ID)
	if err != nil {
		return clockView{}, err
	}
	decided, err := s.Lost.Store.Decisions(ctx, c.ID)
	if err != nil {
		return clockView{}, err
	}
	now := s.Now()
	v := clockView{Aware: at(a.Aware, now), Deadline: at(a.Deadline, now), Level: levelTag(a.Level), Decided: len(decided) > 0}
	left := a.Deadline.Sub(now)
	v.Late = left < 0
	v.Left = hoursLeft(left)
	return v, nil
}

func levelTag(l lost.Level) tag {
	switch l {
	case lost.Low:
		return tag{"Low risk suggested", "good", "check"}
	case lost.Medium:
		return tag{"Medium risk suggested", "warn", "half"}
	case lost.High:
		return tag{"High risk suggested", "bad", "alert"}
	}
	return tag{string(l), "quiet", "question"}
}

func hoursLeft(d time.Duration) string {
	word := " left"
	if d < 0 {
		d, word = -d, " too late"
	}
	if d < time.Hour {
		return plural(int(d/time.Minute), "minute") + word
	}
	return plural(int(d/time.Hour), "hour") + word
}

// caseFile gives the signed file of a case: GET /cases/{id}/file/{part}.
func (s *Server) caseFile(w http.ResponseWriter, r *http.Request) error {
	pack, err := s.Files.CaseFile(r.Context(), ward.CaseID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return s.download(w, r, pack)
}

// download answers with the part of a pack that the path names by its ending.
func (s *Server) download(w http.ResponseWriter, r *http.Request, p casefile.Pack) error {
	var body []byte
	var kind string
	part := r.PathValue("part")
	switch part {
	case "json":
		body, kind = p.JSON, "application/json"
	case "pdf":
		body, kind = p.PDF, "application/pdf"
	case "p7s":
		body, kind = p.P7S, "application/pkcs7-signature"
	}
	if body == nil {
		return ward.Errorf(ward.NotFound, "This file has no such part.")
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="ward-`+p.ID+ending(part)+`"`)
	if _, err := w.Write(body); err != nil {
		s.Log.Debug("file not delivered", zap.String(logkey.Route, r.Pattern), zap.Error(err))
	}
	return nil
}

// ending names the parts of a pack so that they stand beside each other.
func ending(part string) string {
	if part == "p7s" {
		return ".pdf.p7s"
	}
	return "." + part
}
