package web

import (
	"cmp"
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/posture"
)

// mineWords says findings to whoever carries the device. One without a text is nothing to
// them; {app} is the app that it is about.
var mineWords = map[string]mineFinding{
	"blocked-app-present":      {"{app} is on it, and is not for work.", "Delete {app}, or ask information governance if you need it for your work."},
	"apps-unknown":             {"It has not told yet which messaging apps are on it.", "Leave it on and connected to a network. You need do nothing else."},
	"profile-missing":          {"Some of its settings are on their way.", "Leave it on and connected to a network."},
	"profile-removed":          {"Somebody removed settings that belong on it.", "Leave it on: they come back. If it was not you, tell IT support."},
	"declaration-refused":      {"It did not take one of its settings.", "Restart it. If this still stands here tomorrow, tell IT support."},
	"step-refused":             {"It did not do something that it was asked.", "Restart it. If this still stands here tomorrow, tell IT support."},
	"app-missing":              {"{app} is not on it.", "Leave it on. Tap Install when it asks."},
	"app-too-old":              {"{app} is too old.", "Open the App Store and update {app}."},
	"app-certificate-missing":  {"{app} can’t prove yet that this is your device.", "Open {app} once. If it does not let you in, tell IT support."},
	"app-certificate-withheld": {"{app} gets no access while something above is wrong.", "Put that right first; {app} then works again by itself."},
	"app-identity-refused":     {"{app} could not be set up fully.", "Restart the device. It is tried again by itself."},
	"no-passcode":              {"It has no passcode, so anyone who finds it can read what is on it.", "Open Settings, Face ID & Passcode, and turn the passcode on."},
	"weak-passcode":            {"Its passcode is too simple.", "Open Settings, Face ID & Passcode, and choose a longer one."},
	"passcode-unknown":         {"It has not told yet whether it has a passcode.", "Leave it on and connected to a network. You need do nothing else."},
	"not-encrypted":            {"What is on it is not protected.", "Set a passcode. On a Mac, turn FileVault on in System Settings, Privacy & Security."},
	"old-system":               {"Its system is too old to be safe.", "Open Settings, General, Software Update, and install the update."},
	"not-seen":                 {"It has not been heard from for days.", "Switch it on and connect it to a network. If you don’t have it any more, report it lost."},
	"never-told":               {"It has only just been set up.", "Leave it on and connected to a network."},
	"enrolling":                {"It is being set up.", "Leave it on and connected to a network."},
	"not-enrolled":             {"It is not set up for work yet.", "Use the link or the sheet that you were given. If you have none, ask IT support."},
	"unenrolled":               {"It is not managed any more, so the work apps don’t work on it.", "Ask IT support if you still need it for work."},
	"erased":                   {"It was erased.", "Ask IT support for another."},
	"quarantined":              {"It waits for IT support to sort it in.", "You need do nothing."},
	"lost":                     {"It is reported lost.", "If you have found it, call IT support before you use it."},
	"review-overdue":           {},
	"exception":                {},
}

// plainly says what a finding means to whoever carries the device, false for what is nothing
// to them.
func plainly(d posture.Detail, f compliance.Finding) (mineFinding, bool) {
	w, ok := mineWords[f.Code]
	if !ok {
		return mineFinding{Text: f.Text, Do: cmp.Or(f.Cure, "Ask IT support.")}, true
	}
	app := "The work app"
	for _, a := range d.View.Want.Apps {
		if a.BundleID == f.Subject {
			app = a.Name
		}
	}
	for _, a := range d.View.Want.Blocked {
		if a.Slug == f.Subject {
			app = a.Name
		}
	}
	detail := map[string]string{"app": app}
	return mineFinding{filledIn(w.Text, detail), filledIn(w.Do, detail)}, w.Text != ""
}

// privacyOf says what the employer sees of this very device, does on it and never does, by
// the rights that it granted, by what it is asked and by what the policy wants of it.
func privacyOf(d posture.Detail) (sees, does, never []string) {
	rights, want, mac := d.Enrolment.Rights, d.View.Want, d.Device.Platform == ward.MacOS
	it := "phone"
	if mac {
		it = "Mac"
	}
	if rights.Has(ward.RightDeviceInformation) {
		sees = append(sees, "Its model, serial number, name and version, and when it was last connected.")
	}
	if rights.Has(ward.RightSecurity) {
		sees = append(sees, "Whether it has a passcode and is encrypted. Never the passcode itself.")
	}
	if rights.Has(ward.RightInspectApps) && len(want.WatchApps) > 0 {
		sees = append(sees, fmt.Sprintf("Whether any of %d messaging and work apps are on it. It is asked about these by name, and about no other app.", len(want.WatchApps)))
	}
	if rights.Has(ward.RightInspectProfiles) {
		sees = append(sees, "Which settings for work are on it.")
	}
	for _, l := range d.Limits {
		words, ok := deedOf(l)
		if ok {
			does = append(does, words)
		}
	}
	if rights.Has(ward.RightLockAndPasscode) {
		does = append(does, "Locks it, if it is reported lost.")
	}
	never = append(never, "Never reads your messages, e-mails, photos, calls, contacts or browsing.")
	finds := d.Supervised == ward.Supervised && d.Device.Ownership == ward.Corporate && !mac
	if finds {
		does = append(does, "Asks it where it is, if it is reported lost. Each look is recorded.")
		never = append(never, "Never learns where it is unless it is reported lost.")
	} else {
		never = append(never, "Never learns where it is, not even when it is lost.")
	}
	if rights.Has(ward.RightErase) {
		does = append(does, "May erase it, if two people sign exactly that.")
	} else {
		never = append(never, "Can’t erase it: it was enrolled without that right, so the "+it+" itself refuses.")
	}
	if d.Device.Ownership == ward.Personal {
		never = append(never, "Can’t keep you: remove the management in Settings whenever you like. That takes away what was added for work, and nothing of yours.")
	}
	return sees, does, never
}

// deedOf says what the policy does on a device by one of its intents, false for what it does
// not do here.
func deedOf(l intent.Outcome) (string, bool) {
	if l.Verdict != intent.Enforced && l.Verdict != intent.Partly {
		if l.ID == intent.BlockApps && l.Verdict == intent.DetectOnly {
			return "Notices messaging apps that are not for work. It can’t keep them from opening here.", true
		}
		return "", false
	}
	switch l.ID {
	case intent.BlockApps:
		return "Keeps messaging apps that are not for work from opening.", true
	case intent.AllowOnly:
		return "Lets only approved apps open.", true
	case intent.BlockWeb:
		return "Keeps the web pages of such apps from opening.", true
	case intent.BlockNetwork:
		return "Keeps such apps from reaching their servers.", true
	case intent.BlockStores:
		return "Keeps apps from other places than the App Store off it.", true
	case intent.InstallApp:
		if l.Subject != "" {
			return "Installs " + l.Subject + " and its settings.", true
		}
		return "Installs the approved app and its settings.", true
	case intent.Passcode:
		return "Asks for a passcode.", true
	case intent.Encryption:
		return "Asks that what is on it is encrypted.", true
	case intent.UpdateOS:
		return "Asks for updates of its system.", true
	case intent.JoinWiFi:
		return "Adds the Wi-Fi at work.", true
	case intent.ConnectVPN, intent.UseRelay:
		return "Adds a protected way to the network at work.", true
	case intent.WebClips, intent.StaffPage:
		return "Puts a link to a page for staff on the home screen.", true
	case intent.CertifyApp, intent.OwnProfile, intent.LoseDevice:
	}
	return "", false
}
