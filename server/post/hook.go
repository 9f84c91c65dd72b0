package post

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/notify"
)

const (
	// patience bounds one attempt where the caller sets no earlier end.
	patience = 20 * time.Second
	// longestAnswer is how much of an answer is read; nothing is made of it but its status.
	longestAnswer = 4 << 10
	// Keys of Standard Webhooks have 24 to 64 bytes.
	// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme
	shortestKey, longestKey = 24, 64
	keyPrefix               = "whsec_"
)

// HookConfig says where and how a webhook is told.
type HookConfig struct {
	URL    string   // CheckURL says which
	Format Format   // FormatWard if empty
	Keys   [][]byte // each signs; needed for FormatWard. ParseKeys makes them
	Roots  *x509.CertPool
	Now    func() time.Time
}

// Hook tells a program by POST. It follows no redirect.
type Hook struct {
	c      HookConfig
	url    *url.URL
	client *http.Client
}

var _ notify.Sender = (*Hook)(nil)

// NewHook returns a hook. Roots are the authorities that its certificate is under; nil for
// those of the system.
func NewHook(c HookConfig) (*Hook, error) {
	if c.Format == "" {
		c.Format = FormatWard
	}
	if err := CheckURL(c.URL); err != nil {
		return nil, err
	}
	if c.Now == nil || !c.Format.Valid() || c.Format == FormatWard && len(c.Keys) == 0 {
		return nil, errors.New("webhook: Now, a valid Format and, for Ward's own, Keys are needed")
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("webhook: its address is none") // the error has all of it
	}
	return &Hook{c, u, &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives: true, // hours pass between messages, and a connection that died meanwhile costs an attempt
			TLSClientConfig:   &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // what was signed is for this address alone
	}}, nil
}

// CheckURL returns an error, without the address, unless it is an https address without
// user and fragment. Plain http may go to this machine only.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("it is not an https address")
	case u.User != nil || u.Fragment != "":
		return errors.New("its address has a user or a fragment, which are not sent")
	case u.Scheme == "http" && !Loopback(u.Hostname()):
		return errors.New("it is not an https address; http is for this machine only")
	}
	return nil
}

// Loopback reports whether host is this machine, by an address or the name localhost.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// ParseKeys reads the keys of a webhook, one a line, as Standard Webhooks writes them:
// whsec_ and 24 to 64 bytes in base64. With two, a receiver may change from one to the other.
func ParseKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for line := range strings.FieldsSeq(text) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, keyPrefix))
		if err != nil || len(key) < shortestKey || len(key) > longestKey {
			return nil, fmt.Errorf("a key is %s and %d to %d bytes in base64, one a line", keyPrefix, shortestKey, longestKey)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return keys, nil
}

// Send posts a delivery. Any answer from 200 to 299 means that it was taken.
func (h *Hook) Send(ctx context.Context, d notify.Delivery) error {
	body, err := h.c.Format.body(d.Message)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.c.URL, bytes.NewReader(body))
	if err != nil {
		return h.discreet(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Ward")
	h.sign(req.Header, d.Message.ID, body)
	res, err := h.client.Do(req)
	if err != nil {
		return h.discreet(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, longestAnswer)) // whatever becomes of the rest, the status says whether it was taken
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return fmt.Errorf("%s answered %s: redirects are not followed", h.url.Host, res.Status)
	case res.StatusCode < 200 || res.StatusCode > 299:
		return fmt.Errorf("%s answered %s", h.url.Host, res.Status)
	}
	return nil
}

// sign sets the headers of Standard Webhooks. The id is the message's: it stays the same
// when the message is sent again, so that a receiver can tell.
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#webhook-headers-sending-metadata-to-consumers
func (h *Hook) sign(to http.Header, id string, body []byte) {
	at := strconv.FormatInt(h.c.Now().Unix(), 10)
	to.Set("Webhook-Id", id)
	to.Set("Webhook-Timestamp", at)
	var all []string
	for _, key := range h.c.Keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + at + "."))
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	if len(all) > 0 {
		to.Set("Webhook-Signature", strings.Join(all, " "))
	}
}

// discreet takes all of the address but its host out of an error: at Slack and Microsoft
// the rest is the secret.
func (h *Hook) discreet(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	text := err.Error()
	if uri := h.url.RequestURI(); len(uri) > 1 {
		text = strings.ReplaceAll(text, uri, "/…")
	}
	return fmt.Errorf("%s: %s", h.url.Host, text)
}
