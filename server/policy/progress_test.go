package policy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// ring returns what is told of a ring of the rollout under way.
func (w *world) ring(i int) policy.RingProgress {
	w.t.Helper()
	p, err := w.Rollout(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return p.Rings[i]
}

// TestHeldSinceBefore: a device that holds what a version brings from an earlier rollout
// is sent nothing again, and is done without an answer.
func TestHeldSinceBefore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, _ := rolling(t, db, canaries())
		w.answers("a1", command.Accepted)
		w.answers("a2", command.Accepted)
		if _, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: version("the same in other words", "signal"), Rings: canaries(), Replace: true}); err != nil {
			t.Fatal(err)
		}
		if r := w.ring(0); r.Done != 2 || r.Waiting != 0 {
			t.Errorf("devices that hold it already: %+v, want both done", r)
		}
		// One that took the version before again since has to answer anew.
		before := profiles.Desired(profiles.Subject{Device: ward.Device{ID: "a1", Platform: ward.IOS, Ownership: ward.Corporate, OSVersion: "18.6"}, Supervised: ward.Supervised, Rights: ward.RightsAll, Kind: "Device"}, parsed(t, version("first"), nil), now())
		w.declares("a1", before.Declarations, "valid")
		for _, key := range policy.Steps(&before) {
			w.answer("a1", key, command.Accepted)
		}
		if r := w.ring(0); r.Done != 1 || r.Waiting != 1 {
			t.Errorf("with one that took the version before again: %+v, want it waiting", r)
		}
	})
}

// TestAcceptedIsNotHeld: a device that accepted to look at its declarations has not
// taken them before it says so.
func TestAcceptedIsNotHeld(t *testing.T) {
	t.Parallel()
	w, _ := rolling(t, storetest.SQLite(t), canaries())
	st := w.wanted("a1")
	for _, key := range policy.Steps(&st) {
		w.answer("a1", key, command.Accepted)
	}
	if r := w.ring(0); r.Done != 0 || r.Waiting != 2 {
		t.Errorf("before it reports: %+v, want it waiting", r)
	}
	w.answers("a1", command.Accepted)
	if r := w.ring(0); r.Done != 1 {
		t.Errorf("once it reported: %+v, want it done", r)
	}
}

func parsed(t *testing.T, text []byte, files map[string][]byte) *profiles.Policy {
	t.Helper()
	p, err := profiles.Parse(text, files)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// root is a certificate in PEM that a Wi-Fi network is trusted by.
func root(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root"}, NotAfter: now().AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// TestRenewedNetwork: a device whose network certificate was renewed, or revoked, is
// brought its profile under another token. It is done when it holds that one.
func TestRenewedNetwork(t *testing.T) {
	t.Parallel()
	const life = 90 * 24 * time.Hour
	for name, tt := range map[string]struct {
		ahead   time.Duration
		revoked bool
	}{"renewed": {70 * 24 * time.Hour, false}, "revoked": {0, true}, "both": {70 * 24 * time.Hour, true}, "neither": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.SQLite(t))
			for _, id := range []ward.DeviceID{"a1", "a2", "b1"} {
				w.device(id, map[byte]string{'a': "Canaries", 'b': "Ward 7"}[id[0]], true)
			}
			w.at(tt.ahead)
			w.NetworkLife = life
			files := map[string][]byte{"root.pem": root(t)}
			text := func(ssid string) []byte {
				return append(version(ssid), "\nnetworks:\n  wifi: [{ssid: "+ssid+", server_names: [r.example.org], trusted_roots: root.pem}]\n"...)
			}
			for i, d := range []policy.Draft{{Text: text("Old"), Files: files}, {Text: text("New"), Files: files, Rings: canaries()}} {
				if _, err := w.Submit(w.as("ada", "1"), d); err != nil {
					t.Fatal(i, err)
				}
			}
			st, revoked := w.wanted("a1"), map[string]reconcile.Credential{}
			if tt.revoked {
				for i, p := range st.Profiles {
					if strings.Contains(string(p.Payload), "{{network.challenge}}") {
						c := ca.Certificate{Issuer: 1, Serial: fmt.Sprint(i), Hash: fmt.Sprint(i), Kind: ca.KindNetwork, Device: "a1", Enrolment: w.rows["a1"].ID, App: p.Hash, NotBefore: now(), NotAfter: now().Add(life), DER: []byte{1}, RevokedAt: now()}
						if err := w.db.Certificates().InsertCertificate(t.Context(), c); err != nil {
							t.Fatal(err)
						}
						revoked[p.Hash] = reconcile.Credential{Revoked: c.RevokedAt}
					}
				}
				if len(revoked) == 0 {
					t.Fatal("no profile brings a network certificate")
				}
			}
			own := reconcile.Stamped(st, revoked, w.rows["a1"].Enrolled, life, now().Add(tt.ahead))
			if stamped := own.DeclarationsToken != st.DeclarationsToken; stamped != (name != "neither") {
				t.Fatalf("the device's own token differs: %v", stamped)
			}
			w.takes("a2", st) // which is another's where something was renewed
			w.takes("a1", own)
			want := policy.RingProgress{Name: "Canaries", Open: true, Devices: 2, Done: 1, Waiting: 1}
			if tt.ahead == 0 { // nothing is renewed on the other
				want.Done, want.Waiting = 2, 0
			}
			if diff := cmp.Diff(want, w.ring(0)); diff != "" {
				t.Errorf("the ring mismatch (-want +got)\n%s", diff)
			}
			w.declares("a1", own.Declarations, "invalid")
			if r := w.ring(0); r.Failed != 1 {
				t.Errorf("with a declaration of its own refused: %+v", r)
			}
		})
	}
}

// takes has a device accept all steps of a state and say that it holds its declarations.
func (w *world) takes(id ward.DeviceID, st profiles.State) {
	w.t.Helper()
	for _, key := range policy.Steps(&st) {
		w.answer(id, key, command.Accepted)
	}
	w.declares(id, st.Declarations, "valid")
}

// TestSingleCanary: a canary group of one phone that fails stops the rollout, and so does
// all of a small ring; a single one of more does not.
func TestSingleCanary(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	for _, id := range []ward.DeviceID{"a1", "b1", "b2", "b3"} {
		w.device(id, map[byte]string{'a': "Canaries", 'b': "Ward 7"}[id[0]], true)
	}
	if _, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: version("first"), Rings: canaries()}); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	w.answers("a1", command.Refused)
	w.advance(at.Add(time.Minute))
	p, err := w.Rollout(t.Context())
	if err != nil || p.Version.State != policy.Stopped || p.Rollout.Reason != "1 of 1 devices failed" {
		t.Fatalf("after the only canary failed: %s, %q, %v", p.Version.State, p.Rollout.Reason, err)
	}
	w.answers("a1", command.Accepted)
	if _, err := w.Resume(w.as("ada", "1")); err != nil {
		t.Fatal(err)
	}
	w.advance(at.Add(pause + time.Hour))
	w.answers("b1", command.Refused)
	w.advance(at.Add(pause + time.Hour + time.Minute))
	if p, err = w.Rollout(t.Context()); err != nil || p.Version.State != policy.Rolling || p.Rings[1].Failed != 1 {
		t.Errorf("after one of four failed: %s, %+v, %v", p.Version.State, p.Rings, err)
	}
}

// TestRingsWithoutDevices: a canary group that does not exist is refused with the nearest
// that does, and a first ring without a device too; of a later one it is told.
func TestRingsWithoutDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	for _, id := range []ward.DeviceID{"a1", "a2"} {
		w.device(id, "Canaries", true)
	}
	for name, tt := range map[string]struct {
		rings policy.Rings
		want  string
	}{
		"misspelt":     {policy.Rings{Canary: []string{"Canarys"}}, `No enrolled device is in the canary group "Canarys". Did you mean "Canaries"?`},
		"another":      {policy.Rings{Canary: []string{"Canaries", "IT"}}, `No enrolled device is in the canary group "IT". There are Canaries.`},
		"too small":    {policy.Rings{Percent: []int{1}}, `The first ring, "to 1 %", would have no device: name a larger share, or a canary group.`},
		"another case": {policy.Rings{Canary: []string{"canaries"}}, `Did you mean "Canaries"?`},
	} {
		_, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: version("x"), Rings: tt.rings})
		if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want invalid with %q", name, err, tt.want)
		}
	}
	_, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: []byte("nonsense: 1\n"), Rings: policy.Rings{Canary: []string{"Canarys"}}})
	if err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "Canarys") {
		t.Errorf("mistakes of both sorts: %v, want all at once", err)
	}
	v, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: version("x"), Rings: canaries(50)})
	want := []string{`The ring "to 50 %" has no device: it is watched for nothing.`, `The ring "to 100 %" has no device: it is watched for nothing.`}
	if diff := cmp.Diff(want, v.Told); diff != "" || err != nil || v.State != policy.Rolling {
		t.Errorf("Submit() = %s, %v, mismatch (-want +got)\n%s", v.State, err, diff)
	}
}
