package reconcile

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/fleet"
)

// identityTest is a device whose app gets its identity by declarations.
type identityTest struct {
	now      time.Time
	enrolled time.Duration // ago
	c        Credential
	standing Standing
	told     []fleet.Declaration
	toldAgo  time.Duration
	name     string
}

const identityLife = 72 * time.Hour // two thirds are two days

func (i identityTest) make() (set string, tokens map[string]string, again time.Time) {
	want := profiles.State{
		Apps: []profiles.App{{BundleID: "chat", Declared: true, NeedsCertificate: true, Delivery: intent.ByManagedApp, Certificate: intent.Certificate{Life: identityLife}}},
		Declarations: []profiles.Declaration{
			{Identifier: "asset", Token: "ta", Payload: []byte(`{"DataURL":"{{document:D}}"}`), App: "chat"},
			{Identifier: "data", Token: "td", Payload: []byte(`{"DataURL":"{{document:C}}"}`)},
			{Identifier: "app", Token: "tc", Payload: []byte(`{"Identities":1}`), App: "chat", Bare: []byte(`{}`)},
			{Identifier: "other", Token: "to", Payload: []byte(`{}`)},
		},
		DeclarationsToken: "set",
		Documents:         []profiles.Document{{Hash: "D", App: "chat", Identity: true}, {Hash: "C", App: "chat", Data: []byte("{{server.url}}")}},
	}
	if i.name != "" {
		want.Documents[1].Data = []byte("<string>{{ device.name }}</string>")
	}
	p := personal{device: ward.Device{Name: i.name}, enrolled: i.now.Add(-i.enrolled), standing: i.standing, now: i.now, want: want}
	p.got.Credentials = map[string]Credential{"chat": i.c}
	if i.told != nil {
		p.got.Declarations = &Known[[]fleet.Declaration]{Value: i.told, At: i.now.Add(-i.toldAgo)}
	}
	p.make()
	tokens = map[string]string{}
	for _, d := range p.want.Declarations {
		tokens[d.Identifier] = d.Token
		if string(d.Payload) == "{}" && d.Identifier == "app" {
			tokens["bare"] = d.Token
		}
	}
	if want.Declarations[0].Token != "ta" || len(want.Declarations) != 4 {
		panic("the state that the devices of the class share was changed")
	}
	return p.want.DeclarationsToken, tokens, p.again
}

// TestIdentityComesAndGoes: what a device is declared follows its standing.
func TestIdentityComesAndGoes(t *testing.T) {
	t.Parallel()
	i := identityTest{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), enrolled: time.Hour}
	set, tokens, again := i.make()
	plain := map[string]string{"asset": "ta", "data": "td", "app": "tc", "other": "to"}
	if diff := cmp.Diff(plain, tokens); diff != "" || set != "set" {
		t.Errorf("a deserving device: set %s (-want +got)\n%s", set, diff)
	}
	if want := i.now.Add(47 * time.Hour); !again.Equal(want) {
		t.Errorf("it is looked at again at %s, want %s: two thirds of a life after it enrolled", again, want)
	}
	for _, standing := range []Standing{Undeserving, Unclear} {
		i.standing = standing
		bareSet, bare, _ := i.make()
		if _, asset := bare["asset"]; asset || bareSet == "set" || bare["bare"] == "" || bare["app"] == "tc" || bare["other"] != "to" {
			t.Errorf("standing %d without an identity: set %s, %v; want the app without it", standing, bareSet, bare)
		}
	}
	i.standing = Unclear
	i.told = []fleet.Declaration{{Identifier: "app", Token: "tc", Valid: Valid, Active: true}}
	if set, kept, _ := i.make(); set != "set" || kept["asset"] != "ta" {
		t.Errorf("one that holds it and has not told enough: set %s, %v; want it left alone", set, kept)
	}
	i.standing = Undeserving
	if _, gone, _ := i.make(); gone["asset"] != "" {
		t.Errorf("one that holds it and does not comply: %v; want it taken away", gone)
	}
}

// TestIdentityRotates: at two thirds of a life all that brings the identity changes, once,
// and not for a device of which nobody knows whether it complies.
func TestIdentityRotates(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	i := identityTest{now: now, enrolled: 49 * time.Hour, told: []fleet.Declaration{{Identifier: "app", Token: "tc", Valid: Valid}}}
	set, tokens, _ := i.make()
	if set == "set" || tokens["asset"] == "ta" || tokens["app"] == "tc" || tokens["other"] != "to" {
		t.Fatalf("after two thirds: set %s, %v; want the identity anew", set, tokens)
	}
	i.c = Credential{ValidUntil: now.Add(identityLife), Life: identityLife}
	if again, same, _ := i.make(); again != set || same["asset"] != tokens["asset"] {
		t.Errorf("with the identity that followed: %s, %v; want the same, or it is asked for for ever", again, same)
	}
	i.standing = Unclear
	if set, kept, _ := i.make(); set != "set" || kept["asset"] != "ta" {
		t.Errorf("not known to comply: set %s, %v; want what it holds", set, kept)
	}
	i = identityTest{now: now, enrolled: time.Hour, c: Credential{Revoked: now.Add(-time.Minute)}}
	if set, anew, _ := i.make(); set == "set" || anew["asset"] == "ta" {
		t.Errorf("after a revocation: set %s, %v; want the identity anew", set, anew)
	}
}

// TestIdentityRefused: what a device could not take it is offered again after a while, and
// no more once it took it.
func TestIdentityRefused(t *testing.T) {
	t.Parallel()
	i := identityTest{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), enrolled: 20 * time.Hour, toldAgo: time.Hour}
	i.told = []fleet.Declaration{{Identifier: "app", Token: "tc", Valid: Invalid}}
	if set, _, again := i.make(); set != "set" || !again.Equal(i.now.Add(5*time.Hour)) {
		t.Errorf("at once: set %s, again at %s; want patience", set, again)
	}
	i.toldAgo = 7 * time.Hour
	set, second, _ := i.make()
	if set == "set" || second["app"] == "tc" {
		t.Fatalf("after seven hours: %s %v; want it offered again", set, second)
	}
	i.told, i.toldAgo = []fleet.Declaration{{Identifier: "app", Token: second["app"], Valid: Invalid}}, 0
	if kept, _, _ := i.make(); kept != set {
		t.Errorf("refused again: set %s, want %s", kept, set)
	}
	i.toldAgo = 7 * time.Hour
	third, tokens, _ := i.make()
	if third == set {
		t.Error("after another seven hours nothing is offered")
	}
	i.told[0] = fleet.Declaration{Identifier: "app", Token: tokens["app"], Valid: Valid}
	if kept, _, _ := i.make(); kept != third {
		t.Errorf("taken: set %s, want %s", kept, third)
	}
}

// TestOwnConfiguration: a configuration that holds what is the device's own changes with it.
func TestOwnConfiguration(t *testing.T) {
	t.Parallel()
	i := identityTest{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), enrolled: time.Hour, name: "Ada's phone"}
	_, ada, _ := i.make()
	_, again, _ := i.make()
	i.name = "Grace's phone"
	_, grace, _ := i.make()
	if ada["data"] == "td" || ada["data"] == grace["data"] || ada["app"] == grace["app"] || ada["other"] != "to" {
		t.Errorf("tokens of Ada %v, of Grace %v; want their own", ada, grace)
	}
	if diff := cmp.Diff(ada, again); diff != "" {
		t.Errorf("they change by themselves:\n%s", diff)
	}
}
