package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/posture"
	"golang.org/x/sync/errgroup"
)

const mixedPolicy = `name: Messaging
approved:
  - name: Ward Messenger
    ios: {bundle_id: org.example.wardmessenger, manifest_url: "{{server.url}}/app/v1/manifest/org.example.wardmessenger.plist"}
    purpose: Messages about patients
    owner: CCIO
    dpia: DPIA-2026-014
    retention: 30 days
    review_by: 2027-11-30
    required: true
    needs_certificate: true
    config: {server_url: "{{server.url}}", enrolment_token: "{{enrolment_token}}", app_id: org.example.wardmessenger}
block: {categories: [consumer-messaging, social-with-dm], stores: true}
containment: {managed_open_in: true, managed_pasteboard: true, no_screenshots: true, no_imessage: true, no_lock_screen_previews: true}
hardening: {no_app_store: true}
posture: {passcode: {minimum_length: 6}}
web_clips: [{label: Rota, url: "https://rota.example.org/"}]
`

// TestMixedFleet: 200 iPhones and iPads of versions from 12 to 27, supervised or not,
// work phones and people's own, get one policy from a real server. None rejects a
// profile or a declaration, every supervised one refuses every blocked app, and what
// Ward says of each is what that device does.
func TestMixedFleet(t *testing.T) {
	t.Parallel()
	n := 200
	if testing.Short() {
		n = 40
	}
	w := start(t, "", nil)
	installed := map[ward.Platform][]virtual.Installed{}
	for _, a := range catalogue.Builtin().Apps() {
		if a.Category != "consumer-messaging" && a.Category != "social-with-dm" || a.NeverBlock {
			continue
		}
		for _, p := range []ward.Platform{ward.IOS, ward.MacOS} {
			for _, id := range a.Identifiers(p) {
				installed[p] = append(installed[p], virtual.Installed{BundleID: id.ID, Name: a.Name, Version: "1", TeamID: id.Team})
			}
		}
	}
	phones := mixedPhones(t, w, n, installed)
	publishByTwo(t, w, mixedPolicy)
	judged := map[intent.Verdict]int{}
	for _, p := range phones {
		var d posture.Detail
		if !soon(func() bool {
			d = w.show(t, p.Serial())
			return lacks(d) == ""
		}) {
			t.Fatalf("device %s of %s %s is not as it should be: %s; it says %+v and did: %s", p.Serial(), p.Platform(), p.OSVersion(), lacks(d), p.Declarations(), deeds(p))
		}
		for _, e := range p.Log() {
			if s := string(e.Answer.Status); strings.HasSuffix(s, "Error") {
				t.Errorf("%s, iOS %s, answered %s to %s: %v", p.Serial(), p.OSVersion(), e.Answer.Status, e.RequestType, e.Answer.ErrorChain)
			}
		}
		for _, s := range p.Declarations() {
			if s.Valid == "invalid" {
				t.Errorf("%s, iOS %s, calls %s invalid: %v", p.Serial(), p.OSVersion(), s.Identifier, s.Reasons)
			}
		}
		if p.Platform() == ward.MacOS {
			judged["Macs"]++ // before macOS 27 they block nothing; what is said of each is judged below
		} else if p.Supervised() && !slices.ContainsFunc(installed[ward.IOS], func(a virtual.Installed) bool { return p.CanLaunch(a.BundleID) == nil }) {
			judged["refuses every blocked app"]++
		} else if p.Supervised() {
			t.Errorf("%s, a supervised phone of iOS %s, opens a blocked app", p.Serial(), p.OSVersion())
		}
		for _, l := range d.Limits {
			judged[l.Verdict]++
			if said := differs(p, l); said != "" {
				t.Errorf("%s, iOS %s, supervised %v: %q is %q, but %s", p.Serial(), p.OSVersion(), p.Supervised(), l.Intent, l.Verdict, said)
			}
		}
	}
	t.Logf("%d devices, %d blocked apps on each phone: %v", len(phones), len(installed[ward.IOS]), judged)
}

// publishByTwo publishes a policy that changes so many devices that a second person has
// to approve it.
func publishByTwo(t *testing.T, w *world, text string) {
	t.Helper()
	v, err := w.Policy.Publish(w.ctx, []byte(text))
	if err != nil || v.State != policy.Proposed {
		t.Fatalf("the policy is %s, %v; want it proposed, for it changes every device", v.State, err)
	}
	digest, err := v.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Policy.Approve(w.ctx, v.Generation, digest); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("its author approved it: %v", err)
	}
	other := ward.WithActor(context.WithoutCancel(t.Context()), ward.Actor{Person: "p-other", Name: "Kit Moss", Via: ward.ViaToken, Roles: ward.Roles})
	if _, err := w.Policy.Approve(other, v.Generation, digest); err != nil {
		t.Fatal(err)
	}
}

// mixedPhones enrols n phones of many sorts and turns them on.
func mixedPhones(t *testing.T, w *world, n int, apps map[ward.Platform][]virtual.Installed) []*virtual.Phone {
	t.Helper()
	var phones []*virtual.Phone
	var g errgroup.Group
	g.SetLimit(8)
	for _, o := range virtual.MixedFleet(4*n, virtual.Options{}) {
		if o.UserEnrolment || len(phones) == n {
			continue // Ward offers device enrolment
		}
		p := w.phone(t, fmt.Sprint(len(phones)), func(to *virtual.Options) {
			to.Platform, to.UDID, to.Serial, to.Model, to.OSVersion, to.Supervised = o.Platform, o.UDID, o.Serial, o.Model, o.OSVersion, o.Supervised
			if to.Apps = apps[o.Platform]; o.Platform == ward.MacOS {
				to.UserAgent = "curl/8" // a browser on a Mac gets the page with the profile behind it
			}
		})
		phones = append(phones, p)
		inv := w.invite(t, o.Ownership, func(r *enrollment.Request) { r.Name, r.Platform = o.Name, o.Platform })
		g.Go(func() error { return p.Enrol(t.Context(), w.InviteURL(inv.Token)) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, p := range phones {
		w.on(t, p)
	}
	return phones
}

// lacks says what is wanted and not on the device yet; "" for nothing.
func lacks(d posture.Detail) string {
	v := d.View
	for _, p := range v.Want.Profiles {
		if !v.HasProfile(p) {
			return p.Identifier
		}
	}
	for _, x := range v.Want.Declarations {
		if !v.Holds(x) {
			return x.Identifier
		}
	}
	if len(v.Want.Profiles) == 0 || v.Got.Apps == nil {
		return "a policy, or news of its apps"
	}
	return ""
}

// fleetPatience is how long a fleet may take to settle: the first device that is asked
// about waits for all the others.
const fleetPatience = 3 * time.Minute

// soon waits until cond is true, and reports whether it came to be.
func soon(cond func() bool) bool {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(fleetPatience)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			return false
		}
	}
	return true
}

// differs compares one promise with what the device does; "" where they agree.
func differs(p *virtual.Phone, l intent.Outcome) string {
	expect := func(kept bool) string {
		if l.Verdict == intent.Enforced && !kept || l.Verdict != intent.Enforced && l.Verdict != intent.Partly && kept {
			return fmt.Sprintf("the device keeps it: %v", kept)
		}
		return ""
	}
	switch l.ID {
	case intent.BlockApps:
		for _, id := range l.Covers {
			if said := expect(p.CanLaunch(id) != nil); said != "" {
				return id + ": " + said
			}
		}
	case intent.BlockWeb:
		for _, host := range l.Covers {
			if said := expect(p.CanOpenURL("https://"+host+"/") != nil); said != "" {
				return host + ": " + said
			}
		}
	case intent.BlockStores:
		return expect(p.CanInstallFrom("marketplace") != nil && p.CanInstallFrom("web") != nil && p.CanInstallFrom("enterprise") != nil)
	case intent.NoAppStore:
		return expect(p.CanInstallFrom("app-store") != nil)
	case intent.ManagedOpenIn:
		return expect(p.CanShare(true, false) != nil && p.CanShare(false, true) != nil)
	case intent.ManagedPasteboard:
		return expect(p.CanPaste(true, false) != nil)
	case intent.NoScreenshots:
		return expect(p.CanScreenshot() != nil)
	case intent.NoIMessage:
		return expect(p.CanMessage("imessage") != nil)
	case intent.Passcode:
		return expect(p.PasscodeRules().Required)
	case intent.WebClips:
		return expect(len(p.WebClips()) == 1)
	case intent.InstallApp:
		_, managed := p.AppInstalled(messenger)
		return expect(managed)
	}
	return ""
}
