package apple

import (
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// asked lists what is wanted of a device of a platform, by ID, Subject and Intent alone.
// Own profiles for the other platform are not wanted of this one. It is empty where
// nothing is wanted.
func asked(w intent.Wanted, p ward.Platform) []intent.Outcome {
	var all []intent.Outcome
	add := func(id intent.ID, subject, words string) {
		all = append(all, intent.Outcome{ID: id, Subject: subject, Intent: words})
	}
	if len(w.Block.Apps) > 0 {
		add(intent.BlockApps, "", "Block "+intent.List(appNames(w.Block.Apps)))
	}
	if w.Block.AllowOnly {
		add(intent.AllowOnly, "", "Let only listed apps run")
	}
	if len(w.Block.Web) > 0 {
		add(intent.BlockWeb, "", "Block the web versions of these apps")
	}
	if len(w.Block.Network) > 0 {
		add(intent.BlockNetwork, "", "Block the network names of these apps")
	}
	if w.Block.Stores {
		add(intent.BlockStores, "", "No apps from other stores, the web or files")
	}
	for _, a := range w.Apps {
		add(intent.InstallApp, a.Name, "Install "+a.Name)
		if a.NeedsCertificate {
			add(intent.CertifyApp, a.Name, certifying(a))
		}
	}
	for _, s := range intent.Switches() {
		if w.On[s.ID] {
			add(s.ID, "", s.Words)
		}
	}
	askedOfDevice(w, add)
	for _, o := range w.Own {
		if o.Platform == p {
			add(intent.OwnProfile, o.Name, "Install the profile "+o.Name)
		}
	}
	return all
}

// askedOfDevice lists what is wanted of the device itself and of its networks.
func askedOfDevice(w intent.Wanted, add func(id intent.ID, subject, words string)) {
	if (w.Passcode != intent.PasscodeRule{}) {
		add(intent.Passcode, "", "Protect the device by a passcode")
	}
	if w.Encryption {
		add(intent.Encryption, "", "Encrypt the device's storage")
	}
	if w.Update.Version != "" {
		add(intent.UpdateOS, w.Update.Version, "Update to "+w.Update.Version)
	}
	for _, n := range w.WiFi {
		add(intent.JoinWiFi, n.SSID, "Join the Wi-Fi network "+n.SSID)
	}
	for _, v := range w.VPN {
		add(intent.ConnectVPN, v.Name, "Connect by the VPN "+v.Name)
	}
	for _, r := range w.Relays {
		add(intent.UseRelay, r.Name, "Use the relay "+r.Name)
	}
	if w.DNS.Wanted() {
		add(intent.UseDNS, "", useDNS)
	}
	for _, l := range w.WebClips {
		add(intent.WebClips, l.Label, "Show the link "+l.Label)
	}
	if w.StaffPage != "" {
		add(intent.StaffPage, "", "Show the link to the page for staff")
	}
}
