package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/report"
)

type brakePage struct {
	Page
	Tampered  string // why the journal does not verify; empty if it does
	Holds     []holdView
	Kinds     []brakeKind
	Configure string // says who is told; empty if somebody is
	AsOf      moment
	Ask       bool // the reader may ask for a release or a lift
	CancelAll bool // the reader may cancel every order
	Log       bool // the reader may see who was told
}

type holdView struct {
	Name     string // what is held, plural
	Since    moment
	Why      string
	Involved string
	Release  string // address that asks for it
}

type brakeKind struct {
	Name    string
	Tag     tag
	Windows []windowView
	Site    string // which site is nearest to its limit; empty where none is nearer than all
	PerOne  string // what one person may do; empty where it takes two
	Lifted  moment // until when it does not count
	Lift    string // address that asks for it
}

type windowView struct {
	Span        string
	Count, Most int
	Half, High  int // from where on it is half full, and nearly
	PerSite     int // that one site may take; 0 for as many as all
}

// brake shows the windows and what is held: GET /brake.
func (s *Server) brake(w http.ResponseWriter, r *http.Request) error {
	ctx, now := r.Context(), s.Now()
	if done, err := s.export(w, r, func() (report.Table, error) { return s.brakeTable(ctx) }); done || err != nil {
		return err
	}
	a := ward.ActorFrom(ctx)
	v := &brakePage{Page: Page{Title: "Brake", Section: "brake", Exports: "/brake"}, AsOf: at(now, now), Ask: access.Allows(a, access.OrderRequest), CancelAll: access.Allows(a, access.OrderCancelAll), Log: access.Allows(a, access.NotifyRead)}
	if !s.Notify.Configured() {
		v.Configure = "Nobody is configured to be told when the brake holds. The operator sets it in the server’s configuration, under notify."
	}
	ledger, err := s.Brake.Ledger(ctx)
	if errors.Is(err, brake.ErrTampered) {
		v.Tampered = message(err)
		return render(s, w, r, http.StatusOK, s.pages.brake, v)
	}
	if err != nil {
		return err
	}
	meters, err := s.Brake.Meters(ctx)
	if err != nil {
		return err
	}
	for _, k := range brake.Kinds {
		if h, held := ledger.Held(k); held {
			one, err := s.holdView(ctx, h, now)
			if err != nil {
				return err
			}
			v.Holds = append(v.Holds, one)
		}
		one := brakeKindOf(k, ledger, meters, now)
		if one.Site, err = s.busiest(ctx, k, meters); err != nil {
			return err
		}
		v.Kinds = append(v.Kinds, one)
	}
	return render(s, w, r, http.StatusOK, s.pages.brake, v)
}

// holdView names what is held and who had a part in it.
func (s *Server) holdView(ctx context.Context, h brake.Hold, now time.Time) (holdView, error) {
	_, many := brake.Words(h.Kind)
	v := holdView{Name: sentenceCase(many), Since: at(h.Since, now), Why: sentence(h.Why), Release: "/orders/new?kind=" + string(order.ReleaseBrake) + "&brake=" + string(h.Kind)}
	people := s.people(ctx)
	var names []string
	for _, id := range h.Involved {
		if via, ok := strings.CutPrefix(id, "via "); ok {
			names = append(names, via)
			continue
		}
		name, err := people(ward.PersonID(id))
		if err != nil {
			return v, err
		}
		names = append(names, name)
	}
	v.Involved = strings.Join(names, ", ")
	return v, nil
}

func brakeKindOf(k brake.Kind, l *brake.Ledger, meters []brake.Meter, now time.Time) brakeKind {
	_, many := brake.Words(k)
	v := brakeKind{Name: sentenceCase(many), Tag: tag{"Free", "good", "check"}, Lift: "/orders/new?kind=" + string(order.LiftBrake) + "&brake=" + string(k)}
	for _, m := range meters {
		if m.Kind != k {
			continue
		}
		v.Windows = append(v.Windows, windowView{spanName(m.Limit.Window), m.Count, m.Most, m.Most / 2, max(m.Most-1, 0), m.Limit.PerSite})
		if m.Count >= m.Most {
			v.Tag = tag{"Full", "warn", "alert"}
		}
		if m.Limit.PerPerson > 0 && !k.ByOrder() {
			if v.PerOne == "" {
				v.PerOne = "One person may do "
			} else {
				v.PerOne = strings.TrimSuffix(v.PerOne, ".") + " and "
			}
			v.PerOne += fmt.Sprintf("%d within %s.", m.Limit.PerPerson, spanName(m.Limit.Window))
		}
	}
	if len(v.Windows) == 0 {
		v.Tag = tag{"Not counted", "quiet", "gone"}
	}
	if until, ok := l.Lifted(k, now); ok {
		v.Tag, v.Lifted = tag{"Lifted", "warn", "clock"}, at(until, now)
	}
	if _, held := l.Held(k); held {
		v.Tag = tag{"Held", "bad", "alert"}
	}
	return v
}

// busiest says which site has the least room left for a kind of which something was done.
func (s *Server) busiest(ctx context.Context, k brake.Kind, meters []brake.Meter) (string, error) {
	if !slices.ContainsFunc(meters, func(m brake.Meter) bool { return m.Kind == k && m.Count > 0 && m.Limit.PerSite > 0 }) {
		return "", nil
	}
	snap, err := s.snapshot(ctx, estate.Filter{Scope: scope(ctx)})
	if err != nil {
		return "", err
	}
	least, err := s.Brake.Room(ctx, k, "")
	if err != nil {
		return "", err
	}
	words := ""
	for _, site := range snap.Choices(scope(ctx)).Sites {
		n, err := s.Brake.Room(ctx, k, site)
		if err != nil {
			return "", err
		}
		if n < least {
			least, words = n, fmt.Sprintf("Busiest site: %s, where %d more may be done now.", site, n)
		}
	}
	return words, nil
}

// spanName says a window in words.
func spanName(d time.Duration) string {
	switch {
	case d == time.Hour:
		return "an hour"
	case d == 24*time.Hour:
		return "a day"
	case d%(24*time.Hour) == 0:
		return plural(int(d/(24*time.Hour)), "day")
	case d%time.Hour == 0:
		return plural(int(d/time.Hour), "hour")
	}
	return plural(int(d/time.Minute), "minute")
}

func sentenceCase(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

type cancelAllPage struct {
	Page
	Orders, Commands int
	Many             bool // there are more than were counted
	Note             string
}

// countedOrders bounds how many orders of a state are looked at to say what a cancel-all
// would take back.
const countedOrders = 1000

func (s *Server) cancelAllView(r *http.Request) (*cancelAllPage, error) {
	v := &cancelAllPage{Page: Page{Title: "Cancel every order", Section: "brake", Narrow: true, Backlink: "/brake", Backname: "Brake"}}
	for _, st := range []order.State{order.Requested, order.Approved, order.Issued} {
		f := order.Filter{State: st, Limit: 100}
		for n := 0; ; {
			list, err := s.Orders.List(r.Context(), f)
			if err != nil {
				return nil, err
			}
			for _, o := range list {
				v.add(o)
			}
			if n += len(list); len(list) < f.Limit {
				break
			}
			if n >= countedOrders {
				v.Many = true
				break
			}
			f.After = list[len(list)-1].ID
		}
	}
	return v, nil
}

func (v *cancelAllPage) add(o order.Order) {
	if o.State.Open() {
		v.Orders++
		return
	}
	open := 0
	for _, t := range o.Targets {
		if t.Outcome == order.Waiting || t.Outcome == order.Held || t.Outcome == order.Deferred || t.Outcome == "" {
			open++
		}
	}
	if open > 0 {
		v.Orders, v.Commands = v.Orders+1, v.Commands+open
	}
}

func (s *Server) cancelAllForm(w http.ResponseWriter, r *http.Request) error {
	v, err := s.cancelAllView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.cancelAll, v)
}

func (s *Server) cancelAll(w http.ResponseWriter, r *http.Request) error {
	n, err := s.Orders.CancelAll(r.Context(), field(r, "note"))
	if err != nil {
		v, e := s.cancelAllView(r)
		if e != nil {
			return e
		}
		v.Note = field(r, "note")
		return again(s, w, r, s.pages.cancelAll, v, err, "note")
	}
	said := fmt.Sprintf("%s taken back, with %s. Everybody is told.", plural(n.Orders, "order"), plural(n.Commands, "command"))
	if n.TooLate > 0 {
		said += fmt.Sprintf(" %s had reached a device already and can’t be taken back.", plural(n.TooLate, "command"))
	}
	s.flash(r, "%s", said)
	return see(w, r, "/brake")
}
