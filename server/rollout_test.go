package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/policy"
)

// TestRollout takes a version through its rings with phones that carry it out: what the
// canaries make of it decides whether the others get it.
func TestRollout(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		canary := w.phone(t, "C", func(o *virtual.Options) { o.Supervised = true })
		old := w.phone(t, "O", func(o *virtual.Options) { o.Supervised, o.OSVersion = true, "15.8" }) // it knows no declarations
		other := w.phone(t, "X", func(o *virtual.Options) { o.Supervised = true })
		for p, group := range map[*virtual.Phone]string{canary: "Canaries", old: "Canaries", other: "Ward 7"} {
			inv := w.invite(t, ward.Corporate, func(r *enrollment.Request) { r.Group = group })
			if err := p.Enrol(t.Context(), w.InviteURL(inv.Token)); err != nil {
				t.Fatal(err)
			}
			w.on(t, p)
		}
		first := strings.Replace(string(profiles.ExamplePolicy()), "mode: deny-list\n", "mode: deny-list\n  except: [whatsapp]\n", 1)
		if _, err := w.Policy.Publish(w.ctx, []byte(first)); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*virtual.Phone{canary, old, other} {
			await(t, p, "the first policy", func(p *virtual.Phone) bool { return p.ProfileInstalled(profiles.MessagingProfile) })
			eventually(t, "its supervision", func() bool { return w.show(t, p.Serial()).Supervised == ward.Supervised })
		}
		v, err := w.Policy.Submit(w.ctx, policy.Draft{Text: profiles.ExamplePolicy(), Rings: policy.Rings{Canary: []string{"Canaries"}, Pause: time.Hour}})
		if err != nil || v.State != policy.Rolling || v.Changed != 3 {
			t.Fatalf("Submit() = %s, changes %d, %v", v.State, v.Changed, err)
		}
		for _, p := range []*virtual.Phone{canary, old} {
			await(t, p, "the second policy", blocksWhatsApp)
		}
		eventually(t, "the canaries to be done", func() bool {
			r, err := w.Policy.Rollout(w.ctx)
			if err != nil {
				t.Fatal(err)
			}
			return r.Rings[0].Done == 2 && r.Rings[0].Failed == 0 && r.Rings[1].Devices == 1
		})
		if blocksWhatsApp(other) {
			t.Error("a phone outside the open ring has the new version")
		}
		if err := w.Policy.Advance(ward.WithActor(context.WithoutCancel(w.ctx), ward.System), time.Now().Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		await(t, other, "the second policy in the last ring", blocksWhatsApp)
		if _, err := w.Policy.Rollback(w.ctx, 0, "pagers fell silent"); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*virtual.Phone{canary, old, other} {
			await(t, p, "the way back", func(p *virtual.Phone) bool { return !blocksWhatsApp(p) })
		}
	})
}

func blocksWhatsApp(p *virtual.Phone) bool { return p.CanLaunch(whatsApp) != nil }
