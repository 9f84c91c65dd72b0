package lost

import (
	"context"
	"fmt"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
)

// Lock locks a device once, without a case. One person is enough, within the brake.
// It returns the UUID of the command. Conflict means that the device is not enrolled
// or that the brake holds it.
func (s *Service) Lock(ctx context.Context, id ward.DeviceID, message, phone string) (string, error) {
	if _, err := actor(ctx); err != nil {
		return "", err
	}
	message, phone = strings.TrimSpace(message), strings.TrimSpace(phone)
	if len(message) > maxWords || len(phone) > maxWords {
		return "", ward.Errorf(ward.Invalid, "The message and the telephone number may have %d bytes each.", maxWords)
	}
	d, err := s.Fleet.Device(ctx, id)
	if err != nil {
		return "", err
	}
	requestType, body, err := s.Compiler.Lock(d, message, phone)
	if err != nil {
		return "", err
	}
	var uuid string
	err = s.Counted(ctx, brake.Lock, id, func(ctx context.Context) error {
		e, err := s.reachable(ctx, id)
		if err != nil {
			return err
		}
		uuid, err = s.Queue.Enqueue(ctx, command.New{
			Enrolment: e.ID, RequestType: requestType, Body: body, Urgent: true, By: ward.ActorFrom(ctx).Person,
		})
		if err != nil {
			return fmt.Errorf("lock %s: %w", id, err)
		}
		return s.Audit.Record(ctx, ActionLock, string(id), map[string]string{"command": uuid})
	})
	if err != nil {
		return "", err
	}
	return uuid, nil
}
