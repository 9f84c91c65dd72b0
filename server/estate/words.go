package estate

import (
	"strconv"
	"strings"

	"github.com/wardmdm/ward/server/compliance"
)

// wording is what a finding of a code is, and what cures it. A subject takes the place of %s.
type wording struct{ text, cure string }

// words returns the wording of every finding that package compliance makes.
func words(code string) (wording, bool) {
	const awake = "when the device is next awake."
	switch code {
	case "erased":
		return wording{"The device accepted an erase.", "Invite it again if it was found."}, true
	case "lost":
		return wording{"Reported lost or stolen.", "Mark it found when it is back."}, true
	case "enrolling":
		return wording{"It is enrolling.", ""}, true
	case "not-enrolled":
		return wording{"Invited, not enrolled yet.", "The invitation's link enrols it."}, true
	case "unenrolled":
		return wording{"No longer managed.", "Invite it again to manage it."}, true
	case "quarantined":
		return wording{"Adopted from another server; it waits for a person to sort it.", "Move it to a group, and it gets the policy: ward device move."}, true
	case "never-told":
		return wording{"It has not told anything about itself yet.", "It is asked and answers when it is next awake."}, true
	case "not-seen":
		return wording{"Not seen for too long.", "Ask its owner to connect it to a network."}, true
	case "apps-unknown":
		return wording{"Which apps are installed is not known.", "It is asked for its apps when it is next awake."}, true
	case codeBlocked:
		return wording{"Has %s, which the policy blocks.", "Ask the person to delete it: Apple lets only supervised iPhones block apps."}, true
	case "profile-missing":
		return wording{"The profile %s is not installed yet.", "It is installed " + awake}, true
	case "declaration-refused":
		return wording{"The device calls the declaration %s invalid.", ""}, true
	case "app-identity-refused":
		return wording{"The device could not get the identity of %s.", "It is tried again after six hours."}, true
	}
	return moreWords(code)
}

func moreWords(code string) (wording, bool) {
	switch code {
	case "review-overdue":
		return wording{"The review of %s is overdue.", "Review the app and publish the policy with a new date."}, true
	case "app-too-old":
		return wording{"%s is older than the policy asks for.", "Update it from the store."}, true
	case "app-certificate-missing":
		return wording{"%s has no valid certificate.", "It is given one when the device or the app next asks for it."}, true
	case "app-certificate-withheld":
		return wording{"The certificate of %s is not renewed, for the device does not comply.", "Put right what else is the matter with the device."}, true
	case "app-missing":
		return wording{"%s is not installed.", "It is installed when the device is next awake; an unsupervised phone asks its owner first."}, true
	case "passcode-unknown":
		return wording{"Whether it has a passcode is not known.", "It is asked when it is next awake."}, true
	case "no-passcode":
		return wording{"It has no passcode, so its storage is not protected.", "Ask the person to set one in Settings, Face ID & Passcode."}, true
	case "weak-passcode":
		return wording{"Its passcode is weaker than the policy asks for.", "Ask the person to choose another in Settings, Face ID & Passcode."}, true
	case "not-encrypted":
		return wording{"Its storage is not encrypted.", "Set a passcode; on a Mac turn FileVault on."}, true
	case codeOldSystem:
		return wording{"Its system is older than the policy asks for.", "Update it to the version that the policy asks for, or later."}, true
	case "step-refused":
		return wording{"The device refused a step: %s.", ""}, true
	case "exception":
		return wording{"%s is allowed by an exception.", ""}, true
	}
	return wording{}, false
}

// Words says what a finding with this code and subject is and what cures it, without the
// particulars of one device. Without a subject it is said of any. An unknown code is its own
// words.
func Words(code, subject string) (text, cure string) {
	w, ok := words(code)
	if !ok {
		return code, ""
	}
	if !strings.Contains(w.text, "%s") {
		return w.text, w.cure
	}
	switch {
	case subject != "" && code == "step-refused":
		subject = strings.ReplaceAll(subject, "-", " ")
	case subject != "":
		subject = AppName(subject)
	case code == codeBlocked:
		subject = "an app"
	case code == "profile-missing":
		return "A profile is not installed yet.", w.cure
	case code == "declaration-refused":
		return "The device calls a declaration invalid.", w.cure
	case code == "step-refused":
		return "The device refused a step.", w.cure
	case strings.HasPrefix(w.text, "%s"):
		subject = "An approved app"
		if code == "exception" {
			subject = "A blocked app"
		}
	default:
		subject = "an approved app"
	}
	return strings.Replace(w.text, "%s", subject, 1), w.cure
}

// Words says what the filter means, a phrase for each part, such as "at Royal Infirmary".
func (f Filter) Words() []string {
	var out []string
	say := func(on bool, phrase string) {
		if on {
			out = append(out, phrase)
		}
	}
	say(len(f.States) > 0, either(f.States, func(s compliance.State) string { return string(s) }))
	say(len(f.Sites) > 0, "at "+either(f.Sites, orNone("no site")))
	say(len(f.Groups) > 0, "in "+either(f.Groups, orNone("no group")))
	say(len(f.Platforms) > 0, either(f.Platforms, PlatformName))
	say(f.Ownership != "", string(f.Ownership))
	say(f.OS == OldOS, "system older than the policy asks for")
	say(f.OS != "" && f.OS != OldOS, "system version "+f.OS)
	say(len(f.Findings) > 0, "with: "+either(f.Findings, func(code string) string {
		text, _ := Words(code, "")
		return strings.TrimSuffix(text, ".")
	}))
	say(f.App != "" && !f.Blocked, "with "+AppName(f.App))
	say(f.App != "" && f.Blocked, "with "+AppName(f.App)+", blocked there")
	say(f.App == "" && f.Blocked, "with a blocked app")
	say(f.Approved == Ready, "approved apps ready")
	say(f.Approved == NotReady, "approved apps not ready")
	say(f.NotSeen == 1, "not seen for a day")
	say(f.NotSeen > 1, "not seen for "+strconv.Itoa(f.NotSeen)+" days")
	say(f.Enrolled, "enrolled and not retired")
	say(f.Search != "", "matching “"+f.Search+"”")
	say(!f.AsOf.IsZero(), "as of "+f.AsOf.UTC().Format("2 January 2006 15:04:05")+" UTC")
	return out
}

func orNone(instead string) func(string) string {
	return func(s string) string {
		if s == "" {
			return instead
		}
		return s
	}
}

// either joins values with "or".
func either[T any](all []T, name func(T) string) string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = name(v)
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
