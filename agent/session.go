package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/wardmdm/ward"
)

// The media types of messages to the server, and the name that devices give.
const (
	checkinMIME = "application/x-apple-aspen-mdm-checkin"
	commandMIME = "application/x-apple-aspen-mdm; charset=UTF-8"
	mdmAgent    = "MDM/1.0"
)

func (c *Client) authenticate(e *Enrolment) map[string]any {
	f := c.cfg.Facts
	m := e.identify(map[string]any{"MessageType": "Authenticate", "Topic": e.MDM.Topic})
	if e.EnrollmentID != "" {
		f.SerialNumber = ""
	}
	for k, v := range map[string]string{
		"SerialNumber": f.SerialNumber, "DeviceName": f.DeviceName, "Model": f.Model, "ModelName": f.ModelName,
		"ProductName": f.ProductName, "OSVersion": f.OSVersion, "BuildVersion": f.BuildVersion,
	} {
		if v != "" {
			m[k] = v
		}
	}
	return m
}

func (c *Client) tokenUpdate(e *Enrolment) map[string]any {
	m := e.identify(map[string]any{
		"MessageType": "TokenUpdate", "Topic": e.MDM.Topic,
		"Token": e.Token, "PushMagic": e.PushMagic, "AwaitingConfiguration": false, "NotOnConsole": false,
	})
	if len(c.cfg.UnlockToken) > 0 && e.EnrollmentID == "" && e.MDM.AccessRights.Has(ward.RightLockAndPasscode) {
		m["UnlockToken"] = c.cfg.UnlockToken
	}
	return m
}

// TokenUpdate tells the server the push token again, as a device does after an update
// of its system.
func (c *Client) TokenUpdate(ctx context.Context) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	e, err := c.Enrolment()
	if err != nil {
		return err
	}
	if err := c.checkIn(ctx, c.transport(), e, c.tokenUpdate(e)); err != nil {
		return fmt.Errorf("token update: %w", err)
	}
	return nil
}

// Leave ends management from the device's side, as when its user removes the profile.
func (c *Client) Leave(ctx context.Context) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	e, err := c.Enrolment()
	if err != nil {
		return err
	}
	c.leave(ctx, e)
	return nil
}

// leave checks out if the profile says so and ends management, whether the server
// could be told or not.
func (c *Client) leave(ctx context.Context, e *Enrolment) {
	if e.MDM.CheckOutWhenRemoved {
		out := e.identify(map[string]any{"MessageType": "CheckOut", "Topic": e.MDM.Topic})
		if err := c.checkIn(ctx, c.transport(), e, out); err != nil {
			c.cfg.Log.Warn("not checked out", zap.String("udid", e.UDID), zap.Error(err))
		}
	}
	c.release(ctx, e, Removed)
}

func (c *Client) transport() http.RoundTripper {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own != nil {
		return c.own
	}
	return c.cfg.Transport.shared
}

func (c *Client) checkIn(ctx context.Context, rt http.RoundTripper, e *Enrolment, m map[string]any) error {
	body, err := EncodePlist(m)
	if err != nil {
		return err
	}
	_, err = c.put(ctx, rt, e, e.MDM.CheckInURL, checkinMIME, body)
	return err
}

func (c *Client) put(ctx context.Context, rt http.RoundTripper, e *Enrolment, address, mime string, body []byte) ([]byte, error) {
	h := http.Header{"Content-Type": {mime}, "User-Agent": {mdmAgent}}
	if err := c.sign(h, e, body); err != nil {
		return nil, err
	}
	return exchange(ctx, rt, http.MethodPut, address, h, body, MaxCommandBytes)
}

// sign adds the signature of body to h if the profile asks for it.
func (c *Client) sign(h http.Header, e *Enrolment, body []byte) error {
	if !e.MDM.SignMessage {
		return nil
	}
	sig, err := signDetached(body, e.Identity(), c.cfg.Now())
	if err != nil {
		return err
	}
	h.Set("Mdm-Signature", sig)
	return nil
}

// CheckIn asks the server for commands and answers them until there are none. A report
// that did not reach the server is sent again first, and errands are run last. It returns
// ErrNotEnrolled when there is no enrolment, and nil when the enrolment ended by a command.
func (c *Client) CheckIn(ctx context.Context) error {
	if err := c.converse(ctx); err != nil {
		return err
	}
	return c.errands(ctx)
}

// converse is one session with its turn.
func (c *Client) converse(ctx context.Context) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	e, err := c.Enrolment()
	if err != nil {
		return err
	}
	return c.session(ctx, e)
}

func (c *Client) session(ctx context.Context, e *Enrolment) error {
	body, err := c.opening(e)
	if err != nil {
		return err
	}
	later := map[string]bool{} // answered with NotNow since anything else was done
	for {
		answer, err := c.put(ctx, c.transport(), e, e.MDM.ServerURL, commandMIME, body)
		if err != nil {
			return c.failed(ctx, e, err)
		}
		c.pending = nil
		c.plan(c.after)
		c.after = nil
		if len(answer) == 0 {
			return nil
		}
		cmd, perr := ParseCommand(answer)
		if cmd.UUID == "" {
			return perr
		}
		if later[cmd.UUID] {
			return nil // nothing else is waiting, and this one has to
		}
		r := Response{Status: CommandFormatError}
		if perr == nil {
			r = c.cfg.Handler.Handle(ctx, cmd)
		}
		if r.Then == Lose {
			return ErrLost
		}
		if r.Status == NotNow {
			later[cmd.UUID] = true
		} else {
			clear(later)
		}
		if body, err = report(e, cmd.UUID, r); err != nil {
			return fmt.Errorf("report on %s: %w", cmd.RequestType, err)
		}
		if r.Then != Continue {
			c.last(ctx, e, body, r.Then)
			return nil
		}
		c.pending, c.after = body, r.After
		if e, err = c.Enrolment(); err != nil { // a command may have replaced the identity
			return err
		}
	}
}

// opening is the first message of a session.
func (c *Client) opening(e *Enrolment) ([]byte, error) {
	if c.pending != nil {
		return c.pending, nil
	}
	return report(e, "", Response{Status: Idle})
}

// last sends the final report of an enrolment once: a device that is being erased does
// not try again (Apple, EraseDevice).
func (c *Client) last(ctx context.Context, e *Enrolment, body []byte, then Then) {
	if _, err := c.put(ctx, c.transport(), e, e.MDM.ServerURL, commandMIME, body); err != nil {
		c.cfg.Log.Warn("last report not delivered", zap.String("udid", e.UDID), zap.Error(err))
	}
	if then == Vanish {
		c.release(ctx, e, Erased)
		return
	}
	c.leave(ctx, e)
}

// failed sorts an error of a session. A server that refuses the device for good ends
// management, as on iOS: 401, or 403 with the code com.apple.unrecognized.device. Another
// 4xx makes the device forget its report, for it would be refused again for ever.
func (c *Client) failed(ctx context.Context, e *Enrolment, err error) error {
	se, ok := errors.AsType[*StatusError](err)
	if !ok || transient(err) {
		return err
	}
	var reason struct {
		Code string `json:"code"`
	}
	unknown := se.Status == http.StatusUnauthorized
	if se.Status == http.StatusForbidden && json.Unmarshal(se.Body, &reason) == nil {
		unknown = reason.Code == "com.apple.unrecognized.device"
	}
	if unknown {
		c.release(ctx, e, Refused)
		return nil
	}
	c.pending, c.after = nil, nil
	return err
}
