package signin

import (
	"io"
	"net/http"
	"time"
)

const (
	maxAnswer = 1 << 20
	wait      = 10 * time.Second
)

// NewClient returns a client by which providers are asked: it waits ten seconds and reads a
// megabyte at most, and follows a redirect nowhere, as no provider needs one.
func NewClient(next http.RoundTripper) *http.Client {
	if next == nil {
		next = http.DefaultTransport
	}
	return &http.Client{
		Transport: bounded{next}, Timeout: wait,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type bounded struct{ next http.RoundTripper }

// RoundTrip meets http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}
