package profiles_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

// judged is how many pairs of a policy and a device are tried.
var judged = flag.Int("judged", 10000, "how many pairs of a random policy and a random device the virtual device judges")

// TestExplainAgreesWithTheDevice makes random policies and random devices, gives each
// device exactly what it would be sent, and asks the device itself for every promise. The
// virtual device shares no code with the compilers.
func TestExplainAgreesWithTheDevice(t *testing.T) {
	t.Parallel()
	const devices = 20
	files := map[string][]byte{"root.pem": rootCertificate(t)}
	verdicts, signers := map[intent.ID]map[intent.Verdict]int{}, signersOf(catalogue.Builtin())
	broken := 0
	for i := range max(*judged/devices, 1) {
		rng := rand.New(rand.NewPCG(20261122, uint64(i)))
		text := randomPolicy(rng)
		p, err := profiles.Parse([]byte(text), files)
		if err != nil {
			t.Fatalf("policy %d: %v\n%s", i, err, text)
		}
		for j := range devices {
			s, o := randomDevice(rng)
			wrong := judge(p, s, o, signers, verdicts)
			if len(wrong) > 0 {
				t.Errorf("policy %d, device %d (%s, %s): %d promises are not kept:\n  %s\n", i, j, profiles.ClassOf(s, p, now), s.Device.OSVersion, len(wrong), strings.Join(wrong, "\n  "))
				if broken++; broken == 60 {
					t.Fatalf("the last of these policies is:\n%s", text)
				}
			}
		}
	}
	for _, id := range []intent.ID{intent.BlockApps, intent.AllowOnly, intent.BlockWeb, intent.BlockStores, intent.ManagedOpenIn, intent.NoScreenshots, intent.Passcode, intent.JoinWiFi, intent.UseDNS} {
		if verdicts[id][intent.Enforced] == 0 || verdicts[id][intent.Enforced] == total(verdicts[id]) && id != intent.ManagedOpenIn && id != intent.NoScreenshots && id != intent.JoinWiFi {
			t.Errorf("%s was judged as %v: both kept and impossible promises must be among the cases", id, verdicts[id])
		}
	}
	t.Logf("judged: %v", verdicts)
}

// rootCertificate is what a policy's network trusts.
func rootCertificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "RADIUS root"}, NotBefore: now, NotAfter: now.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(crand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func total(m map[intent.Verdict]int) (n int) {
	for _, c := range m {
		n += c
	}
	return n
}

// judge sends the device what it would get and returns the promises that it breaks.
func judge(p *profiles.Policy, s profiles.Subject, o virtual.Options, signers map[string]string, verdicts map[intent.ID]map[intent.Verdict]int) []string {
	st := profiles.Desired(s, p, now)
	o.Apps = installedApps(st, signers)
	d := virtual.NewJudge(o)
	wrong := deliver(d, st)
	allowOnly := slices.ContainsFunc(st.Limits, func(l intent.Outcome) bool { return l.ID == intent.AllowOnly && l.Verdict == intent.Enforced })
	for _, l := range st.Limits {
		if verdicts[l.ID] == nil {
			verdicts[l.ID] = map[intent.Verdict]int{}
		}
		verdicts[l.ID][l.Verdict]++
		if said := keeps(d, st, l, allowOnly); said != "" {
			wrong = append(wrong, fmt.Sprintf("%s %s: %q is %q by %q, but %s", l.ID, l.Subject, l.Intent, l.Verdict, l.Mechanism, said))
		}
	}
	return wrong
}

// signersOf are the teams that sign Mac apps, by bundle id.
func signersOf(c *catalogue.Catalogue) map[string]string {
	signers := map[string]string{}
	for _, a := range c.Apps() {
		for _, id := range a.MacOS {
			if id.Team != "" {
				signers[id.ID] = id.Team
			}
		}
	}
	return signers
}

// installedApps are on the device before management reaches it: all that is blocked, each
// signed by who signs it.
func installedApps(st profiles.State, signers map[string]string) []virtual.Installed {
	apps := []virtual.Installed{{BundleID: stranger, Name: "Stranger", Version: "1"}}
	seen := map[string]bool{stranger: true}
	for _, l := range st.Limits {
		if l.ID != intent.BlockApps {
			continue
		}
		for _, id := range l.Covers {
			if !seen[id] {
				seen[id] = true
				apps = append(apps, virtual.Installed{BundleID: id, Name: id, Version: "1", TeamID: signers[id]})
			}
		}
	}
	return apps
}

// stranger is an app that no policy names.
const stranger = "example.stranger.app"

const (
	manifestURL = "https://a.example/m.plist"
	manifest    = `<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict><key>items</key><array><dict>
<key>assets</key><array><dict><key>kind</key><string>software-package</string><key>url</key><string>https://a.example/a.ipa</string></dict></array>
<key>metadata</key><dict><key>bundle-identifier</key><string>org.example.chat</string><key>bundle-version</key><string>1</string><key>kind</key><string>software</string><key>title</key><string>Chat</string></dict>
</dict></array></dict></plist>`
)

var bound = strings.NewReplacer(
	"{{network.challenge}}", "challenge", "{{network.scep_url}}", "https://ward.example/scep", "{{server.url}}", "https://ward.example",
	"{{device.id}}", "dev_1", "{{device.name}}", "Phone", "{{user.email}}", "a@b.example", "{{cert.alias}}", "alias",
	"{{app.challenge}}", "app-challenge", "{{app.directory}}", "https://ward.example/acme/a/apple/directory", "{{device.identifier}}", "SN1",
)

// deliver gives the device its profiles, declarations and apps, and returns what it
// refused.
func deliver(d *virtual.Judge, st profiles.State) (wrong []string) {
	byHash := map[string][]byte{manifestURL: []byte(manifest)}
	reach := func(url string) ([]byte, error) {
		if raw, ok := byHash[url]; ok {
			return raw, nil
		}
		return nil, fmt.Errorf("nothing is at %s", url)
	}
	d.Reach(reach)
	for _, f := range st.Profiles {
		raw := []byte(bound.Replace(string(f.Payload)))
		byHash["https://ward.example/p/"+f.Hash] = raw
		if f.Declared {
			continue
		}
		if err := d.InstallProfile(raw); err != nil {
			wrong = append(wrong, fmt.Sprintf("the device refused the profile %s: %v", f.Identifier, err))
		}
	}
	var list [][]byte
	for _, w := range st.Declarations {
		payload := bound.Replace(string(w.Payload))
		for _, f := range st.Profiles {
			payload = strings.ReplaceAll(payload, "{{profile:"+f.Hash+"}}", "https://ward.example/p/"+f.Hash)
		}
		for _, f := range st.Documents {
			payload = strings.ReplaceAll(payload, "{{document:"+f.Hash+"}}", "https://ward.example/d/"+f.Hash)
			byHash["https://ward.example/d/"+f.Hash] = []byte(bound.Replace(string(f.Data)))
		}
		raw, err := json.Marshal(map[string]any{"Type": w.Type, "Identifier": w.Identifier, "ServerToken": w.Token, "Payload": json.RawMessage(payload)})
		if err != nil {
			return append(wrong, err.Error())
		}
		list = append(list, raw)
	}
	if len(list) > 0 {
		for _, s := range d.ApplyDeclarations(list, reach) {
			if s.Valid == "invalid" {
				wrong = append(wrong, fmt.Sprintf("the device calls the declaration %s invalid: %v", s.Identifier, s.Reasons))
			}
		}
	}
	for _, a := range st.Apps {
		if a.Declared {
			continue
		}
		flags := int64(1)
		if a.NoBackup {
			flags |= 4
		}
		if r := d.Do("InstallApplication", map[string]any{"ManifestURL": a.ManifestURL, "ManagementFlags": flags}); r.Status != "Acknowledged" {
			wrong = append(wrong, fmt.Sprintf("the device refused the app %s: %v", a.BundleID, r))
		}
	}
	return wrong
}

// keeps asks the device about one promise; it returns "" where the device does as said.
func keeps(d *virtual.Judge, st profiles.State, l intent.Outcome, allowOnly bool) string {
	switch l.ID {
	case intent.BlockApps:
		return keepsBlock(d, l, allowOnly)
	case intent.AllowOnly:
		return expect(l, d.CanLaunch(stranger) != nil, "an app that nobody listed launches")
	case intent.BlockWeb:
		for _, host := range l.Covers {
			if said := expect(l, d.CanOpenURL("https://"+host+"/") != nil && d.CanOpenURL("http://"+host+"/chat?id=1") != nil, host+" opens"); said != "" {
				return said
			}
		}
	case intent.BlockStores:
		return expect(l, d.CanInstallFrom("marketplace") != nil && d.CanInstallFrom("web") != nil && d.CanInstallFrom("enterprise") != nil, "apps come from elsewhere")
	case intent.Passcode:
		return expect(l, d.PasscodeRules().Required, "no passcode is asked for")
	case intent.JoinWiFi:
		if len(st.Declarations) > 0 && !d.PasscodeCompliant() {
			return "" // the certificate is granted only to a device whose passcode complies
		}
		return expect(l, slices.ContainsFunc(d.WiFi(), func(w virtual.Network) bool { return w.SSID == l.Subject }), "it does not know the network")
	case intent.UpdateOS:
		_, ok := d.UpdateEnforced()
		return expect(l, ok, "no update is enforced")
	case intent.UseDNS:
		return keepsDNS(d, l)
	case intent.BlockNetwork:
		if r, ok := d.Resolver(); l.Verdict == intent.Partly && (!ok || !asks(r, l.Covers)) {
			return "the names are looked up elsewhere"
		}
	case intent.WebClips, intent.StaffPage:
		return expect(l, len(d.WebClips()) > 0, "there is no link")
	}
	if is, ok := questions[l.ID]; ok {
		return expect(l, is(d, st), "the device does otherwise")
	}
	return ""
}

// expect compares a promise with what the device does. A part may be either.
func expect(l intent.Outcome, kept bool, otherwise string) string {
	switch {
	case l.Verdict == intent.Partly:
	case l.Verdict == intent.Enforced && !kept:
		return otherwise
	case l.Verdict != intent.Enforced && kept:
		return "the device does it all the same"
	}
	return ""
}

func keepsBlock(d *virtual.Judge, l intent.Outcome, allowOnly bool) string {
	if l.Mechanism == "" && l.Subject == "unconfirmed" {
		return ""
	}
	for _, id := range l.Covers {
		blocked := d.CanLaunch(id) != nil
		if l.Verdict == intent.Enforced && !blocked {
			return id + " launches"
		}
		if l.Verdict != intent.Enforced && l.Verdict != intent.Partly && blocked && !allowOnly {
			return id + " does not launch"
		}
	}
	return ""
}

// keepsDNS: a resolver that is told as set is asked somewhere, one that is told as
// enforced wherever the device is and whatever the person wants.
func keepsDNS(d *virtual.Judge, l intent.Outcome) string {
	r, ok := d.Resolver()
	somewhere := ok && (r.Everywhere || len(d.WiFi()) > 0)
	switch {
	case ok && (r.Name != "Trust DNS" || !strings.Contains(r.Server, "dns.example.org")):
		return fmt.Sprintf("it asks %s at %s", r.Name, r.Server)
	case l.Verdict == intent.Partly && !ok:
		return "it was given no resolver"
	case l.Verdict == intent.Enforced && (!ok || !r.Everywhere || r.MaySwitchOff):
		return fmt.Sprintf("it does otherwise: %+v", r)
	case l.Verdict == intent.Enforced && !off("allowVPNCreation")(d, profiles.State{}):
		return "the person can go round it by a VPN"
	case l.Verdict != intent.Enforced && l.Verdict != intent.Partly && somewhere:
		return "the device does it all the same"
	}
	return ""
}

// asks reports whether a resolver is asked for all of names.
func asks(r virtual.Resolver, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		return r.Domains != nil && !slices.ContainsFunc(r.Domains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
	})
}

// questions are asked of the device about each switch; true: it is as the switch wants.
var questions = map[intent.ID]func(*virtual.Judge, profiles.State) bool{
	intent.ManagedOpenIn: func(d *virtual.Judge, _ profiles.State) bool {
		return d.CanShare(true, false) != nil && d.CanShare(false, true) != nil
	},
	intent.ManagedPasteboard: func(d *virtual.Judge, _ profiles.State) bool { return d.CanPaste(true, false) != nil },
	intent.ManagedContacts:   func(d *virtual.Judge, _ profiles.State) bool { return d.CanReadContacts() != nil },
	intent.AirDropUnmanaged:  func(d *virtual.Judge, _ profiles.State) bool { return d.CanAirDrop(true) != nil },
	intent.NoScreenshots:     func(d *virtual.Judge, _ profiles.State) bool { return d.CanScreenshot() != nil },
	intent.NoIMessage:        func(d *virtual.Judge, _ profiles.State) bool { return d.CanMessage("imessage") != nil },
	intent.NoRCS: func(d *virtual.Judge, _ profiles.State) bool { // a Mac has RCS only through an iPhone
		return d.Platform() == ward.IOS && d.CanMessage("rcs") != nil
	},
	intent.NoFaceTime:        func(d *virtual.Judge, _ profiles.State) bool { return d.CanMessage("facetime") != nil },
	intent.NoAppStore:        func(d *virtual.Judge, _ profiles.State) bool { return d.CanInstallFrom("app-store") != nil },
	intent.NoEnterpriseTrust: func(d *virtual.Judge, _ profiles.State) bool { return d.CanInstallFrom("enterprise") != nil },
	intent.NoLockScreenPreviews: func(d *virtual.Judge, st profiles.State) bool {
		return !d.LockScreenHistory() && !slices.ContainsFunc(st.Apps, func(a profiles.App) bool { return d.LockScreenText(a.BundleID) })
	},
	intent.NoBackup: func(d *virtual.Judge, st profiles.State) bool {
		return len(st.Apps) > 0 && !slices.ContainsFunc(st.Apps, func(a profiles.App) bool { return d.BacksUp(a.BundleID) || d.SyncsToCloud(a.BundleID) })
	},
	intent.NoUntrustedTLS:    off("allowUntrustedTLSPrompt"),
	intent.NoAccountChanges:  off("allowAccountModification"),
	intent.NoEraseByUser:     off("allowEraseContentAndSettings"),
	intent.NoHostPairing:     off("allowHostPairing"),
	intent.NoCloudKeychain:   off("allowCloudKeychainSync"),
	intent.NoCloudPhotos:     off("allowCloudPhotoLibrary"),
	intent.NoControlCentre:   off("allowLockScreenControlCenter"),
	intent.NoAssistantLocked: off("allowAssistantWhileLocked"),
	intent.NoUserVPN:         off("allowVPNCreation"),
	intent.NoUserProfiles:    off("allowUIConfigurationProfileInstallation"),
}

func off(key string) func(*virtual.Judge, profiles.State) bool {
	return func(d *virtual.Judge, _ profiles.State) bool {
		v, ok := d.Restriction(key)
		return ok && v == false
	}
}

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// randomDevice returns a device with what the server knows of it and what it is.
func randomDevice(rng *rand.Rand) (profiles.Subject, virtual.Options) {
	pick := func(all ...string) string { return all[rng.IntN(len(all))] }
	d := ward.Device{
		ID: ward.DeviceID(fmt.Sprintf("dev_%d", rng.IntN(50))), Platform: ward.IOS, Ownership: ward.Corporate,
		Site: pick("North", "South"), Group: pick("Ward 1", "Ward 2"), Role: pick("nurse", "doctor"),
		OSVersion: pick("12.5", "14.8", "15.0", "15.8", "16.0", "16.7", "17.2", "17.4", "17.5", "17.7", "18.0", "18.1", "18.4", "18.6", "26.0", "26.4", "27.0"),
	}
	s := profiles.Subject{Rights: ward.RightsAll, Kind: "Device", Supervised: ward.Unsupervised}
	switch rng.IntN(4) {
	case 0, 1:
		s.Supervised = ward.Supervised
	case 2:
		d.Ownership = ward.Personal
	case 3:
		if rng.IntN(2) == 0 {
			d.Ownership, s.Kind = ward.Personal, "User Enrollment (Device)"
		}
	}
	if rng.IntN(6) == 0 {
		d.Platform, d.OSVersion = ward.MacOS, pick("12.7", "13.0", "14.4", "15.6", "26.1", "27.0")
		s.Supervised = ward.Supervised
		if s.Kind != "Device" {
			s.Supervised = ward.Unsupervised
		}
	}
	s.Device = d
	return s, virtual.Options{
		Platform: d.Platform, OSVersion: d.OSVersion, Supervised: s.Supervised == ward.Supervised,
		UserEnrolment: s.Kind != "Device", Ownership: d.Ownership, PasscodeSet: true,
	}
}

// randomPolicy returns the text of a policy.
func randomPolicy(rng *rand.Rand) string {
	var b bytes.Buffer
	b.WriteString("name: Random\n")
	if rng.IntN(4) == 0 {
		fmt.Fprintf(&b, "baseline: %s\n", []string{"ncsc-corporate", "shared-ward-phone", "byod-contained"}[rng.IntN(3)])
	}
	b.WriteString("approved:\n  - {name: Chat, ios: {bundle_id: org.example.chat, manifest_url: \"https://a.example/m.plist\"}, purpose: p, owner: o, dpia: d, retention: r, review_by: 2027-11-30, required: true" + [...]string{"", ", needs_certificate: true, certificate: {delivery: managed_app}"}[rng.IntN(2)] + "}\n")
	writeBlock(&b, rng, "")
	writeSwitches(&b, rng, "")
	if rng.IntN(2) == 0 {
		fmt.Fprintf(&b, "posture:\n  passcode: {minimum_length: %d, complex: %t, severity: breach}\n", 4+rng.IntN(8), rng.IntN(2) == 0)
	}
	writeNetworks(&b, rng)
	if rng.IntN(3) == 0 {
		b.WriteString("web_clips:\n  - {label: Rota, url: \"https://rota.example.org/\"}\n")
	}
	if rng.IntN(3) == 0 {
		b.WriteString("updates:\n  ios: {version: \"27.5\", by: 2027-01-15T20:00}\n  macos: {version: \"27.5\", by: 2027-01-16T06:00}\n")
	}
	if rng.IntN(2) == 0 {
		b.WriteString("groups:\n  - name: Some\n    match: {site: North, role: nurse}\n")
		writeBlock(&b, rng, "    ")
		writeSwitches(&b, rng, "    ")
	}
	if rng.IntN(3) == 0 {
		b.WriteString("exceptions:\n  - {id: EX-1, app: whatsapp, for: {ward: Ward 1}, who: a, reason: b, approver: c, from: 2026-11-01, expires: 2026-12-14, review: d}\n")
	}
	return b.String()
}

func writeNetworks(b *bytes.Buffer, rng *rand.Rand) {
	wifi, dns := rng.IntN(3) == 0, rng.IntN(3) == 0
	if wifi || dns {
		b.WriteString("networks:\n")
	}
	if wifi {
		b.WriteString("  wifi:\n    - {ssid: Staff, server_names: [radius.example.org], trusted_roots: root.pem}\n")
	}
	if dns {
		server := []string{"server_url: https://dns.example.org/q", "server_name: dns.example.org", "server_url: https://dns.example.org/q, server_name: dns.example.org"}[rng.IntN(3)]
		fmt.Fprintf(b, "  dns: {name: Trust DNS, %s%s}\n", server, []string{"", ", addresses: [192.0.2.53]", ", only: [whatsapp.net, example.org]"}[rng.IntN(3)])
	}
}

func writeBlock(b *bytes.Buffer, rng *rand.Rand, indent string) {
	categories := []string{"consumer-messaging", "social-with-dm", "multi-messenger"}
	rng.Shuffle(len(categories), func(i, j int) { categories[i], categories[j] = categories[j], categories[i] })
	fmt.Fprintf(b, "%sblock:\n%s  categories: [%s]\n", indent, indent, strings.Join(categories[:1+rng.IntN(3)], ", "))
	if rng.IntN(4) == 0 {
		fmt.Fprintf(b, "%s  mode: allow-list\n%s  allow: [com.apple.mobilesafari, org.example.rota]\n", indent, indent)
	}
	fmt.Fprintf(b, "%s  web: %t\n%s  network: %t\n%s  stores: %t\n", indent, rng.IntN(2) == 0, indent, rng.IntN(2) == 0, indent, rng.IntN(2) == 0)
}

func writeSwitches(b *bytes.Buffer, rng *rand.Rand, indent string) {
	section := ""
	for _, s := range intent.Switches() {
		if s.Section != section {
			section = s.Section
			fmt.Fprintf(b, "%s%s:\n%s  %s: true\n", indent, section, indent, s.Field)
			continue
		}
		if rng.IntN(2) == 0 {
			fmt.Fprintf(b, "%s  %s: true\n", indent, s.Field)
		}
	}
}
