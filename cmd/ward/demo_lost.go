package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/audit/verify"
	"github.com/wardmdm/ward/server/command"
)

// lose reports a supervised phone lost.
func (s *story) lose(ctx context.Context) error {
	checkpoint, err := s.checkpointNow(ctx)
	if err != nil {
		return err
	}
	s.checkpoint = checkpoint
	p := s.fleet.Phones()[supervisedPhone]
	return s.step("5a. A supervised phone is reported lost", 1, func(seen map[string]any) error {
		start := time.Now()
		if err := call(ctx, s.desk, http.MethodPost, "/devices/"+p.Serial()+"/lost", map[string]any{"kind": "lost", "where": "Bus 47", "note": "left on the seat"}, nil); err != nil {
			return err
		}
		if err := await(ctx, p, "lost mode", func(p *virtual.Phone) bool { _, on := p.InLostMode(); return on }); err != nil {
			return err
		}
		took := time.Since(start)
		seen["lost_mode_ms"] = float64(took.Microseconds()) / 1000
		s.out.said("lost mode %.0f ms after the report", took.Seconds()*1000)
		if took > time.Second {
			return fmt.Errorf("lost mode took %s, more than a second", took)
		}
		if err := s.located(ctx, p, seen); err != nil {
			return err
		}
		return s.cutOff(ctx, p, seen)
	})
}

// located checks that the phone was located, once.
func (s *story) located(ctx context.Context, p *virtual.Phone, seen map[string]any) error {
	if err := await(ctx, p, "the request for its location", func(p *virtual.Phone) bool { return asked(p, "DeviceLocation") }); err != nil {
		return err
	}
	d, err := s.awaitDevice(ctx, p, "its case", func(d device) bool { return d.Case != nil && d.Management == string(ward.Lost) })
	if err != nil {
		return err
	}
	var at struct {
		Latitude  float64 `json:"latitude"`
		Longitude float64 `json:"longitude"`
	}
	for {
		err := call(ctx, s.desk, http.MethodGet, "/cases/"+d.Case.ID+"/location", nil, &at)
		if err == nil {
			break
		}
		if refused(err, http.StatusNotFound) != nil || ctx.Err() != nil {
			return err
		}
	}
	if n := count(p, "DeviceLocation"); n != 1 {
		return fmt.Errorf("the phone was located %d times", n)
	}
	seen["latitude"], seen["longitude"] = at.Latitude, at.Longitude
	s.out.said("located once, at %.4f, %.4f", at.Latitude, at.Longitude)
	return nil
}

// cutOff checks that the app's certificate is void and the management identity is not.
func (s *story) cutOff(ctx context.Context, p *virtual.Phone, seen map[string]any) error {
	_, err := s.apps[p].InBackground(ctx)
	e, ok := errors.AsType[*virtual.AppError](err)
	if !ok || e.Status != http.StatusForbidden {
		return fmt.Errorf("the app's call should have been refused with 403, but: %w", orNothing(err))
	}
	seen["app_call"] = e.Status
	s.out.said("its app's next call was refused: %d %s", e.Status, e.Detail)
	before := count(p, "DeviceInformation")
	if err := call(ctx, s.desk, http.MethodPost, "/devices/"+p.Serial()+"/refresh", nil, nil); err != nil {
		return err
	}
	if err := await(ctx, p, "an answer by its management identity", func(p *virtual.Phone) bool { return count(p, "DeviceInformation") > before }); err != nil {
		return err
	}
	s.out.said("its management identity is kept: it still answers commands")
	return nil
}

// wipe asks for an erase, alone in vain and then with a second person.
func (s *story) wipe(ctx context.Context) error {
	p := s.fleet.Phones()[supervisedPhone]
	return s.step("5b. It is wiped, by two persons", 1, func(seen map[string]any) error {
		var order struct {
			ID   string `json:"id"`
			Hash string `json:"hash"`
		}
		if err := call(ctx, s.desk, http.MethodPost, "/devices/"+p.Serial()+"/wipe", map[string]any{"reason": "lost on a bus, not handed in"}, &order); err != nil {
			return err
		}
		approve := func(c *client) error {
			return call(ctx, c, http.MethodPost, "/orders/"+order.ID+"/approve", map[string]any{"hash": order.Hash}, nil)
		}
		for _, own := range []*client{s.desk, s.desk2} {
			if err := refused(approve(own), http.StatusForbidden); err != nil {
				return fmt.Errorf("the person who asked approves: %w", err)
			}
		}
		if asked(p, "EraseDevice") {
			return errors.New("the phone was told to erase itself on one person's word")
		}
		s.out.said("one person with two tokens was refused twice")
		if err := approve(s.onCall); err != nil {
			return err
		}
		if err := await(ctx, p, "the erase", (*virtual.Phone).Erased); err != nil {
			return err
		}
		d, err := s.awaitDevice(ctx, p, "the accepted erase", func(d device) bool { return d.Management == string(ward.Erased) })
		if err != nil {
			return err
		}
		if !strings.Contains(d.Reason, "erase accepted by the device at ") || !strings.Contains(d.Reason, ", not seen since") {
			return fmt.Errorf("the server says %q", d.Reason)
		}
		seen["server_says"] = d.Reason
		s.out.said("a second person approved; the server says: %s", d.Reason)
		return nil
	})
}

// afresh enrols the erased phone again: a new epoch, which nothing old reaches.
func (s *story) afresh(ctx context.Context) error {
	old := s.fleet.Phones()[supervisedPhone]
	return s.step("5c. Enrolled afresh, nothing old reaches it", 1, func(seen map[string]any) error {
		p, err := old.Reset(ctx)
		if err != nil {
			return err
		}
		link, err := s.invite(ctx, supervisedPhone, "Staff 1")
		if err != nil {
			return err
		}
		if err := p.Enrol(ctx, link); err != nil {
			return err
		}
		s.fleet.Replace(old, p)
		s.turnOn(p)
		d, err := s.awaitDevice(ctx, p, "its new epoch", func(d device) bool { return d.Epoch == 2 && d.Management == string(ward.Managed) && d.Case == nil })
		if err != nil {
			return err
		}
		if err := await(ctx, p, "the approved app", func(p *virtual.Phone) bool { _, managed := p.AppInstalled(messenger); return managed }); err != nil {
			return err
		}
		for _, stale := range []string{"EraseDevice", "EnableLostMode", "DeviceLocation", "DeviceLock"} {
			if asked(p, stale) {
				return fmt.Errorf("an old %s reached the new enrolment", stale)
			}
		}
		seen["epoch"] = d.Epoch
		s.out.said("it is epoch %d of the same device, with the policy and the app, and no old command came", d.Epoch)
		return nil
	})
}

// losePersonal erases a personal phone behind the server's back, in vain, and then
// reports it lost.
func (s *story) losePersonal(ctx context.Context) error {
	p := s.fleet.Phones()[personalPhone]
	return s.step("5d. A personal phone refuses an erase, is locked and let go", 1, func(seen map[string]any) error {
		answer, err := s.eraseBehindBack(ctx, p)
		if err != nil {
			return err
		}
		seen["erase_answer"] = answer
		s.out.said("an erase sent behind the server's back was refused by the phone itself: %s", answer)
		if err := call(ctx, s.desk, http.MethodPost, "/devices/"+p.Serial()+"/lost", map[string]any{"kind": "lost"}, nil); err != nil {
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
		s.out.said("it was locked, its management and the work app are gone, the person's own things are not")
		return nil
	})
}

// eraseBehindBack queues an erase past everything that decides, and returns what the
// phone answered.
func (s *story) eraseBehindBack(ctx context.Context, p *virtual.Phone) (string, error) {
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
	var got agent.Response
	err = await(ctx, p, "the stray erase", func(p *virtual.Phone) bool {
		for _, entry := range p.Log() {
			if entry.UUID == uuid {
				got = entry.Answer
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", err
	}
	if got.Status != agent.Error || p.Erased() || len(got.ErrorChain) == 0 {
		return "", fmt.Errorf("the phone answered %s, erased %v", got.Status, p.Erased())
	}
	c := got.ErrorChain[0]
	return fmt.Sprintf("%s %s %d", got.Status, c.ErrorDomain, c.ErrorCode), nil
}

func (s *story) checkpointNow(ctx context.Context) ([]byte, error) {
	if _, err := s.srv.Audit.Sequence(ward.WithActor(ctx, ward.System)); err != nil {
		return nil, err
	}
	return s.desk.do(ctx, request{method: http.MethodGet, path: "/audit/checkpoint"})
}

// verify checks the audit log with the verifier, which trusts nothing of the server's,
// against the checkpoint taken before the loss.
func (s *story) verify(ctx context.Context) error {
	return s.step("6. The audit log is verified against the earlier checkpoint", 1, func(seen map[string]any) error {
		if _, err := s.checkpointNow(ctx); err != nil {
			return err
		}
		export, err := s.desk.do(ctx, request{method: http.MethodGet, path: "/audit/export"})
		if err != nil {
			return err
		}
		report, err := verify.Verify(bytes.NewReader(export), verify.Options{PublicKey: s.srv.Audit.PublicKey(), Earlier: [][]byte{s.checkpoint}})
		if err != nil {
			return err
		}
		seen["entries"] = report.Size
		s.out.said("%d entries, none changed or missing since the checkpoint", report.Size)
		return nil
	})
}
