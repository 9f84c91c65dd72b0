package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// challengeVariable stands in the profiles that bring a network certificate.
const challengeVariable = "{{network.challenge}}"

// renewNetworks has a profile that brings a network certificate delivered again: once its
// certificate was revoked and the case is over, and each time two thirds of a
// certificate's life have passed since the device enrolled. iOS renews no identity of a
// profile by itself. What is told apart is the device's own, so the class stays as it is.
func (v *View) renewNetworks(now time.Time) {
	profilesCopied, declarationsCopied := false, false
	for i, p := range v.Want.Profiles {
		stamp := ""
		if strings.Contains(string(p.Payload), challengeVariable) {
			stamp = v.networkStamp(p.Hash, now)
		}
		switch {
		case stamp == "":
		case !p.Declared:
			if !profilesCopied {
				v.Want.Profiles, profilesCopied = slices.Clone(v.Want.Profiles), true
			}
			v.Want.Profiles[i].Hash = stamped(p.Hash, stamp)
		default:
			if !declarationsCopied {
				v.Want.Declarations, declarationsCopied = slices.Clone(v.Want.Declarations), true
			}
			v.restamp(p.Hash, stamp)
		}
	}
}

// restamp gives the declaration of a profile, and with it the set, another token.
func (v *View) restamp(hash, stamp string) {
	for i, d := range v.Want.Declarations {
		if d.Names(hash) {
			v.Want.Declarations[i].Token = stamped(d.Token, stamp)
			v.Want.DeclarationsToken = stamped(v.Want.DeclarationsToken, stamp)
		}
	}
}

// networkStamp is empty until the certificate of a profile has to be made again. It
// stays the same when that has happened.
func (v *View) networkStamp(hash string, now time.Time) string {
	c := v.Got.Credentials[hash]
	var stamp string
	if !c.Revoked.IsZero() {
		stamp = fmt.Sprintf("revoked %d ", c.Revoked.UnixMicro())
	}
	if part := c.Life * 2 / 3; part > 0 && !v.Enrolment.Enrolled.IsZero() {
		if n := now.Sub(v.Enrolment.Enrolled) / part; n > 0 {
			stamp += fmt.Sprintf("renewal %d", n)
		}
	}
	return stamp
}

func stamped(token, stamp string) string {
	sum := sha256.Sum256([]byte(token + " " + stamp))
	return hex.EncodeToString(sum[:])
}
