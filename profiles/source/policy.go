package source

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

// Policy is one version of the policy as it was read. It is made by Parse only, is
// read-only and may be used by several goroutines. Callers must not change what its
// slices and maps hold.
type Policy struct {
	Name       string
	Note       string // what is new in this version; may be empty
	Register   []Approved
	Groups     []Group
	Exceptions []Exception // all that the file holds, ended ones too
	Lost       LostWords
	Catalogue  *catalogue.Catalogue // Ward's own, with what the site adds
	Baselines  []string             // names, in the order in which they are laid

	own       *layer   // the policy's own sections
	baselines []*layer // beneath it
	layers    []*layer // baselines and own
	base      *layer   // what they come to

	apps    []catalogue.App // of the catalogue, in its order
	index   map[string]int  // slug -> index of apps
	members map[string][]int
	web     [][]string // hosts that may be kept off, by the index of each app
	network [][]string

	byDevice map[string][]int // exceptions, by id or serial number
	byOwner  map[string][]int // by e-mail address in lower case
	wide     []int            // for a group, a ward or a site
	single   []string         // the key of each group where it is alone
	ever     []bool           // by the index of each app: some layer keeps it off
	lasting  []string         // warnings that no time changes
}

// build works out what follows from a file without mistakes.
func (p *Policy) build() {
	p.web, p.network = make([][]string, len(p.apps)), make([][]string, len(p.apps))
	for i, a := range p.apps {
		p.web[i], p.network[i] = hostNames(a.BlockableWeb()), hostNames(a.BlockableNetwork())
	}
	p.byDevice, p.byOwner = map[string][]int{}, map[string][]int{}
	for i, e := range p.Exceptions {
		switch e.For.Kind {
		case ForDevice:
			p.byDevice[e.For.Value] = append(p.byDevice[e.For.Value], i)
		case ForOwner:
			owner := strings.ToLower(e.For.Value)
			p.byOwner[owner] = append(p.byOwner[owner], i)
		default:
			p.wide = append(p.wide, i)
		}
	}
	p.single = make([]string, len(p.Groups))
	for i := range p.Groups {
		p.single[i] = string(appendKey(nil, []int{i}, nil))
	}
	p.ever = p.blockedAnywhere()
	p.lasting = p.lastingWarnings()
}

func hostNames(ids []catalogue.Identifier) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.ID
	}
	return out
}

// Notices returns the notice for a device in every language it was given in; "en" is
// always among them. Nil: there is none.
func (p *Policy) Notices(d ward.Device) map[string]string {
	m := p.base.notice
	for i := range p.Groups {
		if g := &p.Groups[i]; g.match.holds(&d) {
			m = g.layer.notice.over(m)
		}
	}
	return maps.Clone(m.value)
}

// baseKey is the key of devices for which only the baselines and the policy hold.
const baseKey = "base"

// few is how many groups and exceptions of a device are gathered without allocating.
const few = 16

// Key names the layers in force for a device. Of devices with equal keys and platforms,
// at the same policy, Settle says the same. It is cheap: only a device in several groups
// or under an exception costs an allocation.
func (p *Policy) Key(d ward.Device, now time.Time) string {
	var g, e [few]int
	groups := p.matching(&d, g[:0])
	exceptions := p.excepted(&d, now, groups, e[:0])
	switch {
	case len(exceptions) > 0 || len(groups) > 1:
		var buf [96]byte
		return string(appendKey(buf[:0], groups, exceptions))
	case len(groups) == 1:
		return p.single[groups[0]]
	}
	return baseKey
}

func appendKey(b []byte, groups, exceptions []int) []byte {
	for _, part := range []struct {
		letter byte
		list   []int
	}{{'g', groups}, {'e', exceptions}} {
		for _, i := range part.list {
			b = strconv.AppendInt(append(b, part.letter), int64(i+1), 10)
		}
	}
	return b
}

// matching appends the indexes of the groups of a device, in the order of the file.
func (p *Policy) matching(d *ward.Device, into []int) []int {
	for i := range p.Groups {
		if p.Groups[i].match.holds(d) {
			into = append(into, i)
		}
	}
	return into
}

// excepted appends the indexes of the exceptions in force for a device, in the order of
// the file.
func (p *Policy) excepted(d *ward.Device, now time.Time, groups, into []int) []int {
	if len(p.Exceptions) == 0 {
		return into
	}
	into = p.inForce(p.byDevice[string(d.ID)], now, into)
	if d.Serial != "" && d.Serial != string(d.ID) {
		into = p.inForce(p.byDevice[d.Serial], now, into)
	}
	if d.Email != "" {
		into = p.inForce(p.byOwner[strings.ToLower(d.Email)], now, into)
	}
	for _, i := range p.wide {
		if p.Exceptions[i].InForce(now) && p.covers(p.Exceptions[i].For, d, groups) {
			into = append(into, i)
		}
	}
	slices.Sort(into)
	return into
}

func (p *Policy) inForce(indexes []int, now time.Time, into []int) []int {
	for _, i := range indexes {
		if p.Exceptions[i].InForce(now) {
			into = append(into, i)
		}
	}
	return into
}

func (p *Policy) covers(s Scope, d *ward.Device, groups []int) bool {
	switch s.Kind {
	case ForWard:
		return strings.EqualFold(s.Value, d.Group)
	case ForSite:
		return strings.EqualFold(s.Value, d.Site)
	case ForGroup:
		return slices.ContainsFunc(groups, func(g int) bool { return p.Groups[g].Name == s.Value })
	case ForDevice, ForOwner: // found by their indexes
	}
	return false
}

// NextChange returns the next instant after now at which an exception begins or ends, or
// a review falls due: until then Settle says the same, and Warnings but for what it says of
// days ahead and of updates that fall due. Zero: never.
func (p *Policy) NextChange(now time.Time) time.Time {
	var next time.Time
	consider := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, e := range p.Exceptions {
		consider(e.From)
		consider(e.Ends())
	}
	for _, a := range p.Register {
		consider(a.reviewDue())
	}
	return next
}

// tell is how long an exception that ended is told of.
const tell = 30 * day

// Ended returns the exceptions that ended within the last 30 days, the latest first.
func (p *Policy) Ended(now time.Time) []intent.Exception {
	var out []intent.Exception
	for _, e := range p.Exceptions {
		if end := e.Ends(); !end.After(now) && end.After(now.Add(-tell)) {
			out = append(out, e.Exception)
		}
	}
	slices.SortStableFunc(out, func(a, b intent.Exception) int { return cmp.Compare(b.Expires.Unix(), a.Expires.Unix()) })
	return out
}
