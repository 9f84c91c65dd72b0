package android

import (
	"flag"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func id(grade catalogue.Grade, ids ...string) []catalogue.Identifier {
	var out []catalogue.Identifier
	for _, s := range ids {
		out = append(out, catalogue.Identifier{ID: s, Grade: grade})
	}
	return out
}

func allOn() map[intent.ID]bool {
	on := map[intent.ID]bool{}
	for _, s := range intent.Switches() {
		on[s.ID] = true
	}
	return on
}

// everything is a policy that wants all there is.
func everything() intent.Wanted {
	return intent.Wanted{
		Name: "Messaging", Notice: "This phone belongs to the hospital. Use Clinical Chat for patients, and ask IT on 4444 if anything is blocked that you need.",
		Block: intent.Block{
			Apps: []catalogue.App{
				{Slug: "whatsapp", Name: "WhatsApp", Android: id(catalogue.GradeA, "com.whatsapp")},
				{Slug: "telegram", Name: "Telegram", Android: id(catalogue.GradeA, "org.telegram.messenger", "org.telegram.messenger.web")},
				{Slug: "bbm", Name: "BBM", Android: id(catalogue.GradeB, "com.bbm")},
				{Slug: "google-messages", Name: "Google Messages", Android: id(catalogue.GradeA, "com.google.android.apps.messaging")},
				{Slug: "facetime", Name: "FaceTime", IOS: id(catalogue.GradeA, "com.apple.facetime")},
			},
			Web:     []string{"web.telegram.org", "web.whatsapp.com"},
			Network: []string{"whatsapp.net"},
			Stores:  true,
		},
		Apps: []intent.App{
			{
				Name: "Clinical Chat", Required: true, NeedsCertificate: true,
				Android: intent.AndroidApp{Package: "org.example.chat", MinimumVersionCode: 4100},
				Config:  map[string]any{"server": "{{server.url}}/chat", "token": "{{enrolment_token}}", "alias": "{{cert.alias}}", "retries": 3},
			},
			{Name: "Rota", Android: intent.AndroidApp{Package: "org.example.rota"}},
			{Name: "Ward Round", IOS: intent.AppleApp{BundleID: "org.example.round", StoreID: 1}},
		},
		On:         allOn(),
		Passcode:   intent.PasscodeRule{Required: true, MinimumLength: 8, Complex: true, LockAfter: 2 * time.Minute},
		Encryption: true,
		Update:     intent.Update{Version: "15", By: time.Date(2027, 1, 15, 20, 0, 0, 0, time.UTC)},
		WiFi: []intent.WiFi{
			{SSID: "Wards", ServerNames: []string{"radius.example.org"}, TrustedRoots: [][]byte{{0x30, 0x03, 0x02, 0x01, 0x01}}, NoPrivateAddr: true},
			{SSID: "Open ends"},
		},
		VPN:       []intent.VPN{{Name: "Trust", Server: "vpn.example.org"}},
		Relays:    []intent.Relay{{Name: "Relay", URL: "https://relay.example.org"}},
		DNS:       intent.DNS{Name: "Trust DNS", ServerURL: "https://dns.example.org/dns-query", ServerName: "dns.example.org", Addresses: []string{"192.0.2.53"}},
		WebClips:  []intent.WebClip{{Label: "Formulary", URL: "https://formulary.example.org/?a=1&b=2"}},
		StaffPage: "{{server.url}}/help",
		Own:       []intent.Own{{Name: "Printers", Platform: ward.IOS, Types: []string{"com.apple.airprint"}}},
	}
}

func allowList() intent.Wanted {
	w := everything()
	w.On = nil
	w.Block.AllowOnly = true
	w.Block.Allow = map[ward.Platform][]string{ward.Android: {"uk.example.bnf"}, ward.IOS: {"uk.example.BNF"}}
	return w
}

func target(e intent.Enrolment, major int) intent.Target {
	t := intent.Target{Platform: ward.Android, OS: intent.Version{Major: major}, Enrolment: e, Ownership: ward.Corporate}
	if e == intent.WorkProfile {
		t.Ownership = ward.Personal
	}
	return t
}

var enrolments = []intent.Enrolment{intent.FullyManaged, intent.CompanyOwned, intent.WorkProfile}
