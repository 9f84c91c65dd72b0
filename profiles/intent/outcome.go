package intent

// Verdict says how far a device carries out one intent.
type Verdict string

// The verdicts, in words that people read.
const (
	Enforced    Verdict = "enforced"
	Partly      Verdict = "partly"
	DetectOnly  Verdict = "detected only"
	Impossible  Verdict = "impossible here"
	NotEnforced Verdict = "not enforced" // possible here, but not by what the policy or Ward does
)

// Outcome is what becomes of one intent on a device. A compiler returns at least one
// for everything that is wanted.
type Outcome struct {
	ID ID
	// Subject tells outcomes of one intent apart: an app's slug or name, a network's name;
	// empty for the whole.
	Subject string
	Intent  string // in words, such as "Block WhatsApp, Signal and 12 others"
	Verdict Verdict
	// Mechanism is what carries it, in the platform's own words, such as
	// "com.apple.applicationaccess blockedAppBundleIDs"; empty where nothing does.
	Mechanism string
	// Since is the version from which the platform has the mechanism, empty where every
	// supported version has it or none does.
	Since string
	// Why and Cure are whole sentences; either is empty where there is nothing to say.
	Why, Cure string
	// Covers are the identifiers, hosts or names for which the verdict holds, sorted; empty
	// where the intent has no parts.
	Covers []string
}

// Artifact is one thing that a compiler makes, as a file for whoever wants to look.
type Artifact struct {
	// Name is a file name that is unique among the artifacts of a device, such as
	// "messaging.mobileconfig".
	Name string
	// Kind is profile, declaration, document, command, android-policy, agent-policy or browser-policy.
	Kind string
	Data []byte
}
