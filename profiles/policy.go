// Package profiles says what should be true on a device: it reads the messaging
// policy, knows the approved apps, and works out for each device the profiles, apps
// and lost-phone measures it should have, with a plain sentence for what its platform
// does not allow. It is pure: no store, no network, no clock; time is passed in and
// the same input gives the same bytes.
package profiles

import (
	"slices"
	"time"

	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/catalogue"
)

// Policy is one version of the messaging policy. It is made by Parse, which also
// compiles it for every class of device; it is read-only and safe for concurrent use.
type Policy struct {
	Name        string
	Note        string // what is new in this version; may be empty
	Notice      string // the words staff see; may be empty
	Approved    []Approved
	Block       Block
	Containment Containment
	Lost        LostWords

	blocked  []catalogue.App // what Block comes to, in the catalogue's order
	kept     []catalogue.App // blocked without those that may never be
	block    []string        // bundle ids to block, sorted
	blockSet map[string]bool
	apps     []App
	watch    []string // block and the approved apps, sorted
	compiled map[Class]compiled
}

// Approved is one entry of the approved-app register: an app that staff may use for
// work, with the record that information governance asks for before it is approved.
type Approved struct {
	Name             string
	IOS              IOSApp
	Purpose          string
	Owner            string
	DPIA             string // reference of the data protection impact assessment
	Retention        string
	ReviewBy         time.Time // the last day, at 00:00 UTC
	Required         bool
	NeedsCertificate bool
	Config           map[string]any // managed configuration, with variables; nil for none
}

// Overdue reports whether the day of the review has passed.
func (a Approved) Overdue(now time.Time) bool {
	return !now.Before(a.ReviewBy.AddDate(0, 0, 1))
}

// IOSApp says how an iPhone gets the app: exactly one of StoreID and ManifestURL is set.
type IOSApp struct {
	BundleID    string
	StoreID     int64
	ManifestURL string // may hold {{server.url}}
}

// Block says which messaging apps are kept off.
type Block struct {
	Categories []string
	Apps       []string // slugs of the catalogue
	Except     []string // slugs of the catalogue
	// ReasonWithoutAlternative is asked for when nothing is approved to be used instead.
	ReasonWithoutAlternative string
}

// Containment keeps work data inside managed apps. True switches a protection on.
type Containment struct {
	ManagedOpenIn        bool // documents do not pass between managed and other apps
	ManagedPasteboard    bool // nor does what is copied; needs ManagedOpenIn
	AirDropUnmanaged     bool // AirDrop counts as outside; needs ManagedOpenIn
	NoScreenshots        bool
	NoLockScreenPreviews bool
	NoBackup             bool
	NoIMessage           bool
	NoRCS                bool
}

func (c Containment) wishes() map[apple.Wish]bool {
	return map[apple.Wish]bool{
		apple.ManagedOpenIn:        c.ManagedOpenIn,
		apple.ManagedPasteboard:    c.ManagedPasteboard,
		apple.AirDropUnmanaged:     c.AirDropUnmanaged,
		apple.NoScreenshots:        c.NoScreenshots,
		apple.NoLockScreenPreviews: c.NoLockScreenPreviews,
		apple.NoBackup:             c.NoBackup,
		apple.NoIMessage:           c.NoIMessage,
		apple.NoRCS:                c.NoRCS,
	}
}

// LostWords are what a lost phone shows to its finder. Empty ones fall back to Ward's.
type LostWords struct {
	Message  string
	Phone    string
	Footnote string
}

// Blocked returns the apps that the policy keeps off, in the catalogue's order. Apps
// that may never be blocked as such are left out. Callers must not change the slice; a
// nil policy blocks nothing.
func (p *Policy) Blocked() []catalogue.App {
	if p == nil {
		return nil
	}
	return p.kept
}

// Present returns the blocked apps that are among the installed bundle ids, compared in
// exact case, in the catalogue's order. A nil policy blocks nothing.
func Present(installed []string, p *Policy) []catalogue.App {
	if p == nil {
		return nil
	}
	have := make(map[string]bool, len(installed))
	for _, id := range installed {
		have[id] = p.blockSet[id]
	}
	var found []catalogue.App
	for _, a := range p.kept {
		if slices.ContainsFunc(a.IOS, func(id catalogue.Identifier) bool { return have[id.ID] }) {
			found = append(found, a)
		}
	}
	return found
}
