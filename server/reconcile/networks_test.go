package reconcile

import (
	"testing"
	"time"

	"github.com/wardmdm/ward/profiles"
)

// TestRenewNetworks: a network profile is delivered again after a revocation and at two
// thirds of its certificate's life, once each.
func TestRenewNetworks(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	const life = 90 * 24 * time.Hour
	want := profiles.State{
		Profiles: []profiles.Profile{
			{Identifier: "wifi", Hash: "W", Payload: []byte("<string>{{network.challenge}}</string>"), Declared: true},
			{Identifier: "old-wifi", Hash: "O", Payload: []byte("<string>{{network.challenge}}</string>")},
			{Identifier: "messaging", Hash: "M", Declared: true},
		},
		Declarations:      []profiles.Declaration{{Identifier: "w", Token: "tw", Payload: []byte(`{"ProfileURL":"{{profile:W}}"}`)}, {Identifier: "m", Token: "tm", Payload: []byte(`{"ProfileURL":"{{profile:M}}"}`)}},
		DeclarationsToken: "set",
	}
	tokens := func(c Credential, enrolled time.Duration) [4]string {
		got := Stamped(want, map[string]Credential{"W": c, "O": c}, now.Add(-enrolled), life, now)
		return [4]string{got.DeclarationsToken, got.Declarations[0].Token, got.Declarations[1].Token, got.Profiles[1].Hash}
	}
	fresh := [4]string{"set", "tw", "tm", "O"}
	if got := tokens(Credential{}, 0); got != fresh {
		t.Errorf("without a certificate: %v, want %v", got, fresh)
	}
	if got := tokens(Credential{ValidUntil: now.Add(life), Life: life}, time.Hour); got != fresh {
		t.Errorf("with a new certificate: %v, want %v", got, fresh)
	}
	revoked := tokens(Credential{Revoked: now.Add(-time.Hour)}, time.Hour)
	if revoked[0] == "set" || revoked[1] == "tw" || revoked[2] != "tm" || revoked[3] == "O" {
		t.Errorf("after a revocation: %v, want all but the messaging declaration changed", revoked)
	}
	if again := tokens(Credential{Revoked: now.Add(-time.Hour), ValidUntil: now.Add(life), Life: life}, time.Hour); again != revoked {
		t.Errorf("with the certificate that followed: %v, want %v, or it is asked for for ever", again, revoked)
	}
	late := tokens(Credential{ValidUntil: now.Add(life / 4), Life: life}, life*3/4)
	if late == fresh {
		t.Error("at three quarters of its life nothing is delivered again")
	}
	if again := tokens(Credential{ValidUntil: now.Add(life), Life: life}, life*3/4+time.Hour); again != late {
		t.Errorf("with the renewed certificate: %v, want %v", again, late)
	}
	// A device that enrolled long before it gets its first certificate is not sent it twice.
	if before, after := tokens(Credential{}, life), tokens(Credential{ValidUntil: now.Add(life), Life: life}, life); before != after {
		t.Errorf("the first certificate changed the tokens from %v to %v", before, after)
	}
	if want.Declarations[0].Token != "tw" || want.Profiles[1].Hash != "O" {
		t.Error("the state that the devices of the class share was changed")
	}
}
