package siem

import (
	"bytes"
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
	"os"
)

// Shape says how events are written to a collector.
type Shape string

// The shapes.
const (
	Lines Shape = "lines" // one JSON object a line
	HEC   Shape = "hec"   // Splunk's HTTP Event Collector: time, host and event
)

// Valid reports whether s is one of the shapes.
func (s Shape) Valid() bool { return s == Lines || s == HEC }

// Collector sends events to an HTTPS address; an answer from 200 to 299 means that all of
// them were taken. It follows no redirect.
type Collector struct {
	url     *url.URL
	shape   Shape
	headers http.Header
	client  *http.Client
}

// NewCollector returns a collector for an https address. headers are sent with each batch,
// such as Authorization; roots are the authorities of its certificate, nil for those of the
// system.
func NewCollector(address string, shape Shape, headers http.Header, roots *x509.CertPool) (*Collector, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, wrong("It is not an https address without user and fragment.")
	}
	if !shape.Valid() {
		return nil, wrong("%q is not lines or hec.", shape)
	}
	return &Collector{url: u, shape: shape, headers: headers, client: &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Send meets Sender.
func (c *Collector) Send(ctx context.Context, events []Event) error {
	body, err := c.shape.body(events)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("collector: %w", err)
	}
	maps.Copy(req.Header, c.headers)
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("User-Agent", "Ward")
	res, err := c.client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok { // its text has the whole address, which may hold a key
			err = e.Err
		}
		return fmt.Errorf("collector %s: %w", c.url.Host, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4<<10)) // the status says all
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("collector %s answered %s", c.url.Host, res.Status)
	}
	return nil
}

// hec is what Splunk takes. Source: docs.splunk.com, "Format events for HTTP Event Collector".
type hec struct {
	Time   string `json:"time"` // Unix seconds
	Host   string `json:"host"`
	Source string `json:"source"`
	Event  Event  `json:"event"`
}

func (s Shape) body(events []Event) ([]byte, error) {
	var b bytes.Buffer
	for _, e := range events {
		text, err := line(e)
		if s == HEC {
			at := e.At.UnixMilli()
			text, err = json.Marshal(hec{fmt.Sprintf("%d.%03d", at/1000, at%1000), e.Host, "ward", e})
		}
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", e.Index, err)
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// File appends events to a file, one JSON object a line, for an agent that gathers files. It
// opens the file for each batch, so that it may be moved away at any time.
type File struct{ Path string }

// Send meets Sender. A batch is on disk when it returns.
func (f File) Send(_ context.Context, events []Event) (err error) {
	body, err := Lines.body(events)
	if err != nil {
		return err
	}
	to, err := os.OpenFile(f.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if _, err := to.Write(body); err != nil {
		return err
	}
	return to.Sync()
}
