package virtual

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wardmdm/ward/agent"
)

// combine is how the values of several profiles become one. Apple gives the four
// families in the answer to the Restrictions command: restrictedBool, restrictedValue,
// union and intersection.
type combine int

const (
	allow  combine = iota // a boolean: false anywhere is false
	force                 // a boolean: true anywhere is true
	union                 // an array: what any profile lists
	common                // an array: what every profile lists
	least                 // an integer: the smallest
)

// rule is what iOS makes of one key. Keys that are not in the table are ignored, as iOS
// ignores keys that it does not know.
type rule struct {
	how        combine
	supervised bool   // ignored on a phone that is not supervised
	since      string // iOS version; empty means all that matter
}

// ruleFor returns the rule of a key of com.apple.applicationaccess.
// Source: Apple's schema, mdm/profiles/com.apple.applicationaccess.yaml.
func ruleFor(key string) (rule, bool) {
	r, ok := rules[key]
	return r, ok
}

// rules is never changed.
var rules = map[string]rule{
	// which apps show and launch
	"blockedAppBundleIDs":                    {union, true, "15.0"},
	"allowListedAppBundleIDs":                {common, true, "15.0"},
	"blacklistedAppBundleIDs":                {union, true, "9.3"},
	"whitelistedAppBundleIDs":                {common, true, "9.3"},
	"autonomousSingleAppModePermittedAppIDs": {union, true, "7.0"},
	"allowAppInstallation":                   {allow, true, ""},
	"allowUIAppInstallation":                 {allow, true, "9.0"},
	"allowMarketplaceAppInstallation":        {allow, true, "17.4"},
	"allowWebDistributionAppInstallation":    {allow, true, "17.5"},
	"allowEnterpriseAppTrust":                {allow, false, "9.0"},
	"allowAutomaticAppDownloads":             {allow, true, "9.0"},
	"allowAppRemoval":                        {allow, true, "4.2.1"},
	"allowAppClips":                          {allow, true, "14.0"},
	"allowAppsToBeHidden":                    {allow, true, "18.0"},
	"allowAppsToBeLocked":                    {allow, true, "18.0"},
	"ratingApps":                             {least, false, ""},
	"ratingAppsExemptedBundleIDs":            {common, false, "26.1"},
	// messages and calls
	"allowChat":                            {allow, true, "5.0"},
	"allowRCSMessaging":                    {allow, true, "18.1"},
	"allowVideoConferencing":               {allow, true, ""},
	"allowDefaultMessagingAppModification": {allow, true, "18.4"},
	"allowDefaultCallingAppModification":   {allow, true, "18.4"},
	"deniedICCIDsForiMessageFaceTime":      {union, true, "26.0"},
	"deniedICCIDsForRCS":                   {union, true, "26.0"},
	"allowSafari":                          {allow, true, ""},
	"allowSafariPrivateBrowsing":           {allow, true, "26.0"},
	// the wall between managed and unmanaged
	"allowOpenFromManagedToUnmanaged":      {allow, false, "7.0"},
	"allowOpenFromUnmanagedToManaged":      {allow, false, "7.0"},
	"requireManagedPasteboard":             {force, false, "15.0"},
	"allowManagedAppsCloudSync":            {allow, false, "8.0"},
	"forceAirDropUnmanaged":                {force, false, "9.0"},
	"allowAirDrop":                         {allow, true, "7.0"},
	"allowUnmanagedToReadManagedContacts":  {allow, false, "12.0"},
	"allowManagedToWriteUnmanagedContacts": {allow, false, "12.0"},
	// the screen
	"allowScreenShot":                  {allow, false, "3.1"},
	"allowRemoteScreenObservation":     {allow, false, "9.3"},
	"allowiPhoneMirroring":             {allow, true, "18.0"},
	"allowLockScreenNotificationsView": {allow, false, "7.0"},
	"allowLockScreenControlCenter":     {allow, false, "7.0"},
	"allowAssistantWhileLocked":        {allow, false, "5.1"},
	"allowCamera":                      {allow, false, ""},
	// backup and cloud
	"allowCloudBackup":                {allow, false, "5.0"},
	"allowCloudDocumentSync":          {allow, true, "5.0"},
	"allowCloudPhotoLibrary":          {allow, false, "9.0"},
	"allowCloudKeychainSync":          {allow, false, "7.0"},
	"allowEnterpriseBookBackup":       {allow, false, "8.0"},
	"allowEnterpriseBookMetadataSync": {allow, false, "8.0"},
	"forceEncryptedBackup":            {force, false, ""},
	"allowActivityContinuation":       {allow, false, "8.0"},
	"allowDiagnosticSubmission":       {allow, false, "6.0"},
	"allowCloudPrivateRelay":          {allow, true, "15.0"},
	// the phone itself
	"allowAccountModification":                {allow, true, "7.0"},
	"allowHostPairing":                        {allow, true, "7.0"},
	"allowFilesUSBDriveAccess":                {allow, true, "13.0"},
	"allowFilesNetworkDriveAccess":            {allow, true, "13.1"},
	"allowUSBRestrictedMode":                  {allow, true, "11.4.1"},
	"allowWritingTools":                       {allow, true, "18.0"},
	"allowExternalIntelligenceIntegrations":   {allow, false, "18.2"},
	"allowVPNCreation":                        {allow, true, "11.0"},
	"allowUIConfigurationProfileInstallation": {allow, true, "6.0"},
	"allowEraseContentAndSettings":            {allow, true, "8.0"},
	"allowFindMyDevice":                       {allow, true, "13.0"},
	"allowPasscodeModification":               {allow, true, "9.0"},
	"allowESIMModification":                   {allow, true, "12.1"},
	"forcePreserveESIMOnErase":                {force, true, "17.2"},
	"allowUntrustedTLSPrompt":                 {allow, false, "5.0"},
	"forceWiFiToAllowedNetworksOnly":          {force, true, "14.5"},
	"allowKeyboardShortcuts":                  {allow, true, "9.0"},
}

// honours reports whether a phone of this supervision and version obeys the rule.
func (r rule) honours(supervised bool, version string) bool {
	return (supervised || !r.supervised) && atLeast(version, r.since)
}

// atLeast compares dotted versions; an empty bound is always met.
func atLeast(version, bound string) bool {
	if bound == "" {
		return true
	}
	v, b := strings.Split(version, "."), strings.Split(bound, ".")
	for i := range max(len(v), len(b)) {
		if x, y := part(v, i), part(b, i); x != y {
			return x > y
		}
	}
	return true
}

func part(v []string, i int) int {
	if i >= len(v) {
		return 0
	}
	n, err := strconv.Atoi(v[i])
	if err != nil {
		return 0
	}
	return n
}

// restriction is Restriction for callers that hold p.mu.
func (p *Phone) restriction(key string) (any, bool) {
	r, ok := ruleFor(key)
	if !ok || !r.honours(p.opt.Supervised, p.opt.OSVersion) {
		return nil, false
	}
	var sum any
	for _, h := range p.profiles {
		for _, q := range h.profile.Of(typeRestrictions) {
			if v, ok := q.Content[key]; ok {
				sum = r.add(sum, v)
			}
		}
	}
	if list, ok := sum.([]string); ok {
		slices.Sort(list)
	}
	return sum, sum != nil
}

// add combines what is in force with one more value, whose type check has seen.
func (r rule) add(sum, v any) any {
	switch r.how {
	case allow, force:
		b, _ := v.(bool)
		if old, ok := sum.(bool); ok {
			return r.how == allow && old && b || r.how == force && (old || b)
		}
		return b
	case least:
		n := number(v)
		if old, ok := sum.(int64); ok {
			return min(old, n)
		}
		return n
	default:
		list := stringsOf(v)
		old, ok := sum.([]string)
		switch {
		case !ok:
			return list
		case r.how == common:
			return slices.DeleteFunc(old, func(s string) bool { return !slices.Contains(list, s) })
		}
		for _, s := range list {
			if !slices.Contains(old, s) {
				old = append(old, s)
			}
		}
		return old
	}
}

// check reports a value of the wrong type, for which iOS refuses the profile.
func (r rule) check(key string, v any) error {
	ok := false
	switch r.how {
	case allow, force:
		_, ok = v.(bool)
	case least:
		switch v.(type) {
		case uint64, int64:
			ok = true
		}
	default:
		list, isList := v.([]any)
		ok = isList && len(stringsOf(v)) == len(list)
	}
	if !ok {
		return &agent.ProfileError{Domain: agent.PayloadErrorDomain, Code: 2003, Text: fmt.Sprintf("%s has a value of the wrong type", key)}
	}
	return nil
}

// stringsOf returns the strings of a list in a new slice that is never nil.
func stringsOf(v any) []string {
	out := []string{}
	list, _ := v.([]any)
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func number(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case uint64:
		return int64(min(n, 1<<62))
	}
	return 0
}
