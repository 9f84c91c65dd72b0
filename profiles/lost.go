package profiles

import (
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// Words for a finder when neither the case nor the policy has any.
const (
	defaultMessage = "This phone has been reported lost. It can't be used. Please hand it in to the organisation it belongs to."
	defaultMac     = "This Mac has been reported lost. It can't be used. Please hand it in to the organisation it belongs to."
)

// Escalation returns what becomes of a case by itself under a policy; the default for nil.
func (p *Policy) Escalation() intent.Escalation {
	if p == nil {
		return intent.DefaultEscalation()
	}
	return p.Lost.Escalation
}

// missing adds what an open case asks for. A personal device is never located and never
// locked by a PIN; a phone of that kind is locked and let go. A work device keeps its
// management, so that it stays within reach.
func missing(st *State, s Subject, p *Policy) {
	if !apples(s.Device.Platform) {
		return
	}
	t := s.Target()
	st.RevokeApps = true
	words := caseWords(s, p)
	lock := &Lock{Message: words.Message, Phone: words.Phone}
	switch {
	case t.Platform == ward.MacOS:
		missingMac(st, s, lock)
		return
	case t.Personal() || t.Enrolment == intent.ByUser:
		st.Lock, st.RemoveManagement = lock, true
		return
	case t.Supervised:
		e := p.Escalation()
		st.LostMode, st.Locate, st.LocateEvery, st.LocateFor = &words, true, e.LocateEvery, e.LocateFor
	default:
		st.Lock = lock
		if s.Case.Kind == CaseStolen {
			st.Apps = removed(st.Apps)
		}
	}
	st.Signs = signs(s, t, p)
}

// signs are what a lost work phone is asked about itself, as far as the enrolment's rights
// allow. The SIM is asked for only where the policy makes something of it.
// Source: Apple's schema, mdm/commands/information.device.yaml, ServiceSubscriptions, and
// information.security.yaml.
func signs(s Subject, t intent.Target, p *Policy) (out []intent.Sign) {
	has := func(r ward.AccessRights) bool { return s.Rights == 0 || s.Rights.Has(r) }
	if has(ward.RightNetworkInformation) && t.OS.AtLeast(intent.Version{Major: 12}) && p.Escalation().Proposes(intent.SIMChanged) {
		out = append(out, intent.SIMChanged)
	}
	if has(ward.RightSecurity) {
		out = append(out, intent.PasscodeOff)
	}
	return out
}

// missingMac locks a Mac by a PIN where that is possible, and says what it means.
func missingMac(st *State, s Subject, lock *Lock) {
	o := MacLock(s)
	if o.Verdict == intent.Partly {
		lock.NeedsPIN = true
		st.Lock = lock
	}
	st.Limits = slices.Clone(st.Limits)
	if i := slices.IndexFunc(st.Limits, func(l intent.Outcome) bool { return l.ID == intent.LoseDevice }); i >= 0 {
		st.Limits[i] = o
		return
	}
	st.Limits = append(st.Limits, o)
}

// MacLock says whether a Mac is locked by a PIN, which is so where the verdict is
// intent.Partly, and otherwise why not.
// Source: Apple's schema, mdm/commands/device.lock.yaml: not under user enrolment, by the
// right to lock; on Apple silicon the command deactivates a Mac before macOS 11.5.
func MacLock(s Subject) intent.Outcome {
	t := s.Target()
	o := intent.Outcome{ID: intent.LoseDevice, Intent: "Lock and find a lost Mac", Verdict: intent.NotEnforced}
	const cure = "Rights can't be added later: enrol it again."
	switch {
	case t.Enrolment == intent.ByUser:
		o.Verdict = intent.Impossible
		o.Why = "Apple does not let a Mac under user enrolment be locked."
	case t.Personal():
		o.Why = "A personal Mac is never locked, for nobody could take the lock off from afar."
	case s.Rights != 0 && !s.Rights.Has(ward.RightLockAndPasscode):
		o.Verdict, o.Cure = intent.Impossible, cure
		o.Why = "This Mac was enrolled without the right to lock it."
	case silicon(s.Device.Model) && !t.OS.AtLeast(intent.Version{Major: 11, Minor: 5}):
		o.Why, o.Cure = "Before macOS 11.5 the command to lock deactivates a Mac with Apple silicon, so Ward does not send it.", "Update it to macOS 11.5 or later."
	default:
		o.Verdict, o.Mechanism = intent.Partly, "DeviceLock with a PIN"
		o.Why = "The Mac is locked with a PIN of six digits, made at random and shown to those who may see it. Nothing takes the lock off from afar, also once the Mac is found: somebody has to type the PIN on it. A Mac without a recovery partition refuses the lock. Apple does not tell where Macs are."
	}
	return o
}

// silicon reports whether a Mac has Apple silicon, as one whose model is not known counts.
// Of those of older naming five have; later ones are all called Mac, and virtual machines on
// Apple silicon VirtualMac.
// Source: Apple, support.apple.com/en-us/116943.
func silicon(model string) bool {
	family, _, _ := strings.Cut(model, ",")
	if n := strings.TrimPrefix(family, "Mac"); model == "" || n != family && strings.Trim(n, "0123456789") == "" || strings.HasPrefix(model, "VirtualMac") {
		return true
	}
	return slices.Contains([]string{"MacBookAir10", "MacBookPro17", "MacBookPro18", "Macmini9", "iMac21"}, family)
}

// removed takes the apps and their data off a stolen phone that has no lost mode.
func removed(apps []App) []App {
	out := make([]App, len(apps))
	for i, a := range apps {
		a.Remove = true
		out[i] = a
	}
	return out
}

func caseWords(s Subject, p *Policy) LostMode {
	var message, phone, footnote string
	if p != nil {
		message, phone, footnote = p.Lost.Message, p.Lost.Phone, p.Lost.Footnote
	}
	fallback := defaultMessage
	if s.Device.Platform == ward.MacOS {
		fallback = defaultMac
	}
	return LostMode{
		Message:  first(s.Case.Message, message, s.Case.Otherwise.Message, fallback),
		Phone:    first(s.Case.Phone, phone, s.Case.Otherwise.Phone),
		Footnote: first(s.Case.Footnote, footnote, s.Case.Otherwise.Footnote),
	}
}

func first(words ...string) string {
	for _, w := range words {
		if w = strings.TrimSpace(w); w != "" {
			return w
		}
	}
	return ""
}
