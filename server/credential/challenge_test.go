package credential_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// entries keeps what was recorded, with who did it.
type entries struct {
	mu  sync.Mutex
	all []string
	err error
}

func (e *entries) Record(ctx context.Context, action, subject string, detail map[string]string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return e.err
	}
	e.all = append(e.all, fmt.Sprint(action, " ", subject, " ", detail, " by ", ward.ActorFrom(ctx).Device))
	return nil
}

// networks is a device with an active enrolment, and what issues its challenges.
type networks struct {
	*credential.Challenges
	*fixture
	audit *entries
	grant credential.ChallengeGrant
}

func newNetworks(t *testing.T, db *store.DB) *networks {
	t.Helper()
	f := newFixture(t, db)
	n := &networks{fixture: f, audit: &entries{}, grant: credential.ChallengeGrant{Purpose: credential.ForNetwork, Device: "d1", Enrolment: f.grant.Enrolment, Profile: "00ff"}}
	n.Challenges = &credential.Challenges{Store: db.Challenges(), Devices: db.Fleet(), Audit: n.audit, Now: func() time.Time { return f.now }}
	return n
}

func (n *networks) challenge(t *testing.T) string {
	t.Helper()
	return n.several(t, 1)[0]
}

func (n *networks) several(t *testing.T, count int) []string {
	t.Helper()
	cs, err := n.Challenges.Issue(t.Context(), n.grant, count)
	if err != nil || len(cs) != count {
		t.Fatalf("Issue() = %v, %v; want %d challenges", cs, err, count)
	}
	return cs
}

// worthless checks that a challenge is refused, before and while a certificate is recorded.
func (n *networks) worthless(t *testing.T, what, challenge string) {
	t.Helper()
	if g, err := n.Lookup(t.Context(), challenge); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("%s: Lookup() = %+v, %v; want forbidden", what, g, err)
	}
	before := len(n.audit.all)
	if err := n.Redeem(t.Context(), challenge, "1"); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("%s: Redeem() = %v, want forbidden", what, err)
	}
	if len(n.audit.all) != before {
		t.Errorf("%s: it was recorded", what)
	}
}

func (n *networks) redeemed(t *testing.T, what, challenge string) {
	t.Helper()
	g, err := n.Lookup(t.Context(), challenge)
	if diff := cmp.Diff(n.grant, g); err != nil || diff != "" {
		t.Errorf("%s: Lookup: %v (-want +got)\n%s", what, err, diff)
	}
	if err := n.Redeem(t.Context(), challenge, "1"); err != nil {
		t.Errorf("%s: Redeem() = %v, want it to work", what, err)
	}
}

// printable are the characters of ASN.1's PrintableString that challenges keep to.
var printable = regexp.MustCompile(`^network-[a-z2-7]{52}$`)

func TestNetworkChallenge(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNetworks(t, db)
		c := n.challenge(t)
		if !printable.MatchString(c) || !credential.IsChallenge(c) || credential.IsChallenge(strings.TrimPrefix(c, "network-")) {
			t.Errorf("the challenge %q has not the form of one", c)
		}
		if g, err := n.Lookup(t.Context(), c); err != nil || g != n.grant {
			t.Errorf("Lookup() = %+v, %v; want %+v", g, err, n.grant)
		}
		n.redeemed(t, "a challenge after a mere look", c)
		want := []string{"certificate.issued d1 map[enrolment:" + string(n.grant.Enrolment) + " for:network profile:00ff serial:1] by d1"}
		if diff := cmp.Diff(want, n.audit.all); diff != "" {
			t.Errorf("audit mismatch (-want +got)\n%s", diff)
		}
		n.worthless(t, "a challenge used twice", c)
		n.worthless(t, "one that never was", "network-made-up")
		n.worthless(t, "none", "")
		n.worthless(t, "an app's token", n.fixture.issue(t))
		n.fixture.refused(t, "a network challenge as an app's token", n.challenge(t))
		n.now = n.now.Add(time.Hour)
		late := n.challenge(t)
		n.now = n.now.Add(credential.ChallengeLife)
		n.worthless(t, "an expired challenge", late)
		n.now = n.now.Add(-time.Microsecond)
		n.redeemed(t, "a challenge in its last moment", late)
	})
}

// TestNetworkTwice: a profile that is fetched again leaves the challenge of the first
// fetch good, for the phone may be using it.
func TestNetworkTwice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNetworks(t, db)
		first, second := n.several(t, 3), n.several(t, 3)
		other := n.grant
		other.Profile = "11ee"
		if _, err := n.Challenges.Issue(t.Context(), other, 4); err != nil {
			t.Fatal(err)
		}
		for _, c := range append(second, first...) {
			n.redeemed(t, "a challenge of one of two fetches", c)
		}
	})
}

// TestNetworkLimit: beyond the limit the oldest give way, those of other enrolments and
// unused ones within the limit stay, and expired ones take nobody's place.
func TestNetworkLimit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNetworks(t, db)
		oldest, rest := n.several(t, 2), n.several(t, credential.MaxChallenges-2)
		n.several(t, 2)
		for _, c := range oldest {
			n.worthless(t, "the oldest of too many", c)
		}
		for _, c := range rest {
			if _, err := n.Lookup(t.Context(), c); err != nil {
				t.Fatalf("a challenge within the limit: %v", err)
			}
		}
		for _, count := range []int{0, -1, credential.MaxChallenges + 1} {
			if got, err := n.Challenges.Issue(t.Context(), n.grant, count); ward.KindOf(err) != ward.Invalid {
				t.Errorf("Issue(%d) = %d challenges, %v; want an error of kind invalid", count, len(got), err)
			}
		}
		enrolled := n.enrol(t, "d2", "U2")
		elsewhere := n.grant
		elsewhere.Device, elsewhere.Enrolment = "d2", enrolled
		if _, err := n.Challenges.Issue(t.Context(), elsewhere, credential.MaxChallenges); err != nil {
			t.Fatal(err)
		}
		n.redeemed(t, "a challenge, with another enrolment at its limit", rest[len(rest)-1])
	})
}

// enrol makes another device with an active enrolment.
func (f *fixture) enrol(t *testing.T, id ward.DeviceID, udid string) ward.EnrolmentID {
	t.Helper()
	d := ward.Device{ID: id, Serial: "S-" + string(id), Platform: ward.IOS, Ownership: ward.Corporate, State: ward.Managed, Created: f.now}
	if err := f.db.Fleet().InsertDevice(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return f.again(t, id, udid)
}

// again enrols a channel of a device, anew where it was enrolled.
func (f *fixture) again(t *testing.T, id ward.DeviceID, udid string) ward.EnrolmentID {
	t.Helper()
	r := &mdm.Request{EnrollID: &mdm.EnrollID{Type: mdm.Device, ID: udid}}
	r = r.WithContext(fleet.WithAdmission(t.Context(), fleet.Admission{Device: id}))
	if err := f.db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: mdm.Enrollment{UDID: udid}, Raw: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	if err := f.db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: mdm.Enrollment{UDID: udid}, Push: mdm.Push{PushMagic: "m", Token: []byte{1}}, Raw: []byte("t")}); err != nil {
		t.Fatal(err)
	}
	e, err := f.db.Fleet().Latest(t.Context(), udid)
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

// TestNetworkEnrolment: a challenge dies with its enrolment, also where the device has
// another one by then.
func TestNetworkEnrolment(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNetworks(t, db)
		old := n.challenge(t)
		anew := n.again(t, "d1", "U1")
		if anew == n.grant.Enrolment {
			t.Fatalf("the device has the same enrolment %s again", anew)
		}
		n.worthless(t, "a challenge of the enrolment before", old)
		n.grant.Enrolment = anew
		c := n.challenge(t)
		foreign := n.grant
		foreign.Device = n.deviceOf(t, n.enrol(t, "d2", "U2"))
		cs, err := n.Challenges.Issue(t.Context(), foreign, 1) // the enrolment is d1's
		if err != nil {
			t.Fatal(err)
		}
		n.worthless(t, "a challenge of another device's enrolment", cs[0])
		n.redeemed(t, "a challenge of the enrolment now", c)
		ended := n.challenge(t)
		if err := db.Fleet().EndEnrolment(t.Context(), anew, "checked out"); err != nil {
			t.Fatal(err)
		}
		n.worthless(t, "a challenge of an ended enrolment", ended)
	})
}

func (f *fixture) deviceOf(t *testing.T, id ward.EnrolmentID) ward.DeviceID {
	t.Helper()
	e, err := f.db.Fleet().Enrolment(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return e.Device
}

// TestNetworkLost: a device that is lost, away or not sorted yet gets none, and what
// revokes its certificates takes its open challenges too.
func TestNetworkLost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNetworks(t, db)
		set := func(s ward.DeviceState) {
			t.Helper()
			if err := db.Fleet().SetDeviceState(t.Context(), "d1", s); err != nil {
				t.Fatal(err)
			}
		}
		c := n.challenge(t)
		for _, s := range []ward.DeviceState{ward.Lost, ward.Unenrolled, ward.Erased, ward.Invited} {
			set(s)
			n.worthless(t, "a device that is "+string(s), c)
		}
		set(ward.Managed)
		group := func(g string) {
			t.Helper()
			d, err := db.Fleet().Device(t.Context(), "d1")
			if err != nil {
				t.Fatal(err)
			}
			d.Group = g
			if err := db.Fleet().UpdateDevice(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		group(fleet.QuarantineGroup)
		n.worthless(t, "a device in quarantine", c)
		group("Ward 7")
		n.redeemed(t, "the challenge once nothing is in its way", c)
		c = n.challenge(t)
		token := n.fixture.issue(t)
		if err := db.AppTokens().Void(t.Context(), "d1"); err != nil {
			t.Fatal(err)
		}
		n.worthless(t, "a challenge made void", c)
		n.fixture.refused(t, "a token made void", token)
	})
}

// TestNetworkOnce: of many at once one is spent, and one whose unit of work fails is not.
func TestNetworkOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNetworks(t, db)
		c := n.challenge(t)
		boom := errors.New("boom")
		if err := db.Do(t.Context(), func(ctx context.Context) error {
			return errors.Join(n.Redeem(ctx, c, "1"), boom)
		}); !errors.Is(err, boom) {
			t.Errorf("the unit of work = %v, want %v", err, boom)
		}
		n.audit.err = boom
		if err := n.Redeem(t.Context(), c, "1"); !errors.Is(err, boom) {
			t.Errorf("Redeem() without an audit log = %v, want %v", err, boom)
		}
		n.audit.err = nil
		var wg sync.WaitGroup
		var got atomic.Int64
		for range 16 {
			wg.Go(func() {
				switch err := n.Redeem(t.Context(), c, "1"); ward.KindOf(err) {
				case "":
					got.Add(1)
				case ward.Forbidden:
				default:
					t.Errorf("Redeem() = %v, want success or forbidden", err)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 {
			t.Errorf("%d of 16 spent the challenge, want 1", got.Load())
		}
	})
}

// TestNetworkDelivered: many deliveries at once leave no more challenges open than the
// limit.
func TestNetworkDelivered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNetworks(t, db)
		all := make([][]string, 8)
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() {
				var err error
				if all[i], err = n.Challenges.Issue(t.Context(), n.grant, credential.MaxChallenges/4); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		open := 0
		for _, cs := range all {
			for _, c := range cs {
				if _, err := n.Lookup(t.Context(), c); err == nil {
					open++
				}
			}
		}
		if open != credential.MaxChallenges {
			t.Errorf("%d challenges are open, want %d", open, credential.MaxChallenges)
		}
	})
}

// judgement refuses what it is told to.
type judgement struct{ err error }

func (j *judgement) Deserves(context.Context, ward.DeviceID, string) error { return j.err }

// TestPurposes: what each purpose asks of a device, and what a report of loss leaves open.
func TestPurposes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		n := newNetworks(t, db)
		j := &judgement{}
		n.Judge = j
		issue := func(p credential.Purpose) string {
			t.Helper()
			n.grant = credential.ChallengeGrant{Purpose: p, Device: "d1", Enrolment: n.grant.Enrolment, Attested: p != credential.ForNetwork}
			switch p {
			case credential.ForNetwork:
				n.grant.Profile = "00ff"
			case credential.ForApp:
				n.grant.App = "org.example.chat"
			case credential.ForIdentity:
				n.grant.RenewedFrom = "7"
			}
			c := n.challenge(t)
			if !strings.HasPrefix(c, string(p)+"-") || !credential.IsChallenge(c) {
				t.Errorf("the challenge %q has not the form of one for %s", c, p)
			}
			return c
		}
		set := func(s ward.DeviceState) {
			t.Helper()
			if err := db.Fleet().SetDeviceState(t.Context(), "d1", s); err != nil {
				t.Fatal(err)
			}
		}
		j.err = ward.Errorf(ward.Forbidden, "It has no passcode.")
		app := issue(credential.ForApp)
		n.worthless(t, "one for an app of a device that does not deserve it", app)
		n.redeemed(t, "one for a network of such a device", issue(credential.ForNetwork))
		n.redeemed(t, "one for the identity of such a device", issue(credential.ForIdentity))
		j.err = nil
		issue(credential.ForApp)
		n.redeemed(t, "one for an app, once it does", app)
		app, identity := issue(credential.ForApp), issue(credential.ForIdentity)
		set(ward.Lost)
		n.worthless(t, "one for an app of a lost device", app)
		n.redeemed(t, "one for the identity of a lost device", identity)
		set(ward.Managed)
		network := issue(credential.ForNetwork)
		identity = issue(credential.ForIdentity)
		if err := db.AppTokens().Void(t.Context(), "d1"); err != nil {
			t.Fatal(err)
		}
		n.worthless(t, "one for an app made void", app)
		n.worthless(t, "one for a network made void", network)
		for _, s := range []ward.DeviceState{ward.Unenrolled, ward.Erased, ward.Invited} {
			set(s)
			n.worthless(t, "one for the identity of a device that is "+string(s), identity)
		}
		set(ward.Managed)
		n.now = n.now.Add(credential.IdentityLife - time.Microsecond)
		n.redeemed(t, "one for the identity in its last moment", identity)
	})
}

// TestIncompleteGrants: a grant that lacks what its purpose needs, or has what is
// another's, gets no challenge.
func TestIncompleteGrants(t *testing.T) {
	t.Parallel()
	n := &credential.Challenges{}
	for name, g := range map[string]credential.ChallengeGrant{
		"nothing":                       {},
		"no device":                     {Purpose: credential.ForApp, Enrolment: "e", App: "a"},
		"no enrolment":                  {Purpose: credential.ForApp, Device: "d", App: "a"},
		"an app without its name":       {Purpose: credential.ForApp, Device: "d", Enrolment: "e"},
		"an app with a profile":         {Purpose: credential.ForApp, Device: "d", Enrolment: "e", App: "a", Profile: "p"},
		"a network without its profile": {Purpose: credential.ForNetwork, Device: "d", Enrolment: "e"},
		"an identity that follows none": {Purpose: credential.ForIdentity, Device: "d", Enrolment: "e"},
		"an identity for an app":        {Purpose: credential.ForIdentity, Device: "d", Enrolment: "e", RenewedFrom: "1", App: "a"},
		"another purpose":               {Purpose: "server", Device: "d", Enrolment: "e", App: "a"},
	} {
		if got, err := n.Issue(t.Context(), g, 1); ward.KindOf(err) != ward.Internal {
			t.Errorf("%s: Issue() = %v, %v; want an internal error", name, got, err)
		}
	}
}
