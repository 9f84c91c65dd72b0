package apple_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

// wantedOf draws a policy for a device.
func wantedOf(t *rapid.T) intent.Wanted {
	flip := func(what string) bool { return rapid.Bool().Draw(t, what) }
	name := rapid.SampledFrom([]string{"a", "Wi-Fi für alle", "x & <y>", "Ω", strings.Repeat("long ", 20), "a"})
	host := rapid.SampledFrom([]string{"web.whatsapp.com", "web.telegram.org", "example.org", "messenger.com"})
	some := func(what string, most int) int { return rapid.IntRange(0, most).Draw(t, what) }
	w := intent.Wanted{Name: name.Draw(t, "name"), Notice: name.Draw(t, "notice"), On: map[intent.ID]bool{}}
	for _, s := range intent.Switches() {
		w.On[s.ID] = flip(string(s.ID))
	}
	apps := catalogue.Builtin().Apps()
	for range some("blocked", 12) {
		w.Block.Apps = append(w.Block.Apps, rapid.SampledFrom(apps).Draw(t, "app"))
	}
	w.Block.AllowOnly = rapid.IntRange(0, 4).Draw(t, "allow only") == 0
	w.Block.Stores = flip("stores")
	w.Block.Allow = map[ward.Platform][]string{ward.IOS: {"com.apple.camera", "net.whatsapp.WhatsApp"}, ward.MacOS: {"com.apple.Safari"}}
	if flip("teams") {
		w.Block.Teams = map[string]string{"net.whatsapp.WhatsApp": "ABCDE12345"}
	}
	if n := some("web", 300); n > 290 {
		for i := range n {
			w.Block.Web = append(w.Block.Web, fmt.Sprintf("host%03d.example.org", i))
		}
	} else if n > 100 {
		w.Block.Web = []string{host.Draw(t, "host")}
		w.Block.Network = []string{host.Draw(t, "network")}
	}
	for _, a := range approved() {
		if flip("approve " + a.Name) {
			a.Required, a.NoBackup = flip("required"), flip("no backup")
			if flip("no config") {
				a.Config = nil
			}
			if a.NeedsCertificate {
				a.Certificate.Delivery = rapid.SampledFrom([]intent.Delivery{"", intent.ByToken, intent.ByManagedApp, intent.ByNetwork}).Draw(t, "delivery")
				a.Certificate.Attested = a.Certificate.Delivery == intent.ByManagedApp && flip("attested")
			}
			w.Apps = append(w.Apps, a)
		}
	}
	w.Passcode = intent.PasscodeRule{
		Required: flip("passcode"), MinimumLength: some("length", 20), Complex: flip("complex"),
		LockAfter: time.Duration(some("idle", 2000)) * time.Second,
	}
	w.Encryption = flip("encryption")
	if flip("update") {
		w.Update = intent.Update{Version: "26.1", By: time.Date(2027, 2, 3, 4, 5, 6, 0, time.UTC)}
	}
	for range some("wifi", 2) {
		w.WiFi = append(w.WiFi, intent.WiFi{SSID: name.Draw(t, "ssid"), Hidden: flip("hidden"), NoPrivateAddr: flip("address"), TrustedRoots: [][]byte{{1}}[:some("roots", 1)]})
	}
	for range some("vpn", 2) {
		w.VPN = append(w.VPN, intent.VPN{Name: name.Draw(t, "vpn"), Server: host.Draw(t, "server"), PerApp: flip("per app")})
	}
	for range some("relay", 2) {
		w.Relays = append(w.Relays, intent.Relay{Name: name.Draw(t, "relay"), URL: "https://relay.example.org", PerApp: flip("per app relay")})
	}
	if flip("dns") {
		w.DNS = intent.DNS{Name: name.Draw(t, "resolver"), ServerName: "dns.example.org"}
		if flip("over HTTPS") {
			w.DNS.ServerURL = "https://dns.example.org/dns-query"
		}
		if flip("addresses") {
			w.DNS.Addresses = []string{"192.0.2.53"}
		}
		if flip("only") {
			w.DNS.Only = []string{host.Draw(t, "only")}
		}
	}
	for range some("clips", 2) {
		w.WebClips = append(w.WebClips, intent.WebClip{Label: name.Draw(t, "label"), URL: "https://example.org"})
	}
	if flip("staff") {
		w.StaffPage = "{{server.url}}/me"
	}
	for range some("own", 2) {
		w.Own = append(w.Own, intent.Own{Name: name.Draw(t, "own"), Platform: rapid.SampledFrom([]ward.Platform{ward.IOS, ward.MacOS}).Draw(t, "own for"), Data: []byte(ownProfile), Types: []string{"com.apple.airprint"}})
	}
	return w
}

func TestRandomPolicies(t *testing.T) {
	t.Parallel()
	var s *schema
	if os.Getenv("WARD_APPLE_SCHEMA") != "" {
		s = loadSchema(t)
	}
	targets := allTargets()
	rapid.Check(t, func(t *rapid.T) {
		w := wantedOf(t)
		at := rapid.SampledFrom(targets).Draw(t, "target").Target
		r, err := apple.Compile(w, at)
		if err != nil {
			t.Fatal(err)
		}
		if s != nil {
			if wrong := s.result(onTarget(at), r); len(wrong) > 0 {
				t.Fatalf("%+v: breaks Apple's rules:\n%s", at, strings.Join(wrong, "\n"))
			}
		}
		if wrong := unanswered(w, at, r); len(wrong) > 0 {
			t.Fatalf("%+v:\n%s", at, strings.Join(wrong, "\n"))
		}
		for _, p := range r.Profiles {
			if !strings.HasPrefix(p.Identifier, apple.ProfileIdentifiers) || !slices.IsSorted(p.Types) || len(p.Types) == 0 {
				t.Fatalf("%+v: profile %s with types %v", at, p.Identifier, p.Types)
			}
		}
	})
}

// reordered is the same policy with its maps filled in another order.
func reordered(w intent.Wanted) intent.Wanted {
	again := func(m map[intent.ID]bool) map[intent.ID]bool {
		keys := slices.Collect(maps.Keys(m))
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		out := map[intent.ID]bool{}
		for _, k := range keys {
			out[k] = m[k]
		}
		return out
	}
	w.On = again(w.On)
	w.Block.Allow = maps.Clone(w.Block.Allow)
	w.Block.Teams = maps.Clone(w.Block.Teams)
	w.Apps = slices.Clone(w.Apps)
	for i := range w.Apps {
		w.Apps[i].Config = maps.Clone(w.Apps[i].Config)
	}
	return w
}

func TestCompileIsDeterministic(t *testing.T) {
	t.Parallel()
	for name, at := range goldens() {
		first := mustCompile(t, full(), at)
		for range 20 {
			again := mustCompile(t, reordered(full()), at)
			if fingerprint(first) != fingerprint(again) {
				t.Fatalf("%s: another order gives another result", name)
			}
			for i, a := range apple.Artifacts(again) {
				if b := apple.Artifacts(first)[i]; a.Name != b.Name || !bytes.Equal(a.Data, b.Data) {
					t.Fatalf("%s: %s has other bytes", name, a.Name)
				}
			}
		}
	}
}

// Compile changes nothing that it was given: policies are shared between classes.
func TestCompileLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	w := full()
	before := fmt.Sprintf("%+v", w)
	for _, at := range allTargets() {
		mustCompile(t, w, at.Target)
	}
	if after := fmt.Sprintf("%+v", w); before != after {
		t.Error("the policy was changed")
	}
}
