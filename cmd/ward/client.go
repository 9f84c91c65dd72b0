package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/httpd"
)

const (
	callTime  = time.Minute // for one call and its whole answer; a stream may take longer
	maxAnswer = 64 << 20
	pageSize  = "200"
)

// client calls the REST API of one server as the person that a token belongs to.
type client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// request is one call. The path begins after /api/v1; its parts are escaped already.
type request struct {
	method, path string
	query        url.Values
	contentType  string // of body; JSON if empty
	body         io.Reader
}

// apiError is a refusal by the server, in its own words.
type apiError struct{ httpd.Problem }

// Error tells every mistake that the server named, and what helps where it can't know.
func (e *apiError) Error() string {
	var b strings.Builder
	b.WriteString(e.Detail)
	if e.Detail == "" {
		fmt.Fprintf(&b, "The server answered %d %s.", e.Status, http.StatusText(e.Status))
	}
	for _, d := range e.Details {
		b.WriteString("\n  - " + d)
	}
	if e.Status >= http.StatusInternalServerError && e.RequestID != "" {
		b.WriteString("\nThe server's log tells more: request " + e.RequestID)
	}
	return b.String()
}

func newClient(base *url.URL, token string, roots *x509.CertPool) *client {
	return &client{base: base, token: token, http: &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: callTime,
			ForceAttemptHTTP2:     true,
		},
		// A token is for the server that was named, and for no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// do sends r and returns the whole answer.
func (c *client) do(ctx context.Context, r request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var b bytes.Buffer
	if err := c.stream(ctx, r, &limited{w: &b, left: maxAnswer}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// stream sends r and copies the answer to w as it comes.
func (c *client) stream(ctx context.Context, r request, w io.Writer) error {
	u := c.base.JoinPath("/api/v1", r.path)
	u.RawQuery = r.query.Encode()
	q, err := http.NewRequestWithContext(ctx, r.method, u.String(), r.body)
	if err != nil {
		return fmt.Errorf("call %s: %w", r.path, err)
	}
	q.Header.Set("Authorization", "Bearer "+c.token)
	q.Header.Set("Accept", "application/json, */*")
	if r.body != nil {
		q.Header.Set("Content-Type", cmp.Or(r.contentType, "application/json"))
	}
	res, err := c.http.Do(q)
	if err != nil {
		return c.unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return refusal(res)
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", c.base, err)
	}
	return nil
}

func refusal(res *http.Response) error {
	e := &apiError{}
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || json.Unmarshal(body, &e.Problem) != nil {
		e = &apiError{} // no problem document: the status says it all
	}
	e.Status = res.StatusCode
	if to := res.Header.Get("Location"); to != "" && e.Detail == "" {
		e.Detail = fmt.Sprintf("The server sends elsewhere, to %s: is WARD_URL its public address?", to)
	}
	return e
}

// unreachable says why no answer came, and what helps.
func (c *client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return ward.Errorf(ward.Unavailable, "The certificate of %s is signed by an authority that this computer does not know: name the file with that authority in WARD_CA.", c.base)
	}
	cause := err
	if u, ok := errors.AsType[*url.Error](err); ok {
		cause = u.Err
	}
	return ward.Errorf(ward.Unavailable, "%s can't be reached: %v.\nIs the server running, and is WARD_URL its address?", c.base, cause)
}

// page is one page of a list, as the server sends it.
type page struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next,omitempty"`
}

// list gets every page of a list, up to limit rows (0 is all), as one document in the
// form of a single page.
func (c *client) list(ctx context.Context, path string, query url.Values, limit int) ([]byte, error) {
	q := url.Values{"limit": {pageSize}}
	maps.Copy(q, query)
	all := []json.RawMessage{}
	for {
		raw, err := c.do(ctx, request{method: http.MethodGet, path: path, query: q})
		if err != nil {
			return nil, err
		}
		var got page
		if err := json.Unmarshal(raw, &got); err != nil {
			return nil, fmt.Errorf("the answer of %s is no list: %w", c.base, err)
		}
		all = append(all, got.Items...)
		switch {
		case limit > 0 && len(all) >= limit:
			return json.Marshal(page{Items: all[:limit]})
		case got.Next == "" || got.Next == q.Get("after"):
			return json.Marshal(page{Items: all})
		}
		q.Set("after", got.Next)
	}
}

// limited refuses more than left bytes, so that a wrong server can't fill the memory.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errors.New("it is too large")
	}
	return l.w.Write(p)
}

// send is do with a JSON body; a nil body sends none.
func (c *client) send(ctx context.Context, method, path string, body any) ([]byte, error) {
	r := request{method: method, path: path}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		r.body = bytes.NewReader(b)
	}
	return c.do(ctx, r)
}
