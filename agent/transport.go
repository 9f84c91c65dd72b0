package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// requestTimeout bounds one exchange with a server, the body included.
const requestTimeout = time.Minute

// Transport is what devices use to reach servers. Devices of one process share one,
// with its connections; it is safe for concurrent use.
type Transport struct {
	roots  *x509.CertPool
	shared *http.Transport
}

// NewTransport returns a transport that trusts roots, or the system's roots if nil.
func NewTransport(roots *x509.CertPool) *Transport {
	return &Transport{roots, newHTTP(roots, nil)}
}

func newHTTP(roots *x509.CertPool, cert *tls.Certificate) *http.Transport {
	cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	return &http.Transport{
		TLSClientConfig: cfg, ForceAttemptHTTP2: true,
		Proxy:               http.ProxyFromEnvironment,
		TLSHandshakeTimeout: 20 * time.Second, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
		// A push stream is silent for hours: pings tell a quiet line from a dead one.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 45 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// Roots returns the authorities the transport trusts; nil means the system's.
func (t *Transport) Roots() *x509.CertPool { return t.roots }

// Close closes the connections that are idle.
func (t *Transport) Close() { t.shared.CloseIdleConnections() }

// StatusError is an answer of a server that is not a success.
type StatusError struct {
	Status     int
	Body       []byte // at most 4 KiB of it
	RetryAfter time.Duration
}

// Error returns the status.
func (e *StatusError) Error() string {
	return "server answered " + strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)
}

// Transient reports whether what failed with err may succeed later as it is: the server
// was not reached, was busy or broken.
func Transient(err error) bool { return transient(err) }

// transient reports whether the same request may succeed later.
func transient(err error) bool {
	if se, ok := errors.AsType[*StatusError](err); ok {
		return se.Status >= 500 || se.Status == http.StatusTooManyRequests || se.Status == http.StatusRequestTimeout
	}
	if _, refused := acmeRefusal(err); refused || errors.Is(err, errSCEPRefused) {
		return false
	}
	return err != nil && !errors.Is(err, errOversized) && !errors.Is(err, context.Canceled)
}

var errOversized = errors.New("the answer is larger than accepted")

// exchange sends one request and returns the body of a 2xx answer, at most limit bytes.
func exchange(ctx context.Context, rt http.RoundTripper, method, address string, header http.Header, body []byte, limit int64) ([]byte, error) {
	b, _, err := exchangeTyped(ctx, rt, method, address, header, body, limit)
	return b, err
}

// exchangeTyped is exchange and the Content-Type of the answer. It follows no redirects
// but those of GET, and at most five.
func exchangeTyped(ctx context.Context, rt http.RoundTripper, method, address string, header http.Header, body []byte, limit int64) ([]byte, string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, "", backoff.Permanent(err)
	}
	req.Header = header
	client := http.Client{Transport: rt, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if method != http.MethodGet || len(via) > 5 || r.URL.Scheme != "https" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	res, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		head, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
		if err != nil {
			head = nil // the status says enough
		}
		seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
		if err != nil || seconds < 0 || seconds > 3600 {
			seconds = 0 // a date or nonsense: the usual back-off applies
		}
		return nil, "", &StatusError{res.StatusCode, head, time.Duration(seconds) * time.Second}
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, "", fmt.Errorf("read answer: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, "", errOversized
	}
	return b, res.Header.Get("Content-Type"), nil
}

// Get returns the body of an https address, at most limit bytes of it or an error.
func (t *Transport) Get(ctx context.Context, address string, header http.Header, limit int64) ([]byte, error) {
	if !isHTTPS(address) {
		return nil, fmt.Errorf("get %s: not an https address", address)
	}
	return exchange(ctx, t.shared, http.MethodGet, address, header, nil, limit)
}
