package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/reconcile"
)

// TestExceptionEnds: an exception lets an app run on the devices of its ward, and when
// its last day is over the block comes back by itself.
func TestExceptionEnds(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	p := w.phone(t, "S", func(o *virtual.Options) { o.Supervised = true })
	w.enrol(t, p, ward.Corporate)
	w.on(t, p)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	text := string(profiles.ExamplePolicy()) + fmt.Sprintf("\nexceptions:\n  - {id: EX-1, app: whatsapp, for: {ward: Ward 7}, who: a, reason: Families abroad, approver: c, from: %s, expires: %s, review: d}\n",
		today.AddDate(0, 0, -1).Format(time.DateOnly), today.AddDate(0, 0, 1).Format(time.DateOnly))
	if _, err := w.Policy.Publish(w.ctx, []byte(text)); err != nil {
		t.Fatal(err)
	}
	await(t, p, "the messaging profile", func(p *virtual.Phone) bool { return p.ProfileInstalled(profiles.MessagingProfile) })
	if err := p.CanLaunch(whatsApp); err != nil {
		t.Errorf("under the exception WhatsApp does not launch: %v", err)
	}
	if d := w.show(t, p.Serial()); len(d.View.Want.Excepted) != 1 {
		t.Errorf("the device's page tells of %d exceptions, want one", len(d.View.Want.Excepted))
	}
	w.clock.forward(48 * time.Hour)
	w.PlanSoon()
	await(t, p, "the block of WhatsApp once the exception is over", func(p *virtual.Phone) bool { return p.CanLaunch(whatsApp) != nil })
	if err := w.Policy.TellEnded(w.ctx, w.clock.now()); err != nil {
		t.Fatal(err)
	}
}

// TestDriftIsPutRight: an app that its owner deletes is found to be gone, counted, and
// installed again.
func TestDriftIsPutRight(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		p := w.phone(t, "C", nil)
		id := w.enrol(t, p, ward.Corporate)
		w.on(t, p)
		text := strings.Replace(string(profiles.ExamplePolicy()), "required: true", "required: false", 1)
		if _, err := w.Policy.Publish(w.ctx, []byte(text)); err != nil {
			t.Fatal(err)
		}
		await(t, p, "the app", hasToken)
		eventually(t, "Ward's knowledge of the app", func() bool {
			v := w.show(t, p.Serial()).View
			return len(v.Want.Apps) == 1 && v.HasApp(v.Want.Apps[0])
		})
		if !p.RemoveByUser(messenger) {
			t.Fatal("the app can't be deleted, though it is not required")
		}
		if err := w.Devices.Refresh(w.ctx, id); err != nil {
			t.Fatal(err)
		}
		open := func() []policy.Drift {
			all, err := w.Policy.Drifted(w.ctx, policy.DriftFilter{Device: id, Kind: string(reconcile.DriftedApp), Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		eventually(t, "the drift", func() bool {
			all := open()
			return len(all) == 1 && all[0].Subject == messenger && all[0].Righted.IsZero()
		})
		w.clock.forward(25 * time.Hour) // an app that was declined is not asked for sooner
		w.PlanSoon()
		await(t, p, "the app again", func(p *virtual.Phone) bool { _, managed := p.AppInstalled(messenger); return managed })
		eventually(t, "the end of the drift", func() bool { all := open(); return len(all) == 1 && !all[0].Righted.IsZero() })
	})
}

// TestDroppedApp: an app that the policy approves no longer is taken off the phone.
func TestDroppedApp(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	p := w.phone(t, "S", func(o *virtual.Options) { o.Supervised = true })
	w.enrol(t, p, ward.Corporate)
	w.on(t, p)
	if _, err := w.Policy.Publish(w.ctx, profiles.ExamplePolicy()); err != nil {
		t.Fatal(err)
	}
	await(t, p, "the app", hasToken)
	eventually(t, "Ward's knowledge of the app", func() bool {
		v := w.show(t, p.Serial()).View
		return len(v.Want.Apps) == 1 && v.HasApp(v.Want.Apps[0])
	})
	text := "name: Messaging\nblock: {categories: [consumer-messaging], reason_without_alternative: none is bought yet}\n"
	if _, err := w.Policy.Publish(w.ctx, []byte(text)); err != nil {
		t.Fatal(err)
	}
	await(t, p, "a phone without the app", func(p *virtual.Phone) bool { there, _ := p.AppInstalled(messenger); return !there })
	if there, _ := p.AppInstalled(photos); !there {
		t.Error("an app of the person's own is gone too")
	}
}
