package web

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/posture"
)

// line is one device in the list.
type line struct {
	ID         ward.DeviceID
	Name       string
	Owner      string
	Group      string
	Site       string
	Ownership  ward.Ownership
	OS         string
	State      compliance.State
	Reason     string
	LastSeen   time.Time
	words      string // what a search looks into, in lower case
	importance int
}

// snapshot is every device at one time, in the order in which people look at them:
// the worst first. Counts and lists are taken from the same one, so that they agree.
type snapshot struct {
	at    time.Time
	took  time.Duration
	lines []line
}

// attention orders the states by how soon somebody should look.
var attention = []compliance.State{compliance.Lost, compliance.NonCompliant, compliance.InGrace, compliance.Unknown, compliance.Pending, compliance.Compliant, compliance.Retired}

// overview keeps the last snapshot for as long as it took to make, ten times over: a
// page shows its time, and many readers of a large fleet cost no more than one.
type overview struct {
	list func(ctx context.Context, after ward.DeviceID, limit int) ([]posture.Row, error)
	now  func() time.Time
	gate chan struct{} // held by who makes or reads the snapshot
	last *snapshot
}

// listed is how many devices are read at a time.
const listed = 200

// current returns a snapshot that is fresh enough, of what lies in the scope of who asks. It
// is read once for everybody, and bounded for each.
func (o *overview) current(ctx context.Context) (*snapshot, error) {
	all, err := o.whole(ward.Unbounded(ctx))
	scope := ward.ActorFrom(ctx).Scope
	if err != nil || scope.All() {
		return all, err
	}
	part := &snapshot{at: all.at, took: all.took}
	for _, l := range all.lines {
		if scope.Includes(l.Site, l.Group) {
			part.lines = append(part.lines, l)
		}
	}
	return part, nil
}

func (o *overview) whole(ctx context.Context) (*snapshot, error) {
	select {
	case o.gate <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-o.gate }()
	if o.last != nil && o.now().Sub(o.last.at) < 10*o.last.took {
		return o.last, nil
	}
	s, err := o.read(ctx)
	if err == nil {
		o.last = s
	}
	return s, err
}

// forget has the next page read everything anew, for somebody has just changed it.
func (o *overview) forget(ctx context.Context) {
	select {
	case o.gate <- struct{}{}:
		o.last = nil
		<-o.gate
	case <-ctx.Done(): // nobody is left to read it
	}
}

func (o *overview) read(ctx context.Context) (*snapshot, error) {
	s := &snapshot{at: o.now()}
	for after := ward.DeviceID(""); ; {
		rows, err := o.list(ctx, after, listed)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			s.lines = append(s.lines, lineOf(r))
			after = r.Device.ID
		}
		if len(rows) < listed {
			break
		}
	}
	slices.SortFunc(s.lines, func(a, b line) int {
		return cmp.Or(a.importance-b.importance, compareNames(a.Name, b.Name), strings.Compare(string(a.ID), string(b.ID)))
	})
	s.took = o.now().Sub(s.at)
	return s, nil
}

// compareNames orders names as people do: whatever their case, and 2 before 10.
func compareNames(a, b string) int {
	for a, b = strings.ToLower(a), strings.ToLower(b); a != "" && b != ""; {
		x, y := digits(a), digits(b)
		if x == 0 || y == 0 {
			if a[0] != b[0] {
				return int(a[0]) - int(b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		n, m := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
		if c := cmp.Or(len(n)-len(m), strings.Compare(n, m)); c != 0 {
			return c
		}
		a, b = a[x:], b[y:]
	}
	return len(a) - len(b)
}

// digits returns how many digits s begins with.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

func lineOf(r posture.Row) line {
	d := r.Device
	l := line{
		ID: d.ID, Name: nameOf(d), Owner: d.Owner, Group: d.Group, Site: d.Site, Ownership: d.Ownership, OS: osOf(d),
		State: r.Assessment.State, Reason: r.Assessment.Reason(), LastSeen: r.Enrolment.LastSeen, importance: slices.Index(attention, r.Assessment.State),
	}
	l.words = strings.ToLower(strings.Join([]string{l.Name, d.Owner, d.Email, d.Group, d.Site, d.Role, d.Serial, d.Model, l.OS, r.Enrolment.Channel, string(d.ID)}, "\n"))
	return l
}

// nameOf is what a device is called by people.
func nameOf(d ward.Device) string { return cmp.Or(d.Name, d.Serial, string(d.ID)) }

func osOf(d ward.Device) string {
	return strings.TrimSpace(platformName(d.Platform) + " " + d.OSVersion)
}

func platformName(p ward.Platform) string {
	switch p {
	case ward.IOS:
		return "iOS"
	case ward.MacOS:
		return "macOS"
	case ward.Android:
		return "Android"
	case ward.Windows:
		return "Windows"
	case ward.Linux:
		return "Linux"
	}
	return string(p)
}

// matching returns the devices whose words hold every word of the search.
func (s *snapshot) matching(search string) []line {
	words := strings.Fields(strings.ToLower(search))
	if len(words) == 0 {
		return s.lines
	}
	var out []line
	for _, l := range s.lines {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(l.words, w) }) {
			out = append(out, l)
		}
	}
	return out
}

// sites names every site that a device belongs to, once and in order.
func (s *snapshot) sites() []string {
	var out []string
	for _, l := range s.lines {
		if l.Site != "" {
			out = append(out, l.Site)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
