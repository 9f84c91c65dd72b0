package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
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
		var lost struct {
			ID string `json:"id"`
		}
		start := time.Now()
		if err := call(ctx, s.desk, http.MethodPost, "/devices/"+p.Serial()+"/lost", map[string]any{
			"kind": "lost", "where": "Bus 47", "note": "left on the seat", "unlocked": "no", "data_open": "no", "identified": "called back on the number of the staff list",
		}, &lost); err != nil {
			return err
		}
		s.lostCase = lost.ID
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
		raw, err := s.desk.do(ctx, request{method: http.MethodGet, path: casePath(d.Case.ID, "/location"), query: url.Values{"purpose": {"to fetch it"}}})
		if err == nil {
			if err := decode(raw, &at); err != nil {
				return err
			}
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
	if err := s.answers(ctx, p); err != nil {
		return err
	}
	s.out.said("its management identity is kept: it still answers commands")
	return nil
}

// answers has the phone asked about itself, and waits for its answer.
func (s *story) answers(ctx context.Context, p *virtual.Phone) error {
	before, turns := count(p, "DeviceInformation"), 0
	return s.again(ctx, "an answer by the management identity of "+p.Serial(), func() (bool, error) {
		if count(p, "DeviceInformation") > before {
			return true, nil
		}
		if turns++; turns%20 != 1 { // a question that is open already is not asked twice
			return false, nil
		}
		return false, call(ctx, s.desk, http.MethodPost, devicePath(p.Serial(), "refresh"), nil, nil)
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
