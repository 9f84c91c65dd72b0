package web

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
)

// filterBar is the form above each list of devices. It works without a script: what is
// chosen stands in the address.
type filterBar struct {
	Action  string // address that it leads to
	Search  string
	Hidden  []hiddenField // what is kept when the form is sent
	Choices []filterChoice
	More    []filterChoice // behind "More filters"
	Chips   []chip         // what is chosen
	Clear   string         // address without a filter; empty where nothing is chosen
	AsOf    string         // the day, or empty for now
	AsOfMax string         // today
	Past    *noteView      // says that this is the past
	Now     string         // address of the same list now
	Views   []savedLink    // saved views
	Save    string         // address where this filter is saved; empty where it can't be
}

// hiddenField is a value that a form carries along.
type hiddenField struct{ Name, Value string }

// filterChoice is one thing to narrow a list by.
type filterChoice struct {
	Name, Label string
	Any         string // words for no choice
	Options     []optionView
	Chosen      int // how many are chosen, where that is more than one
}

// chip is a part of a filter that is chosen, and the address without it.
type chip struct{ Text, Href string }

// savedLink leads to a saved view.
type savedLink struct {
	Name, Href string
	Shared     bool
	Current    bool
}

// The words of a filter in addresses, as estate.ParseFilter reads them.
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
	keyApproved  = "approved"
	keyNotSeen   = "not_seen"
	keyAsOf      = "as_of"
)

// filterBar makes the form for a filter of the page that r asks for. What stands in the
// address under the keys to keep is kept.
func (s *Server) filterBar(r *http.Request, snap *estate.Snapshot, f estate.Filter, keep ...string) filterBar {
	b := filterBar{Action: r.URL.Path, Search: f.Search, AsOfMax: s.Now().UTC().Format(time.DateOnly)}
	kept := url.Values{}
	for _, k := range keep {
		for _, v := range r.URL.Query()[k] {
			kept.Add(k, v)
			b.Hidden = append(b.Hidden, hiddenField{k, v})
		}
	}
	address := func(f estate.Filter) string { return filtered(r.URL.Path, f, kept) }
	b.hide(f)
	b.choices(snap, f)
	b.chips(f, address)
	if len(b.Chips) > 0 || f.Search != "" {
		b.Clear = withQuery(r.URL.Path, kept)
	}
	if !f.AsOf.IsZero() {
		now := f
		now.AsOf = time.Time{}
		b.AsOf = f.AsOf.UTC().Format(time.DateOnly)
		b.Now = address(now)
		b.Past = &noteView{Tone: "info", Title: "As it was on " + at(f.AsOf, s.Now()).Exact, Text: textPast, Link: &action{Text: textToNow, Href: b.Now}}
	}
	return b
}

// filtered is the address of a page with a filter and what else it keeps.
func filtered(path string, f estate.Filter, kept url.Values) string {
	q := url.Values{}
	maps.Copy(q, f.Values())
	maps.Copy(q, kept)
	return withQuery(path, q)
}

func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// hide carries along what the form has no field for, or several values of.
func (b *filterBar) hide(f estate.Filter) {
	shown := map[string]bool{keySearch: true, keyAsOf: true, keyOwnership: true, keyOS: true, keyApp: true, keyApproved: true, keyNotSeen: true}
	for k, values := range f.Values() {
		if shown[k] || len(values) == 1 && b.single(k) {
			continue
		}
		for _, v := range values {
			b.Hidden = append(b.Hidden, hiddenField{k, v})
		}
	}
	slices.SortStableFunc(b.Hidden, func(x, y hiddenField) int { return cmp.Compare(x.Name, y.Name) })
}

// single reports whether a field of the form shows one value of this key.
func (b *filterBar) single(k string) bool {
	return k == keySite || k == keyGroup || k == keyPlatform || k == keyFinding
}

// choices makes the fields.
func (b *filterBar) choices(snap *estate.Snapshot, f estate.Filter) {
	c := snap.Choices(f.Scope)
	b.Choices = worthwhile(
		choiceOf(keySite, "Site", "Any", f.Sites, c.Sites, same),
		choiceOf(keyGroup, "Ward", "Any", f.Groups, c.Groups, same),
		choiceOf(keyOwnership, "Ownership", "Any", one(string(f.Ownership)), []string{string(ward.Corporate), string(ward.Personal)}, func(v string) string { return ownershipName(ward.Ownership(v)) }),
		choiceOf(keyPlatform, "Platform", "Any", texts(f.Platforms), texts(c.Platforms), func(v string) string { return platformName(ward.Platform(v)) }),
	)
	b.More = worthwhile(
		choiceOf(keyFinding, "Finding", "Any", f.Findings, c.Findings, findingName),
		choiceOf(keyApp, "App on it", "Any", one(f.App), c.Apps, estate.AppName),
		choiceOf(keyApproved, "Approved app", "Any", one(f.Approved), []string{"ready", "not-ready"}, approvedName),
		choiceOf(keyNotSeen, "Not seen for", "Any time", days(f.NotSeen), []string{"1", "7", "30", "90"}, daysName),
		choiceOf(keyOS, "System", "Any", one(f.OS), append([]string{"old"}, c.OS...), osName),
	)
}

// worthwhile leaves out fields in which there is nothing to choose.
func worthwhile(all ...filterChoice) []filterChoice {
	return slices.DeleteFunc(all, func(c filterChoice) bool {
		return len(c.Options) == 0 || len(c.Options) == 1 && c.Chosen == 0 && !c.Options[0].Selected
	})
}

// choiceOf makes a field: one value chosen stands in it, several are carried along and
// another may be added.
func choiceOf(name, label, unchosen string, chosen, all []string, words func(string) string) filterChoice {
	c := filterChoice{Name: name, Label: label, Any: unchosen}
	if len(chosen) > 1 {
		c.Chosen = len(chosen)
	}
	for _, v := range all {
		if c.Chosen > 0 && slices.Contains(chosen, v) {
			continue
		}
		c.Options = append(c.Options, optionView{Value: v, Text: words(v), Selected: len(chosen) == 1 && chosen[0] == v})
	}
	if len(chosen) == 1 && !slices.Contains(all, chosen[0]) {
		c.Options = append(c.Options, optionView{Value: chosen[0], Text: words(chosen[0]), Selected: true})
	}
	return c
}

// chips are the parts of the filter, each with the address without it.
func (b *filterBar) chips(f estate.Filter, address func(estate.Filter) string) {
	add := func(text string, without func(*estate.Filter)) {
		g := f
		without(&g)
		b.Chips = append(b.Chips, chip{text, address(g)})
	}
	if f.Search != "" {
		add("“"+f.Search+"”", func(g *estate.Filter) { g.Search = "" })
	}
	for _, v := range f.States {
		add(stateTag(v).Text, func(g *estate.Filter) { g.States = without(f.States, v) })
	}
	for _, v := range f.Sites {
		add(v, func(g *estate.Filter) { g.Sites = without(f.Sites, v) })
	}
	for _, v := range f.Groups {
		add(v, func(g *estate.Filter) { g.Groups = without(f.Groups, v) })
	}
	for _, v := range f.Platforms {
		add(platformName(v), func(g *estate.Filter) { g.Platforms = without(f.Platforms, v) })
	}
	for _, v := range f.Findings {
		add(findingName(v), func(g *estate.Filter) { g.Findings = without(f.Findings, v) })
	}
	b.singleChips(f, add)
}

func (b *filterBar) singleChips(f estate.Filter, add func(string, func(*estate.Filter))) {
	if f.Ownership != "" {
		add(ownershipName(f.Ownership), func(g *estate.Filter) { g.Ownership = "" })
	}
	if f.OS != "" {
		add(osName(f.OS), func(g *estate.Filter) { g.OS = "" })
	}
	if f.App != "" {
		add("Has "+estate.AppName(f.App), func(g *estate.Filter) { g.App = "" })
	}
	if f.Blocked {
		add(textBlocked, func(g *estate.Filter) { g.Blocked = false })
	}
	if f.Approved != "" {
		add(approvedName(f.Approved), func(g *estate.Filter) { g.Approved = "" })
	}
	if f.NotSeen > 0 {
		add("Not seen for "+daysName(strconv.Itoa(f.NotSeen)), func(g *estate.Filter) { g.NotSeen = 0 })
	}
	if f.Enrolled {
		add(textEnrolled, func(g *estate.Filter) { g.Enrolled = false })
	}
}

func without[T comparable](all []T, v T) []T {
	return slices.DeleteFunc(slices.Clone(all), func(x T) bool { return x == v })
}

func same(v string) string { return v }

func one(v string) []string {
	if v == "" {
		return nil
	}
	return []string{v}
}

func days(n int) []string {
	if n == 0 {
		return nil
	}
	return []string{strconv.Itoa(n)}
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// stateFilter is a filter of one state.
func stateFilter(f estate.Filter, s compliance.State) estate.Filter {
	f.States = []compliance.State{s}
	return f
}
