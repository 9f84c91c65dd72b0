package workstation

import (
	"cmp"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

// publishers are the names behind the 13 characters at the end of a package family name,
// which are a hash of them, so that each entry proves itself.
// Source: https://learn.microsoft.com/windows/apps/desktop/modernize/package-identity-overview
// and the Identity elements of the packages' own manifests.
var publishers = map[string]string{
	"8wekyb3d8bbwe": "CN=Microsoft Corporation, O=Microsoft Corporation, L=Redmond, S=Washington, C=US",
	"8xx8rvfyw5nnt": "CN=6E08453F-9BA7-4311-999C-D22FBA2FB1B8", // Meta
	"cv1g1gvanyjgm": "CN=24803D75-212C-471A-BC57-9EF86AB91435", // WhatsApp
	"cw5n1h2txyewy": "CN=Microsoft Windows, O=Microsoft Corporation, L=Redmond, S=Washington, C=US",
	"kzf8qxf38zg5c": "CN=Skype Software Sarl, O=Microsoft Corporation, L=Luxembourg, S=Luxembourg, C=LU",
}

// publisherID is the length of the publisher's part of a package family name.
const publisherID = 13

// identity reads a catalogue's identifier. What has no form that the platform knows is
// the zero Identity.
func identity(p ward.Platform, id string) Identity {
	switch p {
	case ward.Windows:
		return windowsIdentity(id)
	case ward.MacOS:
		return Identity{BundleID: id}
	case ward.Linux:
		kind, name, ok := strings.Cut(id, ":")
		switch {
		case !ok || name == "":
		case kind == "flatpak":
			return Identity{Flatpak: name}
		case kind == "snap":
			return Identity{Snap: name}
		case kind == "exec":
			return Identity{Executable: name}
		}
	}
	return Identity{}
}

func windowsIdentity(id string) Identity {
	if len(id) > len(".exe") && strings.EqualFold(id[len(id)-len(".exe"):], ".exe") {
		return Identity{Executable: id}
	}
	if i := strings.LastIndexByte(id, '_'); i > 0 && len(id)-i-1 == publisherID {
		return Identity{PackageFamily: id, Publisher: publishers[strings.ToLower(id[i+1:])]}
	}
	if id == "" || strings.ContainsAny(id, `\/_`) {
		return Identity{}
	}
	return Identity{PackageName: id}
}

// packageName is the name of a packaged app without its publisher; empty for others.
func (i Identity) packageName() string {
	if i.PackageFamily != "" {
		return i.PackageFamily[:len(i.PackageFamily)-publisherID-1]
	}
	return i.PackageName
}

// key tells identities apart as the platform does.
func (i Identity) key(p ward.Platform) Identity {
	i.Publisher, i.TeamID = "", ""
	if p == ward.Windows {
		i.PackageFamily, i.PackageName = strings.ToLower(i.PackageFamily), strings.ToLower(i.PackageName)
		i.Executable = strings.ToLower(i.Executable)
	}
	return i
}

func compareIdentities(a, b Identity) int {
	return cmp.Or(cmp.Compare(a.PackageFamily, b.PackageFamily), cmp.Compare(a.PackageName, b.PackageName),
		cmp.Compare(a.Executable, b.Executable), cmp.Compare(a.Flatpak, b.Flatpak), cmp.Compare(a.Snap, b.Snap),
		cmp.Compare(a.BundleID, b.BundleID), cmp.Compare(a.TeamID, b.TeamID))
}

// approved are the identities of an approved app, none if the platform has no such app.
func approved(p ward.Platform, a intent.App) []Identity {
	var ids []Identity
	switch p {
	case ward.Windows:
		if a.Windows.PackageFamilyName != "" {
			ids = append(ids, windowsIdentity(a.Windows.PackageFamilyName))
		}
		if a.Windows.Executable != "" {
			ids = append(ids, Identity{Executable: a.Windows.Executable})
		}
	case ward.MacOS:
		if a.MacOS.BundleID != "" {
			ids = append(ids, Identity{BundleID: a.MacOS.BundleID, TeamID: a.MacOS.TeamID})
		}
	case ward.Linux:
		for _, i := range []Identity{{Flatpak: a.Linux.Flatpak}, {Snap: a.Linux.Snap}, {Executable: a.Linux.Executable}} {
			if i != (Identity{}) {
				ids = append(ids, i)
			}
		}
	}
	return slices.DeleteFunc(ids, func(i Identity) bool { return i == Identity{} })
}

// text is an identity as the catalogue writes it.
func (i Identity) text() string {
	switch {
	case i.Flatpak != "":
		return "flatpak:" + i.Flatpak
	case i.Snap != "":
		return "snap:" + i.Snap
	}
	return cmp.Or(i.PackageFamily, i.PackageName, i.BundleID, i.Executable)
}

// identifiers are the catalogue's for a platform.
func identifiers(p ward.Platform, a catalogue.App) []catalogue.Identifier {
	switch p {
	case ward.Windows:
		return a.Windows
	case ward.MacOS:
		return a.MacOS
	case ward.Linux:
		return a.Linux
	}
	return nil
}
