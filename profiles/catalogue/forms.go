package catalogue

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Form says which of a platform's kinds of name an identifier is.
type Form string

// The forms of names on Windows and Linux.
const (
	FamilyName  Form = "family"     // Windows: package family name, NAME_PUBLISHERHASH
	PackageName Form = "package"    // Windows: package name without its publisher's hash
	Executable  Form = "executable" // the file's name; Windows compares it whatever its case
	Flatpak     Form = "flatpak"
	Snap        Form = "snap"
	Deb         Form = "deb"
)

var (
	// bundleID takes names without a dot too: imoimiphone is one.
	bundleID = regexp.MustCompile(`^[A-Za-z0-9]+([.-]+[A-Za-z0-9]+)*$`)
	storeID  = regexp.MustCompile(`^[1-9][0-9]{7,11}$`)
	// packageName: https://developer.android.com/build/configure-app-module#set-application-id
	packageName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$`)
	// familyName: the hash is 13 digits of base 32 without i, l, o and u:
	// https://learn.microsoft.com/windows/apps/desktop/modernize/package-identity-overview
	familyName  = regexp.MustCompile(`^[A-Za-z0-9.-]{3,50}_[a-hjkmnp-tv-z0-9]{13}$`)
	windowsName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{2,49}$`)
	windowsFile = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._+-]*\.exe$`)
	flatpakName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*){2,}$`)
	snapName    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	debName     = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	linuxFile   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
	hostName    = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)
	// teamID: https://developer.apple.com/help/account/manage-your-team/locate-your-team-id/
	teamID   = regexp.MustCompile(`^[A-Z0-9]{10}$`)
	slugName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// WindowsForm tells what an identifier of Windows is. A name of neither other form is a
// PackageName: its publisher's hash is not known, so that no family name can be made.
func WindowsForm(id string) Form {
	switch {
	case windowsFile.MatchString(id):
		return Executable
	case familyName.MatchString(id):
		return FamilyName
	}
	return PackageName
}

// LinuxForm splits an identifier of Linux, such as "snap:whatsie", into its form and its
// name. What is not of such a form is an Executable.
func LinuxForm(id string) (Form, string) {
	prefix, name, found := strings.Cut(id, ":")
	if !found {
		return Executable, id
	}
	switch prefix {
	case "flatpak":
		return Flatpak, name
	case "snap":
		return Snap, name
	case "deb":
		return Deb, name
	}
	return Executable, name
}

// shapeProblem says in what an identifier does not look like one of its kind, "" if it does.
func shapeProblem(kind, id string) string {
	right, example := false, ""
	switch kind {
	case "ios", "macos":
		right, example = len(id) <= 155 && bundleID.MatchString(id), "a bundle id, such as org.example.App"
	case "app_store":
		right, example = storeID.MatchString(id), "the number of an app in the App Store, such as 310633997"
	case "android":
		right, example = packageName.MatchString(id), "a package name, such as org.example.app"
	case "windows":
		right = windowsFile.MatchString(id) || familyName.MatchString(id) || windowsName.MatchString(id)
		example = "a package family name, such as Example.App_8wekyb3d8bbwe, or an executable, such as Example.exe"
	case "linux":
		right, example = linuxShape(id), "flatpak:, snap:, deb: or exec: and a name, such as flatpak:org.example.App"
	case "web", "network":
		right, example = len(id) <= 253 && hostName.MatchString(id), "a host name in lower case, such as web.example.org"
	}
	if right {
		return ""
	}
	return "must be " + example
}

func linuxShape(id string) bool {
	if !strings.Contains(id, ":") {
		return false
	}
	form, name := LinuxForm(id)
	switch form {
	case Flatpak:
		return flatpakName.MatchString(name)
	case Snap:
		return snapName.MatchString(name)
	case Deb:
		return debName.MatchString(name)
	}
	return strings.HasPrefix(id, "exec:") && linuxFile.MatchString(name)
}

// plain reports whether s is text without anything that could steer a terminal.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError
	})
}
