package virtual

import (
	"context"
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
)

// Error domains and codes. Source: Apple, MDM Protocol Reference, "Error codes".
const (
	domainMDM       = "MCMDMErrorDomain"
	domainInstall   = "MCInstallationErrorDomain"
	domainPasscode  = "MCPasscodeErrorDomain"
	domainChaperone = "MCChaperoneErrorDomain"
	domainSCEP      = "MCSCEPErrorDomain"

	codeNotAuthorised     = 12007
	codeMalformed         = 12008
	codeReplaceMismatch   = 12012
	codeProfileNotManaged = 12013
	codeInvalidType       = 12021
	codeAppInstalled      = 12025
	codeAppNotManaged     = 12029
	codeManifest          = 12024
	codeNotHTTPS          = 12034
	codeLostModeOn        = 12066
	codeNotLost           = 12067
	codeNoLocation        = 12068
	codeLostModeOff       = 12069
	codeNoProfile         = 12075
	codeInLostMode        = 12078
	codeNoSound           = 12080
	codeNotSupervised     = 29000
	codeCannotClear       = 5013
	codeInstallFailed     = 4001
	codeSCEP              = 22013 // MCSCEPErrorDomain: the request failed
	codeMustBeMDM         = 4022
	codeUnacceptable      = 4023
	codeSupervision       = 4025
	codeBadReference      = 2003 // MCPayloadErrorDomain
	codeBadValue          = 2004 // MCPayloadErrorDomain
)

// command is how iOS treats one request type.
type command struct {
	do         func(*body, context.Context, agent.Command) agent.Response
	right      ward.AccessRights // 0 needs none
	supervised bool              // refused on a phone that is not supervised
	prompt     bool              // never answered with NotNow
	notLost    bool              // refused in lost mode
	device     bool              // refused in user enrolment
	macDevice  bool              // refused on a Mac in user enrolment
	iosOnly    bool              // unknown to a Mac
}

// commands is never changed. Rights, supervision and enrolment are Apple's schema; the types that
// never answer NotNow are those of the MDM Protocol Reference.
var commands = map[string]command{
	"InstallProfile":           {do: (*body).installProfile, right: ward.RightInstallProfiles, notLost: true},
	"RemoveProfile":            {do: (*body).removeProfile, right: ward.RightInstallProfiles},
	"ProfileList":              {do: (*body).profileList, right: ward.RightInspectProfiles, prompt: true},
	"CertificateList":          {do: (*body).certificateList, right: ward.RightInspectProfiles, prompt: true},
	"InstallApplication":       {do: (*body).installApplication, right: ward.RightManageApps, notLost: true},
	"RemoveApplication":        {do: (*body).removeApplication, right: ward.RightManageApps, macDevice: true},
	"ManagedApplicationList":   {do: (*body).managedApplicationList, right: ward.RightManageApps},
	"InstalledApplicationList": {do: (*body).installedApplicationList, right: ward.RightInspectApps, prompt: true, macDevice: true},
	"Settings":                 {do: (*body).settings, right: ward.RightSettings},
	"DeviceInformation":        {do: (*body).deviceInformation, prompt: true}, // each query needs its own right
	"SecurityInfo":             {do: (*body).securityInfo, right: ward.RightSecurity},
	"Restrictions":             {do: (*body).restrictionsCommand, right: ward.RightRestrictions, prompt: true, device: true, iosOnly: true},
	"DeviceLock":               {do: (*body).deviceLock, right: ward.RightLockAndPasscode, prompt: true, macDevice: true},
	"ClearPasscode":            {do: (*body).clearPasscode, right: ward.RightLockAndPasscode, prompt: true, device: true, iosOnly: true},
	"EraseDevice":              {do: (*body).eraseDevice, right: ward.RightErase, prompt: true, device: true},
	"RestartDevice":            {do: (*body).restart, right: ward.RightLockAndPasscode, supervised: true, device: true},
	"ShutDownDevice":           {do: (*body).restart, right: ward.RightLockAndPasscode, supervised: true, device: true},
	"EnableLostMode":           {do: (*body).enableLostMode, prompt: true, device: true, iosOnly: true},
	"DisableLostMode":          {do: (*body).disableLostMode, prompt: true, device: true, iosOnly: true},
	"DeviceLocation":           {do: (*body).deviceLocation, prompt: true, device: true, iosOnly: true},
	"PlayLostModeSound":        {do: (*body).playLostModeSound, prompt: true, device: true, iosOnly: true},
	"DeclarativeManagement":    {do: (*body).declarativeManagement},
}

// handle answers one command and writes it into the log.
func (b *body) handle(ctx context.Context, c agent.Command) agent.Response {
	destructive := b.destructive(c) // before it may end what tells
	r := b.decide(ctx, c)
	b.mu.Lock()
	defer b.mu.Unlock()
	if destructive {
		b.destroyed.note(c, b.opt.Clock(), r.Status == agent.Acknowledged)
	}
	if len(b.log) >= logLimit {
		b.log = append(b.log[:0:0], b.log[1:]...)
	}
	b.log = append(b.log, Entry{b.opt.Clock(), c.UUID, c.RequestType, r})
	b.touchLocked()
	return r
}

// decide holds the command against the rules that all commands share.
func (b *body) decide(ctx context.Context, c agent.Command) agent.Response {
	k, ok := commands[c.RequestType]
	if !ok || k.iosOnly && b.mac() {
		return fail(domainMDM, codeInvalidType, "the request type is not known")
	}
	b.mu.Lock()
	notNow, lost := b.notNow, b.lost != nil
	b.mu.Unlock()
	switch {
	case notNow != nil && !k.prompt && notNow(c.RequestType):
		return agent.Response{Status: agent.NotNow}
	case b.opt.UserEnrolment && (k.device || k.macDevice && b.mac()):
		return fail(domainMDM, codeNotAuthorised, "the request is not for user enrolment")
	case !b.link.rights().Has(k.right):
		return fail(domainMDM, codeNotAuthorised, "the server has no right to do this")
	case k.supervised && !b.opt.Supervised:
		return fail(domainChaperone, codeNotSupervised, "the device is not supervised")
	case lost && (k.notLost || slices.Contains(b.opt.LostModeRefuses, c.RequestType)):
		return fail(domainMDM, codeInLostMode, "the request is not valid in lost mode")
	}
	return k.do(b, ctx, c)
}

func done(fields map[string]any) agent.Response {
	return agent.Response{Status: agent.Acknowledged, Fields: fields}
}

func chain(domain string, code int, text string) []agent.ErrorItem {
	return []agent.ErrorItem{{ErrorCode: code, ErrorDomain: domain, LocalizedDescription: text, USEnglishDescription: text}}
}

func fail(domain string, code int, text string) agent.Response {
	return agent.Response{Status: agent.Error, ErrorChain: chain(domain, code, text)}
}

func malformed(text string) agent.Response { return fail(domainMDM, codeMalformed, text) }

// optional reads a key that may be missing but must not be of another type.
func optional[T any](m map[string]any, key string) (v T, ok bool) {
	x, there := m[key]
	if !there {
		return v, true
	}
	v, ok = x.(T)
	return v, ok
}
