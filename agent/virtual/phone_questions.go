package virtual

import "github.com/wardmdm/ward/agent"

// ProfileInstalled reports whether a profile with this identifier is on the phone, the
// management profile included.
func (p *Phone) ProfileInstalled(identifier string) bool {
	if e, err := p.client.Enrolment(); err == nil && e.Profile.Identifier == identifier {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.profiles[identifier] != nil
}

// SetNotNow makes the phone answer NotNow to the types for which f is true, except those
// to which iOS never does. A nil f ends it. As on iOS, a phone whose last answer was
// NotNow comes back by itself once it can; it must be running for that.
func (p *Phone) SetNotNow(f func(requestType string) bool) {
	p.mu.Lock()
	p.notNow = f
	waiting := len(p.log) > 0 && p.log[len(p.log)-1].Answer.Status == agent.NotNow
	p.mu.Unlock()
	if waiting {
		p.client.Wake()
	}
}
