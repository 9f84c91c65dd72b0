package ward

// AccessRights are the rights that a profile gives an MDM server over a device.
// Source: Apple, profile com.apple.mdm, key AccessRights. Rights can only shrink
// while an enrolment lives.
type AccessRights int

// The rights, by Apple's bit values.
const (
	RightInspectProfiles     AccessRights = 1
	RightInstallProfiles     AccessRights = 2
	RightLockAndPasscode     AccessRights = 4
	RightErase               AccessRights = 8
	RightDeviceInformation   AccessRights = 16
	RightNetworkInformation  AccessRights = 32
	RightInspectProvisioning AccessRights = 64
	RightInstallProvisioning AccessRights = 128
	RightInspectApps         AccessRights = 256
	RightRestrictions        AccessRights = 512
	RightSecurity            AccessRights = 1024
	RightSettings            AccessRights = 2048
	RightManageApps          AccessRights = 4096

	// RightsAll is what a corporate device grants.
	RightsAll AccessRights = 8191
	// RightsPersonal lacks the right to erase, so that the phone itself refuses. Apple
	// puts the lock and the removal of the passcode under one bit (4); Ward keeps that bit,
	// for a lost phone must be lockable, and never asks a personal phone for its unlock
	// token: without the token no passcode can be removed.
	RightsPersonal = RightsAll &^ RightErase
)

// Has reports whether every bit of want is granted.
func (r AccessRights) Has(want AccessRights) bool { return r&want == want }

// RightsFor returns the rights that an enrolment of this ownership asks for.
func RightsFor(o Ownership) AccessRights {
	if o == Personal {
		return RightsPersonal
	}
	return RightsAll
}
