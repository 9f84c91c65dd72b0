package intent

import (
	"time"

	"github.com/wardmdm/ward"
)

// Severity says what a finding costs.
type Severity string

// The severities.
const (
	Advice Severity = "advice" // shown; the device still complies
	Breach Severity = "breach" // the device does not comply once the grace is over
)

// Rule is one requirement of the posture. The zero Rule is not asked.
type Rule struct {
	On       bool
	Severity Severity
	Grace    time.Duration // after it was first seen
}

// Posture is what a device must be to comply.
type Posture struct {
	MinimumOS      map[ward.Platform]string // versions; missing: none
	MinimumOSRule  Rule
	Passcode       Rule
	Encryption     Rule
	LastSeen       Rule
	LastSeenWithin time.Duration
	ApprovedApp    Rule // required apps are present in their minimum version
	Certificate    Rule // apps that need one have a valid certificate
	BlockedApp     Rule // no blocked app is present, where it can run
}

// Settled is all that a policy says of one device after its layers were laid over one
// another.
type Settled struct {
	Wanted  Wanted
	Posture Posture
	// Watch are the identifiers to ask the device about, sorted, exact case.
	Watch []string
	// Excepted are the exceptions in force, in the order of the file.
	Excepted []Exception
	// Origins says where each setting came from, by its path in the file.
	Origins []Origin
}

// Exception is the written approval of an app for some circumstances.
type Exception struct {
	ID       string // stable: the file's own, such as "EX-2026-03"
	App      string // slug of the catalogue
	AppName  string
	Who      string // who asked
	Reason   string
	Approver string
	Expires  time.Time // the last day, at 00:00 UTC
	Review   string    // who looks at it again, and when
}

// Origin is where one setting came from.
type Origin struct {
	Path  string // such as containment.no_backup or block.apps[whatsapp]
	Value string // in words
	File  string // the policy file's name, or that of a built-in baseline
	Line  int    // counts from 1; 0 where Ward's own default holds
	Layer string // such as "baseline ncsc-corporate", "the policy", "group Ward 7", "exception EX-2026-03"
	// Source is what a baseline's rule cites; empty elsewhere.
	Source string
}
