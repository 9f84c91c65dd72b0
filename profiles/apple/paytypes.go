package apple

import "github.com/wardmdm/ward/profiles/intent"

// trait is what Apple says of a payload type on one platform.
type trait uint

const (
	has        trait = 1 << iota // the platform knows the type
	noUser                       // forbidden under user enrolment
	supervised                   // only on supervised devices
	single                       // once on a device
	noDevice                     // only on the channel of a person
)

// payloadType is what decides whether a profile with such a payload is taken.
type payloadType struct {
	name               string
	ios, mac           trait
	iosSince, macSince intent.Version // zero: every supported version
}

// payloadTypes are the types that a profile of the organisation's own may hold, sorted.
// Versions are rounded up to those that the bands know. Where Apple describes one type
// in several files, the strictest is meant. Not among them are management payloads,
// declarations (which no server may install by a profile) and types that Apple removed.
// Facts from https://github.com/apple/device-management, mdm/profiles, as of iOS 18.2 and
// macOS 15.2. It is a table, never changed.
var payloadTypes = []payloadType{
	{name: ".GlobalPreferences", mac: has | noUser | single},
	{name: "com.apple.ADCertificate.managed", mac: has},
	{name: "com.apple.AssetCache.managed", mac: has | noUser | single},
	{name: "com.apple.Dictionary", mac: has | noUser | single},
	{name: "com.apple.DirectoryService.managed", mac: has},
	{name: "com.apple.DiscRecording", mac: has | noUser | single},
	{name: "com.apple.MCX", mac: has | noUser},
	{name: "com.apple.MCX.FileVault2", mac: has | noUser | single},
	{name: "com.apple.MCX.TimeMachine", mac: has | noUser | single},
	{name: "com.apple.ManagedClient.preferences", mac: has | noUser},
	{name: "com.apple.NSExtension", mac: has | noUser},
	{name: "com.apple.SetupAssistant.managed", ios: has | noUser | supervised | single, iosSince: ver(14, 0), mac: has | noUser | single},
	{name: "com.apple.ShareKitHelper", mac: has | noUser | single},
	{name: "com.apple.SoftwareUpdate", mac: has | noUser | single},
	{name: "com.apple.SystemConfiguration", mac: has | noUser | single},
	{name: "com.apple.TCC.configuration-profile-policy", mac: has | noUser},
	{name: "com.apple.airplay", ios: has, mac: has},
	{name: "com.apple.airprint", ios: has, mac: has},
	{name: "com.apple.apn.managed", ios: has | noUser | single},
	{name: "com.apple.app.lock", ios: has | noUser | supervised | single},
	{name: "com.apple.applicationaccess", ios: has, mac: has},
	{name: "com.apple.applicationaccess.new", mac: has | noUser},
	{name: "com.apple.appstore", mac: has | noUser | single},
	{name: "com.apple.asam", mac: has | noUser | single},
	{name: "com.apple.associated-domains", mac: has},
	{name: "com.apple.caldav.account", ios: has, mac: has | noDevice},
	{name: "com.apple.carddav.account", ios: has, mac: has | noDevice},
	{name: "com.apple.cellular", ios: has | noUser | single},
	{name: "com.apple.cellularprivatenetwork.managed", ios: has, iosSince: ver(17, 0)},
	{name: "com.apple.configurationprofile.identification", mac: has | single},
	{name: "com.apple.desktop", mac: has | noUser | single},
	{name: "com.apple.dnsProxy.managed", ios: has | single, iosSince: ver(11, 0), mac: has | noUser | single},
	{name: "com.apple.dnsSettings.managed", ios: has | noUser, iosSince: ver(14, 0), mac: has | noUser},
	{name: "com.apple.dock", mac: has | noUser | single},
	{name: "com.apple.domains", ios: has | noUser | single, mac: has | noUser | single},
	{name: "com.apple.eas.account", ios: has},
	{name: "com.apple.education", ios: has | single, mac: has | single | noDevice},
	{name: "com.apple.ews.account", mac: has | noDevice},
	{name: "com.apple.extensiblesso", ios: has, iosSince: ver(13, 0), mac: has},
	{name: "com.apple.familycontrols.contentfilter", mac: has | noUser | single},
	{name: "com.apple.familycontrols.timelimits.v2", mac: has | noUser | single},
	{name: "com.apple.fileproviderd", mac: has | single},
	{name: "com.apple.finder", mac: has | noUser | single},
	{name: "com.apple.firstactiveethernet.managed", mac: has | single},
	{name: "com.apple.firstethernet.managed", mac: has | single},
	{name: "com.apple.font", ios: has, mac: has},
	{name: "com.apple.gamed", mac: has | noUser | single},
	{name: "com.apple.globalethernet.managed", ios: has | single, iosSince: ver(17, 0), mac: has | single},
	{name: "com.apple.google-oauth", ios: has},
	{name: "com.apple.homescreenlayout", ios: has | noUser | supervised | single},
	{name: "com.apple.ironwood.support", mac: has | noUser | single},
	{name: "com.apple.ldap.account", ios: has, mac: has | noDevice},
	{name: "com.apple.loginitems.managed", mac: has},
	{name: "com.apple.loginwindow", mac: has | noUser},
	{name: "com.apple.lom", mac: has | noUser | single},
	{name: "com.apple.mail.managed", ios: has, mac: has | noDevice},
	{name: "com.apple.mcxMenuExtras", mac: has | noUser | single},
	{name: "com.apple.mcxloginscripts", mac: has | noUser | single},
	{name: "com.apple.mcxprinting", mac: has | noUser | single},
	{name: "com.apple.mobiledevice.passwordpolicy", ios: has, mac: has | noUser},
	{name: "com.apple.networkusagerules", ios: has | noUser | single},
	{name: "com.apple.notificationsettings", ios: has | noUser | supervised | single, mac: has | noUser},
	{name: "com.apple.preference.security", mac: has | noUser | single},
	{name: "com.apple.preference.users", mac: has | single},
	{name: "com.apple.profileRemovalPassword", ios: has | noUser | supervised | single, mac: has | noUser | single},
	{name: "com.apple.proxy.http.global", ios: has | noUser | supervised | single, mac: has | noUser | single},
	{name: "com.apple.relay.managed", ios: has, iosSince: ver(17, 0), mac: has | noUser, macSince: ver(14, 0)},
	{name: "com.apple.screensaver", mac: has | noUser | single},
	{name: "com.apple.screensaver.user", mac: has | noUser | single | noDevice},
	{name: "com.apple.secondactiveethernet.managed", mac: has | single},
	{name: "com.apple.secondethernet.managed", mac: has | single},
	{name: "com.apple.security.FDERecoveryKeyEscrow", mac: has | noUser | single},
	{name: "com.apple.security.FDERecoveryRedirect", mac: has | noUser | single},
	{name: "com.apple.security.acme", ios: has, iosSince: ver(16, 0), mac: has, macSince: ver(13, 1)},
	{name: "com.apple.security.certificatepreference", mac: has | noDevice},
	{name: "com.apple.security.certificaterevocation", ios: has, iosSince: ver(14, 5)},
	{name: "com.apple.security.certificatetransparency", ios: has, iosSince: ver(13, 0), mac: has},
	{name: "com.apple.security.firewall", mac: has | noUser},
	{name: "com.apple.security.identitypreference", mac: has | noDevice},
	{name: "com.apple.security.pem", ios: has, mac: has},
	{name: "com.apple.security.pkcs1", ios: has, mac: has},
	{name: "com.apple.security.pkcs12", ios: has, mac: has},
	{name: "com.apple.security.root", ios: has, mac: has},
	{name: "com.apple.security.scep", ios: has, mac: has},
	{name: "com.apple.security.smartcard", mac: has | noUser | single},
	{name: "com.apple.servicemanagement", mac: has | noUser, macSince: ver(13, 0)},
	{name: "com.apple.shareddeviceconfiguration", ios: has | noUser | supervised | single},
	{name: "com.apple.sso", ios: has | single},
	{name: "com.apple.subscribedcalendar.account", ios: has},
	{name: "com.apple.syspolicy.kernel-extension-policy", mac: has | noUser},
	{name: "com.apple.system-extension-policy", mac: has | noUser},
	{name: "com.apple.system.logging", mac: has | noUser},
	{name: "com.apple.systemmigration", mac: has | noUser | single},
	{name: "com.apple.systempolicy.control", mac: has | noUser},
	{name: "com.apple.systempolicy.managed", mac: has | noUser},
	{name: "com.apple.systempolicy.rule", mac: has | noUser},
	{name: "com.apple.systempreferences", mac: has | noUser | single},
	{name: "com.apple.systemuiserver", mac: has | noUser | single},
	{name: "com.apple.thirdactiveethernet.managed", mac: has | single},
	{name: "com.apple.thirdethernet.managed", mac: has | single},
	{name: "com.apple.tvremote", ios: has | noUser | supervised | single, iosSince: ver(12, 0)},
	{name: "com.apple.universalaccess", mac: has | noUser | single},
	{name: "com.apple.vpn.managed", ios: has | noUser, mac: has | noUser},
	{name: "com.apple.vpn.managed.applayer", ios: has, mac: has},
	{name: "com.apple.vpn.managed.appmapping", mac: has | single},
	{name: "com.apple.webClip.managed", ios: has, mac: has | noDevice},
	{name: "com.apple.webcontent-filter", ios: has, mac: has | noUser},
	{name: "com.apple.wifi.managed", ios: has, mac: has},
	{name: "com.apple.xsan", mac: has | noUser | single},
	{name: "com.apple.xsan.preferences", mac: has | noUser},
}
