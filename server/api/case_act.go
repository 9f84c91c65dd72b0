package api

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/wardmdm/ward"
)

func (s *server) soundCase(ctx context.Context, in *CasePath) (*reply[Queued], error) {
	c, err := s.Lost.Case(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return queued(c.Device)(s.Lost.Sound(ctx, in.ID))
}

type askLocationInput struct {
	CasePath
	Body struct {
		Purpose string `json:"purpose" doc:"What the location is needed for; kept with the case."`
	} `nameHint:"LocateRequest"`
}

// askLocation asks a lost device where it is.
func (s *server) askLocation(ctx context.Context, in *askLocationInput) (*reply[Queued], error) {
	c, err := s.Lost.Case(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return queued(c.Device)(s.Lost.LocateNow(ctx, in.ID, in.Body.Purpose))
}

// Location is where a lost device said it was.
type Location struct {
	Latitude  float64   `json:"latitude" doc:"Degrees north."`
	Longitude float64   `json:"longitude" doc:"Degrees east."`
	Accuracy  float64   `json:"accuracy" doc:"Metres; negative if the device could not tell."`
	At        time.Time `json:"at"`
	Received  time.Time `json:"received"`
}

type locationInput struct {
	CasePath
	Purpose string `query:"purpose" required:"true" minLength:"1" maxLength:"1000" doc:"What the location is needed for; kept with the case, and in the audit log."`
}

// location shows where a lost device was last.
func (s *server) location(ctx context.Context, in *locationInput) (*reply[Location], error) {
	l, err := s.Lost.ViewLocationFor(ctx, in.ID, in.Purpose)
	if err != nil {
		return nil, err
	}
	return answer(Location{Latitude: l.Lat, Longitude: l.Lon, Accuracy: l.Accuracy, At: l.At.UTC(), Received: l.Received.UTC()}), nil
}

// PINs are what a Mac was locked or erased with.
type PINs struct {
	Device ward.DeviceID `json:"device"`
	Items  []PIN         `json:"items" nullable:"false"`
}

// PIN is six digits that a Mac asks for.
type PIN struct {
	Use string `json:"use" doc:"What it is for: lost case, lock order, erase order."`
	PIN string `json:"pin"`
}

// casePIN shows the PINs of the Mac of a case.
func (s *server) casePIN(ctx context.Context, in *CasePath) (*reply[PINs], error) {
	c, err := s.Lost.Case(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.pins(ctx, c.Device)
}

// devicePIN shows the PINs of a Mac, also of one that an order locked outside a case.
func (s *server) devicePIN(ctx context.Context, in *DevicePath) (*reply[PINs], error) {
	d, err := s.Posture.Find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.pins(ctx, d.ID)
}

func (s *server) pins(ctx context.Context, id ward.DeviceID) (*reply[PINs], error) {
	all, err := s.MacPIN(ctx, id)
	if err != nil {
		return nil, err
	}
	out := PINs{Device: id, Items: []PIN{}}
	for _, use := range slices.Sorted(maps.Keys(all)) {
		out.Items = append(out.Items, PIN{Use: use, PIN: all[use]})
	}
	return answer(out), nil
}
