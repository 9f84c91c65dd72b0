package apple_test

import (
	"flag"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

var update = flag.Bool("update", false, "write the golden files anew")

const ownProfile = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>PayloadType</key><string>Configuration</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>org.example.printers</string>
<key>PayloadUUID</key><string>0D2C9B7E-58C5-4C0B-8E0A-3C6D3F0B1A11</string>
<key>PayloadDisplayName</key><string>Printers</string>
<key>PayloadContent</key><array><dict>
<key>PayloadType</key><string>com.apple.airprint</string>
<key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>org.example.printers.airprint</string>
<key>PayloadUUID</key><string>0D2C9B7E-58C5-4C0B-8E0A-3C6D3F0B1A12</string>
<key>AirPrint</key><array><dict>
<key>IPAddress</key><string>192.0.2.7</string>
<key>ResourcePath</key><string>ipp/print</string>
</dict></array>
</dict></array>
</dict></plist>
`

func ids(of ...string) []catalogue.Identifier {
	var out []catalogue.Identifier
	for _, id := range of {
		out = append(out, catalogue.Identifier{ID: id, Grade: catalogue.GradeA})
	}
	return out
}

func blocked() []catalogue.App {
	return []catalogue.App{
		{Slug: "whatsapp", Name: "WhatsApp", IOS: ids("net.whatsapp.WhatsApp"), MacOS: ids("net.whatsapp.WhatsApp"), Web: ids("web.whatsapp.com")},
		{Slug: "signal", Name: "Signal", IOS: ids("org.whispersystems.signal"), MacOS: ids("org.whispersystems.signal-desktop")},
		{Slug: "telegram", Name: "Telegram", IOS: []catalogue.Identifier{{ID: "ph.telegra.Telegraph", Grade: catalogue.GradeA}, {ID: "org.telegram.TelegramHD", Grade: catalogue.GradeB}}, Web: ids("web.telegram.org")},
		{Slug: "facetime", Name: "FaceTime", IOS: ids("com.apple.facetime"), MacOS: ids("com.apple.FaceTime")},
		{Slug: "messenger-kids", Name: "Messenger Kids", AppStore: ids("1285713171")},
		{Slug: "imo", Name: "imo", IOS: ids("imoimiphone", "co.babypenguin.imo")},
	}
}

func spared() []catalogue.App {
	return []catalogue.App{{Slug: "apple-messages", Name: "Messages (iMessage)", NeverBlock: true, Caution: "Without Messages a phone has no SMS either.", IOS: ids("com.apple.MobileSMS")}}
}

func allSwitches() map[intent.ID]bool {
	on := map[intent.ID]bool{}
	for _, s := range intent.Switches() {
		on[s.ID] = true
	}
	return on
}

func approved() []intent.App {
	return []intent.App{
		{
			Name: "Ward Messenger", Required: true, NeedsCertificate: true,
			IOS:    intent.AppleApp{BundleID: "org.example.wardmessenger", ManifestURL: "{{server.url}}/apps/messenger.plist"},
			MacOS:  intent.AppleApp{BundleID: "org.example.wardmessenger.mac", ManifestURL: "{{server.url}}/apps/mac.plist", TeamID: "EXAMPLE123"},
			Config: map[string]any{"server": "{{server.url}}", "token": "{{enrolment_token}}", "retries": 3, "flags": []any{"a", true}},
		},
		{
			Name: "Pager", Required: true, MinimumVersion: map[ward.Platform]string{ward.IOS: "2.1"},
			IOS: intent.AppleApp{BundleID: "org.example.pager", ManifestURL: "{{server.url}}/apps/pager.plist"},
		},
		{
			Name: "Handover", Required: true, NeedsCertificate: true,
			Certificate: intent.Certificate{Delivery: intent.ByManagedApp, URIs: []string{"urn:example:device:{{device.id}}"}, Life: 72 * time.Hour},
			IOS:         intent.AppleApp{BundleID: "org.example.handover", ManifestURL: "{{server.url}}/apps/handover.plist"},
			Config:      map[string]any{"server": "{{server.url}}", "who": "{{user.email}}", "token": "{{enrolment_token}}", "list": []any{"{{ enrolment_token }}", "b"}},
		},
		{
			Name: "Radio", Required: true, NeedsCertificate: true, Certificate: intent.Certificate{Delivery: intent.ByNetwork},
			IOS: intent.AppleApp{BundleID: "org.example.radio", ManifestURL: "{{server.url}}/apps/radio.plist"},
		},
		{Name: "Formulary", IOS: intent.AppleApp{BundleID: "org.example.formulary", StoreID: 123456789}, MacOS: intent.AppleApp{BundleID: "org.example.formulary", StoreID: 123456789}},
	}
}

// full wants all that can be wanted.
func full() intent.Wanted {
	return intent.Wanted{
		Name: "Messaging", Notice: "Messages about patients go through Ward Messenger.",
		Block: intent.Block{
			Apps: blocked(), Spared: spared(), Web: []string{"web.telegram.org", "web.whatsapp.com"}, Network: []string{"whatsapp.net"}, Stores: true,
			Allow: map[ward.Platform][]string{ward.IOS: {"com.apple.camera", "com.apple.mobilesafari"}, ward.MacOS: {"com.apple.Safari"}},
			Teams: map[string]string{"net.whatsapp.WhatsApp": "TEAM123456"},
		},
		Apps: approved(), On: allSwitches(),
		Passcode:   intent.PasscodeRule{Required: true, MinimumLength: 8, Complex: true, LockAfter: 5 * time.Minute},
		Encryption: true,
		Update:     intent.Update{Version: "26.2", By: time.Date(2027, 1, 15, 20, 0, 0, 0, time.UTC)},
		WiFi: []intent.WiFi{
			{SSID: "Wards", ServerNames: []string{"radius.example.org"}, TrustedRoots: [][]byte{[]byte("a root"), []byte("another root")}, NoPrivateAddr: true},
			{SSID: "Théâtre", Hidden: true},
		},
		VPN: []intent.VPN{
			{Name: "Hospital", Server: "vpn.example.org", TrustedRoots: [][]byte{[]byte("a root")}},
			{Name: "Apps", Server: "apps.example.org", RemoteID: "apps", PerApp: true},
			{Name: "More apps", Server: "more.example.org", PerApp: true},
		},
		Relays: []intent.Relay{
			{Name: "Outside", URL: "https://relay.example.org/masque", Domains: []string{"example.org"}},
			{Name: "Apps", URL: "https://apps.example.org/masque", PerApp: true},
		},
		DNS: intent.DNS{
			Name: "Trust DNS", ServerURL: "https://dns.example.org/dns-query", ServerName: "dns.example.org",
			Addresses: []string{"192.0.2.53", "2001:db8::53"},
		},
		WebClips:  []intent.WebClip{{Label: "Bleep", URL: "https://bleep.example.org/{{device.id}}", Icon: []byte("png")}, {Label: "Bleep", URL: "https://bleep.example.org/2"}},
		StaffPage: "{{server.url}}/me",
		Own: []intent.Own{
			{Name: "Printers", Platform: ward.IOS, Data: []byte(ownProfile), Types: []string{"com.apple.airprint"}},
			{Name: "Printers", Platform: ward.MacOS, Data: []byte(ownProfile), Types: []string{"com.apple.airprint"}},
		},
	}
}

// allowList wants nothing to run but what is listed.
func allowList() intent.Wanted {
	w := full()
	w.Block.AllowOnly = true
	w.Apps = w.Apps[:1]
	return w
}

// target names a target for messages and files.
type target struct {
	name string
	intent.Target
}

func version(v intent.Version) string {
	if !v.Known() {
		return "unknown"
	}
	return v.String()
}

// targets are one device for each band, enrolment and ownership, and one past the last
// band, and the channels of persons.
func allTargets() []target {
	var all []target
	add := func(t intent.Target, kind string) {
		name := string(t.Platform) + " " + version(t.OS) + " " + kind + " " + string(t.Ownership)
		all = append(all, target{name, t})
	}
	for _, p := range []ward.Platform{ward.IOS, ward.MacOS} {
		for _, os := range append(apple.Bands(p), intent.Version{Major: 29, Minor: 3}) {
			for _, o := range []ward.Ownership{ward.Corporate, ward.Personal} {
				t := intent.Target{Platform: p, OS: os, Ownership: o}
				t.Enrolment = intent.ByUser
				add(t, "user")
				t.Enrolment = intent.ByDevice
				add(t, "device")
				t.Enrolment, t.Supervised = intent.ByAutomation, true
				add(t, "supervised")
				t.UserChannel = true
				add(t, "channel of a person")
			}
		}
	}
	return all
}

func find(os []intent.Outcome, id intent.ID, subject string) (intent.Outcome, bool) {
	for _, o := range os {
		if o.ID == id && o.Subject == subject {
			return o, true
		}
	}
	return intent.Outcome{}, false
}
