package declare

import (
	"context"
	"errors"
	"fmt"

	"github.com/wardmdm/ward"
)

// Documents gives devices what their declarations refer to.
type Documents interface {
	// Document returns a document with the device's own values in it. A *ward.Error of kind
	// NotFound means that the device should not have it, one of kind Forbidden that it may
	// not have it now, with the reason.
	Document(ctx context.Context, d ward.Device, e ward.Enrolment, hash string) (contentType string, body []byte, err error)
}

var errNoDocuments = errors.New("no document is served here")

// Document returns a document with the device's own values in it, for the three parts of its
// link. Whatever is wrong with the link is a *ward.Error of kind NotFound; one of kind
// Forbidden says why the device may not have the document now.
func (s *Service) Document(ctx context.Context, enrolment, hash, mac string) (contentType string, body []byte, err error) {
	id := ward.EnrolmentID(enrolment)
	if s.papers == nil {
		return "", nil, errNoProfile(errNoDocuments)
	}
	if !s.links.ProvesDocument(id, hash, mac) {
		return "", nil, errNoProfile(errLink)
	}
	e, err := s.fleet.Enrolment(ctx, id)
	if err != nil {
		return "", nil, face(err)
	}
	if e.State != ward.EnrolmentActive || e.Device == "" {
		return "", nil, errNoProfile(errEnded)
	}
	d, err := s.fleet.Device(ctx, e.Device)
	if err != nil {
		return "", nil, face(err)
	}
	ctx = ward.WithActor(ctx, ward.Actor{Name: string(d.ID), Via: ward.ViaDevice, Device: d.ID})
	contentType, body, err = s.papers.Document(ctx, d, e, hash)
	switch ward.KindOf(err) {
	case "":
		return contentType, body, nil
	case ward.NotFound:
		return "", nil, errNoProfile(err)
	case ward.Forbidden:
		return "", nil, err
	default:
		return "", nil, fmt.Errorf("document %s for %s: %w", hash, id, err)
	}
}
