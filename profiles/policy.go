// Package profiles says what should be true on a device: it reads the messaging
// policy, lays its layers over one another for each device, and compiles what comes out
// for the device's class, with a plain sentence for what its platform does not allow.
// It is pure: no store, no network, no clock; time is passed in and the same input
// gives the same bytes.
package profiles

import (
	"sync"
	"time"

	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

// MaxPolicySize is the size in bytes above which a policy file is refused unread.
const MaxPolicySize = 1 << 20

// Policy is one version of the messaging policy, made by Parse. It is safe for
// concurrent use. It compiles each class of device once, when the first device of that
// class is asked for.
type Policy struct {
	*source.Policy

	mu       sync.Mutex
	compiled map[Class]*compiled
}

// Parse reads a policy file. files are those that it names, by the names it uses; nil
// for none. If anything is wrong the error is a *ward.Error of the kind Invalid whose
// Details list every mistake with its line, its column and, for a name, the nearest
// right one.
func Parse(data []byte, files map[string][]byte) (*Policy, error) {
	src, err := source.Parse(data, source.Inputs{Files: files})
	if err != nil {
		return nil, err
	}
	return &Policy{Policy: src, compiled: map[Class]*compiled{}}, nil
}

// Ended returns the exceptions that ended lately, nil for a nil policy.
func (p *Policy) Ended(now time.Time) []intent.Exception {
	if p == nil {
		return nil
	}
	return p.Policy.Ended(now)
}

// NextChange returns when the policy next asks for something else by itself, because
// an exception begins or ends or a review falls due: zero for never.
func (p *Policy) NextChange(now time.Time) time.Time {
	if p == nil {
		return time.Time{}
	}
	return p.Policy.NextChange(now)
}
