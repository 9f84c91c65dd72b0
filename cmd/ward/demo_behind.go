package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/notify"
)

// losePersonal puts an erase of a personal phone into the queue behind everything that
// decides, in vain, and then reports the phone lost.
func (s *story) losePersonal(ctx context.Context) error {
	p := s.fleet.Phones()[personalPhone]
	return s.step("5d. A personal phone is never erased; lost, it is locked and let go", 1, func(seen map[string]any) error {
		why, err := s.eraseBehindBack(ctx, p)
		if err != nil {
			return err
		}
		seen["withheld"] = why
		s.out.said("an erase that nobody ordered stood in the queue: it was withheld (%s), logged, and told to the people on call", why)
		if err := call(ctx, s.desk, http.MethodPost, devicePath(p.Serial(), "lost"), map[string]any{"kind": "lost"}, nil); err != nil {
			return err
		}
		if err := await(ctx, p, "the lock", (*virtual.Phone).Locked); err != nil {
			return err
		}
		if err := await(ctx, p, "the end of its management", func(p *virtual.Phone) bool { return !p.Enrolled() }); err != nil {
			return err
		}
		own, _ := p.AppInstalled("com.example.photos")
		work, _ := p.AppInstalled(messenger)
		if p.Erased() || !own || work {
			return fmt.Errorf("erased %v, own app there %v, work app there %v", p.Erased(), own, work)
		}
		if _, err := s.awaitDevice(ctx, p, "the end of its management", func(d device) bool { return d.Management == string(ward.Unenrolled) }); err != nil {
			return err
		}
		if slices.ContainsFunc(p.Destructive(), func(d virtual.Destruction) bool { return d.RequestType == "EraseDevice" }) {
			return fmt.Errorf("the phone was sent %v", p.Destructive())
		}
		s.out.said("the phone never saw it. Lost, it was locked, its management and the work app are gone, the person's own things are not")
		return nil
	})
}

// eraseBehindBack queues an erase past everything that decides, and returns why the server
// withheld it.
func (s *story) eraseBehindBack(ctx context.Context, p *virtual.Phone) (why string, err error) {
	e, err := s.srv.Devices.Show(ctx, p.Serial())
	if err != nil {
		return "", err
	}
	const uuid = "BEHIND-THE-SERVERS-BACK"
	body, err := plist.Marshal(map[string]any{"CommandUUID": uuid, "Command": map[string]any{"RequestType": "EraseDevice"}})
	if err != nil {
		return "", err
	}
	if _, err := s.srv.Queue().Enqueue(ctx, command.New{UUID: uuid, Enrolment: e.Enrolment.ID, RequestType: "EraseDevice", Body: body}); err != nil {
		return "", err
	}
	err = s.again(ctx, "the stray erase", func() (bool, error) {
		var list api.List[api.Command]
		if err := call(ctx, s.desk, http.MethodGet, devicePath(p.Serial(), "commands"), nil, &list); err != nil {
			return false, err
		}
		i := slices.IndexFunc(list.Items, func(c api.Command) bool { return c.UUID == uuid })
		if i < 0 || list.Items[i].State.Open() {
			return false, nil
		}
		why = list.Items[i].Error
		if list.Items[i].State != command.Withheld {
			return false, fmt.Errorf("the stray erase is %s", list.Items[i].State)
		}
		return true, nil
	})
	if err != nil {
		return "", err
	}
	var told api.List[api.Notification]
	if err := call(ctx, s.desk, http.MethodGet, "/notifications", nil, &told); err != nil {
		return "", err
	}
	if !slices.ContainsFunc(told.Items, func(n api.Notification) bool { return n.Topic == notify.Forged }) {
		return "", fmt.Errorf("nobody is told of the stray erase: %d messages", len(told.Items))
	}
	return why, nil
}
