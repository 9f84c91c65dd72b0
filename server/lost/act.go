package lost

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
)

// How long a deed of the moment may wait for its device: past it, the device is told
// nothing, for the person who asked is no longer listening.
const (
	momentWaits  = 15 * time.Minute
	restartWaits = time.Hour
)

// Sound has a lost device play a sound, and returns the UUID of the command. Conflict says
// why it can't: only a supervised iPhone or iPad that has accepted lost mode does it. It is
// asked for 15 minutes.
// Source: Apple, device management, PlayLostModeSound.
func (s *Service) Sound(ctx context.Context, id ward.CaseID) (string, error) {
	ask := asked{
		compile: s.Compiler.Sound, action: ActionSound, deed: "play a sound",
		event: Event{Kind: EventAsked, Text: "A sound was asked for"},
	}
	return s.ask(ctx, id, ask)
}

// LocateNow asks a lost device where it is, once more than the policy does, and returns
// the UUID of the command. The purpose, a sentence by the person who asks, is kept with the
// case. Conflict says why it can't be asked, as in Sound. It is asked for 15 minutes.
func (s *Service) LocateNow(ctx context.Context, id ward.CaseID, purpose string) (string, error) {
	purpose = strings.TrimSpace(purpose)
	if purpose == "" || len(purpose) > maxWords {
		return "", ward.Errorf(ward.Invalid, "Say in at most %d bytes what the location is needed for.", maxWords)
	}
	ask := asked{
		compile: s.Compiler.Locate, action: ActionLocate, deed: "tell where it is",
		event: Event{Kind: EventLocateAsked, Text: "The location was asked for: " + purpose, Purpose: purpose},
	}
	return s.ask(ctx, id, ask)
}

// asked is a deed that a device in lost mode is asked for.
type asked struct {
	compile func() (requestType string, body []byte, err error)
	action  string
	deed    string
	event   Event
}

func (s *Service) ask(ctx context.Context, id ward.CaseID, a asked) (uuid string, err error) {
	who, err := actor(ctx)
	if err != nil {
		return "", err
	}
	requestType, body, err := a.compile()
	if err != nil {
		return "", err
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		c, err := s.Store.Case(ctx, id)
		if err != nil {
			return err
		}
		e, err := s.inLostMode(ctx, c, a.deed)
		if err != nil {
			return err
		}
		uuid, err = s.Queue.Enqueue(ctx, command.New{
			Enrolment: e.ID, RequestType: requestType, Body: body, Urgent: true, Case: id, By: who.Person, Expires: s.Now().Add(momentWaits),
		})
		if err != nil {
			return fmt.Errorf("%s of case %s: %w", requestType, id, err)
		}
		ev := a.event
		ev.Command = uuid
		if err := s.keep(ctx, id, ev); err != nil {
			return err
		}
		detail := map[string]string{"device": string(c.Device), "command": uuid}
		if ev.Purpose != "" {
			detail["purpose"] = ev.Purpose
		}
		return s.Audit.Record(ctx, a.action, string(id), detail)
	})
	if err != nil {
		return "", err
	}
	return uuid, nil
}

// inLostMode returns the enrolment of a case's device, which is in lost mode as far as it
// told. Conflict says why it can't be asked for a deed of lost mode.
func (s *Service) inLostMode(ctx context.Context, c Case, deed string) (e ward.Enrolment, err error) {
	if c.State == Rehearsal {
		return e, ward.Errorf(ward.Conflict, "This is a dry run: nothing is sent to the device.")
	}
	if c.State != Open {
		return e, ward.Errorf(ward.Conflict, "This case is no longer open.")
	}
	d, err := s.Fleet.Device(ctx, c.Device)
	if err != nil {
		return e, err
	}
	if d.Platform != ward.IOS {
		return e, ward.Errorf(ward.Conflict, "Only an iPhone or iPad in lost mode can %s.", deed)
	}
	if e, err = s.reachable(ctx, c.Device); err != nil {
		return e, err
	}
	if e.Supervised != ward.Supervised {
		return e, ward.Errorf(ward.Conflict, "This device is not supervised, so Apple lets it have no lost mode and nobody can have it %s.", deed)
	}
	commands, err := s.Store.CaseCommands(ctx, c.ID)
	if err != nil {
		return e, fmt.Errorf("commands of case %s: %w", c.ID, err)
	}
	switch on, state := lostMode(commands, e.ID); {
	case on:
		return e, nil
	case state == command.Refused:
		return e, ward.Errorf(ward.Conflict, "The device refused lost mode, and can only %s in it.", deed)
	default:
		return e, ward.Errorf(ward.Conflict, "The device has not accepted lost mode yet, and can only %s in it. It will once it connects.", deed)
	}
}

// lostMode says whether the last that an enrolment accepted of lost mode was to begin it,
// and where the newest command to begin it stands; that is empty if there is none.
func lostMode(commands []command.Record, e ward.EnrolmentID) (on bool, newest command.State) {
	var last time.Time
	for _, r := range commands {
		if r.Enrolment != e || (r.RequestType != "EnableLostMode" && r.RequestType != "DisableLostMode") {
			continue
		}
		begins := r.RequestType == "EnableLostMode"
		if begins {
			newest = r.State
		}
		if r.State == command.Accepted && !r.Answered.Before(last) {
			on, last = begins, r.Answered
		}
	}
	return on, newest
}

// reachable returns the enrolment by which a device can be reached.
func (s *Service) reachable(ctx context.Context, id ward.DeviceID) (ward.Enrolment, error) {
	e, err := s.Fleet.Current(ctx, id)
	if ward.KindOf(err) == ward.NotFound || (err == nil && e.State != ward.EnrolmentActive) {
		return e, ward.Errorf(ward.Conflict, "This device is not enrolled, so no command can reach it.")
	}
	return e, err
}

// Restart restarts a device and returns the UUID of the command. One person is enough,
// within the brake, which counts it as a lock. Conflict means that the device is not
// enrolled, that it is one which can't be told to, or that the brake holds it. The device
// is told for an hour.
// Source: Apple, device management, RestartDevice: iOS 10.3 supervised, macOS 10.13.
func (s *Service) Restart(ctx context.Context, id ward.DeviceID) (string, error) {
	if _, err := actor(ctx); err != nil {
		return "", err
	}
	d, err := s.Fleet.Device(ctx, id)
	if err != nil {
		return "", err
	}
	if d.Platform != ward.IOS && d.Platform != ward.MacOS {
		return "", ward.Errorf(ward.Conflict, "Only iPhones, iPads and Macs can be told to restart.")
	}
	requestType, body, err := s.Compiler.Restart(d)
	if err != nil {
		return "", err
	}
	var uuid string
	err = s.Counted(ctx, brake.Lock, id, func(ctx context.Context) error {
		e, err := s.reachable(ctx, id)
		if err != nil {
			return err
		}
		if d.Platform == ward.IOS && e.Supervised != ward.Supervised {
			return ward.Errorf(ward.Conflict, "This device is not supervised, so Apple lets nobody restart it from afar.")
		}
		c, err := s.Store.OpenCase(ctx, id)
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return err
		}
		uuid, err = s.Queue.Enqueue(ctx, command.New{
			Enrolment: e.ID, RequestType: requestType, Body: body, Urgent: true, Case: c.ID, By: ward.ActorFrom(ctx).Person, Expires: s.Now().Add(restartWaits),
		})
		if err != nil {
			return fmt.Errorf("restart %s: %w", id, err)
		}
		return s.Audit.Record(ctx, ActionRestart, string(id), map[string]string{"command": uuid})
	})
	if err != nil {
		return "", err
	}
	return uuid, nil
}
