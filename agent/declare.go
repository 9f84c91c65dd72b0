package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// MaxFetchBytes is the most that Fetch and Declare read.
const MaxFetchBytes = 4 << 20

// Declare sends the check-in message DeclarativeManagement and returns the body of the
// answer. endpoint is tokens, declaration-items, status, or declaration/KIND/IDENTIFIER;
// data goes with status and is nil otherwise. An answer that is no success is a
// *StatusError. Source: Apple, "DeclarativeManagementRequest".
func (c *Client) Declare(ctx context.Context, endpoint string, data []byte) ([]byte, error) {
	if err := c.take(ctx); err != nil {
		return nil, err
	}
	defer c.give()
	e, err := c.Enrolment()
	if err != nil {
		return nil, err
	}
	m := e.identify(map[string]any{"MessageType": "DeclarativeManagement", "Endpoint": endpoint})
	if data != nil {
		m["Data"] = data
	}
	body, err := EncodePlist(m)
	if err != nil {
		return nil, err
	}
	answer, err := c.put(ctx, c.transport(), e, e.MDM.CheckInURL, checkinMIME, body)
	if err != nil {
		return nil, fmt.Errorf("declarative management %s: %w", endpoint, err)
	}
	return answer, nil
}

// Fetch returns the body of an https address that a declaration names, at most
// MaxFetchBytes of it. With prove the request is like one to the server itself: the
// identity is shown in TLS, or signs the request, or both, as the enrolment profile and
// the configuration say. That is the authentication MDM of an asset; the authentication
// None is a plain request. Source: Apple, AssetCredentialACME, Authentication.Type.
func (c *Client) Fetch(ctx context.Context, address string, prove bool) ([]byte, error) {
	if !isHTTPS(address) {
		return nil, fmt.Errorf("fetch %s: not an https address", address)
	}
	h, rt := http.Header{"User-Agent": {mdmAgent}}, http.RoundTripper(c.cfg.Transport.shared)
	if prove {
		e, err := c.Enrolment()
		if err != nil {
			return nil, err
		}
		rt = c.transport()
		if err := c.sign(h, e, nil); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", address, err)
		}
	}
	b, err := exchange(ctx, rt, http.MethodGet, address, h, nil, MaxFetchBytes)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", address, err)
	}
	return b, nil
}

// Later has f run soon by a running device, without a check-in before it, and otherwise
// at the end of the next check-in. It never blocks.
func (c *Client) Later(f Errand) {
	c.plan(f)
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// plan keeps f for the next run of the errands; nil is nothing.
func (c *Client) plan(f Errand) {
	if f == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.todo = append(c.todo, f)
}

// errands runs what is due. What fails and may succeed later stays due.
func (c *Client) errands(ctx context.Context) error {
	c.mu.Lock()
	todo := c.todo
	c.todo = nil
	c.mu.Unlock()
	var errs []error
	for _, f := range todo {
		err := f(ctx)
		if err != nil && !errors.Is(err, ErrNotEnrolled) && (transient(err) || ctx.Err() != nil) {
			c.plan(f)
		}
		if !errors.Is(err, ErrNotEnrolled) { // otherwise nothing is left to be done
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
