package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/profiles"
)

// challengeVariable stands in the profiles that bring a network certificate.
const challengeVariable = "{{network.challenge}}"

// Stamped returns what is wanted of one device, in which a profile that brings a network
// certificate has to be delivered again: once its certificate was revoked and the case is
// over, and each time two thirds of a certificate's life have passed since the device
// enrolled. iOS renews no identity of a profile by itself. What is told apart is the
// device's own, so the shared state stays as it is. A life of zero renews nothing.
func Stamped(want profiles.State, credentials map[string]Credential, enrolled time.Time, life time.Duration, now time.Time) profiles.State {
	shared := true
	for i, p := range want.Profiles {
		if !strings.Contains(string(p.Payload), challengeVariable) {
			continue
		}
		stamp := networkStamp(credentials[p.Hash], enrolled, life, now)
		if stamp == "" {
			continue
		}
		if shared {
			want.Profiles, want.Declarations, shared = slices.Clone(want.Profiles), slices.Clone(want.Declarations), false
		}
		if !p.Declared {
			want.Profiles[i].Hash = stamped(p.Hash, stamp)
			continue
		}
		for j, d := range want.Declarations {
			if d.Names(p.Hash) {
				want.Declarations[j].Token = stamped(d.Token, stamp)
				want.DeclarationsToken = stamped(want.DeclarationsToken, stamp)
			}
		}
	}
	return want
}

// networkStamp is empty until the certificate of a profile has to be made again. It
// stays the same when that has happened.
func networkStamp(c Credential, enrolled time.Time, life time.Duration, now time.Time) string {
	var stamp string
	if !c.Revoked.IsZero() {
		stamp = fmt.Sprintf("revoked %d ", c.Revoked.UnixMicro())
	}
	if part := life * 2 / 3; part > 0 && !enrolled.IsZero() {
		if n := now.Sub(enrolled) / part; n > 0 {
			stamp += fmt.Sprintf("renewal %d", n)
		}
	}
	return stamp
}

func stamped(token, stamp string) string {
	sum := sha256.Sum256([]byte(token + " " + stamp))
	return hex.EncodeToString(sum[:])
}
