package web

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/report"
)

// reviewSoon is how long before its day a review is called due.
const reviewSoon = 60 * 24 * time.Hour

// reviewTag says how an approval stands to its review.
func reviewTag(a source.Approved, now time.Time) tag {
	switch {
	case a.Overdue(now):
		return tag{"Review overdue", "bad", "alert"}
	case a.ReviewBy.Before(now.Add(reviewSoon)):
		return tag{"Review due", "warn", "clock"}
	}
	return tag{"In force", "good", "check"}
}

// readiness is on which devices an approved app is as it should be, and on which not.
type readiness struct{ ready, not []*estate.Device }

// readinessOf sorts the devices that should have an approved app.
func readinessOf(a source.Approved, devices []*estate.Device) (out readiness) {
	ids := []string{a.IOS.BundleID, a.MacOS.BundleID, a.Android.Package, a.Windows.PackageFamilyName}
	for _, d := range devices {
		i := slices.IndexFunc(d.Approved, func(x estate.AppStanding) bool { return x.Bundle != "" && slices.Contains(ids, x.Bundle) })
		switch {
		case i < 0:
		case d.Approved[i].Ready():
			out.ready = append(out.ready, d)
		default:
			out.not = append(out.not, d)
		}
	}
	return out
}

func registerAddress(name, ready string) string {
	q := url.Values{}
	if ready != "" {
		q.Set("ready", ready)
	}
	return address("/register/"+url.PathEscape(name), q)
}

// appRegister lists the approved apps, the most urgent review first: GET /register.
func (s *Server) appRegister(w http.ResponseWriter, r *http.Request) error {
	p, generation, err := s.current(r.Context())
	if err != nil {
		return err
	}
	f, snap, err := s.looked(r)
	if err != nil {
		return err
	}
	t := s.registerTable(p, f, snap)
	if done, err := s.export(w, r, func() (report.Table, error) { return t, nil }); done || err != nil {
		return err
	}
	v := &sheetPage{Page: Page{Title: "Approved apps", Section: "register"}}
	v.Head = pageHead{Title: "Approved apps", Caption: "What staff may use for work", AsOf: at(snap.At, s.Now()), Exports: here(r)}
	v.Head.Actions = []action{{Text: "Exceptions", Href: "/exceptions"}}
	if generation > 0 {
		v.Head.Actions = append(v.Head.Actions, action{Text: "The policy that says so", Href: versionAddress(generation)})
	}
	shown := wrapped(t, s.Now())
	shown.Empty = emptyView{Title: "No app is approved", Text: []string{"An app is approved by a policy, with its owner, its purpose and its assessment. No policy in force approves one."}, Action: &action{Text: "Plan a policy", Href: "/policies/plan"}}
	v.Segments = []segment{{Anchor: "list", Tables: []tableView{shown}}}
	return s.sheet(w, r, v)
}

func (s *Server) registerTable(p *profiles.Policy, f estate.Filter, snap *estate.Snapshot) report.Table {
	now := s.Now()
	t := report.Table{Name: "approved-apps", Title: "Approved apps", Says: f.Words(), AsOf: snap.At, Columns: []report.Column{
		{Head: "App", Share: 12},
		{Head: "Approval", Kind: report.State, Share: 12},
		{Head: "Review by", Share: 8},
		{Head: "Owner", Share: 12},
		{Head: "DPIA", Share: 10},
		{Head: "Approved for", Share: 16},
		{Head: "Retention and record", Share: 16},
		{Head: "Certificate", Share: 14},
		{Head: "Ready", Kind: report.Number, Share: 6},
		{Head: "Not ready", Kind: report.Number, Share: 6},
	}}
	if p == nil {
		return t
	}
	all := slices.Clone(p.Register)
	slices.SortStableFunc(all, func(a, b source.Approved) int {
		return cmp.Or(a.ReviewBy.Compare(b.ReviewBy), estate.CompareNames(a.Name, b.Name))
	})
	devices := snap.Match(f)
	for _, a := range all {
		has := readinessOf(a, devices)
		t.Rows = append(t.Rows, []report.Cell{
			{Text: a.Name, Href: registerAddress(a.Name, "")},
			stateCell(reviewTag(a, now)), textCell(a.ReviewBy.Format("2 Jan 2006")), textCell(a.Owner), textCell(a.DPIA), textCell(a.Purpose),
			textCell(a.Retention), textCell(certificateWords(a)), numberCell(len(has.ready), registerAddress(a.Name, "yes")), numberCell(len(has.not), registerAddress(a.Name, "no")),
		})
	}
	return t
}

// certificateWords says what certificate an approved app proves itself by.
func certificateWords(a source.Approved) string {
	switch {
	case a.Certificate.Delivery == intent.ByNetwork:
		return "By the network’s"
	case !a.NeedsCertificate:
		return "None"
	}
	life := a.Certificate.Life
	if life == 0 {
		life = intent.DefaultLife
	}
	how := "fetched by the app"
	if a.Certificate.By() == intent.ByManagedApp {
		how = "handed over by the device"
		if a.Certificate.Attested {
			how += ", its key attested by hardware"
		}
	}
	return fmt.Sprintf("Its own, %s, for %s", how, lasting(life))
}

// registered shows one approved app with the devices that should have it:
// GET /register/{app}?ready=yes|no.
func (s *Server) registered(w http.ResponseWriter, r *http.Request) error {
	p, generation, err := s.current(r.Context())
	if err != nil {
		return err
	}
	i := -1
	if p != nil {
		i = slices.IndexFunc(p.Register, func(a source.Approved) bool { return a.Name == r.PathValue("app") })
	}
	if i < 0 {
		return ward.Errorf(ward.NotFound, "No app %q is approved by the policy in force.", r.PathValue("app"))
	}
	a := p.Register[i]
	f, snap, err := s.looked(r)
	if err != nil {
		return err
	}
	has, ready := readinessOf(a, snap.Match(f)), r.URL.Query().Get("ready")
	devices := map[string][]*estate.Device{"yes": has.ready, "no": has.not, "": slices.Concat(has.not, has.ready)}[ready]
	name := fmt.Sprintf("Devices that should have %s", a.Name)
	if done, err := s.export(w, r, func() (report.Table, error) { return s.deviceTable("register-devices", name, f, snap, devices), nil }); done || err != nil {
		return err
	}
	now, st := s.Now(), reviewTag(a, s.Now())
	v := &sheetPage{Page: Page{Title: a.Name, Section: "register", Backlink: "/register", Backname: "Approved apps"}}
	v.Head = pageHead{Title: a.Name, Tag: &st, Caption: a.Purpose, AsOf: at(snap.At, now), Exports: here(r)}
	v.Segments = []segment{{Anchor: "record", Title: "Its record", Facts: recordFacts(a, generation)}}
	if len(a.Config) > 0 {
		v.Segments = append(v.Segments, segment{Anchor: "config", Title: "Its configuration", Text: []string{"What the app is given. Words in {{ }} stand for a device’s own values."}, Facts: configFacts("", a.Config)})
	}
	v.Segments = append(v.Segments, segment{Anchor: "devices", Title: name, Tabs: []tabView{
		{Text: "All", Href: here(r, "ready", "", "after", ""), Current: ready == "", Count: len(has.ready) + len(has.not)},
		{Text: "Not ready", Href: here(r, "ready", "no", "after", ""), Current: ready == "no", Count: len(has.not)},
		{Text: "Ready", Href: here(r, "ready", "yes", "after", ""), Current: ready == "yes", Count: len(has.ready)},
	}, Tables: []tableView{s.pagedDevices(r, name, f, snap, devices)}})
	return s.sheet(w, r, v)
}

func recordFacts(a source.Approved, generation int64) []factView {
	on := []string{}
	for _, pl := range []ward.Platform{ward.IOS, ward.MacOS, ward.Android, ward.Windows, ward.Linux} {
		if a.Runs(pl) {
			on = append(on, platformName(pl))
		}
	}
	if len(a.Web) > 0 {
		on = append(on, "web ("+strings.Join(a.Web, ", ")+")")
	}
	required := "No: its owner may remove it"
	if a.Required {
		required = "Yes: its owner can’t remove it"
	}
	return []factView{
		{Label: "Who answers for it", Value: a.Owner},
		{Label: "DPIA", Value: a.DPIA},
		{Label: "May be used for", Value: a.Purpose},
		{Label: "Retention and record", Value: a.Retention},
		{Label: "To be looked at again by", Value: a.ReviewBy.Format("2 January 2006")},
		{Label: "Certificate", Value: certificateWords(a)},
		{Label: "Required", Value: required},
		{Label: "On", Value: strings.Join(on, ", ")},
		{Label: "Written in", Value: fmt.Sprintf("generation %d, line %d", generation, a.Line), Href: lineAddress(generation, a.Line)},
	}
}

// configFacts lists a configuration, the parts of a part under its name.
func configFacts(prefix string, m map[string]any) (out []factView) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if sub, ok := m[k].(map[string]any); ok {
			out = append(out, configFacts(prefix+k+".", sub)...)
			continue
		}
		out = append(out, factView{Label: prefix + k, Value: fmt.Sprint(m[k])})
	}
	return out
}

// deviceTable lists devices that a page has picked.
func (s *Server) deviceTable(file, title string, f estate.Filter, snap *estate.Snapshot, devices []*estate.Device) report.Table {
	t := report.Table{Name: file, Title: title, Says: f.Words(), AsOf: snap.At, Columns: []report.Column{
		{Head: "State", Kind: report.State}, {Head: "Name"}, {Head: "Reason"}, {Head: "Owner"}, {Head: "Ward or team"}, {Head: "Site"}, {Head: "Ownership"}, {Head: "System"}, {Head: "Last seen", Kind: report.Time},
	}}
	for _, d := range devices {
		href := deviceAddress(d.ID)
		if !snap.Now {
			href += "?as_of=" + url.QueryEscape(snap.At.UTC().Format(time.RFC3339))
		}
		t.Rows = append(t.Rows, []report.Cell{
			stateCell(stateTag(d.State)),
			{Text: cmp.Or(d.Name, d.Serial, string(d.ID)), Href: href},
			textCell(d.Reason()), textCell(d.Owner), textCell(d.Group), textCell(d.Site), textCell(ownershipName(d.Ownership)),
			textCell(strings.TrimSpace(platformName(d.Platform) + " " + d.OSVersion)),
			{Time: d.LastSeen, Text: "never"},
		})
	}
	return t
}

// pagedDevices shows one page of devices that a page has picked, by key.
func (s *Server) pagedDevices(r *http.Request, title string, f estate.Filter, snap *estate.Snapshot, devices []*estate.Device) tableView {
	from := passed(snap, devices, ward.DeviceID(r.URL.Query().Get("after")))
	to := min(from+listPage, len(devices))
	v := tableOf(s.deviceTable("devices", title, f, snap, devices[from:to]), s.Now())
	v.From, v.To, v.Total = from+1, to, len(devices)
	v.Empty = emptyView{Title: "No device", Text: []string{"No device that you may see is among these."}}
	if to < len(devices) {
		v.Next = here(r, "after", string(devices[to-1].ID))
	}
	if from > 0 {
		v.First = here(r, "after", "")
	}
	return v
}

// passed returns where the page after a device begins among picked ones. The device need
// not be picked any more where they stand in the order of the snapshot; one that is gone
// begins at the top.
func passed(snap *estate.Snapshot, devices []*estate.Device, after ward.DeviceID) int {
	if after == "" {
		return 0
	}
	if i := slices.IndexFunc(devices, func(d *estate.Device) bool { return d.ID == after }); i >= 0 {
		return i + 1
	}
	n := 0
	for _, d := range snap.Devices {
		if n < len(devices) && devices[n] == d {
			n++
		}
		if d.ID == after {
			return n
		}
	}
	return 0
}
