package estate

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/server/compliance"
)

// Filter says which devices are meant. The zero Filter means all. It is written into
// addresses by Values and read from them by ParseFilter, so that every number can lead to
// exactly what it counts.
type Filter struct {
	Search    string // every word of it has to be in a device's name, owner, serial number…
	States    []compliance.State
	Sites     []string
	Groups    []string
	Platforms []ward.Platform
	Ownership ward.Ownership // empty: either
	OS        string         // a version or the beginning of one: "26" or "26.1"; "old" is below the policy's minimum
	Findings  []string       // codes: a device with at least one of them
	App       string         // the slug of a messaging app that is on it
	Blocked   bool           // at least one blocked app is on it; with App, that one is blocked there
	Approved  string         // "ready", "not-ready" or "" for either: every approved app that it should have
	NotSeen   int            // for at least so many days; 0: whenever
	Enrolled  bool           // leaves out devices that are retired or never enrolled
	Scope     ward.Scope     // of who asks; it stands in no address
	AsOf      time.Time      // zero is now
}

// The keys of a filter in an address. A list is the key several times over.
const (
	keySearch    = "q"
	keyState     = "state"
	keySite      = "site"
	keyGroup     = "group"
	keyPlatform  = "platform"
	keyOwnership = "ownership"
	keyOS        = "os"
	keyFinding   = "finding"
	keyApp       = "app"
	keyBlocked   = "blocked"
	keyApproved  = "approved"
	keyNotSeen   = "not_seen"
	keyEnrolled  = "enrolled"
	keyAsOf      = "as_of"
)

// Bounds of what an address may ask for.
const (
	mostText = 200 // bytes of a value
	mostList = 100 // values of a list
	mostDays = 3660
)

// The values of Filter.OS and Filter.Approved that are words.
const (
	OldOS    = "old"
	Ready    = "ready"
	NotReady = "not-ready"
)

// none stands in an address for the empty value: devices without a site, or without a group.
const none = "-"

// codeOldSystem and codeBlocked are findings that a filter asks about by another name.
const (
	codeOldSystem = "old-system"
	codeBlocked   = "blocked-app-present"
)

// Keys are the words of an address that belong to a filter.
func Keys() []string {
	return []string{
		keySearch, keyState, keySite, keyGroup, keyPlatform, keyOwnership, keyOS, keyFinding, keyApp, keyBlocked, keyApproved, keyNotSeen, keyEnrolled, keyAsOf,
	}
}

// ParseFilter reads a filter from the query of an address; its mistakes are a *ward.Error of
// kind Invalid that names each of them. Keys that it does not know are left to others. A site
// or a group "-" is that of devices without one. as_of is a time as RFC 3339 has it, or a day,
// which means its end or now, whichever is earlier to whoever asks for it.
func ParseFilter(q url.Values) (Filter, error) {
	p := parser{q: q}
	f := Filter{
		Search: strings.Join(strings.Fields(p.one(keySearch)), " "), Sites: places(p.list(keySite)), Groups: places(p.list(keyGroup)),
		Findings: p.list(keyFinding), App: p.one(keyApp), Blocked: p.yes(keyBlocked), Enrolled: p.yes(keyEnrolled),
		NotSeen: p.days(keyNotSeen), AsOf: p.time(keyAsOf),
	}
	for _, v := range p.list(keyState) {
		if f.States = append(f.States, compliance.State(v)); !slices.Contains(Attention, compliance.State(v)) {
			p.bad(keyState, "%q is no state. The states are %s.", v, listed(Attention))
		}
	}
	platforms := []ward.Platform{ward.IOS, ward.MacOS, ward.Android, ward.Windows, ward.Linux}
	for _, v := range p.list(keyPlatform) {
		if f.Platforms = append(f.Platforms, ward.Platform(v)); !slices.Contains(platforms, ward.Platform(v)) {
			p.bad(keyPlatform, "%q is no platform. The platforms are %s.", v, listed(platforms))
		}
	}
	if f.Ownership = ward.Ownership(p.one(keyOwnership)); f.Ownership != "" && !f.Ownership.Valid() {
		p.bad(keyOwnership, "%q is neither corporate nor personal.", string(f.Ownership))
	}
	if f.OS = p.one(keyOS); f.OS != "" && f.OS != OldOS && strings.Trim(f.OS, "0123456789.") != "" {
		p.bad(keyOS, "%q is no version such as 26.1, nor the word old.", f.OS)
	}
	if f.Approved = p.one(keyApproved); f.Approved != "" && f.Approved != Ready && f.Approved != NotReady {
		p.bad(keyApproved, "%q is neither ready nor not-ready.", f.Approved)
	}
	if len(p.wrong) > 0 {
		return Filter{}, &ward.Error{Kind: ward.Invalid, Message: "The filter can't be read: " + strings.Join(p.wrong, " ")}
	}
	return f, nil
}

func listed[T ~string](all []T) string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = string(v)
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// places turns the word for none into none.
func places(all []string) []string {
	for i, v := range all {
		if v == none {
			all[i] = ""
		}
	}
	return all
}

// parser reads values and gathers what is wrong with them.
type parser struct {
	q     url.Values
	wrong []string
}

func (p *parser) bad(key, format string, args ...any) {
	p.wrong = append(p.wrong, key+": "+fmt.Sprintf(format, args...))
}

// list returns the values of a key that are not empty, each once, in their order.
func (p *parser) list(key string) (out []string) {
	for _, v := range p.q[key] {
		v = strings.TrimSpace(v)
		switch {
		case v == "" || slices.Contains(out, v):
		case len(v) > mostText:
			p.bad(key, "A value has at most %d characters.", mostText)
			return out
		case len(out) == mostList:
			p.bad(key, "At most %d values may be named.", mostList)
			return out
		default:
			out = append(out, v)
		}
	}
	return out
}

func (p *parser) one(key string) string {
	switch all := p.list(key); len(all) {
	case 0:
		return ""
	case 1:
		return all[0]
	default:
		p.bad(key, "Only one value can be given.")
		return all[0]
	}
}

func (p *parser) yes(key string) bool {
	switch v := p.one(key); v {
	case "", "0", "no", "false":
		return false
	case "1", "yes", "true", "on":
		return true
	default:
		p.bad(key, "%q is neither yes nor no.", v)
		return false
	}
}

func (p *parser) days(key string) int {
	v := p.one(key)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > mostDays {
		p.bad(key, "%q is no number of days from 1 to %d.", v, mostDays)
		return 0
	}
	return n
}

// time reads an instant. What a form of a page sends is without a zone, and is UTC.
func (p *parser) time(key string) time.Time {
	v := p.one(key)
	if v == "" {
		return time.Time{}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, v); err == nil && !t.IsZero() && t.Year() >= 1970 && t.Year() <= 9999 {
			return t.UTC()
		}
	}
	if t, err := time.Parse(time.DateOnly, v); err == nil && t.Year() >= 1970 {
		return t.AddDate(0, 0, 1).Add(-time.Second)
	}
	p.bad(key, "%q is no time such as 2026-03-12, 2026-03-12T09:30 or 2026-03-12T09:30:00Z.", v)
	return time.Time{}
}

// Values is the inverse of ParseFilter, without what is zero.
func (f Filter) Values() url.Values {
	q := url.Values{}
	set := func(key, v string) {
		if v != "" {
			q.Add(key, v)
		}
	}
	place := func(key string, all []string) {
		for _, v := range all {
			if v == "" {
				v = none
			}
			set(key, v)
		}
	}
	set(keySearch, f.Search)
	for _, s := range f.States {
		set(keyState, string(s))
	}
	place(keySite, f.Sites)
	place(keyGroup, f.Groups)
	for _, s := range f.Platforms {
		set(keyPlatform, string(s))
	}
	set(keyOwnership, string(f.Ownership))
	set(keyOS, f.OS)
	for _, s := range f.Findings {
		set(keyFinding, s)
	}
	set(keyApp, f.App)
	if f.Blocked {
		set(keyBlocked, "yes")
	}
	set(keyApproved, f.Approved)
	if f.NotSeen > 0 {
		set(keyNotSeen, strconv.Itoa(f.NotSeen))
	}
	if f.Enrolled {
		set(keyEnrolled, "yes")
	}
	if !f.AsOf.IsZero() {
		set(keyAsOf, f.AsOf.UTC().Format(time.RFC3339Nano))
	}
	return q
}

// AppName is what people call a messaging app of the catalogue, by its slug.
func AppName(slug string) string {
	if a, ok := catalogue.Builtin().Lookup(slug); ok {
		return a.Name
	}
	return slug
}
