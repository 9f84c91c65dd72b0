package workstation

import (
	"flag"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func ids(grade catalogue.Grade, names ...string) []catalogue.Identifier {
	var out []catalogue.Identifier
	for _, s := range names {
		out = append(out, catalogue.Identifier{ID: s, Grade: grade})
	}
	return out
}

// everything is a policy that wants all there is.
func everything() intent.Wanted {
	on := map[intent.ID]bool{}
	for _, s := range intent.Switches() {
		on[s.ID] = true
	}
	const a, b = catalogue.GradeA, catalogue.GradeB
	return intent.Wanted{
		Name: "Messaging", Notice: "Use Clinical Chat for patients.",
		Block: intent.Block{
			Apps: []catalogue.App{
				{
					Slug: "whatsapp", Name: "WhatsApp", MacOS: ids(a, "net.whatsapp.WhatsApp"),
					Windows: ids(b, "5319275A.WhatsAppDesktop_cv1g1gvanyjgm", "WhatsApp.exe"),
					Linux:   ids(a, "flatpak:com.github.eneshecan.WhatsAppForLinux", "exec:whatsie", "snap:whatsie"),
				},
				{
					Slug: "telegram", Name: "Telegram", MacOS: ids(a, "ru.keepcoder.Telegram", "org.telegram.desktop"),
					Windows: ids(a, "TelegramMessengerLLP.TelegramDesktop_t4vj0pshhgkwm", "Telegram.exe"),
					Linux:   ids(a, "flatpak:org.telegram.desktop", "snap:telegram-desktop", "exec:Telegram"),
				},
				{Slug: "viber", Name: "Viber", Windows: ids(b, "2414FC7A.Viber", "Viber.exe"), MacOS: ids(b, "com.viber.osx")},
				{Slug: "chat", Name: "Chat for all", Windows: ids(a, "CHAT.exe"), MacOS: ids(a, "org.example.chat"), Linux: ids(a, "flatpak:org.example.Chat")},
				{Slug: "siilo", Name: "Siilo", Android: ids(b, "com.siilo.android")},
			},
			Web:     []string{"web.telegram.org", "web.whatsapp.com"},
			Network: []string{"whatsapp.net"},
			Stores:  true,
			Allow: map[ward.Platform][]string{
				ward.Windows: {"Microsoft.GroupMe10", "Reader.exe", "Telegram.exe"},
				ward.MacOS:   {"org.example.reader"}, ward.Linux: {"exec:reader"},
			},
		},
		Apps: []intent.App{
			{
				Name: "Clinical Chat", Required: true, NeedsCertificate: true, Config: map[string]any{"server": "{{server.url}}"},
				Windows: intent.WindowsApp{PackageFamilyName: "Example.Chat_0123456789abc", Executable: "Chat.exe"},
				MacOS:   intent.AppleApp{BundleID: "org.example.chat", TeamID: "ABCDE12345"},
				Linux:   intent.LinuxApp{Flatpak: "org.example.Chat"}, MinimumVersion: map[ward.Platform]string{ward.Windows: "4.1", ward.Linux: "4.2"},
			},
			{Name: "Rota", IOS: intent.AppleApp{BundleID: "org.example.rota", StoreID: 1}},
		},
		On:         on,
		Passcode:   intent.PasscodeRule{Required: true},
		Encryption: true,
		Update:     intent.Update{Version: "11", By: time.Date(2027, 1, 15, 20, 0, 0, 0, time.UTC)},
		WiFi:       []intent.WiFi{{SSID: "Wards"}},
		VPN:        []intent.VPN{{Name: "Trust", Server: "vpn.example.org"}},
		Relays:     []intent.Relay{{Name: "Relay", URL: "https://relay.example.org"}},
		DNS:        intent.DNS{Name: "Trust DNS", ServerURL: "https://dns.example.org/dns-query", Addresses: []string{"192.0.2.53"}},
		WebClips:   []intent.WebClip{{Label: "Formulary", URL: "https://formulary.example.org/?a=1&b=2"}},
		StaffPage:  "{{server.url}}/help",
		Own:        []intent.Own{{Name: "Printers", Platform: ward.MacOS, Types: []string{"com.apple.mcxprinting"}}},
	}
}

func allowList() intent.Wanted {
	w := everything()
	w.On, w.Block.AllowOnly = nil, true
	return w
}

var platforms = []ward.Platform{ward.Windows, ward.MacOS, ward.Linux}

func target(p ward.Platform, o ward.Ownership) intent.Target {
	return intent.Target{Platform: p, OS: intent.Version{Major: 11}, Enrolment: intent.ByAgent, Ownership: o}
}
