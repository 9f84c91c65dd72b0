package virtual_test

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

// certificate is the present identity of a phone.
func certificate(t *testing.T, p *virtual.Phone) []byte {
	t.Helper()
	i, err := p.ManagementIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return i.Leaf.Raw
}

// anew is the enrolment profile of s, changed by edit, as a command delivers it.
func anew(t *testing.T, s *trialserver.Server, sign bool, edit func(mdm, identity dict)) dict {
	t.Helper()
	next := s.Profile()
	if edit != nil {
		list := next["PayloadContent"].([]any)
		edit(list[2].(dict), list[1].(dict))
	}
	b, err := agent.EncodePlist(next)
	if err == nil && sign {
		b, err = s.Sign(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dict{"Payload": b}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		how   virtual.Renewal
		tls   bool
		acme  bool
		sign  bool
		after []string // check-ins
	}{
		{"quiet", virtual.RenewQuietly, false, false, true, []string{"TokenUpdate"}},
		{"by TLS", virtual.RenewQuietly, true, false, false, []string{"TokenUpdate"}},
		{"from SCEP to ACME", virtual.RenewQuietly, false, true, true, []string{"TokenUpdate"}},
		{"by TLS to ACME", virtual.RenewQuietly, true, true, true, []string{"TokenUpdate"}},
		{"announced", virtual.RenewAnnounced, false, false, true, []string{"Authenticate", "TokenUpdate"}},
		{"announced by TLS", virtual.RenewAnnounced, true, false, true, []string{"Authenticate", "TokenUpdate"}},
		{"announced late", virtual.RenewAnnouncedLate, false, false, true, []string{"Authenticate", "TokenUpdate"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			s.SignMessage = !tc.tls
			p := enrolled(t, s, func(o *virtual.Options) { o.Renewal = tc.how })
			first := certificate(t, p)
			s.Do(t, udid, "ProfileList", nil)
			if tc.acme {
				byACME(s, nil)
			}
			if got := verdict(s.Do(t, udid, "InstallProfile", anew(t, s, tc.sign, nil))); got != "Acknowledged" {
				t.Fatalf("InstallProfile = %v, want Acknowledged", got)
			}
			second := certificate(t, p)
			if bytes.Equal(first, second) {
				t.Fatal("the identity is the old one")
			}
			want := append([]string{"Authenticate", "TokenUpdate"}, tc.after...)
			if diff := cmp.Diff(want, s.AwaitCheckins(t, udid, len(want))); diff != "" {
				t.Errorf("check-ins mismatch (-want +got):\n%s", diff)
			}
			s.Do(t, udid, "ProfileList", nil)
			// The trial server takes the old identity no more once it has seen the new one.
			if diff := cmp.Diff([][]byte{first, second}, s.Shown(udid)); diff != "" {
				t.Errorf("identities in order mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRenewalRefused(t *testing.T) {
	t.Parallel()
	personal := ward.RightsPersonal
	for _, tc := range []struct {
		name string
		edit func(mdm, identity dict)
		want uint64
	}{
		{"no certificate", func(_, i dict) { i["PayloadContent"].(dict)["Challenge"] = "spent" }, 22013},
		{"more rights", func(m, _ dict) { m["AccessRights"] = int(ward.RightsAll) }, 12012},
		{"another topic", func(m, _ dict) { m["Topic"] = "com.apple.mgmt.other" }, 12012},
		{"another address for check-ins", func(m, _ dict) { m["CheckInURL"] = "https://127.0.0.1/other" }, 12012},
		{"a managed Apple account", func(m, _ dict) { m["AssignedManagedAppleID"] = "nurse@example.org" }, 12012},
		{"channels of persons", func(m, _ dict) { m["ServerCapabilities"] = []any{"com.apple.mdm.per-user-connections"} }, 12012},
		{"an identity that is not there", func(m, _ dict) { m["IdentityCertificateUUID"] = "U-9" }, 2002},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			s.Rights = personal
			p := enrolled(t, s, nil)
			before := certificate(t, p)
			if got := verdict(s.Do(t, udid, "InstallProfile", anew(t, s, true, tc.edit))); got != tc.want {
				t.Errorf("InstallProfile = %v, want %d", got, tc.want)
			}
			s.Do(t, udid, "ProfileList", nil)
			if !bytes.Equal(before, certificate(t, p)) || len(s.Shown(udid)) != 1 || p.AccessRights() != personal {
				t.Error("something of the old enrolment changed")
			}
		})
	}
}

func TestRenewalThatTheServerWillNotHear(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	var deaf atomic.Bool
	s.Intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/checkin" || !deaf.Load() {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	p := enrolled(t, s, func(o *virtual.Options) { o.Renewal = virtual.RenewAnnounced })
	before := certificate(t, p)
	deaf.Store(true)
	if got := verdict(s.Do(t, udid, "InstallProfile", anew(t, s, true, nil))); got != uint64(4001) {
		t.Errorf("InstallProfile = %v, want 4001", got)
	}
	if !bytes.Equal(before, certificate(t, p)) {
		t.Error("the identity changed though the server refused it")
	}
}

func TestRenewalThatLosesTheConnection(t *testing.T) {
	t.Parallel()
	for _, how := range []virtual.Renewal{virtual.RenewLostNew, virtual.RenewLostOld} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			p := enrolled(t, s, nil)
			first := certificate(t, p)
			s.Do(t, udid, "ProfileList", nil)
			p.SetRenewal(how)
			// It comes back by itself and is given the same command, which succeeds this time.
			if got := verdict(s.Do(t, udid, "InstallProfile", anew(t, s, true, nil))); got != "Acknowledged" {
				t.Fatalf("InstallProfile = %v, want Acknowledged", got)
			}
			s.Do(t, udid, "ProfileList", nil)
			shown, want := s.Shown(udid), 3
			if how == virtual.RenewLostOld {
				want = 2
			}
			if len(shown) != want || !bytes.Equal(shown[0], first) || !bytes.Equal(shown[want-1], certificate(t, p)) {
				t.Errorf("%d identities were shown, want %d: the first to begin with and the last at the end", len(shown), want)
			}
		})
	}
}
