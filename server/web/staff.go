package web

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/server/policy"
)

// Policies tells which policy holds.
type Policies interface {
	InForce(ctx context.Context) (*policy.InForce, error)
}

var _ Policies = (*policy.Service)(nil)

// staffPage is what the policy in force means for whoever works with a phone. It names
// nobody: anyone may read it.
type staffPage struct {
	Page
	Org        string // how the page calls the employer
	Policy     string // its name; empty where none is in force
	Generation int64
	Notices    []staffNotice
	Languages  []staffLanguage // of the notice; empty where there is no choice
	Foreign    bool            // the notice is in another language than the page
	Apps       []staffApp
	Work, Own  keptOff // on work phones, on people's own
	Lost       lostNumber
}

// staffApp is an approved app.
type staffApp struct {
	Name, Purpose, Retention string
	From                     []staffPlace
}

// staffPlace says where an app is to be had.
type staffPlace struct {
	On    string // such as Android
	Text  string // whole sentences; may be empty where there are links
	Links []staffLink
}

type staffLink struct{ Text, URL string }

// keptOff is what a policy keeps off devices of one ownership.
type keptOff struct {
	AllowOnly bool // nothing runs but what is listed
	First     []string
	More      []string
	Web       bool // web versions too
	Costs     bool // having one makes the phone count as one that does not comply
}

// Any reports whether anything is kept off.
func (k keptOff) Any() bool { return k.AllowOnly || len(k.First) > 0 }

// Same reports whether k and o name the same apps.
func (k keptOff) Same(o keptOff) bool {
	return k.AllowOnly == o.AllowOnly && slices.Equal(k.First, o.First) && slices.Equal(k.More, o.More)
}

// staff serves the page behind the link that a policy puts on home screens. Everybody
// gets the same page, signed in or not, so it names no visitor either.
func (s *Server) staff(w http.ResponseWriter, r *http.Request) error {
	if s.Policies == nil {
		return s.unknown(w, r)
	}
	f, err := s.Policies.InForce(r.Context())
	if err != nil {
		return fmt.Errorf("page for staff: %w", err)
	}
	v := s.staffView(r, f)
	r = r.WithContext(ward.WithActor(r.Context(), ward.Actor{}))
	h := w.Header()
	h.Set("Cache-Control", "private, max-age=60") // private: the answer may renew the cookie of a session
	h.Add("Vary", "Accept-Language")
	if err := render(s, w, r, http.StatusOK, s.pages.staff, v); err != nil {
		h.Set("Cache-Control", "no-store")
		return err
	}
	return nil
}

func (s *Server) staffView(r *http.Request, f *policy.InForce) *staffPage {
	v := &staffPage{Page: Page{Title: "Messaging apps at work", Narrow: true}, Org: "your organisation"}
	if s.Name != "" {
		v.Org = s.Name
	}
	p, generation := f.Current()
	if p == nil {
		return v
	}
	v.Policy, v.Generation, v.Lost = p.Name, generation, numberOf(p.Lost.Phone)
	v.notices(r, p)
	for _, a := range p.Register {
		v.Apps = append(v.Apps, staffApp{a.Name, a.Purpose, a.Retention, places(a)})
	}
	v.Work, v.Own = s.keptOff(p, ward.Corporate), s.keptOff(p, ward.Personal)
	v.Own.Web = false // a browser that is a person's own is left alone
	return v
}

// firstNames is how many apps are named at once; a remainder of up to spareNames is not
// worth folding away.
const (
	firstNames = 8
	spareNames = 3
)

// keptOff gathers from every platform what is kept off a device that is in no group but
// those for all devices of its ownership, and under no exception.
func (s *Server) keptOff(p *profiles.Policy, o ward.Ownership) (k keptOff) {
	var names []string
	for _, pl := range []ward.Platform{ward.IOS, ward.Android, ward.MacOS, ward.Windows, ward.Linux} {
		settled := p.Settle(ward.Device{Platform: pl, Ownership: o}, s.Now())
		b := settled.Wanted.Block
		for _, a := range b.Apps {
			if !slices.Contains(names, a.Name) {
				names = append(names, a.Name)
			}
		}
		rule := settled.Posture.BlockedApp
		k.AllowOnly = k.AllowOnly || b.AllowOnly
		k.Web = k.Web || len(b.Web) > 0
		k.Costs = k.Costs || rule.On && rule.Severity == intent.Breach
	}
	k.First = names
	if len(names) > firstNames+spareNames {
		k.First, k.More = names[:firstNames], names[firstNames:]
	}
	return k
}

// places says where an approved app is to be had, on each platform that has it.
func places(a source.Approved) []staffPlace {
	var out []staffPlace
	if i := a.IOS; i.BundleID != "" {
		out = append(out, staffPlace{"iPhone, iPad", "Comes by itself once the phone is set up for work. Press Install if the phone asks.", inAppStore(a.Name, i.StoreID)})
	}
	if pkg := a.Android.Package; pkg != "" {
		text := "Open the Play store on the work side of the phone and install it."
		if a.Required {
			text = "Comes by itself once the phone is set up for work."
		}
		// https://developer.android.com/distribute/marketing-tools/linking-to-google-play
		out = append(out, staffPlace{"Android", text, []staffLink{{a.Name + " on Google Play", "https://play.google.com/store/apps/details?id=" + pkg}}})
	}
	if m := a.MacOS; m.BundleID != "" {
		out = append(out, staffPlace{"Mac", "Comes by itself once the Mac is set up for work.", inAppStore(a.Name, m.StoreID)})
	}
	windows, linux := a.Runs(ward.Windows), a.Runs(ward.Linux)
	if windows || linux {
		on := map[bool]string{true: "Windows, Linux", false: "Windows"}[linux]
		if !windows {
			on = "Linux"
		}
		out = append(out, staffPlace{on, "Ask IT support.", nil})
	}
	if len(out) == 0 { // beside an app its hosts need not be pages
		var links []staffLink
		for _, host := range a.Web {
			links = append(links, staffLink{host, "https://" + host + "/"})
		}
		out = append(out, staffPlace{"In a browser", "", links})
	}
	return out
}

// inAppStore links to an app by the number that Apple gives it, as the App Store's own
// "Copy Link" does. Without a number there is no page to link to.
func inAppStore(name string, id int64) []staffLink {
	if id == 0 {
		return nil
	}
	return []staffLink{{name + " in the App Store", "https://apps.apple.com/app/id" + strconv.FormatInt(id, 10)}}
}

// lostNumber is the number to call when a phone is lost.
type lostNumber struct {
	Text string       // as the policy writes it; empty: it has none
	Call template.URL // tel: address; empty where the text is more than a number
}

// dialled is a number with what people put between its digits.
var dialled = regexp.MustCompile(`^\+?[0-9][0-9 ().-]{1,30}$`)

// numberOf makes a number one that can be tapped (RFC 3966, section 3).
func numberOf(text string) lostNumber {
	n := lostNumber{Text: text}
	if dialled.MatchString(text) {
		n.Call = template.URL("tel:" + strings.NewReplacer(" ", "", "(", "", ")", "", ".", "", "-", "").Replace(text)) //nolint:gosec // digits and a plus alone
	}
	return n
}
