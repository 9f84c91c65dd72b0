package seed_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/seed"
)

// memory is a record in memory.
type memory struct {
	full    bool
	devices []seed.Device
	changes []estate.KeptChange
	frames  []time.Time
}

func (m *memory) Empty(context.Context) (bool, error) { return !m.full, nil }
func (m *memory) AddDevices(_ context.Context, all []seed.Device) error {
	m.devices = append(m.devices, all...)
	return nil
}

func (m *memory) AddDay(_ context.Context, changes []estate.KeptChange, at time.Time, frame []byte, _ map[estate.Cut]estate.Day) error {
	m.changes = append(m.changes, changes...)
	if frame != nil {
		m.frames = append(m.frames, at)
	}
	return nil
}
func (m *memory) AddPostures(context.Context, []seed.Posture, time.Time) error { return nil }
func (m *memory) Finish(context.Context) error                                 { return nil }

func options(t *testing.T) seed.Options {
	t.Helper()
	p, err := profiles.Parse(seed.Policy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return seed.Options{Devices: 3000, Days: 90, Sites: 4, Groups: 30, Random: 5, Now: time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC), Policy: p, Generation: 1, Epoch: 1}
}

// TestRun: the fleet is as large, as old and as wrong as it is said to be, in the order of
// time, and the same number makes the same.
func TestRun(t *testing.T) {
	t.Parallel()
	o, m, again := options(t), &memory{}, &memory{}
	sum, err := seed.Run(t.Context(), o, m)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.devices) != o.Devices || len(m.frames) != o.Days+1 || len(m.changes) != sum.Changes {
		t.Errorf("%d devices, %d frames, %d changes; want %d, %d, %d", len(m.devices), len(m.frames), len(m.changes), o.Devices, o.Days+1, sum.Changes)
	}
	share := func(s compliance.State) float64 { return float64(sum.States[s]) / float64(o.Devices) }
	if u, bad := share(compliance.Unknown), share(compliance.NonCompliant); u < 0.03 || u > 0.08 || bad < 0.03 || bad > 0.12 || share(compliance.Compliant) < 0.7 {
		t.Errorf("the shares of states are %v of %d", sum.States, o.Devices)
	}
	if year := float64(sum.Changes-o.Devices) / float64(o.Devices) * 365 / float64(o.Days); year < 4 || year > 11 {
		t.Errorf("%.1f changes a device and year, want about 7", year)
	}
	for i, c := range m.changes {
		if i > 0 && c.At.Before(m.changes[i-1].At) || c.At.After(o.Now) {
			t.Fatalf("change %d of %d is of %s, out of order", i, len(m.changes), c.At)
		}
		for _, d := range m.devices[:3] {
			if d.Email != "" && strings.Contains(c.Body, d.Email) {
				t.Errorf("a change names a person: %s", c.Body)
			}
		}
	}
	for _, d := range m.devices {
		if d.Enrolment.State == ward.EnrolmentActive && !d.Check.After(o.Now) {
			t.Fatalf("%s is to be planned at %s, at once", d.ID, d.Check)
		}
	}
	second, err := seed.Run(t.Context(), o, again)
	if err != nil || second.Changes != sum.Changes || second.Spans != sum.Spans || again.devices[7].Serial != m.devices[7].Serial {
		t.Errorf("the same number made %+v, %v; want %+v", second, err, sum)
	}
}

// TestRefused: a record that is not empty, and numbers that make no sense.
func TestRefused(t *testing.T) {
	t.Parallel()
	o := options(t)
	if _, err := seed.Run(t.Context(), o, &memory{full: true}); ward.KindOf(err) != ward.Conflict {
		t.Errorf("a full record: %v, want a conflict", err)
	}
	o.Devices, o.Sites = 0, -1
	m := &memory{}
	_, err := seed.Run(t.Context(), o, m)
	if ward.KindOf(err) != ward.Invalid || len(m.devices) > 0 {
		t.Errorf("no devices at no site: %v, want invalid", err)
	}
}
