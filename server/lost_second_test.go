package server

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/lost"
)

var lostDevices = flag.Int("lost-devices", 30, "how many devices TestLostWithinASecond reports lost: half connected, half away")

// reportMany lets one person report a whole fleet.
func reportMany(c *Config) { c.Brake.PerPerson, c.Brake.Installation = 10_000, 10_000 }

// locks are the commands by which a lost device is locked.
var locks = []string{"EnableLostMode", "DeviceLock"}

// sorts are devices of every sort that a case treats in its own way.
func sorts(i int, o *virtual.Options) (ward.Ownership, ward.Platform) {
	switch i % 5 {
	case 3:
		return ward.Personal, ward.IOS
	case 4:
		o.Model, o.OSVersion, o.Supervised = "Mac16,1", "26.1", true
		return ward.Corporate, ward.MacOS
	}
	o.Supervised = i%5 != 2
	return ward.Corporate, ward.IOS
}

// percentile returns the time within which the share of all were done.
func percentile(all []time.Duration, share float64) time.Duration {
	slices.Sort(all)
	return all[min(len(all)-1, int(share*float64(len(all))))]
}

// TestLostWithinASecond: a device that is connected is locked as soon as it is reported, and
// one that was away is given its lock before all else that waits for it. How long that takes
// is told, and asserted nowhere: the machine may be busy.
func TestLostWithinASecond(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		n := *lostDevices
		if testing.Short() {
			n = min(n, 10)
		}
		w := start(t, url, reportMany)
		herd := w.herd(t, n, sorts)
		connected, away := herd[:n/2], herd[n/2:]
		for _, v := range connected {
			w.on(t, v.Phone)
		}
		var took, returned []time.Duration
		for _, v := range connected {
			began := w.now()
			w.reports(t, v)
			await(t, v.Phone, "its lock", func(p *virtual.Phone) bool { return asked(p, locks[0])+asked(p, locks[1]) > 0 })
			eventually(t, "the answer to its lock", func() bool { _, ok := w.locked(t, v); return ok })
			at, _ := w.locked(t, v)
			took = append(took, at.Sub(began))
		}
		for i, v := range away {
			if i%2 == 0 { // something waits already
				if err := w.Devices.Refresh(w.ctx, v.id); err != nil {
					t.Fatal(err)
				}
			}
			w.reports(t, v)
			before := len(v.Log())
			began := w.now()
			if err := v.CheckIn(context.WithoutCancel(t.Context())); err != nil && v.Enrolled() {
				t.Fatal(err)
			}
			log := v.Log()[before:]
			if len(log) == 0 || !slices.Contains(locks, log[0].RequestType) {
				t.Errorf("the first command that %s, %s, got when it came back is in %s, want its lock", v.Serial(), v.Platform(), did(log))
			}
			at, ok := w.locked(t, v)
			returned = append(returned, at.Sub(began))
			if !ok {
				t.Errorf("%s came back, and its case does not know that it took its lock", v.Serial())
			}
		}
		t.Logf("report to lock acknowledged, %d devices connected: median %s, p99 %s; %d away: coming back to lock acknowledged p99 %s",
			len(connected), percentile(took, 0.5), percentile(took, 0.99), len(away), percentile(returned, 0.99))
	})
}

func did(log []virtual.Entry) (s string) {
	for _, e := range log {
		s += e.RequestType + " "
	}
	return fmt.Sprintf("%q", s)
}

// reports reports a device stolen.
func (w *world) reports(t testing.TB, v victim) {
	t.Helper()
	if _, err := w.Lost.Report(w.ctx, lost.Report{Devices: []ward.DeviceID{v.id}, Kind: lost.Stolen}); err != nil {
		t.Fatal(err)
	}
}

// locked says when a device accepted its lock; false if it has not.
func (w *world) locked(t testing.TB, v victim) (time.Time, bool) {
	t.Helper()
	all, err := w.queue.List(w.ctx, v.e.ID, 0, 50)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if slices.Contains(locks, c.RequestType) && c.State == "accepted" {
			return c.Answered, true
		}
	}
	return time.Time{}, false
}
