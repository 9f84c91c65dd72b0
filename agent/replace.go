package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"
)

// ErrLost says that the connection went before an answer was out, as a Handler wanted it.
var ErrLost = errors.New("the connection was lost before the answer was out")

// Replace puts a newer enrolment profile with its identity in the place of the present
// one: from then on everything goes out under the new identity, the answer to the command
// that brought it first. The push token stays. With authenticate the device sends
// Authenticate and TokenUpdate under the new identity before that, and a server that
// refuses them leaves everything as it was. What the profile may change is the caller's
// business. It is for a Handler alone, since it speaks without waiting for its turn.
func (c *Client) Replace(ctx context.Context, p *Profile, i Identity, authenticate bool) error {
	e, err := c.Enrolment()
	if err != nil {
		return err
	}
	m, _, err := p.MDM()
	if err != nil {
		return fmt.Errorf("replace enrolment profile: %w", err)
	}
	next := *e
	next.Profile, next.MDM, next.Key, next.Certificate = p, m, i.Key, i.Certificate
	var own *http.Transport
	rt := http.RoundTripper(c.cfg.Transport.shared)
	if next.presents(c.cfg.ClientCertificate) {
		own = newHTTP(c.cfg.Transport.roots, next.tls())
		rt = own
	}
	if authenticate {
		err = c.introduce(ctx, rt, &next)
	}
	if err == nil {
		err = c.cfg.Keeper.Save(ctx, &next)
	}
	if err != nil {
		if own != nil {
			own.CloseIdleConnections()
		}
		return fmt.Errorf("replace enrolment profile: %w", err)
	}
	c.mu.Lock()
	before := c.own
	c.now, c.own = &next, own
	c.mu.Unlock()
	if before != nil {
		before.CloseIdleConnections()
	}
	c.cfg.Log.Info("identity replaced", zap.String("udid", next.UDID), zap.Time("ends", next.Certificate.NotAfter))
	return nil
}

// introduce sends Authenticate and TokenUpdate of an enrolment that has its push token.
func (c *Client) introduce(ctx context.Context, rt http.RoundTripper, e *Enrolment) error {
	if err := c.checkIn(ctx, rt, e, c.authenticate(e)); err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	if err := c.checkIn(ctx, rt, e, c.tokenUpdate(e)); err != nil {
		return fmt.Errorf("token update: %w", err)
	}
	return nil
}

// Introduce sends Authenticate and TokenUpdate of the present enrolment, as some systems
// do after the enrolment profile was replaced.
func (c *Client) Introduce(ctx context.Context) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	e, err := c.Enrolment()
	if err != nil {
		return err
	}
	return c.introduce(ctx, c.transport(), e)
}
