package android

import (
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// The versions of Android from which Google has what Ward sets.
const (
	oldest            = 5  // work profiles; what is older can't be managed
	sinceBackup       = 8  // backupService, bluetoothSharing
	sinceGlobalSource = 10 // unknown sources off on the personal side of a work profile
	sincePrivateDNS   = 10 // privateDnsSettings
	sinceUserControl  = 11 // userControlSettings; lost mode, fully managed
	sinceKeyAlias     = 12 // a key pair of the key chain for Wi-Fi
	sinceRealAddress  = 13 // MACAddressRandomizationMode; lost mode, with a personal side
	sinceCredentials  = 14 // credentialProviderPolicyDefault
	sinceAssist       = 15 // assistContentPolicy, privateSpacePolicy
)

// Bands returns the versions at which output changes, oldest first, beginning with the
// zero Version. It is empty for a platform other than Android.
func Bands(p ward.Platform) []intent.Version {
	if p != ward.Android {
		return nil
	}
	bands := []intent.Version{{}}
	for _, major := range []int{
		oldest, sinceBackup, sinceGlobalSource, sinceUserControl, sinceKeyAlias, sinceRealAddress, sinceCredentials, sinceAssist,
	} {
		bands = append(bands, intent.Version{Major: major})
	}
	return bands
}

// Band returns the newest of Bands that is not newer than v: devices of one band get the
// same bytes. What is older than all of them, and an unknown version, is the zero Version.
func Band(p ward.Platform, v intent.Version) intent.Version {
	for _, b := range slices.Backward(Bands(p)) {
		if b.Known() && v.AtLeast(b) {
			return b
		}
	}
	return intent.Version{}
}

// has reports whether the device runs at least a version of Android.
func (c *compiler) has(major int) bool {
	return c.t.OS.AtLeast(intent.Version{Major: major})
}

// older says why a version is not enough, and what would help.
func (c *compiler) older(what string, major int) (why, cure string) {
	since := intent.Version{Major: major}.String()
	if !c.t.OS.Known() {
		return what + " needs Android " + since + ", and this phone's version is not known yet.", "Ward asks the phone for its version; nothing is to be done."
	}
	return what + " needs Android " + since + ".", "Update the phone to Android " + since + " or later."
}
