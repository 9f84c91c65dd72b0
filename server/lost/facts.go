package lost

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
)

// Fact is something known of a device, and when it was true. The zero Fact is not known.
type Fact struct {
	Value Answer    `json:"value,omitempty"`
	At    time.Time `json:"at,omitzero"`
	Text  string    `json:"text,omitempty"` // more, in words; may be empty
}

// Known is what is known of a device that matters when it is lost. What is not known, or
// is too old to count, is the zero value.
type Known struct {
	Encrypted        Fact `json:"encrypted"`
	PasscodeSet      Fact `json:"passcode_set"`
	PasscodeComplies Fact `json:"passcode_complies"` // with the policy
	AppPresent       Fact `json:"app_present"`       // an approved messaging app
	// Compliant is the verdict of the moment; its Text is the state in words, such as
	// "in grace".
	Compliant Fact `json:"compliant"`
	// Exceptions names the exceptions in force at ExceptionsAt; that time is zero where
	// they are not known.
	Exceptions   []string  `json:"exceptions,omitempty"`
	ExceptionsAt time.Time `json:"exceptions_at,omitzero"`
	// CertificateUsed is when a certificate of the app was last used to come in; zero for
	// never. UsesKnown says that it is known.
	CertificateUsed time.Time `json:"certificate_used,omitzero"`
	UsesKnown       bool      `json:"uses_known,omitempty"`
}

// Signs are what a device told of a thief's doings, with their times; zero times tell that
// it told nothing of the kind.
type Signs struct {
	SIMChanged  time.Time
	PasscodeOff time.Time
}

// Facts tells what is known of devices. Both methods read the database only.
type Facts interface {
	// Known returns what is known of a device now.
	Known(ctx context.Context, id ward.DeviceID) (Known, error)
	// Signs returns what the device told since t.
	Signs(ctx context.Context, id ward.DeviceID, since time.Time) (Signs, error)
}

// Snapshot is a device as it was when it was reported.
type Snapshot struct {
	Device    ward.Device
	Enrolment ward.Enrolment // the one that it had; zero if none
	Known     Known
	At        time.Time
	Missing   string // why Known could not be read; empty if it could
}

// asKnown reads what is known of a device before it is reported. That it can't be read
// holds no report up: the case says that it is missing.
func (s *Service) asKnown(ctx context.Context, id ward.DeviceID) Snapshot {
	then := Snapshot{At: s.Now()}
	e, err := s.Fleet.Current(ctx, id)
	if err == nil {
		then.Enrolment = e
	} else if ward.KindOf(err) != ward.NotFound {
		then.Missing = err.Error()
	}
	if s.Facts == nil {
		return then
	}
	if then.Known, err = s.Facts.Known(ctx, id); err != nil && ward.KindOf(err) != ward.NotFound {
		then.Known, then.Missing = Known{}, err.Error()
	}
	return then
}
