package virtual

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/wardmdm/ward/agent"
)

// Erasure is what an erase that the device obeyed asked for. What its system does not know is
// as if it was not asked.
type Erasure struct {
	PreserveDataPlan, DisallowProximitySetup bool   // iOS
	PIN, Obliteration                        string // macOS
	Returns                                  bool   // it comes back by itself
}

// eraseDevice accepts an erase. The phone answers first and is gone when the answer is
// out. Source: Apple, EraseDevice.
func (b *body) eraseDevice(_ context.Context, c agent.Command) agent.Response {
	e, back, fault := b.erasure(c)
	if fault != "" {
		return malformed(fault)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wiped, b.back = &e, back
	r := done(nil)
	r.Then = agent.Vanish
	return r
}

// erasure reads what an erase asks for, and the profile by which the phone comes back.
// Source: Apple's schema, mdm/commands/device.erase.yaml.
func (b *body) erasure(c agent.Command) (e Erasure, back []byte, fault string) {
	if b.mac() {
		if e.PIN = c.String("PIN"); len(e.PIN) != 6 {
			return e, nil, "a Mac needs a PIN of six characters"
		}
		e.Obliteration = c.String("ObliterationBehavior")
		if !slices.Contains([]string{"", "Default", "DoNotObliterate", "ObliterateWithWarning", "Always"}, e.Obliteration) {
			return e, nil, "ObliterationBehavior is not one of Apple's"
		}
		return e, nil, ""
	}
	keep, ok1 := optional[bool](c.Payload, "PreserveDataPlan")
	far, ok2 := optional[bool](c.Payload, "DisallowProximitySetup")
	rts, ok3 := optional[map[string]any](c.Payload, "ReturnToService")
	if !ok1 || !ok2 || !ok3 {
		return e, nil, "an option of the erase is of another type"
	}
	e.PreserveDataPlan, e.DisallowProximitySetup = keep, far && b.since("11.3", never)
	if rts == nil || !b.since("17.0", never) {
		return e, nil, ""
	}
	if e.Returns, ok1 = rts["Enabled"].(bool); !ok1 {
		return e, nil, "ReturnToService has no Enabled"
	}
	if !e.Returns {
		return e, nil, ""
	}
	if back, ok1 = rts["MDMProfileData"].([]byte); !ok1 { // it did not enrol by itself, so it would not know where to
		return e, nil, "ReturnToService has no MDMProfileData"
	}
	wifi, ok := optional[[]byte](rts, "WiFiProfileData")
	if ok && wifi != nil {
		_, err := agent.ParseProfile(wifi)
		ok = err == nil
	}
	if !ok {
		return e, nil, "WiFiProfileData is no profile"
	}
	return e, back, ""
}

// Erasure returns what the last erase that the device obeyed asked for; false if none did.
func (b *body) Erasure() (Erasure, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wiped == nil {
		return Erasure{}, false
	}
	return *b.wiped, true
}

// Return is an erased phone coming back by itself, as the erase asked by ReturnToService: it
// is Reset, and enrols by the profile that came with the erase. Fleet.Run does it for the
// phones of a fleet.
func (p *Phone) Return(ctx context.Context) (*Phone, error) {
	p.mu.Lock()
	back := p.back
	p.mu.Unlock()
	if back == nil {
		return nil, errors.New("return: the phone was not asked to come back by itself")
	}
	next, err := p.Reset(ctx)
	if err != nil {
		return nil, fmt.Errorf("return: %w", err)
	}
	if err := next.EnrolByProfile(ctx, back); err != nil {
		return nil, fmt.Errorf("return: %w", err)
	}
	return next, nil
}

// returns reports whether the phone was erased and comes back by itself.
func (p *Phone) returns() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.erased && p.back != nil
}
