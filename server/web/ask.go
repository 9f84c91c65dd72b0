package web

import (
	"cmp"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
)

const (
	maxAsk     = 512 << 10 // bytes of the form that asks for an order, with its file
	maxProfile = 64 << 10  // bytes of a Wi-Fi profile
)

// askPage asks for an order: first the kind, then what it is for, then, with what it would
// reach, whether that is meant.
type askPage struct {
	Page
	Kinds     []kindChoice // to choose from; nil once one was chosen
	Kind      order.Kind
	Deed      string
	Meaning   string
	ForDevice bool
	Form      askForm
	Zone      string
	Holds     []brakeChoice
	Ways      []wayChoice // of obliterating a Mac
	Blast     *blast      // nil before it was looked at
}

// askForm is what was typed.
type askForm struct {
	Devices, Note, Case                string
	KeepPlan, NoProximity, Return      bool
	WiFi                               string // base64 of the profile
	Obliteration, Message, Phone       string
	Planned, Drill                     bool
	Start, PerHour, Brake, Hours, Seen string
}

type kindChoice struct{ Href, Name, Meaning string }

type brakeChoice struct {
	Kind    brake.Kind
	Name    string
	Current bool
}

type wayChoice struct {
	Value, Words string
	Current      bool
}

// askOrder is GET /orders/new?kind=&device=&case=&brake=.
func (s *Server) askOrder(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	v := &askPage{Kind: order.Kind(q.Get("kind"))}
	v.Form = askForm{
		Devices: strings.Join(q["device"], "\n"), Case: q.Get("case"), KeepPlan: true, Brake: q.Get("brake"), Hours: "1", PerHour: "20", Drill: q.Get("drill") != "",
		Start: s.Now().Add(s.Orders.Notice + 24*time.Hour).In(s.zone()).Format(localTime),
	}
	if v.Form.Case != "" {
		c, err := s.Lost.Case(r.Context(), ward.CaseID(v.Form.Case))
		if err != nil {
			return err
		}
		v.Form.Devices, v.Form.NoProximity = string(c.Device), c.Kind == lost.Stolen
		v.Form.Note = "Case " + string(c.ID) + ": " + string(c.Kind) + ", not found."
	}
	if v.Kind == "" {
		v.choose(q)
		return render(s, w, r, http.StatusOK, s.pages.askOrder, v)
	}
	if err := v.fill(s); err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.askOrder, v)
}

// choose offers the kinds.
func (v *askPage) choose(q url.Values) {
	v.Page = Page{Title: "Ask for an order", Section: "orders", Narrow: true, Backlink: "/orders", Backname: "Orders"}
	for _, k := range order.Kinds {
		if !k.Devices() && (q.Has("device") || q.Has("case")) {
			continue
		}
		one := url.Values{"kind": {string(k)}}
		for _, name := range []string{"device", "case"} {
			if q.Has(name) {
				one[name] = q[name]
			}
		}
		v.Kinds = append(v.Kinds, kindChoice{"/orders/new?" + one.Encode(), strings.TrimSuffix(orderName(k), " of"), meaning(k)})
	}
}

// fill says what the chosen kind is.
func (v *askPage) fill(s *Server) error {
	if !slices.Contains(order.Kinds, v.Kind) {
		return ward.Errorf(ward.NotFound, "There is no kind %q of orders.", string(v.Kind))
	}
	name := strings.TrimSuffix(orderName(v.Kind), " of")
	v.Page = Page{Title: "Ask for an order: " + strings.ToLower(name[:1]) + name[1:], Section: "orders", Narrow: true, Backlink: "/orders/new", Backname: "Kinds of orders"}
	v.Deed, v.Meaning, v.ForDevice, v.Zone = name, meaning(v.Kind), v.Kind.Devices(), s.zoneName()
	for _, k := range brake.Kinds {
		_, many := brake.Words(k)
		v.Holds = append(v.Holds, brakeChoice{k, many, string(k) == v.Form.Brake})
	}
	for _, o := range order.Obliterations {
		v.Ways = append(v.Ways, wayChoice{o, obliterationWords(o), o == cmp.Or(v.Form.Obliteration, "Default")})
	}
	return nil
}

// requestOrder is POST /orders/new: with step "ask" it asks, otherwise it shows what the
// order would reach.
func (s *Server) requestOrder(w http.ResponseWriter, r *http.Request) error {
	v := &askPage{Kind: order.Kind(field(r, "kind"))}
	var err error
	if v.Form, err = readAsk(r); err == nil || ward.KindOf(err) == ward.Invalid {
		if e := v.fill(s); e != nil {
			return e
		}
	}
	if err != nil {
		return again(s, w, r, s.pages.askOrder, v, err, "wifi")
	}
	if field(r, "step") == "back" {
		return render(s, w, r, http.StatusOK, s.pages.askOrder, v)
	}
	q, wrong, err := v.request(s.zone())
	if err != nil {
		return again(s, w, r, s.pages.askOrder, v, err, wrong)
	}
	if q.Kind.Devices() {
		b, err := s.blast(r.Context(), q, v.Form.Devices)
		if err != nil {
			return again(s, w, r, s.pages.askOrder, v, err, "devices")
		}
		q.Devices = b.reached
		if field(r, "step") != "ask" {
			v.Blast, v.Title = b, "Before you ask"
			return render(s, w, r, http.StatusOK, s.pages.askOrder, v)
		}
	}
	o, err := s.Orders.Request(r.Context(), q)
	if err != nil {
		return again(s, w, r, s.pages.askOrder, v, err, noteField(err))
	}
	s.flash(r, "Asked for. Nothing is done until two different people have signed exactly this order. You may be one of them, if you are an approver.")
	return see(w, r, orderAddress(o.ID))
}

// readAsk reads the form, with its file.
func readAsk(r *http.Request) (askForm, error) {
	f := askForm{
		Devices: field(r, "devices"), Note: field(r, "note"), Case: field(r, "case"), KeepPlan: field(r, "keep_plan") != "", NoProximity: field(r, "no_proximity") != "",
		Return: field(r, "return") != "", WiFi: field(r, "wifi_kept"), Obliteration: field(r, "obliteration"), Message: field(r, "message"), Phone: field(r, "phone"),
		Planned: field(r, "planned") != "", Drill: field(r, "drill") != "", Start: field(r, "start"), PerHour: field(r, "per_hour"), Brake: field(r, "brake"), Hours: field(r, "hours"),
	}
	file, _, err := r.FormFile("wifi")
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) {
		return f, nil
	}
	if err != nil {
		return f, ward.Errorf(ward.Invalid, "The Wi-Fi profile could not be read.").Because(err)
	}
	defer file.Close() //nolint:errcheck // it is only read
	b, err := io.ReadAll(io.LimitReader(file, maxProfile+1))
	if err != nil {
		return f, ward.Errorf(ward.Invalid, "The Wi-Fi profile could not be read.").Because(err)
	}
	if len(b) > maxProfile {
		return f, ward.Errorf(ward.Invalid, "The Wi-Fi profile is too long: it may have %d kilobytes.", maxProfile>>10)
	}
	if len(b) > 0 {
		f.WiFi = base64.StdEncoding.EncodeToString(b)
	}
	return f, nil
}

// request makes of the form what is asked for, but for the devices; field names what is
// wrong.
func (v *askPage) request(zone *time.Location) (q order.Request, field string, err error) {
	f := v.Form
	q = order.Request{Kind: v.Kind, Reason: f.Note, Case: ward.CaseID(f.Case)}
	o := &q.Options
	if f.Note == "" {
		return q, "note", ward.Errorf(ward.Invalid, "Say why: an order needs a reason.")
	}
	if !v.Kind.Devices() {
		hours := 0
		if v.Kind == order.LiftBrake {
			if hours, err = strconv.Atoi(f.Hours); err != nil {
				return q, "hours", ward.Errorf(ward.Invalid, "Say for how many hours, 1 to 24.")
			}
		}
		o.Brake = &order.Brake{Kind: brake.Kind(f.Brake), Hours: hours}
		return q, "", nil
	}
	o.Drill = f.Drill
	switch v.Kind {
	case order.Erase:
		o.PreserveDataPlan, o.DisallowProximitySetup = f.KeepPlan, f.NoProximity
		if f.Obliteration != "Default" {
			o.Obliteration = f.Obliteration
		}
		if f.Return {
			profile, err := base64.StdEncoding.DecodeString(f.WiFi)
			if err != nil {
				return q, "wifi", ward.Errorf(ward.Invalid, "The Wi-Fi profile could not be read. Choose it again.")
			}
			o.ReturnToService = &order.ReturnToService{WiFiProfile: profile}
		}
	case order.LockPIN:
		o.Message, o.Phone = f.Message, f.Phone
	}
	if f.Planned {
		c := order.Campaign{}
		if c.Start, err = time.ParseInLocation(localTime, f.Start, zone); err != nil {
			return q, "start", ward.Errorf(ward.Invalid, "Say when the campaign begins, with date and time.")
		}
		if c.PerHour, err = strconv.Atoi(f.PerHour); err != nil {
			return q, "per_hour", ward.Errorf(ward.Invalid, "Say how many devices an hour.")
		}
		o.Campaign = &c
	}
	return q, "", nil
}

// noteField leads to the reason only if that is what is wrong.
func noteField(err error) string {
	if e, ok := errors.AsType[*ward.Error](err); ok && e.Kind == ward.Invalid && strings.Contains(e.Message, "reason") {
		return "note"
	}
	return ""
}
