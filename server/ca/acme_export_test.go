package ca

import "github.com/smallstep/certificates/authority"

// Step returns the library's authority that is embedded, for tests of what it would do.
func (a *Authority) Step() *authority.Authority { return a.current().step }
