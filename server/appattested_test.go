package server

import (
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/credential"
)

// TestAttestedAppHasNoToken: an app whose key is to be attested gets no certificate for
// another on a phone that no declaration can give an identity: neither by a token that it got
// before the policy said so, nor by one or a challenge that it gets in any way now.
func TestAttestedAppHasNoToken(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	p := w.phone(t, "1", func(o *virtual.Options) { o.Supervised, o.OSVersion, o.Apps = true, "17.4", nil })
	id := w.enrol(t, p, ward.Corporate)
	w.on(t, p)
	policy := string(identityPolicy(t))
	if _, err := w.Policy.Publish(w.ctx, []byte(policy)); err != nil {
		t.Fatal(err)
	}
	await(t, p, "the token", hasToken)
	config, _ := p.ManagedConfig(messenger)
	old, _ := config[virtual.ConfigToken].(string)
	if _, err := w.Policy.Publish(w.ctx, []byte(strings.Replace(policy, "identity_name: chat", "identity_name: chat\n      attested: true", 1))); err != nil {
		t.Fatal(err)
	}
	await(t, p, "the configuration without a token", func(p *virtual.Phone) bool {
		config, ok := p.ManagedConfig(messenger)
		return ok && config[virtual.ConfigToken] == nil
	})
	e := w.show(t, p.Serial()).Enrolment
	fresh, err := w.Credentials.Issue(w.ctx, credential.Grant{Device: id, Enrolment: e.ID, App: messenger})
	if err != nil {
		t.Fatal(err)
	}
	_, csr := appRequest(t)
	for what, token := range map[string]string{"the old token": old, "a new token": fresh} {
		_, _, err := w.Credentials.Exchange(w.ctx, token, csr)
		if ward.KindOf(err) != ward.Forbidden || what == "a new token" && !strings.Contains(err.Error(), "attested key only") {
			t.Errorf("%s: %v, want forbidden", what, err)
		}
	}
	held := grants{w.challenges(), w.fleet, judge{w.Server}}
	for _, attested := range []bool{false, true} {
		c, err := w.challenges().Issue(w.ctx, credential.ChallengeGrant{Purpose: credential.ForApp, Device: id, Enrolment: e.ID, App: messenger, Attested: attested}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := held.Lookup(w.ctx, c[0]); attested != (err == nil) || !attested && ward.KindOf(err) != ward.Forbidden {
			t.Errorf("a challenge, attested %t: %v", attested, err)
		}
	}
}
