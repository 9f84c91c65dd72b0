package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/posture"
)

// lineListed is how many events of a device stand on one page.
const lineListed = 30

// timeline is what happened to a device, the newest first.
type timeline struct {
	Kinds  []tabView
	Events []lineEvent
	Older  string // address of the page after; empty on the last
	Newest string // address of the first page; empty there
}

// lineEvent is one thing that happened.
type lineEvent struct {
	At   moment
	Tag  tag
	Text string
	More []string // particulars, a sentence each
	Href string
	By   string

	time time.Time
	key  int64 // within its source; a later event has a higher one
}

// lineSource reads one kind of event. load returns those before a key, the newest first,
// from the newest where it is 0, at least as many as asked for if there are; rest is the
// key before which more may be found, 0 where all was read.
type lineSource struct {
	letter string
	load   func(ctx context.Context, before int64, atLeast int) (events []lineEvent, rest int64, err error)
}

// lineKind is what a reader may choose to see.
type lineKind struct {
	word, text string
	needs      access.Permission // empty: none beyond seeing the device
}

var lineKinds = []lineKind{
	{"", "Everything", ""},
	{"posture", "Posture", ""},
	{"commands", "Commands", access.CommandRead},
	{"profiles", "Profiles and declarations", access.CommandRead},
	{"certificates", "Certificates", ""},
	{"orders", "Orders", access.OrderRead},
	{"cases", "Lost cases", ""},
	{"log", "Audit log", access.AuditRead},
}

// timelineOf reads a page of what happened to a device.
func (s *Server) timelineOf(r *http.Request, d posture.Detail) (timeline, error) {
	kind, a := r.URL.Query().Get("kind"), ward.ActorFrom(r.Context())
	var v timeline
	may := func(k lineKind) bool { return k.needs == "" || access.Allows(a, k.needs) }
	known := false
	for _, k := range lineKinds {
		if may(k) {
			known = known || k.word == kind
			v.Kinds = append(v.Kinds, tabView{Text: k.text, Href: here(r, "kind", k.word, "from", "") + "#timeline", Current: k.word == kind})
		}
	}
	if !known {
		return v, ward.Errorf(ward.NotFound, "There is no such part of the timeline that you may see.")
	}
	h := lineReader{s: s, d: d, people: s.people(r.Context()), now: s.Now()}
	var sources []lineSource
	for _, k := range lineKinds {
		if may(k) && (k.word == kind || kind == "" && k.word != "profiles") {
			sources = append(sources, h.sources(k.word, access.Allows(a, access.AuditRead))...)
		}
	}
	return v, v.read(r, sources)
}

// pastLine is the line of the posture alone, up to one of its changes.
func (s *Server) pastLine(r *http.Request, d posture.Detail, seq int64) (timeline, error) {
	h := lineReader{s: s, d: d, now: s.Now()}
	var v timeline
	src := lineSource{"p", func(ctx context.Context, before int64, atLeast int) ([]lineEvent, int64, error) {
		if before == 0 {
			before = seq + 1
		}
		return h.changes(ctx, before, atLeast)
	}}
	return v, v.read(r, []lineSource{src})
}

// read merges a page of the sources. The address of the next page says for each source
// where it goes on.
func (v *timeline) read(r *http.Request, sources []lineSource) error {
	from, err := readCursor(r.URL.Query().Get("from"))
	if err != nil {
		return err
	}
	type taken struct {
		events []lineEvent
		rest   int64
	}
	all := make([]taken, len(sources))
	for i, src := range sources {
		if from[src.letter] < 0 {
			continue // it was read to its end
		}
		if all[i].events, all[i].rest, err = src.load(r.Context(), from[src.letter], lineListed+1); err != nil {
			return err
		}
	}
	next := map[string]int64{}
	for i, src := range sources {
		next[src.letter] = from[src.letter]
		if len(all[i].events) == 0 {
			next[src.letter] = orEnd(all[i].rest)
		}
	}
	for len(v.Events) < lineListed {
		best := -1
		for i := range all {
			if len(all[i].events) > 0 && (best < 0 || all[i].events[0].time.After(all[best].events[0].time)) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		e := all[best].events[0]
		all[best].events = all[best].events[1:]
		next[sources[best].letter] = e.key //nolint:gosec // as many as there are sources
		if len(all[best].events) == 0 {
			next[sources[best].letter] = orEnd(all[best].rest) //nolint:gosec // likewise
		}
		v.Events = append(v.Events, e)
	}
	more := slices.ContainsFunc(sources, func(src lineSource) bool { return next[src.letter] >= 0 })
	if more {
		v.Older = here(r, "from", writeCursor(next)) + "#timeline"
	}
	if len(from) > 0 {
		v.Newest = here(r, "from", "") + "#timeline"
	}
	return nil
}

// orEnd is a key to go on from, or -1 where there is nothing more.
func orEnd(rest int64) int64 {
	if rest == 0 {
		return -1
	}
	return rest
}

// readCursor reads where each source goes on: letters with keys, such as "p120.c88.a-".
func readCursor(word string) (map[string]int64, error) {
	out := map[string]int64{}
	if word == "" {
		return out, nil
	}
	for part := range strings.SplitSeq(word, ".") {
		wrong := ward.Errorf(ward.Invalid, "The address of this page of the timeline was cut short. Begin with the newest.")
		if len(part) < 2 || len(out) > 10 {
			return nil, wrong
		}
		if part[1:] == "-" {
			out[part[:1]] = -1
			continue
		}
		n, err := strconv.ParseInt(part[1:], 10, 64)
		if err != nil || n < 0 {
			return nil, wrong
		}
		out[part[:1]] = n
	}
	return out, nil
}

func writeCursor(keys map[string]int64) string {
	var parts []string
	for letter, n := range keys {
		if n < 0 {
			parts = append(parts, letter+"-")
			continue
		}
		parts = append(parts, letter+strconv.FormatInt(n, 10))
	}
	slices.Sort(parts)
	return strings.Join(parts, ".")
}
