package estate

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Store keeps postures. Its methods join the unit of work in ctx. Bodies are opaque to it.
type Store interface {
	unit.Unit
	Past
	// Hold keeps other units of work that hold the device waiting until this one ends. A
	// device that is not there is NotFound.
	Hold(ctx context.Context, id ward.DeviceID) error

	// Posture returns the posture of a device that is kept, the zero Kept for none.
	Posture(ctx context.Context, id ward.DeviceID) (Kept, error)
	// SavePosture keeps a posture in the place of the one before, under a new sequence
	// number; an empty body says that the device is gone.
	SavePosture(ctx context.Context, id ward.DeviceID, at time.Time, body string) error
	// AddChange keeps a change for good.
	AddChange(ctx context.Context, id ward.DeviceID, at time.Time, body string) error
	// Changes returns up to limit changes of a device before the sequence number, the newest
	// first; 0 begins with the newest.
	Changes(ctx context.Context, id ward.DeviceID, before int64, limit int) ([]KeptChange, error)

	// Due returns up to limit devices whose posture is to be judged anew, each once, those that
	// failed last at the end. There may be more of them even where it returns fewer.
	Due(ctx context.Context, limit int) ([]ward.DeviceID, error)
	// Judged takes a device from those, and Postpone puts it to their end.
	Judged(ctx context.Context, id ward.DeviceID) error
	Postpone(ctx context.Context, id ward.DeviceID, t time.Time) error

	// Heads returns the sequence number and the device of every posture after the sequence
	// number, in order.
	Heads(ctx context.Context, after int64) ([]Head, error)
	// Postures calls each with every posture after the sequence number, in order.
	Postures(ctx context.Context, after int64, each func(Row) error) error
	// LastSeen calls each with when every enrolment was heard from last, as it is written
	// down; LateSeen with what this process knows and has not written, or only just has, and
	// returns how many those are.
	LastSeen(ctx context.Context, each func(id ward.EnrolmentID, at time.Time)) error
	LateSeen(most int, each func(id ward.EnrolmentID, at time.Time)) int
}

// Kept is the posture of a device as the record has it.
type Kept struct {
	Seq  int64 // zero: it has none
	Body string
	Due  bool // something changed that it may follow from
}

// KeptChange is a change of a posture as the record has it.
type KeptChange struct {
	Seq    int64
	Device ward.DeviceID
	At     time.Time
	Body   string
}

// Head tells which version of a device's posture the record has.
type Head struct {
	Seq    int64
	Device ward.DeviceID
}

// Row is a posture with what its device is called. One of a device that is gone has an empty
// body.
type Row struct {
	Head
	Body                                    string
	Name, Serial, Model, Owner, Email, Role string
}
