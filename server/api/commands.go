package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/lost"
)

// Command is a command to a device, in words that are true: a device accepts a command
// before it has carried it out.
type Command struct {
	UUID        string           `json:"uuid"`
	Enrolment   ward.EnrolmentID `json:"enrolment"`
	RequestType string           `json:"request_type"`
	State       command.State    `json:"state" enum:"waiting,delivered,not now,held,accepted,refused,cancelled,withheld,expired"`
	Words       string           `json:"words" doc:"Where it stands, for people."`
	Urgent      bool             `json:"urgent"`
	Step        string           `json:"step,omitempty" doc:"What the loop wants done by it; left out for a one-shot deed."`
	Case        ward.CaseID      `json:"case,omitempty"`
	Order       ward.OrderID     `json:"order,omitempty"`
	By          ward.PersonID    `json:"by,omitempty" doc:"Who asked; left out for Ward itself."`
	Created     time.Time        `json:"created"`
	Delivered   *time.Time       `json:"delivered,omitempty" doc:"The last time."`
	Deliveries  int              `json:"deliveries"`
	NotNow      *time.Time       `json:"not_now,omitempty" doc:"When the device last asked to be asked later."`
	Answered    *time.Time       `json:"answered,omitempty"`
	Expires     *time.Time       `json:"expires,omitempty" doc:"From when on it is not handed out any more; left out for never."`
	Error       string           `json:"error,omitempty" doc:"The device's reason, or why it was taken back, held or withheld."`
}

func commandOf(r command.Record, c lost.Contact) Command {
	return Command{
		UUID: r.UUID, Enrolment: r.Enrolment, RequestType: r.RequestType, State: r.State, Words: lost.Words(r, c), Urgent: r.Urgent,
		Step: r.StepKey, Case: r.Case, Order: r.Order, By: r.By, Created: r.Created.UTC(), Delivered: when(r.Delivered),
		Deliveries: r.Deliveries, NotNow: when(r.NotNow), Answered: when(r.Answered), Expires: when(r.Expires), Error: r.Error,
	}
}

// commandsOf shapes the commands of a device whose enrolments are given, and when it enrolled
// afresh after them.
func commandsOf(rs []command.Record, es []ward.Enrolment, afresh map[ward.EnrolmentID]time.Time) []Command {
	contacts := map[ward.EnrolmentID]lost.Contact{}
	for _, e := range es {
		contacts[e.ID] = lost.Contact{LastSeen: e.LastSeen, Afresh: afresh[e.ID]}
	}
	return shapes(rs, func(r command.Record) Command { return commandOf(r, contacts[r.Enrolment]) })
}

type listCommandsInput struct {
	DevicePath
	Paging
}

// listCommands lists the commands of every epoch of a device, the newest first.
func (s *server) listCommands(ctx context.Context, in *listCommandsInput) (*reply[List[Command]], error) {
	before, err := number(in.After)
	if err != nil {
		return nil, err
	}
	es, err := s.enrolments(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var all []command.Record
	for _, e := range es {
		rs, err := s.Posture.Commands.List(ctx, e.ID, before, in.Limit)
		if err != nil {
			return nil, err
		}
		all = append(all, rs...)
	}
	slices.SortFunc(all, func(a, b command.Record) int { return cmp.Compare(b.Seq, a.Seq) })
	all = all[:min(len(all), in.Limit)]
	afresh, err := s.Posture.Afresh(ctx, es)
	if err != nil {
		return nil, err
	}
	l := List[Command]{Items: commandsOf(all, es, afresh)}
	if len(all) == in.Limit {
		l.Next = strconv.FormatInt(all[len(all)-1].Seq, 10)
	}
	return answer(l), nil
}

func (s *server) enrolments(ctx context.Context, word string) ([]ward.Enrolment, error) {
	d, err := s.Posture.Find(ctx, word)
	if err != nil {
		return nil, err
	}
	return s.Posture.Store.Enrolments(ctx, d.ID)
}

// actionCommandCancelled stands in the audit log when a person took a command back.
const actionCommandCancelled = "command.cancelled"

type commandInput struct {
	DevicePath
	UUID string `path:"uuid" maxLength:"100"`
}

// cancelCommand takes a command off the queue that the device has not answered. What
// belongs to an order or a case ends with that, not by itself.
func (s *server) cancelCommand(ctx context.Context, in *commandInput) (*none, error) {
	es, err := s.enrolments(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &none{}, s.Unit.Do(ctx, func(ctx context.Context) error {
		for _, e := range es {
			var bound *ward.Error
			n, err := s.Posture.Queue.CancelOpen(ctx, e.ID, "cancelled by "+ward.ActorFrom(ctx).Name, func(r command.Record) bool {
				if r.UUID != in.UUID {
					return false
				}
				bound = boundTo(r)
				return bound == nil
			})
			if err != nil {
				return fmt.Errorf("cancel command of %s: %w", e.ID, err)
			}
			if bound != nil {
				return bound
			}
			if n > 0 {
				return s.Audit.Record(ctx, audit.Entry{Action: actionCommandCancelled, Subject: string(e.Device), Detail: map[string]string{"command": in.UUID}})
			}
		}
		return ward.Errorf(ward.NotFound, "No command of this device with that UUID waits for an answer.")
	})
}

// boundTo says what a command belongs to that has an end of its own; nil if nothing.
func boundTo(r command.Record) *ward.Error {
	switch {
	case r.Order != "":
		return ward.Errorf(ward.Conflict, "This command carries out the order %s. Cancel that instead.", r.Order)
	case r.Case != "":
		return ward.Errorf(ward.Conflict, "This command belongs to the case %s. It ends when the device is reported found.", r.Case)
	}
	return nil
}
