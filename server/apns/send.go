package apns

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/cenkalti/backoff/v5"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/micromdm/nanomdm/push"
	"golang.org/x/sync/errgroup"
)

// Send asks APNs to wake one enrolment and returns once APNs has accepted that. It
// retries what is temporary. The error is an *Error if APNs refused or could not be
// reached; otherwise the certificate, the target or ctx is at fault.
func (c *Client) Send(ctx context.Context, t Target) error {
	_, err := c.send(ctx, t)
	return err
}

// SendAll sends to every target with at most Workers requests in flight, and calls done
// for each with its index and the error of Send. Calls of done do not overlap.
func (c *Client) SendAll(ctx context.Context, targets []Target, done func(i int, err error)) {
	c.sendAll(ctx, targets, func(i int, _ string, err error) { done(i, err) })
}

// Push implements nanomdm's push.PushProvider. It returns one response for each token,
// by its hex form; nil entries are skipped, no entries is an error.
func (c *Client) Push(ctx context.Context, pushes []*mdm.Push) (map[string]*push.Response, error) {
	targets := make([]Target, 0, len(pushes))
	for _, p := range pushes {
		if p != nil {
			targets = append(targets, Target{Topic: p.Topic, Token: p.Token, Magic: p.PushMagic})
		}
	}
	if len(targets) == 0 {
		return nil, errors.New("apns: nothing to push")
	}
	out := make(map[string]*push.Response, len(targets))
	c.sendAll(ctx, targets, func(i int, id string, err error) {
		out[hex.EncodeToString(targets[i].Token)] = &push.Response{Id: id, Err: err}
	})
	return out, nil
}

func (c *Client) sendAll(ctx context.Context, targets []Target, done func(i int, id string, err error)) {
	var (
		g  errgroup.Group
		mu sync.Mutex
	)
	g.SetLimit(c.opts.Workers)
	for i, t := range targets {
		g.Go(func() error {
			id, err := c.send(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			done(i, id, err)
			return nil
		})
	}
	// Errors went to done, one for each target.
	_ = g.Wait()
}

func (c *Client) send(ctx context.Context, t Target) (string, error) {
	id, err := c.retry(ctx, t)
	c.opts.OnResult(err)
	if err != nil {
		return "", fmt.Errorf("push to token %.8s: %w", hex.EncodeToString(t.Token), err)
	}
	return id, nil
}

// retry tries until APNs accepts, refuses for good, or the tries or ctx run out. The
// error is that of the last try.
func (c *Client) retry(ctx context.Context, t Target) (string, error) {
	if t.Topic == "" || len(t.Token) == 0 || t.Magic == "" {
		return "", errors.New("topic, token or push magic is missing")
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.Multiplier, wait.MaxInterval = c.opts.Backoff, 2, c.opts.MaxWait
	var last error
	id, err := backoff.Retry(ctx, func() (string, error) {
		var id string
		if id, last = c.try(ctx, t); last == nil {
			return id, nil
		}
		e, ok := errors.AsType[*Error](last)
		switch {
		case !ok || !e.Temporary() || e.RetryAfter > c.opts.MaxWait:
			return "", backoff.Permanent(last)
		case e.RetryAfter > 0:
			return "", &backoff.RetryAfterError{Duration: e.RetryAfter}
		}
		return "", last
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(uint(c.opts.Tries)))
	if err == nil {
		return id, nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(last, cause) {
		return "", fmt.Errorf("%w after %w", cause, last)
	}
	return "", last
}

// try makes one request, once one of the places in flight is free.
func (c *Client) try(ctx context.Context, t Target) (string, error) {
	select {
	case c.inFlight <- struct{}{}:
		defer func() { <-c.inFlight }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	cert, stale, err := c.opts.Certificates.PushCertificate(ctx, t.Topic)
	if err != nil {
		return "", fmt.Errorf("push certificate for topic %s: %w", t.Topic, err)
	}
	conn := c.conns.acquire(t.Topic, stale, cert)
	defer c.conns.release(conn)

	tryCtx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	req, err := c.request(tryCtx, t)
	if err != nil {
		return "", err
	}
	res, err := conn.client.Do(req)
	if err != nil {
		// Also a GOAWAY: the connection is gone, and with it perhaps the request. A push that
		// arrives twice only wakes the device twice.
		if cause := context.Cause(ctx); cause != nil {
			return "", cause
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL, which holds the token
		}
		return "", &Error{Err: err}
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return "", answerError(res, c.opts.Now())
	}
	// Reading to the end lets the stream close in order; a success has no body.
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)); err != nil {
		return "", &Error{Err: err}
	}
	return res.Header.Get("apns-id"), nil
}

// request is an MDM push. Source: Apple, "Sending MDM push notifications" and "Sending
// notification requests to APNs": push type mdm, the topic of the certificate, payload
// {"mdm": PushMagic}.
func (c *Client) request(ctx context.Context, t Target) (*http.Request, error) {
	body, err := json.Marshal(struct {
		MDM string `json:"mdm"`
	}{t.Magic})
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	u := c.base.JoinPath("3", "device", hex.EncodeToString(t.Token))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	req.Header.Set("apns-topic", t.Topic)
	req.Header.Set("apns-push-type", "mdm")
	req.Header.Set("apns-priority", "10")
	req.Header.Set("apns-expiration", strconv.FormatInt(c.opts.Now().Add(c.opts.Expiration).Unix(), 10))
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}
