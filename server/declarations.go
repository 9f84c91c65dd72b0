package server

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/unit"
)

// openDeclarations puts declarative management on the loop's view of what is wanted.
func (s *Server) openDeclarations(master *seal.Master) (_ *declare.Service, err error) {
	wanted := declared{s.Loop, s.fleet}
	s.declared, err = declare.New(declare.Options{
		Wanted: wanted, Binder: s.binder(), Documents: documents{wanted, s.challenges(), s.binder(), s.Authority}, Fleet: s.fleet, Reports: s.db.Declarations(), Replan: s.Loop.Replan,
		ServerURL: s.config.PublicURL, Key: master.Derive("declared profiles"), Now: s.now,
	})
	return s.declared, err
}

// declared tells of an enrolment what the loop wants of it by declarations.
type declared struct {
	loop  *reconcile.Loop
	fleet store.Fleet
}

var _ declare.Wanted = declared{}

func (d declared) want(ctx context.Context, id ward.EnrolmentID) (profiles.State, error) {
	e, err := d.fleet.Enrolment(ctx, id)
	if err != nil || e.Device == "" {
		return profiles.State{}, err
	}
	device, err := d.fleet.Device(ctx, e.Device)
	if err != nil {
		return profiles.State{}, err
	}
	if device.Group == fleet.QuarantineGroup {
		return profiles.State{}, ward.Errorf(ward.NotFound, "This device waits for a person to sort it, and is told nothing until then.")
	}
	return d.loop.Wanted(ctx, device, e)
}

// Wanted meets declare.Wanted.
func (d declared) Wanted(ctx context.Context, id ward.EnrolmentID) (declare.Set, error) {
	want, err := d.want(ctx, id)
	if err != nil || want.DeclarationsToken == "" {
		return declare.NewSet(nil), err
	}
	set := declare.Set{Token: want.DeclarationsToken, Items: make([]declare.Item, len(want.Declarations))}
	for i, w := range want.Declarations {
		set.Items[i] = declare.Item{Identifier: w.Identifier, Type: w.Type, Token: w.Token, Payload: w.Payload}
	}
	return set, nil
}

// Profile meets declare.Wanted.
func (d declared) Profile(ctx context.Context, id ward.EnrolmentID, hash string) ([]byte, error) {
	want, err := d.want(ctx, id)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(want.Profiles, func(p profiles.Profile) bool { return p.Declared && p.Hash == hash })
	if i < 0 {
		return nil, ward.Errorf(ward.NotFound, "This device should not have such a profile.")
	}
	return want.Profiles[i].Payload, nil
}

// keeper keeps what a policy comes to on each class of device, once.
type keeper struct {
	db   store.Declarations
	done sync.Map // of generation and class
}

func (k *keeper) keep(ctx context.Context, v reconcile.View) error {
	key := [2]string{strconv.FormatInt(v.Generation, 10), v.Want.Class}
	if _, ok := k.done.Load(key); ok {
		return nil
	}
	var all []declare.Artifact
	for _, p := range v.Shared.Profiles {
		all = append(all, declare.NewArtifact(declare.ProfileArtifact, p.Payload))
	}
	for _, d := range v.Shared.Declarations {
		all = append(all, declare.NewArtifact(declare.DeclarationArtifact, d.Payload))
	}
	if err := k.db.Put(ctx, v.Generation, all); err != nil {
		return err
	}
	unit.AfterCommit(ctx, func() { k.done.Store(key, true) })
	return nil
}
