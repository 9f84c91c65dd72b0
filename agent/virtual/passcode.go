package virtual

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

const (
	typePasscode     = "com.apple.mobiledevice.passwordpolicy"
	typePasscodeDecl = "com.apple.configuration.passcode.settings" //nolint:gosec // the name of a type, not a secret
)

// passcode is what the user has set.
type passcode struct {
	set  bool
	code string // empty with set: a good one of six digits
}

// ErrPasscode says that a passcode is not what the rules on the device ask for.
var ErrPasscode = errors.New("the passcode does not meet the rules of the device")

// PasscodeRules are what a passcode must be, by profiles and declarations together. A
// zero number is not asked. Source: Apple, PasscodeSettings declaration, combinetype.
type PasscodeRules struct {
	Required           bool
	Alphanumeric       bool
	NotSimple          bool // no runs such as 1234 or 1111
	MinimumLength      int64
	MinimumComplex     int64 // characters that are neither letter nor digit
	MaximumFailed      int64
	MaximumInactivity  int64 // minutes
	MaximumGracePeriod int64 // minutes
	MaximumAge         int64 // days
	ReuseLimit         int64
}

// Any reports whether anything is asked at all.
func (r PasscodeRules) Any() bool { return r != PasscodeRules{} }

// passcodeKey is the name of one rule in a profile and in a declaration.
type passcodeKey struct{ profile, declaration string }

// read adds one set of rules, whose values value finds.
func (r *PasscodeRules) read(value func(passcodeKey) any) {
	yes := func(p, d string) bool { return value(passcodeKey{p, d}) == true }
	r.Required = r.Required || yes("forcePIN", "RequirePasscode")
	r.Alphanumeric = r.Alphanumeric || yes("requireAlphanumeric", "RequireAlphanumericPasscode")
	r.NotSimple = r.NotSimple || value(passcodeKey{"allowSimple", ""}) == false || value(passcodeKey{"", "RequireComplexPasscode"}) == true
	greatest := func(n *int64, p, d string) { *n = max(*n, number(value(passcodeKey{p, d}))) }
	smallest := func(n *int64, p, d string) {
		if v := number(value(passcodeKey{p, d})); v > 0 && (*n == 0 || v < *n) {
			*n = v
		}
	}
	greatest(&r.MinimumLength, "minLength", "MinimumLength")
	greatest(&r.MinimumComplex, "minComplexChars", "MinimumComplexCharacters")
	smallest(&r.MaximumFailed, "maxFailedAttempts", "MaximumFailedAttempts")
	smallest(&r.MaximumInactivity, "maxInactivity", "MaximumInactivityInMinutes")
	smallest(&r.MaximumGracePeriod, "maxGracePeriod", "MaximumGracePeriodInMinutes")
	smallest(&r.MaximumAge, "maxPINAgeInDays", "MaximumPasscodeAgeInDays")
	smallest(&r.ReuseLimit, "pinHistory", "PasscodeReuseLimit")
}

// sumPasscode combines the rules. In user enrolment the keys of the profile do nothing.
// Source: Apple, Passcode payload, userenrollment mode "ignored".
func (b *body) sumPasscode() PasscodeRules {
	var r PasscodeRules
	for _, h := range b.profiles {
		for _, q := range h.payloads {
			if q.Type == typePasscode && !b.opt.UserEnrolment {
				r.read(func(k passcodeKey) any { return q.Content[k.profile] })
			}
		}
	}
	for _, d := range b.inForce(typePasscodeDecl) {
		r.read(func(k passcodeKey) any { return d.payload[k.declaration] })
	}
	if r.Alphanumeric || r.NotSimple || r.MinimumLength > 0 || r.MinimumComplex > 0 {
		r.Required = true
	}
	return r
}

// PasscodeRules returns what is asked of the passcode.
func (b *body) PasscodeRules() PasscodeRules {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.effects().rules
}

// PasscodeSet reports whether the device has a passcode.
func (b *body) PasscodeSet() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.passcode.set
}

// PasscodeCompliant reports whether the passcode, or its absence, is what the rules ask
// for. Without rules it always is.
func (b *body) PasscodeCompliant() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.compliant()
}

func (b *body) compliant() bool { return b.effects().rules.meet(b.passcode) }

// meet reports whether p is what r asks for.
func (r PasscodeRules) meet(p passcode) bool {
	if !p.set {
		return !r.Required
	}
	code := p.code
	if code == "" {
		code = "739126"
	}
	var letters, digits, other int64
	for _, c := range code {
		switch {
		case unicode.IsLetter(c):
			letters++
		case unicode.IsDigit(c):
			digits++
		default:
			other++
		}
	}
	return letters+digits+other >= r.MinimumLength && other >= r.MinimumComplex &&
		(!r.Alphanumeric || letters > 0 && digits > 0) && (!r.NotSimple || !simple(code))
}

// simple reports whether a code only repeats one character or counts up or down.
func simple(code string) bool {
	c := []rune(strings.ToLower(code))
	for _, step := range []rune{0, 1, -1} {
		run := true
		for i := 1; i < len(c); i++ {
			run = run && c[i]-c[i-1] == step
		}
		if run {
			return true
		}
	}
	return false
}

// SetPasscode is the user setting another passcode in Settings; empty removes it. It
// returns ErrPasscode, and changes nothing, where the rules on the device do not take it
// or allowPasscodeModification is false.
func (b *body) SetPasscode(code string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := passcode{code != "", code}
	if b.off("allowPasscodeModification") {
		return fmt.Errorf("%w: allowPasscodeModification", ErrBlocked)
	}
	if !b.effects().rules.meet(next) {
		return ErrPasscode
	}
	b.passcode = next
	b.touchLocked()
	return nil
}
