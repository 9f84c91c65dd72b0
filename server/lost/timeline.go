package lost

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// Timeline returns what happened in a case, in the order of time: what was kept, and
// each of its commands as it stands now.
func (s *Service) Timeline(ctx context.Context, id ward.CaseID) ([]Event, error) {
	c, err := s.Store.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	events, err := s.Store.Events(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("timeline of case %s: %w", id, err)
	}
	commands, err := s.Store.CaseCommands(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("commands of case %s: %w", id, err)
	}
	contacts, err := s.contacts(ctx, c.Device, commands)
	if err != nil {
		return nil, err
	}
	for _, r := range commands {
		events = append(events, Event{
			At: r.Created, Kind: EventCommand, Text: Words(r, contacts[r.Enrolment]), Person: r.By,
			Command: r.UUID, RequestType: r.RequestType, State: r.State, Answered: r.Answered,
		})
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	return events, nil
}

// Contact is what is known of an enrolment's last contact.
type Contact struct {
	LastSeen time.Time // zero if never, or not known
	Afresh   time.Time // when the device enrolled anew since, by another identity; zero if it has not
}

// contacts looks up the last contact of each enrolment that the commands went to.
func (s *Service) contacts(ctx context.Context, device ward.DeviceID, commands []command.Record) (map[ward.EnrolmentID]Contact, error) {
	out := map[ward.EnrolmentID]Contact{}
	current, err := s.Fleet.Current(ctx, device)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return nil, err
	}
	for _, r := range commands {
		if _, ok := out[r.Enrolment]; ok {
			continue
		}
		e, err := s.Fleet.Enrolment(ctx, r.Enrolment)
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return nil, err
		}
		c := Contact{LastSeen: e.LastSeen}
		if current.ID != "" && current.ID != r.Enrolment {
			afresh, err := s.Fleet.Afresh(ctx, current.ID, r.Enrolment)
			if err != nil {
				return nil, err
			}
			if afresh {
				c.Afresh = current.Enrolled
			} else if current.LastSeen.After(c.LastSeen) {
				c.LastSeen = current.LastSeen
			}
		}
		out[r.Enrolment] = c
	}
	return out, nil
}

// eraseDevice is Apple's request type of an erase.
const eraseDevice = "EraseDevice"

// sameContact is how much later than its answer a device may still be seen in the
// same connection.
const sameContact = 2 * time.Second

// Words says truthfully where a command stands. A phone accepts an erase before it
// does it: that it is erased is said only of one that has come back fresh.
func Words(r command.Record, c Contact) string {
	name := deed(r.RequestType)
	switch r.State {
	case command.Waiting:
		if c.LastSeen.IsZero() {
			return name + ": waiting for the device"
		}
		if c.LastSeen.After(r.Created) {
			return fmt.Sprintf("%s: waiting, the device was last seen at %s", name, stamp(c.LastSeen))
		}
		return fmt.Sprintf("%s: waiting, the device has not been seen since %s", name, stamp(c.LastSeen))
	case command.Delivered:
		return fmt.Sprintf("%s: delivered at %s, not answered yet%s", name, stamp(r.Delivered), silent(r.Delivered, c))
	case command.Deferred:
		return fmt.Sprintf("%s: the device asked at %s to be asked later%s", name, stamp(r.NotNow), silent(r.NotNow, c))
	case command.Accepted:
		w := fmt.Sprintf("%s: accepted by the device at %s", name, stamp(r.Answered))
		if r.RequestType != eraseDevice {
			return w
		}
		if !c.Afresh.IsZero() && c.Afresh.After(r.Answered) {
			return fmt.Sprintf("%s; it was erased and came back fresh at %s", w, stamp(c.Afresh))
		}
		if c.LastSeen.After(r.Answered.Add(sameContact)) {
			return fmt.Sprintf("%s, but it was seen again at %s, so it has not been erased yet", w, stamp(c.LastSeen))
		}
		return w + ", not seen since"
	case command.Refused:
		return fmt.Sprintf("%s: refused by the device at %s%s", name, stamp(r.Answered), because(r.Error))
	case command.Cancelled:
		return fmt.Sprintf("%s: taken back at %s%s", name, stamp(r.Answered), because(r.Error))
	case command.Withheld:
		return fmt.Sprintf("%s: withheld at %s%s", name, stamp(r.Answered), because(r.Error))
	case command.Held:
		return fmt.Sprintf("%s: held back, and not given to the device%s", name, because(r.Error))
	case command.Expired:
		return fmt.Sprintf("%s: not fetched in time, and given up at %s%s", name, stamp(r.Answered), because(r.Error))
	}
	return fmt.Sprintf("%s: %s", name, r.State)
}

// silent adds since when a device that still owes an answer has not been seen.
func silent(since time.Time, c Contact) string {
	if c.LastSeen.IsZero() || c.LastSeen.After(since.Add(sameContact)) {
		return ""
	}
	return ", not seen since"
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func stamp(t time.Time) string { return t.UTC().Format("2 January 2006 15:04:05 MST") }

// deed says what a request type of Apple's does to a lost device; one that has no
// words of its own stays as Apple spells it.
func deed(requestType string) string {
	switch requestType {
	case "EnableLostMode":
		return "Lost mode on"
	case "DisableLostMode":
		return "Lost mode off"
	case "DeviceLocation":
		return "Tell the location"
	case "DeviceLock":
		return "Lock"
	case "EraseDevice":
		return "Erase"
	case "ClearPasscode":
		return "Clear the passcode"
	case "PlayLostModeSound":
		return "Play a sound"
	case "RestartDevice":
		return "Restart"
	case "RemoveProfile":
		return "Remove a profile"
	case "RemoveApplication":
		return "Remove an app"
	}
	return requestType
}
