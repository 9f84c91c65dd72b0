package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/compliance"
)

// listPage is how many devices stand on one page.
const listPage = 50

// maxSearch bounds a search, in bytes.
const maxSearch = 200

type devicesPage struct {
	Page
	Search  string
	State   compliance.State // shown; empty for all
	Counts  []countLink      // all, then each state
	Rows    []deviceRow
	Total   int // that match
	Fleet   int // devices there are
	First   int // number of the first row, from 1
	Last    int
	Next    string // address of the next page; empty on the last
	Start   string // address of the first page; empty there
	All     string // address without filter
	Renew   string // address of this page
	AsOf    moment
	Unknown int  // of those counted: not known, or not seen for too long
	Pick    bool // the reader may tick devices and report them lost
}

// countLink is a number that leads to exactly what it counts.
type countLink struct {
	Tag     tag
	Count   int
	Href    string
	Current bool
}

type deviceRow struct {
	ID        string
	Href      string
	Name      string
	Owner     string
	Group     string
	GroupHref string
	Ownership string
	OS        string
	Tag       tag
	Reason    string
	Seen      moment
}

func (s *Server) home(w http.ResponseWriter, r *http.Request) error { return see(w, r, "/devices") }

// devices lists devices: GET /devices?q=&state=&after=.
func (s *Server) devices(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	search, state, after := strings.TrimSpace(q.Get("q")), compliance.State(q.Get("state")), ward.DeviceID(q.Get("after"))
	if len(search) > maxSearch {
		return ward.Errorf(ward.Invalid, "A search has at most %d characters.", maxSearch)
	}
	if state != "" && !slices.Contains(attention, state) {
		return ward.Errorf(ward.NotFound, "There is no state %q. Choose one above the list of devices.", string(state))
	}
	snap, err := s.overview.current(r.Context())
	if err != nil {
		return err
	}
	v := s.listOf(snap, search, state, after)
	v.Pick = access.Allows(ward.ActorFrom(r.Context()), access.DeviceLost)
	return render(s, w, r, http.StatusOK, s.pages.devices, v)
}

func (s *Server) listOf(snap *snapshot, search string, state compliance.State, after ward.DeviceID) *devicesPage {
	now := s.Now()
	v := &devicesPage{Page: Page{Title: "Devices", Section: "devices"}, Search: search, State: state, Fleet: len(snap.lines), AsOf: at(snap.at, now), All: "/devices"}
	found := snap.matching(search)
	counts := map[compliance.State]int{}
	for _, l := range found {
		counts[l.State]++
	}
	v.Unknown = counts[compliance.Unknown]
	v.Counts = append(v.Counts, countLink{tag{Text: "All"}, len(found), listAddress(search, "", ""), state == ""})
	for _, st := range attention {
		v.Counts = append(v.Counts, countLink{stateTag(st), counts[st], listAddress(search, st, ""), st == state})
	}
	shown := found
	if state != "" {
		shown = slices.DeleteFunc(slices.Clone(found), func(l line) bool { return l.State != state })
	}
	v.Total, v.Renew = len(shown), listAddress(search, state, after)
	from := start(snap, shown, after)
	to := min(from+listPage, len(shown))
	v.First, v.Last = from+1, to
	if to < len(shown) {
		v.Next = listAddress(search, state, shown[to-1].ID)
	}
	if from > 0 {
		v.Start = listAddress(search, state, "")
	}
	for _, l := range shown[from:to] {
		v.Rows = append(v.Rows, deviceRow{
			ID: string(l.ID), Href: deviceAddress(l.ID), Name: l.Name, Owner: l.Owner, Group: l.Group, GroupHref: listAddress(l.Group, "", ""),
			Ownership: ownershipName(l.Ownership), OS: l.OS, Tag: stateTag(l.State), Reason: l.Reason, Seen: at(l.LastSeen, now),
		})
	}
	return v
}

// start returns where the page after a device begins. The device need not match any
// more: what counts is where it stands among all. One that is gone begins at the top.
func start(snap *snapshot, shown []line, after ward.DeviceID) int {
	if after == "" {
		return 0
	}
	passed := map[ward.DeviceID]bool{}
	known := false
	for _, l := range snap.lines {
		passed[l.ID] = true
		if l.ID == after {
			known = true
			break
		}
	}
	if !known {
		return 0
	}
	i := slices.IndexFunc(shown, func(l line) bool { return !passed[l.ID] })
	if i < 0 {
		return 0 // what came after matches no more
	}
	return i
}

func listAddress(search string, state compliance.State, after ward.DeviceID) string {
	q := url.Values{}
	for k, v := range map[string]string{"q": search, "state": string(state), "after": string(after)} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if len(q) == 0 {
		return "/devices"
	}
	return "/devices?" + q.Encode()
}

func deviceAddress(id ward.DeviceID) string { return "/devices/" + url.PathEscape(string(id)) }
