package declare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
)

// Service answers devices that ask for their declarations and takes in their reports.
type Service struct {
	wanted  Wanted
	binder  Binder
	papers  Documents
	fleet   Fleet
	reports Reports
	replan  func(ctx context.Context, id ward.DeviceID) error
	links   Links
	now     func() time.Time
}

// Options are the parts of a Service; all but Documents are needed.
type Options struct {
	Wanted  Wanted
	Binder  Binder
	Fleet   Fleet
	Reports Reports
	// Documents gives devices what declarations refer to; nil: nothing does.
	Documents Documents
	// Replan plans a device anew, in the unit of work of ctx.
	Replan func(ctx context.Context, id ward.DeviceID) error
	// ServerURL is the public address of this server, without a slash at the end.
	ServerURL string
	// Key authenticates the links to profiles: 32 bytes that are not in the database, the
	// same in every copy of the server.
	Key []byte
	Now func() time.Time
}

// New returns a service.
func New(o Options) (*Service, error) {
	if o.Wanted == nil || o.Binder == nil || o.Fleet == nil || o.Reports == nil || o.Replan == nil || o.Now == nil {
		return nil, errors.New("declare: a part is missing")
	}
	links, err := NewLinks(o.ServerURL, o.Key)
	if err != nil {
		return nil, err
	}
	return &Service{wanted: o.Wanted, binder: o.Binder, papers: o.Documents, fleet: o.Fleet, reports: o.Reports, replan: o.Replan, links: links, now: o.Now}, nil
}

// Set returns what the enrolment should have. One with a mistake in it is an error.
func (s *Service) Set(ctx context.Context, id ward.EnrolmentID) (Set, error) {
	set, err := s.wanted.Wanted(ctx, id)
	if err != nil {
		return Set{}, fmt.Errorf("declarations of %s: %w", id, err)
	}
	if set.Token == "" {
		set = NewSet(set.Items)
	}
	if err := set.Check(); err != nil {
		return Set{}, fmt.Errorf("declarations of %s: %w", id, err)
	}
	return set, nil
}

// Declaration returns one declaration of a device with its own values in it. A
// *ward.Error of kind NotFound means that the device should not have it.
func (s *Service) Declaration(ctx context.Context, e ward.Enrolment, kind, identifier string) (Item, error) {
	set, err := s.Set(ctx, e.ID)
	if err != nil {
		return Item{}, err
	}
	i, ok := set.Item(identifier)
	if !ok || i.Kind() != kind {
		return Item{}, ward.Errorf(ward.NotFound, "This device should not have such a declaration.")
	}
	var d ward.Device
	if e.Device != "" {
		if d, err = s.fleet.Device(ctx, e.Device); err != nil {
			return Item{}, fmt.Errorf("declaration %s of %s: %w", identifier, e.ID, err)
		}
	}
	if i.Payload, err = s.bind(i.Payload, d, e); err != nil {
		return Item{}, fmt.Errorf("declaration %s of %s: %w", identifier, e.ID, err)
	}
	return i, nil
}

// errNoProfile has one face for everything that is wrong with a link, so that nobody
// learns from it which device, profile or proof there is.
func errNoProfile(why error) error {
	return ward.Errorf(ward.NotFound, "There is nothing here.").Because(why)
}

var (
	errLink  = errors.New("the link is not one of ours")
	errEnded = errors.New("the enrolment is not active")
)

// Profile returns a declared profile with the device's own values in it, for the three
// parts of its link. Whatever is wrong with the link is a *ward.Error of kind NotFound;
// any other error means that a good link could not be served now.
func (s *Service) Profile(ctx context.Context, enrolment, hash, mac string) ([]byte, error) {
	id := ward.EnrolmentID(enrolment)
	if !s.links.Proves(id, hash, mac) {
		return nil, errNoProfile(errLink)
	}
	e, err := s.fleet.Enrolment(ctx, id)
	if err != nil {
		return nil, face(err)
	}
	if e.State != ward.EnrolmentActive || e.Device == "" {
		return nil, errNoProfile(errEnded)
	}
	raw, err := s.wanted.Profile(ctx, id, hash)
	if err != nil {
		return nil, face(err)
	}
	d, err := s.fleet.Device(ctx, e.Device)
	if err != nil {
		return nil, face(err)
	}
	ctx = ward.WithActor(ctx, ward.Actor{Name: string(d.ID), Via: ward.ViaDevice, Device: d.ID})
	bound, err := s.binder.Bind(ctx, d, e, raw)
	if err != nil {
		return nil, fmt.Errorf("bind profile %s for %s: %w", hash, id, err)
	}
	return bound, nil
}

// face gives what is not there the one face, and leaves other errors as they are.
func face(err error) error {
	if ward.KindOf(err) == ward.NotFound {
		return errNoProfile(err)
	}
	return err
}
