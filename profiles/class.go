package profiles

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/android"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/workstation"
)

// Class is all of a device that what is compiled depends on. Devices of a class get the
// same bytes. OS is the version at which what is compiled last changed, not the
// device's own.
type Class struct {
	intent.Target
	// Layers names what of the policy holds: which groups and exceptions. It is empty for
	// a class by itself, without a policy.
	Layers string
}

// ClassOf returns the class of a device under a policy at a time. What is not known
// counts as less: supervision as none, ownership as personal unless it says corporate.
func ClassOf(s Subject, p *Policy, now time.Time) Class {
	c := Class{Target: s.Target()}
	c.OS = band(c.Platform, c.OS)
	c.Attests = c.Attests && c.Platform == ward.IOS && apple.Identifies(c.OS)
	if p != nil {
		c.Layers = p.Key(s.Device, now)
	}
	return c
}

// Target returns what the compilers need to know of the device.
func (s Subject) Target() intent.Target {
	t := intent.Target{
		Platform:  s.Device.Platform,
		OS:        intent.ParseVersion(first(s.OSVersion, s.Device.OSVersion)),
		Ownership: ward.Personal,
		Enrolment: enrolment(s.Device, s.Kind),
		Attests:   s.Attests,
	}
	if s.Device.Ownership == ward.Corporate {
		t.Ownership = ward.Corporate
	}
	// Apple has no supervised user enrolment.
	t.Supervised = s.Supervised == ward.Supervised && t.Enrolment != intent.ByUser && apples(t.Platform)
	return t
}

func enrolment(d ward.Device, kind string) intent.Enrolment {
	switch {
	case apples(d.Platform) && strings.HasPrefix(kind, "User Enrollment"):
		return intent.ByUser
	case apples(d.Platform):
		return intent.ByDevice
	case d.Platform != ward.Android:
		return intent.ByAgent
	case kind == string(intent.CompanyOwned) || kind == string(intent.WorkProfile):
		return intent.Enrolment(kind)
	case d.Ownership != ward.Corporate:
		return intent.WorkProfile
	}
	return intent.FullyManaged
}

func apples(p ward.Platform) bool { return p == ward.IOS || p == ward.MacOS }

func band(p ward.Platform, v intent.Version) intent.Version {
	switch {
	case apples(p):
		return apple.Band(p, v)
	case p == ward.Android:
		return android.Band(p, v)
	}
	return workstation.Band(p, v)
}

// String describes the class as people say it: "supervised work phone, iOS 18 or later".
func (c Class) String() string {
	var words []string
	switch {
	case c.Enrolment == intent.ByUser:
		words = append(words, "user-enrolled")
	case c.Enrolment == intent.WorkProfile:
		words = append(words, "work-profile")
	case c.Enrolment == intent.CompanyOwned || c.Enrolment == intent.FullyManaged:
		words = append(words, strings.ReplaceAll(string(c.Enrolment), "cope", "company-owned"))
	case apples(c.Platform) && c.Supervised:
		words = append(words, "supervised")
	case apples(c.Platform):
		words = append(words, "unsupervised")
	}
	owner := "work"
	if c.Personal() {
		owner = "personal"
	}
	words = append(words, owner, things[c.Platform])
	name := names[c.Platform]
	os := name + " version unknown"
	if c.OS.Known() {
		os = fmt.Sprintf("%s %s or later", name, c.OS)
	}
	return strings.Join(words, " ") + ", " + os
}

// names and things are never changed.
var (
	names  = map[ward.Platform]string{ward.IOS: "iOS", ward.MacOS: "macOS", ward.Android: "Android", ward.Windows: "Windows", ward.Linux: "Linux"}
	things = map[ward.Platform]string{ward.IOS: "phone", ward.MacOS: "Mac", ward.Android: "phone", ward.Windows: "workstation", ward.Linux: "workstation"}
)

// compiled is what a policy comes to for one class. state holds what its devices share.
type compiled struct {
	settled   intent.Settled
	state     State
	artifacts []intent.Artifact
}

// forClass compiles the class of s, once.
func (p *Policy) forClass(c Class, s Subject, now time.Time) *compiled {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.compiled == nil {
		panic("profiles: a Policy must come from Parse")
	}
	if done := p.compiled[c]; done != nil {
		return done
	}
	out := p.compile(c, s, now)
	p.compiled[c] = out
	return out
}

func (p *Policy) compile(c Class, s Subject, now time.Time) *compiled {
	out := &compiled{settled: p.Settle(s.Device, now)}
	st := &out.state
	st.Posture, st.Excepted, st.Blocked = out.settled.Posture, out.settled.Excepted, out.settled.Wanted.Block.Apps
	st.WatchApps = out.settled.Watch
	var err error
	switch {
	case apples(c.Platform):
		err = out.apple(c.Target)
	case c.Platform == ward.Android:
		var r android.Result
		r, err = android.Compile(out.settled.Wanted, c.Target)
		st.Limits, out.artifacts = r.Outcomes, android.Artifacts(r)
	default:
		var r workstation.Result
		r, err = workstation.Compile(out.settled.Wanted, c.Target)
		st.Limits, out.artifacts = r.Outcomes, workstation.Artifacts(r)
	}
	if err != nil {
		// Parse has refused whatever could make a compiler fail.
		panic(fmt.Sprintf("profiles: compile policy %s for a %s: %v", p.Name, c, err))
	}
	if c.Enrolment == intent.ByUser || !apples(c.Platform) {
		st.WatchApps = nil // under user enrolment Apple lists managed apps only
	}
	st.Class = out.digest()
	return out
}

func (k *compiled) apple(t intent.Target) error {
	r, err := apple.Compile(k.settled.Wanted, t)
	if err != nil {
		return err
	}
	st := &k.state
	st.Limits, k.artifacts = r.Outcomes, apple.Artifacts(r)
	for _, f := range r.Profiles {
		st.Profiles = append(st.Profiles, Profile{Identifier: f.Identifier, Hash: f.Hash, Name: f.Name, Payload: f.Data, Declared: f.Declared})
	}
	for _, d := range r.Declarations {
		st.Declarations = append(st.Declarations, Declaration(d))
	}
	for _, d := range r.Documents {
		st.Documents = append(st.Documents, Document(d))
	}
	st.DeclarationsToken = tokenOf(st.Declarations)
	for _, a := range r.Apps {
		st.Apps = append(st.Apps, appOf(a))
	}
	return nil
}

// tokenOf names a set of declarations; "" for none.
func tokenOf(all []Declaration) string {
	if len(all) == 0 {
		return ""
	}
	h := sha256.New()
	for _, d := range all {
		fmt.Fprintf(h, "%s\n%s\n", d.Identifier, d.Token)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// digest names all that the devices of a class get.
func (k *compiled) digest() string {
	h := sha256.New()
	for _, f := range k.state.Profiles {
		fmt.Fprintf(h, "profile %s %s\n", f.Identifier, f.Hash)
	}
	for _, d := range k.state.Declarations {
		fmt.Fprintf(h, "declaration %s %s\n", d.Identifier, d.Token)
	}
	for _, a := range k.state.Apps {
		fmt.Fprintf(h, "app %s %s\n", a.BundleID, a.Hash)
	}
	if len(k.state.Profiles)+len(k.state.Declarations) == 0 {
		for _, a := range k.artifacts {
			fmt.Fprintf(h, "document %s %x\n", a.Name, sha256.Sum256(a.Data))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
