package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// SetGuard has g judge every dangerous command when it is to be handed out. Call it once,
// before devices are served; without a guard every command is delivered.
func (db *DB) SetGuard(g command.Guard) { db.guard = g }

// dangerous are the request types that the guard is asked about: those that destroy a device
// or take it out of its holder's hand, and those that lock one.
// Source: https://developer.apple.com/documentation/devicemanagement/commands-and-queries
var dangerous = []string{
	"EraseDevice", "ClearPasscode", "RemoveProfile", "DeviceLock", "EnableLostMode",
	"AccountConfiguration", "ClearActivationLockBypassCode", "ClearRestrictionsPassword", "DeleteUser", "EnableRemoteDesktop",
	"LOMDeviceRequest", "LOMSetupRequest", "RequestMirroring", "RequestUnlockToken", "RotateFileVaultKey",
	"SetAutoAdminPassword", "SetFirmwarePassword", "SetRecoveryLock", "UnlockUserAccount",
}

// MayBeDangerous reports whether the guard is asked about a command of this type.
func MayBeDangerous(requestType string) bool { return slices.Contains(dangerous, requestType) }

// mayBeDangerous reports whether the guard has to look at a command: one that names a
// dangerous request type anywhere, and one that might hide a name from this quick look.
func mayBeDangerous(requestType string, body []byte) bool {
	if requestType == "InstallProfile" { // what it holds is encoded: a profile may have a device erase itself
		return true
	}
	for _, t := range dangerous {
		if requestType == t || bytes.Contains(body, []byte(t)) {
			return true
		}
	}
	plain := bytes.Contains(body, []byte("<string>"+requestType+"</string>"))
	return !plain || bytes.Contains(body, []byte("&#")) || bytes.Contains(body, []byte("<!--")) || bytes.Contains(body, []byte("<![CDATA["))
}

// Next hands out the next command of an enrolment: urgent ones first, then by age,
// without those it answered NotNow to, or that were held, in this connection. body is nil
// when there is none. Rows that fail their seal, and those that the guard refuses, are
// withheld and returned with the reason in Error, so that somebody is told.
func (c Commands) Next(ctx context.Context, id ward.EnrolmentID) (r command.Record, body []byte, forged []command.Record, err error) {
	err = c.Do(ctx, func(ctx context.Context) error {
		body, forged = nil, nil
		for {
			now := c.now()
			var sealed []byte
			r, err = scanCommand(prefixed{c.row(ctx, next, string(id), micros(now)), &sealed})
			if err != nil {
				return none(err)
			}
			var v command.Verdict
			if v, body, err = c.judge(ctx, r, sealed, now); err != nil {
				return fmt.Errorf("hand out command %s: %w", r.UUID, err)
			}
			if v.Do == command.Deliver {
				return nil
			}
			body = nil
			if r, err = c.keepBack(ctx, r, v); err != nil {
				return err
			}
			if r.State == command.Withheld {
				forged = append(forged, r)
			}
		}
	})
	return r, body, forged, err
}

// expire is the verdict on a command whose time has passed, besides what a guard says.
const expire command.Do = "expire"

// judge opens a command and says what becomes of it.
func (c Commands) judge(ctx context.Context, r command.Record, sealed []byte, now time.Time) (command.Verdict, []byte, error) {
	body, err := c.queue.Open(sealed, place(r.UUID, r.Enrolment, r.RequestType, r.Order, micros(r.Expires))...)
	if err != nil {
		return command.Verdict{Do: command.Withhold, Why: "its row fails its seal"}, nil, nil
	}
	if !r.Expires.IsZero() && !now.Before(r.Expires) {
		return command.Verdict{Do: expire, Why: expiredWhy}, nil, nil
	}
	if c.guard == nil || !mayBeDangerous(r.RequestType, body) {
		return command.Verdict{Do: command.Deliver}, body, nil
	}
	v, err := c.guard(ctx, r, body)
	return v, body, err
}

// expiredWhy is the reason that stands with a command whose time passed.
const expiredWhy = "its time passed before the device took it"

// keepBack does what the verdict on a command says, and returns the command as it is then.
func (c Commands) keepBack(ctx context.Context, r command.Record, v command.Verdict) (command.Record, error) {
	r.Error = v.Why
	switch v.Do {
	case command.Hold:
		r.State = command.Held
		return r, c.hold(ctx, r, v.Why)
	case expire:
		r.State = command.Expired
		if err := c.lapsed(ctx, r, micros(c.now())); err != nil {
			return r, err
		}
	case command.Withhold:
		r.State = command.Withheld
	default:
		return r, fmt.Errorf("command %s: the guard says %q, which nobody knows", r.UUID, v.Do)
	}
	return r, c.close(ctx, r, r.State, v.Why)
}

// hold puts a command back, until the device's next connection, as if it had not been
// fetched. One that the device was given before stays what it was: it may yet answer.
func (c Commands) hold(ctx context.Context, r command.Record, why string) error {
	_, err := c.exec(ctx, `UPDATE command SET deferred = TRUE, deliveries = deliveries - 1, error = $2,
		delivered_at = CASE WHEN deliveries > 1 THEN delivered_at ELSE 0 END,
		state = CASE WHEN deliveries <= 1 THEN 'held' WHEN not_now_at > 0 THEN 'not now' ELSE 'delivered' END WHERE seq = $1 AND pending`, r.Seq, why)
	if err != nil {
		return fmt.Errorf("hold command %s: %w", r.UUID, err)
	}
	return nil
}

// prefixed scans one more column before the others.
type prefixed struct {
	scanner
	first any
}

func (p prefixed) Scan(dest ...any) error { return p.scanner.Scan(append([]any{p.first}, dest...)...) }
