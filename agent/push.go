package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxPushLine bounds one line of a push stream.
const maxPushLine = 4 << 10

// pushStream is an open line from the push service. While it is open, the service
// knows the token.
type pushStream struct {
	body   io.ReadCloser
	lines  *bufio.Reader
	cancel context.CancelFunc
}

func pushAddress(base, topic string, token []byte) string {
	return strings.TrimRight(base, "/") + "/device/" + hex.EncodeToString(token) + "?topic=" + url.QueryEscape(topic)
}

// openPush registers the token with the push service and returns the stream. The
// stream outlives ctx; close ends it.
func openPush(ctx context.Context, rt http.RoundTripper, address string) (*pushStream, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel) // until it is open, ctx rules
	req, err := http.NewRequestWithContext(life, http.MethodGet, address, nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open push stream: %w", err)
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open push stream: %w", err)
	}
	if res.StatusCode != http.StatusOK || !stop() {
		err := errors.Join(&StatusError{Status: res.StatusCode}, ctx.Err(), res.Body.Close())
		cancel()
		return nil, fmt.Errorf("open push stream: %w", err)
	}
	return &pushStream{res.Body, bufio.NewReaderSize(res.Body, maxPushLine), cancel}, nil
}

func (s *pushStream) close() error {
	s.cancel()
	return s.body.Close()
}

// next waits for a push and returns its magic. A line that is not a push is an error:
// the other side is not what it should be.
func (s *pushStream) next() (string, error) {
	for {
		line, err := s.lines.ReadSlice('\n')
		if err != nil {
			return "", fmt.Errorf("read push: %w", err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue // keeps the line alive
		}
		return parsePush(line)
	}
}

// parsePush returns the magic of one push, which is empty for a push of another kind.
func parsePush(line []byte) (string, error) {
	var p struct {
		MDM string `json:"mdm"`
	}
	if err := json.Unmarshal(line, &p); err != nil {
		return "", fmt.Errorf("read push: %w", err)
	}
	return p.MDM, nil
}

// closePush tells the push service that the token is dead.
func closePush(ctx context.Context, rt http.RoundTripper, address string) error {
	_, err := exchange(ctx, rt, http.MethodDelete, address, http.Header{}, nil, 64<<10)
	if se, ok := errors.AsType[*StatusError](err); ok && (se.Status == http.StatusNotFound || se.Status == http.StatusGone) {
		return nil // it is dead already
	}
	if err != nil {
		return fmt.Errorf("unregister push token: %w", err)
	}
	return nil
}
