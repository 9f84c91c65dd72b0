package applemdm

import (
	"maps"
	"slices"

	"github.com/jessepeterson/mdmcommands"
)

// Destructive reports whether a command may be delivered by an order of two people alone:
// it destroys data, takes the device out of somebody's hand, or opens it to somebody else.
// Every type that is not known to do none of that counts as destructive, new ones of Apple's
// among them. DeviceLock does with a PIN, which nothing takes off from afar; RemoveProfile
// for the management profile.
func Destructive(requestType string, managementProfile, pin bool) bool {
	switch requestType {
	case mdmcommands.RemoveProfileRequestType:
		return managementProfile
	case mdmcommands.DeviceLockRequestType:
		return pin
	}
	_, destroys := destructiveTypes[requestType]
	return destroys || !slices.Contains(mild, requestType)
}

// DestructiveTypes returns the types of Apple's schema that are destructive whatever they
// hold, each with the reason in words.
func DestructiveTypes() map[string]string { return maps.Clone(destructiveTypes) }

// destructiveTypes are the types of Apple's schema that Destructive names, with the reason.
var destructiveTypes = map[string]string{
	mdmcommands.EraseDeviceRequestType:                   "destroys everything on the device",
	mdmcommands.ClearPasscodeRequestType:                 "opens the device to whoever holds it",
	mdmcommands.ClearRestrictionsPasswordRequestType:     "opens the restrictions that its holder set",
	mdmcommands.ClearActivationLockBypassCodeRequestType: "destroys the code without which an erased device stays locked",
	mdmcommands.SetFirmwarePasswordRequestType:           "locks whoever does not know it out of a Mac's start",
	mdmcommands.SetRecoveryLockRequestType:               "locks whoever does not know it out of a Mac's recovery",
	mdmcommands.SetAutoAdminPasswordRequestType:          "gives an administrator's account of a Mac to whoever knows the new password",
	mdmcommands.AccountConfigurationRequestType:          "makes administrators of a Mac",
	mdmcommands.RotateFileVaultKeyRequestType:            "makes the recovery key that people hold worthless",
	mdmcommands.DeleteUserRequestType:                    "destroys a user's data",
	mdmcommands.UnlockUserAccountRequestType:             "lifts the lock that wrong passwords brought about",
	mdmcommands.EnableRemoteDesktopRequestType:           "hands a Mac's screen and keyboard to others",
	mdmcommands.RequestMirroringRequestType:              "shows the screen to others",
	mdmcommands.LOMDeviceRequestRequestType:              "cuts a Mac's power",
	mdmcommands.LOMSetupRequestRequestType:               "gives out what cuts a Mac's power",
	"RequestUnlockToken":                                 "gives out what opens the device",
}

// mild are the types that neither destroy nor bind nor open anything: most ask, and what the
// others do can be undone by another command. RemoveProvisioningProfile and
// RemoveApplication take work apps away, which come back by another command, and the data of
// those apps is the organisation's own; ShutDownDevice and RestartDevice, LogOutUser and
// DisableRemoteDesktop end what goes on. What an InstallProfile holds is looked at besides.
// Source: Apple's schema, mdm/commands.
var mild = []string{
	mdmcommands.InstallProfileRequestType, mdmcommands.RemoveProfileRequestType, mdmcommands.ProfileListRequestType,
	mdmcommands.InstallProvisioningProfileRequestType, mdmcommands.RemoveProvisioningProfileRequestType, mdmcommands.ProvisioningProfileListRequestType,
	mdmcommands.InstallApplicationRequestType, mdmcommands.InstallEnterpriseApplicationRequestType, mdmcommands.RemoveApplicationRequestType,
	mdmcommands.ApplyRedemptionCodeRequestType, mdmcommands.ValidateApplicationsRequestType, mdmcommands.InviteToProgramRequestType,
	mdmcommands.InstalledApplicationListRequestType, managedApplicationList, mdmcommands.ManagedApplicationConfigurationRequestType,
	mdmcommands.ManagedApplicationFeedbackRequestType, "ManagedApplicationAttributes", mdmcommands.NSExtensionMappingsRequestType, "ActiveNSExtensions",
	mdmcommands.InstallMediaRequestType, mdmcommands.RemoveMediaRequestType, mdmcommands.ManagedMediaListRequestType,
	mdmcommands.DeviceInformationRequestType, mdmcommands.SecurityInfoRequestType, mdmcommands.CertificateListRequestType, "Restrictions",
	mdmcommands.UserListRequestType, "ContentCachingInformation", mdmcommands.ActivationLockBypassCodeRequestType,
	mdmcommands.VerifyFirmwarePasswordRequestType, mdmcommands.VerifyRecoveryLockRequestType,
	settings, mdmcommands.DeclarativeManagementRequestType, mdmcommands.DeviceConfiguredRequestType, mdmcommands.UserConfiguredRequestType,
	mdmcommands.RefreshCellularPlansRequestType, mdmcommands.DeviceLockRequestType, mdmcommands.RestartDeviceRequestType, mdmcommands.ShutDownDeviceRequestType,
	mdmcommands.LogOutUserRequestType, mdmcommands.DisableRemoteDesktopRequestType, mdmcommands.StopMirroringRequestType,
	mdmcommands.EnableLostModeRequestType, mdmcommands.DisableLostModeRequestType, mdmcommands.DeviceLocationRequestType, mdmcommands.PlayLostModeSoundRequestType,
	mdmcommands.ScheduleOSUpdateRequestType, mdmcommands.ScheduleOSUpdateScanRequestType, mdmcommands.AvailableOSUpdatesRequestType, mdmcommands.OSUpdateStatusRequestType,
}
