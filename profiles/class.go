package profiles

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/micromdm/plist"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
)

// Class is all of a device that what is compiled depends on. Devices of a class get the
// same bytes.
type Class struct {
	Platform      ward.Platform
	Supervised    bool
	Ownership     ward.Ownership
	UserEnrolment bool
	OS            apple.Version // as apple.Band gives it: not the device's exact version
}

// ClassOf returns the class of a device. What is not known counts as less: supervision
// as none, ownership as corporate only if it says so.
func ClassOf(s Subject) Class {
	if s.Device.Platform != ward.IOS {
		return Class{Platform: s.Device.Platform}
	}
	c := Class{
		Platform:      ward.IOS,
		Ownership:     ward.Personal,
		UserEnrolment: strings.HasPrefix(s.Kind, "User Enrollment"),
		OS:            apple.Band(apple.ParseVersion(first(s.OSVersion, s.Device.OSVersion))),
	}
	if s.Device.Ownership == ward.Corporate {
		c.Ownership = ward.Corporate
	}
	// Apple has no supervised user enrolment.
	c.Supervised = s.Supervised == ward.Supervised && !c.UserEnrolment
	return c
}

// String describes the class as people say it: "supervised work phone, iOS 18 or later".
func (c Class) String() string {
	if c.Platform != ward.IOS {
		return fmt.Sprintf("%s device", c.Platform)
	}
	kind := "unsupervised"
	if c.Supervised {
		kind = "supervised"
	}
	if c.UserEnrolment {
		kind = "user-enrolled"
	}
	owner := "work phone"
	if c.Ownership == ward.Personal {
		owner = "personal phone"
	}
	os := "iOS version unknown"
	if c.OS.Known() {
		os = fmt.Sprintf("iOS %s or later", c.OS)
	}
	return fmt.Sprintf("%s %s, %s", kind, owner, os)
}

func (c Class) target() apple.Target {
	return apple.Target{OS: c.OS, Supervised: c.Supervised, UserEnrolment: c.UserEnrolment}
}

// compiled is what a policy comes to for one class.
type compiled struct {
	profiles []Profile
	limits   []Limit
}

// forClass looks up what Parse compiled. Every class of an iPhone is in the map, so a
// miss is another platform, or a Policy that was not made by Parse.
func (p *Policy) forClass(c Class) compiled {
	if p.compiled == nil {
		panic("profiles: a Policy must come from Parse")
	}
	if c.Platform != ward.IOS {
		return compiled{limits: []Limit{otherPlatform(c.Platform)}}
	}
	return p.compiled[c]
}

// classes lists every class of an iPhone or iPad.
func classes() []Class {
	var all []Class
	for _, os := range apple.Bands() {
		for _, owner := range []ward.Ownership{ward.Corporate, ward.Personal} {
			c := Class{Platform: ward.IOS, Ownership: owner, OS: os}
			all = append(all, c)
			c.Supervised = true
			all = append(all, c)
			c.Supervised, c.UserEnrolment = false, true
			all = append(all, c)
		}
	}
	return all
}

// compile fills in all that follows from the policy's words.
func (p *Policy) compile() error {
	p.settleBlock()
	if err := p.compileApps(); err != nil {
		return err
	}
	p.compiled = make(map[Class]compiled)
	apps := p.blockable()
	built := map[apple.Target]*Profile{}
	for _, c := range classes() {
		payloads, outcomes := apple.Restrict(c.target(), p.wanted())
		profile, ok := built[c.target()]
		if !ok {
			var err error
			if profile, err = p.messaging(payloads); err != nil {
				return err
			}
			built[c.target()] = profile
		}
		result := compiled{limits: p.limits(c, outcomes, apps)}
		if profile != nil {
			result.profiles = []Profile{*profile}
		}
		p.compiled[c] = result
	}
	return nil
}

// messaging returns the messaging profile, nil if there is nothing to put in it.
func (p *Policy) messaging(payloads []apple.Payload) (*Profile, error) {
	if len(payloads) == 0 {
		return nil, nil //nolint:nilnil // no payload, no profile: that is the answer
	}
	name := "Ward: " + p.Name
	raw, err := apple.Mobileconfig(apple.Document{
		Identifier: MessagingProfile, Name: name, Description: p.Notice, Payloads: payloads,
	})
	if err != nil {
		return nil, fmt.Errorf("compile policy %s: %w", p.Name, err)
	}
	return &Profile{Identifier: MessagingProfile, Hash: digest(raw), Name: name, Payload: raw}, nil
}

func (p *Policy) wanted() apple.Wanted {
	w := apple.Wanted{BlockedApps: p.block, On: p.Containment.wishes()}
	for _, a := range p.Approved {
		w.Previews = append(w.Previews, a.IOS.BundleID)
	}
	return w
}

// settleBlock works out which bundle ids are blocked and which are watched. An approved
// app's id is never blocked, even where a blocked row of the catalogue has the same id.
func (p *Policy) settleBlock() {
	approved := map[string]bool{}
	for _, a := range p.Approved {
		approved[a.IOS.BundleID] = true
		p.watch = append(p.watch, a.IOS.BundleID)
	}
	p.blockSet = map[string]bool{}
	for _, a := range p.blocked {
		if a.NeverBlock {
			continue
		}
		p.kept = append(p.kept, a)
		for _, id := range a.IOS {
			if !approved[id.ID] && !p.blockSet[id.ID] {
				p.blockSet[id.ID] = true
				p.block = append(p.block, id.ID)
			}
		}
	}
	p.watch = append(p.watch, p.block...)
	slices.Sort(p.block)
	slices.Sort(p.watch)
}

func (p *Policy) compileApps() error {
	p.apps = make([]App, len(p.Approved))
	for i, a := range p.Approved {
		app := App{
			Name: a.Name, BundleID: a.IOS.BundleID, StoreID: a.IOS.StoreID, ManifestURL: a.IOS.ManifestURL,
			Config: a.Config, Required: a.Required, NeedsCertificate: a.NeedsCertificate,
			NoBackup: p.Containment.NoBackup,
		}
		// A property list with sorted keys keeps 1, 1.0 and "1" apart.
		raw, err := plist.Marshal(map[string]any{
			"BundleID": app.BundleID, "StoreID": app.StoreID, "ManifestURL": app.ManifestURL,
			"Config": notNil(app.Config), "Required": app.Required,
			"NeedsCertificate": app.NeedsCertificate, "NoBackup": app.NoBackup,
		})
		if err != nil {
			return fmt.Errorf("compile app %s: %w", a.Name, err)
		}
		app.Hash = digest(raw)
		p.apps[i] = app
	}
	return nil
}

func notNil(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
