package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestActivations(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, now := db.Activations(), time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
		made := func(challenge, ek string) ca.Activation {
			return ca.Activation{
				Challenge: challenge, Secret: []byte{1, 0, 2}, AK: []byte{3}, EK: ek,
				Manufacturer: "id:00001014", Model: "swtpm", Firmware: "1.2", Expires: now.Add(time.Minute),
			}
		}
		keep := func(a ca.Activation, at time.Time) {
			t.Helper()
			if err := s.KeepActivation(t.Context(), a, at); err != nil {
				t.Fatalf("KeepActivation(%s): %v", a.Challenge, err)
			}
		}
		gone := func(challenge string) {
			t.Helper()
			if a, err := s.TakeActivation(t.Context(), challenge); ward.KindOf(err) != ward.NotFound {
				t.Errorf("TakeActivation(%s) = %+v, %v; want NotFound", challenge, a, err)
			}
		}
		gone("a")
		keep(made("a", "ek:1"), now)
		keep(made("a", "ek:2"), now) // asked again
		keep(made("b", "ek:3"), now)
		got, err := s.TakeActivation(t.Context(), "a")
		if diff := cmp.Diff(made("a", "ek:2"), got); err != nil || diff != "" {
			t.Errorf("TakeActivation(a): %v, mismatch (-want +got):\n%s", err, diff)
		}
		gone("a")
		late := made("c", "ek:4")
		late.Expires = now.Add(time.Hour)
		keep(late, now.Add(time.Minute)) // by when b has ended
		gone("b")
		if _, err := s.TakeActivation(t.Context(), "c"); err != nil {
			t.Errorf("TakeActivation(c): %v", err)
		}
	})
}

// TestTakeActivationOnce: of many who answer at once one is heard.
func TestTakeActivationOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, now := db.Activations(), time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
		if err := s.KeepActivation(t.Context(), ca.Activation{Challenge: "a", Secret: []byte{1}, AK: []byte{2}, EK: "ek:1", Expires: now.Add(time.Minute)}, now); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { _, errs[i] = s.TakeActivation(t.Context(), "a") })
		}
		wg.Wait()
		heard := 0
		for _, err := range errs {
			switch ward.KindOf(err) {
			case "":
				heard++
			case ward.NotFound:
			default:
				t.Errorf("TakeActivation: %v", err)
			}
		}
		if heard != 1 {
			t.Errorf("%d were heard, want 1", heard)
		}
	})
}

func TestClaimAttestationRoot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := db.Activations()
		if h, err := s.AttestationRoot(t.Context()); h != "" || err != nil {
			t.Errorf("AttestationRoot() = %q, %v before there is one", h, err)
		}
		for _, hash := range []string{"first", "second"} {
			if h, err := s.ClaimAttestationRoot(t.Context(), hash); h != "first" || err != nil {
				t.Errorf("ClaimAttestationRoot(%s) = %q, %v; want the first", hash, h, err)
			}
		}
		if h, err := s.AttestationRoot(t.Context()); h != "first" || err != nil {
			t.Errorf("AttestationRoot() = %q, %v", h, err)
		}
	})
}
