package virtual

import (
	"context"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
)

// Error domains and codes. Source: Apple, MDM Protocol Reference, "Error codes".
const (
	domainMDM       = "MCMDMErrorDomain"
	domainInstall   = "MCInstallationErrorDomain"
	domainPasscode  = "MCPasscodeErrorDomain"
	domainChaperone = "MCChaperoneErrorDomain"

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
	codeNotSupervised     = 29000
	codeCannotClear       = 5013
	codeMustBeMDM         = 4022
	codeUnacceptable      = 4023
	codeSupervision       = 4025
)

// command is how iOS treats one request type.
type command struct {
	do         func(*Phone, context.Context, agent.Command) agent.Response
	right      ward.AccessRights // 0 needs none
	supervised bool              // refused on a phone that is not supervised
	prompt     bool              // never answered with NotNow
	notLost    bool              // refused in lost mode
}

// commands is never changed. Rights and supervision are Apple's schema; the types that
// never answer NotNow are those of the MDM Protocol Reference.
var commands = map[string]command{
	"InstallProfile":           {do: (*Phone).installProfile, right: ward.RightInstallProfiles, notLost: true},
	"RemoveProfile":            {do: (*Phone).removeProfile, right: ward.RightInstallProfiles},
	"ProfileList":              {do: (*Phone).profileList, right: ward.RightInspectProfiles, prompt: true},
	"CertificateList":          {do: (*Phone).certificateList, right: ward.RightInspectProfiles, prompt: true},
	"InstallApplication":       {do: (*Phone).installApplication, right: ward.RightManageApps, notLost: true},
	"RemoveApplication":        {do: (*Phone).removeApplication, right: ward.RightManageApps},
	"ManagedApplicationList":   {do: (*Phone).managedApplicationList, right: ward.RightManageApps},
	"InstalledApplicationList": {do: (*Phone).installedApplicationList, right: ward.RightInspectApps, prompt: true},
	"Settings":                 {do: (*Phone).settings, right: ward.RightSettings},
	"DeviceInformation":        {do: (*Phone).deviceInformation, prompt: true}, // each query needs its own right
	"SecurityInfo":             {do: (*Phone).securityInfo, right: ward.RightSecurity},
	"Restrictions":             {do: (*Phone).restrictionsCommand, right: ward.RightRestrictions, prompt: true},
	"DeviceLock":               {do: (*Phone).deviceLock, right: ward.RightLockAndPasscode, prompt: true},
	"ClearPasscode":            {do: (*Phone).clearPasscode, right: ward.RightLockAndPasscode, prompt: true},
	"EraseDevice":              {do: (*Phone).eraseDevice, right: ward.RightErase, prompt: true},
	"RestartDevice":            {do: (*Phone).restart, right: ward.RightLockAndPasscode, supervised: true},
	"ShutDownDevice":           {do: (*Phone).restart, right: ward.RightLockAndPasscode, supervised: true},
	"EnableLostMode":           {do: (*Phone).enableLostMode, prompt: true},
	"DisableLostMode":          {do: (*Phone).disableLostMode, prompt: true},
	"DeviceLocation":           {do: (*Phone).deviceLocation, prompt: true},
	"PlayLostModeSound":        {do: (*Phone).playLostModeSound, prompt: true},
}

// handle answers one command and writes it into the log.
func (p *Phone) handle(ctx context.Context, c agent.Command) agent.Response {
	r := p.decide(ctx, c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.log) >= logLimit {
		p.log = append(p.log[:0:0], p.log[1:]...)
	}
	p.log = append(p.log, Entry{p.opt.Clock(), c.UUID, c.RequestType, r})
	p.touchLocked()
	return r
}

// decide holds the command against the rules that all commands share.
func (p *Phone) decide(ctx context.Context, c agent.Command) agent.Response {
	k, ok := commands[c.RequestType]
	if !ok {
		return fail(domainMDM, codeInvalidType, "the request type is not known")
	}
	p.mu.Lock()
	notNow, lost := p.notNow, p.lost != nil
	p.mu.Unlock()
	switch {
	case notNow != nil && !k.prompt && notNow(c.RequestType):
		return agent.Response{Status: agent.NotNow}
	case !p.AccessRights().Has(k.right):
		return fail(domainMDM, codeNotAuthorised, "the server has no right to do this")
	case k.supervised && !p.opt.Supervised:
		return fail(domainChaperone, codeNotSupervised, "the device is not supervised")
	case k.notLost && lost:
		return fail(domainMDM, codeInLostMode, "the request is not valid in lost mode")
	}
	return k.do(p, ctx, c)
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
