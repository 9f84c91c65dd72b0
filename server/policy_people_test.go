package server

import (
	"context"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/policy"
)

// TestAccountMadeToApprove: the administrator who makes a second account can't be two
// people by it.
func TestAccountMadeToApprove(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	w.Policy.People = accounts{w.Access}
	w.Policy.Rule = policy.Rule{Above: 0, From: 0}
	w.enrol(t, w.phone(t, "Y0", nil), ward.Corporate)
	v, err := w.Policy.Publish(w.ctx, profiles.ExamplePolicy())
	if err != nil || v.State != policy.Proposed {
		t.Fatalf("the policy is %s, %v; want it proposed", v.State, err)
	}
	digest, err := v.Digest()
	if err != nil {
		t.Fatal(err)
	}
	w.clock.forward(8 * 24 * time.Hour)
	z, err := w.Access.CreatePerson(ward.WithActor(w.ctx, ward.Actor{Name: "console", Via: ward.ViaConsole}), access.NewPerson{Name: "Z", Roles: ward.Roles})
	if err != nil {
		t.Fatal(err)
	}
	link, err := w.Access.CreateLink(ward.WithActor(w.ctx, ward.Actor{Name: "console", Via: ward.ViaConsole}), z.ID, access.LinkSetup, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Access.Redeem(w.ctx, link); err != nil {
		t.Fatal(err)
	}
	as := ward.WithActor(context.WithoutCancel(t.Context()), ward.Actor{Person: z.ID, Name: z.Name, Via: ward.ViaSession, Roles: ward.Roles})
	if _, err := w.Policy.Approve(as, v.Generation, digest); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("an account of a moment approves: %v, want Forbidden", err)
	}
	w.clock.forward(7*24*time.Hour + time.Second)
	if v, err = w.Policy.Approve(as, v.Generation, digest); err != nil || v.Approver != z.ID {
		t.Errorf("an account of a week: %+v, %v; want its approval", v, err)
	}
}
